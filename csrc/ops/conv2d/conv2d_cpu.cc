// conv2d on the CPU: chooses an algorithm for each of the three directions (README.md has the rule and what it rests
// on).
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_weight-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

ImageSum forward_sum(const Conv2dGeometry& g) {
  return {g.batch,
          g.groups,
          g.in_channels / g.groups,
          g.out_channels / g.groups,
          g.out_h,
          g.out_w,
          g.kernel_h,
          g.kernel_w,
          g.stride_h,
          g.stride_w};
}

WinogradArgs winograd_forward(const Conv2dFwdArgs& p, const ImageSum& s) {
  const Conv2dGeometry& g = p.g;
  WinogradArgs w = winograd_args(s, g.in_h, g.in_w);
  w.top = -g.pad_top, w.left = -g.pad_left;
  w.weight_k = g.kernel_h * g.kernel_w, w.weight_m = s.channels * w.weight_k, w.rotate = false;
  w.src = static_cast<const float*>(p.x), w.weight = static_cast<const float*>(p.weight);
  w.bias = static_cast<const float*>(p.bias), w.activation = p.activation;
  w.out = static_cast<float*>(p.out);
  return w;
}

}  // namespace

void conv_direct(View& v) {
  if (v.pixels() == 0) return;
  join_rows(v);
  if (raster_serves(v)) return conv_raster(v);
  if (planes_serve(v)) return conv_planes(v);
  if (pixels_serve(v)) return conv_pixels(v);
  conv_panels(v);
}

void conv2d_fwd(const Conv2dFwdArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (g.batch == 0) return;
  const ImageSum s = forward_sum(g);
  if (const WinogradForm form = winograd_form(p.dtype, g, s); form != WinogradForm::kNone)
    return winograd_conv(form, winograd_forward(p, s));
  Scratch<Tap> taps(g.kernel_h * g.kernel_w);
  View v = forward_view(g, p.dtype, taps);
  v.src = p.x, v.weight = p.weight, v.bias = p.bias, v.activation = p.activation, v.out = p.out;
  conv_direct(v);
}

void conv2d_bwd_weight(const Conv2dBwdWeightArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (use_winograd_for_weights(p.dtype, g)) return winograd_weight_gradient(p);
  if (depthwise_serves_weights(p.dtype, g)) return weight_gradient_depthwise(p);
  if (planes_serve_weights(g)) return weight_gradient_planes(p);
  if (few_serve_weights(p.dtype, g)) return weight_gradient_few(p);
  if (lanes_serve_weights(p.dtype, g)) return weight_gradient_lanes(p);
  weight_gradient_panels(p);
}

}  // namespace fastdl::FASTDL_ISA
