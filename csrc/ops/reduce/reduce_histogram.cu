// Counts of numbers in bins on CUDA. A thread owns numbers a grid apart. A block counts in shared memory where the bins
// fit, and adds its counts to those of the others at the end; else every number is added in memory. Sums of integers
// are the same in any order, so atomics are right here.
#include <type_traits>

#include "cuda/access.cuh"
#include "ops/reduce/reduce.h"

namespace fastdl {
namespace {

using Count = unsigned long long;
constexpr int64_t kSharedBins = 4096;  // of 4 bytes
constexpr int64_t kEach = 16;          // numbers a thread, at least

// The bin of a number, -1 for none.
template <class T>
__device__ inline int64_t bin_of(T x, int64_t bins, T low, T high, T scale) {
  if constexpr (std::is_floating_point_v<T>) {
    if (!(x >= low && x <= high)) return -1;
    const T at = (x - low) * scale, last = static_cast<T>(bins - 1);
    const int64_t bin = static_cast<int64_t>(at < last ? at : last);
    return bin < bins ? bin : bins - 1;
  } else {
    return x >= 0 && x < bins ? static_cast<int64_t>(x) : -1;
  }
}

template <bool kShared, class T>
__global__ void __launch_bounds__(kBlock)
    count_bins(int64_t n, int64_t bins, T low, T high, T scale, const T* x, Count* out) {
  FASTDL_DYNAMIC_SHARED(shared);
  unsigned* const counts = reinterpret_cast<unsigned*>(shared);
  if constexpr (kShared) {
    for (int64_t b = threadIdx.x; b < bins; b += kBlock) counts[b] = 0;
    __syncthreads();
  }
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = global_thread(); i < n; i += step) {
    const int64_t bin = bin_of(x[i], bins, low, high, scale);
    if (bin < 0) continue;
    if constexpr (kShared)
      atomicAdd(&counts[bin], 1u);
    else
      atomicAdd(&out[bin], Count{1});
  }
  if constexpr (kShared) {
    __syncthreads();
    for (int64_t b = threadIdx.x; b < bins; b += kBlock)
      if (counts[b]) atomicAdd(&out[b], static_cast<Count>(counts[b]));
  }
}

}  // namespace

void histogram(const HistogramArgs& p, Stream stream) {
  set_zero(p.out, static_cast<size_t>(p.bins) * sizeof(int64_t), stream);
  if (p.n == 0) return;
  visit_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int64_t kMostBlocks = 4096;
    const int64_t wanted = ceil_div(p.n, kBlock * kEach), blocks = wanted < kMostBlocks ? wanted : kMostBlocks;
    const T low = static_cast<T>(p.low), high = static_cast<T>(p.high), scale = static_cast<T>(p.scale);
    const T* const x = static_cast<const T*>(p.x);
    Count* const out = reinterpret_cast<Count*>(p.out);
    const bool shared = p.bins <= kSharedBins && p.n < (int64_t{1} << 32);
    launch(shared ? count_bins<true, T> : count_bins<false, T>, checked_grid(blocks), kBlock,
           shared ? static_cast<size_t>(p.bins) * sizeof(unsigned) : 0, stream, p.n, p.bins, low, high, scale, x, out);
  });
}

}  // namespace fastdl
