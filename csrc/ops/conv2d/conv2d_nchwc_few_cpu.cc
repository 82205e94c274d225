// Direct convolution of images of few channels, as a network is given them (NCHW), to channels innermost: no other
// kernel of chains with channels innermost can begin one, and turning what one for NCHW has made takes as long as its
// sums.
//
// A band of output rows reads a copy of the image's rows with their padding. At strides the columns of one residue lie
// side by side, so that neighbouring outputs read neighbouring numbers whatever the tap is:
//
//   rows      [channel][row][column % stride][column / stride]
//   weights   [sliver][channel][tap][lanes]                       as packed for conv2d_pixels_cpu.cc
//
// A tile is some pixels of a row and two blocks of outputs: each number of the image is broadcast to both.
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_nchwc-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kBandBytes = 24 << 10;  // of the copied rows: they stay in the level-1 cache
constexpr int64_t kMostRows = 8;          // of a band, so that threads find enough of them

// Where the rows of a band lie in its copy.
struct Rows {
  int64_t top, left;         // of the first tap, from the first output's place
  int64_t height;            // from the first tap's row to the last tap's
  int64_t residues, length;  // of the columns, and how many there are of each
  explicit Rows(const View& v) {
    int64_t bottom = v.taps[0].dy, right = v.taps[0].dx;
    top = bottom, left = right;
    for (int64_t t = 1; t < v.num_taps; ++t) {
      const Tap& tap = v.taps[t];
      top = min64(top, tap.dy), left = min64(left, tap.dx);
      bottom = tap.dy > bottom ? tap.dy : bottom, right = tap.dx > right ? tap.dx : right;
    }
    height = bottom - top + 1;
    residues = min64(v.step_x, right - left + 1), length = v.cols + (right - left) / v.step_x;
  }
  int64_t count(const View& v, int64_t outputs) const { return (outputs - 1) * v.step_y + height; }
  int64_t row() const { return residues * length; }
};

// The columns of one residue, from column `x` of the image on.
void copy_residue(const View& v, const float* row, int64_t x, int64_t length, float* to) {
  const int64_t before = x < 0 ? min64(ceil_div(-x, v.step_x), length) : 0, first = x + before * v.step_x;
  const int64_t inside = first < v.src_w ? min64(ceil_div(v.src_w - first, v.step_x), length - before) : 0;
  for (int64_t i = 0; i < before; ++i) to[i] = 0;
  if (inside > 0) copy_steps(to + before, row + first, v.step_x, static_cast<int>(inside));
  for (int64_t i = before + inside; i < length; ++i) to[i] = 0;
}

// What the outputs [y0, y1) of an image read.
void copy_rows(const View& v, const Rows& r, int64_t image, int64_t y0, int64_t y1, float* to) {
  const int64_t first = y0 * v.step_y + r.top, rows = r.count(v, y1 - y0);
  for (int64_t k = 0; k < v.k_channels; ++k) {
    const float* plane = static_cast<const float*>(v.src) + (image * v.k_channels + k) * v.src_h * v.src_w;
    for (int64_t y = first; y < first + rows; ++y) {
      const bool inside = y >= 0 && y < v.src_h;
      for (int64_t i = 0; i < r.residues; ++i, to += r.length)
        copy_residue(v, plane + (inside ? y * v.src_w : 0), inside ? r.left + i : v.src_w, r.length, to);
    }
  }
}

// Of each channel and tap, where the first output of a band's first row reads it.
void set_offsets(const View& v, const Rows& r, int64_t rows, int64_t* offsets) {
  for (int64_t k = 0; k < v.k_channels; ++k)
    for (int64_t t = 0; t < v.num_taps; ++t) {
      const int64_t x = v.taps[t].dx - r.left;
      *offsets++ = (k * rows + v.taps[t].dy - r.top) * r.row() + x % v.step_x * r.length + x / v.step_x;
    }
}

// Where a tile of a row goes.
struct Place {
  const float* bias;      // of its blocks of outputs, or null
  const float* residual;  // or null
  Activation limits;
  float* out;
  int64_t plane;  // from one block of outputs to the next
};

// MR pixels x NV blocks of outputs. Lines of the result are fetched meanwhile.
template <int MR, int NV>
__attribute__((noinline)) void tile(int64_t steps, const float* in, const int64_t* offsets, const float* weights,
                                    const Place& place) {
  V sums[MR][NV];
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j) {
    const V bias = place.bias ? load<float>(place.bias + j * kL) : V{};
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) sums[i][j] = bias;
  }
  for (int64_t s = 0; s < steps; ++s, weights += NV * kL) {
    const float* const from = in + offsets[s];
    V w[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      w[j] = load<float>(weights + j * kL);
      if (s < MR) __builtin_prefetch(place.out + j * place.plane + s * kL, 1);
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) add_row<float, NV>(sums[i], from + i, w, i);
  }
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j)
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const int64_t at = j * place.plane + i * kL;
      if (place.residual) sums[i][j] += load<float>(place.residual + at);
      store<float>(place.out + at, limit<float>(place.limits, sums[i][j]));
    }
}

using Tile = void (*)(int64_t, const float*, const int64_t*, const float*, const Place&);
template <int NV, int... I>
Tile tile_of(int64_t rows, std::integer_sequence<int, I...>) {
  static constexpr Tile kInstances[] = {&tile<I + 1, NV>...};
  return kInstances[rows - 1];
}
Tile tile_for(int64_t rows, int64_t vecs) {
  using All = std::make_integer_sequence<int, kTallTile.rows>;
  static_assert(kSliverVecs == 2, "the cases below");
  return vecs == 1 ? tile_of<1>(rows, All{}) : tile_of<2>(rows, All{});
}

// Output rows [y0, y1) of an image, a sliver of outputs after another.
void make_band(const View& v, const Rows& r, int64_t image, int64_t y0, int64_t y1, const float* weights) {
  const int64_t rows = r.count(v, y1 - y0), steps = v.taps_and_channels();
  Scratch<float> copied(v.k_channels * rows * r.row());
  Scratch<int64_t> offsets(steps);
  copy_rows(v, r, image, y0, y1, copied);
  set_offsets(v, r, rows, offsets);
  const LaneSlivers<float> slivers(v);
  const Split tiles = split_evenly(v.cols, kTallTile.rows);
  const Activation limits = in_registers(v.activation);
  const int64_t plane = v.rows * v.cols * kL;
  for (int64_t s = 0; s < slivers.count; ++s) {
    const int64_t vecs = slivers.vecs_of(s), channel = s * kSliver;
    const float* const bias = v.bias ? static_cast<const float*>(v.bias) + channel : nullptr;
    for (int64_t y = y0; y < y1; ++y) {
      float* const out = static_cast<float*>(v.out) + (image * v.m_channels + channel) * v.rows * v.cols;
      float* const row = out + y * v.cols * kL;
      const float* const in = copied + (y - y0) * v.step_y * r.row();
      for (int64_t i = 0; i < tiles.count; ++i) {
        const int64_t x = part_begin(tiles, i);
        float* const to = row + x * kL;
        tile_for(part_size(tiles, i), vecs)(steps, in + x, offsets, weights + slivers.offset(s),
                                            {bias, v.residual_at(to), limits, to, plane});
      }
      for (int64_t j = 0; limits != v.activation && j < vecs; ++j)
        activate_row(v.activation, row + j * plane, v.cols * kL);
    }
  }
}

}  // namespace

void conv_nchwc_few(const View& v) {
  const Rows r(v);
  Scratch<float> own(v.prepared ? 1 : lane_weights(v));
  if (!v.prepared) prepare_lanes(v, own.get());
  const float* const weights = v.prepared ? static_cast<const float*>(v.prepared) : own.get();
  const int64_t bytes = v.k_channels * r.row() * static_cast<int64_t>(sizeof(float));
  int64_t most = kMostRows;
  while (most > 1 && r.count(v, most) * bytes > kBandBytes) --most;
  const Split bands = split_evenly(v.rows, most);
  parallel_for(v.batch * bands.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t band = i % bands.count, y0 = part_begin(bands, band);
      make_band(v, r, i / bands.count, y0, y0 + part_size(bands, band), weights);
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
