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
    find_latest_lines(const int64_t* index, int64_t m, unsigned long long* latest) {
  const int64_t j = global_thread();
  if (j < m) atomicMax(&latest[index[j]], static_cast<unsigned long long>(j + 1));
}

template <class T, int N>
__global__ void __launch_bounds__(kBlock)
    assign_lines(const T* value, const int64_t* index, const unsigned long long* latest, T* x, int64_t packs,
                 LineShape s) {
  const int64_t i = global_thread();
  if (i >= packs) return;
  const int64_t j = s.lookup(i), at = index[j];
  if (latest[at] == static_cast<unsigned long long>(j + 1))
    store_pack<N>(x + s.place(i, at) * N, load_pack<N>(value + i * N));
}

template <class T>
void assign(const IndexAssignArgs& a, Stream stream) {
  const IndexGeometry& g = a.g;
  const DeviceScratch<unsigned long long> latest(g.n);
  set_zero(latest.get(), static_cast<size_t>(g.n) * sizeof(unsigned long long), stream);
  launch(find_latest_lines, blocks_for(g.m, kBlock), kBlock, 0, stream, a.index, g.m, latest.get());
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
  sort_lookups(sorted, a.index, g.m, g.n, stream);
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

__global__ void __launch_bounds__(kBlock)
    find_latest_numbers(const int64_t* index, int64_t n, LineShape s, unsigned long long* latest) {
  const int64_t i = global_thread();
  // Sources of one place differ in j alone, and i grows with it.
  if (i < n) atomicMax(&latest[s.place(i, index[i])], static_cast<unsigned long long>(i + 1));
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    scatter_numbers(const T* source, const int64_t* index, const unsigned long long* latest, T* x, int64_t n,
                    LineShape s) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t place = s.place(i, index[i]);
  if (latest[place] == static_cast<unsigned long long>(i + 1)) x[place] = source[i];
}

__global__ void __launch_bounds__(kBlock) keys_of_places(const int64_t* index, int64_t n, LineShape s, uint64_t* keys) {
  const int64_t i = global_thread();
  if (i < n) keys[i] = static_cast<uint64_t>(s.place(i, index[i]));
}

void sort_places(RadixSort<uint64_t>& sorted, const ScatterArgs& a, int64_t n, Stream stream) {
  launch(keys_of_places, blocks_for(n, kBlock), kBlock, 0, stream, a.index, n, shape_of(a.g), sorted.keys());
  sorted.run(bits_below(a.g.outer * a.g.n * a.g.inner), stream);
}

// Of sorted sources the last of each place writes.
template <class T>
__global__ void __launch_bounds__(kBlock)
    scatter_sorted(const T* source, const uint64_t* places, const unsigned* from, T* x, int64_t n) {
  const int64_t i = global_thread();
  if (i < n && (i == n - 1 || places[i] != places[i + 1])) x[places[i]] = source[from[i]];
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
                  x, n);
  }
  const DeviceScratch<unsigned long long> latest(places);
  set_zero(latest.get(), static_cast<size_t>(places) * sizeof(unsigned long long), stream);
  launch(find_latest_numbers, blocks_for(n, kBlock), kBlock, 0, stream, a.index, n, shape_of(g), latest.get());
  launch(scatter_numbers<T>, blocks_for(n, kBlock), kBlock, 0, stream, source, a.index, latest.get(), x, n,
         shape_of(g));
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
    add_integers(const T* source, const int64_t* index, T* x, int64_t n, LineShape s) {
  const int64_t i = global_thread();
  if (i < n) add_atomically(x + s.place(i, index[i]), source[i]);
}

template <class T>
void scatter_add(const ScatterArgs& a, Stream stream) {
  const IndexGeometry& g = a.g;
  const int64_t n = numbers_of(g), places = g.outer * g.n * g.inner;
  const T* const source = static_cast<const T*>(a.source);
  T* const x = static_cast<T*>(a.x);
  if constexpr (std::is_integral_v<T>) {
    launch(add_integers<T>, blocks_for(n, kBlock), kBlock, 0, stream, source, a.index, x, n, shape_of(g));
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
    *a.bad_index = look_up_lines(static_cast<const T*>(a.x), a.index, static_cast<T*>(a.out), a.g.outer, a.g.n,
                                 a.g.inner, a.g.m, stream);
  });
}

void index_assign(const IndexAssignArgs& a, Stream stream) {
  *a.bad_index = first_failure(OutsideRange<int64_t>{a.index, a.g.n}, a.g.m, stream);
  if (*a.bad_index || numbers_of(a.g) == 0) return;
  visit_itemsize(a.itemsize, [&](auto zero) { assign<decltype(zero)>(a, stream); });
}

void index_add(const IndexAddArgs& a, Stream stream) {
  *a.bad_index = first_failure(OutsideRange<int64_t>{a.index, a.g.n}, a.g.m, stream);
  if (*a.bad_index) return;
  set_zero(a.out, static_cast<size_t>(a.g.outer * a.g.n * a.g.inner) * itemsize(a.dtype), stream);
  visit_number(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.g.n <= int64_t{1} << 32)
      add_lines<T, unsigned>(a, stream);
    else
      add_lines<T, uint64_t>(a, stream);
  });
}

void gather_along(const GatherArgs& a, Stream stream) {
  const int64_t n = numbers_of(a.g);
  *a.bad_index = 0;
  if (n == 0) return;
  const Failures failures(stream);
  visit_itemsize(a.itemsize, [&](auto zero) {
    using T = decltype(zero);
    launch(gather_numbers<T>, blocks_for(n, kBlock), kBlock, 0, stream, static_cast<const T*>(a.x), a.index,
           static_cast<T*>(a.out), n, shape_of(a.g), failures.report());
  });
  *a.bad_index = failures.first();
}

void scatter_along(const ScatterArgs& a, Stream stream) {
  *a.bad_index = first_failure(OutsideRange<int64_t>{a.index, a.g.n}, numbers_of(a.g), stream);
  if (*a.bad_index || numbers_of(a.g) == 0) return;
  if (a.add)
    visit_number(a.dtype, [&](auto zero) { scatter_add<decltype(zero)>(a, stream); });
  else
    visit_itemsize(static_cast<int>(itemsize(a.dtype)), [&](auto zero) { scatter<decltype(zero)>(a, stream); });
}

}  // namespace fastdl
