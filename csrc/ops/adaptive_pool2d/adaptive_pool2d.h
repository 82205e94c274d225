// Mean and maximum over a given number of windows that cover each plane.
#pragma once
#include "core/host_device.h"
#include "core/kernel.h"
#include "core/pool.h"

namespace fastdl {

// Window o of `out` windows over `in` elements is [start, end): sizes differ by at most 1, neighbours may share one.
FASTDL_HD int64_t adaptive_start(int64_t o, int64_t in, int64_t out) {
  return o * in / out;
}
FASTDL_HD int64_t adaptive_end(int64_t o, int64_t in, int64_t out) {
  return ((o + 1) * in + out - 1) / out;
}

struct AdaptiveSizes {
  int64_t planes, in_h, in_w, out_h, out_w;
};

struct AdaptiveAvgPool2dArgs {
  DType dtype;
  AdaptiveSizes s;
  const void* x;  // forward: input; backward: gradient of the output
  void* out;      // forward: output; backward: gradient of the input, every element is written
};

// The first maximum of a window wins; NaN wins over numbers, and over earlier NaN.
struct AdaptiveMaxPool2dArgs {
  DType dtype;
  AdaptiveSizes s;
  const void* x;
  void* out;
  void* indices;  // y * in_w + x of each maximum, int64
};

struct AdaptiveMaxPool2dBwdArgs {
  DType dtype;
  AdaptiveSizes s;
  const void* grad;
  const void* indices;
  DType index_dtype;   // int32 or int64
  void* grad_x;        // every element is written
  int64_t* bad_index;  // 1 + the position of the first index outside its plane, or 0 (LateFault)
};

}  // namespace fastdl

FASTDL_KERNEL(adaptive_avg_pool2d_fwd, AdaptiveAvgPool2dArgs)
FASTDL_KERNEL(adaptive_avg_pool2d_bwd, AdaptiveAvgPool2dArgs)
FASTDL_KERNEL(adaptive_max_pool2d_fwd, AdaptiveMaxPool2dArgs)
FASTDL_KERNEL(adaptive_max_pool2d_bwd, AdaptiveMaxPool2dBwdArgs)
