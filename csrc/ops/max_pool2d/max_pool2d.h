// Maximum over windows of each plane, with the index of the maximum for the gradient and for max unpooling.
#pragma once
#include "core/kernel.h"
#include "core/pool.h"

namespace fastdl {

// Padding counts as minus infinity; the first maximum of a window wins; NaN wins over numbers, and over earlier NaN.
struct MaxPool2dFwdArgs {
  DType dtype;
  PoolGeometry g;
  const void* x;
  void* out;
  void* indices;      // y * in_w + x of each maximum, or null when not wanted
  DType index_dtype;  // int32 or int64
};

// grad_x[index] = sum of the output gradients of the windows whose maximum it is. Adds in a fixed order.
struct MaxPool2dBwdArgs {
  DType dtype;
  PoolGeometry g;
  const void* grad;
  const void* indices;
  DType index_dtype;   // int32 or int64
  void* grad_x;        // every element is written
  int64_t* bad_index;  // one number (LateFault): the first index outside its plane
};

// Values alone, of float32 with blocks of so many channels innermost (cpu/pool_nchwc-inl.h): planes count blocks.
struct MaxPool2dNchwcArgs {
  PoolGeometry g;
  int64_t block;
  const void* x;
  void* out;
};

}  // namespace fastdl

FASTDL_KERNEL(max_pool2d_fwd, MaxPool2dFwdArgs)
#if defined(FASTDL_DEVICE_CPU)
FASTDL_KERNEL(max_pool2d_nchwc, MaxPool2dNchwcArgs)
#endif
FASTDL_KERNEL(max_pool2d_bwd, MaxPool2dBwdArgs)
