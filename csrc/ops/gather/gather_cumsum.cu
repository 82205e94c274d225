// Running sums along an axis of (outer, n, inner). Lines are cut into parts, so that few long ones keep the device
// busy:
//
//   1  the sum of each part          2  of the parts before it, a warp a line          3  the running sums
//
// Who owns what: along the last axis a block owns a part of kPartOfRow numbers, a thread packs of it; along others a
// thread owns a part of a column, its neighbours the columns beside it. Lines of one part need the third step alone.
// Parts follow from the shape, and so does every order of additions. The limit is memory: x read once or twice.
#include "cuda/scan.cuh"
#include "ops/gather/gather.h"

namespace fastdl {
namespace {

constexpr int kPacksAThread = 4;
constexpr int64_t kPartOfColumn = 64;
// Columns that keep a device busy alone: with 2048 threads on each of some 130 multiprocessors, about an eighth of it.
constexpr int64_t kManyColumns = 32 * 1024;

// ---- along the last axis --------------------------------------------------------------------------------------------

template <int N>
constexpr int64_t kPartOfRow = int64_t{kPacksAThread} * kBlock * N;

// Places along a row of n numbers in the order of the sum; packs are turned round where this is the other way.
template <class T, int N>
struct Row {
  int64_t n;
  bool reverse;

  __device__ int64_t first(int64_t at) const { return reverse ? n - N - at : at; }
  __device__ Pack<T, N> turned(const Pack<T, N>& pack) const {
    Pack<T, N> out;
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = reverse ? pack[N - 1 - k] : pack[k];
    return out;
  }
};

// x, out: parts of rows, `parts` each. With `before`, running sums to out; without, the parts' sums to out.
template <class T, int N>
__global__ void __launch_bounds__(kBlock) sum_parts_of_rows(const T* x, Row<T, N> row, Divider parts, T* sums) {
  const int64_t line = parts.divide(blockIdx.x), part = blockIdx.x - line * parts.divisor;
  T sum = 0;
#pragma unroll
  for (int r = 0; r < kPacksAThread; ++r) {
    const int64_t at = part * kPartOfRow<N> + (r * kBlock + threadIdx.x) * N;
    if (at >= row.n) continue;
    const auto pack = load_pack<N>(x + line * row.n + row.first(at));
#pragma unroll
    for (int k = 0; k < N; ++k) sum += pack[k];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// before: the sums of the parts before each, or null.
template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    run_along_rows(const T* x, Row<T, N> row, Divider parts, const T* before, T* out) {
  const int64_t line = parts.divide(blockIdx.x), part = blockIdx.x - line * parts.divisor;
  T carry = before ? before[blockIdx.x] : T{0};
  for (int r = 0; r < kPacksAThread; ++r) {
    const int64_t at = part * kPartOfRow<N> + (r * kBlock + threadIdx.x) * N;
    // A number in the row, where it has no pack for this thread, is as good as any other: all come to the barriers.
    const bool in = at < row.n;
    Pack<T, N> pack = {};
    if (in) pack = row.turned(load_pack<N>(x + line * row.n + row.first(at)));
#pragma unroll
    for (int k = 1; k < N; ++k) pack[k] += pack[k - 1];
    const RunningSum<T> sum = block_running_sum(pack[N - 1]);
    const T base = carry + sum.before;
#pragma unroll
    for (int k = 0; k < N; ++k) pack[k] += base;
    if (in) store_pack<N>(out + line * row.n + row.first(at), row.turned(pack));
    carry += sum.total;
  }
}

// ---- along other axes -----------------------------------------------------------------------------------------------

struct Columns {
  int64_t n, part, step;  // rows, rows of a part, numbers from a row to the next one of the sum
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
  // Of row `at` of the sum in a column.
  __device__ int64_t place(int64_t column, int64_t at) const {
    const int64_t outer = inner.divide(column);
    return (outer * n + (reverse ? n - 1 - at : at)) * inner.divisor + (column - outer * inner.divisor);
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock) sum_parts_of_columns(const T* x, Columns c, int64_t threads, T* sums) {
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t column = c.column(thread), part = c.part_of(thread), first = part * c.part;
  const T* p = x + c.place(column, first);
  T sum = 0;
#pragma unroll 4
  for (int64_t at = first; at < min(c.n, first + c.part); ++at, p += c.step) sum += *p;
  sums[column * c.parts.divisor + part] = sum;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    run_along_columns(const T* x, Columns c, int64_t threads, const T* before, T* out) {
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t column = c.column(thread), part = c.part_of(thread), first = part * c.part;
  int64_t place = c.place(column, first);
  T sum = before ? before[column * c.parts.divisor + part] : T{0};
#pragma unroll 4
  for (int64_t at = first; at < min(c.n, first + c.part); ++at, place += c.step) {
    sum += x[place];
    out[place] = sum;
  }
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// run(before): `sum` makes the parts' sums first where a line has several.
template <class T, class SumParts, class Run>
void in_parts(int64_t lines, int64_t parts, Stream stream, SumParts&& sum_parts, Run&& run) {
  if (parts == 1) return run(nullptr);
  const DeviceScratch<T> sums(lines * parts);
  sum_parts(sums.get());
  T* const no_totals = nullptr;
  launch(sum_up_rows<T>, blocks_for(lines, kBlock / kWarp), kBlock, 0, stream, sums.get(), lines, parts, no_totals);
  run(sums.get());
}

template <class T>
void along_rows(const CumsumArgs& a, const T* x, T* out, Stream stream) {
  const bool packs = a.n % kPack<T> == 0 && aligned<kPack<T>>(x) && aligned<kPack<T>>(out);
  with_packs<kPack<T>>(packs, [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    const Row<T, N> row = {a.n, a.reverse};
    const Divider parts = divide_by(ceil_div(a.n, kPartOfRow<N>));
    const unsigned blocks = blocks_for(a.outer * parts.divisor, 1);
    in_parts<T>(
        a.outer, parts.divisor, stream,
        [&](T* sums) { launch(sum_parts_of_rows<T, N>, blocks, kBlock, 0, stream, x, row, parts, sums); },
        [&](T* before) { launch(run_along_rows<T, N>, blocks, kBlock, 0, stream, x, row, parts, before, out); });
  });
}

template <class T>
void along_columns(const CumsumArgs& a, const T* x, T* out, Stream stream) {
  const int64_t columns = a.outer * a.inner, part = columns >= kManyColumns ? a.n : kPartOfColumn;
  const Divider parts = divide_by(ceil_div(a.n, part));
  const Columns c = {a.n, part, a.reverse ? -a.inner : a.inner, divide_by(a.inner), parts, a.reverse};
  const int64_t threads = columns * parts.divisor;
  const unsigned blocks = blocks_for(threads, kBlock);
  in_parts<T>(
      columns, parts.divisor, stream,
      [&](T* sums) { launch(sum_parts_of_columns<T>, blocks, kBlock, 0, stream, x, c, threads, sums); },
      [&](T* before) { launch(run_along_columns<T>, blocks, kBlock, 0, stream, x, c, threads, before, out); });
}

}  // namespace

void cumsum(const CumsumArgs& a, Stream stream) {
  if (a.outer * a.n * a.inner == 0) return;
  visit_number(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = static_cast<const T*>(a.x);
    T* const out = static_cast<T*>(a.out);
    a.inner == 1 ? along_rows<T>(a, x, out, stream) : along_columns<T>(a, x, out, stream);
  });
}

}  // namespace fastdl
