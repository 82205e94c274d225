// Padded copies of source planes, for convolutions that read each number a few times only (depthwise, few channels).
//
// A line of the copy holds the columns of one source row, shared out by their residue modulo step_x, so that the pixels
// of an output row read each tap at consecutive places, whatever the stride:
//
//   line y:  [x = 0, step, 2 step, ... | x = 1, 1 + step, ... | ...]      `pitch` numbers a residue
//
// A copy serves a band of output rows; zeros stand for what lies outside the source. Lines and residues that no tap
// meets, where the stride is beyond the kernel, are left out.
#pragma once
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kBandBytes = 128 << 10;  // of the copies of a band

struct Bands {
  int64_t first_y, first_x, last_y, last_x;  // least and greatest offsets of the taps
  int64_t phases, pitch, line;               // residues; numbers of one residue, of a line
  int64_t row_lines, row;                    // lines and numbers from an output row to the next
  int64_t rows, count;                       // output rows of a band; bands
  int64_t plane;                             // numbers of one copy
};

// The copies of a band take at most `bytes`, if 4 rows do; rows that are read in vectors have `least_cols` numbers.
static inline Bands bands_of(const View& v, int64_t least_cols, int64_t item_bytes, int64_t bytes = kBandBytes) {
  Bands b{};
  b.first_y = b.last_y = v.taps[0].dy, b.first_x = b.last_x = v.taps[0].dx;
  for (int64_t t = 1; t < v.num_taps; ++t) {
    const Tap tap = v.taps[t];
    if (tap.dy < b.first_y) b.first_y = tap.dy;
    if (tap.dy > b.last_y) b.last_y = tap.dy;
    if (tap.dx < b.first_x) b.first_x = tap.dx;
    if (tap.dx > b.last_x) b.last_x = tap.dx;
  }
  b.pitch = (v.cols > least_cols ? v.cols : least_cols) + (b.last_x - b.first_x) / v.step_x;
  const int64_t halo = b.last_y - b.first_y + 1, reach = b.last_x - b.first_x + 1;
  b.phases = v.step_x < reach ? v.step_x : reach;
  b.line = b.pitch * b.phases;
  b.row_lines = v.step_y < halo ? v.step_y : halo;
  b.row = b.row_lines * b.line;
  b.rows = (bytes / (item_bytes * b.line * v.k_channels) - halo) / b.row_lines;
  if (b.rows < 4) b.rows = 4;
  b.count = (v.rows + b.rows - 1) / b.rows;
  b.rows = (v.rows + b.count - 1) / b.count;
  b.plane = (b.rows - 1) * b.row + halo * b.line;
  return b;
}

// Where tap t of output pixel (0, 0) lies in a copy; pixel (y, x) is y rows and x numbers further.
static inline int64_t tap_offset(const View& v, const Bands& b, int64_t t) {
  const int64_t dx = v.taps[t].dx - b.first_x;
  return (v.taps[t].dy - b.first_y) * b.line + dx % v.step_x * b.pitch + dx / v.step_x;
}

// The first n numbers of a row: those in even places to `even`, the others to `odd`.
template <class T>
FASTDL_INLINE void split_pairs_of(const T* row, int64_t n, T* even, T* odd) {
  constexpr int L = kLanes<T>;
  int64_t i = 0;
  for (; i + 2 * L <= n; i += 2 * L) {
    const Vec<T> a = load<T>(row + i), b = load<T>(row + i + L);
    store<T>(even + i / 2, even_lanes<T>(a, b)), store<T>(odd + i / 2, odd_lanes<T>(a, b));
  }
  if (i == n) return;
  const int rest = static_cast<int>(n - i);
  const Vec<T> a = load_some<T>(row + i, rest), b = load_some<T>(row + i + L, rest - L);
  store_n<T>(even + i / 2, even_lanes<T>(a, b), (rest + 1) / 2);
  store_n<T>(odd + i / 2, odd_lanes<T>(a, b), rest / 2);
}

// copy_plane at steps of two whose both residues are read: a row is read once for both.
template <class T>
static void copy_pairs(const View& v, const Bands& b, const T* src, int64_t y, int64_t lines, T* to, bool zeros) {
  const int64_t x = b.first_x > 0 ? b.first_x : 0, end = b.first_x + 2 * b.pitch;
  const int64_t n = (end < v.src_w ? end : v.src_w) - x, first = x - b.first_x;  // the place of column x
  T* const even = to + first % 2 * b.pitch + first / 2;
  T* const odd = to + (first + 1) % 2 * b.pitch + (first + 1) / 2;
  for (int64_t i = 0, of_row = 0; i < lines; ++i) {
    const bool inside = y >= 0 && y < v.src_h && n > 0;
    if (zeros)
      for (int64_t k = 0; k < b.line; ++k) to[i * b.line + k] = T{0};
    if (inside) split_pairs_of(src + y * v.src_w + x, n, even + i * b.line, odd + i * b.line);
    ++y;
    if (++of_row == b.row_lines) of_row = 0, y += v.step_y - b.row_lines;
  }
}

// Copies one channel for output rows [row0, row0 + rows); `zeros` unless those around the source are there already.
template <class T>
static void copy_plane(const View& v, const Bands& b, int64_t image, int64_t channel, int64_t row0, int64_t rows, T* to,
                       bool zeros = true) {
  const T* src = static_cast<const T*>(v.src) + (image * v.groups * v.k_channels + channel) * v.src_h * v.src_w;
  const int64_t lines = (rows - 1) * b.row_lines + b.last_y - b.first_y + 1;
  if (v.step_x == 2 && b.phases == 2) return copy_pairs(v, b, src, row0 * v.step_y + b.first_y, lines, to, zeros);
  for (int64_t phase = 0; phase < b.phases; ++phase, to += b.pitch) {
    // (Divisions would cost more than the copy of a short line.)
    const int64_t x = b.first_x + phase, lo = x < 0 ? (-x + v.step_x - 1) / v.step_x : 0;
    const int64_t end = x < v.src_w ? (v.src_w - x + v.step_x - 1) / v.step_x : 0;
    const int64_t hi = end > b.pitch ? b.pitch : end;
    int64_t y = row0 * v.step_y + b.first_y;
    for (int64_t i = 0, of_row = 0; i < lines; ++i) {
      T* line = to + i * b.line;
      const bool inside = y >= 0 && y < v.src_h && hi > lo;
      if (zeros) fill_zeros(line, static_cast<int>(inside ? lo : b.pitch));
      if (inside) {
        copy_steps(line + lo, src + y * v.src_w + x + lo * v.step_x, v.step_x, static_cast<int>(hi - lo));
        if (zeros) fill_zeros(line + hi, static_cast<int>(b.pitch - hi));
      }
      ++y;
      if (++of_row == b.row_lines) of_row = 0, y += v.step_y - b.row_lines;
    }
  }
}

}  // namespace fastdl::FASTDL_ISA
