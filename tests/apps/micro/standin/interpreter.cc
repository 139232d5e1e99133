// The stand-in's work: calls are made by a Python process, whose command is in the environment variable INTERPRETERS,
// words parted by newlines; interpreters.py says how they talk. All models take turns in one arena in the real runtime, so
// whatever a call has not just been given, or has just given, is spoilt here.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "contract.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

namespace {

std::FILE *to_child, *from_child;

void start_child() {
  if (to_child != nullptr) return;
  int requests[2], answers[2];
  if (pipe(requests) != 0 || pipe(answers) != 0) std::abort();
  if (fork() == 0) {
    dup2(requests[0], 0);
    dup2(answers[1], 1);
    close(requests[1]);
    close(answers[0]);
    std::vector<std::string> words(1);
    for (const char* c = std::getenv("INTERPRETERS"); *c != 0; ++c) {
      if (*c == '\n') {
        words.emplace_back();
      } else {
        words.back() += *c;
      }
    }
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(&word[0]);
    arguments.push_back(nullptr);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(requests[0]);
  close(answers[1]);
  to_child = fdopen(requests[1], "wb");
  from_child = fdopen(answers[0], "rb");
}

std::string line() {
  std::string text;
  for (int c = std::fgetc(from_child); c != '\n'; c = std::fgetc(from_child)) {
    if (c == EOF) {
      std::fputs("the Python process ended\n", stderr);
      std::exit(1);
    }
    text += static_cast<char>(c);
  }
  return text;
}

std::vector<std::string> words(const std::string& text) {
  std::vector<std::string> found(1);
  for (char c : text) {
    if (c == ' ') {
      found.emplace_back();
    } else {
      found.back() += c;
    }
  }
  return found;
}

std::size_t size_of_model(const void* content) {
  using namespace wristsleep::contract;
  for (int i = 0; i < kActivityCallCount; ++i) {
    if (kActivityCalls[i].model == content) return kActivityCalls[i].model_bytes;
  }
  for (const wristsleep::Call& call : kPlanCalls) {
    if (call.model == content) return call.model_bytes;
  }
  std::abort();
}

int loaded = 0;

}  // namespace

namespace tflite {

std::uint32_t Model::version() const { return TFLITE_SCHEMA_VERSION; }

MicroAllocator* MicroAllocator::Create(std::uint8_t* tensor_arena, std::size_t arena_size) {
  static MicroAllocator one;
  return reinterpret_cast<std::uintptr_t>(tensor_arena) % 16 == 0 && arena_size > 0 ? &one : nullptr;
}

struct MicroInterpreter::Sides {
  int number = -1;
  std::vector<std::vector<float>> values[2];
  std::vector<TfLiteTensor> tensors[2];

  void spoil(int side) {
    for (std::vector<float>& tensor : values[side]) tensor.assign(tensor.size(), std::nanf(""));
  }
};

namespace {

std::vector<MicroInterpreter*> all;  // that are alive

struct Loaded {  // what the Python process said of a model
  int number;
  std::vector<std::string> sizes[2], operations;
};
std::map<const Model*, Loaded> models;

const Loaded& load(const Model* model) {
  const auto known = models.find(model);
  if (known != models.end()) return known->second;
  start_child();
  const std::size_t size = size_of_model(model);
  std::fprintf(to_child, "load %zu\n", size);
  std::fwrite(model, 1, size, to_child);
  std::fflush(to_child);
  Loaded& one = models[model];
  one.number = loaded++;
  for (std::vector<std::string>& sizes : one.sizes) sizes = words(line());
  one.operations = words(line());
  return one;
}

}  // namespace

MicroInterpreter::MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, MicroAllocator*)
    : model_(model), op_resolver_(op_resolver), sides_(new Sides) {
  all.push_back(this);
}

MicroInterpreter::~MicroInterpreter() {
  all.erase(std::find(all.begin(), all.end(), this));
  delete sides_;
}

TfLiteStatus MicroInterpreter::AllocateTensors() {
  const Loaded& one = load(model_);
  for (int side = 0; side < 2; ++side) {
    for (const std::string& count : one.sizes[side]) sides_->values[side].emplace_back(std::stoul(count));
    for (std::vector<float>& tensor : sides_->values[side]) {
      sides_->tensors[side].push_back({kTfLiteFloat32, {tensor.data()}, sizeof(float) * tensor.size()});
    }
    sides_->spoil(side);
  }
  for (const std::string& operation : one.operations) {
    if (!op_resolver_.Has(operation.c_str())) {
      std::fprintf(stderr, "no operation %s\n", operation.c_str());
      return kTfLiteError;
    }
  }
  sides_->number = one.number;
  return kTfLiteOk;
}

TfLiteStatus MicroInterpreter::Invoke() {
  std::fprintf(to_child, "run %d\n", sides_->number);
  for (const std::vector<float>& tensor : sides_->values[0]) {
    std::fwrite(tensor.data(), sizeof(float), tensor.size(), to_child);
  }
  std::fflush(to_child);
  for (MicroInterpreter* each : all) {
    each->sides_->spoil(0);
    each->sides_->spoil(1);
  }
  for (std::vector<float>& tensor : sides_->values[1]) {
    if (std::fread(tensor.data(), sizeof(float), tensor.size(), from_child) != tensor.size()) return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteTensor* MicroInterpreter::input(std::size_t index) {
  return index < inputs_size() ? &sides_->tensors[0][index] : nullptr;
}
std::size_t MicroInterpreter::inputs_size() const { return sides_->tensors[0].size(); }
TfLiteTensor* MicroInterpreter::output(std::size_t index) {
  return index < outputs_size() ? &sides_->tensors[1][index] : nullptr;
}
std::size_t MicroInterpreter::outputs_size() const { return sides_->tensors[1].size(); }
std::size_t MicroInterpreter::arena_used_bytes() const { return 0; }

}  // namespace tflite
