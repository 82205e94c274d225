// conv2d on the CPU: chooses an algorithm for each of the three directions (README.md has the rule and what it rests
// on).
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

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

}  // namespace

void conv_direct(View& v) {
  if (v.pixels() == 0) return;
  join_rows(v);
  if (planes_serve(v)) return conv_planes(v);
  conv_panels(v);
}

void conv2d_fwd(const Conv2dFwdArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (g.batch == 0) return;
  if (use_winograd(p.dtype, g, g.out_h, g.out_w, kWinogradTiles)) return winograd_conv(winograd_forward(p));
  Scratch<Tap> taps(g.kernel_h * g.kernel_w);
  View v = forward_view(g, p.dtype, taps);
  v.src = p.x, v.weight = p.weight, v.bias = p.bias, v.activation = p.activation, v.out = p.out;
  conv_direct(v);
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
