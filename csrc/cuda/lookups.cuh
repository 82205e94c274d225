// Lines of an array chosen by indices, and the gradient of that: sums of lines by index, in the order of the indices.
//
// Arrays are (outer, n, inner) around the indexed axis, m indices choose lines of `inner` numbers. Sums: lookups are
// sorted by their target, stably, and the sorted ones are cut into chunks of kChunk. A thread owns a chunk and a pack
// of columns, and adds what its targets get:
//
//   targets      0 0 2 2 | 2 2 2 2 | 2 4 4 7        whole in the chunk: written to its target
//                        |         |                ends here, began before: to heads[chunk]
//                                                   goes on: to tails[chunk]
//
// A second kernel adds tails[first] + heads + ... for the targets that cross borders, so that one target with very many
// lookups keeps many threads busy. Every sum has one order, whatever runs when; there are no atomics.
#pragma once
#include "cuda/first_failure.cuh"
#include "cuda/radix_sort.cuh"

namespace fastdl {
namespace {

// ---- copies ---------------------------------------------------------------------------------------------------------

// Lines as packs: `inner` packs of a line, n lines on the side that is looked up, m on that of the indices.
struct LineShape {
  Divider inner, m;
  int64_t n;

  // Of pack i on the side of the indices.
  __device__ int64_t lookup(int64_t i) const {
    const int64_t line = inner.divide(i);
    return line - m.divide(line) * m.divisor;
  }
  // The pack that it goes with, in line `index` of the other side.
  __device__ int64_t place(int64_t i, int64_t index) const {
    const int64_t line = inner.divide(i);
    return (m.divide(line) * n + index) * inner.divisor + (i - line * inner.divisor);
  }
};

// f(number of the size of an element): copies ask for nothing else.
template <class F>
void visit_itemsize(int itemsize, F&& f) {
  if (itemsize == 1) f(uint8_t{});
  if (itemsize == 4) f(uint32_t{});
  if (itemsize == 8) f(uint64_t{});
}

template <class T>
bool lines_in_packs(const void* a, const void* b, int64_t inner) {
  return inner % kPack<T> == 0 && aligned<kPack<T>>(static_cast<const T*>(a)) &&
         aligned<kPack<T>>(static_cast<const T*>(b));
}

// A thread a pack of out. A bad index is reported, and nothing is read through it.
template <class T, int N, class I>
__global__ void __launch_bounds__(kBlock)
    copy_lines(const T* x, const I* index, T* out, int64_t packs, LineShape s, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= packs) return;
  const int64_t j = s.lookup(i), at = index[j];
  if (at < 0 || at >= s.n) return report(j);
  store_pack<N>(out + i * N, load_pack<N>(x + s.place(i, at) * N));
}

// out[o][j][:] = x[o][index[j]][:]; lines of bad indices are left alone.
template <class T, class I>
void look_up_lines(const T* x, const I* index, T* out, int64_t outer, int64_t n, int64_t inner, int64_t m,
                   FailureReport report, Stream stream) {
  if (m == 0) return;
  // Without columns nothing is copied, but indices are checked.
  if (outer * inner == 0) return report_failures(OutsideRange<I>{index, n}, m, report, stream);
  with_packs<kPack<T>>(lines_in_packs<T>(x, out, inner), [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    const int64_t packs = outer * m * inner / N;
    launch(copy_lines<T, N, I>, blocks_for(packs, kBlock), kBlock, 0, stream, x, index, out, packs,
           LineShape{divide_by(inner / N), divide_by(m), n}, report);
  });
}

// ---- sums -----------------------------------------------------------------------------------------------------------

constexpr int64_t kChunk = 32;  // lookups: as many loads of a thread that do not wait for each other

// Sorted by target; place[i] is the position that lookup i had.
template <class Key>
struct Lookups {
  const Key* target;
  const unsigned* place;
  int64_t n;
};

// What lookup i adds: line `line[i]` of data, or i itself, times scale[i] and line_scale[that line] where given.
template <class T>
struct Addends {
  const T* data;
  const int64_t* line;
  const T *scale, *line_scale;
};

// Where sums go: line `slot[i]` of sorted lookup i, or its target itself.
template <class T>
struct SumTarget {
  T* out;
  const int64_t* slot;
  int64_t skip;       // a target that is left out, or -1
  bool accumulate;    // adds to what is there
  bool by_frequency;  // divides a sum by the number of its addends
};

template <class T, class Key>
struct Sums {
  Lookups<Key> x;
  Addends<T> a;
  SumTarget<T> to;
  LineShape s;
  Divider packs;     // of all lines with one index: outer * inner
  T *heads, *tails;  // (chunks, packs)
};

template <int N, class T, class Key>
__device__ __forceinline__ void add_lookup(const Sums<T, Key>& p, int64_t i, int64_t outer, int64_t column,
                                           Pack<T, N>& sum) {
  const int64_t place = p.x.place[i], line = p.a.line ? p.a.line[place] : place;
  const auto v = load_pack<N>(p.a.data + ((outer * p.s.m.divisor + line) * p.s.inner.divisor + column) * N);
  T scale = p.a.scale ? p.a.scale[place] : T{1};
  if (p.a.line_scale) scale *= p.a.line_scale[line];
#pragma unroll
  for (int k = 0; k < N; ++k) sum[k] += scale * v[k];
}

// The sum of the `count` addends of sorted lookup i's target is complete.
template <int N, class T, class Key>
__device__ __forceinline__ void store_sum(const Sums<T, Key>& p, int64_t i, int64_t count, int64_t outer,
                                          int64_t column, Pack<T, N> sum) {
  // Divided first, while little else is in registers: a division is a call. Sums of integers have none.
  if constexpr (std::is_floating_point_v<T>) {
    if (p.to.by_frequency) {
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] /= static_cast<T>(count);
    }
  }
  const int64_t target = static_cast<int64_t>(p.x.target[i]);
  if (target == p.to.skip || target >= p.s.n) return;  // beyond the last: what a bad index added
  const int64_t line = p.to.slot ? p.to.slot[i] : target;
  T* const out = p.to.out + ((outer * p.s.n + line) * p.s.inner.divisor + column) * N;
  if (p.to.accumulate) {
    const auto before = load_pack<N>(out);
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] += before[k];
  }
  store_pack<N>(out, sum);
}

template <class T, int N, class Key>
__global__ void __launch_bounds__(kBlock) sum_chunks(Sums<T, Key> p, int64_t threads) {
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t chunk = p.packs.divide(thread), pack = thread - chunk * p.packs.divisor;
  const int64_t outer = p.s.inner.divide(pack), column = pack - outer * p.s.inner.divisor;
  const int64_t first = chunk * kChunk, end = min(p.x.n, first + kChunk);
  for (int64_t i = first; i < end;) {
    const Key target = p.x.target[i];
    const int64_t begin = i;
    Pack<T, N> sum = {};
    for (; i < end && p.x.target[i] == target; ++i) add_lookup(p, i, outer, column, sum);
    const bool begins = begin > first || first == 0 || p.x.target[first - 1] != target;
    const bool ends = i < end || end == p.x.n || p.x.target[end] != target;
    if (begins && ends)
      store_sum(p, begin, i - begin, outer, column, sum);
    else
      store_pack<N>((begins ? p.tails : p.heads) + thread * N, sum);
  }
}

// The first of n sorted targets that is not below, or (after) that is above.
template <class Key>
__device__ inline int64_t bound(const Key* target, int64_t n, Key value, bool after) {
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (target[middle] < value || (after && target[middle] == value))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// The targets whose lookups begin in a chunk and go on in the next belong to its thread.
template <class T, int N, class Key>
__global__ void __launch_bounds__(kBlock) join_chunks(Sums<T, Key> p, int64_t threads) {
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t chunk = p.packs.divide(thread), first = chunk * kChunk, end = first + kChunk;
  if (end >= p.x.n) return;
  const Key target = p.x.target[end];
  const bool goes_on = p.x.target[end - 1] == target;
  const bool began_before = first > 0 && p.x.target[first - 1] == target;
  if (!goes_on || began_before) return;
  const int64_t pack = thread - chunk * p.packs.divisor;
  const int64_t outer = p.s.inner.divide(pack), column = pack - outer * p.s.inner.divisor;
  auto sum = load_pack<N>(p.tails + thread * N);
  int64_t next = thread, at = end;
  do {
    next += p.packs.divisor;
    const auto head = load_pack<N>(p.heads + next * N);
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] += head[k];
    at += kChunk;
  } while (at < p.x.n && p.x.target[at] == target);
  int64_t count = 0;
  if (p.to.by_frequency) count = bound(p.x.target, p.x.n, target, true) - bound(p.x.target, p.x.n, target, false);
  store_sum(p, end, count, outer, column, sum);
}

// out[o][t][:] = the sum over the lookups i of target t of what they add. Lines without lookups are left alone.
// Addends have `lines` lines, out has n, both of `inner` numbers.
template <class T, class Key>
void sum_lookups(const Lookups<Key>& x, const Addends<T>& a, const SumTarget<T>& to, int64_t outer, int64_t lines,
                 int64_t n, int64_t inner, Stream stream) {
  if (x.n * outer * inner == 0) return;
  const int64_t chunks = ceil_div(x.n, kChunk);
  const DeviceScratch<T> partial(2 * chunks * outer * inner);
  T* const tails = partial.get() + chunks * outer * inner;
  with_packs<kPack<T>>(lines_in_packs<T>(a.data, to.out, inner) && aligned<kPack<T>>(tails), [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    const Divider packs = divide_by(outer * inner / N);
    const Sums<T, Key> p = {x, a, to, {divide_by(inner / N), divide_by(lines), n}, packs, partial.get(), tails};
    const int64_t threads = chunks * packs.divisor;
    launch(sum_chunks<T, N, Key>, blocks_for(threads, kBlock), kBlock, 0, stream, p, threads);
    if (chunks > 1) launch(join_chunks<T, N, Key>, blocks_for(threads, kBlock), kBlock, 0, stream, p, threads);
  });
}

// key[i] = index[i], as sorting wants it; bad ones become `lines`, behind all others.
template <class Key, class I>
__global__ void __launch_bounds__(kBlock)
    keys_of_indices(const I* index, int64_t n, int64_t lines, Key* keys, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t at = index[i];
  const bool outside = at < 0 || at >= lines;
  if (outside) report(i);
  keys[i] = static_cast<Key>(outside ? lines : at);
}

// n lookups of lines by their line; Key has room for `lines` itself.
template <class Key, class I>
void sort_lookups(RadixSort<Key>& sorted, const I* index, int64_t n, int64_t lines, FailureReport report,
                  Stream stream) {
  launch(keys_of_indices<Key, I>, blocks_for(n, kBlock), kBlock, 0, stream, index, n, lines, sorted.keys(), report);
  sorted.run(bits_below(lines + 1), stream);
}

}  // namespace
}  // namespace fastdl
