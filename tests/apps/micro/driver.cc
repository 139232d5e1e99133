// Drives a SleepStager by lines on stdin, an answer a line:
//
//     create <start> <operating point or ->    feed <sensor> <t> <values...>    feed_only: the same, no take after it
//     take <now or ->    -> time stage probabilities sensor=share,seconds since ... | ...     of each epoch
//     dropped            -> sensor.reason=samples ...        but for what is 0
//     findings           -> sensor.finding.outside.seen ...
//     step <values...>   -> probabilities
//     save / restore     what save gave is kept; restore hands it over: restore damaged, restore half of it
//     store <file>, load <file>                   of what save gave
//     reset <start>      sizes               -> sizeof(SleepStager), bytes of a saved state, of values, of the arena
//
// "ok" where there is nothing to say, "error <status>" else. A microcontroller takes after each sample; so does this,
// and hands the epochs over when they are asked for.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include "sleep_stager.hpp"

using namespace wristsleep;

namespace {

const char* const kSensorNames[] = {"heart_rate", "motion", "steps", "activity"};
const char* const kReasonNames[] = {"not_a_number", "wrong_unit", "out_of_range", "late", "repeated", "full"};
const char* const kFindingNames[] = {"", "out_of_range", "gravity_removed", "metres_per_second_squared", "other_unit"};

alignas(SleepStager) unsigned char place[sizeof(SleepStager)];
SleepStager* stager = nullptr;
std::vector<Epoch> waiting, saved_waiting;
std::vector<unsigned char> saved;

std::string number(double x) {
  char text[40];
  std::snprintf(text, sizeof(text), "%.17g", x);
  return text;
}

std::string text(const Epoch& epoch) {
  std::string words = number(epoch.time) + " " + stage_name(epoch);
  for (float p : epoch.probabilities) words += " " + number(p);
  for (int s = 0; s < kSensorCount; ++s) {
    const Coverage& coverage = epoch.coverage[s];
    if (!coverage.used) continue;
    const std::string since = coverage.seconds_since == kNever ? "null" : number(coverage.seconds_since);
    words += std::string(" ") + kSensorNames[s] + "=" + number(coverage.share) + "," + since;
  }
  return words;
}

std::string said(Status status) {
  return status == Status::ok || status == Status::empty ? "ok" : std::string("error ") + name(status);
}

Status take_all(const std::string& now) {
  Epoch epoch;
  Status status = Status::ok;
  while (status == Status::ok) {
    status = now == "-" ? stager->take(&epoch) : stager->take(std::strtod(now.c_str(), nullptr), &epoch);
    if (status == Status::ok) waiting.push_back(epoch);
  }
  return status;
}

std::string answer(const std::vector<std::string>& words) {
  const std::string& word = words[0];
  std::vector<double> numbers;
  for (const std::string& each : words) numbers.push_back(std::strtod(each.c_str(), nullptr));
  if (word == "create") {
    if (stager != nullptr) stager->~SleepStager();
    stager = new (place) SleepStager;
    waiting.clear();
    return said(stager->begin(numbers[1], words[2] == "-" ? nullptr : words[2].c_str()));
  }
  if (word == "feed" || word == "feed_only") {
    int sensor = 0;
    while (sensor < kSensorCount && words[1] != kSensorNames[sensor]) ++sensor;
    const int count = static_cast<int>(words.size()) - 3;
    const Status status = stager->feed(static_cast<Sensor>(sensor), numbers[2], numbers.data() + 3, count);
    return said(status != Status::ok || word == "feed_only" ? status : take_all("-"));
  }
  if (word == "take") {
    const Status status = take_all(words[1]);
    if (status != Status::empty) return said(status);
    std::string all;
    for (const Epoch& epoch : waiting) all += (all.empty() ? "" : "|") + text(epoch);
    waiting.clear();
    return all;
  }
  std::string all;
  if (word == "dropped") {
    for (int s = 0; s < kSensorCount; ++s) {
      for (int r = 0; r < kReasonCount; ++r) {
        const unsigned n = stager->dropped(static_cast<Sensor>(s), static_cast<Reason>(r));
        if (n == 0) continue;
        all += (all.empty() ? "" : " ") + (std::string(kSensorNames[s]) + "." + kReasonNames[r] + "=") +
               std::to_string(n);
      }
    }
    return all;
  }
  if (word == "findings") {
    for (int s = 0; s < kSensorCount; ++s) {
      const Finding finding = stager->finding(static_cast<Sensor>(s));
      if (finding == Finding::none) continue;
      const InputGuard& guard = stager->guard(static_cast<Sensor>(s));
      all += (all.empty() ? "" : " ") + std::string(kSensorNames[s]) + "." + kFindingNames[static_cast<int>(finding)] +
             "." + std::to_string(guard.outside) + "." + std::to_string(guard.seen);
    }
    return all;
  }
  if (word == "step") {
    const std::vector<float> window(numbers.begin() + 1, numbers.end());
    float probabilities[kStageCount];
    const Status status = stager->step(window.data(), probabilities);
    if (status != Status::ok) return said(status);
    for (float p : probabilities) all += (all.empty() ? "" : " ") + number(p);
    return all;
  }
  if (word == "sizes") {
    return std::to_string(sizeof(SleepStager)) + " " + std::to_string(SleepStager::kStateBytes) + " " +
           std::to_string(sizeof(float) * contract::kValueCount) + " " + std::to_string(contract::kArenaBytes);
  }
  if (word == "save") {
    saved.resize(SleepStager::kStateBytes);
    saved_waiting = waiting;
    return said(stager->save(saved.data(), saved.size()));
  }
  if (word == "restore") {
    std::vector<unsigned char> bytes = saved;
    if (words.size() > 1 && words[1] == "damaged") bytes[bytes.size() / 2] ^= 1;
    if (words.size() > 1 && words[1] == "half") bytes.resize(bytes.size() / 2);
    const Status status = stager->restore(bytes.data(), bytes.size());
    if (status == Status::ok) waiting = saved_waiting;
    return said(status);
  }
  if (word == "store") {
    std::ofstream(words[1], std::ios::binary).write(reinterpret_cast<char*>(saved.data()), saved.size());
  }
  if (word == "load") {
    std::ifstream file(words[1], std::ios::binary);
    saved.assign(std::istreambuf_iterator<char>(file), {});
  }
  if (word == "reset") {
    const Status status = stager->reset(numbers[1]);
    if (status == Status::ok) waiting.clear();
    return said(status);
  }
  return "ok";
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    std::cout << answer(words) << "\n";
  }
}
