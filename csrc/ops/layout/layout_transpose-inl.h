// Transpositions: the sides of a copy have stride 1 along different axes. Squares of kLanes x kLanes go through
// registers, so that both sides move in whole vectors.
#pragma once
#include <utility>

#include "cpu/parallel.h"
#include "cpu/strided-inl.h"
#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kTile = 64;  // rows and columns of a transposition's tile: lines of both sides stay in the L1 cache
// A transposition writes a line in each of many pages. Past the level-2 cache each costs a read first, unless it
// streams: 9 ms for 2048 x 2048 out of memory (Xeon), 3 with streams, 1.5 with lines fetched two squares ahead along
// the rows.
constexpr int64_t kTransposedStreamBytes = 4 << 20;
constexpr int kSquaresAhead = 2;

// The axes of a copy, and which stride each side has along them.
struct Copy {
  int n;
  int64_t shape[kMaxDims], from[kMaxDims], to[kMaxDims];
  int64_t bytes;
};

// ---- squares --------------------------------------------------------------------------------------------------------

// a0 b0 a1 b1 ... of the first (kHigh: second) halves of a and b.
template <class T, bool kHigh, int... kIndex>
FASTDL_INLINE Vec<T> interleave(Vec<T> a, Vec<T> b, std::integer_sequence<int, kIndex...>) {
  constexpr int n = kLanes<T>;
  return __builtin_shufflevector(a, b, (kIndex / 2 + (kHigh ? n / 2 : 0) + (kIndex % 2 ? n : 0))...);
}

// A square of kLanes x kLanes: log2(kLanes) rounds, each of which interleaves row i with row i + kLanes / 2.
template <class T>
FASTDL_INLINE void transpose_registers(Vec<T> (&v)[kLanes<T>]) {
  constexpr int n = kLanes<T>;
  constexpr auto kLane = std::make_integer_sequence<int, n>{};
#pragma GCC unroll 8
  for (int round = 1; round < n; round *= 2) {
    Vec<T> w[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      w[2 * i] = interleave<T, false>(v[i], v[i + n / 2], kLane);
      w[2 * i + 1] = interleave<T, true>(v[i], v[i + n / 2], kLane);
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) v[i] = w[i];
  }
}

// out[j][i] = x[i][j] for i < rows, j < columns, both at most kLanes; the strides are those of i in x and of j in out.
template <class T>
FASTDL_INLINE void transpose_square(const T* x, int64_t from, T* out, int64_t to, int rows, int columns, bool streams) {
  constexpr int n = kLanes<T>;
  Vec<T> v[n];
  if (rows == n && columns == n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) {
      v[i] = load<T>(x + i * from);
      if (streams) __builtin_prefetch(x + i * from + kSquaresAhead * n);
    }
    transpose_registers<T>(v);
    if (streams) {
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j) stream<T>(out + j * to, v[j]);
    } else {
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j) store<T>(out + j * to, v[j]);
    }
    return;
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) out[j * to + i] = x[i * from + j];
}

// One plane: axis p has stride 1 in out, axis q has stride 1 in x.
template <class T>
static void transpose_tile(const T* x, int64_t from, T* out, int64_t to, int64_t rows, int64_t columns, bool streams) {
  constexpr int n = kLanes<T>;
  for (int64_t j = 0; j < columns; j += n) {
    for (int64_t i = 0; i < rows; i += n) {
      const int r = static_cast<int>(rows - i < n ? rows - i : n),
                c = static_cast<int>(columns - j < n ? columns - j : n);
      transpose_square<T>(x + i * from + j, from, out + j * to + i, to, r, c, streams);
    }
  }
}

// ---- past the caches, rows of any length ----------------------------------------------------------------------------

constexpr int64_t kStrip = 256;      // elements of each output row at a time: 16 lines of floats
constexpr int64_t kStripRows = 512;  // output rows of a task

// kLanes rows of the output, of which columns [first, end) are in the buffer, `pitch` elements a row.
template <class T>
struct StripRows {
  T* buffer;
  int64_t pitch, first, end;
};

// Columns `first` to `end` of the transposed plane, kLanes rows of the output from j on, of `rows` and `columns`.
template <class T>
FASTDL_INLINE void fill_strip(const StripRows<T>& s, const T* x, int64_t from, int64_t columns, int64_t j) {
  constexpr int n = kLanes<T>;
  const int width = static_cast<int>(columns - j < n ? columns - j : n);
  for (int64_t i = s.first; i < s.end; i += n) {
    const int height = static_cast<int>(s.end - i < n ? s.end - i : n);
    Vec<T> v[n];
    if (height == n && width == n) {
#pragma GCC unroll 16
      for (int k = 0; k < n; ++k) {
        v[k] = load<T>(x + (i + k) * from + j);
        __builtin_prefetch(x + (i + k) * from + j + kSquaresAhead * n);
      }
    } else {
      for (int k = 0; k < n; ++k) v[k] = k < height ? load_n<T>(x + (i + k) * from + j, width) : Vec<T>{};
    }
    transpose_registers<T>(v);
#pragma GCC unroll 16
    for (int k = 0; k < n; ++k) store<T>(s.buffer + k * s.pitch + (i - s.first), v[k]);
  }
}

template <class T>
inline constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // elements; part of one must not be streamed

// One row: whole lines between the last ones that begin at or before columns i and end; the rest of the row at its ends
// (i = 0, end = rows) in ordinary stores.
template <class T>
FASTDL_INLINE void stream_row(const T* buffer, const StripRows<T>& s, T* row, int64_t i, int64_t rows) {
  constexpr int64_t n = kLine<T>;
  const int64_t lead = static_cast<int64_t>(reinterpret_cast<uintptr_t>(row) % 64 / sizeof(T));
  // The last column of at most c at which a line begins.
  const auto line_before = [lead](int64_t c) FASTDL_BODY { return (c + lead) / n * n - lead; };
  int64_t at = line_before(i);
  if (i == 0 && at < 0) {
    const int64_t head = at + n < s.end ? at + n : s.end;
    for (int64_t c = 0; c < head; ++c) row[c] = buffer[c - s.first];
    at += n;
  }
  const int64_t last = line_before(s.end);
  for (; at < last; at += kLanes<T>) stream<T>(row + at, load<T>(buffer + (at - s.first)));
  if (s.end == rows)
    for (int64_t c = at; c < rows; ++c) row[c] = buffer[c - s.first];
}

// Strips of the plane are transposed into a buffer in L1, from where each row of the output gets its whole lines: these
// begin at other columns in every row, so a strip begins with what the one before it has left over.
template <class T>
static void transpose_strips(const Copy& c, int p, int q, const T* x, T* out) {
  constexpr int n = kLanes<T>;
  const int64_t rows = c.shape[p], columns = c.shape[q], from = c.from[p], to = c.to[q];
  const int64_t across = (columns + kStripRows - 1) / kStripRows, strips = (rows + kStrip - 1) / kStrip * across;
  int64_t outer = 1;
  for (int i = 0; i < c.n; ++i)
    if (i != p && i != q) outer *= c.shape[i];
  parallel_for(outer * strips, 1, [&](int64_t begin, int64_t end) {
    constexpr int64_t kPitch = kStrip + kLine<T>;
    const Scratch<T> buffer(n * kPitch);
    Walk<2> planes;
    for (int i = 0; i < c.n; ++i)
      if (i != p && i != q) add_axis<2>(planes, c.shape[i], {c.from[i], c.to[i]});
    seek<2>(planes, begin / strips);
    int64_t strip = begin % strips;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t i = strip / across * kStrip, j = strip % across * kStripRows;
      const StripRows<T> s{buffer, kPitch, i > 0 ? i - kLine<T> : 0, rows - i < kStrip ? rows : i + kStrip};
      const int64_t stop = columns - j < kStripRows ? columns : j + kStripRows;
      for (int64_t k = j; k < stop; k += n) {
        fill_strip<T>(s, x + planes.offset[0], from, stop, k);
        for (int64_t r = k; r < stop && r < k + n; ++r)
          stream_row<T>(s.buffer + (r - k) * kPitch, s, out + planes.offset[1] + r * to, i, rows);
      }
      if (++strip == strips) strip = 0, step<2>(planes);
    }
    store_fence();
  });
}

// ---- the choice -----------------------------------------------------------------------------------------------------

template <class T>
static void copy_transposed(const Copy& c, int p, int q, const T* x, T* out) {
  const int64_t rows = c.shape[p], columns = c.shape[q], from = c.from[p], to = c.to[q];
  const int64_t across = (columns + kTile - 1) / kTile, tiles = (rows + kTile - 1) / kTile * across;
  // A stream needs every vector of out aligned: the base, and each stride that leads from one to another.
  bool streams = c.bytes >= kTransposedStreamBytes && reinterpret_cast<uintptr_t>(out) % kVecBytes == 0;
  int64_t outer = 1;
  for (int i = 0; i < c.n; ++i) {
    if (i != p) streams = streams && c.to[i] % kLanes<T> == 0;
    if (i != p && i != q) outer *= c.shape[i];
  }
  // Few rows of the output stay in the caches until their lines are full.
  if (sizeof(T) >= 4 && !streams && c.bytes >= kTransposedStreamBytes && rows >= kTile && columns > kTile) {
    if constexpr (sizeof(T) >= 4) transpose_strips<T>(c, p, q, x, out);
    return;
  }
  const int64_t tile_size = (rows < kTile ? rows : kTile) * (columns < kTile ? columns : kTile);
  parallel_for(outer * tiles, kGrain / tile_size + 1, [&](int64_t begin, int64_t end) {
    Walk<2> planes;
    for (int i = 0; i < c.n; ++i)
      if (i != p && i != q) add_axis<2>(planes, c.shape[i], {c.from[i], c.to[i]});
    seek<2>(planes, begin / tiles);
    int64_t tile = begin % tiles;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t i = tile / across * kTile, j = tile % across * kTile;
      transpose_tile<T>(x + planes.offset[0] + i * from + j, from, out + planes.offset[1] + j * to + i, to,
                        rows - i < kTile ? rows - i : kTile, columns - j < kTile ? columns - j : kTile, streams);
      if (++tile == tiles) tile = 0, step<2>(planes);
    }
    if (streams) store_fence();
  });
}

}  // namespace
}  // namespace fastdl::FASTDL_ISA
