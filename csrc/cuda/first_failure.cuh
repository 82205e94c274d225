// Checks of numbers that live on the device, before a kernel reads memory through them.
#pragma once
#include "cuda/access.cuh"
#include "cuda/reduce.cuh"

namespace fastdl {
namespace {

// For kernels that check while they work, and whose results nobody sees after a failure: they say which of their n
// numbers fail, and the host asks for the first one.
struct FailureReport {
  unsigned long long* last;  // the largest n - i of those that fail, so the first wins; zero stands for none
  int64_t n;

  __device__ void operator()(int64_t i) const { atomicMax(last, static_cast<unsigned long long>(n - i)); }
};

class Failures {
 public:
  Failures(int64_t n, Stream stream) : n_(n), last_(1) { set_zero(last_.get(), sizeof(unsigned long long), stream); }
  FailureReport report() const { return {last_.get(), n_}; }
  // 1 + the first that failed, or 0. Waits for the device.
  int64_t first() const {
    unsigned long long found = 0;
    copy_to_host(&found, last_.get(), sizeof found);
    return found ? 1 + n_ - static_cast<int64_t>(found) : 0;
  }

 private:
  int64_t n_;
  DeviceScratch<unsigned long long> last_;
};

constexpr int64_t kChecksAThread = 8;

template <class Fails>
__global__ void __launch_bounds__(kBlock) find_first_failure(Fails fails, int64_t n, FailureReport report) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = global_thread(); i < n; i += step)
    if (fails(i)) return report(i);
}

// 1 + the first i below n for which fails(i), or 0. Waits for the device.
template <class Fails>
int64_t first_failure(const Fails& fails, int64_t n, Stream stream) {
  if (n == 0) return 0;
  const Failures failures(n, stream);
  launch(find_first_failure<Fails>, blocks_for(n, kBlock * kChecksAThread), kBlock, 0, stream, fails, n,
         failures.report());
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
