// parallel_for: splits a range into chunks whose bounds do not depend on the number of threads. A kernel that adds up
// per chunk, and then over chunks in order, therefore gives the same bits with one thread and with many.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace fastdl {

int get_num_threads();
void set_num_threads(int n);

// Runs run(context, i) for i in [0, chunks), on the calling thread and the workers. Calls from inside a chunk, and
// calls made while another Python thread has the workers, run on the calling thread alone.
void run_chunks(int64_t chunks, void (*run)(void* context, int64_t chunk), void* context);
// The same, each thread from the last chunk of its range to the first.
void run_chunks_backwards(int64_t chunks, void (*run)(void* context, int64_t chunk), void* context);

// body(begin, end) over [0, n) in chunks of `grain` elements. Choose a grain worth some 20 microseconds or more.
// A second walk over the same numbers goes backwards: it meets first what the one before left in each thread's caches.
template <class Body>
static inline void parallel_for(int64_t n, int64_t grain, Body&& body, bool backwards = false) {
  if (n <= 0) return;
  if (n <= grain) return body(int64_t{0}, n);
  struct Context {
    std::remove_reference_t<Body>* body;
    int64_t n, grain;
  } context{&body, n, grain};
  const auto run = backwards ? run_chunks_backwards : run_chunks;
  run((n + grain - 1) / grain,
      [](void* p, int64_t i) {
        Context& c = *static_cast<Context*>(p);
        const int64_t begin = i * c.grain, end = begin + c.grain;
        (*c.body)(begin, end < c.n ? end : c.n);
      },
      &context);
}

// A member of a team: threads that run at the same time and may wait for each other, for work in many short steps.
class Team {
 public:
  Team(int r, int n, int64_t* counter) : rank(r), size(n), arrived_(counter) {}
  const int rank, size;

  // Returns when every member has called it as often. What they wrote before is visible then.
  void wait() {
    if (size > 1) wait_for_others();
  }

 private:
  void wait_for_others();
  int64_t* arrived_;
  int64_t expected_ = 0;
};

// Runs run(context, team) on at most `most` threads at once; on the calling thread alone where others have the workers.
// Members share out the work by rank and size, so each result must be the business of one member. They must not throw:
// the others would wait for ever.
void run_team(int64_t most, void (*run)(void* context, Team& team), void* context);
template <class Body>
static inline void run_team(int64_t most, Body&& body) {
  run_team(most, [](void* p, Team& team) { (*static_cast<std::remove_reference_t<Body>*>(p))(team); }, &body);
}

// Kernels treat denormal numbers as zero: an operand below 1e-38 costs up to 180 times an ordinary one. The mode of the
// calling thread comes back at the end of the scope; workers keep it.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

// Scratch memory of a kernel: 64-byte aligned, given back at the end of the scope, by the thread that asked for it and
// in the opposite order. Always inline, or a kernel file would leave a copy that all instruction sets share.
void* scratch_allocate(size_t bytes);
void scratch_release(void* data);
template <class T>
class Scratch {
 public:
  __attribute__((always_inline)) explicit Scratch(int64_t n)
      : data_(static_cast<T*>(scratch_allocate(static_cast<size_t>(n) * sizeof(T)))) {}
  __attribute__((always_inline)) ~Scratch() { scratch_release(data_); }
  Scratch(const Scratch&) = delete;
  operator T*() const { return data_; }
  T* get() const { return data_; }

 private:
  T* data_;
};

}  // namespace fastdl
