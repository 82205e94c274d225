// Indexing. All arrays are (outer, n, inner) around the indexed axis:
//
//   index_select, index_assign, index_add     one index for a whole line of `inner` numbers
//   gather, scatter                           an index for each number
//
// Who owns what: reading, a thread a pack of a line, or a number. Writing, a thread owns a source, and where several
// go to one place the last one is found first (the largest number by atomics on integers, which have no order). Sums of
// floats sort the sources by their place (cuda/lookups.cuh); sums of integers are atomic, since they are the same in
// every order. The limit is memory: for single numbers 8 bytes of index each.
#include "cuda/lookups.cuh"
#include "ops/gather/gather.h"

namespace fastdl {
namespace {

int64_t numbers_of(const IndexGeometry& g) {
  return g.outer * g.m * g.inner;
}
LineShape shape_of(const IndexGeometry& g, int pack = 1) {
  return {divide_by(g.inner / pack), divide_by(g.m), g.n};
}

// ---- one index for a line -------------------------------------------------------------------------------------------

// latest[place] = 1 + the last source that goes there.
__global__ void __launch_bounds__(kBlock)
    find_latest_lines(const int64_t* index, int64_t m, int64_t n, unsigned long long* latest, FailureReport report) {
  const int64_t j = global_thread();
  if (j >= m) return;
  const int64_t at = index[j];
  if (at < 0 || at >= n) return report(j);
  atomicMax(&latest[at], static_cast<unsigned long long>(j + 1));
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    assign_lines(const T* value, const int64_t* index, const unsigned long long* latest, T* x, int64_t packs,
                 LineShape s) {
  const int64_t i = global_thread();
  if (i >= packs) return;
  const int64_t j = s.lookup(i), at = index[j];
  if (at >= 0 && at < s.n && latest[at] == static_cast<unsigned long long>(j + 1))
    store_pack<N>(x + s.place(i, at) * N, load_pack<N>(value + i * N));
}

template <class T>
void assign(const IndexAssignArgs& a, Stream stream) {
  const IndexGeometry& g = a.g;
  const DeviceScratch<unsigned long long> latest(g.n);
  set_zero(latest.get(), static_cast<size_t>(g.n) * sizeof(unsigned long long), stream);
  launch(find_latest_lines, blocks_for(g.m, kBlock), kBlock, 0, stream, a.index, g.m, g.n, latest.get(),
         report_to(a.bad_index));
  if (numbers_of(g) == 0) return;
  const T* const value = static_cast<const T*>(a.value);
  T* const x = static_cast<T*>(a.x);
  with_packs<kPack<T>>(lines_in_packs<T>(value, x, g.inner), [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    const int64_t packs = numbers_of(g) / N;
    launch(assign_lines<T, N>, blocks_for(packs, kBlock), kBlock, 0, stream, value, a.index, latest.get(), x, packs,
           shape_of(g, N));
  });
}

template <class T, class Key>
void add_lines(const IndexAddArgs& a, Stream stream) {
  const IndexGeometry& g = a.g;
  RadixSort<Key> sorted(1, g.m);
  sort_lookups(sorted, a.index, g.m, g.n, report_to(a.bad_index), stream);
  const Addends<T> lines = {static_cast<const T*>(a.source), nullptr, nullptr, nullptr};
  const SumTarget<T> to = {static_cast<T*>(a.out), nullptr, -1, false, false};
  sum_lookups<T, Key>({sorted.keys(), sorted.places(), g.m}, lines, to, g.outer, g.m, g.n, g.inner, stream);
}

// ---- an index for each number ---------------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(kBlock)
    gather_numbers(const T* x, const int64_t* index, T* out, int64_t n, LineShape s, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t at = index[i];
  if (at < 0 || at >= s.n) return report(i);
  out[i] = x[s.place(i, at)];
}

// Where number i goes; a bad index is reported, and -1.
__device__ int64_t checked_place(const LineShape& s, const int64_t* index, int64_t i, FailureReport report) {
  const int64_t at = index[i];
  if (at >= 0 && at < s.n) return s.place(i, at);
  report(i);
  return -1;
}

__global__ void __launch_bounds__(kBlock) find_latest_numbers(const int64_t* index, int64_t n, LineShape s,
                                                              unsigned long long* latest, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t place = checked_place(s, index, i, report);
  // Sources of one place differ in j alone, and i grows with it.
  if (place >= 0) atomicMax(&latest[place], static_cast<unsigned long long>(i + 1));
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    scatter_numbers(const T* source, const int64_t* index, const unsigned long long* latest, T* x, int64_t n,
                    LineShape s, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t place = checked_place(s, index, i, report);
  if (place >= 0 && latest[place] == static_cast<unsigned long long>(i + 1)) x[place] = source[i];
}

// A bad index stands behind all places.
__global__ void __launch_bounds__(kBlock)
    keys_of_places(const int64_t* index, int64_t n, LineShape s, int64_t places, uint64_t* keys, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t place = checked_place(s, index, i, report);
  keys[i] = static_cast<uint64_t>(place < 0 ? places : place);
}

void sort_places(RadixSort<uint64_t>& sorted, const ScatterArgs& a, int64_t n, Stream stream) {
  const int64_t places = a.g.outer * a.g.n * a.g.inner;
  launch(keys_of_places, blocks_for(n, kBlock), kBlock, 0, stream, a.index, n, shape_of(a.g), places, sorted.keys(),
         report_to(a.bad_index));
  sorted.run(bits_below(places + 1), stream);
}

// Of sorted sources the last of each place writes.
template <class T>
__global__ void __launch_bounds__(kBlock)
    scatter_sorted(const T* source, const uint64_t* places, const unsigned* from, T* x, int64_t n, uint64_t end) {
  const int64_t i = global_thread();
  if (i < n && places[i] < end && (i == n - 1 || places[i] != places[i + 1])) x[places[i]] = source[from[i]];
}

// Beyond so many places a source, memory for each place costs more than sorting the sources.
constexpr int64_t kFewSources = 8;

template <class T>
void scatter(const ScatterArgs& a, Stream stream) {
  const IndexGeometry& g = a.g;
  const int64_t n = numbers_of(g), places = g.outer * g.n * g.inner;
  const T* const source = static_cast<const T*>(a.source);
  T* const x = static_cast<T*>(a.x);
  if (places / kFewSources > n) {
    RadixSort<uint64_t> sorted(1, n);
    sort_places(sorted, a, n, stream);
    return launch(scatter_sorted<T>, blocks_for(n, kBlock), kBlock, 0, stream, source, sorted.keys(), sorted.places(),
                  x, n, static_cast<uint64_t>(places));
  }
  const DeviceScratch<unsigned long long> latest(places);
  set_zero(latest.get(), static_cast<size_t>(places) * sizeof(unsigned long long), stream);
  launch(find_latest_numbers, blocks_for(n, kBlock), kBlock, 0, stream, a.index, n, shape_of(g), latest.get(),
         report_to(a.bad_index));
  launch(scatter_numbers<T>, blocks_for(n, kBlock), kBlock, 0, stream, source, a.index, latest.get(), x, n, shape_of(g),
         report_to(a.bad_index));
}

// Integers wrap, whatever their sign: one addition serves both.
__device__ inline void add_atomically(int32_t* p, int32_t v) {
  atomicAdd(p, v);
}
__device__ inline void add_atomically(int64_t* p, int64_t v) {
  atomicAdd(reinterpret_cast<unsigned long long*>(p), static_cast<unsigned long long>(v));
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    add_integers(const T* source, const int64_t* index, T* x, int64_t n, LineShape s, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t place = checked_place(s, index, i, report);
  if (place >= 0) add_atomically(x + place, source[i]);
}

template <class T>
void scatter_add(const ScatterArgs& a, Stream stream) {
  const IndexGeometry& g = a.g;
  const int64_t n = numbers_of(g), places = g.outer * g.n * g.inner;
  const T* const source = static_cast<const T*>(a.source);
  T* const x = static_cast<T*>(a.x);
  if constexpr (std::is_integral_v<T>) {
    launch(add_integers<T>, blocks_for(n, kBlock), kBlock, 0, stream, source, a.index, x, n, shape_of(g),
           report_to(a.bad_index));
  } else {
    RadixSort<uint64_t> sorted(1, n);
    sort_places(sorted, a, n, stream);
    sum_lookups<T, uint64_t>({sorted.keys(), sorted.places(), n}, {source, nullptr, nullptr, nullptr},
                             {x, nullptr, -1, true, false}, 1, n, places, 1, stream);
  }
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void index_select(const IndexSelectArgs& a, Stream stream) {
  visit_itemsize(a.itemsize, [&](auto zero) {
    using T = decltype(zero);
    look_up_lines(static_cast<const T*>(a.x), a.index, static_cast<T*>(a.out), a.g.outer, a.g.n, a.g.inner, a.g.m,
                  report_to(a.bad_index), stream);
  });
}

void index_assign(const IndexAssignArgs& a, Stream stream) {
  if (a.g.m == 0) return;
  visit_itemsize(a.itemsize, [&](auto zero) { assign<decltype(zero)>(a, stream); });
}

void index_add(const IndexAddArgs& a, Stream stream) {
  set_zero(a.out, static_cast<size_t>(a.g.outer * a.g.n * a.g.inner) * itemsize(a.dtype), stream);
  visit_number(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.g.n < int64_t{1} << 32)
      add_lines<T, unsigned>(a, stream);
    else
      add_lines<T, uint64_t>(a, stream);
  });
}

void gather_along(const GatherArgs& a, Stream stream) {
  const int64_t n = numbers_of(a.g);
  if (n == 0) return;
  visit_itemsize(a.itemsize, [&](auto zero) {
    using T = decltype(zero);
    launch(gather_numbers<T>, blocks_for(n, kBlock), kBlock, 0, stream, static_cast<const T*>(a.x), a.index,
           static_cast<T*>(a.out), n, shape_of(a.g), report_to(a.bad_index));
  });
}

void scatter_along(const ScatterArgs& a, Stream stream) {
  if (numbers_of(a.g) == 0) return;
  if (a.add)
    visit_number(a.dtype, [&](auto zero) { scatter_add<decltype(zero)>(a, stream); });
  else
    visit_itemsize(static_cast<int>(itemsize(a.dtype)), [&](auto zero) { scatter<decltype(zero)>(a, stream); });
}

}  // namespace fastdl
