// The axes of a convolution: which taps which pixel meets, forward and in each phase of the gradient of the input.
#pragma once
#include <numeric>

#include "core/error.h"
#include "cuda/launch.h"
#include "ops/conv2d/conv2d.h"

namespace fastdl {

// One axis of pixels and taps: tap t of pixel i reads start + i * stride + t * step, zero outside [0, size). What pixel
// i gives is written to out_start + i * out_stride.
struct WindowAxis {
  int size, pixels, stride, start, taps, step;
  int out_start, out_stride;
};

struct Axis {
  int in, out, kernel, stride, pad, dilation;
  int period;  // taps of a phase are this far apart: the least distance at which dilation adds up to whole strides

  // Phases that have pixels, and phases that have taps.
  __host__ __device__ int phases() const { return stride < in ? stride : in; }
  __host__ __device__ int slots() const { return period < kernel ? period : kernel; }
  __host__ __device__ int taps_of(int slot) const { return (kernel - 1 - slot) / period + 1; }
};

__device__ inline void find_forward_axis(const Axis& a, WindowAxis& w) {
  w.size = a.in, w.pixels = a.out, w.stride = a.stride, w.start = -a.pad, w.taps = a.kernel, w.step = a.dilation;
  w.out_start = 0, w.out_stride = 1;
}

// Phase `first`: pixels first, first + stride, ... Slot: their first tap, or -1 when no tap meets them; then one that
// must not be read.
// Both divisions below are exact, also of negative numbers: slot and period were chosen for that. So moving one tap of
// the phase on moves the output back by a whole number.
FASTDL_HD void find_gradient_axis(const Axis& a, int first, int& slot, WindowAxis& w) {
  slot = a.slots() - 1;
  while (slot >= 0 && slot * a.dilation % a.stride != (first + a.pad) % a.stride) --slot;
  w.size = a.out, w.pixels = (a.in - 1 - first) / a.stride + 1, w.stride = 1;
  w.start = slot < 0 ? 0 : (first + a.pad - slot * a.dilation) / a.stride;
  w.taps = slot < 0 ? 1 : a.taps_of(slot);
  w.step = -(a.period * a.dilation / a.stride);
  w.out_start = first, w.out_stride = a.stride;
}

// A column past the last tap is nowhere in the input: windows start at -pad or later, and 2^30 - pad lies beyond the
// end of the input, as a padded input has fewer than 2^30 rows.
constexpr int kNowhere = 1 << 30;

// Within a block positions and taps are counted in 32 bits. One window or one tap along an axis has no stride or
// dilation to speak of; without them the bound on the padded input is the bound on all sums of positions.
inline Axis axis_of(const char* op, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                    int64_t pad_after, int64_t dilation) {
  EXPECT(in + pad + pad_after < kNowhere, ValueError, op, "a padded input of fewer than 2^30 rows and columns",
         text(in, " with padding ", pad, " and ", pad_after));
  if (out <= 1) stride = 1;
  if (kernel == 1) dilation = 1;
  return {static_cast<int>(in),
          static_cast<int>(out),
          static_cast<int>(kernel),
          static_cast<int>(stride),
          static_cast<int>(pad),
          static_cast<int>(dilation),
          static_cast<int>(stride / std::gcd(stride, dilation))};
}

struct Axes2d {
  Axis y, x;
};
inline Axes2d axes_of(const char* op, const Conv2dGeometry& g) {
  EXPECT(g.batch <= 0x7fffffff, ValueError, op, "a batch of fewer than 2^31 images", text(g.batch));
  EXPECT(g.in_channels * g.in_h * g.in_w <= 0x7fffffff && g.out_channels * g.out_h * g.out_w <= 0x7fffffff, ValueError,
         op, "images of fewer than 2^31 elements",
         text("input ", g.in_channels, " x ", g.in_h, " x ", g.in_w, ", output ", g.out_channels, " x ", g.out_h, " x ",
              g.out_w));
  return {axis_of(op, g.in_h, g.out_h, g.kernel_h, g.stride_h, g.pad_top, g.pad_bottom, g.dilation_h),
          axis_of(op, g.in_w, g.out_w, g.kernel_w, g.stride_w, g.pad_left, g.pad_right, g.dilation_w)};
}

// One input channel a group would leave a tile with one group's few rows, and 63 of 64 products on zeros.
inline bool is_depthwise(const Conv2dGeometry& g) {
  return g.groups == g.in_channels && g.groups > 1;
}

// Images as matrices (channels, pixels), in the same order in and out.
inline bool is_pointwise(const Conv2dGeometry& g) {
  return g.kernel_h == 1 && g.kernel_w == 1 && g.stride_h == 1 && g.stride_w == 1 && g.pad_top == 0 &&
         g.pad_bottom == 0 && g.pad_left == 0 && g.pad_right == 0;
}

}  // namespace fastdl
