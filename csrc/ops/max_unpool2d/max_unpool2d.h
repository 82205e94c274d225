// Unpooling: values to places of larger planes, zeros elsewhere.
#pragma once
#include "core/kernel.h"

namespace fastdl {

struct UnpoolSizes {
  int64_t planes, in_h, in_w, out_h, out_w;
};

// Forward: out[index] = value, the last of several that meet. Backward: grad_x = grad[index].
struct MaxUnpool2dArgs {
  DType dtype;
  UnpoolSizes s;
  const void* x;        // forward: values; backward: gradient of the output
  const void* indices;  // y * out_w + x of each value
  DType index_dtype;    // int32 or int64
  void* out;            // every element is written
  int64_t* bad_index;   // 1 + the position of the first index outside its plane, or 0 (LateFault)
};

// "Bed of nails": each value to the upper left corner of a window. Backward: reads the corners.
struct BedOfNailsArgs {
  DType dtype;
  UnpoolSizes s;
  int64_t kernel_h, kernel_w;
  const void* x;
  void* out;  // every element is written
};

}  // namespace fastdl

FASTDL_KERNEL(max_unpool2d_fwd, MaxUnpool2dArgs)
FASTDL_KERNEL(max_unpool2d_bwd, MaxUnpool2dArgs)
FASTDL_KERNEL(bed_of_nails_fwd, BedOfNailsArgs)
FASTDL_KERNEL(bed_of_nails_bwd, BedOfNailsArgs)
