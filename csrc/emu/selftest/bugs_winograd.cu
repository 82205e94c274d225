// Mistakes of Winograd's transforms (ops/conv2d/conv2d_winograd*): one image of 32 x 2 pixels, one channel, padding 1,
// in 8 tiles of 4 x 4 outputs, half of whose columns do not exist. The kernels are those of the convolution with
// constants for its arguments; `winograd_in_small` has no mistake.
#include "emu/selftest/bugs.h"
#include "ops/conv2d/conv2d_winograd_points.cuh"

namespace fastdl::emu {
namespace {

enum class Bug {
  kNone,
  kTileBarrier,
  kImageRows,
  kImageColumns,
  kImageTiles,
  kOutputBarrier,
  kOutputColumns,
  kOutputTiles,
  kWeightsRead,
  kWeightsWritten,
};
constexpr int kHeight = 32, kWidth = 2, kTiles = 8;
constexpr int kLanesOfTiles = kWarp, kThreads = kPatch * kWarp;
constexpr int kKernels = 7;  // of nine taps: 63 numbers

// A thread a column of a tile, then a thread a row of it.
template <Bug bug>
__global__ void __launch_bounds__(kThreads) tiles_of_image(const float* image, float* to) {
  FASTDL_SHARED(float, half, [kPatch][kLanesOfTiles * kPatch]);
  const int t = static_cast<int>(threadIdx.x), tile = t / kPatch;
  const float* plane = image + tile / kTiles * kHeight * kWidth;
  const int y = tile % kTiles * kTileOut - 1, x = t % kPatch - 1;
  float column[kPatch], points[kPatch];
#pragma unroll
  for (int i = 0; i < kPatch; ++i) {
    const bool row = y + i >= 0 && y + i < kHeight, across = x >= 0 && x < kWidth, exists = tile < kTiles;
    const int at = (y + i) * kWidth + x;
    column[i] = 0.0f;
    if (bug == Bug::kImageRows) {
      if (exists && across) column[i] = plane[at];  // finds OUT_OF_BOUNDS winograd_image_rows
    } else if (bug == Bug::kImageColumns) {
      if (exists && row) column[i] = plane[at];  // finds OUT_OF_BOUNDS winograd_image_columns
    } else if (bug == Bug::kImageTiles) {
      if (row && across) column[i] = plane[at];  // finds OUT_OF_BOUNDS winograd_image_tiles
    } else if (exists && row && across) {
      column[i] = plane[at];
    }
  }
  to_points(column, points);
#pragma unroll
  for (int i = 0; i < kPatch; ++i) half[i][t] = points[i];
  if (bug != Bug::kTileBarrier) __syncthreads();
  const int lane = t % kWarp, i = t / kWarp;
  float row[kPatch];
#pragma unroll
  for (int j = 0; j < kPatch; j += 2) {
    const auto two = load_vec<Pack<float, 2>>(&half[i][lane * kPatch + j]);  // finds RACE|UNINIT winograd_tile_barrier
    row[j] = two[0], row[j + 1] = two[1];
  }
  to_points(row, points);
#pragma unroll
  for (int j = 0; j < kPatch; ++j) to[(i * kPatch + j) * kLanesOfTiles + lane] = points[j];
}

// A thread a kernel of nine taps, which are read in a row.
template <Bug bug>
__global__ void __launch_bounds__(kBlock) points_of_weights(const float* weight, float* to) {
  FASTDL_SHARED(float, taps, [kBlock * kKernel]);
  const int t = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int i = t; i < kBlock * kKernel; i += kBlock) {
    taps[i] = 0.0f;
    if (bug == Bug::kWeightsRead) {
      if (i < kBlock) taps[i] = weight[i];  // finds OUT_OF_BOUNDS winograd_weights_read
    } else if (i < kKernels * kKernel) {
      taps[i] = weight[i];
    }
  }
  __syncthreads();
  float kernel[kTaps][kTaps], points[kPatch][kPatch];
#pragma unroll
  for (int i = 0; i < kKernel; ++i) kernel[i / kTaps][i % kTaps] = taps[t * kKernel + i];
  square_to_points(kernel, points);
  if (bug != Bug::kWeightsWritten && t >= kKernels) return;
#pragma unroll
  for (int i = 0; i < kPositions; ++i) {
    float* const place = to + i * kKernels + t;
    *place = points[i / kPatch][i % kPatch];  // finds RACE|OUT_OF_BOUNDS winograd_weights_written
  }
}

// A thread a row of a tile, times the first kernel; then a thread a column of it.
template <Bug bug>
__global__ void __launch_bounds__(kThreads) outputs_of_tiles(const float* tiles, const float* weights, float* out) {
  FASTDL_SHARED(float, half, [kPatch][kLanesOfTiles * kTileOut]);
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp, i = t / kWarp;
  float points[kPatch], row[kTileOut], column[kTileOut];
#pragma unroll
  for (int j = 0; j < kPatch; ++j)
    points[j] = tiles[(i * kPatch + j) * kLanesOfTiles + lane] * weights[(i * kPatch + j) * kKernels];
  from_points(points, row);
  store_vec(&half[i][lane * kTileOut], Pack<float, kTileOut>{row[0], row[1], row[2], row[3]});
  if (bug != Bug::kOutputBarrier) __syncthreads();
  if (t >= kLanesOfTiles * kTileOut) return;
#pragma unroll
  for (int j = 0; j < kPatch; ++j) points[j] = half[j][t];  // finds RACE|UNINIT winograd_output_barrier
  from_points(points, column);
  const int tile = t / kTileOut, x = t % kTileOut;
  if ((bug != Bug::kOutputTiles && tile >= kTiles) || (bug != Bug::kOutputColumns && x >= kWidth)) return;
  float* const place = out + tile * kTileOut * kWidth + x;
#pragma unroll
  for (int j = 0; j < kTileOut; ++j) {
    if (bug == Bug::kOutputTiles) {
      place[j * kWidth] = column[j];  // finds OUT_OF_BOUNDS winograd_output_tiles
    } else {
      place[j * kWidth] = column[j];  // finds RACE|OUT_OF_BOUNDS winograd_output_columns
    }
  }
}

template <Bug bug>
void convolve(const Operand* operands, Stream stream) {
  const DeviceScratch<float> tiles(kPositions * kLanesOfTiles), weights(kPositions * kKernels);
  launch(tiles_of_image<bug>, 1, kThreads, 0, stream, operands[0].as<float>(), tiles);
  launch(points_of_weights<bug>, 1, kBlock, 0, stream, operands[0].as<float>(), weights);
  launch(outputs_of_tiles<bug>, 1, kThreads, 0, stream, tiles, weights, operands[1].as<float>());
}

#define FASTDL_BUG(name, bug)        \
  FASTDL_SELFTEST(name) {            \
    convolve<bug>(operands, stream); \
  }
FASTDL_BUG(winograd_in_small, Bug::kNone)
FASTDL_BUG(winograd_tile_barrier, Bug::kTileBarrier)
FASTDL_BUG(winograd_image_rows, Bug::kImageRows)
FASTDL_BUG(winograd_image_columns, Bug::kImageColumns)
FASTDL_BUG(winograd_image_tiles, Bug::kImageTiles)
FASTDL_BUG(winograd_output_barrier, Bug::kOutputBarrier)
FASTDL_BUG(winograd_output_columns, Bug::kOutputColumns)
FASTDL_BUG(winograd_output_tiles, Bug::kOutputTiles)
FASTDL_BUG(winograd_weights_read, Bug::kWeightsRead)
FASTDL_BUG(winograd_weights_written, Bug::kWeightsWritten)

}  // namespace
}  // namespace fastdl::emu
