// The gradient of a table from what its lookups add to its rows: shared by embedding and embedding_bag.
#pragma once
#include "cuda/lookups.cuh"
#include "ops/embedding/embedding.h"

namespace fastdl {
namespace {

// Whether sorted lookup i is the first of its row, and the row is not left out. Bad lookups have row `rows`.
struct StartsRow {
  const unsigned* row;
  int64_t skip, rows;

  __device__ bool operator()(int64_t i) const {
    return (i == 0 || row[i] != row[i - 1]) && row[i] != skip && row[i] < rows;
  }
};

// Rows that were looked up are numbered in their order.
struct NumberRows {
  const unsigned* row;
  int64_t *slot, *rows;

  __device__ void operator()(int64_t i, bool first, int64_t upto) const {
    slot[i] = upto - 1;
    if (first) rows[upto - 1] = row[i];
  }
};

// Lookup i of `n` adds what `a` says, of `lines` lines. Bad indices are reported and add nothing.
template <class T, class I>
void add_to_table(const EmbeddingTable& t, const I* index, int64_t n, const Addends<T>& a, int64_t lines,
                  const EmbeddingGradient& g, FailureReport report, Stream stream) {
  RadixSort<unsigned> sorted(1, n);
  sort_lookups(sorted, index, n, t.rows, report, stream);
  const Lookups<unsigned> x = {sorted.keys(), sorted.places(), n};
  SumTarget<T> to = {static_cast<T*>(g.out), nullptr, g.padding, false, g.by_frequency};
  if (!g.touched_rows) {
    // A table is mostly rows without lookups: those are written at the speed of memory.
    set_zero(to.out, static_cast<size_t>(t.rows * t.width) * sizeof(T), stream);
    return sum_lookups(x, a, to, 1, lines, t.rows, t.width, stream);
  }
  const DeviceScratch<int64_t> slot(n);
  const Chosen<StartsRow> rows({x.target, g.padding, t.rows}, n, stream);
  rows.visit(NumberRows{x.target, slot, g.touched_rows}, stream);
  to.slot = slot;
  sum_lookups(x, a, to, 1, lines, t.rows, t.width, stream);
  *g.touched = rows.count();
}

template <class F>
void visit_index(DType t, F&& f) {
  if (t == DType::kInt32) return f(int32_t{});
  if (t == DType::kInt64) return f(int64_t{});
}

// f(number of T, indices as they are typed).
template <class F>
void visit_table(const EmbeddingTable& t, F&& f) {
  visit_index(t.index_dtype, [&](auto zero) {
    using I = decltype(zero);
    visit_float(t.dtype, [&](auto number) { f(number, static_cast<const I*>(t.index)); });
  });
}

// The same when all indices lie inside the table; else only the report.
template <class F>
void visit_checked_table(const EmbeddingTable& t, Stream stream, F&& f) {
  visit_index(t.index_dtype, [&](auto zero) {
    using I = decltype(zero);
    *t.bad_index = first_failure(OutsideRange<I>{static_cast<const I*>(t.index), t.rows}, t.count, stream);
  });
  if (*t.bad_index == 0) visit_table(t, f);
}

}  // namespace
}  // namespace fastdl
