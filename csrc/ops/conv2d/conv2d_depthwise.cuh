// Depthwise convolution: one input channel a group. There is nothing to multiply as matrices: each number of x meets
// kernel_h * kernel_w * (out_channels / groups) weights, so the limit is memory bandwidth.
// Who owns what: a thread owns an output (forward) or an input (gradient by x); neighbours are neighbours in a row, and
// what their windows share comes from the L1 cache. A block owns a weight in the gradient by weight and sums over the
// pixels of the batch in a fixed order.
#pragma once
#include "cuda/planes.cuh"
#include "cuda/reduce.cuh"
#include "ops/conv2d/conv2d.h"
#include "ops/matmul/epilogue.cuh"

namespace fastdl {
namespace {

// The planes of an array in flat order, and the channels of each image.
struct Images {
  Planes planes;
  Divider channels;
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    depthwise_fwd(const T* x, const T* weight, T* out, int64_t n, Conv2dGeometry g, Images images, int multiplier,
                  Epilogue<T> epilogue) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = global_thread(); i < n; i += step) {
    const Place at = images.planes[i];
    const int64_t image = images.channels.divide(at.plane);
    const int channel = static_cast<int>(at.plane - image * g.out_channels);
    const T* plane = x + (image * g.in_channels + channel / multiplier) * g.in_h * g.in_w;
    // A warp mostly has one channel: its threads read the same weight, in one access.
    const T* w = weight + channel * g.kernel_h * g.kernel_w;
    T sum = 0;
    int64_t y = at.y * g.stride_h - g.pad_top;
    for (int64_t r = 0; r < g.kernel_h; ++r, y += g.dilation_h) {
      // Neighbours have one row, so they mostly skip it together.
      if (y < 0 || y >= g.in_h) continue;
      int64_t column = at.x * g.stride_w - g.pad_left;
      for (int64_t s = 0; s < g.kernel_w; ++s, column += g.dilation_w)
        if (column >= 0 && column < g.in_w) sum += plane[y * g.in_w + column] * w[r * g.kernel_w + s];
    }
    out[i] = epilogue(sum, channel, i);
  }
}

// Output position whose window has its tap at `from` = position + padding - tap * dilation, or -1. With a stride most
// taps miss; a divider finds out by a multiplication, but takes no negative numbers.
__device__ inline int64_t output_at(int64_t from, Divider stride, int64_t out) {
  if (from < 0) return -1;
  const int64_t position = stride.divide(from);
  return position * stride.divisor == from && position < out ? position : -1;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    depthwise_bwd_input(const T* grad, const T* weight, T* grad_x, int64_t n, Conv2dGeometry g, Images images,
                        int multiplier, Divider stride_h, Divider stride_w, Epilogue<T> epilogue) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock, out_plane = g.out_h * g.out_w;
  for (int64_t i = global_thread(); i < n; i += step) {
    const Place at = images.planes[i];
    const int64_t image = images.channels.divide(at.plane), channel = at.plane - image * g.in_channels;
    T sum = 0;
    // Gathered rather than scattered: no atomics, and the order of the additions is that of the loops.
    for (int64_t o = channel * multiplier; o < (channel + 1) * multiplier; ++o) {
      const T* plane = grad + (image * g.out_channels + o) * out_plane;
      const T* w = weight + o * g.kernel_h * g.kernel_w;
      for (int64_t r = 0; r < g.kernel_h; ++r) {
        const int64_t y = output_at(at.y + g.pad_top - r * g.dilation_h, stride_h, g.out_h);
        if (y < 0) continue;
        for (int64_t s = 0; s < g.kernel_w; ++s) {
          const int64_t column = output_at(at.x + g.pad_left - s * g.dilation_w, stride_w, g.out_w);
          if (column >= 0) sum += plane[y * g.out_w + column] * w[r * g.kernel_w + s];
        }
      }
    }
    grad_x[i] = epilogue(sum, channel);
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) depthwise_bwd_weight(const T* grad, const T* x, T* grad_weight,
                                                               Conv2dGeometry g, Planes out_planes, int multiplier) {
  // A block a tap of a channel: their numbers are below 2^31.
  const unsigned width = static_cast<unsigned>(g.kernel_w), taps = static_cast<unsigned>(g.kernel_h) * width;
  const unsigned channel = blockIdx.x / taps, tap = blockIdx.x % taps, in_channel = channel / multiplier;
  const int64_t from_y = tap / width * g.dilation_h - g.pad_top;
  const int64_t from_x = tap % width * g.dilation_w - g.pad_left, out_plane = g.out_h * g.out_w;
  T sum = 0;
  // Blocks of a channel's taps follow one another and read the same planes, mostly from the L2 cache. A thread's share
  // and the tree over threads are fixed by the shape: the same bits in every run.
  // Here a plane of `at` is an image: the block has one channel.
  for (int64_t i = threadIdx.x; i < g.batch * out_plane; i += kBlock) {
    const Place at = out_planes[i];
    const int64_t y = at.y * g.stride_h + from_y, column = at.x * g.stride_w + from_x;
    if (y < 0 || y >= g.in_h || column < 0 || column >= g.in_w) continue;
    const int64_t in_plane = at.plane * g.in_channels + in_channel;
    sum += grad[(at.plane * g.out_channels + channel) * out_plane + at.y * g.out_w + at.x] *
           x[(in_plane * g.in_h + y) * g.in_w + column];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) grad_weight[blockIdx.x] = sum;
}

}  // namespace
}  // namespace fastdl
