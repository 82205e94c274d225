// Windows over planes: what max and average pooling and their inverses share.
#pragma once
#include "core/array.h"
#include "core/host_device.h"

namespace fastdl {

struct PoolGeometry {
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

}  // namespace fastdl
