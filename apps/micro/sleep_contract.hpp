// Types used by the generated contract.h.
#ifndef WRISTSLEEP_SLEEP_CONTRACT_HPP_
#define WRISTSLEEP_SLEEP_CONTRACT_HPP_

#include <cstddef>
#include <cstdint>

namespace wristsleep {

enum class Sensor : std::uint8_t { heart_rate, motion, steps, activity };
constexpr int kSensorCount = 4;
constexpr int kStageCount = 5;

struct Stage {
  const char* name;
  int healthkit;       // HKCategoryValueSleepAnalysis
  int health_connect;  // SleepSessionRecord.STAGE_TYPE_*
};

// What one sample of a sensor may be. Samples outside low..high are dropped.
struct SensorRule {
  double low, high;
  bool sum;     // samples are bins, fed at their end, and a value is their sum; else their mean
  int seconds;  // that a value covers
  bool used;    // whether a channel of the model is made of it
};

// One input of the model: values of a window, oldest first.
struct Channel {
  Sensor sensor;
  int column;   // of the sensor's values: x, y, z and magnitude of motion
  int values;   // in a window
  int seconds;  // that a value covers
  float missing;
  int at;  // where its window begins in the array of values
};

struct OperatingPoint {
  const char* name;
  float weights[kStageCount];
};

// What is carried from call to call. One initial value stands for all.
struct State {
  int at;  // where it begins in the array of values
  int size;
  const float* initial;
  int initial_count;
};

// An input or output of a call: TensorFlow Lite Micro knows its position only.
struct Tensor {
  int position;
  int at;  // where it begins in the array of values
  int size;
};

struct Move {
  int from, to, size;
};

struct Call {
  const unsigned char* model;
  std::size_t model_bytes;
  int input_count, output_count;  // of the model
  const Tensor* inputs;
  int inputs_taken;
  const Tensor* outputs;
  int outputs_taken;
};

// What became of a request. The names are those of the errors of the other libraries, where they have it too.
enum class Status : std::uint8_t {
  ok,
  empty,                    // take: no window is left
  not_begun,                // begin() has not succeeded
  unknown_sensor,
  wrong_value_count,
  time_beyond_night,        // more than a night after the start: are these milliseconds?
  not_a_time,
  unknown_operating_point,
  buffer_too_small,         // save
  wrong_state,              // restore: damaged, or of another model, operating point or build; nothing changes
  wrong_model,              // the runtime's tensors are not those of contract.h
  arena_too_small,          // or an operation that the runtime lacks: its log says which
  runtime_failed,           // a call failed: reset or restore
};

inline const char* name(Status status) {
  constexpr const char* kNames[] = {
      "ok",           "empty",      "not_begun",   "unknown_sensor",  "wrong_value_count", "time_beyond_night",
      "not_a_time",   "unknown_operating_point",   "buffer_too_small", "wrong_state",      "wrong_model",
      "arena_too_small", "runtime_failed"};
  return kNames[static_cast<int>(status)];
}

}  // namespace wristsleep

#endif  // WRISTSLEEP_SLEEP_CONTRACT_HPP_
