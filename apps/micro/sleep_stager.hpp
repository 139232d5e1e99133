// Live sleep stages from heart rate and movement at the wrist, on a microcontroller with TensorFlow Lite Micro.
//
//     static wristsleep::SleepStager stager;            // all the RAM there is: no heap, no exceptions
//     stager.begin(0);                                   // time 0 is when the first window begins
//     stager.feed(wristsleep::Sensor::heart_rate, 3.2, 61);
//     wristsleep::Epoch epoch;
//     while (stager.take(30.1, &epoch) == wristsleep::Status::ok) show(wristsleep::stage_name(epoch));
//
// C++17. For one model: contract.h and model_data.h are generated from its bundle. See README.md.
// Compile with -std=c++17 (not gnu++17, or with -ffp-contract=off) and without -ffast-math: sums must equal those of
// the watch bit for bit, and NaN must be recognised.
#ifndef WRISTSLEEP_SLEEP_STAGER_HPP_
#define WRISTSLEEP_SLEEP_STAGER_HPP_

#include <cstring>
#include <type_traits>

#include "sleep_night.hpp"
#include "sleep_runtime.hpp"

namespace wristsleep {

constexpr int kUnknownStage = -1;

// The stage of one stride.
struct Epoch {
  double time;                          // s, when it begins
  int stage;                            // index in contract::kStages; kUnknownStage if there are too few data
  float probabilities[kStageCount];     // in the order of contract::kStages; meaningless if the stage is unknown
  Coverage coverage[kSensorCount];      // by Sensor
};

inline const char* stage_name(const Epoch& epoch) {
  return epoch.stage == kUnknownStage ? contract::kUnknown : contract::kStages[epoch.stage].name;
}

// Takes the samples of one night and returns its stages. Times are in seconds of any one monotonic clock. Silent or
// absent sensors, and late or out-of-range samples, give missing values; the night continues. For one thread at a time,
// and not for interrupts: feed() may run an activity call, and take() runs the calls of a window.
class SleepStager {
 public:
  // Call once, first. start: start of the first window, s. operating_point: name of one of
  // contract::kOperatingPoints, to weight the probabilities; nullptr for none.
  Status begin(double start = 0, const char* operating_point = nullptr) {
    const float* weights = nullptr;
    for (int i = 0; i < contract::kOperatingPointCount && operating_point != nullptr; ++i) {
      if (std::strcmp(contract::kOperatingPoints[i].name, operating_point) == 0) {
        weights = contract::kOperatingPoints[i].weights;
      }
    }
    if (operating_point != nullptr && weights == nullptr) return Status::unknown_operating_point;
    if (!std::isfinite(start)) return Status::not_a_time;
    const Status status = runtime_.begin();
    if (status != Status::ok) return status;
    weights_ = weights;
    return reset(start);
  }

  // Begin another night at start (s).
  Status reset(double start) {
    if (!std::isfinite(start)) return Status::not_a_time;
    night_.reset(start);
    for (const Channel& channel : contract::kChannels) {
      for (int i = 0; i < channel.values; ++i) values_[channel.at + i] = channel.missing;
    }
    for (int i = 0; i < contract::kStateCount; ++i) {
      const State& state = contract::kStates[i];
      for (int j = 0; j < state.size; ++j) values_[state.at + j] = state.initial[j % state.initial_count];
    }
    return Status::ok;
  }

  // Take one sample: heart_rate (bpm), motion (x, y, z in g), and, with the time at which their bin ends, steps and
  // activity (counts). t: s. A sample closes the windows that end before it; later samples for a closed window are
  // dropped. Returns ok for dropped samples, too: see dropped().
  Status feed(Sensor sensor, double t, const double* values, int count) {
    if (!runtime_.ready()) return Status::not_begun;
    if (static_cast<int>(sensor) >= kSensorCount) return Status::unknown_sensor;
    if (count != (sensor == Sensor::motion ? 3 : 1)) return Status::wrong_value_count;
    const bool timed = std::isfinite(t);
    if (timed && beyond_night(t)) return Status::time_beyond_night;
    accept(sensor, t, values, count);
    if (timed) close(slot_of(t - night_.start, contract::kStride, true));
    return lay_motion_on_grid();
  }

  Status feed(Sensor sensor, double t, double value) { return feed(sensor, t, &value, 1); }

  Status feed_motion(double t, double x, double y, double z) {
    const double xyz[] = {x, y, z};
    return feed(Sensor::motion, t, xyz, 3);
  }

  // The next epoch of the closed windows: ok, or empty where there is none. now: s, a time up to which all
  // sensors have delivered; without it, of the windows that events have closed. Call it until it is empty, after every
  // feed() or at least once a stride.
  Status take(double now, Epoch* epoch) {
    if (!std::isfinite(now)) return Status::not_a_time;
    if (beyond_night(now)) return Status::time_beyond_night;
    close(std::floor((now - night_.start) / contract::kStride));
    return take(epoch);
  }

  Status take(Epoch* epoch) {
    if (!runtime_.ready()) return Status::not_begun;
    const Status status = lay_motion_on_grid();
    if (status != Status::ok) return status;
    if (night_.staged >= night_.closed) return Status::empty;
    next_window();
    epoch->time = night_.start + static_cast<double>(night_.staged) * contract::kStride;
    ++night_.staged;
    if (!runtime_.run_plan(values_)) return Status::runtime_failed;
    weigh(epoch->probabilities);
    const bool unknown = night_.tracker.update(values_, epoch->coverage);
    epoch->stage = 0;
    for (int i = 1; i < kStageCount; ++i) {
      if (epoch->probabilities[i] > epoch->probabilities[epoch->stage]) epoch->stage = i;
    }
    if (unknown) epoch->stage = kUnknownStage;
    return Status::ok;
  }

  // Run the model on one window, to test a board against golden.json: values of every channel, in the order of the
  // contract. Returns the model's probabilities, without an operating point. reset() before the night.
  Status step(const float* window, float* probabilities) {
    if (!runtime_.ready()) return Status::not_begun;
    for (const Channel& channel : contract::kChannels) {
      std::memcpy(values_ + channel.at, window, sizeof(float) * channel.values);
      window += channel.values;
    }
    if (!runtime_.run_plan(values_)) return Status::runtime_failed;
    std::memcpy(probabilities, values_ + contract::kProbabilitiesAt, sizeof(float) * kStageCount);
    return Status::ok;
  }

  // Number of samples dropped.
  std::uint32_t dropped(Sensor sensor, Reason reason) const {
    return night_.dropped[static_cast<int>(sensor)][static_cast<int>(reason)];
  }

  // What seems wrong with a sensor's unit. Its guard says how many of the first minute's samples lay out of range.
  Finding finding(Sensor sensor) const { return guarded(sensor) ? guard(sensor).finding : Finding::none; }

  // Of heart_rate or motion.
  const InputGuard& guard(Sensor sensor) const { return night_.guards[static_cast<int>(sensor)]; }

  std::size_t arena_used_bytes() const { return runtime_.arena_used_bytes(); }

  static constexpr std::size_t kSavedValueBytes = sizeof(float) * contract::kSavedValueCount;
  static constexpr std::size_t kDigestBytes = sizeof(contract::kModelDigest);
  static constexpr std::size_t kStateBytes = kDigestBytes + kSavedValueBytes + sizeof(Night) + sizeof(std::uint32_t);

  // The whole state, kStateBytes long, for restore() of the same build at the same operating point.
  Status save(unsigned char* buffer, std::size_t size) const {
    if (!runtime_.ready()) return Status::not_begun;
    if (size < kStateBytes) return Status::buffer_too_small;
    std::memcpy(buffer, contract::kModelDigest, kDigestBytes);
    std::memcpy(buffer + kDigestBytes, values_, kSavedValueBytes);
    std::memcpy(buffer + kDigestBytes + kSavedValueBytes, &night_, sizeof(Night));
    const std::uint32_t check = checksum(buffer);
    std::memcpy(buffer + kStateBytes - sizeof(check), &check, sizeof(check));
    return Status::ok;
  }

  // Resume from saved bytes, as if the stager had never stopped.
  Status restore(const unsigned char* buffer, std::size_t size) {
    if (!runtime_.ready()) return Status::not_begun;
    if (size != kStateBytes || std::memcmp(buffer, contract::kModelDigest, kDigestBytes) != 0) {
      return Status::wrong_state;
    }
    const std::uint32_t expected = checksum(buffer);
    if (std::memcmp(buffer + kStateBytes - sizeof(expected), &expected, sizeof(expected)) != 0) {
      return Status::wrong_state;
    }
    std::memcpy(values_, buffer + kDigestBytes, kSavedValueBytes);
    std::memcpy(&night_, buffer + kDigestBytes + kSavedValueBytes, sizeof(Night));
    return Status::ok;
  }

 private:
  static bool guarded(Sensor sensor) { return sensor == Sensor::heart_rate || sensor == Sensor::motion; }

  bool beyond_night(double t) const { return t - night_.start > contract::kLongest; }

  void accept(Sensor sensor, double t, const double* values, int count) {
    Reason reason;
    if (!taken(sensor, t, values, count, &reason)) {
      ++night_.dropped[static_cast<int>(sensor)][static_cast<int>(reason)];
    }
  }

  // Take a sample, or return the reason why it is dropped.
  bool taken(Sensor sensor, double t, const double* values, int count, Reason* reason) {
    const int s = static_cast<int>(sensor);
    const SensorRule& rule = contract::kSensors[s];
    bool finite = std::isfinite(t), in_range = true;
    for (int i = 0; i < count; ++i) {
      finite = finite && std::isfinite(values[i]);
      in_range = in_range && rule.low <= values[i] && values[i] <= rule.high;
    }
    *reason = Reason::not_a_number;
    if (!finite) return false;
    MotionGrid& motion = night_.motion;
    const bool counted = sensor == Sensor::motion && motion.counting;
    if (!rule.used && !counted) return true;  // the model does not use the sensor
    *reason = Reason::wrong_unit;
    if (guarded(sensor) && !night_.guards[s].accept(sensor == Sensor::motion, t, values, in_range)) return false;
    *reason = Reason::out_of_range;
    if (!in_range) return false;
    const double elapsed = t - night_.start, slot = slot_of(elapsed, contract::kStride, rule.sum);
    *reason = Reason::late;
    if (slot < night_.closed) return false;
    double* ring = night_.rings + times_at(s);
    const Seen seen = night_.times[s].look(t, ring, times_of(s));
    *reason = seen == Seen::repeated ? Reason::repeated : Reason::full;
    if (seen != Seen::fresh) return false;
    const bool in_order = counted && (!motion.any || elapsed >= newest_motion());
    if (in_order && grid_is_behind()) return false;
    const std::int32_t stride = static_cast<std::int32_t>(slot);
    OpenStride* open = rule.used ? night_.find_or_open(stride) : nullptr;
    if (rule.used && open == nullptr) return false;

    night_.times[s].add(t, ring, times_of(s));
    if (sensor == Sensor::activity) stop_counting();
    if (in_order) begin_grid_at(elapsed, values);
    if (rule.used) add(sensor, elapsed, values, open);
    return true;
  }

  // Add a sample to the rows of its stride.
  static void add(Sensor sensor, double elapsed, const double* values, OpenStride* open) {
    const SensorRule& rule = contract::kSensors[static_cast<int>(sensor)];
    const double row = slot_of(elapsed, rule.seconds, rule.sum);
    const int in_stride = static_cast<int>(row) - open->stride * (contract::kStride / rule.seconds);
    int at = 0;
    for (const Channel& channel : contract::kChannels) {
      if (channel.sensor == sensor) {
        open->sums[at + in_stride] += channel.column < 3 ? values[channel.column] : magnitude(values);
        ++open->numbers[at + in_stride];
      }
      at += values_per_stride(channel);
    }
  }

  // Close windows until `last` are closed.
  void close(double last) {
    if (!(last > night_.closed)) return;
    night_.closed = static_cast<std::int32_t>(last);
    const double seconds = static_cast<double>(night_.closed) * contract::kStride;
    for (int s = 0; s < kSensorCount; ++s) {
      if (times_of(s) > 0) night_.times[s].close(night_.start, seconds, night_.rings + times_at(s), times_of(s));
    }
  }

  double newest_motion() const {
    return night_.motion.has_after ? night_.motion.after.t : night_.motion.before.t;
  }

  // Whether points before the newest sample, or of windows that are closed, still wait for take() to make room.
  bool grid_is_behind() const {
    const MotionGrid& motion = night_.motion;
    return motion.any && (motion.has_after || motion.point < night_.closed * kStridePoints);
  }

  // The newest sample of motion, in order. The first one decides which stride is the first to count motion.
  void begin_grid_at(double elapsed, const double* xyz) {
    MotionGrid& motion = night_.motion;
    if (!motion.any) {
      motion.any = true;
      motion.from = night_.closed;
      motion.until = std::numeric_limits<std::int32_t>::max();
      motion.point = night_.closed * kStridePoints;
    }
    motion.has_after = true;
    motion.after = MotionSample{elapsed, {xyz[0], xyz[1], xyz[2]}};
  }

  // Activity counts are fed: motion no longer counts, in the windows that are open either.
  void stop_counting() {
    if (night_.motion.counting && night_.motion.any) night_.motion.until = night_.closed;
    night_.motion.counting = false;
  }

  // Lay the motion that has come on the even grid, and make the activity calls whose points are complete: those up to
  // the newest sample, and all in windows that are closed. Goes no more than kOpenStrides ahead of take().
  Status lay_motion_on_grid() {
    if constexpr (counts_motion()) {
      MotionGrid& motion = night_.motion;
      while (motion.any) {
        const double t = static_cast<double>(motion.point) / contract::kHz;
        if (motion.has_after && motion.after.t < t) {
          motion.before = motion.after;
          motion.has_before = true;
          motion.has_after = false;
        }
        const std::int32_t stride = motion.point / kStridePoints;
        if (stride >= motion.until || stride >= night_.staged + kOpenStrides) break;
        if (!motion.has_after && stride >= night_.closed) break;
        lay_point(t);
        ++motion.point;
        if (motion.point % kMotionPoints == 0 && !count(stride)) return Status::runtime_failed;
      }
    }
    return Status::ok;
  }

  // One point of the grid: on the line between the sample before it and the one at or after it; the sample before where
  // that one comes too late for the point's bin, or has not come; missing where they lie too far apart.
  void lay_point(double t) {
    const MotionGrid& motion = night_.motion;
    float* xyz = values_ + contract::kMotionAt + 3 * (motion.point % kMotionPoints);
    const MotionSample &before = motion.before, &after = motion.after;
    const double due =
        contract::kMotionGrace + static_cast<double>(contract::kBin) *
                                     (motion.point / (contract::kHz * contract::kBin) + 1);
    const bool held = !motion.has_after || after.t > due;
    const double next = held ? due : after.t;
    if (!motion.has_before || next - before.t > contract::kMotionGap) {
      xyz[0] = xyz[1] = xyz[2] = contract::kMotionMissing;
      return;
    }
    for (int k = 0; k < 3; ++k) {
      const double b = before.xyz[k];
      const double value = held ? b : b + (after.xyz[k] - b) * ((t - before.t) / (after.t - before.t));
      xyz[k] = static_cast<float>(value);
    }
  }

  // Make the activity call whose last point was laid, in a stride.
  bool count(std::int32_t stride) {
    if (!runtime_.run_activity(values_)) return false;
    const int call = (night_.motion.point - 1) % kStridePoints / kMotionPoints;
    std::memcpy(night_.motion.counts[stride % kOpenStrides] + call * contract::kCountsPerCall,
                values_ + contract::kCountsAt, sizeof(float) * contract::kCountsPerCall);
    return true;
  }

  // Put the values of the stride that is next to be staged at the end of every channel's window.
  void next_window() {
    const std::int32_t stride = night_.staged;
    OpenStride* open = night_.find(stride);
    int at = 0;
    for (const Channel& channel : contract::kChannels) {
      const int count = values_per_stride(channel);
      float* window = values_ + channel.at;
      float* newest = window + channel.values - count;
      std::memmove(window, window + count, sizeof(float) * (channel.values - count));
      for (int i = 0; i < count; ++i) {
        newest[i] = channel.missing;
        if (open != nullptr && open->numbers[at + i] > 0) {
          const double sum = open->sums[at + i];
          newest[i] = static_cast<float>(
              contract::kSensors[static_cast<int>(channel.sensor)].sum ? sum : sum / open->numbers[at + i]);
        }
      }
      if (kCountsPerStride > 0 && channel.sensor == Sensor::activity && night_.motion.counts_stride(stride)) {
        std::memcpy(newest, night_.motion.counts[stride % kOpenStrides], sizeof(float) * count);
      }
      at += count;
    }
    if (open != nullptr) open->stride = -1;
  }

  void weigh(float* probabilities) const {
    float sum = 0;
    for (int i = 0; i < kStageCount; ++i) {
      probabilities[i] = values_[contract::kProbabilitiesAt + i];
      if (weights_ != nullptr) sum += probabilities[i] *= weights_[i];
    }
    for (int i = 0; i < kStageCount && weights_ != nullptr; ++i) probabilities[i] /= sum;
  }

  // CRC-32 of all but the last four bytes, and of the operating point's weights, which are not among them: a state of
  // another operating point looks damaged.
  std::uint32_t checksum(const unsigned char* buffer) const {
    std::uint32_t crc = 0xFFFFFFFFu;
    crc = add_to_crc(crc, buffer, kStateBytes - sizeof(crc));
    const unsigned char* weights = reinterpret_cast<const unsigned char*>(weights_);
    if (weights != nullptr) crc = add_to_crc(crc, weights, sizeof(float) * kStageCount);
    return ~crc;
  }

  static std::uint32_t add_to_crc(std::uint32_t crc, const unsigned char* bytes, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      crc ^= bytes[i];
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1u)));
    }
    return crc;
  }

  static_assert(std::is_trivially_copyable<Night>::value, "a night is saved as its bytes");
  static_assert(std::is_trivially_destructible<Runtime>::value, "nothing is registered for the program's end");

  Runtime runtime_;
  const float* weights_ = nullptr;
  float values_[contract::kValueCount];
  Night night_;
};

}  // namespace wristsleep

#endif  // WRISTSLEEP_SLEEP_STAGER_HPP_
