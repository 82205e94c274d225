// Maximum over windows of each plane, with the index of the maximum for the gradient and for max unpooling.
#pragma once
#include "core/array.h"
#include "core/host_device.h"
#include "core/kernel.h"

namespace fastdl {

struct MaxPool2dGeometry {
  int64_t planes, in_h, in_w, out_h, out_w;  // planes = batch * channels
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w;
};

// PyTorch's rule: in ceil mode the last window must still start inside the input or its left padding.
FASTDL_HD int64_t pool_out_size(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation,
                                bool ceil_mode) {
  const int64_t room = in + 2 * pad - dilation * (kernel - 1) - 1;
  if (room < 0 && !(ceil_mode && room + stride - 1 >= 0)) return 0;
  int64_t out = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (out - 1) * stride >= in + pad) --out;
  return out;
}

// Padding counts as minus infinity; the first maximum of a window wins; NaN wins over numbers, and over earlier NaN.
struct MaxPool2dFwdArgs {
  DType dtype;
  MaxPool2dGeometry g;
  const void* x;
  void* out;
  int32_t* indices;  // y * in_w + x of each maximum, or null when not wanted
};

// grad_x[index] = sum of the output gradients of the windows whose maximum it is. Adds in a fixed order.
struct MaxPool2dBwdArgs {
  DType dtype;
  MaxPool2dGeometry g;
  const void* grad;
  const int32_t* indices;
  void* grad_x;        // every element is written
  int64_t* bad_index;  // one number on the host: 1 + the position of the first index outside its plane, or 0
};

}  // namespace fastdl

FASTDL_KERNEL(max_pool2d_fwd, MaxPool2dFwdArgs)
FASTDL_KERNEL(max_pool2d_bwd, MaxPool2dBwdArgs)
