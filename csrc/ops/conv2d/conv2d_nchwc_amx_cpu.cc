// Direct convolution of images with channels innermost (conv2d_nchwc-inl.h) on the tile unit (cpu/amx-inl.h):
//
//   out (pixels x channels) = pixels (pixels x K) * weights (K x channels),   K = pairs of blocks of channels x taps
//
//   pixels   [panel of 32 pixels][step]   rows of a tile are two vectors of a pixel, split: nothing is turned
//   weights  [group][part of K][sliver of 32 outputs][step]
//
// A part of K is some 32 steps, so that a chunk's pixels lie in the level-2 cache while weights pass by. Sums of parts
// meet in the result itself, as in conv2d_nchwc_cpu.cc.
#include "cpu/amx_gemm-inl.h"
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_nchwc-inl.h"

namespace fastdl::FASTDL_ISA {

#if defined(FASTDL_ISA_amx)
namespace {

constexpr int64_t kPartSteps = 32;
constexpr int64_t kChunkPixels = 224;  // whole panels: 1.3 MB of 32 steps

struct Plan {
  View v;
  Split blocks;  // of pixels
  Split parts;   // of pairs of blocks of input channels
  int64_t slivers, pairs, plane, src_plane;
  explicit Plan(const View& view)
      : v(view),
        blocks(split_pixels(v.rows * v.cols, kChunkPixels)),
        parts(split_evenly(ceil_div(v.k_channels, kAmxSteps), kPartSteps < v.num_taps ? 1 : kPartSteps / v.num_taps)),
        slivers(ceil_div(v.m_channels, kAmxSide)),
        pairs(ceil_div(v.k_channels, kAmxSteps)),
        plane(v.rows * v.cols * kL),
        src_plane(v.src_h * v.src_w * kL) {}
  int64_t steps(int64_t part) const { return part_size(parts, part) * v.num_taps; }
  int64_t of_group() const { return slivers * pairs * v.num_taps * kAmxStep; }
  int64_t weights(int64_t group, int64_t part, int64_t sliver) const {
    return group * of_group() + (part_begin(parts, part) * v.num_taps * slivers + sliver * steps(part)) * kAmxStep;
  }
};

void pack_sliver(const Plan& p, int64_t group, int64_t part, int64_t sliver, Bf16* to) {
  const View& v = p.v;
  alignas(64) float square[kAmxBlock];
  const int64_t m0 = sliver * kAmxSide, outs = min64(kAmxSide, v.m_channels - m0);
  const float* w = static_cast<const float*>(v.weight) + group * v.weight_group + m0 * v.weight_m;
  for (int64_t pair = part_begin(p.parts, part), end = pair + part_size(p.parts, part); pair < end; ++pair) {
    const int64_t k0 = pair * kAmxSteps, channels = min64(kAmxSteps, v.k_channels - k0);
    for (int64_t t = 0; t < v.num_taps; ++t, to += kAmxStep) {
      for (int64_t m = 0; m < outs; ++m)
        for (int64_t k = 0; k < channels; ++k)
          square[k * kAmxSide + m] = w[m * v.weight_m + (k0 + k) * v.weight_k + v.taps[t].weight];
      split_rows(to, square, kAmxSide, outs, channels);
    }
  }
}

// Pixels of a part, panel by panel; src: its first block of channels.
void pack_pixels(const Plan& p, const NchwcChunk& c, const PixelSources& sources, int64_t part, const float* src,
                 Bf16* to) {
  const View& v = p.v;
  const int64_t size = p.steps(part) * kAmxStep;
  int64_t block = part_begin(p.parts, part) * 2;
  for (int64_t pair = 0; pair < part_size(p.parts, part); ++pair, block += 2, src += 2 * p.src_plane) {
    const float* const second = (block + 1) * kL < v.k_channels ? src + p.src_plane : nullptr;
    for (int64_t t = 0; t < v.num_taps; ++t) {
      Bf16* const step = to + (pair * v.num_taps + t) * kAmxStep;
      for (int64_t i = 0; i < c.count; ++i) {
        const int64_t offset = sources.in_place ? (c.first + i) * kL : sources.offsets[t * c.count + i];
        store_parts(step + i / kAmxSide * size + i % kAmxSide * kAmxSteps,
                    split_pairs(load_pixel(src, offset), second ? load_pixel(second, offset) : V{}));
      }
      for (int64_t i = c.count; i % (kAmxSide / 2) != 0; ++i)
        store_parts(step + i / kAmxSide * size + i % kAmxSide * kAmxSteps, SplitPairs{});
    }
  }
}

// A block of sums, pixels x outputs, to be added to what earlier parts have made, or to the bias.
struct Sums {
  const View* v;
  AmxProduct product;
  const float *block, *bias;  // bias: of the first part, or null
  float* out;                 // the first pixel
  int64_t plane, rows, outs;
  bool first, last;
};
// Some pixels of a vector of outputs.
constexpr int64_t kPiece = 4;
FASTDL_INLINE void finish_vectors(const Sums& s, int64_t i, int64_t n, int64_t j, V bias, float* to) {
  const Activation activation = s.last ? s.v->activation : Activation::kNone;
  const float* const residual = s.last ? s.v->residual_at(to) : nullptr;
#pragma GCC unroll 4
  for (int64_t p = 0; p < n; ++p) {
    V sum = result_of(s.product, s.block, i + p, j) + bias;
    if (!s.first) sum += load<float>(to + p * kL);
    if (residual) sum += load<float>(residual + p * kL);
    store<float>(to + p * kL, activate<float>(activation, sum));
  }
}
void finish_piece(const void* what, int64_t piece) {
  const Sums& s = *static_cast<const Sums*>(what);
  const int64_t i = piece * kPiece, n = min64(kPiece, s.rows - i);
  for (int64_t j = 0; j < s.outs; j += kL) {
    float* const to = s.out + j / kL * s.plane + i * kL;
    const V bias = s.bias ? load<float>(s.bias + j) : V{};
    n == kPiece ? finish_vectors(s, i, kPiece, j, bias, to) : finish_vectors(s, i, n, j, bias, to);
  }
}

void run_chunk(const Plan& p, const NchwcChunk& c, const Bf16* weights) {
  const View& v = p.v;
  const int64_t panels = ceil_div(c.count, kAmxSide);
  Scratch<int64_t> offsets(PixelSources::room(v, c.count));
  Scratch<Bf16> pixels(panels * p.steps(0) * kAmxStep);
  const PixelSources sources(v, c.first, c.count, offsets);
  const float* src = nchwc_source(v, c);
  float* const out =
      static_cast<float*>(v.out) + (c.image * v.groups + c.group) * v.m_channels * v.out_plane + c.first * kL;
  const float* const bias = v.bias ? static_cast<const float*>(v.bias) + c.group * v.m_channels : nullptr;
  alignas(64) float blocks[2][kAmxBlock];
  Sums before;  // what `work` is about
  AmxBeside work{};
  int64_t turn = 0;
  tile_begin();
  for (int64_t part = 0; part < p.parts.count; ++part) {
    const int64_t steps = p.steps(part), size = steps * kAmxStep;
    pack_pixels(p, c, sources, part, src + part_begin(p.parts, part) * 2 * p.src_plane, pixels);
    for (int64_t s = c.begin; s < c.end; ++s) {
      const Bf16* const w = weights + p.weights(c.group, part, s);
      const int64_t m = s * kAmxSide, outs = min64(kAmxSide, v.m_channels - m);
      for (int64_t i = 0; i < panels; ++i) {
        const int64_t rows = min64(kAmxSide, c.count - i * kAmxSide);
        float* const to = out + m * v.out_plane + i * kAmxSide * kL;
        float* const block = blocks[turn++ % 2];
        const AmxProduct product{steps, pixels + i * size, w};
        amx_block_for(rows, outs)(product, {nullptr, 0, to, kL}, work, block);
        finish_all(work);
        before = {&v,        product,
                  block,     part == 0 && bias ? bias + m : nullptr,
                  to,        p.plane,
                  rows,      outs,
                  part == 0, part + 1 == p.parts.count};
        work = beside(finish_piece, &before, ceil_div(rows, kPiece), steps);
      }
    }
    finish_all(work);  // before other pixels take the place of these
  }
  tile_end();
}

}  // namespace

bool nchwc_amx_serves(const View& v, bool kept) {
  if (!amx_in_use() || !in_blocks(v)) return false;
  constexpr double kProductsACycle = 27;  // of vectors
  return amx_cycles_of(v.k_channels, v.num_taps, v.m_channels, v.pixels(), kept, true) <
         static_cast<double>(v.m_channels * v.taps_and_channels() * v.pixels()) / kProductsACycle;
}

int64_t nchwc_amx_weights(const View& v) {
  return v.groups * Plan(v).of_group() / 2;  // in numbers of float32
}

void prepare_nchwc_amx(const View& v, void* to) {
  const Plan p(v);
  parallel_for(v.groups * p.parts.count * p.slivers, 1 + kPackGrain / (kPartSteps * kAmxBlock),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t sliver = i % p.slivers, part = i / p.slivers % p.parts.count;
                   const int64_t group = i / p.slivers / p.parts.count;
                   pack_sliver(p, group, part, sliver, static_cast<Bf16*>(to) + p.weights(group, part, sliver));
                 }
               });
}

void conv_nchwc_amx(const View& v) {
  const Plan p(v);
  Scratch<Bf16> own(v.prepared ? 1 : v.groups * p.of_group());
  if (!v.prepared) prepare_nchwc_amx(v, own.get());
  const Bf16* const weights = v.prepared ? static_cast<const Bf16*>(v.prepared) : own.get();
  for_chunks(v, p.blocks, p.slivers, [&](const NchwcChunk& c) { run_chunk(p, c, weights); });
}

#else

bool nchwc_amx_serves(const View&, bool) {
  return false;
}
int64_t nchwc_amx_weights(const View&) {
  return 0;
}
void prepare_nchwc_amx(const View&, void*) {}
void conv_nchwc_amx(const View&) {}

#endif

}  // namespace fastdl::FASTDL_ISA
