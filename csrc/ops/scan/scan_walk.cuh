// The walks of every running operation on CUDA, along an axis of (outer, n, inner). Lines are cut into parts, so that
// few long ones keep the device busy:
//
//   1  what each part comes to          2  the parts before it, a warp a line          3  the results
//
// Who owns what: along the last axis a block owns a part of kPartOfRow numbers, a thread packs of it; along others a
// thread owns a part of a column, its neighbours the columns beside it. Lines of one part need the third step alone.
// Parts follow from the shape, and so does every order of combinations. The limit is memory: x read once or twice.
//
// An operation `Op` has
//   State, identity(), combine(a, b)   what is known of some elements; those of a come before those of b
//   kCommutes                          whether a part may be combined in any fixed order
//   kPacks                             elements of 16 bytes that it reads and writes as one, or 1
//   read<N>(s, at, i, g), write<N>(s, at, i, g)   the states of N neighbours from `at` on, number i along the axis
#pragma once
#include "cuda/scan.cuh"
#include "ops/scan/scan.h"

namespace fastdl {
namespace {

constexpr int kPacksAThread = 4;
constexpr int64_t kPartOfColumn = 64;
// Columns that keep a device busy alone: with 2048 threads on each of some 130 multiprocessors, about an eighth of it.
constexpr int64_t kManyColumns = 32 * 1024;

// The line that an element is in.
struct Around {
  int64_t n, inner;
};

template <class Op>
struct Combine {
  template <class S>
  __device__ __forceinline__ S operator()(const S& a, const S& b) const {
    return Op::combine(a, b);
  }
};

// ---- along the last axis --------------------------------------------------------------------------------------------

template <int N>
constexpr int64_t kPartOfRow = int64_t{kPacksAThread} * kBlock * N;

// Places along a row of n numbers in the order of the walk; packs are turned round where this is the other way.
template <int N>
struct Row {
  int64_t n;
  bool reverse;

  __device__ int64_t first(int64_t at) const { return reverse ? n - N - at : at; }
  template <class S>
  __device__ void turn(S (&s)[N]) const {
    if (!reverse) return;
#pragma unroll
    for (int k = 0; k < N / 2; ++k) {
      const S other = s[k];
      s[k] = s[N - 1 - k];
      s[N - 1 - k] = other;
    }
  }
};

// The states of the pack `at` in the order of the walk, each with those of the pack before it.
template <int N, class Op>
__device__ __forceinline__ void read_pack(const Op& op, const Row<N>& row, int64_t line, int64_t at,
                                          typename Op::State (&s)[N]) {
  const int64_t i = row.first(at);
  op.template read<N>(s, line * row.n + i, i, Around{row.n, 1});
  row.turn(s);
#pragma unroll
  for (int k = 1; k < N; ++k) s[k] = Op::combine(s[k - 1], s[k]);
}

template <class Op, int N>
__global__ void __launch_bounds__(kBlock) parts_of_rows(Op op, Row<N> row, Divider parts, typename Op::State* totals) {
  using State = typename Op::State;
  const int64_t line = parts.divide(blockIdx.x), part = blockIdx.x - line * parts.divisor;
  State all = Op::identity();
#pragma unroll
  for (int r = 0; r < kPacksAThread; ++r) {
    const int64_t at = part * kPartOfRow<N> + (r * kBlock + threadIdx.x) * N;
    State s[N];
    s[N - 1] = Op::identity();
    if (at < row.n) read_pack<N>(op, row, line, at, s);
    if constexpr (Op::kCommutes) {
      all = Op::combine(all, s[N - 1]);
    } else {
      const Running<State> running = block_running<Op>(s[N - 1]);
      all = Op::combine(all, running.total);
    }
  }
  if constexpr (Op::kCommutes) all = block_reduce(all, Combine<Op>{}, Op::identity());
  if (threadIdx.x == 0) totals[blockIdx.x] = all;
}

// before: what the parts before each come to, or null.
template <class Op, int N>
__global__ void __launch_bounds__(kBlock)
    run_along_rows(Op op, Row<N> row, Divider parts, const typename Op::State* before) {
  using State = typename Op::State;
  const int64_t line = parts.divide(blockIdx.x), part = blockIdx.x - line * parts.divisor;
  State carry = Op::identity();
  if (before) carry = before[blockIdx.x];
  for (int r = 0; r < kPacksAThread; ++r) {
    const int64_t at = part * kPartOfRow<N> + (r * kBlock + threadIdx.x) * N;
    // The identity, where the row has no pack for this thread: all come to the barriers.
    const bool in = at < row.n;
    State s[N];
    s[N - 1] = Op::identity();
    if (in) read_pack<N>(op, row, line, at, s);
    const Running<State> running = block_running<Op>(s[N - 1]);
    if (in) {
      const State base = Op::combine(carry, running.before);
#pragma unroll
      for (int k = 0; k < N; ++k) s[k] = Op::combine(base, s[k]);
      row.turn(s);
      const int64_t i = row.first(at);
      op.template write<N>(s, line * row.n + i, i, Around{row.n, 1});
    }
    carry = Op::combine(carry, running.total);
  }
}

// ---- along other axes -----------------------------------------------------------------------------------------------

struct Columns {
  int64_t n, part, step;  // rows, rows of a part, numbers from a row to the next one of the walk
  Divider inner, parts;
  bool reverse;

  __device__ int64_t column(int64_t thread) const {
    const int64_t rest = inner.divide(thread), outer = parts.divide(rest);
    return outer * inner.divisor + (thread - rest * inner.divisor);
  }
  __device__ int64_t part_of(int64_t thread) const {
    const int64_t rest = inner.divide(thread);
    return rest - parts.divide(rest) * parts.divisor;
  }
  __device__ int64_t row(int64_t at) const { return reverse ? n - 1 - at : at; }
  // Of row `at` of the walk in a column.
  __device__ int64_t place(int64_t column, int64_t at) const {
    const int64_t outer = inner.divide(column);
    return (outer * n + row(at)) * inner.divisor + (column - outer * inner.divisor);
  }
};

template <class Op>
__global__ void __launch_bounds__(kBlock)
    parts_of_columns(Op op, Columns c, int64_t threads, typename Op::State* totals) {
  using State = typename Op::State;
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t column = c.column(thread), part = c.part_of(thread), first = part * c.part;
  const Around g = {c.n, c.inner.divisor};
  int64_t place = c.place(column, first);
  State all = Op::identity(), s[1];
#pragma unroll 4
  for (int64_t at = first; at < min(c.n, first + c.part); ++at, place += c.step) {
    op.template read<1>(s, place, c.row(at), g);
    all = Op::combine(all, s[0]);
  }
  totals[column * c.parts.divisor + part] = all;
}

template <class Op>
__global__ void __launch_bounds__(kBlock)
    run_along_columns(Op op, Columns c, int64_t threads, const typename Op::State* before) {
  using State = typename Op::State;
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t column = c.column(thread), part = c.part_of(thread), first = part * c.part;
  const Around g = {c.n, c.inner.divisor};
  int64_t place = c.place(column, first);
  State all[1] = {Op::identity()}, s[1];
  if (before) all[0] = before[column * c.parts.divisor + part];
#pragma unroll 4
  for (int64_t at = first; at < min(c.n, first + c.part); ++at, place += c.step) {
    op.template read<1>(s, place, c.row(at), g);
    all[0] = Op::combine(all[0], s[0]);
    op.template write<1>(all, place, c.row(at), g);
  }
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// run(before): `total` tells what the parts come to first where a line has several.
template <class Op, class Total, class Run>
void in_parts(int64_t lines, int64_t parts, Stream stream, Total&& total, Run&& run) {
  if (parts == 1) return run(nullptr);
  const DeviceScratch<typename Op::State> states(lines * parts);
  total(states.get());
  launch(run_before<Op>, blocks_for(lines, kBlock / kWarp), kBlock, 0, stream, states.get(), lines, parts);
  run(states.get());
}

template <int N, class Op>
void along_rows(const Op& op, int64_t outer, int64_t n, bool reverse, Stream stream) {
  using State = typename Op::State;
  const Row<N> row = {n, reverse};
  const Divider parts = divide_by(ceil_div(n, kPartOfRow<N>));
  const unsigned blocks = checked_grid(outer * parts.divisor);
  in_parts<Op>(
      outer, parts.divisor, stream,
      [&](State* totals) { launch(parts_of_rows<Op, N>, blocks, kBlock, 0, stream, op, row, parts, totals); },
      [&](State* before) { launch(run_along_rows<Op, N>, blocks, kBlock, 0, stream, op, row, parts, before); });
}

template <class Op>
void along_columns(const Op& op, int64_t outer, int64_t n, int64_t inner, bool reverse, Stream stream) {
  using State = typename Op::State;
  const int64_t columns = outer * inner, part = columns >= kManyColumns ? n : kPartOfColumn;
  const Divider parts = divide_by(ceil_div(n, part));
  const Columns c = {n, part, reverse ? -inner : inner, divide_by(inner), parts, reverse};
  const int64_t threads = columns * parts.divisor;
  const unsigned blocks = checked_grid(ceil_div(threads, kBlock));
  in_parts<Op>(
      columns, parts.divisor, stream,
      [&](State* totals) { launch(parts_of_columns<Op>, blocks, kBlock, 0, stream, op, c, threads, totals); },
      [&](State* before) { launch(run_along_columns<Op>, blocks, kBlock, 0, stream, op, c, threads, before); });
}

// packs: whether all that it reads and writes along the last axis is aligned to packs of Op::kPacks.
template <class Op>
void walk(const Op& op, int64_t outer, int64_t n, int64_t inner, bool reverse, bool packs, Stream stream) {
  if (inner > 1) return along_columns(op, outer, n, inner, reverse, stream);
  if constexpr (Op::kPacks > 1)
    if (packs && n % Op::kPacks == 0) return along_rows<Op::kPacks>(op, outer, n, reverse, stream);
  along_rows<1>(op, outer, n, reverse, stream);
}

}  // namespace
}  // namespace fastdl
