// The calls of a model in TensorFlow Lite Micro: the one file that includes it (with the generated op_resolver.h).
#ifndef WRISTSLEEP_SLEEP_RUNTIME_HPP_
#define WRISTSLEEP_SLEEP_RUNTIME_HPP_

#include <cstring>
#include <new>
#include <utility>

#include "contract.h"
#include "op_resolver.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

#ifndef WRISTSLEEP_ARENA_BYTES  // measure it once with arena_used_bytes(), then define it
#define WRISTSLEEP_ARENA_BYTES (wristsleep::contract::kArenaBytes)
#endif

namespace wristsleep {

// Room for an object that is made later and never destroyed, so that no destructor is registered for the program's end.
template <class T>
class Room {
 public:
  template <class... Arguments>
  T& make(Arguments&&... arguments) {
    return *new (bytes_) T(std::forward<Arguments>(arguments)...);
  }

  T& get() { return *std::launder(reinterpret_cast<T*>(bytes_)); }
  const T& get() const { return *std::launder(reinterpret_cast<const T*>(bytes_)); }

 private:
  alignas(T) unsigned char bytes_[sizeof(T)];
};

class Runtime {
 public:
  // Plan the memory of all calls. They share one arena: each runs alone, and nothing stays in it between two calls.
  Status begin() {
    if (ready_) return Status::ok;
    tflite::MicroAllocator* allocator = tflite::MicroAllocator::Create(arena_, sizeof(arena_));
    OpResolver& resolver = resolver_.make();
    if (allocator == nullptr || !add_operations(resolver)) return Status::arena_too_small;
    for (int i = 0; i < kCallCount; ++i) {
      const Call& each = call(i);
      const tflite::Model* model = tflite::GetModel(each.model);
      if (model->version() != TFLITE_SCHEMA_VERSION) return Status::wrong_model;
      tflite::MicroInterpreter& interpreter = interpreters_[i].make(model, resolver, allocator);
      if (interpreter.AllocateTensors() != kTfLiteOk) return Status::arena_too_small;
      if (!fits(each, interpreter)) return Status::wrong_model;
    }
    ready_ = true;
    return Status::ok;
  }

  // Make the activity calls, or those of a window, in order.
  bool run_activity(float* values) {
    return run(0, contract::kActivityCallCount, contract::kActivityMoves, contract::kActivityMoveCount, values);
  }
  bool run_plan(float* values) {
    return run(contract::kActivityCallCount, kCallCount, contract::kPlanMoves, contract::kPlanMoveCount, values);
  }

  bool ready() const { return ready_; }

  std::size_t arena_used_bytes() const { return ready_ ? interpreters_[kCallCount - 1].get().arena_used_bytes() : 0; }

 private:
  static constexpr int kCallCount = contract::kActivityCallCount + contract::kPlanCallCount;

  static const Call& call(int i) {
    if (i < contract::kActivityCallCount) return contract::kActivityCalls[i];
    return contract::kPlanCalls[i - contract::kActivityCallCount];
  }

  static bool fits(const Call& call, tflite::MicroInterpreter& interpreter) {
    if (static_cast<int>(interpreter.inputs_size()) != call.input_count) return false;
    if (static_cast<int>(interpreter.outputs_size()) != call.output_count) return false;
    for (int i = 0; i < call.inputs_taken; ++i) {
      if (!is_float(interpreter.input(call.inputs[i].position), call.inputs[i].size)) return false;
    }
    for (int i = 0; i < call.outputs_taken; ++i) {
      if (!is_float(interpreter.output(call.outputs[i].position), call.outputs[i].size)) return false;
    }
    return true;
  }

  static bool is_float(const TfLiteTensor* tensor, int size) {
    return tensor != nullptr && tensor->type == kTfLiteFloat32 && tensor->bytes == sizeof(float) * size;
  }

  bool run(int first, int last, const Move* moves, int move_count, float* values) {
    for (int i = first; i < last; ++i) {
      const Call& each = call(i);
      tflite::MicroInterpreter& interpreter = interpreters_[i].get();
      for (int j = 0; j < each.inputs_taken; ++j) {
        const Tensor& tensor = each.inputs[j];
        std::memcpy(interpreter.input(tensor.position)->data.f, values + tensor.at, sizeof(float) * tensor.size);
      }
      if (interpreter.Invoke() != kTfLiteOk) return false;
      for (int j = 0; j < each.outputs_taken; ++j) {
        const Tensor& tensor = each.outputs[j];
        std::memcpy(values + tensor.at, interpreter.output(tensor.position)->data.f, sizeof(float) * tensor.size);
      }
    }
    for (int i = 0; i < move_count; ++i) {
      std::memcpy(values + moves[i].to, values + moves[i].from, sizeof(float) * moves[i].size);
    }
    return true;
  }

  alignas(16) std::uint8_t arena_[WRISTSLEEP_ARENA_BYTES];
  Room<OpResolver> resolver_;
  Room<tflite::MicroInterpreter> interpreters_[kCallCount];
  bool ready_ = false;
};

}  // namespace wristsleep

#endif  // WRISTSLEEP_SLEEP_RUNTIME_HPP_
