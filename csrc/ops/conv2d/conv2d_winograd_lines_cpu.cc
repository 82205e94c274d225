// Winograd convolution of kernels of one axis, 1xn and nx1, and of sequences: tiles are lines of pixels along that
// axis, 8 inputs for M outputs of R taps, M + R = 9. Longer kernels and strides are views, as for squares:
//
//   1x7   taps 0 1 2 3 | 4 5 6 .   two views of R = 4: 16 products (15 without those of the tap that is none) make 5
//                                  outputs instead of 35
//
//   F(M, R)   Y = A' [ (G w) . (B' x) ]   summed over input channels
//
// All matrices belong to the points 0, +-1/2, +-1, +-2 and infinity. One transform in a row is as exact with 8 points
// as two with 6.
#include "ops/conv2d/conv2d_winograd_conv-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kLine = static_cast<int>(kWinogradLine);
constexpr float kPoints[] = {0.5f, 1, 2};

// The product of z - q^2 for the points q other than p is z^2 + at<1> z + at<0>; `norm` is the derivative of
// x (x^2 - 1/4) (x^2 - 1) (x^2 - 4) at p.
struct Others {
  float at0, at1, norm;
};
constexpr Others others_of(int i) {
  const float a = kPoints[(i + 1) % 3], b = kPoints[(i + 2) % 3], p2 = kPoints[i] * kPoints[i];
  return {a * a * b * b, -(a * a + b * b), 2 * p2 * (p2 - a * a) * (p2 - b * b)};
}
constexpr Others kOthers[] = {others_of(0), others_of(1), others_of(2)};

// B': eight inputs. 5.25 is the sum of the squares of the points, and that of the products of two of them.
FASTDL_INLINE void transform_inputs(const V* d, V* t) {
  t[0] = (d[0] - d[6]) + 5.25f * (d[4] - d[2]);
#pragma GCC unroll 4
  for (int i = 0; i < 3; ++i) {
    const V even = d[6] + (kOthers[i].at1 * d[4] + kOthers[i].at0 * d[2]);
    const V odd = d[5] + (kOthers[i].at1 * d[3] + kOthers[i].at0 * d[1]);
    t[1 + 2 * i] = even + kPoints[i] * odd;
    t[2 + 2 * i] = even - kPoints[i] * odd;
  }
  t[7] = (d[7] - d[1]) + 5.25f * (d[3] - d[5]);
}

// G: R weights.
template <int R>
FASTDL_INLINE void transform_taps(const V* w, V* t) {
  t[0] = w[0];
#pragma GCC unroll 4
  for (int i = 0; i < 3; ++i) {
    V even = w[0] * (1 / kOthers[i].norm), odd = w[1] * (kPoints[i] / kOthers[i].norm);
#pragma GCC unroll 8
    for (int r = 2; r < R; ++r) (r % 2 ? odd : even) += power(kPoints[i], r) / kOthers[i].norm * w[r];
    t[1 + 2 * i] = even + odd;
    t[2 + 2 * i] = even - odd;
  }
  t[7] = w[R - 1];
}

// A': eight products make M outputs.
template <int M>
FASTDL_INLINE void make_line(const V* m, V* y) {
  V sums[3], differences[3];
#pragma GCC unroll 4
  for (int i = 0; i < 3; ++i) sums[i] = m[1 + 2 * i] + m[2 + 2 * i], differences[i] = m[1 + 2 * i] - m[2 + 2 * i];
#pragma GCC unroll 8
  for (int j = 0; j < M; ++j) {
    const V* v = j % 2 ? differences : sums;
    const V rest = j == 0 ? m[0] : j == M - 1 ? m[7] : V{};
    y[j] = (power(kPoints[0], j) * v[0] + v[1]) + (power(kPoints[2], j) * v[2] + rest);
  }
}

template <int M, bool DOWN>
struct LineForm {
  static constexpr int kHigh = DOWN ? kLine : 1, kWide = DOWN ? 1 : kLine, kDown = DOWN ? M : 1, kAcross = DOWN ? 1 : M;
  static constexpr int kTaps = kLine + 1 - M, kRows = 1, kCols = kLine;

  FASTDL_INLINE void transform_row(const float* const* lines, int64_t across, float* to, int64_t stride) {
    for (int64_t t = 0; t < across; ++t) {
      V d[kLine], u[kLine];
#pragma GCC unroll 8
      for (int i = 0; i < kLine; ++i) d[i] = load<float>(DOWN ? lines[i] + t * kL : lines[0] + (t * M + i) * kL);
      transform_inputs(d, u);
#pragma GCC unroll 8
      for (int i = 0; i < kLine; ++i) store<float>(to + i * stride + t * kL, u[i]);
    }
  }

  static Reached reached(const WinogradArgs& p, int64_t view) {
    return {1, reaches_last(DOWN ? p.views_y : p.views_x, view, DOWN ? p.kernel_h : p.kernel_w) ? kCols : kCols - 1};
  }

  static void transform_kernel(const WinogradArgs& p, int64_t view, Reached all, const float* taps, float* to,
                               int64_t stride) {
    const Views& views = DOWN ? p.views_y : p.views_x;
    const int64_t kernel = p.kernel_h * p.kernel_w;
    V w[kTaps], t[kLine];
#pragma GCC unroll 8
    for (int r = 0; r < kTaps; ++r) {
      const int64_t tap = views.offset(view) + r * views.step;
      w[r] = tap < kernel ? load<float>(taps + (p.rotate ? kernel - 1 - tap : tap) * kL) : V{};
    }
    transform_taps<kTaps>(w, t);
#pragma GCC unroll 8
    for (int i = 0; i < kLine; ++i)
      if (i < all.cols) store<float>(to + i * stride, t[i]);
  }

  FASTDL_INLINE void finish_tile(const float* m, int64_t stride, V bias, Activation activation, float* lines,
                                 int64_t line) {
    V products[kLine], y[M];
#pragma GCC unroll 8
    for (int i = 0; i < kLine; ++i) products[i] = load<float>(m + i * stride);
    make_line<M>(products, y);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      V v = y[i] + bias;
      if (activation == Activation::kRelu) v = max_nan<float>(v, V{});
      store<float>(lines + i * (DOWN ? line : kL), v);
    }
  }
};

template <bool DOWN, class Visit>
auto visit_along(int64_t taps, Visit&& visit) {
  if (taps == 2) return visit(LineForm<7, DOWN>{});
  if (taps == 3) return visit(LineForm<6, DOWN>{});
  if (taps == 4) return visit(LineForm<5, DOWN>{});
  return visit(LineForm<4, DOWN>{});
}
template <class Visit>
auto visit_form(const WinogradArgs& p, Visit&& visit) {
  return p.kernel_h > 1 ? visit_along<true>(p.views_y.taps, visit) : visit_along<false>(p.views_x.taps, visit);
}

}  // namespace

void winograd_lines(const WinogradArgs& p) {
  visit_form(p, [&](auto line) { conv_of<decltype(line)>(p); });
}

int64_t winograd_line_weights(const WinogradArgs& p) {
  return visit_form(p, [&](auto line) { return weights_of<decltype(line)>(p); });
}

void winograd_prepare_lines(const WinogradArgs& p, float* to) {
  visit_form(p, [&](auto line) { prepare_of<decltype(line)>(p, to); });
}

}  // namespace fastdl::FASTDL_ISA
