// Running sums over warps and blocks, and the ranks of chosen elements of an array: how many are chosen before each.
#pragma once
#include "cuda/access.cuh"
#include "cuda/reduce.cuh"

namespace fastdl {

// The sum of the values of lanes 0 to this one. All 32 lanes must call it.
template <class T>
__device__ __forceinline__ T warp_running_sum(T v) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const T before = __shfl_up_sync(kFullWarp, v, distance);
    if (lane >= distance) v += before;
  }
  return v;
}

template <class T>
struct RunningSum {
  T upto, total;
};

// Sums of the values of threads 0 to this one, and of all, of a block of kBlock threads. All must call it; it holds two
// barriers.
template <class T>
__device__ __forceinline__ RunningSum<T> block_running_sum(T v) {
  constexpr int kWarps = kBlock / kWarp;
  FASTDL_SHARED(T, sums, [kWarps]);
  const int warp = threadIdx.x / kWarp;
  v = warp_running_sum(v);
  __syncthreads();  // a previous sum may still be read
  if (threadIdx.x % kWarp == kWarp - 1) sums[warp] = v;
  __syncthreads();
  // Eight broadcasts a thread: less than a second round of shuffles behind a third barrier.
  T before = 0, total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) before += sums[w];
    total += sums[w];
  }
  return {before + v, total};
}

namespace {

// One block: each of n sums becomes the sum of those before it, and number n the total.
template <class T>
__global__ void __launch_bounds__(kBlock) sums_before(T* sums, int64_t n) {
  T carry = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t i = first + threadIdx.x;
    const T own = i < n ? sums[i] : T{0};
    const RunningSum<T> sum = block_running_sum(own);
    if (i < n) sums[i] = carry + sum.upto - own;
    carry += sum.total;
  }
  if (threadIdx.x == 0) sums[n] = carry;
}

// ---- ranks ----------------------------------------------------------------------------------------------------------

constexpr int kFlagsAThread = 8;
constexpr int64_t kFlagsABlock = kFlagsAThread * kBlock;

template <class Flag>
__global__ void __launch_bounds__(kBlock) count_flags(Flag flag, int64_t n, int64_t* counts) {
  const int64_t first = blockIdx.x * kFlagsABlock + threadIdx.x;
  int count = 0;
#pragma unroll
  for (int r = 0; r < kFlagsAThread; ++r) count += first + r * kBlock < n && flag(first + r * kBlock);
  count = block_sum(count);
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

template <class Flag, class Visit>
__global__ void __launch_bounds__(kBlock) visit_flags(Flag flag, Visit visit, int64_t n, const int64_t* before) {
  int64_t rank = before[blockIdx.x];
  for (int r = 0; r < kFlagsAThread; ++r) {
    const int64_t i = blockIdx.x * kFlagsABlock + r * kBlock + threadIdx.x;
    const bool chosen = i < n && flag(i);
    const RunningSum<int> sum = block_running_sum(static_cast<int>(chosen));
    if (i < n) visit(i, chosen, rank + sum.upto);
    rank += sum.total;
  }
}

// The i below n for which flag(i). It is asked twice: once to count, a block kFlagsABlock of them, and once in visit.
template <class Flag>
class Chosen {
 public:
  Chosen(const Flag& flag, int64_t n, Stream stream)
      : flag_(flag), n_(n), blocks_(ceil_div(n, kFlagsABlock)), before_(blocks_ + 1) {
    launch(count_flags<Flag>, blocks_for(n, kFlagsABlock), kBlock, 0, stream, flag, n, before_.get());
    launch(sums_before<int64_t>, 1, kBlock, 0, stream, before_.get(), blocks_);
  }
  // Waits for the device.
  int64_t count() const {
    int64_t total = 0;
    copy_to_host(&total, before_.get() + blocks_, sizeof total);
    return total;
  }
  // visit(i, chosen, how many are chosen up to i and with it), for every i.
  template <class Visit>
  void visit(const Visit& visit, Stream stream) const {
    launch(visit_flags<Flag, Visit>, blocks_for(n_, kFlagsABlock), kBlock, 0, stream, flag_, visit, n_, before_.get());
  }

 private:
  Flag flag_;
  int64_t n_, blocks_;
  DeviceScratch<int64_t> before_;
};

}  // namespace
}  // namespace fastdl
