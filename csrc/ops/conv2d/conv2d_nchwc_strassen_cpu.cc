// Strassen's algorithm (conv2d_strassen-inl.h) for images with channels innermost (conv2d_nchwc-inl.h), from prepared
// weights. Halves of channels are blocks of them, so that all its sums are of whole vectors where they lie:
//
//   weights  [group][part of K][pair of slivers][product][step][lanes]
//   pixels   [product][block of channels][tap][pixel][kL]    sums of two tiles side by side, of a part of half of K
//   sums     [product][block of outputs][pixel][kL]          of a pair
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_nchwc-inl.h"
#include "ops/conv2d/conv2d_strassen-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kBlock = 112;                // pixels
constexpr int64_t kCallSteps = 128;            // of a sliver's weights, which stay in the level-1 cache for all tiles
constexpr int64_t kPartSteps = 256;            // whose sums of pixels stay in the level-2 cache
constexpr int64_t kSpread = 5 * kLine<float>;  // keeps products in different sets of the caches
// (On planes of 49 pixels the weights, 7/4 as many, come too slowly on a Xeon.)
constexpr int64_t kLeastPlane = 64, kLeastChannels = 128, kLeastSteps = 256;

struct Plan {
  View v;
  int64_t pairs;        // of slivers
  Split blocks, parts;  // of pixels, of the blocks of half the input channels
  int64_t plane, src_plane;
  explicit Plan(const View& view)
      : v(view),
        pairs(v.m_channels / (2 * kSliver)),
        blocks(split_pixels(v.rows * v.cols, kBlock)),
        parts(split_evenly(v.k_channels / (2 * kL), kPartSteps / kL < v.num_taps ? 1 : kPartSteps / kL / v.num_taps)),
        plane(v.rows * v.cols * kL),
        src_plane(v.src_h * v.src_w * kL) {}
  int64_t steps(int64_t part) const { return part_size(parts, part) * v.num_taps * kL; }
  int64_t of_group() const { return kProducts * pairs * v.k_channels / 2 * v.num_taps * kSliver; }
  int64_t weights(int64_t group, int64_t part, int64_t pair) const {
    return group * of_group() +
           kProducts * kSliver * (part_begin(parts, part) * v.num_taps * kL * pairs + pair * steps(part));
  }
};

// What multiply_tiles wants to know of pixels and sums.
struct Strides {
  int64_t in_block, out_block, ahead;
};

// Pixels [0, half) of a block, and as many from `other` on: of an odd number the two have one in common.
struct Halves {
  int64_t size, other;
  explicit Halves(int64_t pixels) : size((pixels + 1) / 2), other(pixels / 2) {}
};

void pack_pair(const Plan& p, int64_t group, int64_t pair, float* packed) {
  const LaneSlivers<float> s(p.v);
  const int64_t half = p.v.k_channels / 2 * p.v.num_taps * kSliver;
  Scratch<float> slivers(4 * half), memory(2 * half);
  for (int64_t i = 0; i < 2; ++i) pack_nchwc_sliver(p.v, s, group, 2 * pair + i, slivers + i * 2 * half, memory);
  const float* w = slivers;
  for (int64_t part = 0; part < p.parts.count; ++part) {
    const int64_t n = p.steps(part) * kSliver;
    sum_strassen_weights(w, w + half, w + 2 * half, w + 3 * half, n, packed + p.weights(group, part, pair));
    w += n;
  }
}

// Blocks [b0, b0 + count) of either half of the channels, as each product takes them: `size` numbers apart.
void sum_pixels(const Plan& p, const NchwcChunk& c, const Halves& h, const PixelSources& sources, const float* src,
                int64_t count, float* to, int64_t size) {
  const int64_t lower = p.v.k_channels / (2 * kL) * p.src_plane;
  const auto put = [&](V x11, V x12, V x21, V x22) FASTDL_BODY {
    const StrassenProducts made = strassen_pixels(x11, x12, x21, x22);
#pragma GCC unroll 7
    for (int q = 0; q < kProducts; ++q) store<float>(to + q * size, made.of[q]);
    to += kL;
  };
  for (int64_t b = 0; b < count; ++b, src += p.src_plane) {
    if (sources.in_place) {
      const float* upper = src + c.first * kL;
      for (int64_t i = 0; i < h.size; ++i, upper += kL)
        put(load<float>(upper), load<float>(upper + h.other * kL), load<float>(upper + lower),
            load<float>(upper + lower + h.other * kL));
      continue;
    }
    for (int64_t t = 0; t < p.v.num_taps; ++t) {
      const int64_t* offset = sources.offsets + t * c.count;
      for (int64_t i = 0; i < h.size; ++i) {
        const int64_t one = offset[i], two = offset[i + h.other];
        put(load_pixel(src, one), load_pixel(src, two), load_pixel(src + lower, one), load_pixel(src + lower, two));
      }
    }
  }
}

// One block of outputs of either sliver of a pair, from sums of products (`size` apart) to their pixels.
void finish_block(const Plan& p, const Halves& h, const float* sums, int64_t size, int64_t channel, float* out) {
  const View& v = p.v;
  const float* bias = static_cast<const float*>(v.bias);
  const V upper_bias = bias ? load<float>(bias + channel) : V{};
  const V lower_bias = bias ? load<float>(bias + channel + kSliver) : V{};
  const Activation limits = in_registers(v.activation);
  const int64_t other = h.other * kL, lower = kSliverVecs * p.plane;
  const float* residual = v.residual_at(out);
  const auto put = [&](int64_t at, V sum) FASTDL_BODY {
    if (residual) sum += load<float>(residual + at);
    store<float>(out + at, limit<float>(limits, sum));
  };
  for (int64_t i = 0; i < h.size * kL; i += kL, sums += kL) {
    V m[kProducts];
#pragma GCC unroll 7
    for (int q = 0; q < kProducts; ++q) m[q] = load<float>(sums + q * size);
    const StrassenSums sum = strassen_sums(m);
    put(i, sum.c11 + upper_bias), put(other + i, sum.c12 + upper_bias);
    put(lower + i, sum.c21 + lower_bias), put(lower + other + i, sum.c22 + lower_bias);
  }
  if (limits == v.activation) return;
  activate_row(v.activation, out, (h.other + h.size) * kL);
  activate_row(v.activation, out + lower, (h.other + h.size) * kL);
}

void run_chunk(const Plan& p, const NchwcChunk& c) {
  const View& v = p.v;
  const Halves h(c.count);
  const Strides strides{h.size * kL, h.size * kL, 0};
  const int64_t in_size = (p.parts.base + 1) * v.num_taps * h.size * kL + kSpread;
  const int64_t sums_size = h.size * kSliver + kLine<float>;
  const int64_t waiting = p.parts.count > 1 ? c.end - c.begin : 1;  // pairs with unfinished sums
  Scratch<int64_t> offsets(PixelSources::room(v, c.count));
  Scratch<float> pixels(kProducts * in_size), sums(waiting * kProducts * sums_size);
  const PixelSources sources(v, c.first, c.count, offsets);
  const float* src = nchwc_source(v, c);
  for (int64_t part = 0; part < p.parts.count; ++part) {
    const int64_t steps = p.steps(part);
    sum_pixels(p, c, h, sources, src + part_begin(p.parts, part) * p.src_plane, part_size(p.parts, part), pixels,
               in_size);
    for (int64_t pair = c.begin; pair < c.end; ++pair) {
      float* to = sums + (waiting > 1 ? pair - c.begin : 0) * kProducts * sums_size;
      const float* w = static_cast<const float*>(v.prepared) + p.weights(c.group, part, pair);
      for (int64_t q = 0; q < kProducts; ++q)
        for (int64_t k = 0; k < steps; k += kCallSteps)
          multiply_tiles(strides, h.size, kSliverVecs, min64(steps - k, kCallSteps),
                         pixels + q * in_size + k / kL * strides.in_block, w + (q * steps + k) * kSliver,
                         to + q * sums_size, part > 0 || k > 0);
      if (part + 1 < p.parts.count) continue;
      for (int64_t j = 0; j < kSliverVecs; ++j) {
        const int64_t channel = c.group * v.m_channels + 2 * pair * kSliver + j * kL;
        finish_block(
            p, h, to + j * strides.out_block, sums_size, channel,
            static_cast<float*>(v.out) + (c.image * v.groups * v.m_channels + channel) * v.out_plane + c.first * kL);
      }
    }
  }
}

}  // namespace

bool nchwc_strassen_serves(const View& v) {
  return in_blocks(v) && conv_algorithm == ConvAlgorithm::kAuto && v.k_channels % (2 * kL) == 0 &&
         v.m_channels % (2 * kSliver) == 0 && v.m_channels >= kLeastChannels && v.taps_and_channels() >= kLeastSteps &&
         v.rows * v.cols >= kLeastPlane;
}

int64_t nchwc_strassen_weights(const View& v) {
  return v.groups * Plan(v).of_group();
}

void prepare_nchwc_strassen(const View& v, void* to) {
  const Plan p(v);
  parallel_for(v.groups * p.pairs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) pack_pair(p, i / p.pairs, i % p.pairs, static_cast<float*>(to));
  });
}

void conv_nchwc_strassen(const View& v) {
  const Plan p(v);
  for_chunks(v, p.blocks, p.pairs, [&](const NchwcChunk& c) { run_chunk(p, c); });
}

}  // namespace fastdl::FASTDL_ISA
