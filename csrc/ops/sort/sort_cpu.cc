// Sorting on the CPU: keys (sort_lines-inl.h) with their indices, by one of three ways that give the same result.
//
//   short lines    a network over lanes: as many lines at once as a vector has lanes of 8 bytes
//   others         by their digits (sort_radix-inl.h), a line on one thread
//   few, long      the same on all threads
//
// An item is key and index, 8 bytes (of numbers up to 4) or 16.
#include "ops/sort/sort_network-inl.h"
#include "ops/sort/sort_radix-inl.h"

namespace fastdl::FASTDL_ISA {

// Lines up to here go through the network: its steps grow with log2(n)^2, and fewer lanes make each dearer.
template <class T>
constexpr int64_t kShortLine = (sizeof(T) == 8 ? 16 : 32) * kNetworkLanes;

// ---- short lines ----------------------------------------------------------------------------------------------------

// Lines [first, first + L) of all; `items` holds n vectors, or two times n for keys of 8 bytes.
template <class T>
static void sort_short(const SortArgs& a, int64_t first, int64_t count, T* numbers, int64_t* items) {
  using Key = KeyOf<T>;
  constexpr int L = kNetworkLanes, kVectors = sizeof(Key) == 8 ? 2 : 1;
  const auto [outer, n, inner] = a.lines;
  const T* const x = static_cast<const T*>(a.x);
  int64_t base[L];  // lanes without a line repeat the last one
  for (int lane = 0; lane < L; ++lane) {
    const int64_t line = first + (lane < count ? lane : count - 1);
    base[lane] = line / inner * n * inner + line % inner;
    for (int64_t i = 0; i < n; ++i) numbers[i * L + lane] = x[base[lane] + i * inner];
  }
  const Key flip = flip_of<Key>(a.descending);
  for (int64_t i = 0; i < n; ++i)
    for (int lane = 0; lane < L; ++lane) {
      const int64_t key = ordered(numbers[i * L + lane]) ^ flip;
      items[i * L + lane] = kVectors == 2 ? key : key << 32 | i;
      if (kVectors == 2) items[(n + i) * L + lane] = i;
    }
  sort_network<kVectors>(items, n);
  const int64_t* const places = kVectors == 2 ? items + n * L : items;
  for (int lane = 0; lane < count; ++lane)
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = base[lane] + i * inner, place = static_cast<uint32_t>(places[i * L + lane]);
      a.indices[at] = place;
      if (a.values) static_cast<T*>(a.values)[at] = x[base[lane] + place * inner];
    }
}

template <class T>
static void sort_short_lines(const SortArgs& a) {
  constexpr int L = kNetworkLanes;
  const int64_t n = a.lines.n, lines = a.lines.outer * a.lines.inner, groups = (lines + L - 1) / L;
  parallel_for(groups, kLineGrain / (n * L) + 1, [&](int64_t begin, int64_t end) {
    Scratch<T> numbers(n * L);
    Scratch<int64_t> items(2 * n * L);
    for (int64_t group = begin; group < end; ++group)
      sort_short<T>(a, group * L, lines - group * L < L ? lines - group * L : L, numbers, items);
  });
}

// ---- others ---------------------------------------------------------------------------------------------------------

template <class T>
static void sort_others(const SortArgs& a) {
  const KeyOf<T> flip = flip_of<KeyOf<T>>(a.descending);
  for_each_line<T>(a.lines, a.lines.n, static_cast<const T*>(a.x), static_cast<T*>(a.values), a.indices,
                   [&] { return LineSorter<T>(a.lines.n, flip); });
}

void sort_lines(const SortArgs& a) {
  if (a.lines.outer * a.lines.n * a.lines.inner == 0) return;
  visit_numbers(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.lines.n <= kShortLine<T>)
      sort_short_lines<T>(a);
    else
      sort_others<T>(a);
  });
}

}  // namespace fastdl::FASTDL_ISA
