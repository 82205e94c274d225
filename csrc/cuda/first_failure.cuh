// Checks of numbers that live on the device, before a kernel reads memory through them.
#pragma once
#include "cuda/access.cuh"
#include "cuda/reduce.cuh"

namespace fastdl {
namespace {

// last = the largest n - i over the places i that fail, so the first failure wins and zero stands for none.
template <class Fails>
__global__ void __launch_bounds__(kBlock) find_first_failure(Fails fails, int64_t n, unsigned long long* last) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  unsigned long long found = 0;
  for (int64_t i = global_thread(); i < n && found == 0; i += step)
    if (fails(i)) found = static_cast<unsigned long long>(n - i);
  if (found) atomicMax(last, found);
}

constexpr int64_t kChecksAThread = 8;

// 1 + the first i below n for which fails(i), or 0. Waits for the device.
template <class Fails>
int64_t first_failure(const Fails& fails, int64_t n, Stream stream) {
  if (n == 0) return 0;
  const DeviceScratch<unsigned long long> last(1);
  set_zero(last.get(), sizeof(unsigned long long), stream);
  launch(find_first_failure<Fails>, blocks_for(n, kBlock * kChecksAThread), kBlock, 0, stream, fails, n, last.get());
  unsigned long long found = 0;
  copy_to_host(&found, last.get(), sizeof found);
  return found ? 1 + n - static_cast<int64_t>(found) : 0;
}

// Whether an index names no element of a plane.
template <class I>
struct OutsidePlane {
  const I* indices;
  int64_t plane;

  __device__ bool operator()(int64_t i) const { return indices[i] < 0 || indices[i] >= plane; }
};

}  // namespace
}  // namespace fastdl
