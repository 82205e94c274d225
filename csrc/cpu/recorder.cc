#include "cpu/recorder.h"

#include <chrono>
#include <stdexcept>

namespace fastdl {

std::atomic<Recording*> active_recording{nullptr};

Recording::Recording(Steps& to, Arena& memory) : steps(to), arena(memory) {
  Recording* none = nullptr;
  if (!active_recording.compare_exchange_strong(none, this))
    throw std::runtime_error("[record] expected one recording at a time, got a second one");
}

Recording::~Recording() {
  active_recording.store(nullptr);
}

void* Steps::room(size_t bytes) {
  const size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (used_ + size > kChunk) {
    chunks_.push_back(std::make_unique<char[]>(size > kChunk ? size : kChunk));
    used_ = 0;
  }
  void* place = chunks_.back().get() + used_;
  used_ += size;
  return place;
}

void Steps::add_check(std::function<void()> check) {
  checks_.push_back(std::move(check));
  const auto run = [](const Step& step) { (*static_cast<const std::function<void()>*>(step.args))(); };
  steps_.push_back({run, nullptr, &checks_.back()});
}

void Steps::run_timed(double* seconds) const {
  using Clock = std::chrono::steady_clock;
  Clock::time_point before = Clock::now();
  for (const Step& step : steps_) {
    step.run(step);
    const Clock::time_point after = Clock::now();
    *seconds++ = std::chrono::duration<double>(after - before).count();
    before = after;
  }
}

}  // namespace fastdl
