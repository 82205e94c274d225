// Checks of numbers that live on the device: before a kernel reads memory through them, where the host has to wait for
// the answer (first_failure), or beside a kernel that touches nothing through a bad one (report_failures).
#pragma once
#include "cuda/access.cuh"
#include "cuda/reduce.cuh"

namespace fastdl {
namespace {

// For kernels that check while they work: they say which numbers fail, and the word keeps the first one.
struct FailureReport {
  unsigned long long* word;  // the largest ~i of those that fail; zero stands for none

  __device__ void operator()(int64_t i) const { atomicMax(word, ~static_cast<unsigned long long>(i)); }
};

// A word of a binding's LateFault as a kernel writes it.
inline FailureReport report_to(int64_t* word) {
  return {reinterpret_cast<unsigned long long*>(word)};
}

class Failures {
 public:
  explicit Failures(Stream stream) : word_(1) { set_zero(word_.get(), sizeof(unsigned long long), stream); }
  FailureReport report() const { return {word_.get()}; }
  // 1 + the first that failed, or 0. Waits for the device.
  int64_t first() const {
    unsigned long long found = 0;
    copy_to_host(&found, word_.get(), sizeof found);
    return static_cast<int64_t>(0 - found);
  }

 private:
  DeviceScratch<unsigned long long> word_;
};

constexpr int64_t kChecksAThread = 8;

template <class Fails>
__global__ void __launch_bounds__(kBlock) find_first_failure(Fails fails, int64_t n, FailureReport report) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = global_thread(); i < n; i += step)
    if (fails(i)) return report(i);
}

// The first i below n for which fails(i), to a word.
template <class Fails>
void report_failures(const Fails& fails, int64_t n, FailureReport report, Stream stream) {
  launch(find_first_failure<Fails>, blocks_for(n, kBlock * kChecksAThread), kBlock, 0, stream, fails, n, report);
}

// 1 + the first i below n for which fails(i), or 0. Waits for the device.
template <class Fails>
int64_t first_failure(const Fails& fails, int64_t n, Stream stream) {
  if (n == 0) return 0;
  const Failures failures(stream);
  report_failures(fails, n, failures.report(), stream);
  return failures.first();
}

// Whether an index lies outside [0, n).
template <class I>
struct OutsideRange {
  const I* index;
  int64_t n;

  __device__ bool operator()(int64_t i) const { return index[i] < 0 || index[i] >= n; }
};

}  // namespace
}  // namespace fastdl
