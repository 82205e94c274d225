// The gradient of the weights, directly: an inner product over pixels for each weight,
//
//   grad_weight[o, c, t] = sum over pixels p of grad[o, p] * x[c, p shifted by t]
//
// Lanes run over pixels on both sides, so the rows of the forward pass's panel serve as they are and no operand is
// transposed; a tile of kRows x kCols sums stays in registers for a block of pixels, and its lanes are added at the
// end.
//
//   panel[k = (c, t)][pixels of the block]      grads[o][pixels of the block]
//
// A chunk of work owns one part of the pixels, one group and a range of output channels, and its own sums; the parts
// are added in order, and how many there are depends on the shape alone.
#include "ops/conv2d/conv2d_shuffle-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// Register tile: kRows * kCols sums + kCols of the panel + 1.
#if defined(FASTDL_ISA_avx512)
constexpr int kRows = 6, kCols = 4;
#else
constexpr int kRows = 3, kCols = 3;
#endif
constexpr int64_t kPanelBytes = 384 << 10;
constexpr int64_t kBlockPixels = 512;  // of one pass over a tile: hides the adding of lanes
// With few products a weight row has nothing to spare for copying the gradients: large planes are read where they lie.
constexpr int64_t kFewProducts = 64, kLargePlane = 192, kPiecePixels = 768;
constexpr int64_t kPartChannels = 128;  // output channels of a chunk: its gradients stay in the level-2 cache
constexpr int64_t kMaxParts = 16;       // of the pixels, as long as their sums are small:
constexpr int64_t kPartsBytes = 8 << 20;
constexpr int64_t kMinPartPixels = 4096;

// sums[i * ld + j] += inner product of row i of a and row j of b, over n numbers.
template <class T, int MR, int NR>
__attribute__((noinline)) void dot_tile(int64_t n, const T* a, int64_t a_pitch, const T* b, int64_t b_pitch, T* sums,
                                        int64_t ld) {
  constexpr int L = kLanes<T>, kGroups = (MR * NR + L - 1) / L;
  Vec<T> acc[kGroups * L];
#pragma GCC unroll 48
  for (int i = 0; i < kGroups * L; ++i) acc[i] = Vec<T>{};
  for (; n >= L; n -= L, a += L, b += L) {
    Vec<T> col[NR];
#pragma GCC unroll 8
    for (int j = 0; j < NR; ++j) col[j] = load<T>(b + j * b_pitch);
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      const Vec<T> row = load<T>(a + i * a_pitch);
#pragma GCC unroll 8
      for (int j = 0; j < NR; ++j) acc[i * NR + j] += row * col[j];
    }
  }
  if (n > 0) {  // the panel ends in zeros, the gradients in those of another plane
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
      const Vec<T> row = load_n<T>(a + i * a_pitch, static_cast<int>(n));
#pragma GCC unroll 8
      for (int j = 0; j < NR; ++j) acc[i * NR + j] += row * load<T>(b + j * b_pitch);
    }
  }
  T total[kGroups * L];
#pragma GCC unroll 16
  for (int i = 0; i < kGroups; ++i) store<T>(total + i * L, lane_sums<T>(acc + i * L));
  for (int i = 0; i < MR; ++i)
    for (int j = 0; j < NR; ++j) sums[i * ld + j] += total[i * NR + j];
}

template <class T>
using DotTile = void (*)(int64_t n, const T* a, int64_t a_pitch, const T* b, int64_t b_pitch, T* sums, int64_t ld);
template <class T, int... I>
DotTile<T> dot_tile_of(int rows, int cols, std::integer_sequence<int, I...>) {
  static constexpr DotTile<T> kInstances[] = {&dot_tile<T, I / kCols + 1, I % kCols + 1>...};
  return kInstances[(rows - 1) * kCols + cols - 1];
}
template <class T>
DotTile<T> dot_tile_for(int rows, int cols) {
  return dot_tile_of<T>(rows, cols, std::make_integer_sequence<int, kRows * kCols>{});
}

// One block of pixels: sums[o][k] += grads[o][.] * panel[k][.]; tiles of balanced size.
template <class T>
void add_products(int64_t outs, int64_t ks, int64_t n, const T* grads, int64_t grads_pitch, const T* panel,
                  int64_t pitch, T* sums, int64_t ld) {
  const int64_t row_tiles = (outs + kRows - 1) / kRows, col_tiles = (ks + kCols - 1) / kCols;
  for (int64_t i = 0; i < row_tiles; ++i) {
    const int64_t o0 = outs * i / row_tiles, o1 = outs * (i + 1) / row_tiles;
    for (int64_t j = 0; j < col_tiles; ++j) {
      const int64_t k0 = ks * j / col_tiles, k1 = ks * (j + 1) / col_tiles;
      dot_tile_for<T>(static_cast<int>(o1 - o0), static_cast<int>(k1 - k0))(
          n, grads + o0 * grads_pitch, grads_pitch, panel + k0 * pitch, pitch, sums + o0 * ld + k0, ld);
    }
  }
}

// Gradients of channels [o0, o1) at pixels [first, first + n) of the flat order (image, y, x), side by side.
template <class T>
void pack_grads(const View& v, const T* grad, int64_t o0, int64_t o1, int64_t first, int64_t n, T* to, int64_t pitch) {
  const int64_t plane = v.rows * v.cols, channels = v.groups * v.m_channels;
  for (int64_t o = o0; o < o1; ++o, to += pitch) {
    for (int64_t lane = 0; lane < n;) {
      const int64_t image = (first + lane) / plane, p = (first + lane) % plane;
      const int64_t len = plane - p < n - lane ? plane - p : n - lane;
      copy_steps(to + lane, grad + (image * channels + o) * plane + p, 1, static_cast<int>(len));
      lane += len;
    }
  }
}

struct Plan {
  View v;
  int64_t pitch, channels_a_panel;
  int64_t pieces;  // blocks of one plane, or 0: blocks run through small planes
  int64_t blocks, parts;
  int64_t ranges;  // of the output channels of a group
};

Plan plan_for(const Conv2dBwdWeightArgs& p, Tap* taps) {
  Plan plan{};
  View& v = plan.v;
  v = forward_view(p.g, p.dtype, taps);
  v.src = p.x;
  join_rows(v);
  const int64_t size = static_cast<int64_t>(itemsize(p.dtype)), plane = v.rows * v.cols;
  if (plane >= kLargePlane && v.taps_and_channels() <= kFewProducts)
    plan.pieces = (plane + kPiecePixels - 1) / kPiecePixels;
  plan.pitch = (plan.pieces ? kPiecePixels : kBlockPixels) +
               64 / size;  // off the power of two, whose rows would share cache sets
  plan.channels_a_panel = kPanelBytes / (plan.pitch * size * v.num_taps);
  if (plan.channels_a_panel < 1) plan.channels_a_panel = 1;
  plan.ranges = (v.m_channels + kPartChannels - 1) / kPartChannels;
  plan.blocks = plan.pieces ? v.batch * plan.pieces : (v.pixels() + kBlockPixels - 1) / kBlockPixels;
  plan.parts = kPartsBytes / (v.groups * v.weight_group * size);
  if (plan.parts > v.pixels() / kMinPartPixels) plan.parts = v.pixels() / kMinPartPixels;
  if (plan.parts > kMaxParts) plan.parts = kMaxParts;
  if (plan.parts < 1) plan.parts = 1;
  return plan;
}

template <class T>
void one_chunk(const Plan& plan, const T* grad, int64_t part, int64_t group, int64_t o0, int64_t o1, T* sums) {
  const View& v = plan.v;
  const int64_t ks = v.taps_and_channels(), plane = v.rows * v.cols;
  const int64_t channel0 = group * v.m_channels + o0, channel1 = group * v.m_channels + o1;
  Scratch<T> panel(plan.channels_a_panel * v.num_taps * plan.pitch);
  Scratch<T> joined(plan.pieces ? 1 : (o1 - o0) * plan.pitch);
  Scratch<Run> runs(plan.pitch);
  for (int64_t block = plan.blocks * part / plan.parts; block < plan.blocks * (part + 1) / plan.parts; ++block) {
    int64_t first = block * kBlockPixels, last = first + kBlockPixels < v.pixels() ? first + kBlockPixels : v.pixels();
    int64_t pitch = plan.pitch;
    const T* grads = joined;
    if (plan.pieces) {
      const int64_t image = block / plan.pieces, piece = block % plan.pieces, p0 = plane * piece / plan.pieces;
      first = image * plane + p0, last = image * plane + plane * (piece + 1) / plan.pieces;
      grads = grad + (image * v.groups * v.m_channels + channel0) * plane + p0, pitch = plane;
    } else {
      pack_grads<T>(v, grad, channel0, channel1, first, last - first, joined, pitch);
    }
    const int count = cut_runs(v, first, last - first, runs.get());
    for (int64_t c = 0; c < v.k_channels; c += plan.channels_a_panel) {
      const int64_t c1 = c + plan.channels_a_panel < v.k_channels ? c + plan.channels_a_panel : v.k_channels;
      pack_runs(v, group, runs.get(), count, panel.get(), plan.pitch, c, c1);
      add_products<T>(o1 - o0, (c1 - c) * v.num_taps, last - first, grads, pitch, panel, plan.pitch,
                      sums + c * v.num_taps, ks);
    }
  }
}

template <class T>
void weight_panels_of(const Conv2dBwdWeightArgs& p) {
  Scratch<Tap> taps(p.g.kernel_h * p.g.kernel_w);
  const Plan plan = plan_for(p, taps);
  const View& v = plan.v;
  const int64_t size = v.groups * v.weight_group, ks = v.taps_and_channels();
  T* grad_weight = static_cast<T*>(p.grad_weight);
  Scratch<T> sums(plan.parts > 1 ? plan.parts * size : 1);
  T* out = plan.parts > 1 ? sums.get() : grad_weight;
  const double flops = 2.0 * v.pixels() * v.weight_group / (plan.parts * plan.ranges);
  const int64_t grain = flops < 1e6 ? static_cast<int64_t>(1e6 / (flops + 1)) + 1 : 1;
  parallel_for(size * (plan.parts > 1 ? plan.parts : 1), 1 << 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = T{0};
  });
  parallel_for(plan.parts * v.groups * plan.ranges, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t range = i % plan.ranges, group = i / plan.ranges % v.groups, part = i / plan.ranges / v.groups;
      const int64_t o0 = v.m_channels * range / plan.ranges, o1 = v.m_channels * (range + 1) / plan.ranges;
      one_chunk(plan, static_cast<const T*>(p.grad), part, group, o0, o1,
                out + part * size + group * v.weight_group + o0 * ks);
    }
  });
  if (plan.parts <= 1) return;
  parallel_for(size, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) grad_weight[i] = out[i];
    for (int64_t part = 1; part < plan.parts; ++part)
      for (int64_t i = begin; i < end; ++i) grad_weight[i] += out[part * size + i];
  });
}

}  // namespace

void weight_gradient_panels(const Conv2dBwdWeightArgs& p) {
  visit_float(p.dtype, [&](auto zero) { weight_panels_of<decltype(zero)>(p); });
}

}  // namespace fastdl::FASTDL_ISA
