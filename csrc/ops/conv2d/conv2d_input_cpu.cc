// The gradient of the input, with the bias of a transposed convolution: Winograd at unit stride, else the direct
// kernels on one view for each residue of the pixels modulo the stride (conv2d_view-inl.h).
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_input-inl.h"
#include "ops/conv2d/conv2d_phases-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

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

// The bias, or zeros, in every pixel.
template <class T>
void fill_images(const Conv2dGeometry& g, const T* bias, T* out) {
  const int64_t plane = g.in_h * g.in_w;
  parallel_for(g.batch * g.in_channels, 1 + (1 << 18) / plane, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T value = bias ? bias[i % g.in_channels] : T{0};
      for (int64_t p = 0; p < plane; ++p) out[i * plane + p] = value;
    }
  });
}

ImageSum gradient_sum(const Conv2dGeometry& g) {
  return {
      g.batch, g.groups, g.out_channels / g.groups, g.in_channels / g.groups, g.in_h, g.in_w, g.kernel_h, g.kernel_w,
      1,       1};
}

// The gradient of the input is the convolution of the gradient with the rotated kernel, padded by what that leaves.
WinogradArgs winograd_gradient(const Conv2dBwdInputArgs& p, const ImageSum& s, const void* bias) {
  const Conv2dGeometry& g = p.g;
  WinogradArgs w = winograd_args(s, g.out_h, g.out_w);
  w.top = g.pad_top - (g.kernel_h - 1), w.left = g.pad_left - (g.kernel_w - 1);
  w.weight_m = g.kernel_h * g.kernel_w, w.weight_k = s.out_channels * w.weight_m, w.rotate = true;
  w.src = static_cast<const float*>(p.grad), w.weight = static_cast<const float*>(p.weight);
  w.bias = static_cast<const float*>(bias);
  w.out = static_cast<float*>(p.grad_x);
  return w;
}

}  // namespace

void make_images(const Conv2dBwdInputArgs& p, const void* bias) {
  const Conv2dGeometry& g = p.g;
  if (g.batch == 0 || g.in_h == 0 || g.in_w == 0) return;
  const ImageSum sum = gradient_sum(g);
  if (g.stride_h == 1 && g.stride_w == 1) {
    if (const WinogradForm form = winograd_form(p.dtype, g, sum, false); form != WinogradForm::kNone)
      return winograd_conv(form, winograd_gradient(p, sum, bias));
  }
  if (g.stride_h > 1 || g.stride_w > 1) {
    if (const ImageSum phase = largest_phase(g); use_winograd_for_phases(p.dtype, g, phase))
      return winograd_phases(p, static_cast<const float*>(bias));
  }
  if (blocks_serve(g)) return make_blocks(p, bias);
  if (phases_serve(g)) return make_phases(p, bias);
  // Strides beyond the kernel leave pixels that no output has read.
  if (leaves_gaps(g)) {
    visit_float(p.dtype, [&](auto zero) {
      using T = decltype(zero);
      fill_images(g, static_cast<const T*>(bias), static_cast<T*>(p.grad_x));
    });
  }
  Scratch<Tap> taps(g.kernel_h * g.kernel_w);
  for (int64_t y0 = 0; y0 < g.stride_h && y0 < g.in_h; ++y0) {
    for (int64_t x0 = 0; x0 < g.stride_w && x0 < g.in_w; ++x0) {
      View v = gradient_view(g, p.dtype, y0, x0, taps);
      if (v.num_taps == 0) continue;
      v.src = p.grad, v.weight = p.weight, v.bias = bias, v.activation = Activation::kNone, v.out = p.grad_x;
      conv_direct(v);
    }
  }
}

void conv2d_bwd_input(const Conv2dBwdInputArgs& p) {
  make_images(p, nullptr);
}

}  // namespace fastdl::FASTDL_ISA
