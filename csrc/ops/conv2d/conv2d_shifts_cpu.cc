// Direct convolution of few input channels to more output channels, as in the first layer of a network. Sums are short,
// so what a row of pixels loses at its end and what packing costs count. Each column of taps has a copy of the planes
// that is shifted by it and has rows as long as those of the output:
//
//   copy[channel][column]   number y * cols + x  =  src[y * step_y][x * step_x + dx]      (zeros outside src)
//
// There pixels that follow each other in the output read numbers that follow each other, past the ends of rows, and the
// row of a tap is an offset of whole rows. So a plane of the output is one line, and lanes are lost at its end alone;
// 3x3 taps take three copies and not nine. (At strides rows of different residues are copies of their own.)
//
// A tile of kTile.outs channels x kTile.vecs vectors of pixels stays in registers for all steps. A chunk of work owns a
// band of rows of one group of one image; stretches of it, whose numbers stay in the level-1 cache, meet all channels.
#include "cpu/gemm-inl.h"
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_shifts-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// outs * vecs sums, vecs of the source and a weight have to fit the registers. Where these are 16, eight sums keep two
// units of four cycles busy; storing twelve holds up the next tile (Zen 3: 71 cycles for 54 of products).
struct Tile {
  int outs, vecs;
};
#if defined(FASTDL_ISA_avx512)
constexpr Tile kTile{8, 3};
#else
constexpr Tile kTile{4, 2};
#endif
constexpr int64_t kCopyBytes = 96 << 10;     // of a band, in the level-2 cache
constexpr int64_t kStretchBytes = 20 << 10;  // of what a stretch reads, in the level-1 cache beside the output
constexpr double kChunkFlops = 1e6;
constexpr int64_t kMostSteps = 48;  // of a sum: longer ones pay for packed panels
constexpr int64_t kTilesAhead = 2;  // that lines of the output are fetched ahead

// A copy: of the numbers dx further, in rows of one residue from the first tap's on.
struct Column {
  int64_t dx, residue;
};

template <class T>
struct Work {
  View v;
  const Column* columns;
  int64_t num_columns;
  int64_t first_y;         // least offset of a tap
  int64_t halo;            // rows that a copy has more than the band
  int64_t rows, bands;     // output rows of a band
  int64_t stretch;         // pixels
  const int64_t* offsets;  // [channel][tap]: of what it reads for pixel 0 of the band
  const T* weights;        // [group][block of channels][channel][tap][outs]
  int64_t plane() const { return (rows + halo) * v.cols; }
  int64_t copies_size() const { return v.k_channels * num_columns * plane() + kTile.vecs * kLanes<T>; }
};

// ---- copies ---------------------------------------------------------------------------------------------------------

// Numbers [0, n) of a row, and up to a vector more on both sides where `room` is left in the source.
template <class T>
FASTDL_INLINE void copy_row(T* to, const T* from, int64_t step, int64_t n, int64_t room) {
  constexpr int L = kLanes<T>;
  if (step != 1 || n + L > room) return copy_steps(to, from, step, static_cast<int>(n));
  for (int64_t i = 0; i < n; i += L) store<T>(to + i, load<T>(from + i));
}

// Rows [row0, row0 + rows) of the output and the halo, in the order of memory: a row may write over the one after it.
template <class T>
void copy_columns(const Work<T>& w, int64_t image, int64_t group, int64_t row0, int64_t rows, T* copies) {
  const View& v = w.v;
  const int64_t src_plane = v.src_h * v.src_w, first = (image * v.groups + group) * v.k_channels;
  const T* const end = static_cast<const T*>(v.src) + v.batch * v.groups * v.k_channels * src_plane;
  for (int64_t k = 0; k < v.k_channels; ++k) {
    const T* const src = static_cast<const T*>(v.src) + (first + k) * src_plane;
    for (int64_t c = 0; c < w.num_columns; ++c) {
      const Column column = w.columns[c];
      const int64_t dx = column.dx, lo = dx < 0 ? min64((-dx + v.step_x - 1) / v.step_x, v.cols) : 0;
      const int64_t inside = dx < v.src_w ? (v.src_w - dx + v.step_x - 1) / v.step_x : 0;
      const int64_t hi = inside < lo ? lo : min64(inside, v.cols);
      T* line = copies + (k * w.num_columns + c) * w.plane();
      int64_t y = row0 * v.step_y + w.first_y + column.residue;
      for (int64_t i = 0; i < rows + w.halo; ++i, y += v.step_y, line += v.cols) {
        if (y < 0 || y >= v.src_h) {
          fill_zeros(line, static_cast<int>(v.cols));
          continue;
        }
        const T* from = src + y * v.src_w + dx + lo * v.step_x;
        if (lo > 0) fill_zeros(line, static_cast<int>(lo));
        copy_row(line + lo, from, v.step_x, hi - lo, end - from);
        if (hi < v.cols) fill_zeros(line + hi, static_cast<int>(v.cols - hi));
      }
    }
  }
}

// ---- tiles ----------------------------------------------------------------------------------------------------------

// What all tiles of a stretch have in common, in registers: numbers that are stored might be anything else.
template <class T>
struct Sums {
  const int64_t *offsets, *end;
  const T *weights, *bias;  // bias or null
  int64_t plane;            // of the output
  bool plain;               // neither a residual nor an activation
};

// OUTS channels x VECS vectors; of the last one `n` numbers are wanted.
template <class T, int OUTS, int VECS>
FASTDL_INLINE void make_tile(const View& v, const Sums<T>& of, const T* copies, T* out, int n) {
  constexpr int L = kLanes<T>;
  Vec<T> sums[OUTS][VECS];
#pragma GCC unroll 8
  for (int m = 0; m < OUTS; ++m)
#pragma GCC unroll 4
    for (int j = 0; j < VECS; ++j) sums[m][j] = of.bias ? broadcast<T>(of.bias[m]) : Vec<T>{};
  const T* weights = of.weights;
#pragma GCC unroll 3
  for (const int64_t* offset = of.offsets; offset != of.end; ++offset, weights += OUTS) {
    const T* src = copies + *offset;
    Vec<T> x[VECS];
#pragma GCC unroll 4
    for (int j = 0; j < VECS; ++j) x[j] = load<T>(src + j * L);
#pragma GCC unroll 8
    for (int m = 0; m < OUTS; ++m)
#pragma GCC unroll 4
      for (int j = 0; j < VECS; ++j) sums[m][j] += weights[m] * x[j];
  }
  if (of.plain && n == L) {
#pragma GCC unroll 8
    for (int m = 0; m < OUTS; ++m)
#pragma GCC unroll 4
      for (int j = 0; j < VECS; ++j) store<T>(out + m * of.plane + j * L, sums[m][j]);
    return;
  }
  alignas(64) T tile[OUTS][VECS * L];
#pragma GCC unroll 8
  for (int m = 0; m < OUTS; ++m)
#pragma GCC unroll 4
    for (int j = 0; j < VECS; ++j) store<T>(tile[m] + j * L, sums[m][j]);
  for (int m = 0; m < OUTS; ++m, out += of.plane)
    finish_row(v.activation, tile[m], v.residual_at(out), out, (VECS - 1) * L + n);
}

// The last tile of a stretch, of `n` pixels.
template <class T, int OUTS, int VECS = kTile.vecs>
FASTDL_INLINE void make_last(const View& v, const Sums<T>& of, const T* copies, T* out, int64_t n) {
  constexpr int L = kLanes<T>;
  if constexpr (VECS > 1) {
    if (n <= (VECS - 1) * L) return make_last<T, OUTS, VECS - 1>(v, of, copies, out, n);
  }
  make_tile<T, OUTS, VECS>(v, of, copies, out, static_cast<int>(n - (VECS - 1) * L));
}

// `n` pixels of OUTS channels. Lines that will be written are fetched: the processor alone does so for a few.
template <class T, int OUTS>
__attribute__((noinline)) void make_stretch(const Work<T>& w, const T* copies, const T* weights, const T* bias, T* out,
                                            int64_t n) {
  constexpr int64_t kWidth = kTile.vecs * kLanes<T>, kLine = 64 / sizeof(T);
  const View& v = w.v;
  const Sums<T> of{w.offsets,   w.offsets + v.taps_and_channels(),
                   weights,     bias,
                   v.out_plane, !v.residual && v.activation == Activation::kNone};
  for (; n >= kWidth; n -= kWidth, copies += kWidth, out += kWidth) {
#pragma GCC unroll 8
    for (int m = 0; m < OUTS; ++m)
      for (int64_t i = 0; i < kWidth; i += kLine) __builtin_prefetch(out + m * of.plane + kTilesAhead * kWidth + i, 1);
    make_tile<T, OUTS, kTile.vecs>(v, of, copies, out, kLanes<T>);
  }
  if (n > 0) make_last<T, OUTS>(v, of, copies, out, n);
}

// `outs` channels, as many as a tile has or fewer.
template <class T, int OUTS = kTile.outs>
void make_block(const Work<T>& w, int64_t outs, const T* copies, const T* weights, const T* bias, T* out, int64_t n) {
  if constexpr (OUTS > 1) {
    if (outs < OUTS) return make_block<T, OUTS - 1>(w, outs, copies, weights, bias, out, n);
  }
  make_stretch<T, OUTS>(w, copies, weights, bias, out, n);
}

template <class T>
void make_band(const Work<T>& w, int64_t image, int64_t group, int64_t band, T* copies) {
  const View& v = w.v;
  const int64_t row0 = band * w.rows, rows = min64(w.rows, v.rows - row0), n = rows * v.cols;
  copy_columns(w, image, group, row0, rows, copies);
  const T* const weights = w.weights + group * v.m_channels * v.taps_and_channels();
  const T* const bias = v.bias ? static_cast<const T*>(v.bias) + group * v.m_channels : nullptr;
  T* const out =
      static_cast<T*>(v.out) + (image * v.groups + group) * v.m_channels * v.out_plane + v.out_start + row0 * v.cols;
  for (int64_t p = 0; p < n; p += w.stretch)
    for (int64_t m = 0; m < v.m_channels; m += kTile.outs)
      make_block(w, v.m_channels - m, copies + p, weights + m * v.taps_and_channels(), bias ? bias + m : nullptr,
                 out + m * v.out_plane + p, min64(w.stretch, n - p));
}

// ---- the whole ------------------------------------------------------------------------------------------------------

// Blocks of outputs, each [channel][tap][outs].
template <class T>
void pack_weights(const View& v, T* to) {
  for (int64_t group = 0; group < v.groups; ++group)
    for (int64_t m0 = 0; m0 < v.m_channels; m0 += kTile.outs)
      for (int64_t k = 0; k < v.k_channels; ++k)
        for (int64_t t = 0; t < v.num_taps; ++t)
          for (int64_t m = m0; m < min64(m0 + kTile.outs, v.m_channels); ++m)
            *to++ = static_cast<const T*>(
                v.weight)[group * v.weight_group + m * v.weight_m + k * v.weight_k + v.taps[t].weight];
}

// The copies that there have to be, and which one a tap reads.
template <class T>
void find_columns(Work<T>& w, Column* columns, int64_t* column_of_tap) {
  const View& v = w.v;
  w.first_y = v.taps[0].dy;
  for (int64_t t = 1; t < v.num_taps; ++t) w.first_y = min64(w.first_y, v.taps[t].dy);
  for (int64_t t = 0; t < v.num_taps; ++t) {
    const int64_t dy = v.taps[t].dy - w.first_y;
    const Column column{v.taps[t].dx, dy % v.step_y};
    if (dy / v.step_y > w.halo) w.halo = dy / v.step_y;
    int64_t c = 0;
    while (c < w.num_columns && (columns[c].dx != column.dx || columns[c].residue != column.residue)) ++c;
    if (c == w.num_columns) columns[w.num_columns++] = column;
    column_of_tap[t] = c;
  }
  w.columns = columns;
}

// How many rows a band has and how many pixels a stretch.
template <class T>
void size_band(Work<T>& w) {
  const View& v = w.v;
  constexpr int64_t kWidth = kTile.vecs * kLanes<T>, kBytes = sizeof(T);
  const int64_t row = v.k_channels * w.num_columns * v.cols * kBytes, most = kCopyBytes / row - w.halo;
  w.bands = v.rows / (most < 1 ? 1 : most) + (most < 1 || v.rows % most != 0);
  w.rows = (v.rows + w.bands - 1) / w.bands;
  w.bands = (v.rows + w.rows - 1) / w.rows;
  const int64_t pixels = w.rows * v.cols;
  w.stretch = pixels;
  if ((w.rows + w.halo) * row <= kStretchBytes) return;
  const int64_t fit = kStretchBytes / (v.taps_and_channels() * kBytes), count = (pixels + fit - 1) / fit;
  w.stretch = ((pixels + count - 1) / count + kWidth - 1) / kWidth * kWidth;
}

template <class T>
void shifts_of(const View& v) {
  Scratch<Column> columns(v.num_taps);
  Scratch<int64_t> column_of_tap(v.num_taps), offsets(v.taps_and_channels());
  Scratch<T> weights(v.groups * v.m_channels * v.taps_and_channels());
  Work<T> w{v, columns, 0, 0, 0, 0, 0, 0, offsets, weights};
  find_columns(w, columns.get(), column_of_tap.get());
  size_band(w);
  for (int64_t k = 0; k < v.k_channels; ++k)
    for (int64_t t = 0; t < v.num_taps; ++t)
      offsets[k * v.num_taps + t] =
          (k * w.num_columns + column_of_tap[t]) * w.plane() + (v.taps[t].dy - w.first_y) / v.step_y * v.cols;
  pack_weights<T>(v, weights);
  const double flops = 2.0 * static_cast<double>(w.rows * v.cols * v.taps_and_channels() * v.m_channels);
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / flops) + 1 : 1;
  parallel_for(v.batch * v.groups * w.bands, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> copies(w.copies_size());
    for (int64_t i = begin; i < end; ++i)
      make_band<T>(w, i / w.bands / v.groups, i / w.bands % v.groups, i % w.bands, copies);
  });
}

}  // namespace

bool shifts_serve(const View& v) {
  return v.out_x == 1 && v.out_y == v.cols && v.m_channels >= kTile.outs && v.taps_and_channels() <= kMostSteps;
}

void conv_shifts(const View& v) {
  visit_float(v.dtype, [&](auto zero) { shifts_of<decltype(zero)>(v); });
}

}  // namespace fastdl::FASTDL_ISA
