// Mean over windows of each plane.
#pragma once
#include "core/kernel.h"
#include "core/pool.h"

namespace fastdl {

// out = sum of the window's elements inside the input / divisor.
struct AvgPool2dArgs {
  DType dtype;
  PoolGeometry g;          // dilation 1
  bool count_include_pad;  // whether padding counts as elements (of value 0)
  int64_t divisor;         // in place of the number of elements; 0: none
  const void* x;           // forward: input; backward: gradient of the output
  void* out;               // forward: output; backward: gradient of the input, every element is written
};

// The same with blocks of so many channels innermost (cpu/pool_nchwc-inl.h), of float32: planes count blocks.
struct AvgPool2dNchwcArgs {
  AvgPool2dArgs fwd;
  int64_t block;
};

// Elements of window `o` along one axis. In ceil mode a window may end outside the padding, and that part never counts.
FASTDL_HD int64_t window_elements(int64_t o, int64_t in, int64_t kernel, int64_t stride, int64_t pad, bool with_pad) {
  const int64_t start = o * stride - pad, limit = with_pad ? in + pad : in;
  const int64_t end = start + kernel < limit ? start + kernel : limit;
  return end - (start < 0 && !with_pad ? 0 : start);
}

}  // namespace fastdl

FASTDL_KERNEL(avg_pool2d_fwd, AvgPool2dArgs)
#if defined(FASTDL_DEVICE_CPU)
FASTDL_KERNEL(avg_pool2d_nchwc, AvgPool2dNchwcArgs)
#endif
FASTDL_KERNEL(avg_pool2d_bwd, AvgPool2dArgs)
