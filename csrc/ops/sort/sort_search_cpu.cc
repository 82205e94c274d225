// Places in sorted sequences, groups of equal numbers, and the gradient of chosen values.
#include "cpu/indices-inl.h"
#include "cpu/out_rows-inl.h"
#include "ops/sort/sort_lines-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kSearchGrain = 4096;  // searches of a chunk
constexpr int kSearches = 16;           // that go on together: their reads of memory overlap

// ---- search ---------------------------------------------------------------------------------------------------------

// How many of n sorted numbers come before each of `count` keys, or (right) not after. All searches halve the same
// lengths, so the steps of several are one loop without a branch.
template <class T, bool kRight>
static void search_together(const T* sorted, int64_t n, const T* x, int count, int64_t* out) {
  using Key = KeyOf<T>;
  Key keys[kSearches];
  const T* low[kSearches];
  for (int s = 0; s < kSearches; ++s) keys[s] = ordered(x[s < count ? s : 0]), low[s] = sorted;
  const auto before = [](T number, Key key) __attribute__((always_inline)) {
    return kRight ? ordered(number) <= key : ordered(number) < key;
  };
  for (int64_t left = n; left > 1; left -= left / 2) {
    const int64_t half = left / 2;
    for (int s = 0; s < kSearches; ++s) low[s] += before(low[s][half - 1], keys[s]) ? half : 0;
  }
  for (int s = 0; s < count; ++s) out[s] = low[s] - sorted + (n > 0 && before(*low[s], keys[s]));
}

void search_sorted(const SearchSortedArgs& a) {
  if (a.sequences * a.count == 0) return;
  visit_numbers(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t size = a.count < kSearchGrain ? a.count : kSearchGrain, pieces = (a.count + size - 1) / size;
    parallel_for(a.sequences * pieces, kSearchGrain / size, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t sequence = i / pieces, first = i % pieces * size;
        const int64_t last = first + size < a.count ? first + size : a.count;
        const T* const sorted = static_cast<const T*>(a.sorted) + (a.shared ? 0 : sequence * a.length);
        const T* const x = static_cast<const T*>(a.x) + sequence * a.count;
        int64_t* const out = a.out + sequence * a.count;
        for (int64_t j = first; j < last; j += kSearches) {
          const int count = static_cast<int>(last - j < kSearches ? last - j : kSearches);
          if (a.right)
            search_together<T, true>(sorted, a.length, x + j, count, out + j);
          else
            search_together<T, false>(sorted, a.length, x + j, count, out + j);
        }
      }
    });
  });
}

// ---- equals ---------------------------------------------------------------------------------------------------------

void group_equal(const GroupEqualArgs& a) {
  *a.groups = 0;
  *a.bad_index = a.indices ? first_outside(a.indices, a.n, a.n) : 0;
  if (*a.bad_index || a.n == 0) return;
  visit_numbers(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = static_cast<const T*>(a.sorted);
    int64_t group = -1;
    for (int64_t i = 0; i < a.n; ++i) {
      bool begins = i == 0 || ordered(x[i]) != ordered(x[i - 1]);
      if constexpr (std::is_floating_point_v<T>) begins |= ordered(x[i]) == kLargestKey<KeyOf<T>>;
      group += begins;
      if (begins) a.first[group] = i;
      if (a.inverse) a.inverse[a.indices[i]] = group;
    }
    *a.groups = group + 1;
  });
}

// ---- gradient -------------------------------------------------------------------------------------------------------

constexpr int64_t kColumns = 32;  // an owner's piece of `inner`

// Along the last axis: lines of gradients, written once. False at a bad index.
template <class T>
static bool place_lines(const ChosenBwdArgs& a, int64_t begin, int64_t end) {
  const int64_t n = a.lines.n, m = a.m, moved = a.lines.outer * (n + 3 * m) * static_cast<int64_t>(sizeof(T));
  OutRows<T> lines(moved, n);
  lines.start(static_cast<T*>(a.out) + begin * n);
  bool inside = true;
  for (int64_t o = begin; inside && o < end; ++o) {
    const int64_t* const indices = a.indices + o * m;
    const T* const grad = static_cast<const T*>(a.grad) + o * m;
    inside = all_inside(indices, m, n, o + 1 < end ? m : 0);
    if (!inside) break;
    T* const line = lines.next();
    if (m < n) __builtin_memset(line, 0, static_cast<size_t>(n) * sizeof(T));
    for (int64_t j = 0; j < m; ++j) line[indices[j]] = grad[j];
    lines.done(n);
  }
  lines.finish();
  return inside;
}

// Columns [first, last) of one `outer`; false at a bad index.
template <class T>
static bool place_columns(const ChosenBwdArgs& a, int64_t o, int64_t first, int64_t last) {
  const auto [outer, n, inner] = a.lines;
  T* const out = static_cast<T*>(a.out) + o * n * inner;
  const T* const grad = static_cast<const T*>(a.grad) + o * a.m * inner;
  const int64_t* const indices = a.indices + o * a.m * inner;
  const size_t bytes = static_cast<size_t>(last - first) * sizeof(T);
  if (a.m < n)
    for (int64_t j = 0; j < n; ++j) __builtin_memset(out + j * inner + first, 0, bytes);
  for (int64_t j = 0; j < a.m; ++j) {
    if (!all_inside(indices + j * inner + first, last - first, n, 0)) return false;
    for (int64_t i = first; i < last; ++i) out[indices[j * inner + i] * inner + i] = grad[j * inner + i];
  }
  return true;
}

void chosen_bwd(const ChosenBwdArgs& a) {
  const auto [outer, n, inner] = a.lines;
  *a.bad_index = 0;
  if (outer * n * inner == 0) return;
  bool bad = false;
  const int64_t width = inner < kColumns ? inner : kColumns, pieces = (inner + width - 1) / width;
  visit_float(a.dtype, [&, n = n, inner = inner, outer = outer](auto zero) {
    using T = decltype(zero);
    parallel_for(outer * pieces, kLineGrain / (n * width) + 1, [&](int64_t begin, int64_t end) {
      bool inside = inner > 1 || place_lines<T>(a, begin, end);
      for (int64_t i = begin; inside && inner > 1 && i < end; ++i) {
        const int64_t first = i % pieces * width, last = first + width < inner ? first + width : inner;
        inside = place_columns<T>(a, i / pieces, first, last);
      }
      if (!inside) __atomic_store_n(&bad, true, __ATOMIC_RELAXED);
    });
  });
  if (bad) *a.bad_index = first_outside(a.indices, outer * a.m * inner, n);
}

}  // namespace fastdl::FASTDL_ISA
