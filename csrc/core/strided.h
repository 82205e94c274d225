// Shapes of several operands: broadcasting, strides and the merging of axes. Used by bindings, before a kernel runs.
#pragma once
#include "core/error.h"

namespace fastdl {

// Strides in elements of a contiguous array.
inline Dims contiguous_strides(const Dims& shape) {
  Dims stride;
  stride.n = shape.n;
  int64_t step = 1;
  for (int i = shape.n - 1; i >= 0; --i) stride[i] = step, step *= shape[i];
  return stride;
}

// The common shape: axes are matched from the last one, sizes are equal or one of them is 1.
inline Dims broadcast_shapes(const char* op, const Dims& a, const Dims& b) {
  Dims out;
  out.n = a.n > b.n ? a.n : b.n;
  for (int i = 1; i <= out.n; ++i) {
    const int64_t da = i <= a.n ? a[a.n - i] : 1, db = i <= b.n ? b[b.n - i] : 1;
    EXPECT(da == db || da == 1 || db == 1, ValueError, op, "shapes that broadcast", text(a, " and ", b));
    out[out.n - i] = da == 1 ? db : da;
  }
  return out;
}

// Strides with which a contiguous array of shape `from` is read as `to`: 0 along the axes that it repeats.
inline Dims broadcast_strides(const Dims& from, const Dims& to) {
  const Dims stride = contiguous_strides(from);
  Dims out;
  out.n = to.n;
  for (int i = 1; i <= to.n; ++i) out[to.n - i] = i <= from.n && from[from.n - i] != 1 ? stride[from.n - i] : 0;
  return out;
}

// Drops axes of size 1 and joins neighbours that every operand walks with one stride. At least one axis is left.
template <int N>
void merge_axes(Dims& shape, Dims* const (&strides)[N]) {
  int n = 0;
  for (int i = 0; i < shape.n; ++i) {
    if (shape[i] == 1) continue;
    bool joins = n > 0;
    for (Dims* s : strides) joins = joins && (*s)[n - 1] == (*s)[i] * shape[i];
    const int to = joins ? n - 1 : n++;
    shape[to] = joins ? shape[to] * shape[i] : shape[i];
    for (Dims* s : strides) (*s)[to] = (*s)[i];
  }
  if (n == 0) {
    shape[0] = 1, n = 1;
    for (Dims* s : strides) (*s)[0] = 1;
  }
  shape.n = n;
  for (Dims* s : strides) s->n = n;
}

}  // namespace fastdl
