// The gradient of 3x3 weights by Winograd's F(3x3, 4x4) (conv2d_winograd-inl.h has the transforms). Tiles of the input
// and of the gradient are transformed a block of tile rows at a time, and each of the 36 positions adds a product of
// matrices, summed over the tiles of the block:
//
//   inputs    [position][block of channels][tile][kL]   vectors
//   grads     [position][block of outputs][tile][kL]    numbers broadcast to the lanes
//   sums      [position][output][channels]              turned into 3x3 weights once, at the end
//
// The blocks are dealt out to a few parts with sums of their own, added in order; how many depends on the shape alone.
// Where the sums are large there is one part, and threads share the positions and channels inside a block.
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// Register tile: outputs x blocks of channels. kRows divides kL, so that a panel stays within a block of outputs.
constexpr int kRows = kL < 8 ? kL : kL / 2, kVecs = 2;
constexpr int64_t kBlockBytes = 360 << 10;          // inputs and gradients of a block
constexpr int64_t kMinTiles = 36, kMaxTiles = 256;  // each sum is loaded and stored once a block
constexpr int64_t kPartsBytes = 16 << 20;           // sums of all parts
constexpr int64_t kMaxParts = 8, kMinParts = 4;     // with fewer than kMinParts, threads share a block

struct Sizes {
  TileGrid grid;
  int64_t channels, outs, c_blocks, o_blocks;
  int64_t rows_a_block, blocks, tiles;
  int64_t block, in_position, grad_position;  // strides of the transformed tiles
  int64_t sum_row, sum_position, sum_size;
  int64_t parts;

  explicit Sizes(const Conv2dGeometry& g)
      : grid(g.batch, g.out_h, g.out_w), channels(g.in_channels), outs(g.out_channels) {
    c_blocks = (channels + kL - 1) / kL, o_blocks = (outs + kL - 1) / kL;
    int64_t wanted = kBlockBytes / (kPositions * (c_blocks + o_blocks) * kVecBytes);
    wanted = wanted < kMinTiles ? kMinTiles : wanted > kMaxTiles ? kMaxTiles : wanted;
    rows_a_block = wanted / grid.across < 1 ? 1 : wanted / grid.across;
    blocks = (grid.rows + rows_a_block - 1) / rows_a_block;
    rows_a_block = (grid.rows + blocks - 1) / blocks;
    tiles = rows_a_block * grid.across;
    block = tiles * kL;
    in_position = c_blocks * block + kL, grad_position = o_blocks * block + kL;
    sum_row = c_blocks * kL, sum_position = o_blocks * kL * sum_row + kL, sum_size = kPositions * sum_position;
    parts = kPartsBytes / (sum_size * static_cast<int64_t>(sizeof(float)));
    if (parts > kMaxParts) parts = kMaxParts;
    if (parts > blocks) parts = blocks;
    if (parts < 1) parts = 1;
  }
};

// sums[o][c] (+)= sum over tiles of grads[tile][o] * in[tile][c], for kRows outputs and NV blocks of channels.
template <int NV>
__attribute__((noinline)) void product_tile(int64_t tiles, const float* grads, const float* in, int64_t in_block,
                                            float* sums, int64_t sum_row, bool accumulate) {
  V acc[kRows][NV];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) acc[i][j] = V{};
  for (int64_t t = 0; t < tiles; ++t, grads += kL, in += kL) {
    V x[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) x[j] = load<float>(in + j * in_block);
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[i][j] += grads[i] * x[j];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      float* to = sums + i * sum_row + j * kL;
      store<float>(to, accumulate ? load<float>(to) + acc[i][j] : acc[i][j]);
    }
  }
}

// One position and one block of outputs; the channels in slivers of kVecs blocks.
void multiply(const Sizes& z, int64_t tiles, int64_t o_block, const float* grads, const float* in, float* sums,
              bool accumulate) {
  const float* g = grads + o_block * z.block;
  float* to = sums + o_block * kL * z.sum_row;
  const int64_t outs = z.outs - o_block * kL < kL ? z.outs - o_block * kL : kL;
  for (int64_t c = 0; c < z.c_blocks; c += kVecs) {
    const auto tile = z.c_blocks - c >= kVecs ? &product_tile<kVecs> : &product_tile<1>;
    for (int64_t o = 0; o < outs; o += kRows)
      tile(tiles, g + o, in + c * z.block, z.block, to + o * z.sum_row + c * kL, z.sum_row, accumulate);
  }
}

void add_block(const Conv2dBwdWeightArgs& p, const Sizes& z, int64_t block, float* in, float* grads, float* sums,
               bool accumulate) {
  const Conv2dGeometry& g = p.g;
  const int64_t row0 = block * z.rows_a_block;
  const int64_t row1 = row0 + z.rows_a_block < z.grid.rows ? row0 + z.rows_a_block : z.grid.rows;
  const int64_t tiles = (row1 - row0) * z.grid.across;
  const Images x{static_cast<const float*>(p.x), g.in_channels, g.in_h, g.in_w, -g.pad_top, -g.pad_left};
  const Images y{static_cast<const float*>(p.grad), g.out_channels, g.out_h, g.out_w, 0, 0};
  parallel_for(z.c_blocks + z.o_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i - z.c_blocks;
      if (o < 0)
        transform_tiles<kPatch>(x, z.grid, row0, row1, i * kL, in + i * z.block, z.in_position);
      else
        transform_tiles<kTile>(y, z.grid, row0, row1, o * kL, grads + o * z.block, z.grad_position);
    }
  });
  parallel_for(kPositions * z.o_blocks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t position = i / z.o_blocks;
      multiply(z, tiles, i % z.o_blocks, grads + position * z.grad_position, in + position * z.in_position,
               sums + position * z.sum_position, accumulate);
    }
  });
}

// The 3x3 weights of one output and a block of channels, from the sums of all parts.
void finish_weights(const Sizes& z, int64_t o, int64_t c_block, const float* sums, float* grad_weight) {
  const float* from = sums + o * z.sum_row + c_block * kL;
  V half[3][kPatch];
#pragma GCC unroll 8
  for (int j = 0; j < kPatch; ++j) {
    V column[kPatch], w[3];
#pragma GCC unroll 8
    for (int i = 0; i < kPatch; ++i) {
      column[i] = load<float>(from + (i * kPatch + j) * z.sum_position);
      for (int64_t part = 1; part < z.parts; ++part)
        column[i] += load<float>(from + part * z.sum_size + (i * kPatch + j) * z.sum_position);
    }
    make_weights(column, w);
#pragma GCC unroll 4
    for (int r = 0; r < 3; ++r) half[r][j] = w[r];
  }
  alignas(64) float taps[9][kL];
#pragma GCC unroll 4
  for (int r = 0; r < 3; ++r) {
    V w[3];
    make_weights(half[r], w);
#pragma GCC unroll 4
    for (int s = 0; s < 3; ++s) store<float>(taps[r * 3 + s], w[s]);
  }
  float* to = grad_weight + (o * z.channels + c_block * kL) * 9;
  for (int c = 0; c < kL && c_block * kL + c < z.channels; ++c)
    for (int t = 0; t < 9; ++t) to[c * 9 + t] = taps[t][c];
}

}  // namespace

void winograd_weight_gradient(const Conv2dBwdWeightArgs& p) {
  float* grad_weight = static_cast<float*>(p.grad_weight);
  if (p.g.batch == 0) {
    for (int64_t i = 0; i < p.g.out_channels * p.g.in_channels * 9; ++i) grad_weight[i] = 0.f;
    return;
  }
  const Sizes z(p.g);
  Scratch<float> sums(z.parts * z.sum_size);
  parallel_for(z.parts, z.parts < kMinParts ? z.parts : 1, [&](int64_t begin, int64_t end) {
    Scratch<float> in(kPositions * z.in_position), grads(kPositions * z.grad_position);
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = z.blocks * part / z.parts, last = z.blocks * (part + 1) / z.parts;
      for (int64_t block = first; block < last; ++block)
        add_block(p, z, block, in, grads, sums + part * z.sum_size, block > first);
    }
  });
  parallel_for(z.outs * z.c_blocks, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) finish_weights(z, i / z.c_blocks, i % z.c_blocks, sums, grad_weight);
  });
}

}  // namespace fastdl::FASTDL_ISA
