// Winograd convolution of kernels of two axes: M x M outputs from patches of 6x6 (conv2d_winograd-inl.h has the
// transforms, conv2d_winograd_conv-inl.h the rest).
#include "ops/conv2d/conv2d_winograd_conv-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

template <int M>
struct SquareForm : Squares<kPatch, M> {
  static constexpr int kTaps = kPatch + 1 - M, kRows = kPatch, kCols = kPatch;

  static Reached reached(const WinogradArgs& p, int64_t view) {
    return {reaches_last(p.views_y, view / p.views_x.count, p.kernel_h) ? kRows : kRows - 1,
            reaches_last(p.views_x, view % p.views_x.count, p.kernel_w) ? kCols : kCols - 1};
  }

  static void transform_kernel(const WinogradArgs& p, int64_t view, Reached all, const float* taps, float* to,
                               int64_t stride) {
    const int64_t y0 = p.views_y.offset(view / p.views_x.count), x0 = p.views_x.offset(view % p.views_x.count);
    V half[kTaps][kPatch];  // of each row of the kernel
#pragma GCC unroll 8
    for (int r = 0; r < kTaps; ++r) {
      const int64_t y = y0 + r * p.views_y.step;
      V row[kTaps];
#pragma GCC unroll 8
      for (int s = 0; s < kTaps; ++s) {
        const int64_t x = x0 + s * p.views_x.step, tap = y * p.kernel_w + x;
        const bool there = y < p.kernel_h && x < p.kernel_w;
        row[s] = there ? load<float>(taps + (p.rotate ? p.kernel_h * p.kernel_w - 1 - tap : tap) * kL) : V{};
      }
      transform_weights<kTaps>(row, half[r]);
    }
#pragma GCC unroll 8
    for (int j = 0; j < kPatch; ++j) {
      if (j >= all.cols) break;
      V column[kTaps], t[kPatch];
#pragma GCC unroll 8
      for (int r = 0; r < kTaps; ++r) column[r] = half[r][j];
      transform_weights<kTaps>(column, t);
#pragma GCC unroll 8
      for (int i = 0; i < kPatch; ++i)
        if (i < all.rows) store<float>(to + (i * kPatch + j) * stride, t[i]);
    }
  }

  FASTDL_INLINE void finish_tile(const float* m, int64_t stride, V bias, Activation activation, float* lines,
                                 int64_t line) {
    finish_square<M>(m, stride, bias, activation, lines, line);
  }
};

template <class Visit>
auto visit_form(const WinogradArgs& p, Visit&& visit) {
  if (p.views_y.taps == 2) return visit(SquareForm<5>{});
  if (p.views_y.taps == 3) return visit(SquareForm<4>{});
  if (p.views_y.taps == 4) return visit(SquareForm<3>{});
  return visit(SquareForm<2>{});
}

}  // namespace

void winograd_conv(WinogradForm form, const WinogradArgs& p) {
  if (form == WinogradForm::kLines) return winograd_lines(p);
  if (form == WinogradForm::kFew) return winograd_few(p);
  if (form == WinogradForm::kSmall) return winograd_small(p);
  visit_form(p, [&](auto square) { conv_of<decltype(square)>(p); });
}

int64_t winograd_weights(WinogradForm form, const WinogradArgs& p) {
  if (form == WinogradForm::kFew) return 0;
  if (form == WinogradForm::kLines) return winograd_line_weights(p);
  if (form == WinogradForm::kSmall) return winograd_small_weights(p);
  return visit_form(p, [&](auto square) { return weights_of<decltype(square)>(p); });
}

void winograd_prepare(WinogradForm form, const WinogradArgs& p, float* to) {
  if (form == WinogradForm::kLines) return winograd_prepare_lines(p, to);
  if (form == WinogradForm::kSmall) return winograd_prepare_small(p, to);
  visit_form(p, [&](auto square) { prepare_of<decltype(square)>(p, to); });
}

}  // namespace fastdl::FASTDL_ISA
