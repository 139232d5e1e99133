// The parts of a stager that look at samples: times, units, coverage. Plain data of fixed size, copied into saved states.
#ifndef WRISTSLEEP_SLEEP_PARTS_HPP_
#define WRISTSLEEP_SLEEP_PARTS_HPP_

#include <cmath>
#include <limits>

#include "contract.h"

namespace wristsleep {

constexpr double kNever = std::numeric_limits<double>::infinity();

// Which stretch of `seconds`, from the start, t (s since the start) lies in: a sample in [k, k + 1), a bin (sum) in
// (k, k + 1] with its end taken early. Corrected for rounding of the division. A double: t may be any time.
inline double slot_of(double t, int seconds, bool sum) {
  if (sum) t -= contract::kGrace;
  double slot = sum ? std::ceil(t / seconds) - 1 : std::floor(t / seconds);
  if (slot * seconds > t || (sum && slot * seconds == t)) slot -= 1;
  const double end = (slot + 1) * seconds;
  if (end < t || (!sum && end == t)) slot += 1;
  return slot;
}

inline double magnitude(const double* xyz) { return std::sqrt(xyz[0] * xyz[0] + xyz[1] * xyz[1] + xyz[2] * xyz[2]); }

enum class Seen : std::uint8_t { fresh, repeated, unsure };

// The newest times of one sensor in the windows that are open, ascending in a ring that somebody else owns.
struct Times {
  std::int32_t first, count;
  double forgotten;  // the greatest time that had no room: of one no greater it is unsure whether it repeats

  void reset() {
    first = count = 0;
    forgotten = -kNever;
  }

  Seen look(double t, const double* ring, int capacity) const {
    const int i = less(t, ring, capacity);
    if (i < count && ring[at(i, capacity)] == t) return Seen::repeated;
    if (t == forgotten) return Seen::repeated;
    return t < forgotten ? Seen::unsure : Seen::fresh;
  }

  // Remember a time that is fresh; the least is forgotten where there is no room.
  void add(double t, double* ring, int capacity) {
    int i = less(t, ring, capacity);
    if (count == capacity) {
      if (i == 0) {
        forgotten = t;
        return;
      }
      forgotten = ring[first];
      drop_first(capacity);
      --i;
    }
    for (int j = count; j > i; --j) ring[at(j, capacity)] = ring[at(j - 1, capacity)];
    ring[at(i, capacity)] = t;
    ++count;
  }

  // Forget those in closed windows: less than `seconds` after the start.
  void close(double start, double seconds, const double* ring, int capacity) {
    while (count > 0 && ring[first] - start < seconds) drop_first(capacity);
  }

 private:
  int at(int i, int capacity) const { return (first + i) % capacity; }

  void drop_first(int capacity) {
    first = at(1, capacity);
    --count;
  }

  int less(double t, const double* ring, int capacity) const {  // how many are less than t: mostly all
    int low = 0, high = count;
    if (count > 0 && ring[at(count - 1, capacity)] < t) return count;
    while (low < high) {
      const int middle = (low + high) / 2;
      if (ring[at(middle, capacity)] < t) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

// On which side of a limit the median of numbers lies, exactly, without keeping them.
struct MedianSide {
  std::uint32_t below;  // numbers below the limit
  double greatest_below, least_above;

  void reset() {
    below = 0;
    greatest_below = -kNever;
    least_above = kNever;
  }

  void add(double x, bool is_below) {
    if (is_below) {
      ++below;
      if (x > greatest_below) greatest_below = x;
    } else if (x < least_above) {
      least_above = x;
    }
  }

  template <class IsBelow>
  bool median_below(std::uint32_t count, IsBelow is_below) const {
    if (2 * below != count) return 2 * below > count;
    return is_below((greatest_below + least_above) / 2);  // the mean of the middle two
  }
};

// What seems wrong with a sensor's unit.
enum class Finding : std::uint8_t {
  none,
  out_of_range,               // more than half of its first minute: heart rate in beats per second, motion in milli-g?
  gravity_removed,            // of motion: its samples are not used
  metres_per_second_squared,  // of motion: its samples are not used; divide by contract::kStandardGravity
  other_unit,                 // of motion: its samples are not used
};

// Checks, on a sensor's first minute of samples, that they are in the expected unit.
struct InputGuard {
  double first;                 // s, time of the first sample
  std::uint32_t seen, outside;  // samples, and those of them out of range
  bool decided, refused;
  Finding finding;
  MedianSide low, high, low_si, high_si;  // of the magnitudes of motion in range: in g, and if they were in m/s2

  void reset() {
    first = kNever;
    seen = outside = 0;
    decided = refused = false;
    finding = Finding::none;
    low.reset();
    high.reset();
    low_si.reset();
    high_si.reset();
  }

  // Whether a sample is accepted.
  bool accept(bool motion, double t, const double* values, bool in_range) {
    if (decided) return !refused;
    if (t < first) first = t;
    const std::uint32_t inside = seen - outside;
    const bool enough = !motion || (outside > inside ? outside : inside) >= contract::kGuardLeastSamples;
    if (t >= first + contract::kGuardFirst && enough) {
      decide(motion);
      return !refused;
    }
    ++seen;
    if (!in_range) {
      ++outside;
    } else if (motion) {
      const double g = magnitude(values);
      low.add(g, too_low(g));
      high.add(g, !too_high(g));
      low_si.add(g, too_low(g / contract::kStandardGravity));
      high_si.add(g, !too_high(g / contract::kStandardGravity));
    }
    return true;
  }

 private:
  static bool too_low(double g) { return g < contract::kGravityLow; }
  static bool too_high(double g) { return g > contract::kGravityHigh; }

  void decide(bool motion) {
    decided = true;
    if (2 * outside > seen) finding = Finding::out_of_range;
    const std::uint32_t count = seen - outside;
    if (!motion || count < contract::kGuardLeastSamples) return;
    constexpr double kSi = contract::kStandardGravity;
    const bool is_low = low.median_below(count, too_low);
    const bool is_high = !high.median_below(count, [](double g) { return !too_high(g); });
    refused = is_low || is_high;
    if (!refused) return;
    const bool low_in_si = low_si.median_below(count, [](double g) { return too_low(g / kSi); });
    const bool high_in_si = !high_si.median_below(count, [](double g) { return !too_high(g / kSi); });
    finding = !low_in_si && !high_in_si ? Finding::metres_per_second_squared
              : is_low                  ? Finding::gravity_removed
                                        : Finding::other_unit;
  }
};

// Coverage of one sensor at a window.
struct Coverage {
  bool used;             // whether the model uses the sensor; if not, the rest is meaningless
  double share;          // share of the strides of the last ten minutes that have a value
  double seconds_since;  // from its newest value to the end of the window; kNever if there has been none
};

// Computes the coverage of each window, and whether there are too few data to predict a stage.
struct CoverageTracker {
  static constexpr int kMost = contract::kCoverage > contract::kStride ? contract::kCoverage / contract::kStride : 1;

  bool recent[kSensorCount][kMost];  // whether each of the newest strides has a value, in a ring
  std::int32_t count, next;
  double since[kSensorCount];  // s, from the newest value to the end of the window
  double still;                // s since the last stride with movement
  double elapsed;              // s of the night

  void reset() {
    count = next = 0;
    for (double& seconds : since) seconds = kNever;
    still = kNever;
    elapsed = 0;
  }

  // Coverage of the next window, in the array of values; gives whether its stage is unknown.
  bool update(const float* values, Coverage* coverage) {
    constexpr int kMotion = static_cast<int>(Sensor::motion), kActivity = static_cast<int>(Sensor::activity);
    elapsed += contract::kStride;
    if (count < kMost) ++count;
    bool moved = false;
    for (int s = 0; s < kSensorCount; ++s) {
      coverage[s] = Coverage{contract::kSensors[s].used, 0, kNever};
      if (!coverage[s].used) continue;
      const double age = age_of(static_cast<Sensor>(s), values, &moved);
      recent[s][next] = age < kNever;
      since[s] = age < kNever ? age : since[s] + contract::kStride;
      int sensed = 0;
      for (int i = 0; i < count; ++i) sensed += recent[s][i];
      coverage[s].share = sensed / static_cast<double>(count);
      coverage[s].seconds_since = since[s];
    }
    if (!coverage[kActivity].used && coverage[kMotion].used && recent[kMotion][next]) moved = true;
    still = moved ? 0 : still + contract::kStride;
    next = (next + 1) % kMost;
    return unknown();
  }

 private:
  // s from the newest value of the newest stride to the end of the window; kNever where it has none.
  static double age_of(Sensor sensor, const float* values, bool* moved) {
    double age = kNever;
    for (const Channel& channel : contract::kChannels) {
      if (channel.sensor != sensor) continue;
      const float* last = values + channel.at + channel.values - 1;
      for (int i = 0; i < contract::kStride / channel.seconds; ++i) {
        const double seconds = static_cast<double>(i) * channel.seconds;
        if (last[-i] != channel.missing && seconds < age) age = seconds;
        if (contract::kSensors[static_cast<int>(sensor)].sum && last[-i] > 0) *moved = true;
      }
    }
    return age;
  }

  bool unknown() const {
    const double heart = since[static_cast<int>(Sensor::heart_rate)];
    if (heart < contract::kAbsent) return false;
    const double motion = since[static_cast<int>(Sensor::motion)];
    const double activity = since[static_cast<int>(Sensor::activity)];
    const double movement = motion < activity ? motion : activity;
    const bool sensed = heart < kNever;
    const double still_for = sensed && still == kNever ? elapsed : still;
    return movement >= contract::kAbsent || still_for >= (sensed ? contract::kOffWrist : contract::kOffWristBlind);
  }
};

}  // namespace wristsleep

#endif  // WRISTSLEEP_SLEEP_PARTS_HPP_
