// The gradient of weights by Winograd's F(RxR, MxM), M + R = 7 (conv2d_winograd-inl.h has the transforms). Strides
// become channels: taps of one residue modulo the stride are a view of the input at unit steps. Tiles of the input and
// of the gradient are transformed a block of tile rows at a time, and each of the 36 positions adds a product of
// matrices, summed over the tiles of the block:
//
//   inputs    [position][view][block of channels][tile][kL]   vectors
//   grads     [position][block of outputs][tile][kL]          numbers broadcast to the lanes
//   sums      [position][output][view][channels]              turned into RxR weights once, at the end
//
// The blocks are dealt out to a few parts with sums of their own, added in order; how many depends on the shape alone.
// Where the sums are large there is one part, and threads share the positions and channels inside a block. Where all
// tiles stay in the level-2 cache, the sums never leave it: all positions of a few outputs and channels are finished
// before the next ones.
#include "cpu/microkernel-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"
#include "ops/conv2d/conv2d_winograd_amx-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// Register tile: outputs x blocks of channels. kRows divides kL, so that a panel stays within a block of outputs.
constexpr int kRows = kL < 8 ? kL : kL / 2, kVecs = 2;
constexpr int64_t kBlockBytes = 360 << 10;          // inputs and gradients of a block
constexpr int64_t kMinTiles = 36, kMaxTiles = 288;  // each sum is loaded and stored once a block
constexpr int64_t kChain = 72;                      // tiles added up at a time: what keeps large sums exact
constexpr int64_t kSumsBytes = 1 << 20;             // beyond, they travel further than tiles do: blocks are large
constexpr int64_t kPartsBytes = 16 << 20;           // sums of all parts
constexpr int64_t kMaxParts = 8, kMinParts = 4;     // with fewer than kMinParts, threads share a block
constexpr int64_t kCloseTiles = 64;                 // so few that sums are finished at once,
constexpr int64_t kCloseBlocks = 4;                 // of so many blocks of channels, or half of them at strides
constexpr int64_t kAmxBlocks = 8;                   // least blocks of outputs and of channels for the tile unit
constexpr int64_t kAmxNearTiles = 64;               // of a block there, where sums are small
constexpr int64_t kAmxPositions = 9;                // that a thread has at a time
constexpr int64_t kAmxAhead = 256 << 10;            // numbers of split operands
constexpr int64_t kAmxChain = 4;                    // steps added up at a time

bool winograd_weights_by_amx([[maybe_unused]] int64_t in_blocks, [[maybe_unused]] int64_t out_blocks) {
#if defined(FASTDL_ISA_amx)
  return amx_in_use() && in_blocks >= kAmxBlocks && out_blocks >= kAmxBlocks;
#else
  return false;
#endif
}

struct Sizes {
  TileGrid grid;
  Views views_y, views_x;
  int64_t channels, outs, views, c_blocks, o_blocks;  // blocks of channels of one view
  int64_t rows_a_block, blocks, tiles;
  bool amx;
  int64_t block, in_position, grad_position;  // strides of the transformed tiles
  int64_t sum_row, sum_position, sum_size;
  int64_t parts;

  Sizes(const Conv2dGeometry& g, int64_t taps)
      : grid(g.batch, g.out_h, g.out_w, kPatch + 1 - taps, kPatch + 1 - taps),
        views_y(g.kernel_h, g.stride_h, taps),
        views_x(g.kernel_w, g.stride_w, taps),
        channels(g.in_channels),
        outs(g.out_channels),
        views(views_y.count * views_x.count) {
    c_blocks = (channels + kL - 1) / kL, o_blocks = (outs + kL - 1) / kL;
    sum_row = views * c_blocks * kL, sum_position = o_blocks * kL * sum_row + kL, sum_size = kPositions * sum_position;
    const int64_t sum_bytes = sum_size * static_cast<int64_t>(sizeof(float));
    int64_t wanted = kBlockBytes / (kPositions * (views * c_blocks + o_blocks) * kVecBytes);
    amx = winograd_weights_by_amx(views * c_blocks, o_blocks);
    if (amx) wanted = kAmxNearTiles;
    wanted = sum_bytes > kSumsBytes || wanted > kMaxTiles ? kMaxTiles : wanted < kMinTiles ? kMinTiles : wanted;
    rows_a_block = wanted / grid.across < 1 ? 1 : wanted / grid.across;
    blocks = (grid.rows + rows_a_block - 1) / rows_a_block;
    rows_a_block = (grid.rows + blocks - 1) / blocks;
    tiles = rows_a_block * grid.across;
    amx = amx && !close();
    block = (amx ? (tiles + 2 * kL - 1) / (2 * kL) * 2 * kL : tiles) * kL;
    in_position = views * c_blocks * block + kL, grad_position = o_blocks * block + kL;
    parts = kPartsBytes / sum_bytes;
    if (parts > kMaxParts) parts = kMaxParts;
    if (parts > blocks) parts = blocks;
    if (parts < 1) parts = 1;
  }
  bool close() const { return blocks == 1 && tiles <= kCloseTiles; }
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
    for (int i = 0; i < kRows; ++i) add_row<float, NV>(acc[i], grads + i, x, i);
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

// Whether the weights of a view need no sums at a position: the last one makes the last tap alone.
bool is_unused(const Conv2dGeometry& g, const Sizes& z, int64_t view, int64_t position) {
  const auto short_of = [](const Views& v, int64_t i, int64_t kernel) {
    return v.offset(i) + (v.taps - 1) * v.step >= kernel;
  };
  return (position / kPatch == kPatch - 1 && short_of(z.views_y, view / z.views_x.count, g.kernel_h)) ||
         (position % kPatch == kPatch - 1 && short_of(z.views_x, view % z.views_x.count, g.kernel_w));
}

// Blocks of channels [first, last), of all views: a row of their sums is [view][channels].
struct Channels {
  int64_t first, last;
  int64_t view() const { return (last - first) * kL; }
};

// One position and one block of outputs, channels in slivers of kVecs blocks.
void multiply(const Conv2dGeometry& g, const Sizes& z, int64_t tiles, int64_t position, int64_t o_block,
              const Channels& c, const float* grads, const float* in, float* sums, bool accumulate) {
  const float* y = grads + position * z.grad_position + o_block * z.block;
  const int64_t outs = z.outs - o_block * kL < kL ? z.outs - o_block * kL : kL, row = z.views * c.view();
  for (int64_t view = 0; view < z.views; ++view, sums += c.view()) {
    if (is_unused(g, z, view, position)) continue;
    for (int64_t i = c.first; i < c.last; i += kVecs) {
      const float* x = in + position * z.in_position + (view * z.c_blocks + i) * z.block;
      const auto tile = c.last - i >= kVecs ? &product_tile<kVecs> : &product_tile<1>;
      for (int64_t o = 0; o < outs; o += kRows)
        for (int64_t t = 0; t < tiles; t += kChain)
          tile(tiles - t < kChain ? tiles - t : kChain, y + t * kL + o, x + t * kL, z.block,
               sums + o * row + (i - c.first) * kL, row, accumulate || t > 0);
    }
  }
}

// The input as one view sees it.
Images view_of(const Conv2dBwdWeightArgs& p, const Sizes& z, int64_t view) {
  const Conv2dGeometry& g = p.g;
  Views y = z.views_y, x = z.views_x;
  const int64_t top = y.offset(view / x.count) - g.pad_top, left = x.offset(view % x.count) - g.pad_left;
  y.count = x.count = 1;
  return {static_cast<const float*>(p.x), g.in_channels, g.in_h, g.in_w, top, left, 0, y, x};
}

template <int R>
void transform_block(const Conv2dBwdWeightArgs& p, const Sizes& z, int64_t row0, int64_t row1, float* in,
                     float* grads) {
  constexpr int M = kPatch + 1 - R;
  const Conv2dGeometry& g = p.g;
  const Images y{static_cast<const float*>(p.grad), g.out_channels, g.out_h, g.out_w, 0, 0};
  const int64_t x_blocks = z.views * z.c_blocks;
  parallel_for(x_blocks + z.o_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i - x_blocks;
      if (o < 0)
        transform_tiles<Squares<kPatch, M>>(view_of(p, z, i / z.c_blocks), z.grid, row0, row1, i % z.c_blocks * kL,
                                            in + i * z.block, z.in_position);
      else
        transform_tiles<Squares<M, M>>(y, z.grid, row0, row1, o * kL, grads + o * z.block, z.grad_position);
    }
  });
}

#if defined(FASTDL_ISA_amx)
// ---- products on the tile unit: outputs are rows of A, channels columns of B, tiles are summed ---------------------

// Tiles from `tiles` on to whole steps are zeros.
void clear_rest(int64_t tiles, int64_t size, float* block) {
  for (int64_t i = tiles * kL; i < size; i += kL) store<float>(block + i, V{});
}

// Squares of 16 tiles and outputs, transposed in their place: outputs are rows then.
void turn_squares(float* at, int64_t count) {
  for (; count > 0; --count, at += kL * kL) {
    V r[kL];
#pragma GCC unroll 16
    for (int i = 0; i < kL; ++i) r[i] = load<float>(at + i * kL);
    transpose<float>(r);
#pragma GCC unroll 16
    for (int i = 0; i < kL; ++i) store<float>(at + i * kL, r[i]);
  }
}

// sums += A B, of up to 32 outputs and channels, or are set. What is not finite is made by vectors: parts of infinities
// make NaN.
void add_product(int64_t steps, const Bf16* a, const Bf16* b, int64_t rows, int64_t columns, Splitting& next,
                 float* sums, int64_t sum_row, bool accumulate) {
  alignas(64) float block[kAmxBlock];
  multiply_and_split_of<3>(rows, columns)(steps, a, b, next, {block, kAmxBlock / 2}, false);
  for (int64_t j = 0; j < columns; j += kL) {
    const float* from = block + j / kL * kAmxBlock / 2;
    const bool finite = all_finite(from, rows * kL);
    for (int64_t i = 0; i < rows; ++i, from += kL) {
      float* const to = sums + i * sum_row + j;
      V v = load<float>(from);
      if (__builtin_expect(!finite, 0) && !all_finite(from, kL))
        v = v * 0.0f == 0.0f ? v : row_by_vectors(steps, a + i * kAmxSteps, b + j / kL * kAmxTile);
      store<float>(to, accumulate ? load<float>(to) + v : v);
    }
  }
}

// The operands of a position, split: blocks of channels as columns of B, then blocks of outputs as rows of A. A pair
// are tiles 16 apart.
struct Operands {
  const Sizes& z;
  const float *in, *grads;  // of all positions
  Bf16* data;
  int64_t steps() const { return z.block / (2 * kL * kL); }
  int64_t size() const { return steps() * kAmxStep; }  // of a sliver
  int64_t slivers() const { return z.views * ((z.c_blocks + 1) / 2); }
  Bf16* sliver(int64_t view, int64_t c) const { return data + (view * ((z.c_blocks + 1) / 2) + c) * size(); }
  Bf16* panel(int64_t o) const { return data + (slivers() + o) * size(); }
  int64_t total() const { return (slivers() + (z.o_blocks + 1) / 2) * size(); }
  int64_t count() const { return z.views * z.c_blocks + z.o_blocks; }
  Splitting block(int64_t position, int64_t i) const {
    const int64_t view = i / z.c_blocks, c = i % z.c_blocks, o = i - z.views * z.c_blocks;
    if (o < 0)
      return splitting_of(in + position * z.in_position + i * z.block, kL * kL, kL, steps(),
                          sliver(view, c / 2) + c % 2 * kAmxTile);
    return splitting_of(grads + position * z.grad_position + o * z.block, kL * kL, kL, steps(),
                        panel(o / 2) + o % 2 * kAmxTile);
  }
};

// Positions [first, last), by one thread. The operands of the next one are split between products, if the level-2 cache
// holds both.
void positions_by_amx(const Conv2dGeometry& g, const Sizes& z, int64_t tiles, int64_t first, int64_t last, float* in,
                      float* grads, float* sums, bool accumulate) {
  Operands now{z, in, grads, nullptr};
  const bool ahead = now.total() <= kAmxAhead;
  Scratch<Bf16> buffer((ahead ? 2 : 1) * now.total());
  now.data = buffer;
  Operands later{z, in, grads, ahead ? buffer + now.total() : buffer.get()};
  Splitting next;
  int64_t position = first, done = later.count();
  const auto begin = [&](int64_t at) {
    for (int64_t i = 0; i < z.views * z.c_blocks; ++i)
      clear_rest(tiles, z.block, in + at * z.in_position + i * z.block);
    for (int64_t i = 0; i < z.o_blocks; ++i) {
      clear_rest(tiles, z.block, grads + at * z.grad_position + i * z.block);
      turn_squares(grads + at * z.grad_position + i * z.block, z.block / (kL * kL));
    }
    next = later.block(at, 0), done = 1;
  };
  const auto advance = [&](int64_t at) {
    if (next.left == 0 && done < later.count()) next = later.block(at, done++);
  };
  tile_begin();
  if (ahead) begin(first);
  for (; position < last; ++position) {
    if (!ahead) begin(position);
    while (next.left > 0) split_some(next, next.left), advance(position);
    const Operands swapped = now;
    now.data = later.data, later.data = swapped.data;
    if (ahead && position + 1 < last) begin(position + 1);
    float* const to = sums + position * z.sum_position;
    for (int64_t o = 0; o < z.o_blocks; o += 2)
      for (int64_t view = 0; view < z.views; ++view) {
        if (is_unused(g, z, view, position)) continue;
        for (int64_t c = 0; c < z.c_blocks; c += 2)
          for (int64_t k = 0; k < now.steps(); k += kAmxChain) {
            const int64_t left = now.steps() - k;
            add_product(left < kAmxChain ? left : kAmxChain, now.panel(o / 2) + k * kAmxStep,
                        now.sliver(view, c / 2) + k * kAmxStep, (o + 1 < z.o_blocks ? 2 : 1) * kL,
                        (c + 1 < z.c_blocks ? 2 : 1) * kL, next, to + o * kL * z.sum_row + (view * z.c_blocks + c) * kL,
                        z.sum_row, accumulate || k > 0);
            if (position + 1 < last) advance(position + 1);
          }
      }
  }
  tile_end();
}

void add_block_by_amx(const Conv2dGeometry& g, const Sizes& z, int64_t tiles, float* in, float* grads, float* sums,
                      bool accumulate) {
  parallel_for(kPositions, z.parts >= kMinParts ? kPositions : kAmxPositions, [&](int64_t first, int64_t last) {
    positions_by_amx(g, z, tiles, first, last, in, grads, sums, accumulate);
  });
}
#else
void add_block_by_amx(const Conv2dGeometry&, const Sizes&, int64_t, float*, float*, float*, bool) {}
#endif

template <int R>
void add_block(const Conv2dBwdWeightArgs& p, const Sizes& z, int64_t block, float* in, float* grads, float* sums,
               bool accumulate) {
  const int64_t row0 = block * z.rows_a_block;
  const int64_t row1 = row0 + z.rows_a_block < z.grid.rows ? row0 + z.rows_a_block : z.grid.rows;
  transform_block<R>(p, z, row0, row1, in, grads);
  if (z.amx) return add_block_by_amx(p.g, z, (row1 - row0) * z.grid.across, in, grads, sums, accumulate);
  parallel_for(kPositions * z.o_blocks, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t position = i / z.o_blocks, o_block = i % z.o_blocks;
      multiply(p.g, z, (row1 - row0) * z.grid.across, position, o_block, {0, z.c_blocks}, grads, in,
               sums + position * z.sum_position + o_block * kL * z.sum_row, accumulate);
    }
  });
}

// Sums of one output and block of channels at all positions, of several parts.
struct Sums {
  const float* data;
  int64_t view, position, parts, part;  // strides
};

// taps[tap of the kernel][lane] of one view. Sums that are unused make taps beyond the kernel.
template <int R>
void make_taps(const Conv2dGeometry& g, const Sizes& z, int64_t view, const Sums& sums, float* taps) {
  const float* from = sums.data + view * sums.view;
  V half[R][kPatch];
#pragma GCC unroll 8
  for (int j = 0; j < kPatch; ++j) {
    V column[kPatch], w[R];
#pragma GCC unroll 8
    for (int i = 0; i < kPatch; ++i) {
      column[i] = load<float>(from + (i * kPatch + j) * sums.position);
      for (int64_t part = 1; part < sums.parts; ++part)
        column[i] += load<float>(from + part * sums.part + (i * kPatch + j) * sums.position);
    }
    make_weights<R>(column, w);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) half[r][j] = w[r];
  }
  const int64_t y0 = z.views_y.offset(view / z.views_x.count), x0 = z.views_x.offset(view % z.views_x.count);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    V w[R];
    make_weights<R>(half[r], w);
#pragma GCC unroll 8
    for (int s = 0; s < R; ++s) {
      const int64_t y = y0 + r * g.stride_h, x = x0 + s * g.stride_w;
      if (y < g.kernel_h && x < g.kernel_w) store<float>(taps + (y * g.kernel_w + x) * kL, w[s]);
    }
  }
}

// The weights of one output and a block of channels. taps: scratch for the kernel.
template <int R>
void finish_weights(const Conv2dGeometry& g, const Sizes& z, int64_t o, int64_t c_block, const Sums& sums, float* taps,
                    float* grad_weight) {
  const int64_t kernel = g.kernel_h * g.kernel_w, left = z.channels - c_block * kL;
  for (int64_t view = 0; view < z.views; ++view) make_taps<R>(g, z, view, sums, taps);
  float* to = grad_weight + (o * z.channels + c_block * kL) * kernel;
  for (int64_t t = 0; t < kernel; t += kL, to += kL) {
    const int n = static_cast<int>(kernel - t < kL ? kernel - t : kL);
    V r[kL];
#pragma GCC unroll 16
    for (int i = 0; i < kL; ++i) r[i] = i < n ? load<float>(taps + (t + i) * kL) : V{};
    transpose<float>(r);
#pragma GCC unroll 16
    for (int i = 0; i < kL; ++i)
      if (i < left) store_n<float>(to + i * kernel, r[i], n);
  }
}

// One block of all tiles: the sums of a block of outputs and a few of channels at a time.
template <int R>
void make_close(const Conv2dBwdWeightArgs& p, const Sizes& z, float* grad_weight) {
  const int64_t c_group = z.views == 1 ? kCloseBlocks : kCloseBlocks / 2, most = z.views * c_group * kL * kL + kL;
  Scratch<float> in(kPositions * z.in_position), grads(kPositions * z.grad_position);
  transform_block<R>(p, z, 0, z.grid.rows, in, grads);
  const int64_t groups = (z.c_blocks + c_group - 1) / c_group;
  parallel_for(groups * z.o_blocks, 4, [&](int64_t begin, int64_t end) {
    Scratch<float> sums(kPositions * most), taps(p.g.kernel_h * p.g.kernel_w * kL);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / z.o_blocks * c_group, o_block = i % z.o_blocks;
      const Channels c{first, first + c_group < z.c_blocks ? first + c_group : z.c_blocks};
      for (int64_t position = 0; position < kPositions; ++position)
        multiply(p.g, z, z.tiles, position, o_block, c, grads, in, sums + position * most, false);
      for (int64_t o = 0; o < kL && o_block * kL + o < z.outs; ++o)
        for (int64_t b = c.first; b < c.last; ++b)
          finish_weights<R>(p.g, z, o_block * kL + o, b,
                            {sums + o * z.views * c.view() + (b - c.first) * kL, c.view(), most, 1, 0}, taps,
                            grad_weight);
    }
  });
}

template <int R>
void weights_of(const Conv2dBwdWeightArgs& p) {
  float* grad_weight = static_cast<float*>(p.grad_weight);
  const Sizes z(p.g, R);
  if (z.close()) return make_close<R>(p, z, grad_weight);
  Scratch<float> sums(z.parts * z.sum_size);
  parallel_for(z.parts, z.parts < kMinParts ? z.parts : 1, [&](int64_t begin, int64_t end) {
    Scratch<float> in(kPositions * z.in_position), grads(kPositions * z.grad_position);
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = z.blocks * part / z.parts, last = z.blocks * (part + 1) / z.parts;
      for (int64_t block = first; block < last; ++block)
        add_block<R>(p, z, block, in, grads, sums + part * z.sum_size, block > first);
    }
  });
  parallel_for(z.outs * z.c_blocks, 64, [&](int64_t begin, int64_t end) {
    Scratch<float> taps(p.g.kernel_h * p.g.kernel_w * kL);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / z.c_blocks, c = i % z.c_blocks;
      finish_weights<R>(p.g, z, o, c,
                        {sums + o * z.sum_row + c * kL, z.c_blocks * kL, z.sum_position, z.parts, z.sum_size}, taps,
                        grad_weight);
    }
  });
}

}  // namespace

void winograd_weight_gradient(const Conv2dBwdWeightArgs& p) {
  const Conv2dGeometry& g = p.g;
  if (g.batch == 0) {
    float* grad_weight = static_cast<float*>(p.grad_weight);
    for (int64_t i = 0; i < g.out_channels * g.in_channels * g.kernel_h * g.kernel_w; ++i) grad_weight[i] = 0.f;
    return;
  }
  const int64_t taps = winograd_weight_taps(g);
  const auto make = taps == 2   ? &weights_of<2>
                    : taps == 3 ? &weights_of<3>
                    : taps == 4 ? &weights_of<4>
                                : &weights_of<5>;
  make(p);
}

}  // namespace fastdl::FASTDL_ISA
