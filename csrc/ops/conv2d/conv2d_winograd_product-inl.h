// The products of Winograd convolution at one position, and its finished squares: what the forward pass
// (conv2d_winograd_conv-inl.h) and the phases of the input gradient (conv2d_winograd_phases_cpu.cc) share.
//
//   inputs    [block of channels][tile][kL]   numbers broadcast to the lanes
//   weights   [channel][NV * kL]              of a sliver of NV blocks of outputs
//   products  [block of outputs][tile][kL]
#pragma once
#include "cpu/microkernel-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kVecs = kTallTile.vecs;  // blocks of outputs in a sliver

// MR tiles x NV blocks of outputs, at one position, summed over the input channels. The inputs of the next position,
// `ahead` numbers further, are fetched meanwhile where that is not 0: the hardware does not follow so far. So are
// weights that come later, the line at next + c * step for each channel c: if they were made long before, they come
// from memory.
template <int MR, int NV>
static __attribute__((noinline)) void product_tile(int64_t channels, const float* in, int64_t in_block, int64_t ahead,
                                                   const float* weights, const float* next, int64_t step, float* out,
                                                   int64_t out_block, bool accumulate) {
  V sums[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sums[i][j] = V{};
  for (; channels > 0; channels -= kL, in += in_block) {
    const int64_t n = channels < kL ? channels : kL;
    if (ahead > 0) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) __builtin_prefetch(in + i * kL + ahead, 0, 2);
    }
#pragma GCC unroll 2
    for (int64_t k = 0; k < n; ++k, weights += NV * kL, next += step) {
      V w[NV];
      __builtin_prefetch(next, 0, 2);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) w[j] = load<float>(weights + j * kL);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) add_row<float, NV>(sums[i], in + i * kL + k, w, i);
    }
  }
  // Each chunk is summed by itself: short chains of additions are what keeps 512 channels exact.
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      float* to = out + j * out_block + i * kL;
      store<float>(to, accumulate ? load<float>(to) + sums[i][j] : sums[i][j]);
    }
  }
}

using ProductTile = void (*)(int64_t, const float*, int64_t, int64_t, const float*, const float*, int64_t, float*,
                             int64_t, bool);
template <int NV, int... I>
static ProductTile product_tile_of(int rows, std::integer_sequence<int, I...>) {
  static constexpr ProductTile kInstances[] = {&product_tile<I + 1, NV>...};
  return kInstances[rows - 1];
}
static ProductTile product_tile_for(int rows, int64_t vecs) {
  using Rows = std::make_integer_sequence<int, kTallTile.rows>;
  static_assert(kVecs == 2, "the cases below");
  return vecs == 1 ? product_tile_of<1>(rows, Rows{}) : product_tile_of<2>(rows, Rows{});
}

// All tiles of a position and `vecs` blocks of outputs, in balanced panels, summed over `channels` that start at `in`.
// `sizes` has the strides in_block and out_block, and `ahead`.
template <class Sizes>
static void multiply_tiles(const Sizes& sizes, int64_t tiles, int64_t vecs, int64_t channels, const float* in,
                           const float* weights, float* out, bool accumulate) {
  const int64_t panels = (tiles + kTallTile.rows - 1) / kTallTile.rows;
  // Each panel fetches its share of the weights behind these, evenly over its time.
  const int64_t share = (vecs * kL + panels - 1) / panels;
  const float* next = weights + channels * vecs * kL;
  for (int64_t i = 0; i < panels; ++i) {
    const int64_t t0 = tiles * i / panels, t1 = tiles * (i + 1) / panels;
    product_tile_for(static_cast<int>(t1 - t0), vecs)(channels, in + t0 * kL, sizes.in_block, sizes.ahead, weights,
                                                      next + i * channels * share, share, out + t0 * kL,
                                                      sizes.out_block, accumulate);
  }
}

// The outputs of one tile into M lines of pixels.
template <int M>
FASTDL_INLINE void finish_square(const float* m, int64_t stride, V bias, Activation activation, float* lines,
                                 int64_t line) {
  V half[M][kPatch];
#pragma GCC unroll 8
  for (int j = 0; j < kPatch; ++j) {
    V column[kPatch], y[M];
#pragma GCC unroll 8
    for (int i = 0; i < kPatch; ++i) column[i] = load<float>(m + (i * kPatch + j) * stride);
    make_outputs<M>(column, y);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) half[i][j] = y[i];
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
    V y[M];
    make_outputs<M>(half[i], y);
#pragma GCC unroll 8
    for (int j = 0; j < M; ++j) {
      V v = y[j] + bias;
      if (activation == Activation::kRelu) v = max_nan<float>(v, V{});
      store<float>(lines + i * line + j * kL, v);
    }
  }
}

}  // namespace fastdl::FASTDL_ISA
