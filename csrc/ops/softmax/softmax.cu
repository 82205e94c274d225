// softmax and log_softmax over one axis of x (outer, n, inner), and their gradients.
//
// Who owns what. inner = 1: rows are contiguous. A warp owns a row of up to kHeld numbers and keeps them in registers
// between the sum and the result; a block owns a longer row and reads it twice, the second time from the L2 cache.
// inner > 1: a thread owns a column, its neighbours the next columns, so that each step along the axis is a coalesced
// read; where columns are few and long the warps of a block share the steps of 32 columns.
// The limit is memory bandwidth: x once in, out once out. Sums are added in an order that depends on the sizes alone.
#include "cuda/access.cuh"
#include "cuda/logsumexp.cuh"
#include "ops/softmax/softmax.h"

namespace fastdl {
namespace {

// ---- helpers --------------------------------------------------------------------------------------------------------

// What a row needs beside its own numbers. forward: the normaliser of the row from all x; backward: the sum over the
// row.
template <class T>
__device__ __forceinline__ T normalise(bool log_form, T x, T top, T total, T log_total) {
  return log_form ? x - top - log_total : exp(x - top) / total;
}
template <class T>
__device__ __forceinline__ T term(bool log_form, T grad, T y) {
  return log_form ? grad : grad * y;
}
template <class T>
__device__ __forceinline__ T gradient(bool log_form, T grad, T y, T sum) {
  return log_form ? grad - exp(y) * sum : y * (grad - sum);
}

// ---- a warp a row, held in registers --------------------------------------------------------------------------------

// 32 numbers a lane: 32 registers, 64 in float64, twice that backward. More would leave too few warps a multiprocessor
// to keep memory busy; fewer would send rows of 1000 classes on the way that reads twice.
constexpr int kHeld = 1024;
constexpr int kWarpsABlock = kBlock / kWarp;

template <class T, int kEach>
__global__ void __launch_bounds__(kBlock) softmax_held(const T* x, T* out, int64_t rows, int n, bool log_form) {
  const int64_t row = global_thread() / kWarp;
  // All lanes of a row, which are a whole warp: the shuffles below miss nobody.
  if (row >= rows) return;
  const int lane = threadIdx.x % kWarp;
  T held[kEach];
  T top = kMinusInfinity<T>;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    // Lanes read single neighbours, 128 bytes a warp. Packs would need rows that start at multiples of 16 bytes.
    held[i] = i * kWarp + lane < n ? x[row * n + i * kWarp + lane] : kMinusInfinity<T>;
    top = Max{}(top, held[i]);
  }
  // NaN wins the maximum, and thereby the whole row.
  top = warp_max(top);
  T total = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    if (i * kWarp + lane < n) total += exp(held[i] - top);
  total = warp_sum(total);
  const T log_total = log_form ? log(total) : T(0);
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    if (i * kWarp + lane < n) out[row * n + i * kWarp + lane] = normalise(log_form, held[i], top, total, log_total);
}

// No maximum is needed: the output is already scaled. Lanes without a number bring zeros to the sum.
template <class T, int kEach>
__global__ void __launch_bounds__(kBlock)
    softmax_bwd_held(const T* grad, const T* y, T* grad_x, int64_t rows, int n, bool log_form) {
  const int64_t row = global_thread() / kWarp;
  if (row >= rows) return;
  const int lane = threadIdx.x % kWarp;
  T g[kEach], out[kEach], sum = 0;
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    const bool in = i * kWarp + lane < n;
    g[i] = in ? grad[row * n + i * kWarp + lane] : T(0);
    out[i] = in ? y[row * n + i * kWarp + lane] : T(0);
    sum += term(log_form, g[i], out[i]);
  }
  sum = warp_sum(sum);
#pragma unroll
  for (int i = 0; i < kEach; ++i)
    if (i * kWarp + lane < n) grad_x[row * n + i * kWarp + lane] = gradient(log_form, g[i], out[i], sum);
}

// ---- a block a row --------------------------------------------------------------------------------------------------

// Maximum and sum come from one walk (cuda/logsumexp.cuh), at the price of an exponential or two a number: separate
// walks would read the row three times. The next walk mostly finds it in the L2 cache, with a few hundred rows under
// way.
template <class T>
__global__ void __launch_bounds__(kBlock) softmax_long(const T* x, T* out, int64_t n, bool log_form) {
  x += blockIdx.x * n;
  out += blockIdx.x * n;
  LogSum<T> own = LogSum<T>::empty();
  for (int64_t i = threadIdx.x; i < n; i += kBlock) own.add(x[i]);
  const LogSum<T> row = block_reduce(own, MergeLogSums{}, LogSum<T>::empty());
  const T total = row.total(), log_total = log(total);
  for (int64_t i = threadIdx.x; i < n; i += kBlock) out[i] = normalise(log_form, x[i], row.top, total, log_total);
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    softmax_bwd_long(const T* grad, const T* y, T* grad_x, int64_t n, bool log_form) {
  grad += blockIdx.x * n;
  y += blockIdx.x * n;
  grad_x += blockIdx.x * n;
  T sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) sum += term(log_form, grad[i], y[i]);
  sum = block_sum(sum);
  for (int64_t i = threadIdx.x; i < n; i += kBlock) grad_x[i] = gradient(log_form, grad[i], y[i], sum);
}

// ---- columns --------------------------------------------------------------------------------------------------------

// Axis of n numbers, `inner` apart; columns = outer * inner of them. With kShared the block's warps take every eighth
// step of the same 32 columns, otherwise each warp has 32 columns to itself.
struct Columns {
  int64_t columns, n;
  Divider inner;

  __device__ int64_t offset(int64_t column) const {
    const int64_t outer = inner.divide(column);
    return outer * n * inner.divisor + column - outer * inner.divisor;
  }
};

template <bool kShared>
__device__ __forceinline__ int64_t own_column() {
  return kShared ? static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x % kWarp : global_thread();
}

// The values of a column's threads, merged in order; every thread gets the result.
template <bool kShared, class V, class Op>
__device__ __forceinline__ V merge_column(V own, Op op) {
  if constexpr (kShared) {
    // Called once a kernel, so no earlier use of `parts` has to be waited for. Warps touch rows of neighbours.
    FASTDL_SHARED(V, parts, [kWarpsABlock][kWarp]);
    parts[threadIdx.x / kWarp][threadIdx.x % kWarp] = own;
    __syncthreads();
    own = parts[0][threadIdx.x % kWarp];
    // Every warp merges all eight parts, in one order: the same bits in each, without a second barrier.
    for (int i = 1; i < kWarpsABlock; ++i) own = op(own, parts[i][threadIdx.x % kWarp]);
  }
  return own;
}

template <class T, bool kShared>
__global__ void __launch_bounds__(kBlock) softmax_columns(const T* x, T* out, Columns c, bool log_form) {
  const int64_t column = own_column<kShared>();
  const int64_t first = kShared ? threadIdx.x / kWarp : 0, step = kShared ? kWarpsABlock : 1;
  // Threads beyond the last column walk no step but come to the barrier.
  const int64_t end = column < c.columns ? c.n : 0, at = c.offset(column);
  LogSum<T> own = LogSum<T>::empty();
  for (int64_t i = first; i < end; i += step) own.add(x[at + i * c.inner.divisor]);
  own = merge_column<kShared>(own, MergeLogSums{});
  const T total = own.total(), log_total = log(total);
  for (int64_t i = first; i < end; i += step)
    out[at + i * c.inner.divisor] = normalise(log_form, x[at + i * c.inner.divisor], own.top, total, log_total);
}

template <class T, bool kShared>
__global__ void __launch_bounds__(kBlock)
    softmax_bwd_columns(const T* grad, const T* y, T* grad_x, Columns c, bool log_form) {
  const int64_t column = own_column<kShared>();
  const int64_t first = kShared ? threadIdx.x / kWarp : 0, step = kShared ? kWarpsABlock : 1;
  const int64_t end = column < c.columns ? c.n : 0, at = c.offset(column);
  T sum = 0;
  for (int64_t i = first; i < end; i += step)
    sum += term(log_form, grad[at + i * c.inner.divisor], y[at + i * c.inner.divisor]);
  sum = merge_column<kShared>(sum, Sum{});
  for (int64_t i = first; i < end; i += step) {
    const int64_t j = at + i * c.inner.divisor;
    grad_x[j] = gradient(log_form, grad[j], y[j], sum);
  }
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// Columns of at least this many steps are shared where there are fewer columns than fill a device.
// 128 K threads are half of what 130 multiprocessors hold.
constexpr int64_t kLongColumn = 64, kFewColumns = 128 * 1024;

// pick(each): the instance for rows of up to each * 32 numbers.
template <class Pick>
void pick_held(int64_t n, Pick&& pick) {
  // An instance steps through all its numbers; those past the end of the row load nothing.
  if (n <= kWarp) return pick(std::integral_constant<int, 1>());
  if (n <= 4 * kWarp) return pick(std::integral_constant<int, 4>());
  if (n <= 16 * kWarp) return pick(std::integral_constant<int, 16>());
  pick(std::integral_constant<int, kHeld / kWarp>());
}

// Calls held(each), whole_block() or columns(shared, blocks, layout), whichever suits the shape.
template <class Args, class Held, class Long, class Column>
void choose(const Args& p, Held&& held, Long&& whole_block, Column&& columns) {
  const int64_t rows = p.outer * p.inner;
  if (rows * p.n == 0) return;
  if (p.inner > 1) {
    const bool shared = p.n >= kLongColumn && rows < kFewColumns;
    columns(shared, blocks_for(rows, shared ? kWarp : kBlock), Columns{rows, p.n, divide_by(p.inner)});
  } else if (p.n > kHeld) {
    whole_block();
  } else {
    pick_held(p.n, held);
  }
}

template <class T>
void forward(const SoftmaxFwdArgs& p, Stream stream) {
  const T* x = static_cast<const T*>(p.x);
  T* out = static_cast<T*>(p.out);
  choose(
      p,
      [&](auto each) {
        launch(softmax_held<T, each()>, blocks_for(p.outer, kWarpsABlock), kBlock, 0, stream, x, out, p.outer, p.n,
               p.log);
      },
      [&] { launch(softmax_long<T>, blocks_for(p.outer, 1), kBlock, 0, stream, x, out, p.n, p.log); },
      [&](bool shared, unsigned blocks, const Columns& c) {
        launch(shared ? softmax_columns<T, true> : softmax_columns<T, false>, blocks, kBlock, 0, stream, x, out, c,
               p.log);
      });
}

template <class T>
void backward(const SoftmaxBwdArgs& p, Stream stream) {
  const T *grad = static_cast<const T*>(p.grad), *y = static_cast<const T*>(p.y);
  T* grad_x = static_cast<T*>(p.grad_x);
  choose(
      p,
      [&](auto each) {
        launch(softmax_bwd_held<T, each()>, blocks_for(p.outer, kWarpsABlock), kBlock, 0, stream, grad, y, grad_x,
               p.outer, p.n, p.log);
      },
      [&] { launch(softmax_bwd_long<T>, blocks_for(p.outer, 1), kBlock, 0, stream, grad, y, grad_x, p.n, p.log); },
      [&](bool shared, unsigned blocks, const Columns& c) {
        launch(shared ? softmax_bwd_columns<T, true> : softmax_bwd_columns<T, false>, blocks, kBlock, 0, stream, grad,
               y, grad_x, c, p.log);
      });
}

}  // namespace

void softmax_fwd(const SoftmaxFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { forward<decltype(zero)>(p, stream); });
}

void softmax_bwd(const SoftmaxBwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { backward<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
