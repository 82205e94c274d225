// The convolutions of conv2d_winograd_conv-inl.h with their products on the tile unit: tiles are rows of A, outputs
// columns of B, and channels are summed.
//
//   inputs    [position][block of channels][tile][kL]    as without it: neighbouring blocks are the vectors of a pair
//   panel     [step of 32 channels][kAmxStep]            32 tiles of a position, split
//   weights   [position][sliver of 32 outputs][step][kAmxStep]
//   products  [position][block of outputs][tile][kL]     in the place of the inputs, which have been split before
//
// All weights are made first. Blocks of tile rows are larger than without the tile unit: what weights cost is shared by
// more tiles.
#pragma once
#include "ops/conv2d/conv2d_winograd_amx-inl.h"

namespace fastdl::FASTDL_ISA {
#if defined(FASTDL_ISA_amx)

constexpr int64_t kAmxNearBytes = 1 << 20;              // weights and tiles that share the level-2 cache
constexpr int64_t kAmxFarBytes = 16 << 20;              // weights from here on come slowly
constexpr int64_t kAmxTiles = 256, kAmxFarTiles = 512;  // of a block, with weights from beyond the level-2 cache

template <class Form>
struct AmxSizes {
  static constexpr int64_t kPositions = Form::kRows * Form::kCols;
  TileGrid grid;
  // What is summed lies in segments of whole steps: one, or where views are apart one a view.
  int64_t segments, depth, blocks_in, steps;  // of a segment: channels, blocks of them that there are, steps
  int64_t o_blocks, slivers;
  int64_t rows_a_block, blocks, tiles, rows;  // of a block: tile rows, tiles, and these in whole vectors
  int64_t in_block, out_block, out_position;  // strides of inputs and products
  int64_t panel, weight_position;             // numbers

  explicit AmxSizes(const WinogradArgs& p) : grid(p.batch, p.rows, p.cols, Form::kDown, Form::kAcross) {
    segments = p.views() > 1 && views_apart(p.channels) ? p.views() : 1, depth = p.depth() / segments;
    blocks_in = ceil_div(depth, kL), steps = amx_steps(depth), panel = segments * steps * kAmxStep;
    o_blocks = ceil_div(p.out_channels, kL), slivers = ceil_div(o_blocks, 2);
    // A little more than whole slivers and blocks: positions must not fall into the same sets of the cache.
    weight_position = slivers * panel + 8 * kL;
    const int64_t pairs = segments * steps * 2, most = pairs > o_blocks ? pairs : o_blocks;
    const int64_t bytes = kPositions * weight_position * static_cast<int64_t>(sizeof(Bf16));
    const int64_t near = kAmxNearBytes / (kPositions * most * kVecBytes);
    const int64_t wanted = bytes > kAmxFarBytes ? kAmxFarTiles : bytes > kAmxNearBytes ? kAmxTiles : near;
    rows_a_block = wanted / grid.across < 1 ? 1 : wanted / grid.across;
    blocks = ceil_div(grid.rows, rows_a_block);
    rows_a_block = ceil_div(grid.rows, blocks), tiles = rows_a_block * grid.across;
    rows = ceil_div(tiles, kL) * kL, in_block = out_block = rows * kL, out_position = most * in_block + kL;
  }
  int64_t first_row(int64_t block) const { return min64(block * rows_a_block, grid.rows); }
  int64_t columns(int64_t sliver) const { return min64(2, o_blocks - 2 * sliver) * kL; }
  int64_t panels() const { return ceil_div(rows, kAmxSide); }
};

// Clock cycles for each input channel and block of outputs. Kept weights come from memory while tiles use those before.
constexpr double kAmxCycles = 0.25, kVectorCycles = 0.38;  // a tile and position
constexpr double kAmxWeightCycles = 460, kVectorWeightCycles = 100;
constexpr double kAmxFarCycles = 900;  // written and read, beyond kAmxFarBytes
constexpr double kLineCycles = 10;     // a vector of kept weights
template <class Form>
static bool winograd_serves_amx(const WinogradArgs& p, bool kept) {
  if (!amx_in_use()) return false;
  const AmxSizes<Form> z(p);
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  const double used = number(p.depth() * z.o_blocks) / number(z.segments * z.steps * kAmxSteps * z.slivers * 2);
  const double tiles = number(z.grid.rows * z.grid.across), positions = number(z.kPositions);
  const double amx = number(z.blocks * z.rows) * positions * kAmxCycles / used,
               vectors = tiles * positions * kVectorCycles;
  const double line = positions * kLineCycles;
  if (kept) return (amx > 1.5 * line ? amx : 1.5 * line) < (vectors > line ? vectors : line);
  const bool far = z.kPositions * z.weight_position * static_cast<int64_t>(sizeof(Bf16)) > kAmxFarBytes;
  return amx + positions / kPositions * (far ? kAmxFarCycles : kAmxWeightCycles) <
         vectors + positions / kPositions * kVectorWeightCycles;
}

// ---- weights -------------------------------------------------------------------------------------------------------

// Steps [first, last) of a segment and sliver: to[position * weight_position + (step - first) * kAmxStep].
template <class Form>
static void amx_weights(const WinogradArgs& p, const AmxSizes<Form>& z, int64_t sliver, int64_t segment, int64_t first,
                        int64_t last, Bf16* to) {
  constexpr int64_t kRun = 4, kStride = 2 * kRun * kL + kL;  // pairs transformed at a time, near enough for level 1
  const int64_t taps = p.kernel_h * p.kernel_w, views = p.views();
  Scratch<float> gathered(kAmxSteps * taps * kL), made(z.kPositions * kStride);
  for (int64_t step = first; step < last; ++step, to += kAmxStep) {
    const int64_t k0 = segment * z.depth + step * kAmxSteps, k1 = min64(k0 + kAmxSteps, (segment + 1) * z.depth);
    const int64_t c0 = place_of(k0, p.channels, views).channel, c1 = place_of(k1 - 1, p.channels, views).channel + 1;
    for (int64_t j = 0; j < z.columns(sliver) / kL; ++j) {
      gather_taps(p, 2 * sliver + j, c0, c1 - c0, gathered);
      for (int64_t i = 0; i < kL; i += kRun) {
        for (int64_t n = 0; n < 2 * kRun; ++n) {
          const int64_t k = k0 + n / kRun * kL + i + n % kRun;
          float* const row = made + n * kL;
          const auto [c, view] = place_of(k < k1 ? k : k0, p.channels, views);
          if (k < k1)
            Form::transform_kernel(p, view, kAllPositions<Form>, gathered + (c - c0) * taps * kL, row, kStride);
          else
            for (int64_t at = 0; at < z.kPositions; ++at) store<float>(row + at * kStride, V{});
        }
        for (int64_t at = 0; at < z.kPositions; ++at)
          for (int64_t n = 0; n < kRun; ++n)
            store_parts(to + at * z.weight_position + j * kAmxTile + (i + n) * kAmxSteps,
                        cut_pairs(load<float>(made + at * kStride + n * kL),
                                  load<float>(made + at * kStride + (kRun + n) * kL)));
      }
    }
  }
}

template <class Form>
static void amx_all_weights(const WinogradArgs& p, const AmxSizes<Form>& z, Bf16* to) {
  const int64_t parts = min64(kWeightParts, z.steps);
  parallel_for(z.slivers * z.segments * parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sliver = i / (z.segments * parts), segment = i / parts % z.segments, part = i % parts;
      const int64_t first = z.steps * part / parts, last = z.steps * (part + 1) / parts;
      amx_weights(p, z, sliver, segment, first, last, to + sliver * z.panel + (segment * z.steps + first) * kAmxStep);
    }
  });
}

// ---- a block of tile rows ------------------------------------------------------------------------------------------

template <class Form>
static bool reaches(const WinogradArgs& p, const AmxSizes<Form>& z, int64_t segment, int64_t position) {
  if (z.segments == 1) return true;
  const Reached reached = Form::reached(p, segment);
  return position / Form::kCols < reached.rows && position % Form::kCols < reached.cols;
}

// Tile rows [row0, row1) of a block of channels: to[position * stride + ...].
template <class Form>
static void amx_inputs(const WinogradArgs& p, const AmxSizes<Form>& z, int64_t row0, int64_t row1, int64_t block,
                       float* to, int64_t in_block, int64_t stride) {
  const Images images{
      p.src,     p.channels, p.height, p.width, p.top, p.left, p.src_image - p.channels * p.height * p.width,
      p.views_y, p.views_x,  p.nchwc};
  const int64_t place = block / z.blocks_in * 2 * z.steps + block % z.blocks_in;
  transform_tiles<Form>(images, z.grid, row0, row1, block * kL, to + place * in_block, stride);
}

// Numbers from `tiles` on of each block, and blocks of channels that there are not, are zeros.
template <class Form>
static void amx_clear(const AmxSizes<Form>& z, int64_t tiles, float* in, int64_t in_block, int64_t stride) {
  for (int64_t i = 0; i < z.segments * 2 * z.steps; ++i) {
    const int64_t first = i % (2 * z.steps) < z.blocks_in ? tiles * kL : 0;
    for (int64_t position = 0; first < in_block && position < z.kPositions; ++position)
      for (int64_t n = first; n < in_block; n += kL) store<float>(in + position * stride + i * in_block + n, V{});
  }
}

// Positions [first, last) of a block, by one thread: its inputs become products.
template <class Form>
static void amx_positions(const WinogradArgs& p, const AmxSizes<Form>& z, int64_t first, int64_t last, float* in,
                          const Bf16* weights) {
  const int64_t panels = z.panels(), end = last * panels, splits = splits_for(z.slivers);
  Scratch<Bf16> buffer(2 * z.panel);
  const auto rows_of = [&](int64_t task) { return min64(kAmxSide, z.rows - task % panels * kAmxSide); };
  const auto panel_of = [&](int64_t task) { return buffer + task % 2 * z.panel; };
  const auto place_of_task = [&](int64_t task) {
    return in + task / panels * z.out_position + task % panels * kAmxSide * kL;
  };
  const auto split = [&](int64_t task) {
    if (task == end) return Splitting{};
    return splitting_of(place_of_task(task), z.in_block, rows_of(task), z.segments * z.steps, panel_of(task));
  };
  tile_begin();
  Splitting next = split(first * panels);
  for (int64_t task = first * panels; task < end; ++task) {
    split_some(next, next.left);
    next = split(task + 1);
    const int64_t position = task / panels;
    const Bf16* b = weights + position * z.weight_position;
    float* out = place_of_task(task);
    for (int64_t s = 0; s < z.slivers; ++s, out += 2 * z.out_block) {
      const MultiplyAndSplit multiply = multiply_and_split_for(rows_of(task), z.columns(s), splits);
      const Bf16* a = panel_of(task);
      for (int64_t i = 0; i < z.segments; ++i, a += z.steps * kAmxStep, b += z.steps * kAmxStep)
        if (reaches(p, z, i, position)) multiply(z.steps, a, b, next, {out, z.out_block}, i > 0);
    }
  }
  tile_end();
}

// The products of a tile row and block of outputs that are not finite, once more by vectors: where a number is
// infinite, its parts make NaN. (No other tile's products change.)
template <class Form>
static void remake_products(const WinogradArgs& p, const AmxSizes<Form>& z, int64_t row, int64_t block,
                            const Bf16* weights, float* products) {
  const int64_t in_block = z.grid.across * kL, stride = z.segments * z.steps * 2 * in_block;
  Scratch<float> in(z.kPositions * stride);
  amx_clear(z, z.grid.across, in, in_block, stride);
  for (int64_t c = 0; c < z.segments * z.blocks_in; ++c) amx_inputs(p, z, row, row + 1, c, in, in_block, stride);
  for (int64_t position = 0; position < z.kPositions; ++position) {
    const Bf16* const b = weights + position * z.weight_position + block / 2 * z.panel + block % 2 * kAmxTile;
    for (int64_t t = 0; t < z.grid.across; ++t) {
      float* const to = products + position * z.out_position + t * kL;
      if (all_finite(to, kL)) continue;
      V sum{};
      for (int64_t step = 0; step < z.segments * z.steps; ++step) {
        if (!reaches(p, z, step / z.steps, position)) continue;
        const float* const x = in + position * stride + step * 2 * in_block + t * kL;
        for (int64_t i = 0; i < kL; ++i) {
          const Bf16* const w = b + step * kAmxStep + i * kAmxSteps;
          sum += x[i] * uncut<false>(w), sum += x[in_block + i] * uncut<true>(w);
        }
      }
      const V before = load<float>(to);
      store<float>(to, before * 0.0f == 0.0f ? before : sum);
    }
  }
}

template <class Form>
static void amx_finish(const WinogradArgs& p, const AmxSizes<Form>& z, int64_t row0, int64_t row1, int64_t block,
                       const Bf16* weights, float* in) {
  float* const products = in + block * z.out_block;
  int64_t remade = -1;
  finish_tile_rows<Form>(p, z, row0, row1, block, products, [&](int64_t row, const float* lines) FASTDL_BODY {
    if (__builtin_expect(all_finite(lines, Form::kDown * Form::kAcross * z.grid.across * kL), 1) || row == remade)
      return false;
    remade = row;
    remake_products(p, z, row, block, weights, products + (row - row0) * z.grid.across * kL);
    return true;
  });
}

template <class Form>
static void amx_conv_of_group(const WinogradArgs& p) {
  const AmxSizes<Form> z(p);
  const int64_t threads = get_num_threads();
  Scratch<Bf16> made(p.prepared ? 1 : z.kPositions * z.weight_position);
  if (!p.prepared) amx_all_weights(p, z, made.get());
  const Bf16* const weights = p.prepared ? reinterpret_cast<const Bf16*>(p.prepared) : made.get();
  const bool apart = threads == 1 || z.blocks >= kMinBlocks;  // each block by one thread
  parallel_for(z.blocks, apart ? 1 : z.blocks, [&](int64_t begin, int64_t end) {
    Scratch<float> in(z.kPositions * z.out_position);
    for (int64_t block = begin; block < end; ++block) {
      const int64_t row0 = z.first_row(block), row1 = z.first_row(block + 1);
      amx_clear(z, (row1 - row0) * z.grid.across, in, z.in_block, z.out_position);
      parallel_for(z.segments * z.blocks_in, 1, [&](int64_t first, int64_t last) {
        for (int64_t c = first; c < last; ++c) amx_inputs(p, z, row0, row1, c, in, z.in_block, z.out_position);
      });
      parallel_for(z.kPositions, apart ? z.kPositions : ceil_div(z.kPositions, threads),
                   [&](int64_t first, int64_t last) { amx_positions(p, z, first, last, in, weights); });
      parallel_for(z.o_blocks, 1, [&](int64_t first, int64_t last) {
        for (int64_t o = first; o < last; ++o) amx_finish(p, z, row0, row1, o, weights, in);
      });
    }
  });
}

#else
template <class Form>
static bool winograd_serves_amx(const WinogradArgs&, bool) {
  return false;
}
template <class Form>
static void amx_conv_of_group(const WinogradArgs&) {}
#endif
}  // namespace fastdl::FASTDL_ISA
