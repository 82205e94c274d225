// What Winograd's three convolutions share: tiles of images, their transform, the products, and the choice.
//
// A tile is 4x4 pixels of the side that is made (or, for weights, whose gradient is given), tiles of all images one
// after another, row by row. Numbers at the 36 positions of transformed tiles lie apart, so that each position is one
// product of matrices with contiguous rows:
//
//   tiles     [position][channel][tile]                      rows of `pitch` tiles, zeros behind the last
//   weights   [position][channel out][channel in]            channels in of a group
//   products  [part of k][position][channel out][tile]       or [..][channel out][channel in], for weights
//
// Tiles and products go through memory, 2.25 numbers for each of the images; large batches are made chunk by chunk of
// tiles. Kept in one block instead, the 36 sums of a tile leave room for matrices of 16 x 32, which want 48 bytes a
// clock and multiprocessor while they multiply: all that L2 delivers.
#pragma once
#include "cuda/access.cuh"
#include "cuda/gemm.cuh"
#include "cuda/pixel_run.cuh"
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_axes.cuh"
#include "ops/conv2d/conv2d_winograd_points.cuh"

namespace fastdl {

// `rows` channels of a group are made, or met, by `depth` others at each of the tiles of 4x4 pixels.
struct WinogradShape {
  int64_t images, groups, rows, depth;
  int64_t height, width;  // of the side that tiles cover
  bool of_weights;        // tiles are what is summed over, and not what is made

  int64_t down() const { return ceil_div(height, kTileOut); }
  int64_t across() const { return ceil_div(width, kTileOut); }
  int64_t tiles() const { return images * down() * across(); }
  int64_t pixels() const { return images * height * width; }
};

// ---- the choice -----------------------------------------------------------------------------------------------------

// Rooflines of both ways on this device, in seconds. A device with much arithmetic to its memory has few convolutions
// whose transforms pay.
constexpr double kLaunchSeconds = 1.5e-6;
constexpr int kMoreLaunches = 3;

// Zeros that fill tiles of products up are multiplied, too.
inline double padded_product(int64_t m, int64_t n, int64_t k, int64_t tile_n) {
  return static_cast<double>(ceil_div(m, 64) * 64) * static_cast<double>(ceil_div(n, tile_n) * tile_n) *
         static_cast<double>(k);
}

// Transforms are limited by memory, products by either; all weights are read and all others written once.
inline double winograd_seconds(const WinogradShape& s, const Rates& rates) {
  const double groups = static_cast<double>(s.groups), channels = groups * static_cast<double>(s.rows + s.depth);
  const double images = 4 * channels * static_cast<double>(s.pixels());
  const double points = 4 * channels * kPositions * static_cast<double>(s.tiles());
  const double weights = 4 * groups * kPositions * static_cast<double>(s.rows * s.depth);
  const double products = groups * kPositions *
                          (s.of_weights ? padded_product(s.rows, s.depth, s.tiles(), 128)
                                        : padded_product(s.rows, s.tiles(), s.depth, 128));
  return (images + points + weights) / rates.bytes +
         max(products / rates.multiply_adds, (points + weights) / rates.bytes) + kMoreLaunches * kLaunchSeconds;
}

inline double direct_seconds(const WinogradShape& s, const Rates& rates) {
  const double groups = static_cast<double>(s.groups), channels = groups * static_cast<double>(s.rows + s.depth);
  const double products = groups * (s.of_weights ? padded_product(s.rows, s.depth * kKernel, s.pixels(), 64)
                                                 : padded_product(s.rows, s.pixels(), s.depth * kKernel, 64));
  return max(products / rates.multiply_adds, 4 * channels * static_cast<double>(s.pixels()) / rates.bytes);
}

inline bool use_winograd(DType dtype, const Conv2dGeometry& g, const WinogradShape& s) {
  const bool can = dtype == DType::kFloat32 && g.kernel_h == kTaps && g.kernel_w == kTaps && g.stride_h == 1 &&
                   g.stride_w == 1 && g.dilation_h == 1 && g.dilation_w == 1 && s.rows > 0 && s.depth > 0 &&
                   s.tiles() > 0;
  if (!can || conv_algorithm == ConvAlgorithm::kDirect) return false;
  if (conv_algorithm == ConvAlgorithm::kWinograd) return true;
  const Rates rates = peak_rates();
  return winograd_seconds(s, rates) < direct_seconds(s, rates);
}

// ---- chunks of tiles ------------------------------------------------------------------------------------------------

// Tiles [first, first + count) of a batch.
struct TileRun {
  PixelRun first;
  int count, pitch;  // pitch: whole warps, and so whole vectors and sectors
};

template <class Body>
void for_each_chunk(const WinogradShape& s, Body&& body) {
  const int64_t tiles = s.tiles(), across = s.across(), down = s.down();
  const int64_t a_tile = s.groups * (s.rows + s.depth) * kPositions * static_cast<int64_t>(sizeof(float));
  // By default a chunk has a thousand blocks of products and more, which fill a device several times.
  const int64_t chunks = ceil_div(tiles, max(int64_t{kWarp}, conv_workspace / a_tile));
  const int64_t size = ceil_div(ceil_div(tiles, chunks), kWarp) * kWarp;
  for (int64_t at = 0; at < tiles; at += size) {
    const int64_t row = at / across;
    const PixelRun first = {row / down, static_cast<int>(row % down), static_cast<int>(at % across),
                            static_cast<int>(down), static_cast<int>(across)};
    body(TileRun{first, static_cast<int>(min(size, tiles - at)), static_cast<int>(size)});
  }
}

// Images that are read under tiles: (images, channels, height, width), tile (0, 0) starts at (top, left).
struct TiledImages {
  const float* data;
  int channels, height, width, top, left;
};

namespace {

// ---- images to points -----------------------------------------------------------------------------------------------

// A block makes 32 tiles of a channel: a warp of the 32 tiles for each row of a patch, six in all.
constexpr int kTilesABlock = kWarp;
constexpr int kTransformThreads = kPatch * kTilesABlock;

inline unsigned transform_grid(const TileRun& tiles, int64_t channels) {
  return checked_grid(tiles.pitch / kTilesABlock * channels);
}

// The channel and the first tile of this block; neighbours have the same channel.
struct TransformBlock {
  int channel, tile;
};
__device__ __forceinline__ TransformBlock transform_block(const TileRun& tiles) {
  const unsigned runs = tiles.pitch / kTilesABlock;
  return {static_cast<int>(blockIdx.x / runs), static_cast<int>(blockIdx.x % runs) * kTilesABlock};
}

// kSide: 6 pixels of an input (B'), 4 of a gradient (D). First a thread a column of a tile, so that a warp reads pixels
// in a row; then a thread a row of it, whose neighbours write the same position of neighbouring tiles. In between the
// columns of all tiles lie side by side: rows start 6 words apart, which no two pairs of a half warp share a bank at.
template <int kSide>
__global__ void __launch_bounds__(kTransformThreads) transform_tiles(TiledImages images, TileRun tiles, float* to) {
  FASTDL_SHARED(float, half, [kPatch][kTilesABlock * kSide]);
  const TransformBlock block = transform_block(tiles);
  if (threadIdx.x < kTilesABlock * kSide) {
    const int tile = block.tile + threadIdx.x / kSide;
    const PixelRun at = tiles.first + tile;
    const int y = at.y * kTileOut + images.top, x = at.x * kTileOut + images.left + threadIdx.x % kSide;
    const bool in = tile < tiles.count && static_cast<unsigned>(x) < static_cast<unsigned>(images.width);
    const float* plane =
        images.data + (at.image * images.channels + block.channel) * int64_t{images.height} * images.width;
    float column[kSide], points[kPatch];
#pragma unroll
    for (int i = 0; i < kSide; ++i) {
      const bool inside = in && static_cast<unsigned>(y + i) < static_cast<unsigned>(images.height);
      column[i] = inside ? plane[(y + i) * images.width + x] : 0.0f;
    }
    to_points(column, points);
#pragma unroll
    for (int i = 0; i < kPatch; ++i) half[i][threadIdx.x] = points[i];
  }
  __syncthreads();
  const int lane = threadIdx.x % kWarp, i = threadIdx.x / kWarp;
  constexpr int N = kSide % 4 ? 2 : 4;
  float row[kSide], points[kPatch];
#pragma unroll
  for (int j = 0; j < kSide; j += N) {
    const auto some = load_vec<Pack<float, N>>(&half[i][lane * kSide + j]);
#pragma unroll
    for (int n = 0; n < N; ++n) row[j + n] = some[n];
  }
  to_points(row, points);
  const int64_t plane = int64_t{images.channels} * tiles.pitch;
  to += i * kPatch * plane + int64_t{block.channel} * tiles.pitch + block.tile + lane;
#pragma unroll
  for (int j = 0; j < kPatch; ++j) to[j * plane] = points[j];
}

// ---- products -------------------------------------------------------------------------------------------------------

// Tiles of products: sums of 8 x 8 a thread in both, so that four 16-byte reads of shared memory serve 64 FMA. Narrow
// is for layers of 64 channels, the commonest that would leave half of a large tile empty.
using LargeTile = GemmTiles<float>::Large;
using NarrowTile = GemmTile<float, 64, 128, 8, 8, 8>;

inline GemmPlan plan_products(int64_t m, int64_t n, int64_t k, int64_t batch) {
  GemmPlan plan = plan_tiles<LargeTile>(m, n, k, batch);
  const GemmPlan narrow = plan_tiles<NarrowTile>(m, n, k, batch);
  const int64_t large = int64_t{plan.tiles_m} * plan.tiles_n * batch;
  // Half a large tile is a narrow one: no more than an eighth of the products may be zeros that narrow ones spare.
  plan.large = large >= kBlocksToFill && 16 * int64_t{plan.tiles_m} <= 9 * int64_t{narrow.tiles_m};
  if (plan.large) return plan;
  return narrow;
}

// out[b] = A[b] B[b], b = (position, group). A (m x k) and B (k x n) lie one after another, either way up.
struct PointProducts {
  const float *a, *b;
  float* out;  // [part of k][b][m][n]
  int64_t m, n, k, matrices;
  GemmPlan plan;
};

struct PointWork {
  const float *a, *b;
  float* out;
  int rows, cols, steps;
};

template <class Tile, bool kAAlongK, bool kBAlongK>
__device__ void find_work(const PointProducts& p, PointWork& w) {
  const TileIndex at = tile_of_block(p.plan);
  const int64_t row = int64_t{at.m} * Tile::BM, col = int64_t{at.n} * Tile::BN, first = at.split * p.plan.chunk;
  w.a = p.a + at.batch * p.m * p.k + (kAAlongK ? row * p.k + first : first * p.m + row);
  w.b = p.b + at.batch * p.k * p.n + (kBAlongK ? col * p.k + first : first * p.n + col);
  w.out = p.out + ((at.split * p.matrices + at.batch) * p.m + row) * p.n + col;
  w.rows = static_cast<int>(min(p.m - row, int64_t{Tile::BM}));
  w.cols = static_cast<int>(min(p.n - col, int64_t{Tile::BN}));
  w.steps = static_cast<int>(min(p.k - first, p.plan.chunk));
}

// Points: rows of tiles, in whole vectors that start on 16 bytes. Where tiles are columns of the product, k lies a row
// apart. What MatrixLoader can do besides costs registers that are not to be had here.
template <class Tile>
struct PointLoader {
  using Order = MatrixLoader<Tile, Tile::BN, false>;  // the same threads take the same places of the panel
  using Vector = Pack<float, Tile::V>;

  const float* own;
  int64_t ld;
  int steps;
  Vector held[Order::kEach];

  __device__ PointLoader(const float* points, int64_t ld, int cols, int steps)
      : own(points + Order::own_k() * ld + Order::own_row()),
        ld(ld),
        steps(Order::own_row() < cols ? steps - Order::own_k() : 0) {}

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < Order::kEach; ++i)
      held[i] = i * Order::kStep < steps ? load_vec<Vector>(own + i * Order::kStep * ld) : Vector{};
    own += Tile::BK * ld;
    steps -= Tile::BK;
  }
  __device__ void store(typename Tile::PanelB& panel) const {
#pragma unroll
    for (int i = 0; i < Order::kEach; ++i)
      store_vec(&panel[Order::own_k() + i * Order::kStep][Order::own_row()], held[i]);
  }
};

// A block owns a tile of one position's matrix, or its part of k.
template <class Tile, bool kAAlongK, bool kBAlongK>
__global__ void __launch_bounds__(Tile::kThreads, 512 / Tile::kThreads) multiply_points(PointProducts p) {
  FASTDL_SHARED(float, panels_a, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(float, panels_b, [2][Tile::BK][Tile::BN + kPanelPad]);
  FASTDL_SHARED(PointWork, work, [1]);
  if (threadIdx.x == 0) find_work<Tile, kAAlongK, kBAlongK>(p, work[0]);
  __syncthreads();
  Accumulators<Tile> results;
  {
    const PointWork& w = work[0];
    MatrixLoader<Tile, Tile::BM, kAAlongK> load_a(w.a, kAAlongK ? p.k : p.m, w.rows, w.steps);
    if constexpr (kBAlongK) {
      MatrixLoader<Tile, Tile::BN, true> load_b(w.b, p.k, w.cols, w.steps);
      gemm_main_loop<Tile>(load_a, load_b, w.steps, panels_a, panels_b, results);
    } else {
      PointLoader<Tile> load_b(w.b, p.n, w.cols, w.steps);
      gemm_main_loop<Tile>(load_a, load_b, w.steps, panels_a, panels_b, results);
    }
  }
  __syncthreads();  // what the block works on is read again, instead of having been kept in registers
  const PointWork w = work[0];
  const bool vector = vectors_at(w.out, p.n);
  results.each_vector([](int col) { return col; },
                      [&](int row, int col, Pack<float, Tile::V>& v) {
                        if (row < w.rows && col < w.cols)
                          store_results(w.out + row * p.n + col, v, w.cols - col, vector);
                      });
}

template <bool kAAlongK, bool kBAlongK>
void launch_products(const PointProducts& p, Stream stream) {
  const auto kernel =
      p.plan.large ? multiply_points<LargeTile, kAAlongK, kBAlongK> : multiply_points<NarrowTile, kAAlongK, kBAlongK>;
  launch(kernel, grid_of(p.plan), p.plan.large ? LargeTile::kThreads : NarrowTile::kThreads, 0, stream, p);
}

}  // namespace
}  // namespace fastdl
