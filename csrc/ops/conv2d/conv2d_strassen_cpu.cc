// Direct convolution with an eighth of its products less (conv2d_strassen-inl.h has the algorithm), from prepared
// weights.
//
// Lanes are output channels, for planes that lanes of pixels do not fill:
//
//   weights  [group][pair of slivers][part of the channels][product][k][lanes]
//   panels   [product][panel of up to kTallTile.rows pixels][k][rows]         of a block and a part of the channels
//   sums     [pair of slivers][product][pixel][lanes]                         of a block
//
// A chunk of work owns a block of pixels and a range of pairs of slivers, and packs its pixels itself.
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_channels-inl.h"
#include "ops/conv2d/conv2d_strassen-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kL = kLanes<float>, kSliver = kSliverVecs * kL;
constexpr int64_t kBlock = 112;  // pixels

// Where this form wins. Sums of pixels take the time of some 12 products and are shared by all outputs, sums of
// products that of some 30 and are shared by all inputs. Large planes whose pixels lie as vectors want them have little
// else to do than products. Parts of the channels are so long that their panels stay in the level-2 cache, which is of
// 512 KB where AVX2 is the widest set.
#if defined(FASTDL_ISA_avx512)
constexpr int64_t kSteps = 256, kLeastPlane = 49, kMostApart = 1600;
#else
constexpr int64_t kSteps = 128, kLeastPlane = 98, kMostApart = 400;
#endif
constexpr int64_t kMostInPlace = 400, kLeastChannels = 128, kLeastSteps = 256;

struct Plan {
  View v;
  int64_t pairs;        // of slivers
  Split blocks, depth;  // of pixels, of half the channels
  explicit Plan(const View& view)
      : v(view),
        pairs(v.m_channels / (2 * kSliver)),
        blocks(split_evenly(v.rows * v.cols, kBlock)),
        depth(split_evenly(v.k_channels / 2, kSteps < v.num_taps ? 1 : kSteps / v.num_taps)) {}
  int64_t steps(int64_t part) const { return part_size(depth, part) * v.num_taps; }
  int64_t of_pair() const { return kProducts * v.k_channels / 2 * v.num_taps * kSliver; }
  int64_t weights(int64_t group, int64_t pair, int64_t part) const {
    return (group * pairs + pair) * of_pair() + kProducts * part_begin(depth, part) * v.num_taps * kSliver;
  }
};

// Pixels [begin, begin + size) of a block and as many from `other` on: of an odd number the two have one in common.
struct TilePair {
  int64_t begin, size, other;
};

// The pairs of panels of a block.
struct Tiles {
  int64_t pixels;
  Split rows;  // of one half
  explicit Tiles(int64_t n) : pixels(n), rows(split_evenly((n + 1) / 2, kTallTile.rows)) {}
  TilePair pair(int64_t j) const {
    const int64_t size = part_size(rows, j), begin = 2 * part_begin(rows, j);
    return {begin, size, min64(begin + size, pixels - size)};
  }
};

// ---- weights --------------------------------------------------------------------------------------------------------

void pack_pair(const Plan& p, int64_t group, int64_t pair, float* packed) {
  const LaneSlivers<float> s(p.v);
  const int64_t step = p.v.num_taps * kSliver, half = p.v.k_channels / 2 * step;
  Scratch<float> slivers(4 * half);
  for (int64_t i = 0; i < 2; ++i)
    pack_lane_sliver(p.v, s, group, 2 * pair + i, 0, p.v.k_channels, slivers + i * 2 * half);
  for (int64_t part = 0; part < p.depth.count; ++part) {
    const int64_t n = part_size(p.depth, part) * step;
    const float* w = slivers + part_begin(p.depth, part) * step;
    sum_strassen_weights(w, w + half, w + 2 * half, w + 3 * half, n, packed + p.weights(group, pair, part));
  }
}

// ---- pixels ---------------------------------------------------------------------------------------------------------

// Rows x11, x12, x21, x22, and how many numbers each may read.
struct Quarters {
  const float* rows[2][2];  // half of the channels, half of the pixels
  int64_t room[2];
};

// to[q * size + i * width + r] = what product q takes of the quarters' numbers at (step i, pixel r). Stores run over
// into the next step, which comes after. Rows `ahead` further and the lines behind those written are fetched meanwhile.
void cut_sums(const Quarters& x, int64_t ld, int64_t steps, int width, float* to, int64_t size, int64_t ahead) {
  constexpr int L = kLanes<float>;
  for (int64_t i = 0; i < steps; ++i, to += width) {
    for (int c = 0; ahead > 0 && c < 2; ++c) {
      const float* next = x.rows[c][0] + i * ld + ahead;
      for (int64_t line = 0; line < 2 * width; line += kLine<float>) __builtin_prefetch(next + line);
    }
    for (int q = 0; q < kProducts; ++q) __builtin_prefetch(to + q * size + steps * width, 1);
    for (int r = 0; r < width; r += L) {
      const int n = width - r < L ? width - r : L;
      const auto at = [&](int channels, int pixels) FASTDL_BODY {
        const float* from = x.rows[channels][pixels] + i * ld + r;
        const int64_t room = x.room[pixels] - r;
        return L <= room ? load<float>(from) : load_n<float>(from, static_cast<int>(room < n ? room : n));
      };
      const StrassenProducts made = strassen_pixels(at(0, 0), at(0, 1), at(1, 0), at(1, 1));
      const bool whole = (steps - i) * width >= r + L;
#pragma GCC unroll 7
      for (int q = 0; q < kProducts; ++q) {
        if (whole)
          store<float>(to + q * size + r, made.of[q]);
        else
          store_n<float>(to + q * size + r, made.of[q], n);
      }
    }
  }
}

// Channels [k0, k1) of either half, of pixels [first, first + count) of an image, as panels of [k][width] for each
// product, `size` apart.
void pack_halves(const View& v, int64_t group, int64_t first, int64_t count, int64_t k0, int64_t k1, const Tiles& tiles,
                 float* panels, int64_t size) {
  constexpr int64_t ld = kBlock + kLanes<float>;
  const int64_t plane = v.src_h * v.src_w, taps = v.num_taps;
  const PixelRuns<float, kBlock> pixels(v, group, first, count);
  const float* const in_place = pixels.in_place;
  const int64_t channels = taps == 1 ? kRows : taps < kLineSteps ? kLineSteps / taps : 1;
  const int64_t copied = channels * taps * ld;
  Scratch<float> lines(in_place ? 1 : 2 * copied);
  for (int64_t k = k0; k < k1; k += channels) {
    const int64_t end = min64(k + channels, k1), steps = (end - k) * taps;
    const float* rows[2];
    for (int c = 0; c < 2; ++c) {
      const int64_t channel = c * v.k_channels / 2 + k;
      rows[c] = in_place ? in_place + channel * plane : lines + c * copied;
      if (!in_place) pack_runs(v, group, pixels.runs, pixels.count, lines + c * copied, ld, channel, channel + end - k);
    }
    for (int64_t j = 0; j < tiles.rows.count; ++j) {
      const TilePair tile = tiles.pair(j);
      const int64_t width = tile.size, room = in_place ? pixels.room : ld;
      Quarters x{{}, {room - tile.begin, room - tile.other}};
      for (int c = 0; c < 2; ++c) x.rows[c][0] = rows[c] + tile.begin, x.rows[c][1] = rows[c] + tile.other;
      cut_sums(x, in_place ? plane : ld, steps, static_cast<int>(width),
               panels + part_begin(tiles.rows, j) * (k1 - k0) * taps + (k - k0) * taps * width, size,
               in_place ? channels * plane : 0);
    }
  }
}

// ---- sums -----------------------------------------------------------------------------------------------------------

// One vector of channels of either sliver, from sums of products (`size` apart) to their planes: `out` is the first
// pixel of the block.
void finish_vector(const Plan& p, const Tiles& tiles, const float* sums, int64_t size, const Vec<float> (&bias)[2],
                   float* out) {
  alignas(64) float made[2][kBlock * kL];
  for (int64_t j = 0; j < tiles.rows.count; ++j) {
    const TilePair tile = tiles.pair(j);
    float *upper = made[0] + tile.begin * kL, *lower = made[1] + tile.begin * kL;
    const int64_t other = (tile.other - tile.begin) * kL;
    for (int64_t i = 0; i < tile.size * kL; i += kL, sums += kSliver) {
      Vec<float> m[kProducts];
#pragma GCC unroll 7
      for (int q = 0; q < kProducts; ++q) m[q] = load<float>(sums + q * size);
      const StrassenSums sum = strassen_sums(m);
      store<float>(upper + i, sum.c11);
      store<float>(upper + other + i, sum.c12);
      store<float>(lower + i, sum.c21);
      store<float>(lower + other + i, sum.c22);
    }
  }
  for (int s = 0; s < 2; ++s) {
    const auto sum = [&](int64_t i) FASTDL_BODY { return load<float>(made[s] + i * kL); };
    store_planes<float>(p.v, sum, tiles.pixels, static_cast<int>(kL), bias[s], out + s * kSliver * p.v.out_plane);
  }
}

void finish_pair(const Plan& p, int64_t group, int64_t image, int64_t block, int64_t pair, const Tiles& tiles,
                 const float* sums, int64_t size) {
  const View& v = p.v;
  for (int64_t j = 0; j < kSliver; j += kL) {
    const int64_t channel = group * v.m_channels + 2 * pair * kSliver + j;
    Vec<float> bias[2] = {};
    for (int s = 0; v.bias && s < 2; ++s)
      bias[s] = load<float>(static_cast<const float*>(v.bias) + channel + s * kSliver);
    float* out = static_cast<float*>(v.out) + (image * v.groups * v.m_channels + channel) * v.out_plane +
                 part_begin(p.blocks, block);
    finish_vector(p, tiles, sums + j, size, bias, out);
  }
}

}  // namespace

bool strassen_serves(const View& v) {
  const bool dense = v.out_x == 1 && (v.rows == 1 || v.out_y == v.cols) && v.out_plane == v.rows * v.cols;
  const bool in_place = v.num_taps == 1 && v.step_y == 1 && v.step_x == 1;
  const int64_t plane = v.rows * v.cols;
  return dense && v.dtype == DType::kFloat32 && conv_algorithm == ConvAlgorithm::kAuto && v.k_channels % 2 == 0 &&
         v.m_channels % (2 * kSliver) == 0 && v.m_channels >= kLeastChannels && v.taps_and_channels() >= kLeastSteps &&
         plane >= kLeastPlane && plane <= (in_place ? kMostInPlace : kMostApart);
}

int64_t strassen_weights(const View& v) {
  const Plan p(v);
  return v.groups * p.pairs * p.of_pair();
}

void prepare_strassen(const View& v, void* to) {
  const Plan p(v);
  parallel_for(v.groups * p.pairs, 1 + kLaneGrain / p.of_pair(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) pack_pair(p, i / p.pairs, i % p.pairs, static_cast<float*>(to));
  });
}

void conv_strassen(const View& v) {
  const Plan p(v);
  const int64_t blocks = v.batch * v.groups * p.blocks.count, parts = channel_parts(blocks, p.pairs);
  const int64_t most = (part_size(p.blocks, 0) + 1) / 2, sums_size = most * kSliver;
  const int64_t panel_size = most * p.steps(0) + 5 * kLine<float>;           // products in different sets of the caches
  const int64_t waiting = p.depth.count > 1 ? ceil_div(p.pairs, parts) : 1;  // pairs with unfinished sums
  parallel_for(blocks * parts, 1, [&](int64_t begin, int64_t end) {
    Scratch<float> panels(kProducts * panel_size), sums(waiting * kProducts * sums_size);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % parts, block = i / parts % p.blocks.count, of = i / parts / p.blocks.count;
      const int64_t group = of % v.groups, image = of / v.groups;
      const int64_t first = p.pairs * part / parts, last = p.pairs * (part + 1) / parts;
      const int64_t count = part_size(p.blocks, block), start = image * v.rows * v.cols + part_begin(p.blocks, block);
      const Tiles tiles(count);
      for (int64_t d = 0; d < p.depth.count; ++d) {
        const int64_t k0 = part_begin(p.depth, d), steps = p.steps(d);
        pack_halves(v, group, start, count, k0, k0 + part_size(p.depth, d), tiles, panels.get(), panel_size);
        for (int64_t pair = first; pair < last; ++pair) {
          const float* w = static_cast<const float*>(v.prepared) + p.weights(group, pair, d);
          float* to = sums + (waiting > 1 ? pair - first : 0) * kProducts * sums_size;
          for (int64_t q = 0; q < kProducts; ++q)
            multiply_panels<float>(tiles.rows, steps, panels + q * panel_size, w + q * steps * kSliver, kSliverVecs,
                                   to + q * sums_size, d > 0);
          if (d + 1 == p.depth.count) finish_pair(p, group, image, block, pair, tiles, to, sums_size);
        }
      }
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
