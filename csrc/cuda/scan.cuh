// Running sums over warps and blocks, and the ranks of chosen elements of an array: how many are chosen before each.
#pragma once
#include "cuda/access.cuh"
#include "cuda/reduce.cuh"

namespace fastdl {

// Of the values of the threads before this one, and of all. (Not what a sum is less the own value: infinities would
// give NaN.)
template <class T>
struct RunningSum {
  T before, total;
};

// Over the lanes of a warp, all of which must call it.
template <class T>
__device__ __forceinline__ RunningSum<T> warp_running_sum(T v) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const T lower = __shfl_up_sync(kFullWarp, v, distance);
    if (lane >= distance) v += lower;
  }
  const T before = __shfl_up_sync(kFullWarp, v, 1);
  return {lane > 0 ? before : T{0}, __shfl_sync(kFullWarp, v, kWarp - 1)};
}

// Over the threads of a block of kBlock, all of which must call it; it holds two barriers.
template <class T>
__device__ __forceinline__ RunningSum<T> block_running_sum(T v) {
  constexpr int kWarps = kBlock / kWarp;
  FASTDL_SHARED(T, sums, [kWarps]);
  const int warp = threadIdx.x / kWarp;
  const RunningSum<T> own = warp_running_sum(v);
  __syncthreads();  // a previous sum may still be read
  if (threadIdx.x % kWarp == 0) sums[warp] = own.total;
  __syncthreads();
  // Eight broadcasts a thread: less than a second round of shuffles behind a third barrier.
  T before = 0, total = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) before += sums[w];
    total += sums[w];
  }
  return {before + own.before, total};
}

// ---- any operation --------------------------------------------------------------------------------------------------

// What the threads before this one come to, and all of them, by an operation Op with identity() and combine(a, b) of
// states, a before b.
template <class State>
struct Running {
  State before, total;
};

// Over the lanes of a warp, all of which must call it.
template <class Op, class State>
__device__ __forceinline__ Running<State> warp_running(State v) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const State lower = shuffle_up(v, distance);
    if (lane >= distance) v = Op::combine(lower, v);
  }
  const State before = shuffle_up(v, 1), total = shuffle_from(v, kWarp - 1);
  return {lane > 0 ? before : Op::identity(), total};
}

// Over the threads of a block of kBlock, all of which must call it; it holds two barriers.
template <class Op, class State>
__device__ __forceinline__ Running<State> block_running(State v) {
  constexpr int kWarps = kBlock / kWarp;
  FASTDL_SHARED(State, states, [kWarps]);
  const int warp = threadIdx.x / kWarp;
  const Running<State> own = warp_running<Op>(v);
  __syncthreads();  // previous states may still be read
  if (threadIdx.x % kWarp == 0) states[warp] = own.total;
  __syncthreads();
  State before = Op::identity(), total = Op::identity();
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    if (w == warp) before = total;
    total = Op::combine(total, states[w]);
  }
  return {Op::combine(before, own.before), total};
}

namespace {

// A warp owns a row of `columns` states: each becomes what those before it in the row come to.
template <class Op>
__global__ void __launch_bounds__(kBlock) run_before(typename Op::State* states, int64_t rows, int64_t columns) {
  using State = typename Op::State;
  const int64_t row = global_thread() / kWarp;
  if (row >= rows) return;  // a whole warp
  State carry = Op::identity();
  for (int64_t first = 0; first < columns; first += kWarp) {
    const int64_t column = first + threadIdx.x % kWarp;
    State own = Op::identity();
    if (column < columns) own = states[row * columns + column];
    const Running<State> running = warp_running<Op>(own);
    const State before = Op::combine(carry, running.before);
    if (column < columns) states[row * columns + column] = before;
    carry = Op::combine(carry, running.total);
  }
}

// One block: each of n sums becomes the sum of those before it, and number n the total.
template <class T>
__global__ void __launch_bounds__(kBlock) sums_before(T* sums, int64_t n) {
  T carry = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t i = first + threadIdx.x;
    const RunningSum<T> sum = block_running_sum(i < n ? sums[i] : T{0});
    if (i < n) sums[i] = carry + sum.before;
    carry += sum.total;
  }
  if (threadIdx.x == 0) sums[n] = carry;
}

// A warp owns a row of `columns` numbers: each becomes the sum of those before it in the row. totals: null, or the sums
// of the rows.
template <class T>
__global__ void __launch_bounds__(kBlock) sum_up_rows(T* numbers, int64_t rows, int64_t columns, T* totals) {
  const int64_t row = global_thread() / kWarp;
  if (row >= rows) return;  // a whole warp
  const int lane = threadIdx.x % kWarp;
  T carry = 0;
  for (int64_t first = 0; first < columns; first += kWarp) {
    const bool in = first + lane < columns;
    const RunningSum<T> sum = warp_running_sum(in ? numbers[row * columns + first + lane] : T{0});
    if (in) numbers[row * columns + first + lane] = carry + sum.before;
    carry += sum.total;
  }
  if (totals && lane == 0) totals[row] = carry;
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
    if (i < n) visit(i, chosen, rank + sum.before + chosen);
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
