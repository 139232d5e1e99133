// A night on a board: what to call when. Replace the three functions below with those of your board.
#include "sleep_stager.hpp"

// seconds since boot, of a monotonic clock
extern "C" double board_seconds();
// the next sample of a sensor's queue: which, when (s), its values; false where there is none
extern "C" bool board_sample(wristsleep::Sensor* sensor, double* t, double* values, int* count);
extern "C" void board_show(double t, const char* stage);

static wristsleep::SleepStager stager;  // all of its RAM

// 0, or the number of the Status that ended it
extern "C" int sleep_start() { return static_cast<int>(stager.begin(board_seconds())); }

// From a task, once a second or so; never from an interrupt.
extern "C" int sleep_poll() {
  using wristsleep::Status;
  wristsleep::Epoch epoch;
  wristsleep::Sensor sensor;
  double t, values[3];
  int count;
  while (board_sample(&sensor, &t, values, &count)) {
    const Status fed = stager.feed(sensor, t, values, count);
    if (fed != Status::ok) return static_cast<int>(fed);
    Status taken = stager.take(&epoch);
    for (; taken == Status::ok; taken = stager.take(&epoch)) board_show(epoch.time, stage_name(epoch));
    if (taken != Status::empty) return static_cast<int>(taken);
  }
  return 0;
}

// At the end of the night, or before power is lost.
extern "C" int sleep_save(unsigned char* buffer, std::size_t size) {
  return static_cast<int>(stager.save(buffer, size));
}
extern "C" int sleep_restore(const unsigned char* buffer, std::size_t size) {
  return static_cast<int>(stager.restore(buffer, size));
}
