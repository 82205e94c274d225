// Which algorithm the kernels use: the setting, and the rule of "auto" on the CPU (devices: conv2d_winograd_steps.cuh).
#pragma once
#include "ops/conv2d/conv2d.h"

namespace fastdl {

// kWinograd takes every convolution that Winograd can do, also where it is slower; the others run directly.
enum class ConvAlgorithm { kAuto, kDirect, kWinograd };
constexpr const char* kConvAlgorithmNames[] = {"auto", "direct", "winograd"};
extern ConvAlgorithm conv_algorithm;
// Bytes of transformed tiles and products that a device keeps at a time; batches that have more are cut.
extern int64_t conv_workspace;

// ---- Winograd -------------------------------------------------------------------------------------------------------

// Winograd's tiles come from 6x6 inputs: M x M outputs of R x R taps, M + R = 7. Strides and long kernels become
// channels: a kernel of K taps at stride S is cut into views of R taps that lie S apart, and each view reads the image
// from an offset of its own, at unit steps of its own grid, like a channel of its own.
//
//   K = 7, S = 2, R = 4:   taps 0 2 4 6 | 1 3 5 .       two views an axis, the last tap of the second is zero
//   K = 7, S = 1, R = 4:   taps 0 1 2 3 | 4 5 6 .
constexpr int64_t kWinogradPatch = 6, kMostTaps = 5, kLeastTaps = 2;
// Kernels of one axis have lines of 8 inputs in their place: M + R = 9. Few pixels may have patches of 4x4: M = 2, R
// = 3.
constexpr int64_t kWinogradLine = 8, kWinogradSmall = 4;

struct Views {
  int64_t step = 1, phases = 1, taps = 3, count = 1;
  Views() = default;
  Views(int64_t kernel, int64_t stride, int64_t r) : step(stride), phases(stride < kernel ? stride : kernel), taps(r) {
    count = phases * (((kernel + stride - 1) / stride + r - 1) / r);
  }
  // Where view v starts, as a tap of the kernel and as an offset in the image.
  int64_t offset(int64_t v) const { return v % phases + v / phases * taps * step; }
};

// What makes an image from another: the forward pass, or the gradient of the input at stride 1.
struct ImageSum {
  int64_t batch, groups, channels, out_channels;  // channels of a group
  int64_t rows, cols;                             // made
  int64_t kernel_h, kernel_w, stride_h, stride_w;
};

// R for one axis: the taps of a phase, shared out evenly where they are too many.
static inline int64_t taps_of_axis(int64_t kernel, int64_t stride) {
  const int64_t taps = (kernel + stride - 1) / stride, blocks = (taps + kMostTaps - 1) / kMostTaps;
  const int64_t r = (taps + blocks - 1) / blocks;
  return r < kLeastTaps ? kLeastTaps : r;
}

static inline int64_t winograd_taps(const ImageSum& s) {
  const int64_t h = taps_of_axis(s.kernel_h, s.stride_h), w = taps_of_axis(s.kernel_w, s.stride_w);
  return h > w ? h : w;
}

// Both sides in steps of one multiply-add of 16 lanes. Winograd pays for its transforms (a patch of 16 channels, a tile
// of 16 outputs, the weights of 16 outputs) and for storing what it has multiplied; a direct sum of more than a few
// products for lanes without a channel, or for packing pixels, whichever is less (conv2d_pixels_cpu.cc).
constexpr double kPatchSteps = 350, kTileSteps = 250, kWeightSteps = 250, kStoreSteps = 5;
constexpr double kDirectSteps = 1.2, kPackSteps = 8, kFewSteps = 48;
#if defined(FASTDL_ISA_avx512)
constexpr int64_t kFewChannels = 8;  // of both sides: planes serve (conv2d_planes_cpu.cc)
#else
constexpr int64_t kFewChannels = 4;
#endif

// Weights that are kept transformed come from memory, a vector of 16 for each position, while tiles use those before:
// as many steps as a core does in the time of a line (222 GFLOP/s and 19 GB/s on a Xeon, 102 and 31 on Zen 3).
#if defined(FASTDL_ISA_avx512)
constexpr double kKeptSteps = 20;
#else
constexpr double kKeptSteps = 11;
#endif
static inline double weight_steps(bool kept, double transform, double positions, double tiles) {
  if (!kept) return transform;
  return tiles < kKeptSteps ? positions * (kKeptSteps - tiles) : 0;
}

static inline double winograd_steps(const ImageSum& s, bool kept) {
  const auto up = [](int64_t n, int64_t to) { return static_cast<double>((n + to - 1) / to); };
  const int64_t r = winograd_taps(s), m = kWinogradPatch + 1 - r;
  const double tiles = up(s.rows, m) * up(s.cols, m) * static_cast<double>(s.batch), outs = up(s.out_channels, 16);
  const int64_t depth = s.channels * Views(s.kernel_h, s.stride_h, r).count * Views(s.kernel_w, s.stride_w, r).count;
  const double positions = static_cast<double>(kWinogradPatch * kWinogradPatch);
  return tiles * (positions * outs * (static_cast<double>(depth) + kStoreSteps) + up(depth, 16) * kPatchSteps +
                  outs * kTileSteps) +
         weight_steps(kept, kWeightSteps, positions, tiles) * outs * static_cast<double>(depth);
}

// As winograd_steps, for patches of 4x4 and kept weights.
constexpr double kSmallPatchSteps = 100, kSmallTileSteps = 80;
constexpr int64_t kSmallWeights = 128 * 128;  // fewer stay in the caches in either form
static inline double winograd_small_steps(const ImageSum& s) {
  const auto up = [](int64_t n, int64_t to) { return static_cast<double>((n + to - 1) / to); };
  const int64_t m = kWinogradSmall / 2;
  const double tiles = up(s.rows, m) * up(s.cols, m) * static_cast<double>(s.batch), outs = up(s.out_channels, 16);
  const double depth = static_cast<double>(s.channels),
               positions = static_cast<double>(kWinogradSmall * kWinogradSmall);
  return tiles * (positions * outs * (depth + kStoreSteps) + up(s.channels, 16) * kSmallPatchSteps +
                  outs * kSmallTileSteps) +
         weight_steps(true, 0, positions, tiles) * outs * depth;
}

static inline double direct_steps(const ImageSum& s) {
  const double taps = static_cast<double>(s.kernel_h * s.kernel_w);
  const double steps = static_cast<double>(s.channels) * taps, made = static_cast<double>(s.out_channels) / 16;
  const double idle = static_cast<double>((s.out_channels + 15) / 16) / made;
  const double packing = 1 + kPackSteps / static_cast<double>(s.out_channels);
  const bool planes = steps <= kFewSteps || (s.channels <= kFewChannels && s.out_channels <= kFewChannels);
  const double waste = idle < packing ? idle : packing;
  return static_cast<double>(s.batch * s.rows * s.cols) * made * (planes ? steps + kStoreSteps : steps * waste) *
         kDirectSteps;
}

// Cycles of a direct sum on the tile unit, for each group: in each step of 32 input channels of a tap the products of
// 32 pixels and 32 outputs, pixels in whole tiles of 16, and the packing of both. Many weights arrive from memory
// slower than few pixels use them. (conv2d_amx_cpu.cc; innermost: conv2d_nchwc_amx_cpu.cc)
static inline double amx_cycles_of(int64_t channels, int64_t taps, int64_t out_channels, int64_t pixels, bool kept,
                                   bool innermost = false) {
  constexpr double kMultiply = 500, kPackPixels = 1700, kSplitPixels = 600, kPackWeights = 1600, kArrive = 2900;
  constexpr double kNearBytes = 1 << 20, kStepBytes = 6144;
  const double panels = static_cast<double>((out_channels + 15) / 16) / 2;
  const double slivers = static_cast<double>((pixels + 15) / 16) / 2;
  const double steps = static_cast<double>(taps * ((channels + 31) / 32));
  double multiply = slivers * kMultiply;
  if (steps * panels * kStepBytes > kNearBytes && multiply < kArrive) multiply = kArrive;
  return steps * (panels * (multiply + (kept ? 0 : kPackWeights)) + slivers * (innermost ? kSplitPixels : kPackPixels));
}

// As winograd_steps, for the lines of a kernel of one axis. There few products cost a direct sum more than they do
// where the taps of two axes share what they load.
constexpr double kLinePatchSteps = 80, kLineTileSteps = 40, kLineWeightSteps = 80, kFewLineSteps = 1.2;
static inline double winograd_line_steps(const ImageSum& s, bool kept) {
  const auto up = [](int64_t n, int64_t to) { return static_cast<double>((n + to - 1) / to); };
  const int64_t r = winograd_taps(s), m = kWinogradLine + 1 - r;
  const double tiles =
      (s.kernel_h > 1 ? up(s.rows, m) * static_cast<double>(s.cols) : up(s.cols, m) * static_cast<double>(s.rows)) *
      static_cast<double>(s.batch);
  const int64_t depth = s.channels * Views(s.kernel_h, s.stride_h, r).count * Views(s.kernel_w, s.stride_w, r).count;
  const double outs = up(s.out_channels, 16);
  return tiles * (static_cast<double>(kWinogradLine) * outs * (static_cast<double>(depth) + kStoreSteps) +
                  up(depth, 16) * kLinePatchSteps + outs * kLineTileSteps) +
         weight_steps(kept, kLineWeightSteps, kWinogradLine, tiles) * outs * static_cast<double>(depth);
}

// As winograd_steps, where the transforms run along columns alone (conv2d_winograd_few_cpu.cc): nothing is transposed,
// and six products for each column of taps make a tile of 7 - kernel_h rows of a vector of pixels.
constexpr double kFewRowSteps = 4, kFewPatchSteps = 40, kFewWeightSteps = 20;
// A product loads 1.25 operands, with 16 registers instead of 32 1.5 and in smaller vectors.
#if defined(FASTDL_ISA_avx512)
constexpr double kFewDirectSteps = 1.25;
#else
constexpr double kFewDirectSteps = 2.4;
#endif
static inline double winograd_few_steps(const ImageSum& s) {
  const auto up = [](int64_t n, int64_t to) { return static_cast<double>((n + to - 1) / to); };
  const int64_t m = kWinogradPatch + 1 - s.kernel_h, line = (s.cols > 16 ? s.cols : 16) + s.kernel_w - 1;
  const double tile_rows = static_cast<double>(s.batch) * up(s.rows, m), outs = up(s.out_channels, 4) * 4;
  const double columns = static_cast<double>(s.channels * s.kernel_w), channels = static_cast<double>(s.channels);
  return kFewDirectSteps *
         (tile_rows * up(s.cols, 16) * outs *
              (static_cast<double>(kWinogradPatch) * columns + kFewRowSteps * static_cast<double>(m)) +
          tile_rows * up(line, 16) * channels * kFewPatchSteps + kFewWeightSteps * outs * columns);
}

static inline bool winograd_can(DType dtype, const Conv2dGeometry& g, const ImageSum& s) {
  return dtype == DType::kFloat32 && g.dilation_h == 1 && g.dilation_w == 1 && s.channels > 0 && s.out_channels > 0 &&
         conv_algorithm != ConvAlgorithm::kDirect;
}

static inline bool of_one_axis(const ImageSum& s) {
  return s.kernel_h == 1 || s.kernel_w == 1;
}

// Which of Winograd's forms makes an image, if one does; kept: where weights may be transformed beforehand.
enum class WinogradForm { kNone, kSquares, kLines, kFew, kSmall };

static inline WinogradForm winograd_form(DType dtype, const Conv2dGeometry& g, const ImageSum& s, bool kept) {
  if (!winograd_can(dtype, g, s) || s.kernel_h * s.kernel_w == 1) return WinogradForm::kNone;
  const bool line = of_one_axis(s),
             few_products = s.channels * s.kernel_h * s.kernel_w <= static_cast<int64_t>(kFewSteps);
  double least = line ? winograd_line_steps(s, kept) : winograd_steps(s, kept);
  WinogradForm form = line ? WinogradForm::kLines : WinogradForm::kSquares;
  if (s.stride_h == 1 && s.stride_w == 1 && s.kernel_h >= kLeastTaps && s.kernel_h <= kMostTaps &&
      winograd_few_steps(s) < least)
    least = winograd_few_steps(s), form = WinogradForm::kFew;
  if (kept && s.stride_h == 1 && s.stride_w == 1 && s.kernel_h == 3 && s.kernel_w == 3 &&
      s.channels * s.out_channels >= kSmallWeights && winograd_small_steps(s) < least)
    least = winograd_small_steps(s), form = WinogradForm::kSmall;
  double direct = direct_steps(s) * (line && few_products ? kFewLineSteps : 1);
#if defined(FASTDL_ISA_amx)
  if (active_isa == Isa::kAmx) {
    const int64_t pixels = s.batch * s.rows * s.cols;
    const double steps = 2 * amx_cycles_of(s.channels, s.kernel_h * s.kernel_w, s.out_channels, pixels, kept);
    direct = steps < direct ? steps : direct;
  }
#endif
  return conv_algorithm == ConvAlgorithm::kWinograd || least < direct ? form : WinogradForm::kNone;
}

// The gradient of the input at strides, and transposed convolution: pixels of one residue modulo the stride, a phase,
// meet every stride-th tap at unit steps. `phase` is the one with the most taps and pixels.
constexpr int64_t kWinogradStride = 4, kPhaseTiles = 72;

static inline ImageSum largest_phase(const Conv2dGeometry& g) {
  const auto up = [](int64_t n, int64_t to) { return (n + to - 1) / to; };
  return {g.batch,
          g.groups,
          g.out_channels / g.groups,
          g.in_channels / g.groups,
          up(g.in_h, g.stride_h),
          up(g.in_w, g.stride_w),
          up(g.kernel_h, g.stride_h),
          up(g.kernel_w, g.stride_w),
          1,
          1};
}

// As winograd_steps, for all phases: they share transformed patches, and those with a tap less leave out a position.
static inline double winograd_phases_steps(const Conv2dGeometry& g, const ImageSum& phase) {
  const auto up = [](int64_t n, int64_t to) { return static_cast<double>((n + to - 1) / to); };
  const int64_t r = winograd_taps(phase), m = kWinogradPatch + 1 - r;
  const auto tiles_of = [&](int64_t rows, int64_t kernel, int64_t stride, int64_t pad) {
    return up(rows + ((kernel - pad) % stride != 0), m);  // phases that start one later need a number more
  };
  const auto positions_of = [&](int64_t kernel, int64_t stride) {
    const int64_t whole = kernel - stride * (r - 1);
    return static_cast<double>(stride * (kWinogradPatch - 1) + (whole < 0 ? 0 : whole < stride ? whole : stride));
  };
  const double tiles = tiles_of(phase.rows, g.kernel_h, g.stride_h, g.pad_top) *
                       tiles_of(phase.cols, g.kernel_w, g.stride_w, g.pad_left) * static_cast<double>(g.batch);
  const double outs = up(phase.out_channels, 16), phases = static_cast<double>(g.stride_h * g.stride_w);
  const double depth = static_cast<double>(phase.channels), blocks = up(static_cast<int64_t>(tiles), kPhaseTiles);
  return tiles * (positions_of(g.kernel_h, g.stride_h) * positions_of(g.kernel_w, g.stride_w) * outs *
                      (depth + kStoreSteps) +
                  up(phase.channels, 16) * kPatchSteps + phases * outs * kTileSteps) +
         kWeightSteps * blocks * phases * outs * depth;
}

static inline bool use_winograd_for_phases(DType dtype, const Conv2dGeometry& g, const ImageSum& phase) {
  if (!winograd_can(dtype, g, phase) || of_one_axis(phase) || g.stride_h > kWinogradStride ||
      g.stride_w > kWinogradStride || phase.kernel_h > kMostTaps || phase.kernel_w > kMostTaps)
    return false;
  if (conv_algorithm == ConvAlgorithm::kWinograd) return true;
  ImageSum all = phase;
  all.kernel_h = g.kernel_h, all.kernel_w = g.kernel_w;
  return winograd_phases_steps(g, phase) < direct_steps(all);
}

// ---- Winograd for the gradient of weights ---------------------------------------------------------------------------

constexpr int64_t kWinogradChannels = 12;
constexpr int64_t kWinogradTiles = 4;
// The sums of a weight gradient are 36 numbers for 4 to 25 weights. Past the size of the caches they want more tiles.
constexpr int64_t kWinogradSums = 128 * 128, kWinogradTilesOfSums = 12;

static inline int64_t winograd_weight_taps(const Conv2dGeometry& g) {
  const int64_t h = taps_of_axis(g.kernel_h, g.stride_h), w = taps_of_axis(g.kernel_w, g.stride_w);
  return h > w ? h : w;
}

static inline bool use_winograd_for_weights(DType dtype, const Conv2dGeometry& g) {
  const bool can = dtype == DType::kFloat32 && g.groups == 1 && g.kernel_h > 1 && g.kernel_w > 1 &&
                   g.stride_h <= kWinogradStride && g.stride_w <= kWinogradStride && g.dilation_h == 1 &&
                   g.dilation_w == 1 && g.in_channels > 0 && g.out_channels > 0;
  if (!can || conv_algorithm == ConvAlgorithm::kDirect) return false;
  if (conv_algorithm == ConvAlgorithm::kWinograd) return true;
  const auto up = [](int64_t n, int64_t to) { return (n + to - 1) / to; };
  const int64_t r = winograd_weight_taps(g), m = kWinogradPatch + 1 - r;
  const Views y(g.kernel_h, g.stride_h, r), x(g.kernel_w, g.stride_w, r);
  const int64_t tiles = g.batch * up(g.out_h, m) * up(g.out_w, m);
  const int64_t depth = y.count * x.count * up(g.in_channels, 16) * 16;
  const int64_t least = depth * g.out_channels > kWinogradSums ? kWinogradTilesOfSums : kWinogradTiles;
  if (g.in_channels < kWinogradChannels || g.out_channels < kWinogradChannels || tiles < least) return false;
  // At most 36 products a tile and view against one a pixel and tap, and 16 lanes against the channels there are. Views
  // with a tap less leave out a position.
  const auto positions = [&](const Views& v, int64_t kernel) {
    int64_t whole = 0;
    for (int64_t i = 0; i < v.count; ++i) whole += v.offset(i) + (r - 1) * v.step < kernel;
    return kWinogradPatch - 1 + static_cast<double>(whole) / static_cast<double>(v.count);
  };
  const double padded = static_cast<double>(depth) * static_cast<double>(up(g.out_channels, 16) * 16);
  const double winograd = positions(y, g.kernel_h) * positions(x, g.kernel_w) * tiles * padded;
  const double direct =
      static_cast<double>(g.kernel_h * g.kernel_w) * g.batch * g.out_h * g.out_w * g.in_channels * g.out_channels;
  return winograd * 1.5 < direct;
}

}  // namespace fastdl
