// Direct convolution of images with channels innermost (conv2d_nchwc-inl.h): a product whose rows are pixels,
//
//   out (pixels x channels) = pixels (pixels x K) * weights (K x channels),   K = blocks of input channels x taps x kL
//
//   pixels   [block of channels][tap][pixel][kL]   where they lie, or gathered for a block of pixels and a part of K
//   weights  [group][part of K][sliver][step][lanes]
//
// A part of K is some 128 steps: the weights of a sliver then stay in the level-1 cache while all tiles of a block pass
// over them, and sums are not longer than is exact. Sums of parts meet in the result itself, the last part adds bias,
// residual and activation.
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_nchwc-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kPartSteps = 128;
constexpr int64_t kBlock = 196 / kTallTile.rows * kTallTile.rows;  // pixels: whole tiles

struct Plan {
  View v;
  LaneSlivers<float> slivers;
  Split blocks;  // of pixels
  Split parts;   // of the blocks of input channels
  int64_t plane, src_plane;
  explicit Plan(const View& view)
      : v(view),
        slivers(view),
        blocks(split_pixels(v.rows * v.cols, kBlock)),
        parts(split_evenly(v.k_channels / kL, kPartSteps / kL < v.num_taps ? 1 : kPartSteps / kL / v.num_taps)),
        plane(v.rows * v.cols * kL),
        src_plane(v.src_h * v.src_w * kL) {}
  int64_t steps(int64_t part) const { return part_size(parts, part) * v.num_taps * kL; }
  int64_t weights(int64_t group, int64_t part, int64_t sliver) const {
    return group * slivers.of_group() + part_begin(parts, part) * v.num_taps * kL * v.m_channels +
           sliver * kSliver * steps(part);
  }
};

void pack_sliver(const Plan& p, int64_t group, int64_t sliver, float* packed) {
  const int64_t width = p.slivers.vecs_of(sliver) * kL, size = p.slivers.steps * width;
  Scratch<float> made(size), memory(size);
  pack_nchwc_sliver(p.v, p.slivers, group, sliver, made, memory);
  const float* from = made;
  for (int64_t part = 0; part < p.parts.count; ++part) {
    float* to = packed + p.weights(group, part, sliver);
    const int64_t n = p.steps(part) * width;
    for (int64_t i = 0; i < n; i += kL) store<float>(to + i, load<float>(from + i));
    from += n;
  }
}

// Blocks of channels [b0, b0 + count) of a chunk's pixels, side by side for each tap.
void gather(const Plan& p, const NchwcChunk& c, const PixelSources& sources, const float* src, int64_t count,
            float* to) {
  for (int64_t b = 0; b < count; ++b, src += p.src_plane) {
    const int64_t* offset = sources.offsets;
    for (int64_t i = 0; i < p.v.num_taps * c.count; ++i, to += kL) store<float>(to, load_pixel(src, offset[i]));
  }
}

// What becomes of a tile's sums: they are added to what is there, or to the bias at first; at last the rest follows.
struct Finish {
  const float* bias;      // of the first part, else null: of kSliver channels
  const float* residual;  // of the last part where there is one, at the tile's place
  bool first, last;
  Activation limits;  // of the last part
};

// MR pixels x NV blocks of outputs, summed over `blocks` blocks of kL steps; in[block * in_block + pixel * kL + step].
// The weights of a later call are fetched meanwhile, the line at next + k * step for each step k, and during the last
// blocks the lines that the sums go to and those that are added to them, one array in each: all at once they would hold
// up the pixels, and earlier they would be gone from the level-1 cache again.
template <int MR, int NV>
__attribute__((noinline)) void tile(int64_t blocks, const float* in, int64_t in_block, const float* weights,
                                    const float* next, int64_t step, float* out, int64_t out_block,
                                    const Finish& finish) {
  V sums[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sums[i][j] = V{};
  const int64_t arrays = finish.last ? (finish.residual ? 2 * NV : NV) : 0;
  for (; blocks > 0; --blocks, in += in_block) {
    const float* lines = blocks > arrays ? in : (blocks > NV ? finish.residual : out) + (blocks - 1) % NV * out_block;
#pragma GCC unroll 2
    for (int64_t k = 0; k < kL; ++k, weights += NV * kL, next += step) {
      V w[NV];
      __builtin_prefetch(next, 0, 2);
      if (k < MR) __builtin_prefetch(lines + k * kL, 1);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) {
        w[j] = load<float>(weights + j * kL);
        if (j * kVecBytes % 64 == 0) __builtin_prefetch(weights + (kStepsAhead * NV + j) * kL);
      }
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) add_row<float, NV>(sums[i], in + i * kL + k, w, i);
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j) {
    const V bias = finish.bias ? load<float>(finish.bias + j * kL) : V{};
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      float* to = out + j * out_block + i * kL;
      V sum = sums[i][j] + (finish.first ? bias : load<float>(to));
      if (finish.residual) sum += load<float>(finish.residual + j * out_block + i * kL);
      store<float>(to, limit<float>(finish.limits, sum));
    }
  }
}

using Tile = void (*)(int64_t, const float*, int64_t, const float*, const float*, int64_t, float*, int64_t,
                      const Finish&);
template <int NV, int... I>
Tile tile_of(int rows, std::integer_sequence<int, I...>) {
  static constexpr Tile kInstances[] = {&tile<I + 1, NV>...};
  return kInstances[rows - 1];
}
Tile tile_for(int64_t rows, int64_t vecs) {
  using Rows = std::make_integer_sequence<int, kTallTile.rows>;
  static_assert(kSliverVecs == 2, "the cases below");
  return vecs == 1 ? tile_of<1>(static_cast<int>(rows), Rows{}) : tile_of<2>(static_cast<int>(rows), Rows{});
}

// A part of the sums of a chunk's pixels and one sliver.
void multiply(const Plan& p, const NchwcChunk& c, int64_t part, int64_t sliver, const float* in, int64_t in_block,
              const float* weights) {
  const View& v = p.v;
  const int64_t vecs = p.slivers.vecs_of(sliver), steps = p.steps(part);
  const int64_t channel = c.group * v.m_channels + sliver * kSliver;
  const bool first = part == 0, last = part + 1 == p.parts.count;
  float* out = static_cast<float*>(v.out) + (c.image * v.groups * v.m_channels + channel) * v.out_plane + c.first * kL;
  Finish finish{first && v.bias ? static_cast<const float*>(v.bias) + channel : nullptr, nullptr, first, last,
                last ? in_registers(v.activation) : Activation::kNone};
  const Split rows = split_evenly(c.count, kTallTile.rows);
  const int64_t share = ceil_div(vecs * kL, rows.count);  // of the next weights, for each tile
  const float* next = weights + steps * vecs * kL;
  for (int64_t i = 0; i < rows.count; ++i, next += steps * share) {
    const int64_t size = part_size(rows, i), at = part_begin(rows, i) * kL;
    if (last) finish.residual = v.residual_at(out + at);
    tile_for(size, vecs)(steps / kL, in + at, in_block, weights, next, share, out + at, p.plane, finish);
    for (int64_t j = 0; last && v.activation != finish.limits && j < vecs; ++j)
      activate_row(v.activation, out + at + j * p.plane, size * kL);
  }
}

void run_chunk(const Plan& p, const NchwcChunk& c, const float* weights) {
  const View& v = p.v;
  const bool in_place = PixelSources::reads_in_place(v);
  Scratch<int64_t> offsets(PixelSources::room(v, c.count));
  Scratch<float> gathered(in_place ? 1 : (p.parts.base + 1) * v.num_taps * c.count * kL);
  const PixelSources sources(v, c.first, c.count, offsets);
  const float* src = nchwc_source(v, c);
  for (int64_t part = 0; part < p.parts.count; ++part) {
    const float* from = src + part_begin(p.parts, part) * p.src_plane;
    if (!in_place) gather(p, c, sources, from, part_size(p.parts, part), gathered);
    for (int64_t s = c.begin; s < c.end; ++s)
      multiply(p, c, part, s, in_place ? from + c.first * kL : gathered, in_place ? p.src_plane : c.count * kL,
               weights + p.weights(c.group, part, s));
  }
}

}  // namespace

void prepare_nchwc(const View& v, void* to) {
  const Plan p(v);
  parallel_for(v.groups * p.slivers.count, 1 + kLaneGrain / (p.slivers.steps * kSliver),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i)
                   pack_sliver(p, i / p.slivers.count, i % p.slivers.count, static_cast<float*>(to));
               });
}

void conv_nchwc(const View& v) {
  const Plan p(v);
  Scratch<float> own(v.prepared ? 1 : v.groups * p.slivers.of_group());
  if (!v.prepared) prepare_nchwc(v, own.get());
  const float* weights = v.prepared ? static_cast<const float*>(v.prepared) : own.get();
  for_chunks(v, p.blocks, p.slivers.count, [&](const NchwcChunk& c) { run_chunk(p, c, weights); });
}

}  // namespace fastdl::FASTDL_ISA
