// Winograd's minimal filtering with patches of 6x6 inputs: 36 products make a tile of M x M outputs of a kernel of R x
// R taps, for every M + R = 7, instead of M * M * R * R.
//
//   forward, input gradient  F(MxM, RxR)   Y = A' [ (G w G') . (B' x B) ] A     summed over input channels
//   weight gradient          F(RxR, MxM)   W = C' [ (D y D') . (B' x B) ] C     summed over tiles
//
// All matrices belong to the points 0, +-3/4, +-3/2 and infinity. They are four times more exact than the usual
// 0, +-1, +-2, and their powers are short binary fractions; since they come in pairs +-p, the even and odd parts are
// computed once for both.
//
// Lanes are channels: a tile row of an image is transposed to [row][column][kLanes channels] as it is read, so that the
// transforms lose nothing at any image width.
// Strides and long kernels become channels: the views of conv2d_algorithm.h.
#pragma once
#include "cpu/parallel.h"
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_shuffle-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kL = kLanes<float>;  // channels of a block

// The channels that a sum runs through are those of one view after another, if they come in whole blocks and are many,
// since the weights of some views are zeros at some positions; else all views of one channel after another, which share
// lanes.
constexpr int64_t kChunk = 64;
FASTDL_INLINE bool views_apart(int64_t channels) {
  return channels % kL == 0 && channels >= kChunk;
}
struct Place {
  int64_t channel, view;
};
FASTDL_INLINE Place place_of(int64_t k, int64_t channels, int64_t views) {
  if (views_apart(channels)) return {k % channels, k / channels};
  return {k / views, k % views};
}

struct WinogradArgs {
  int64_t batch, groups;
  int64_t channels, height, width;   // of a group of src
  int64_t out_channels, rows, cols;  // of a group of out
  int64_t src_image, out_image;      // numbers from an image to the next
  int64_t top, left;                 // of src, where output (0, 0) starts to read; outside src are zeros
  int64_t kernel_h, kernel_w;
  Views views_y, views_x;
  int64_t weight_m, weight_k;  // strides of output and input channel
  bool rotate;                 // the kernel by half a turn
  int64_t out_plane, out_row;  // numbers from a channel and row of out to the next
  const float* src;
  const float* weight;
  const float* prepared;  // the weights transformed, or null
  const float* bias;      // or null
  const float* residual;  // added before the activation, where the result lies in out; or null
  Activation activation;
  bool nchwc;  // src, out and residual have blocks of kL channels innermost (conv2d_nchwc-inl.h)
  float* out;

  int64_t views() const { return views_y.count * views_x.count; }
  int64_t depth() const { return channels * views(); }
};

// All that follows from the shapes.
static inline WinogradArgs winograd_args(const ImageSum& s, int64_t height, int64_t width) {
  WinogradArgs w{};
  w.batch = s.batch, w.groups = s.groups;
  w.channels = s.channels, w.height = height, w.width = width;
  w.out_channels = s.out_channels, w.rows = s.rows, w.cols = s.cols;
  w.src_image = s.groups * s.channels * height * width, w.out_image = s.groups * s.out_channels * s.rows * s.cols;
  w.out_plane = s.rows * s.cols, w.out_row = s.cols;
  w.kernel_h = s.kernel_h, w.kernel_w = s.kernel_w;
  const int64_t taps = winograd_taps(s);
  w.views_y = Views(s.kernel_h, s.stride_h, taps), w.views_x = Views(s.kernel_w, s.stride_w, taps);
  return w;
}

// The same of one group.
static inline WinogradArgs group_of(WinogradArgs p, int64_t group) {
  p.src += group * p.channels * p.height * p.width, p.out += group * p.out_channels * p.out_plane;
  p.weight += group * p.channels * p.out_channels * p.kernel_h * p.kernel_w;
  if (p.bias) p.bias += group * p.out_channels;
  if (p.residual) p.residual += group * p.out_channels * p.out_plane;
  return p;
}

// Whether a form can read and write blocks of channels as they lie: each has to be of one view.
static inline bool winograd_serves_nchwc(WinogradForm form, const ImageSum& s) {
  if (form == WinogradForm::kFew || form == WinogradForm::kNone) return false;
  const int64_t taps = winograd_taps(s);
  const bool one_view =
      Views(s.kernel_h, s.stride_h, taps).count == 1 && Views(s.kernel_w, s.stride_w, taps).count == 1;
  return s.channels % kL == 0 && (one_view || views_apart(s.channels));
}

void winograd_conv(WinogradForm form, const WinogradArgs& p);
void winograd_lines(const WinogradArgs& p);
void winograd_small(const WinogradArgs& p);
// How many numbers the transformed weights are that `prepared` may have, 0 where they do not pay; and these.
int64_t winograd_weights(WinogradForm form, const WinogradArgs& p);
int64_t winograd_line_weights(const WinogradArgs& p);
int64_t winograd_small_weights(const WinogradArgs& p);
void winograd_prepare(WinogradForm form, const WinogradArgs& p, float* to);
void winograd_prepare_lines(const WinogradArgs& p, float* to);
void winograd_prepare_small(const WinogradArgs& p, float* to);
void winograd_few(const WinogradArgs& p);
void winograd_weight_gradient(const Conv2dBwdWeightArgs& p);

using V = Vec<float>;
constexpr int kPatch = 6;  // inputs
constexpr int kPositions = kPatch * kPatch;

constexpr float kA = 0.75f, kA2 = kA * kA, kA3 = kA2 * kA;
constexpr float kB = 1.5f, kB2 = kB * kB, kB3 = kB2 * kB;
// What the products of a position have to be divided by: the derivative of x (x^2 - a^2) (x^2 - b^2) at its point.
constexpr float kNormA = 2 * kA2 * (kA2 - kB2), kNormB = 2 * kB2 * (kB2 - kA2);
constexpr float kNorms[kPatch] = {1 / (kA2 * kB2), 1 / kNormA, 1 / kNormA, 1 / kNormB, 1 / kNormB, 1};

// ---- one-dimensional transforms ------------------------------------------------------------------------------------

// B': six inputs.
FASTDL_INLINE void transform_patch(const V* d, V* t) {
  const V even_a = d[4] - kB2 * d[2], odd_a = d[3] - kB2 * d[1];
  const V even_b = d[4] - kA2 * d[2], odd_b = d[3] - kA2 * d[1];
  t[0] = kA2 * kB2 * d[0] + (d[4] - (kA2 + kB2) * d[2]);
  t[1] = even_a + kA * odd_a;
  t[2] = even_a - kA * odd_a;
  t[3] = even_b + kB * odd_b;
  t[4] = even_b - kB * odd_b;
  t[5] = kA2 * kB2 * d[1] + (d[5] - (kA2 + kB2) * d[3]);
}

constexpr float power(float x, int n) {
  return n == 0 ? 1 : x * power(x, n - 1);
}

// D: M gradients. The division by the norms waits for the sums.
template <int M>
FASTDL_INLINE void transform_gradients(const V* y, V* t) {
  V even_a = y[0], even_b = y[0], odd_a = y[1], odd_b = y[1];
#pragma GCC unroll 8
  for (int i = 2; i < M; ++i) {
    (i % 2 ? odd_a : even_a) += power(kA, i - i % 2) * y[i];
    (i % 2 ? odd_b : even_b) += power(kB, i - i % 2) * y[i];
  }
  t[0] = y[0];
  t[1] = even_a + kA * odd_a;
  t[2] = even_a - kA * odd_a;
  t[3] = even_b + kB * odd_b;
  t[4] = even_b - kB * odd_b;
  t[5] = y[M - 1];
}

// G: R weights.
template <int R>
FASTDL_INLINE void transform_weights(const V* w, V* t) {
  V even_a = w[0], even_b = w[0], odd_a = kA * w[1], odd_b = kB * w[1];
#pragma GCC unroll 8
  for (int i = 2; i < R; ++i) {
    (i % 2 ? odd_a : even_a) += power(kA, i) * w[i];
    (i % 2 ? odd_b : even_b) += power(kB, i) * w[i];
  }
  even_a *= kNorms[1], odd_a *= kNorms[1], even_b *= kNorms[3], odd_b *= kNorms[3];
  t[0] = w[0] * kNorms[0];
  t[1] = even_a + odd_a;
  t[2] = even_a - odd_a;
  t[3] = even_b + odd_b;
  t[4] = even_b - odd_b;
  t[5] = w[R - 1];
}

// A': six products make M outputs.
template <int M>
FASTDL_INLINE void make_outputs(const V* m, V* y) {
  const V sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const V sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
#pragma GCC unroll 8
  for (int i = 1; i < M; ++i) {
    const V last = i == M - 1 ? m[5] : V{};
    y[i] = power(kA, i) * (i % 2 ? difference_a : sum_a) + (power(kB, i) * (i % 2 ? difference_b : sum_b) + last);
  }
}

// C': six sums make R weights.
template <int R>
FASTDL_INLINE void make_weights(const V* m, V* w) {
  const V sum_a = (m[1] + m[2]) * kNorms[1], difference_a = (m[1] - m[2]) * kNorms[1];
  const V sum_b = (m[3] + m[4]) * kNorms[3], difference_b = (m[3] - m[4]) * kNorms[3];
  w[0] = m[0] * kNorms[0] + (sum_a + sum_b);
#pragma GCC unroll 8
  for (int i = 1; i < R; ++i) {
    const V last = i == R - 1 ? m[5] : V{};
    w[i] = power(kA, i) * (i % 2 ? difference_a : sum_a) + (power(kB, i) * (i % 2 ? difference_b : sum_b) + last);
  }
}

// ---- images to tiles -----------------------------------------------------------------------------------------------

// Images cut into tiles of so many rows and columns. A tile row is one row of tiles of one image; tile rows are
// numbered through all images.
struct TileGrid {
  int64_t across, down, rows;
  TileGrid(int64_t batch, int64_t out_rows, int64_t out_cols, int64_t tile_rows, int64_t tile_cols)
      : across((out_cols + tile_cols - 1) / tile_cols),
        down((out_rows + tile_rows - 1) / tile_rows),
        rows(batch * down) {}
};

// A batch of images as a tile row sees it: zeros outside.
struct Images {
  const float* data;
  int64_t channels, height, width;
  int64_t top, left;  // where tile (0, 0) starts
  int64_t skip = 0;   // numbers between the channels of one image and those of the next
  Views views_y{}, views_x{};
  bool nchwc = false;  // blocks of kL channels innermost

  int64_t views() const { return views_y.count * views_x.count; }
};

// How far ahead of a row its image is prefetched, in numbers: the rows of many small planes are too short for the
// hardware to follow. The same row of the next image for the smallest, some rows further up to kShortRows; then
// nothing.
constexpr int64_t kTinyPlane = 256, kShortRows = 32, kRowsAhead = 4;
FASTDL_INLINE int64_t prefetch_distance(int64_t channels, int64_t plane, int64_t width) {
  if (plane <= kTinyPlane) return channels * plane;
  return width <= kShortRows ? kRowsAhead * width : 0;
}

// line[i][lane] = pixel left + i of row `y` of channel c0 + lane, i < n.
static void load_line(const Images& s, int64_t image, int64_t c0, int64_t y, int64_t n, float* line) {
  const int64_t from = s.left < 0 ? (-s.left < n ? -s.left : n) : 0;
  int64_t to = s.width - s.left < n ? s.width - s.left : n;
  if (y < 0 || y >= s.height || to < from) to = from;
  for (int64_t i = 0; i < from; ++i) store<float>(line + i * kL, V{});
  for (int64_t i = to; i < n; ++i) store<float>(line + i * kL, V{});
  const int64_t plane = s.height * s.width;
  const int channels = static_cast<int>(s.channels - c0 < kL ? s.channels - c0 : kL);
  const float* src = s.data + image * (s.channels * plane + s.skip) + c0 * plane + y * s.width + s.left;
  const int64_t ahead = prefetch_distance(s.channels, plane, s.width);
  for (int64_t i = from; i < to; i += kL) {
    // The last full block overlaps the one before it.
    if (to - i < kL && to - from >= kL) i = to - kL;
    if (ahead > 0)
      for (int c = 0; c < channels; ++c) __builtin_prefetch(src + c * plane + i + ahead);
    const int pixels = static_cast<int>(to - i < kL ? to - i : kL);
    V r[kL];
    if (pixels == kL && channels == kL) {
#pragma GCC unroll 16
      for (int c = 0; c < kL; ++c) r[c] = load<float>(src + c * plane + i);
    } else {
#pragma GCC unroll 16
      for (int c = 0; c < kL; ++c) r[c] = c < channels ? load_n<float>(src + c * plane + i, pixels) : V{};
    }
    transpose<float>(r);
    if (pixels == kL) {
#pragma GCC unroll 16
      for (int j = 0; j < kL; ++j) store<float>(line + (i + j) * kL, r[j]);
    } else {
#pragma GCC unroll 16
      for (int j = 0; j < kL; ++j)
        if (j < pixels) store<float>(line + (i + j) * kL, r[j]);
    }
  }
}

// The same of an image with channels innermost: every `step`-th pixel from `x` on.
static void copy_line(const Images& s, int64_t image, int64_t c0, int64_t y, int64_t x, int64_t step, int64_t n,
                      float* line) {
  const int64_t plane = s.height * s.width;
  int64_t from = x < 0 ? (-x + step - 1) / step : 0, to = x < s.width ? (s.width - x + step - 1) / step : 0;
  if (y < 0 || y >= s.height) to = 0;
  if (to > n) to = n;
  if (from > to) from = to;
  const float* src = s.data + image * (s.channels * plane + s.skip) + c0 * plane + (y * s.width + x) * kL;
  for (int64_t i = 0; i < from; ++i) store<float>(line + i * kL, V{});
  for (int64_t i = from; i < to; ++i) store<float>(line + i * kL, load<float>(src + i * step * kL));
  for (int64_t i = to; i < n; ++i) store<float>(line + i * kL, V{});
}

// Lanes that are views of channels: where each reads.
struct Lane {
  int64_t offset, y, x;  // of its channel in an image, and where line 0 and pixel 0 lie in it
  int64_t first, last;   // the pixels of a line that lie inside the image
};

// Lane i is src[i * step] for first <= i < last and zero elsewhere, where nothing is read; `inside` numbers lie at src.
FASTDL_INLINE V load_steps(const float* src, int64_t step, int64_t first, int64_t last, int64_t inside) {
  if (first <= 0 && last >= kL) {
    if (step == 1) return load<float>(src);
    if (step == 2 && inside >= 2 * kL) return even_lanes<float>(load<float>(src), load<float>(src + kL));
  }
#if defined(FASTDL_ISA_avx512)
  const int lo = static_cast<int>(first < 0 ? 0 : first), hi = static_cast<int>(last > kL ? kL : last);
  const unsigned there = hi > lo ? (1u << hi) - (1u << lo) : 0;
  constexpr auto numbers = std::make_integer_sequence<int, kL>{};
  if (step == 1) return load_piece<float, 1>(src, there, numbers);
  if (step == 2) return load_piece<float, 2>(src, there, numbers);
#endif
  alignas(64) float lanes[kL] = {};
  for (int64_t i = first < 0 ? 0 : first; i < kL && i < last; ++i) lanes[i] = src[i * step];
  return load<float>(lanes);
}

// As load_line, for lanes that are views; line `y` of the patches.
static void load_views(const Images& s, const Lane* lanes, int count, int64_t image, int64_t y, int64_t n,
                       float* line) {
  const int64_t step = s.views_x.step;
  const float* base = s.data + image * (s.channels * s.height * s.width + s.skip);
  for (int64_t i = 0; i < n; i += kL) {
    V r[kL];
    for (int c = 0; c < kL; ++c) {
      const int64_t row = c < count ? lanes[c].y + y * s.views_y.step : -1, x = lanes[c].x + i * step;
      const bool inside = row >= 0 && row < s.height;
      r[c] = inside ? load_steps(base + lanes[c].offset + row * s.width + x, step, lanes[c].first - i,
                                 lanes[c].last - i, s.width - x)
                    : V{};
    }
    transpose<float>(r);
    const int pixels = static_cast<int>(n - i < kL ? n - i : kL);
#pragma GCC unroll 16
    for (int j = 0; j < kL; ++j)
      if (j < pixels) store<float>(line + (i + j) * kL, r[j]);
  }
}

// The lanes of channels and views [k0, k0 + kL); returns how many there are.
static int find_lanes(const Images& s, int64_t k0, Lane* lanes) {
  const int64_t left = s.channels * s.views() - k0, step = s.views_x.step;
  const int count = static_cast<int>(left < kL ? left : kL);
  for (int i = 0; i < kL; ++i) {
    const auto [c, v] = place_of(k0 + i, s.channels, s.views());
    const int64_t x = s.left + s.views_x.offset(v % s.views_x.count);
    const int64_t first = x < 0 ? (-x + step - 1) / step : 0, end = s.width > x ? (s.width - x + step - 1) / step : 0;
    lanes[i] = {c * s.height * s.width, s.top + s.views_y.offset(v / s.views_x.count), x, first, end};
  }
  return count;
}

// Whether a block is channels of one view at unit steps, side by side in their planes.
FASTDL_INLINE bool blocks_are_channels(const Images& s) {
  return s.views_x.step == 1 && s.views_y.step == 1 && (s.views() == 1 || views_apart(s.channels));
}
FASTDL_INLINE Images view_of_block(Images s, int64_t k0) {
  const int64_t view = place_of(k0, s.channels, s.views()).view;
  s.top += s.views_y.offset(view / s.views_x.count), s.left += s.views_x.offset(view % s.views_x.count);
  return s;
}

// A form of tiles: patches of kHigh x kWide pixels, kDown x kAcross outputs from each to the next. `transform_row`
// makes one row of them from its kHigh lines of pixels: number `position` of tile t goes to to[position * stride + t *
// kL].

// PATCH x PATCH pixels at M x M steps. Columns of a patch that the next one shares are transformed once.
template <int PATCH, int M>
struct Squares {
  static constexpr int kHigh = PATCH, kWide = PATCH, kDown = M, kAcross = M;

  FASTDL_INLINE void transform_row(const float* const* lines, int64_t across, float* to, int64_t stride) {
    constexpr int kShared = PATCH - M;
    V half[kPatch][PATCH];
    for (int64_t t = 0; t < across; ++t) {
#pragma GCC unroll 8
      for (int x = 0; x < PATCH; ++x) {
        if (x < kShared && t > 0) {
#pragma GCC unroll 8
          for (int i = 0; i < kPatch; ++i) half[i][x] = half[i][x + M];
          continue;
        }
        V d[PATCH], column[kPatch];
#pragma GCC unroll 8
        for (int i = 0; i < PATCH; ++i) d[i] = load<float>(lines[i] + (t * M + x) * kL);
        if constexpr (PATCH == kPatch) transform_patch(d, column);
        if constexpr (PATCH < kPatch) transform_gradients<PATCH>(d, column);
#pragma GCC unroll 8
        for (int i = 0; i < kPatch; ++i) half[i][x] = column[i];
      }
#pragma GCC unroll 8
      for (int i = 0; i < kPatch; ++i) {
        V row[kPatch];
        if constexpr (PATCH == kPatch) transform_patch(half[i], row);
        if constexpr (PATCH < kPatch) transform_gradients<PATCH>(half[i], row);
#pragma GCC unroll 8
        for (int j = 0; j < kPatch; ++j) store<float>(to + (i * kPatch + j) * stride + t * kL, row[j]);
      }
    }
  }
};

// Tile rows [row0, row1) of one block of channels. Lines that the next tile row shares are read once: line y of an
// image lives in slot y mod kHigh of the ring.
template <class Form>
static __attribute__((noinline)) void transform_tiles(const Images& s, const TileGrid& grid, int64_t row0, int64_t row1,
                                                      int64_t c0, float* to, int64_t stride) {
  constexpr int kHigh = Form::kHigh;
  const int64_t n = grid.across * Form::kAcross + Form::kWide - Form::kAcross;
  Scratch<float> ring(kHigh * n * kL);
  Lane lanes[kL];
  const bool plain = s.nchwc || blocks_are_channels(s);
  const int count = plain ? 0 : find_lanes(s, c0, lanes);
  const Images own = plain ? view_of_block(s, c0) : s;
  for (int64_t row = row0; row < row1; ++row) {
    const int64_t image = row / grid.down, y = row % grid.down * Form::kDown;
    const bool continues = row > row0 && y > 0;
    const float* lines[kHigh];
    for (int i = 0; i < kHigh; ++i) {
      float* line = ring + (y + i) % kHigh * n * kL;
      lines[i] = line;
      if (continues && i < kHigh - Form::kDown) continue;
      if (s.nchwc)
        copy_line(own, image, c0 % s.channels, own.top + (y + i) * s.views_y.step, own.left, s.views_x.step, n, line);
      else if (plain)
        load_line(own, image, c0 % s.channels, own.top + y + i, n, line);
      else
        load_views(s, lanes, count, image, y + i, n, line);
    }
    Form::transform_row(lines, grid.across, to + (row - row0) * grid.across * kL, stride);
  }
}

}  // namespace fastdl::FASTDL_ISA
