// Checks and outputs that embedding and embedding_bag share.
#pragma once
#include "bind/call.h"
#include "bind/host_numbers.h"
#include "ops/embedding/embedding.h"

namespace fastdl {
namespace embedding_binding {

constexpr int64_t kMost = int64_t{1} << 32;  // lookups, and rows: a sort moves both in one number of 64 bits

inline void expect_index(const char* op, const Array& index) {
  EXPECT(index.dtype == DType::kInt32 || index.dtype == DType::kInt64, TypeError, op,
         text("index of dtype int32 or int64"), text(index.dtype));
  EXPECT(index.size < kMost, ValueError, op, text("fewer than 2^32 indices"), text(index.size));
}
inline void expect_rows(const char* op, int64_t rows) {
  EXPECT(rows >= 0 && rows < kMost, ValueError, op, text("a table of fewer than 2^32 rows"), text(rows));
}
inline EmbeddingTable table(const char* op, DType dtype, int64_t rows, int64_t width, const Array& index,
                            int64_t* bad) {
  expect_rows(op, rows);
  expect_index(op, index);
  return {dtype, index.dtype, rows, width, index.size, index.data, bad};
}
inline void expect_weight(const char* op, const Array& weight) {
  expect_float(op, "weight", weight);
  expect_ndim(op, "weight", weight, 2);
}

// ---- gradients ------------------------------------------------------------------------------------------------------

// What a gradient is written to: all rows of the table, or the touched ones and their numbers.
struct GradientTarget {
  Array values, rows;
  int64_t touched = 0;
};
inline GradientTarget gradient_target(const EmbeddingTable& t, bool all_rows) {
  refuse_recording("embedding_bwd");
  GradientTarget to;
  Dims shape, count;
  shape.n = 2, shape[0] = all_rows ? t.rows : t.count, shape[1] = t.width;
  count.n = 1, count[0] = t.count;
  to.values = empty(shape, t.dtype);
  if (!all_rows) to.rows = empty(count, DType::kInt64);
  return to;
}
// The arrays were made for as many rows as there are lookups.
inline py::object finished(GradientTarget& to, bool all_rows) {
  if (all_rows) return py::cast(std::move(to.values));
  to.rows.shape[0] = to.values.shape[0] = to.touched;
  to.rows.size = to.touched, to.values.size = to.touched * to.values.dim(1);
  return py::make_tuple(std::move(to.rows), std::move(to.values));
}
inline EmbeddingGradient gradient(GradientTarget& to, int64_t padding, bool by_frequency) {
  return {padding, by_frequency, to.values.data, static_cast<int64_t*>(to.rows.data), &to.touched};
}

}  // namespace embedding_binding

void bind_embedding_bag(py::module_& m);

}  // namespace fastdl
