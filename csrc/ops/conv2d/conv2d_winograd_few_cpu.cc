// Winograd convolution of few input channels at unit stride, as in the first layer of a network: transforms along the
// columns alone and lanes = pixels, so that nothing is transposed and products never leave the registers.
//
//   F(M, R), M + R = 7   6 products make M output rows of a kernel of R rows, for each input channel and column of taps
//
//   lines    [input channel][position][pixels]       a tile row of an image, transformed; columns of taps are offsets
//   weights  [block of kOuts outputs][input channel][column][position][kOuts]
//
// A tile is the sums of all positions of kOuts outputs for one vector of pixels, in registers. A chunk of work owns
// tile rows of all output channels.

#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

#if defined(FASTDL_ISA_avx512)
constexpr int kOuts = 4;
#else
constexpr int kOuts = 2;
#endif
constexpr int64_t kBandBytes = 64 << 10;  // of transformed lines, which all outputs read
constexpr double kChunkFlops = 1e6;       // below that a chunk is not worth a thread

struct Plan {
  WinogradArgs p;   // of one group of the convolution
  int64_t down;     // tile rows of an image
  int64_t pitch;    // of a line
  int64_t columns;  // of taps, of all input channels
  int64_t blocks;   // of kOuts outputs
  int64_t block_size() const { return columns * kPatch * kOuts; }
  int64_t row_size() const { return p.channels * kPatch * pitch; }  // of the lines of a tile row
};

// weights[column][position][out] of a block; `taps` holds those of kL outputs: [input channel][tap][lane].
template <int R>
void transform_block(const Plan& plan, const float* taps, int64_t lane, float* weights) {
  const int64_t kernel_w = plan.p.kernel_w, kernel = R * kernel_w;
  for (int64_t i = 0; i < plan.columns; ++i, weights += kPatch * kOuts) {
    V w[R], t[kPatch];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const int64_t tap = r * kernel_w + i % kernel_w;
      w[r] = load<float>(taps + (i / kernel_w * kernel + (plan.p.rotate ? kernel - 1 - tap : tap)) * kL);
    }
    transform_weights<R>(w, t);
#pragma GCC unroll 8
    for (int j = 0; j < kPatch; ++j)
      for (int o = 0; o < kOuts; ++o) weights[j * kOuts + o] = t[j][lane + o];
  }
}

// The taps of outputs [first, first + kL), those that there are not are zeros.
void gather_taps(const WinogradArgs& p, int64_t first, float* taps) {
  const int64_t kernel = p.kernel_h * p.kernel_w, left = p.out_channels - first;
  for (int64_t c = 0; c < p.channels; ++c)
    pack_lanes(p.weight + first * p.weight_m + c * p.weight_k, p.weight_m, kernel, left < kL ? left : kL,
               taps + c * kernel * kL, kL);
}

// Lines of tile row `y` of an image.
template <int M>
void transform_lines(const Plan& plan, int64_t image, int64_t y, float* lines) {
  const WinogradArgs& p = plan.p;
  for (int64_t c = 0; c < p.channels; ++c, lines += kPatch * plan.pitch) {
    const float* src = p.src + image * p.src_image + c * p.height * p.width;
    for (int64_t i = 0; i < plan.pitch; i += kL) {
      const int64_t x = p.left + i;
      V d[kPatch], t[kPatch];
#pragma GCC unroll 8
      for (int r = 0; r < kPatch; ++r) {
        const int64_t row = p.top + y * M + r;
        d[r] = row >= 0 && row < p.height ? load_steps(src + row * p.width + x, 1, -x, p.width - x, p.width - x) : V{};
      }
      transform_patch(d, t);
#pragma GCC unroll 8
      for (int j = 0; j < kPatch; ++j) store<float>(lines + j * plan.pitch + i, t[j]);
    }
  }
}

// Where a tile goes: `outs` channels, `rows` rows, `pixels` of a vector.
struct Target {
  float* out;
  const float* bias;
  int outs, rows, pixels;
};

FASTDL_INLINE V finished(const WinogradArgs& p, V y, const float* out, int pixels) {
  if (p.residual) y += load_n<float>(p.residual + (out - p.out), pixels);
  return activate<float>(p.activation, y);
}

// kOuts outputs x M rows x one vector of pixels. WHOLE: all of them are wanted, as they are.
template <int M, bool WHOLE>
FASTDL_INLINE void make_tile(const Plan& plan, const float* lines, const float* weights, const Target& to) {
  const WinogradArgs& p = plan.p;
  V sums[kOuts][kPatch];
#pragma GCC unroll 4
  for (int o = 0; o < kOuts; ++o)
#pragma GCC unroll 8
    for (int j = 0; j < kPatch; ++j) sums[o][j] = V{};
  for (int64_t c = 0; c < p.channels; ++c, lines += kPatch * plan.pitch) {
    for (int64_t s = 0; s < p.kernel_w; ++s, weights += kPatch * kOuts) {
#pragma GCC unroll 8
      for (int j = 0; j < kPatch; ++j) {
        const V x = load<float>(lines + j * plan.pitch + s);
#pragma GCC unroll 4
        for (int o = 0; o < kOuts; ++o) sums[o][j] += weights[j * kOuts + o] * x;
      }
    }
  }
#pragma GCC unroll 4
  for (int o = 0; o < kOuts; ++o) {
    if (!WHOLE && o >= to.outs) break;
    const float bias = to.bias ? to.bias[o] : 0;
    V y[M];
    make_outputs<M>(sums[o], y);
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      float* out = to.out + o * p.out_plane + i * p.out_row;
      if constexpr (WHOLE)
        store<float>(out, y[i] + bias);
      else if (i < to.rows)
        store_n<float>(out, finished(p, y[i] + bias, out, to.pixels), to.pixels);
    }
  }
}

// All pixels of a tile row for a block of outputs; the last vector overlaps the one before it.
template <int M, bool WHOLE>
__attribute__((noinline)) void make_row(const Plan& plan, const float* lines, const float* weights,
                                        const Target& block) {
  const int64_t cols = plan.p.cols, last = cols > kL ? cols - kL : 0;
  Target to = block;
  for (int64_t x = 0; x < cols; x += kL) {
    const int64_t at = x < last ? x : last;
    to.out = block.out + at;
    make_tile<M, WHOLE>(plan, lines + at, weights, to);
  }
}

// Tile rows [y0, y1) of an image: outputs one after another, so that each plane is written in one stretch.
template <int M>
void make_band(const Plan& plan, int64_t image, int64_t y0, int64_t y1, const float* weights, float* lines) {
  const WinogradArgs& p = plan.p;
  for (int64_t y = y0; y < y1; ++y) transform_lines<M>(plan, image, y, lines + (y - y0) * plan.row_size());
  Target to{};
  to.pixels = static_cast<int>(p.cols < kL ? p.cols : kL);
  for (int64_t g = 0; g < plan.blocks; ++g) {
    to.bias = p.bias ? p.bias + g * kOuts : nullptr;
    to.outs = static_cast<int>(p.out_channels - g * kOuts < kOuts ? p.out_channels - g * kOuts : kOuts);
    for (int64_t y = y0; y < y1; ++y) {
      to.out = p.out + image * p.out_image + g * kOuts * p.out_plane + y * M * p.out_row;
      to.rows = static_cast<int>(p.rows - y * M < M ? p.rows - y * M : M);
      const bool whole =
          to.outs == kOuts && to.rows == M && to.pixels == kL && p.activation == Activation::kNone && !p.residual;
      (whole ? &make_row<M, true> : &make_row<M, false>)(plan, lines + (y - y0) * plan.row_size(),
                                                         weights + g * plan.block_size(), to);
    }
  }
}

template <int M>
void transform_weights_of_group(const Plan& plan, float* weights) {
  Scratch<float> taps(plan.p.channels * plan.p.kernel_h * plan.p.kernel_w * kL);
  for (int64_t i = 0; i < plan.blocks; ++i) {
    if (i * kOuts % kL == 0) gather_taps(plan.p, i * kOuts, taps);
    transform_block<kPatch + 1 - M>(plan, taps, i * kOuts % kL, weights + i * plan.block_size());
  }
}

template <int M>
void few_of(const WinogradArgs& p) {
  Plan plan{p, (p.rows + M - 1) / M, 0, p.channels * p.kernel_w, (p.out_channels + kOuts - 1) / kOuts};
  plan.pitch = ((p.cols > kL ? p.cols : kL) + p.kernel_w - 1 + kL - 1) / kL * kL;
  const int64_t of_group = plan.blocks * plan.block_size();
  Scratch<float> weights(p.groups * of_group);
  for (int64_t group = 0; group < p.groups; ++group) {
    plan.p = group_of(p, group);
    transform_weights_of_group<M>(plan, weights + group * of_group);
  }
  int64_t rows = kBandBytes / (plan.row_size() * static_cast<int64_t>(sizeof(float)));
  if (rows < 1) rows = 1;
  const int64_t bands = (plan.down + rows - 1) / rows;
  rows = (plan.down + bands - 1) / bands;
  const double flops = 2.0 * kPatch * static_cast<double>(rows * plan.columns * p.cols * p.out_channels);
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / flops) + 1 : 1;
  parallel_for(p.batch * p.groups * bands, grain, [&](int64_t begin, int64_t end) {
    Scratch<float> lines(rows * plan.row_size());
    Plan own = plan;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t y = i % bands * rows, group = i / bands % p.groups, image = i / bands / p.groups;
      own.p = group_of(p, group);
      make_band<M>(own, image, y, y + rows < plan.down ? y + rows : plan.down, weights + group * of_group, lines);
    }
  });
}

}  // namespace

void winograd_few(const WinogradArgs& p) {
  const auto conv = p.kernel_h == 2   ? &few_of<5>
                    : p.kernel_h == 3 ? &few_of<4>
                    : p.kernel_h == 4 ? &few_of<3>
                                      : &few_of<2>;
  conv(p);
}

}  // namespace fastdl::FASTDL_ISA
