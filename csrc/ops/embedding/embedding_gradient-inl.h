// The gradient of a table from what its lookups add to its rows: shared by embedding and embedding_bag.
#pragma once
#include "cpu/lookups-inl.h"
#include "ops/embedding/embedding.h"

namespace fastdl::FASTDL_ISA {

// Where the lookups of each row begin in the sorted ones, but for row `skip`; one more start ends the last row.
struct RowStarts {
  int64_t* rows;
  int64_t *begin, *end;
};
static int64_t find_rows(const Lookup* x, int64_t n, int64_t skip, const RowStarts& starts) {
  int64_t found = 0;
  for (int64_t i = 0; i < n;) {
    const int64_t row = row_of(x[i]);
    int64_t last = i + 1;
    while (last < n && row_of(x[last]) == row) ++last;
    if (row != skip) {
      starts.rows[found] = row;
      starts.begin[found] = i, starts.end[found] = last;
      ++found;
    }
    i = last;
  }
  return found;
}

// `n` indices, all inside the table; lookup i adds what `a` says.
template <class T, class Index>
static void add_to_table(const EmbeddingTable& t, const Index* index, int64_t n, const Addends<T>& a,
                         const EmbeddingGradient& g) {
  Scratch<Lookup> sorted(n), spare(n);
  sort_lookups(index, n, t.rows, sorted.get(), spare.get());
  T* const out = static_cast<T*>(g.out);
  const auto factor = [&](int64_t count) { return g.by_frequency ? T{1} / static_cast<T>(count) : T{1}; };
  if (!g.touched_rows) return sum_into_rows<T>(a, sorted, n, t.rows, g.padding, out, factor);

  Scratch<int64_t> begin(n), end(n);
  *g.touched = find_rows(sorted, n, g.padding, {g.touched_rows, begin, end});
  parallel_for(*g.touched, kSumGrain / (t.width + 1) + 1, [&](int64_t first, int64_t last) {
    for (int64_t u = first; u < last; ++u) {
      const int64_t count = end[u] - begin[u];
      const Lookup* const x = sorted + begin[u];
      a.scale ? sum_row<T, true, false>(a, x, count, sorted + n, factor(count), out + u * t.width)
              : sum_row<T, false, false>(a, x, count, sorted + n, factor(count), out + u * t.width);
    }
  });
}

// f(number of T, indices as they are typed) when all indices lie inside the table; else only the report.
template <class F>
static inline void visit_table(const EmbeddingTable& t, F&& f) {
  visit_index(t.index_dtype, [&](auto zero) {
    using Index = decltype(zero);
    const Index* const index = static_cast<const Index*>(t.index);
    *t.bad_index = first_outside(index, t.count, t.rows);
    if (*t.bad_index) return;
    visit_float(t.dtype, [&](auto number) { f(number, index); });
  });
}

}  // namespace fastdl::FASTDL_ISA
