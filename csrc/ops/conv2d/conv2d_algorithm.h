// Which algorithm the CPU kernels use: the setting, and the rule of "auto".
#pragma once
#include "ops/conv2d/conv2d.h"

namespace fastdl {

// kWinograd takes every convolution that Winograd can do, also where it is slower; the others run directly.
enum class ConvAlgorithm { kAuto, kDirect, kWinograd };
constexpr const char* kConvAlgorithmNames[] = {"auto", "direct", "winograd"};
extern ConvAlgorithm conv_algorithm;

// Winograd works on whole tiles of 4x4 outputs and blocks of 16 channels, and pays for its transforms: it wins with
// enough channels to hide them, and with tiles enough to use the transformed weights.
constexpr int64_t kWinogradChannels = 12;
constexpr int64_t kWinogradTiles = 4;
// The sums of a weight gradient are four times the weights. Past the size of the caches they want more tiles each.
constexpr int64_t kWinogradSums = 128 * 128, kWinogradTilesOfSums = 12;

// rows x cols are the pixels that tiles cover: of the output, or of the input in its gradient.
static inline bool use_winograd(DType dtype, const Conv2dGeometry& g, int64_t rows, int64_t cols, int64_t least_tiles) {
  const bool can = dtype == DType::kFloat32 && g.groups == 1 && g.kernel_h == 3 && g.kernel_w == 3 && g.stride_h == 1 &&
                   g.stride_w == 1 && g.dilation_h == 1 && g.dilation_w == 1;
  if (!can || conv_algorithm == ConvAlgorithm::kDirect) return false;
  if (conv_algorithm == ConvAlgorithm::kWinograd) return true;
  const int64_t tiles = g.batch * ((rows + 3) / 4) * ((cols + 3) / 4);
  if (g.in_channels < kWinogradChannels || g.out_channels < kWinogradChannels || tiles < least_tiles) return false;
  // 36 products a tile against 9 a pixel, and 16 lanes against the channels there are.
  const double padded = static_cast<double>((g.in_channels + 15) / 16 * 16) * ((g.out_channels + 15) / 16 * 16);
  const double winograd = 36.0 * tiles * padded, direct = 9.0 * g.batch * rows * cols * g.in_channels * g.out_channels;
  return winograd * 1.5 < direct;
}

}  // namespace fastdl
