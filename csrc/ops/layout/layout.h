// Moving elements: a strided view of x (permuted, sliced or broadcast axes) to a contiguous output, and the reverse.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// out[i0, i1, ...] = x[offset + sum of i_k * stride[k]]; out is contiguous with `shape`.
// permute reorders the strides, slice scales them and sets the offset, broadcast_to sets some to 0.
struct GatherStridedArgs {
  int itemsize;  // 1, 4 or 8 bytes
  Dims shape;    // of out, merged
  Dims stride;   // in elements of x
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

}  // namespace fastdl

FASTDL_KERNEL(gather_strided, GatherStridedArgs)
FASTDL_KERNEL(scatter_strided, ScatterStridedArgs)
