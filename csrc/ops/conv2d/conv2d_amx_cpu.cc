// Direct convolution on the tile unit (cpu/amx-inl.h): out (channels x pixels) = weights (channels x K) * pixels (K x
// pixels), K = (input channel, tap) as weights lie. Channels come in groups of 32, so that a group is whole steps.
//
//                    slivers of 32 pixels, which run through rows and images alike
//     group 0  step 0 [ . . ][ . . ]     A chunk of work owns some slivers and a range of output channels. A block of
//              step 1 [ . . ][ . . ]     groups of its pixels lies in the level-2 cache while weights pass by; sums of
//     group 1  step 0 [ . . ][ . . ]     32 x 32 wait there for the next block of groups.
//
//   weights  [group of the convolution][block][panel of 32 output channels][step]
#include "cpu/amx_gemm-inl.h"
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_targets-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

#if defined(FASTDL_ISA_amx)
namespace {

constexpr int64_t kStepsOfBlock = 32;        // 192 KB of a sliver; more where a group of channels has more
constexpr int64_t kPixelBytes = 1400 << 10;  // of a chunk
constexpr int64_t kSumBytes = 1 << 20;
constexpr int64_t kSlivers = 16, kTilePixels = kAmxSide / 2;

// Steps of K, in blocks of whole groups of channels.
struct Blocks {
  int64_t k, of_group, all;
  Split groups;
  explicit Blocks(const View& v)
      : k(v.taps_and_channels()),
        of_group(v.num_taps),
        all(amx_steps(k)),
        groups(
            split_evenly(ceil_div(v.k_channels, kAmxSteps), of_group < kStepsOfBlock ? kStepsOfBlock / of_group : 1)) {}
  int64_t first(int64_t block) const { return part_begin(groups, block) * of_group; }
  int64_t size(int64_t block) const { return min64(part_size(groups, block) * of_group, all - first(block)); }
};

int64_t panels_of(const View& v) {
  return ceil_div(v.m_channels, kAmxSide);
}

// ---- weights --------------------------------------------------------------------------------------------------------

int64_t weights_of_group(const View& v, const Blocks& blocks) {
  return panels_of(v) * blocks.all * kAmxStep;
}
int64_t place_of_panel(const View& v, const Blocks& blocks, int64_t block, int64_t panel) {
  return (blocks.first(block) * panels_of(v) + panel * blocks.size(block)) * kAmxStep;
}

// Whether the weights of an output channel lie in the order of K.
bool in_order(const View& v) {
  if (v.weight_k != v.num_taps) return false;
  for (int64_t t = 0; t < v.num_taps; ++t)
    if (v.taps[t].weight != t) return false;
  return true;
}

// One panel of one block.
void pack_weights(const View& v, const Blocks& blocks, int64_t group, int64_t block, int64_t panel, Bf16* to) {
  const int64_t m0 = panel * kAmxSide, rows = min64(kAmxSide, v.m_channels - m0);
  const int64_t k0 = blocks.first(block) * kAmxSteps, k = min64(blocks.size(block) * kAmxSteps, blocks.k - k0);
  const float* w = static_cast<const float*>(v.weight) + group * v.weight_group + m0 * v.weight_m;
  if (in_order(v)) return amx_pack_lines(to, w + k0, v.weight_m, rows, k);
  if (v.num_taps == 1 && v.weight_m == 1)
    return amx_pack_a(to, Operand<float>{w + v.taps[0].weight, v.weight_k, false}, 0, rows, k0, k);
  alignas(64) float square[kAmxBlock];
  for (int64_t p = 0; p < k; p += kAmxSteps, to += kAmxStep) {
    const int64_t some = min64(kAmxSteps, k - p);
    for (int64_t i = 0; i < some; ++i) {
      const float* from = w + (k0 + p + i) / v.num_taps * v.weight_k + v.taps[(k0 + p + i) % v.num_taps].weight;
      for (int64_t m = 0; m < rows; ++m) square[m * kAmxSteps + i] = from[m * v.weight_m];
    }
    amx_pack_lines(to, square, kAmxSteps, rows, some);
  }
}

void pack_all_weights(const View& v, const Blocks& blocks, Bf16* packed) {
  const int64_t panels = panels_of(v), count = blocks.groups.count;
  parallel_for(v.groups * count * panels, 1 + kPackGrain / (kStepsOfBlock * kAmxBlock),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t group = i / panels / count, block = i / panels % count, panel = i % panels;
                   pack_weights(v, blocks, group, block, panel,
                                packed + group * weights_of_group(v, blocks) + place_of_panel(v, blocks, block, panel));
                 }
               });
}

// ---- pixels ---------------------------------------------------------------------------------------------------------

struct Sliver {
  Target targets[kAmxSide];
  Run runs[kAmxSide];
  int count, lanes, num_runs;
};
// Pixels from `first` on, up to `end`.
void find_sliver(const View& v, int64_t first, int64_t end, Sliver& sliver) {
  sliver.lanes = static_cast<int>(min64(end - first, kAmxSide));
  sliver.num_runs = cut_runs(v, first, sliver.lanes, sliver.runs);
  sliver.count = merge_targets(v, sliver.runs, sliver.num_runs, sliver.targets);
}

// A block of one sliver, by groups of channels; from where they lie if the pixels of one tap follow each other. rows:
// room for those of a group.
void pack_pixels(const View& v, const Blocks& blocks, int64_t group, const Sliver& sliver, int64_t block, float* rows,
                 Bf16* to) {
  const int64_t plane = v.src_h * v.src_w, first = part_begin(blocks.groups, block);
  const float* in_place = nullptr;
  if (v.num_taps == 1 && v.step_x == 1 && sliver.num_runs == 1) {
    const Reach reach = reach_of(v, sliver.runs[0], v.taps[0], 1);
    if (reach.hi - reach.lo == sliver.lanes)
      in_place = static_cast<const float*>(v.src) + group * v.k_channels * plane + reach.offset;
  }
  for (int64_t g = first; g < first + part_size(blocks.groups, block); ++g) {
    const int64_t channel = g * kAmxSteps, channels = min64(kAmxSteps, v.k_channels - channel);
    if (!in_place) pack_runs(v, group, sliver.runs, sliver.num_runs, rows, kAmxSide, channel, channel + channels);
    const float* from = in_place ? in_place + channel * plane : rows;
    const int64_t ld = in_place ? plane : kAmxSide;
    for (int64_t k = channels * v.num_taps; k > 0; k -= kAmxSteps, from += kAmxSteps * ld, to += kAmxStep)
      split_rows(to, from, ld, sliver.lanes, min64(kAmxSteps, k));
  }
}

// ---- products -------------------------------------------------------------------------------------------------------

// A block of sums: added to those of earlier blocks of K, and at last, with the bias, to the image.
struct Sums {
  const View* v;
  const Sliver* sliver;
  AmxProduct product;
  const float *block, *bias;  // bias: may be null
  float *sums, *out;          // sums: of 32 pixels a row, where there are several blocks of K
  int64_t rows;
  bool first, last;
};
// Of some output channels.
constexpr int64_t kPiece = 4;
void finish_piece(const void* what, int64_t piece) {
  constexpr int L = kLanes<float>;
  const Sums& s = *static_cast<const Sums*>(what);
  const int64_t m0 = piece * kPiece, rows = min64(kPiece, s.rows - m0), lanes = s.sliver->lanes;
  alignas(64) float made[kPiece * kAmxSide];
  float* const to = s.last ? made : s.sums + m0 * kAmxSide;
  for (int64_t m = 0; m < rows; ++m) {
    const Vec<float> bias = broadcast<float>(s.last && s.bias ? s.bias[m0 + m] : 0.0f);
#pragma GCC unroll 2
    for (int64_t j = 0; j < kAmxSide; j += L) {
      if (j >= lanes) break;
      Vec<float> v = result_of(s.product, s.block, m0 + m, j);
      if (!s.first) v += load<float>(s.sums + (m0 + m) * kAmxSide + j);
      store<float>(to + m * kAmxSide + j, s.last ? v + bias : v);
    }
  }
  if (s.last)
    scatter(*s.v, made, kAmxSide, static_cast<int>(rows), s.sliver->targets, s.sliver->count,
            s.out + m0 * s.v->out_plane);
}

// What a chunk works with. own: for the weights of a panel, or null where those of all panels are packed.
struct Chunk {
  Bf16 *pixels, *own;
  float *sums, *rows;
  Sliver* slivers;
};

// Pixels [first, end) and panels [j0, j1).
void make_block(const View& v, const Blocks& blocks, int64_t group, int64_t first, int64_t end, int64_t j0, int64_t j1,
                const Bf16* weights, const Chunk& chunk) {
  const int64_t count = ceil_div(end - first, kAmxSide);
  for (int64_t s = 0; s < count; ++s) find_sliver(v, first + s * kAmxSide, end, chunk.slivers[s]);
  const float* bias = v.bias ? static_cast<const float*>(v.bias) + group * v.m_channels : nullptr;
  float* out = static_cast<float*>(v.out) + group * v.m_channels * v.out_plane;
  const int64_t last = blocks.groups.count - 1;
  alignas(64) float made[2][kAmxBlock];
  Sums before;  // what `work` is about
  AmxBeside work{};
  int64_t turn = 0;
  for (int64_t block = 0; block <= last; ++block) {
    const int64_t steps = blocks.size(block), size = steps * kAmxStep;
    for (int64_t s = 0; s < count; ++s)
      pack_pixels(v, blocks, group, chunk.slivers[s], block, chunk.rows, chunk.pixels + s * size);
    for (int64_t j = j0; j < j1; ++j) {
      const Bf16* const panel = chunk.own ? chunk.own : weights + place_of_panel(v, blocks, block, j);
      if (chunk.own) pack_weights(v, blocks, group, block, j, chunk.own);
      const int64_t m = j * kAmxSide, rows = min64(kAmxSide, v.m_channels - m);
      for (int64_t s = 0; s < count; ++s) {
        const Sliver& sliver = chunk.slivers[s];
        const AmxProduct product{steps, panel, chunk.pixels + s * size};
        float* const sums = last > 0 ? chunk.sums + ((j - j0) * count + s) * kAmxBlock : nullptr;
        float* const to = out + m * v.out_plane;
        const AmxAhead ahead = block == last ? AmxAhead{nullptr, 0, to + sliver.targets[0].offset, v.out_plane}
                                             : AmxAhead{nullptr, 0, sums, kAmxSide};
        float* const numbers = made[turn++ % 2];
        amx_block_for(rows, sliver.lanes)(product, ahead, work, numbers);
        finish_all(work);
        before = {&v, &sliver, product, numbers, bias ? bias + m : nullptr, sums, to, rows, block == 0, block == last};
        work = beside(finish_piece, &before, ceil_div(rows, kPiece), steps);
      }
      if (chunk.own) finish_all(work);  // before other weights take the place of these
    }
    finish_all(work);
  }
}

// How the work is cut: chunks of pixels, as many for each thread, or parts of the channels where pixels are few.
struct Cut {
  Split chunks;  // of tiles of 16 pixels
  int64_t parts;
  Cut(const View& v, const Blocks& blocks) {
    const int64_t threads = get_num_threads(), tiles = ceil_div(v.pixels(), kTilePixels);
    const int64_t sums =
        blocks.groups.count > 1 ? kSumBytes / (panels_of(v) * kAmxBlock * int64_t{sizeof(float)}) : kSlivers;
    const int64_t pixels = kPixelBytes / (blocks.size(0) * kAmxStep * int64_t{sizeof(Bf16)});
    const int64_t fit = min64(kSlivers, min64(sums, pixels)), most = fit < 1 ? 1 : fit;  // slivers
    const int64_t count = ceil_div(tiles, 2 * most), even = ceil_div(count, threads) * threads;
    chunks = split_evenly(tiles, ceil_div(tiles, tiles >= 2 * even ? even : count));
    parts = channel_parts(v.groups * chunks.count, panels_of(v) / 2);
  }
  int64_t first_pixel(int64_t chunk) const { return part_begin(chunks, chunk) * kTilePixels; }
  int64_t slivers() const { return ceil_div(part_size(chunks, 0), 2); }
};

}  // namespace

bool amx_serves_view(const View& v, bool kept) {
  if (!amx_in_use() || v.dtype != DType::kFloat32) return false;
  constexpr double kProductsACycle = 26;  // of vectors
  const double cycles = amx_cycles_of(v.k_channels, v.num_taps, v.m_channels, v.pixels(), kept);
  const double direct = static_cast<double>(v.m_channels * v.taps_and_channels() * v.pixels()) / kProductsACycle;
  return cycles < direct;
}

int64_t amx_weights(const View& v) {
  return ceil_div(v.groups * weights_of_group(v, Blocks(v)), 2);  // in numbers of float32
}

void prepare_amx(const View& v, void* to) {
  pack_all_weights(v, Blocks(v), static_cast<Bf16*>(to));
}

void conv_amx(const View& v) {
  const Blocks blocks(v);
  const Cut cut(v, blocks);
  const int64_t panels = panels_of(v), most_panels = ceil_div(panels, cut.parts), slivers = cut.slivers();
  // Weights that a thread uses once are packed where they are used: all of them would go to memory and back, or come
  // from the core that packed them.
  const bool own = !v.prepared && cut.chunks.count <= get_num_threads();
  Scratch<Bf16> packed(v.prepared || own ? 1 : v.groups * weights_of_group(v, blocks));
  if (!v.prepared && !own) pack_all_weights(v, blocks, packed);
  const Bf16* const weights = v.prepared ? static_cast<const Bf16*>(v.prepared) : packed.get();
  parallel_for(v.groups * cut.chunks.count * cut.parts, 1, [&](int64_t begin, int64_t end) {
    Scratch<Bf16> pixels(slivers * blocks.size(0) * kAmxStep), panel(own ? blocks.size(0) * kAmxStep : 1);
    Scratch<float> sums(most_panels * slivers * kAmxBlock),
        rows(min64(kAmxSteps, v.k_channels) * v.num_taps * kAmxSide);
    Scratch<Sliver> found(slivers);
    tile_begin();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % cut.parts, chunk = i / cut.parts % cut.chunks.count,
                    group = i / cut.parts / cut.chunks.count;
      make_block(v, blocks, group, cut.first_pixel(chunk), min64(cut.first_pixel(chunk + 1), v.pixels()),
                 panels * part / cut.parts, panels * (part + 1) / cut.parts,
                 weights + group * weights_of_group(v, blocks),
                 {pixels, own ? panel.get() : nullptr, sums, rows, found});
    }
    tile_end();
  });
}

#else

bool amx_serves_view(const View&, bool) {
  return false;
}
int64_t amx_weights(const View&) {
  return 0;
}
void prepare_amx(const View&, void*) {}
void conv_amx(const View&) {}

#endif

}  // namespace fastdl::FASTDL_ISA
