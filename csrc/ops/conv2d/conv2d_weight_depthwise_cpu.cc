// The gradient of depthwise weights on small planes, float32: rows shorter than a vector or two would leave most of it
// empty, so lanes are channels, and a vector of gradients meets the vectors that its taps read:
//
//   sums[tap][c] += sum over pixels p of grad[p][c] * x[p * stride + offset of tap][c]
//
// Both planes of kL channels are transposed once an image, to [row][column][kL], with zeros where the padding is; the
// sums of up to kTaps taps stay in registers for all its pixels. A chunk of work owns some blocks of kL channels and
// goes through the images in order.
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_weight-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kTaps = 9;
constexpr int64_t kWidestRow = 24;  // of outputs; longer rows fill vectors of pixels, without a transposition
constexpr double kChunkFlops = 1e6;

struct Sizes {
  Conv2dGeometry g;
  int64_t columns, lines, taps;
  explicit Sizes(const Conv2dGeometry& geometry) : g(geometry) {
    columns = (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1;
    lines = (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1;
    taps = g.kernel_h * g.kernel_w;
  }
};

template <int TAPS>
__attribute__((noinline)) void add_image(const Sizes& z, const int64_t* offsets, const float* x, const float* grads,
                                         float* sums) {
  const int64_t step = z.g.stride_w * kL, row_step = z.g.stride_h * z.columns * kL;
  V acc[TAPS];
#pragma GCC unroll 16
  for (int t = 0; t < TAPS; ++t) acc[t] = load<float>(sums + t * kL);
  for (int64_t y = 0; y < z.g.out_h; ++y, x += row_step) {
    const float* from = x;
    for (int64_t n = z.g.out_w; n > 0; --n, from += step, grads += kL) {
      const V g = load<float>(grads);
#pragma GCC unroll 16
      for (int t = 0; t < TAPS; ++t) acc[t] += g * load<float>(from + offsets[t]);
    }
  }
#pragma GCC unroll 16
  for (int t = 0; t < TAPS; ++t) store<float>(sums + t * kL, acc[t]);
}

using AddImage = void (*)(const Sizes&, const int64_t*, const float*, const float*, float*);
template <int... I>
AddImage add_image_of(int64_t taps, std::integer_sequence<int, I...>) {
  static constexpr AddImage kInstances[] = {&add_image<I + 1>...};
  return kInstances[taps - 1];
}

// The weights of channels [c0, c0 + kL).
void make_weights_of(const Conv2dBwdWeightArgs& p, const Sizes& z, const int64_t* offsets, int64_t c0, float* in,
                     float* grads, float* sums) {
  const Conv2dGeometry& g = z.g;
  const Images x{static_cast<const float*>(p.x), g.in_channels, g.in_h, g.in_w, -g.pad_top, -g.pad_left};
  const Images y{static_cast<const float*>(p.grad), g.out_channels, g.out_h, g.out_w, 0, 0};
  for (int64_t i = 0; i < z.taps * kL; ++i) sums[i] = 0.f;
  const int64_t tiles = (z.taps + kTaps - 1) / kTaps;
  for (int64_t image = 0; image < g.batch; ++image) {
    for (int64_t line = 0; line < z.lines; ++line)
      load_line(x, image, c0, x.top + line, z.columns, in + line * z.columns * kL);
    for (int64_t row = 0; row < g.out_h; ++row) load_line(y, image, c0, row, g.out_w, grads + row * g.out_w * kL);
    for (int64_t i = 0; i < tiles; ++i) {
      const int64_t t0 = z.taps * i / tiles, t1 = z.taps * (i + 1) / tiles;
      const AddImage add = add_image_of(t1 - t0, std::make_integer_sequence<int, kTaps>{});
      add(z, offsets + t0, in, grads, sums + t0 * kL);
    }
  }
  const int64_t left = g.in_channels - c0, n = left < kL ? left : kL;
  float* to = static_cast<float*>(p.grad_weight) + c0 * z.taps;
  for (int64_t c = 0; c < n; ++c)
    for (int64_t t = 0; t < z.taps; ++t) to[c * z.taps + t] = sums[t * kL + c];
}

}  // namespace

bool depthwise_serves_weights(DType dtype, const Conv2dGeometry& g) {
  return dtype == DType::kFloat32 && g.groups == g.in_channels && g.groups == g.out_channels && g.groups >= kL / 2 &&
         g.batch > 0 && g.out_w <= kWidestRow;
}

void weight_gradient_depthwise(const Conv2dBwdWeightArgs& p) {
  const Sizes z(p.g);
  Scratch<int64_t> offsets(z.taps);
  for (int64_t t = 0; t < z.taps; ++t) {
    const int64_t r = t / p.g.kernel_w, s = t % p.g.kernel_w;
    offsets[t] = (r * p.g.dilation_h * z.columns + s * p.g.dilation_w) * kL;
  }
  const double flops = 2.0 * kL * static_cast<double>(p.g.batch * p.g.out_h * p.g.out_w * z.taps);
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;
  parallel_for((p.g.in_channels + kL - 1) / kL, grain, [&](int64_t begin, int64_t end) {
    Scratch<float> in(z.lines * z.columns * kL), grads(p.g.out_h * p.g.out_w * kL), sums(z.taps * kL);
    for (int64_t i = begin; i < end; ++i) make_weights_of(p, z, offsets, i * kL, in, grads, sums);
  });
}

}  // namespace fastdl::FASTDL_ISA
