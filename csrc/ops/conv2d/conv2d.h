// 2-D convolution (cross-correlation, as in PyTorch), NCHW, and its three gradients.
//   out[n, o, y, x] = bias[o] + sum over c, r, s of in[n, c, y*stride + r*dilation - pad, ...] * weight[o, c, r, s]
// with c running over the input channels of o's group.
#pragma once
#include "core/array.h"
#include "core/host_device.h"
#include "core/kernel.h"
#include "ops/matmul/matmul.h"  // Activation

namespace fastdl {

struct Conv2dGeometry {
  int64_t batch, in_channels, in_h, in_w;
  int64_t out_channels, out_h, out_w;
  int64_t kernel_h, kernel_w;
  int64_t stride_h, stride_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  int64_t dilation_h, dilation_w;
  int64_t groups;
};

// Output size along one axis; below 1 when the dilated kernel is larger than the padded input.
FASTDL_HD int64_t conv_out_size(int64_t in, int64_t pad_before, int64_t pad_after, int64_t kernel, int64_t stride,
                                int64_t dilation) {
  const int64_t room = in + pad_before + pad_after - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

struct Conv2dFwdArgs {
  DType dtype;
  Conv2dGeometry g;
  const void* x;
  const void* weight;  // (out_channels, in_channels / groups, kernel_h, kernel_w)
  const void* bias;    // out_channels numbers, or null
  Activation activation;
  void* out;
  const void* residual = nullptr;  // as out, added before the activation; it must not share memory with out
  const void* prepared = nullptr;  // the weights as conv2d_prepare left them, on the CPU
  // Where not 0, x, out and residual lie with blocks of so many channels innermost, on the CPU: NCHWc, [image][channels
  // / block][pixel][block]. Kernels do that where it is the number of float32 in a vector; others take copies as NCHW.
  int64_t channel_block = 0;
  bool plain_x = false;  // but x lies as NCHW: fewer channels than a block has, of one group
};

// Weights, and a bias, as the kernel for a convolution packs or transforms them. `bytes` becomes the size of that, 0
// where it is not worth keeping; without a `to` that is all. Only the shapes, weight and bias of `fwd` count.
struct Conv2dPrepareArgs {
  Conv2dFwdArgs fwd;
  void* to;
  int64_t* bytes;
};

// Sets *block to the channel_block of the kernels in use.
struct ChannelBlockArgs {
  int64_t* block;
};

struct Conv2dBwdInputArgs {
  DType dtype;
  Conv2dGeometry g;
  const void* grad;  // of the output
  const void* weight;
  void* grad_x;  // every element is written
};

struct Conv2dBwdWeightArgs {
  DType dtype;
  Conv2dGeometry g;
  const void* grad;
  const void* x;
  void* grad_weight;  // every element is written
};

inline double conv2d_flops(const Conv2dGeometry& g) {
  return 2.0 * g.batch * g.out_channels * g.out_h * g.out_w * (g.in_channels / g.groups) * g.kernel_h * g.kernel_w;
}

}  // namespace fastdl

FASTDL_KERNEL(conv2d_fwd, Conv2dFwdArgs)
#if defined(FASTDL_DEVICE_CPU)
FASTDL_KERNEL(conv2d_prepare, Conv2dPrepareArgs)
FASTDL_KERNEL(conv2d_channel_block, ChannelBlockArgs)
#endif
FASTDL_KERNEL(conv2d_bwd_input, Conv2dBwdInputArgs)
FASTDL_KERNEL(conv2d_bwd_weight, Conv2dBwdWeightArgs)
