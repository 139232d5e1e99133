// The state of a night, as plain data of fixed size, as save() writes it.
#ifndef WRISTSLEEP_SLEEP_NIGHT_HPP_
#define WRISTSLEEP_SLEEP_NIGHT_HPP_

#include "sleep_parts.hpp"

#ifndef WRISTSLEEP_OPEN_STRIDES  // strides that may hold samples at a time; 4 is enough if take() follows every feed()
#define WRISTSLEEP_OPEN_STRIDES 4
#endif
#ifndef WRISTSLEEP_MOTION_TIMES  // newest times of motion that are remembered, to tell repeated samples
#define WRISTSLEEP_MOTION_TIMES 128
#endif
#ifndef WRISTSLEEP_OTHER_TIMES  // the same of each other sensor
#define WRISTSLEEP_OTHER_TIMES 64
#endif

namespace wristsleep {

constexpr int kOpenStrides = WRISTSLEEP_OPEN_STRIDES;
static_assert(kOpenStrides >= 3, "the stride that closes, the one after it, and that of a sample far ahead");

// Why a sample is dropped. The last one, that there is no room for it, exists only here.
enum class Reason : std::uint8_t { not_a_number, wrong_unit, out_of_range, late, repeated, full };
constexpr int kReasonCount = 6;

constexpr int values_per_stride(const Channel& channel) { return contract::kStride / channel.seconds; }

constexpr int rows_per_stride() {
  int rows = 0;
  for (const Channel& channel : contract::kChannels) rows += values_per_stride(channel);
  return rows;
}

constexpr bool counts_motion() { return contract::kMotionCount > 0; }

// Number of times of a sensor that are remembered: none if the model does not use it.
constexpr int times_of(int sensor) {
  const bool motion = sensor == static_cast<int>(Sensor::motion);
  if (!contract::kSensors[sensor].used && !(motion && counts_motion())) return 0;
  return motion ? WRISTSLEEP_MOTION_TIMES : WRISTSLEEP_OTHER_TIMES;
}

// Where the times of a sensor begin among all times.
constexpr int times_at(int sensor) {
  int at = 0;
  for (int i = 0; i < sensor; ++i) at += times_of(i);
  return at;
}

// Sums and numbers of the samples of one stride, row by row of each channel.
struct OpenStride {
  std::int32_t stride;  // from the start; -1: free
  std::uint32_t numbers[rows_per_stride()];
  double sums[rows_per_stride()];

  void open(std::int32_t number) {
    stride = number;
    for (std::uint32_t& samples : numbers) samples = 0;
    for (double& sum : sums) sum = 0;
  }
};

struct MotionSample {
  double t;       // s since the start
  double xyz[3];  // g
};

constexpr int kMotionPoints = counts_motion() ? contract::kMotionCount / 3 : 1;  // of an activity call
constexpr std::int32_t kStridePoints = contract::kHz * contract::kStride;
constexpr int kCallsPerStride = counts_motion() ? kStridePoints / kMotionPoints : 0;
constexpr int kCountsPerStride = kCallsPerStride * contract::kCountsPerCall;
static_assert(kCallsPerStride * kMotionPoints == kStridePoints || !counts_motion(), "activity calls fill a stride");

// Motion on its way to the even grid of the activity calls: points up to `point` are done. A sample is kept until the
// points up to it are done; `before` is the last one before the next point.
struct MotionGrid {
  bool counting;              // activity comes from motion, until counts are fed
  bool any;                   // motion has come
  bool has_before, has_after;
  std::int32_t from, until;   // strides, from the start: those in between count motion
  std::int32_t point;         // from the start
  MotionSample before, after;
  float counts[kOpenStrides][kCountsPerStride > 0 ? kCountsPerStride : 1];  // of stride k in k % kOpenStrides

  void reset() {
    counting = counts_motion();
    any = has_before = has_after = false;
    from = until = point = 0;
  }

  bool counts_stride(std::int32_t stride) const { return any && from <= stride && stride < until; }
};

struct Night {
  double start;                 // s
  std::int32_t closed, staged;  // strides, from the start: closed by time, and given as epochs
  MotionGrid motion;
  OpenStride strides[kOpenStrides];
  Times times[kSensorCount];
  double rings[times_at(kSensorCount) > 0 ? times_at(kSensorCount) : 1];
  std::uint32_t dropped[kSensorCount][kReasonCount];
  InputGuard guards[2];  // of heart rate, of motion
  CoverageTracker tracker;

  void reset(double start_of_night) {
    start = start_of_night;
    closed = staged = 0;
    motion.reset();
    for (OpenStride& entry : strides) entry.open(-1);
    for (Times& entry : times) entry.reset();
    for (auto& reasons : dropped) {
      for (std::uint32_t& samples : reasons) samples = 0;
    }
    for (InputGuard& guard : guards) guard.reset();
    tracker.reset();
  }

  OpenStride* find(std::int32_t stride) {
    for (OpenStride& entry : strides) {
      if (entry.stride == stride) return &entry;
    }
    return nullptr;
  }

  // The sums of a stride, created if needed; nullptr if there is no room.
  OpenStride* find_or_open(std::int32_t stride) {
    OpenStride* found = find(stride);
    if (found != nullptr) return found;
    found = find(-1);
    if (found != nullptr) found->open(stride);
    return found;
  }
};

}  // namespace wristsleep

#endif  // WRISTSLEEP_SLEEP_NIGHT_HPP_
