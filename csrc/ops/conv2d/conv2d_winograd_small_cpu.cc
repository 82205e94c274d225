// Winograd convolution of 3x3 kernels at unit steps in tiles of 2x2 outputs from patches of 4x4 inputs: 16 products for
// 36. Tiles of 4x4 take 9 instead of 16 for the same outputs, but 36 transformed numbers for each kernel instead of 16:
// where few tiles share kept weights, these are what takes the time, since they come from memory.
//
// All matrices belong to the points 0, +-1 and infinity.
#include "ops/conv2d/conv2d_winograd_conv-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kSmall = static_cast<int>(kWinogradSmall);

// B': four inputs.
FASTDL_INLINE void transform_inputs(const V* d, V* t) {
  t[0] = d[0] - d[2];
  t[1] = d[1] + d[2];
  t[2] = d[2] - d[1];
  t[3] = d[1] - d[3];
}

// G: three weights.
FASTDL_INLINE void transform_taps(const V* w, V* t) {
  const V even = 0.5f * (w[0] + w[2]), odd = 0.5f * w[1];
  t[0] = w[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = w[2];
}

// A': four products make two outputs.
FASTDL_INLINE void make_pair(const V* m, V* y) {
  y[0] = m[0] + (m[1] + m[2]);
  y[1] = (m[1] - m[2]) - m[3];
}

struct SmallForm {
  static constexpr int kHigh = kSmall, kWide = kSmall, kDown = 2, kAcross = 2;
  static constexpr int kTaps = 3, kRows = kSmall, kCols = kSmall;

  FASTDL_INLINE void transform_row(const float* const* lines, int64_t across, float* to, int64_t stride) {
    for (int64_t t = 0; t < across; ++t) {
      V half[kSmall][kSmall];
#pragma GCC unroll 4
      for (int x = 0; x < kSmall; ++x) {
        V d[kSmall], column[kSmall];
#pragma GCC unroll 4
        for (int i = 0; i < kSmall; ++i) d[i] = load<float>(lines[i] + (t * kAcross + x) * kL);
        transform_inputs(d, column);
#pragma GCC unroll 4
        for (int i = 0; i < kSmall; ++i) half[i][x] = column[i];
      }
#pragma GCC unroll 4
      for (int i = 0; i < kSmall; ++i) {
        V row[kSmall];
        transform_inputs(half[i], row);
#pragma GCC unroll 4
        for (int j = 0; j < kSmall; ++j) store<float>(to + (i * kSmall + j) * stride + t * kL, row[j]);
      }
    }
  }

  static Reached reached(const WinogradArgs&, int64_t) { return kAllPositions<SmallForm>; }

  static void transform_kernel(const WinogradArgs& p, int64_t, Reached, const float* taps, float* to, int64_t stride) {
    V half[kTaps][kSmall];  // of each row of the kernel
#pragma GCC unroll 4
    for (int r = 0; r < kTaps; ++r) {
      V row[kTaps];
#pragma GCC unroll 4
      for (int s = 0; s < kTaps; ++s) {
        const int tap = r * kTaps + s;
        row[s] = load<float>(taps + (p.rotate ? kTaps * kTaps - 1 - tap : tap) * kL);
      }
      transform_taps(row, half[r]);
    }
#pragma GCC unroll 4
    for (int j = 0; j < kSmall; ++j) {
      const V column[kTaps] = {half[0][j], half[1][j], half[2][j]};
      V t[kSmall];
      transform_taps(column, t);
#pragma GCC unroll 4
      for (int i = 0; i < kSmall; ++i) store<float>(to + (i * kSmall + j) * stride, t[i]);
    }
  }

  FASTDL_INLINE void finish_tile(const float* m, int64_t stride, V bias, Activation activation, float* lines,
                                 int64_t line) {
    V half[kDown][kSmall];
#pragma GCC unroll 4
    for (int j = 0; j < kSmall; ++j) {
      V column[kSmall], y[kDown];
#pragma GCC unroll 4
      for (int i = 0; i < kSmall; ++i) column[i] = load<float>(m + (i * kSmall + j) * stride);
      make_pair(column, y);
      half[0][j] = y[0], half[1][j] = y[1];
    }
#pragma GCC unroll 4
    for (int i = 0; i < kDown; ++i) {
      V y[kAcross];
      make_pair(half[i], y);
#pragma GCC unroll 4
      for (int j = 0; j < kAcross; ++j) {
        V v = y[j] + bias;
        if (activation == Activation::kRelu) v = max_nan<float>(v, V{});
        store<float>(lines + i * line + j * kL, v);
      }
    }
  }
};

}  // namespace

void winograd_small(const WinogradArgs& p) {
  conv_of<SmallForm>(p);
}

int64_t winograd_small_weights(const WinogradArgs& p) {
  return weights_of<SmallForm>(p);
}

void winograd_prepare_small(const WinogradArgs& p, float* to) {
  prepare_of<SmallForm>(p, to);
}

}  // namespace fastdl::FASTDL_ISA
