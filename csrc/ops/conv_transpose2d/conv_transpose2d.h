// 2-D transposed convolution, NCHW: the gradient of a convolution's input as an operation of its own,
//   out[n, o, y*stride + r*dilation - pad, ...] = bias[o] + sum over c, r, s of x[n, c, y, x] * weight[c, o, r, s]
// with c running over the input channels of o's group. Its own gradients are that convolution's forward pass and its
// gradient of the weight, so the two take `Conv2dFwdArgs` and `Conv2dBwdWeightArgs` and have no kernels here.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace fastdl {

struct ConvTranspose2dFwdArgs {
  DType dtype;
  Conv2dGeometry g;    // of the convolution: its input is `out`, its output is `x`
  const void* x;       // (batch, g.out_channels, g.out_h, g.out_w)
  const void* weight;  // (g.out_channels, g.in_channels / groups, kernel_h, kernel_w)
  const void* bias;    // g.in_channels numbers, or null
  void* out;           // (batch, g.in_channels, g.in_h, g.in_w)
};

// Output size along one axis; below 1 when the padding cuts everything off.
FASTDL_HD int64_t conv_transpose_out_size(int64_t in, int64_t pad, int64_t output_pad, int64_t kernel, int64_t stride,
                                          int64_t dilation) {
  return (in - 1) * stride - 2 * pad + dilation * (kernel - 1) + output_pad + 1;
}

}  // namespace fastdl

FASTDL_KERNEL(conv_transpose2d_fwd, ConvTranspose2dFwdArgs)
