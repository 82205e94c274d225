// Indexing on the CPU. All arrays are (outer, n, inner) around the indexed axis:
//
//   index_select, index_assign, index_add     one index for a whole line of `inner` numbers: lines are copied or added
//   gather, scatter                           an index for each number
//
// Where several sources go to one place their order counts, so an owner there has a piece of `inner` for one `outer`
// and walks all indices in order; sums of long lines go by way of sorted indices (cpu/lookups-inl.h) and owners of
// targets. Reading needs no owner: chunks of outputs.
#include "cpu/lookups-inl.h"
#include "cpu/out_rows-inl.h"
#include "ops/gather/gather.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kGrain = 32 * 1024;  // numbers of a chunk
constexpr int64_t kPiece = 2048;       // indices that are checked and used together: half of the L1 cache
constexpr int64_t kColumns = 1024;     // of `inner` that an owner has at least: it reads indices for each piece
constexpr int64_t kSortedBytes = 64;   // lines from here on are added by way of sorted indices

template <class F>
void visit_itemsize(int itemsize, F&& f) {
  if (itemsize == 1) f(uint8_t{});
  if (itemsize == 4) f(uint32_t{});
  if (itemsize == 8) f(uint64_t{});
}
int itemsize_of(DType t) {
  return static_cast<int>(itemsize(t));
}

template <class T>
FASTDL_INLINE void copy_line(const T* from, T* to, int64_t n) {
  if (n <= 8)
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
  else
    __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
}

// body(o, first, last) for pieces [first, last) of inner.
template <class Body>
void for_each_column_piece(int64_t outer, int64_t n, int64_t inner, const Body& body) {
  if (outer * inner == 0) return;
  const int64_t piece = inner < kColumns ? inner : kColumns, pieces = (inner + piece - 1) / piece;
  parallel_for(outer * pieces, kGrain / (n * piece + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % pieces * piece;
      body(i / pieces, first, first + piece < inner ? first + piece : inner);
    }
  });
}

}  // namespace

// ---- one index for a line -------------------------------------------------------------------------------------------

void index_select(const IndexSelectArgs& a) {
  const auto [outer, n, inner, m] = a.g;
  *a.bad_index = first_outside(a.index, m, n);
  if (*a.bad_index || outer * m * inner == 0) return;
  visit_itemsize(a.itemsize, [&, outer = outer, n = n, inner = inner, m = m](auto zero) {
    using T = decltype(zero);
    const T* const x = static_cast<const T*>(a.x);
    T* const out = static_cast<T*>(a.out);
    if constexpr (sizeof(T) > 1)
      if (outer == 1 && inner >= kLanes<T>) return copy_rows<T>(x, a.index, m, inner, out);
    parallel_for(outer * m, kGrain / inner + 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end;) {
        const int64_t o = i / m, from = i - o * m, to = end - o * m < m ? end - o * m : m;
        const T* const plane = x + o * n * inner;
        T* const target = out + o * m * inner;
        if (inner == 1)
          for (int64_t j = from; j < to; ++j) target[j] = plane[a.index[j]];
        else
          for (int64_t j = from; j < to; ++j) copy_line(plane + a.index[j] * inner, target + j * inner, inner);
        i = o * m + to;
      }
    });
  });
}

void index_assign(const IndexAssignArgs& a) {
  const auto [outer, n, inner, m] = a.g;
  *a.bad_index = first_outside(a.index, m, n);
  if (*a.bad_index) return;
  visit_itemsize(a.itemsize, [&, n = n, inner = inner, m = m](auto zero) {
    using T = decltype(zero);
    for_each_column_piece(a.g.outer, m, inner, [&](int64_t o, int64_t first, int64_t last) {
      T* const x = static_cast<T*>(a.x) + o * n * inner + first;
      const T* const value = static_cast<const T*>(a.value) + o * m * inner + first;
      for (int64_t j = 0; j < m; ++j) copy_line(value + j * inner, x + a.index[j] * inner, last - first);
    });
  });
  static_cast<void>(outer);
}

template <class T>
static void add_lines(const IndexAddArgs& a) {
  const auto [outer, n, inner, m] = a.g;
  const T* const source = static_cast<const T*>(a.source);
  T* const out = static_cast<T*>(a.out);
  if constexpr (std::is_floating_point_v<T>) {
    if (outer == 1 && inner * static_cast<int64_t>(sizeof(T)) >= kSortedBytes && m < kMaxLookups && n < kMaxLookups) {
      Scratch<Lookup> sorted(m), spare(m);
      sort_lookups(a.index, m, n, sorted.get(), spare.get());
      const Addends<T> lines{source, inner, nullptr, nullptr, false};
      return sum_into_rows<T>(lines, sorted, m, n, -1, out, [](int64_t) { return T{1}; });
    }
  }
  for_each_column_piece(outer, n + m, inner, [&, n = n, inner = inner, m = m](int64_t o, int64_t first, int64_t last) {
    T* const x = out + o * n * inner;
    const T* const lines = source + o * m * inner;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t k = first; k < last; ++k) x[i * inner + k] = T{0};
    for (int64_t j = 0; j < m; ++j) {
      T* const target = x + a.index[j] * inner;
      for (int64_t k = first; k < last; ++k) target[k] += lines[j * inner + k];
    }
  });
}

void index_add(const IndexAddArgs& a) {
  *a.bad_index = first_outside(a.index, a.g.m, a.g.n);
  if (*a.bad_index) return;
  visit_number(a.dtype, [&](auto zero) { add_lines<decltype(zero)>(a); });
}

// ---- an index for each number ---------------------------------------------------------------------------------------

// Whether a line of indices, the numbers beside them and the n numbers that they choose from lie in the L1 cache with
// the next line of each.
template <class T>
FASTDL_INLINE bool is_short(int64_t count, int64_t n) {
  constexpr int64_t kRoom = 20 * 1024, kItem = sizeof(T);
  return count * (static_cast<int64_t>(sizeof(int64_t)) + kItem) + n * kItem <= kRoom;
}

// pick(j) for each of `count` places of a line. Meanwhile memory is asked for the next line, if its indices are given:
// a cache line of each array a block, since of all that is asked for at once the last would wait for the first.
template <class T, class Pick>
FASTDL_INLINE void walk_line(int64_t count, const int64_t* next_index, const T* next_beside, const T* next_x,
                             const Pick& pick) {
  constexpr int64_t kBlock = 64 / sizeof(T), kIndices = 64 / sizeof(int64_t);
  int64_t j = 0;
  for (; next_index && j + kBlock <= count; j += kBlock) {
#pragma GCC unroll 8
    for (int64_t k = 0; k < kBlock; k += kIndices) __builtin_prefetch(next_index + j + k);
    __builtin_prefetch(next_beside + j), __builtin_prefetch(next_x + j);
    for (int64_t k = j; k < j + kBlock; ++k) pick(k);
  }
  for (; j < count; ++j) pick(j);
}

void gather_along(const GatherArgs& a) {
  const auto [outer, n, inner, m] = a.g;
  *a.bad_index = 0;
  if (outer * m * inner == 0) return;
  bool outside = false;
  visit_itemsize(a.itemsize, [&, outer = outer, n = n, inner = inner, m = m](auto zero) {
    using T = decltype(zero);
    // A chunk owns pieces of lines: of `inner` outputs, or of all along the last axis. It checks each piece just before
    // it reads through it, while the indices are in the L1 cache.
    const int64_t line = inner > 1 ? inner : m, lines = inner > 1 ? outer * m : outer;
    const int64_t piece = line < kPiece ? line : kPiece, pieces = (line + piece - 1) / piece;
    const int64_t moved = lines * line * static_cast<int64_t>(sizeof(int64_t) + 2 * sizeof(T));
    parallel_for(lines * pieces, kGrain / piece, [&](int64_t begin, int64_t end) {
      OutRows<T> rows(moved, piece);
      rows.start(static_cast<T*>(a.out) + begin / pieces * line + begin % pieces * piece);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t l = i / pieces, first = i % pieces * piece, count = first + piece < line ? piece : line - first;
        const int64_t* const index = a.index + l * line + first;
        const bool short_line = inner == 1 && pieces == 1 && is_short<T>(count, n), more = i + 1 < end;
        if (!all_inside(index, count, n, more && !short_line ? piece : 0))
          return __atomic_store_n(&outside, true, __ATOMIC_RELAXED);
        T* const out = rows.next();
        const T* const x = static_cast<const T*>(a.x) + (inner > 1 ? l / m : l) * n * inner;
        const int64_t* const next = more && short_line ? index + count : nullptr;
        if (inner > 1)
          for (int64_t k = 0; k < count; ++k) out[k] = x[index[k] * inner + first + k];
        else
          walk_line<T>(count, next, out + count, x + n, [&](int64_t k) FASTDL_BODY { out[k] = x[index[k]]; });
        rows.done(count);
      }
      rows.finish();
    });
  });
  if (outside) *a.bad_index = first_outside(a.index, outer * m * inner, n);
}

// Along the last axis: a line of indices for each line of x. A line is checked just before it is used; false as soon as
// one has an index outside.
template <class T, bool kAdd>
static bool scatter_in_lines(const ScatterArgs& a) {
  const int64_t n = a.g.n, m = a.g.m;
  bool inside = true;
  parallel_for(a.g.outer, kGrain / (m + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      T* const x = static_cast<T*>(a.x) + o * n;
      const int64_t* const index = a.index + o * m;
      const T* const source = static_cast<const T*>(a.source) + o * m;
      const bool short_line = is_short<T>(m, n), more = o + 1 < end;
      if (!all_inside(index, m, n, more && !short_line ? m : 0))
        return __atomic_store_n(&inside, false, __ATOMIC_RELAXED);
      const int64_t* const next = more && short_line ? index + m : nullptr;
      walk_line<T>(m, next, source + m, x + n, [&](int64_t j) FASTDL_BODY {
        x[index[j]] = kAdd ? static_cast<T>(x[index[j]] + source[j]) : source[j];
      });
    }
  });
  return inside;
}

template <class T, bool kAdd>
static bool scatter_lines(const ScatterArgs& a) {
  const auto [outer, n, inner, m] = a.g;
  if (inner == 1) return scatter_in_lines<T, kAdd>(a);
  if (first_outside(a.index, outer * m * inner, n)) return false;
  for_each_column_piece(outer, m, inner, [&, n = n, inner = inner, m = m](int64_t o, int64_t first, int64_t last) {
    T* const x = static_cast<T*>(a.x) + o * n * inner;
    for (int64_t j = 0; j < m; ++j) {
      const int64_t* const index = a.index + (o * m + j) * inner;
      const T* const source = static_cast<const T*>(a.source) + (o * m + j) * inner;
      for (int64_t k = first; k < last; ++k) {
        T& target = x[index[k] * inner + k];
        target = kAdd ? static_cast<T>(target + source[k]) : source[k];
      }
    }
  });
  return true;
}

void scatter_along(const ScatterArgs& a) {
  bool inside = true;
  if (a.add)
    visit_number(a.dtype, [&](auto zero) { inside = scatter_lines<decltype(zero), true>(a); });
  else
    visit_itemsize(itemsize_of(a.dtype), [&](auto zero) { inside = scatter_lines<decltype(zero), false>(a); });
  *a.bad_index = inside ? 0 : first_outside(a.index, a.g.outer * a.g.m * a.g.inner, a.g.n);
}

// ---- indices --------------------------------------------------------------------------------------------------------

void linear_index(const LinearIndexArgs& a) {
  a.bad[0] = 0;
  for (int k = 0; k < a.axes; ++k) {
    const int64_t size = a.sizes[k];
    for (int64_t i = 0; i < a.count; ++i) {
      if (a.index[k][i] >= -size && a.index[k][i] < size) continue;
      a.bad[0] = 1 + k, a.bad[1] = i;
      return;
    }
  }
  parallel_for(a.count, kGrain, [&](int64_t begin, int64_t end) {
    for (int k = 0; k < a.axes; ++k) {
      const int64_t size = a.sizes[k];
      const int64_t* const index = a.index[k];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = index[i] < 0 ? index[i] + size : index[i];
        a.out[i] = k == 0 ? at : a.out[i] * size + at;
      }
    }
  });
}

template <class T>
static void nonzero(const NonzeroArgs& a) {
  const T* const x = static_cast<const T*>(a.x);
  const int64_t n = a.shape.product(), chunks = (n + kGrain - 1) / kGrain;
  Scratch<int64_t> first(chunks + 1);
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    int64_t count = 0;
    for (int64_t i = begin; i < end; ++i) count += x[i] != T{0};
    first[begin / kGrain] = count;
  });
  *a.count = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t count = first[c];
    first[c] = *a.count;
    *a.count += count;
  }
  if (!a.out) return;
  const int rank = a.shape.n;
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    int64_t at = first[begin / kGrain];
    const int64_t last = end < n ? first[end / kGrain] : *a.count;
    if (rank == 1) {  // without a branch, but never past this chunk's places
      int64_t i = begin;
      for (; i < end && at < last; ++i) {
        a.out[at] = i;
        at += x[i] != T{0};
      }
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      if (x[i] == T{0}) continue;
      int64_t rest = i;
      for (int d = rank - 1; d >= 0; --d) {
        a.out[at * rank + d] = rest % a.shape[d];
        rest /= a.shape[d];
      }
      ++at;
    }
  });
}

void find_nonzero(const NonzeroArgs& a) {
  visit_any(a.dtype, [&](auto zero) { nonzero<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
