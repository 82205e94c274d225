// Recording: while a thread records, the bindings' calls of kernels are written down instead of run, and arrays come
// from an arena. The steps then run again and again without Python (bind/recording.cc, fastdl.compile).
#pragma once
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "cpu/arena.h"

namespace fastdl {

// What was recorded: kernels with copies of their arguments. The pointers in them stay valid because arrays of a
// recording come from its arena, and all others belong to who keeps the steps.
class Steps {
 public:
  template <class Args>
  void add(void (*kernel)(const Args&), const Args& args, int64_t bytes) {
    static_assert(std::is_trivially_copyable_v<Args> && alignof(Args) <= kAlignment, "arguments are copied as bytes");
    void* copy = room(sizeof(Args));
    std::memcpy(copy, &args, sizeof(Args));
    const auto run = [](const Step& step) {
      reinterpret_cast<void (*)(const Args&)>(step.kernel)(*static_cast<const Args*>(step.args));
    };
    steps_.push_back({run, reinterpret_cast<void (*)()>(kernel), copy});
    bytes_ += bytes;
  }

  // Numbers that kernels leave for the host, 0 until then.
  int64_t* numbers(int count) {
    numbers_.emplace_back(static_cast<size_t>(count));
    return numbers_.back().data();
  }
  void add_check(std::function<void()> check);  // runs after the step before it; may throw
  void keep(std::shared_ptr<void> object) { kept_.push_back(std::move(object)); }  // what arguments point to

  void run() const {
    for (const Step& step : steps_) step.run(step);
  }
  void run_timed(double* seconds) const;  // of each step
  size_t size() const { return steps_.size(); }
  int64_t bytes() const { return bytes_; }  // memory traffic of all kernels

 private:
  struct Step {
    void (*run)(const Step&);
    void (*kernel)();
    const void* args;
  };
  static constexpr size_t kAlignment = 16, kChunk = 16 * 1024;
  void* room(size_t bytes);

  std::vector<Step> steps_;
  std::vector<std::unique_ptr<char[]>> chunks_;  // arguments one after another, in the order in which they are read
  size_t used_ = kChunk;                         // of the last chunk
  std::deque<std::vector<int64_t>> numbers_;
  std::deque<std::function<void()>> checks_;
  std::vector<std::shared_ptr<void>> kept_;
  int64_t bytes_ = 0;
};

// A thread records while it has one of these. One thread at a time.
class Recording {
 public:
  Recording(Steps& to, Arena& memory);
  ~Recording();
  Recording(const Recording&) = delete;

  Steps& steps;
  Arena& arena;
  const std::thread::id thread = std::this_thread::get_id();
};

extern std::atomic<Recording*> active_recording;

// That of the calling thread, or null.
inline Recording* recording() {
  Recording* r = active_recording.load(std::memory_order_acquire);
  return r && r->thread == std::this_thread::get_id() ? r : nullptr;
}

}  // namespace fastdl
