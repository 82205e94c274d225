// Moving elements: a strided view of x (permuted, sliced, reversed or broadcast axes) to a contiguous output, and the
// reverse; axes that go on beyond their ends (pad, roll); triangles of matrices.
#pragma once
#include "core/array.h"
#include "core/host_device.h"
#include "core/kernel.h"

namespace fastdl {

// out[i0, i1, ...] = x[offset + sum of i_k * stride[k]]; out is contiguous with `shape`.
// permute reorders the strides, slice scales them and sets the offset, broadcast_to sets some to 0, flip negates some.
struct GatherStridedArgs {
  int itemsize;  // 1, 4 or 8 bytes
  Dims shape;    // of out, merged
  Dims stride;   // in elements of x; below 0: the axis backwards
  int64_t offset;
  const void* x;
  void* out;
};

// The reverse: out[offset + sum of i_k * stride[k]] = x[i0, i1, ...]; x is contiguous. Other elements of out stay as
// they are. concat is one call for each input; the gradient of slice is one call into zeros.
struct ScatterStridedArgs {
  int itemsize;
  Dims shape;   // of x, merged
  Dims stride;  // in elements of out; no two elements meet
  int64_t offset;
  const void* x;
  void* out;
};

// ---- axes that go on beyond their ends ------------------------------------------------------------------------------

// x0 x1 x2 x3 goes on as     kReflect    .. x2 x1 [x0 x1 x2 x3] x2 x1 ..
//                            kReplicate  .. x0 x0 [x0 x1 x2 x3] x3 x3 ..
//                            kCircular   .. x2 x3 [x0 x1 x2 x3] x0 x1 ..
enum class Extension { kReflect, kReplicate, kCircular };

// The part of such an axis that an output has: m elements, in which x begins at `start` (which may lie before it).
struct Extended {
  int64_t n, m, start;
};

// The element of x that stands at place p of the axis, 0 <= p < n being x itself.
FASTDL_HD int64_t taken_from(Extension mode, int64_t n, int64_t p) {
  if (p >= 0 && p < n) return p;
  if (mode == Extension::kReflect) return p < 0 ? -p : 2 * (n - 1) - p;
  if (mode == Extension::kReplicate) return p < 0 ? 0 : n - 1;
  return p < 0 ? p + n : p - n;
}

// The places of the output that have element j of x, in three ranges: of the axis itself, before it and after it.
struct Places {
  int64_t first, end;
};
constexpr int kSides = 3;
FASTDL_HD Places places_of(Extension mode, const Extended& a, int64_t j, int side) {
  Places p{a.start + j, a.start + j + 1};
  if (side > 0 && mode == Extension::kReplicate) {
    p = side == 1 ? Places{0, j == 0 ? a.start : 0} : Places{a.start + a.n, j == a.n - 1 ? a.m : 0};
  } else if (side > 0 && mode == Extension::kReflect) {
    const int64_t mirror = side == 1 ? 0 : a.n - 1;
    p.first = a.start + 2 * mirror - j;
    p.end = p.first + (j == mirror ? 0 : 1);  // the mirror itself is not repeated
  } else if (side > 0) {
    p.first += side == 1 ? -a.n : a.n;
    p.end = p.first + 1;
  }
  return {p.first > 0 ? p.first : 0, p.end < a.m ? p.end : a.m};
}

// pad, and roll, which is a circular extension of which the output has as many elements as x.
struct ExtendArgs {
  int itemsize;  // 1, 4 or 8 bytes
  Extension mode;
  int rank;  // merged
  Extended axis[kMaxDims];
  const void* x;
  void* out;
};

// out[j] = the sum of grad over the places of j; of the last three axes.
struct FoldArgs {
  DType dtype;
  Extension mode;
  int64_t outer;
  Extended axis[3];
  const void* grad;
  void* out;
};

// ---- triangles ------------------------------------------------------------------------------------------------------

// out[b, i, j] = x[b, i, j] where j - i <= diagonal (lower) or >= diagonal (upper), else 0.
struct TriangleArgs {
  int itemsize;
  bool lower;
  int64_t matrices, rows, columns;
  int64_t diagonal;  // from -rows to columns
  const void* x;
  void* out;
};

}  // namespace fastdl

FASTDL_KERNEL(gather_strided, GatherStridedArgs)
FASTDL_KERNEL(scatter_strided, ScatterStridedArgs)
FASTDL_KERNEL(extend, ExtendArgs)
FASTDL_KERNEL(fold_extended, FoldArgs)
FASTDL_KERNEL(triangle, TriangleArgs)
