// conv2d on the CPU: chooses an algorithm for each of the three directions (README.md has the rule and what it rests
// on).
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

void conv_direct(View& v) {
  if (v.pixels() == 0) return;
  join_rows(v);
  if (planes_serve(v)) return conv_planes(v);
  conv_panels(v);
}

// Whether some residue modulo the stride is met by no tap: taps lie at multiples of the dilation.
bool leaves_gaps(const Conv2dGeometry& g) {
  const auto met = [](int64_t stride, int64_t dilation, int64_t kernel) {
    int64_t residues = stride;  // stride / gcd(stride, dilation), as far as the kernel goes
    for (int64_t i = 1; i < stride; ++i) {
      if (i * dilation % stride == 0) {
        residues = i;
        break;
      }
    }
    return (residues < kernel ? residues : kernel) == stride;
  };
  return !met(g.stride_h, g.dilation_h, g.kernel_h) || !met(g.stride_w, g.dilation_w, g.kernel_w);
}

WinogradArgs winograd_forward(const Conv2dFwdArgs& p) {
  const Conv2dGeometry& g = p.g;
  WinogradArgs w{};
  w.batch = g.batch, w.channels = g.in_channels, w.height = g.in_h, w.width = g.in_w;
  w.out_channels = g.out_channels, w.rows = g.out_h, w.cols = g.out_w;
  w.top = -g.pad_top, w.left = -g.pad_left;
  w.weight_m = g.in_channels * 9, w.weight_k = 9, w.rotate = false;
  w.src = static_cast<const float*>(p.x), w.weight = static_cast<const float*>(p.weight);
  w.bias = static_cast<const float*>(p.bias), w.activation = p.activation;
  w.out = static_cast<float*>(p.out);
  return w;
}

// The gradient of the input is the convolution of the gradient with the rotated kernel, padded by what 2 leaves.
WinogradArgs winograd_gradient(const Conv2dBwdInputArgs& p) {
  const Conv2dGeometry& g = p.g;
  WinogradArgs w{};
  w.batch = g.batch, w.channels = g.out_channels, w.height = g.out_h, w.width = g.out_w;
  w.out_channels = g.in_channels, w.rows = g.in_h, w.cols = g.in_w;
  w.top = g.pad_top - 2, w.left = g.pad_left - 2;
  w.weight_m = 9, w.weight_k = g.in_channels * 9, w.rotate = true;
  w.src = static_cast<const float*>(p.grad), w.weight = static_cast<const float*>(p.weight);
  w.out = static_cast<float*>(p.grad_x);
  return w;
}

}  // namespace

void conv2d_fwd(const Conv2dFwdArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (g.batch == 0) return;
  if (use_winograd(p.dtype, g, g.out_h, g.out_w, kWinogradTiles)) return winograd_conv(winograd_forward(p));
  Scratch<Tap> taps(g.kernel_h * g.kernel_w);
  View v = forward_view(g, p.dtype, taps);
  v.src = p.x, v.weight = p.weight, v.bias = p.bias, v.activation = p.activation, v.out = p.out;
  conv_direct(v);
}

void conv2d_bwd_input(const Conv2dBwdInputArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (g.batch == 0 || g.in_h == 0 || g.in_w == 0) return;
  if (use_winograd(p.dtype, g, g.in_h, g.in_w, kWinogradTiles)) return winograd_conv(winograd_gradient(p));
  Scratch<Tap> taps(g.kernel_h * g.kernel_w);
  // Strides beyond the kernel leave pixels that no output has read.
  const int64_t bytes = g.batch * g.in_channels * g.in_h * g.in_w * static_cast<int64_t>(itemsize(p.dtype));
  if (leaves_gaps(g))
    parallel_for(bytes, 1 << 20, [&](int64_t begin, int64_t end) {
      __builtin_memset(static_cast<char*>(p.grad_x) + begin, 0, static_cast<size_t>(end - begin));
    });
  for (int64_t y0 = 0; y0 < g.stride_h && y0 < g.in_h; ++y0) {
    for (int64_t x0 = 0; x0 < g.stride_w && x0 < g.in_w; ++x0) {
      View v = gradient_view(g, p.dtype, y0, x0, taps);
      if (v.num_taps == 0) continue;
      v.src = p.grad, v.weight = p.weight, v.activation = Activation::kNone, v.out = p.grad_x;
      conv_direct(v);
    }
  }
}

void conv2d_bwd_weight(const Conv2dBwdWeightArgs& p) {
  const Conv2dGeometry& g = p.g;
  const bool large = g.in_channels * g.out_channels > kWinogradSums;
  const int64_t least_tiles = large ? kWinogradTilesOfSums : kWinogradTiles;
  if (use_winograd(p.dtype, g, g.out_h, g.out_w, least_tiles)) return winograd_weight_gradient(p);
  if (planes_serve_weights(g)) return weight_gradient_planes(p);
  weight_gradient_panels(p);
}

}  // namespace fastdl::FASTDL_ISA
