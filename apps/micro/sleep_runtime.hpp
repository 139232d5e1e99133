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
  // Try every call once: whether the arena is large enough, and whether the models are those of contract.h.
  Status begin() {
    if (ready_) return Status::ok;
    if (!add_operations(resolver_.make())) return Status::wrong_model;
    for (int i = 0; i < kCallCount; ++i) {
      tflite::MicroInterpreter* interpreter = nullptr;
      const Status status = open(call(i), &interpreter);
      if (status != Status::ok) return status;
      const std::size_t used = interpreter->arena_used_bytes();
      if (used > arena_used_bytes_) arena_used_bytes_ = used;
      interpreter->~MicroInterpreter();
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

  // Of the call that needs most.
  std::size_t arena_used_bytes() const { return arena_used_bytes_; }

 private:
  static constexpr int kCallCount = contract::kActivityCallCount + contract::kPlanCallCount;

  static const Call& call(int i) {
    if (i < contract::kActivityCallCount) return contract::kActivityCalls[i];
    return contract::kPlanCalls[i - contract::kActivityCallCount];
  }

  // An interpreter, in the arena, that has planned its memory; the caller destroys it. The calls take turns in the arena,
  // as most of what a call needs there is what the runtime keeps of each operation: all of them at once would need twice
  // as much. To plan anew takes less time than the call itself.
  Status open(const Call& call, tflite::MicroInterpreter** opened) {
    const tflite::Model* model = tflite::GetModel(call.model);
    if (model->version() != TFLITE_SCHEMA_VERSION) return Status::wrong_model;
    tflite::MicroAllocator* allocator = tflite::MicroAllocator::Create(arena_, sizeof(arena_));
    if (allocator == nullptr) return Status::arena_too_small;
    tflite::MicroInterpreter& interpreter = interpreter_.make(model, resolver_.get(), allocator);
    const Status status = interpreter.AllocateTensors() != kTfLiteOk ? Status::arena_too_small
                          : fits(call, interpreter)                  ? Status::ok
                                                                     : Status::wrong_model;
    if (status != Status::ok) interpreter.~MicroInterpreter();
    *opened = &interpreter;
    return status;
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
      const Call& current = call(i);
      tflite::MicroInterpreter* interpreter = nullptr;
      if (open(current, &interpreter) != Status::ok) return false;
      for (int j = 0; j < current.inputs_taken; ++j) {
        const Tensor& tensor = current.inputs[j];
        std::memcpy(interpreter->input(tensor.position)->data.f, values + tensor.at, sizeof(float) * tensor.size);
      }
      const bool invoked = interpreter->Invoke() == kTfLiteOk;
      for (int j = 0; invoked && j < current.outputs_taken; ++j) {
        const Tensor& tensor = current.outputs[j];
        std::memcpy(values + tensor.at, interpreter->output(tensor.position)->data.f, sizeof(float) * tensor.size);
      }
      interpreter->~MicroInterpreter();
      if (!invoked) return false;
    }
    for (int i = 0; i < move_count; ++i) {
      std::memcpy(values + moves[i].to, values + moves[i].from, sizeof(float) * moves[i].size);
    }
    return true;
  }

  alignas(16) std::uint8_t arena_[WRISTSLEEP_ARENA_BYTES];
  Room<OpResolver> resolver_;
  Room<tflite::MicroInterpreter> interpreter_;
  std::size_t arena_used_bytes_ = 0;
  bool ready_ = false;
};

}  // namespace wristsleep

#endif  // WRISTSLEEP_SLEEP_RUNTIME_HPP_
