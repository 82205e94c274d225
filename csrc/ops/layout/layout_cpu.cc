// Moving elements on the CPU: copies between a contiguous block and a strided view of another, in either direction.
//
// Both kernels pick the plane of two axes that memory likes best:
//
//     runs        the last axis has stride 1 on both sides         long vectors, row by row
//     fills       ... or 0 in the source (broadcast_to)
//     reversals   ... or -1 in the source (flip)
//     transposes  the sides have stride 1 along different axes     squares of kLanes x kLanes through registers,
//                                                                  so that both sides move in whole vectors
//     elements    anything else (steps, one-byte transposes)       one by one
//
// Threads own ranges of whole planes' parts. Large outputs bypass the caches where they are contiguous.
#include <utility>

#include "cpu/strided-inl.h"
#include "ops/layout/layout.h"
#include "ops/layout/layout_rows-inl.h"

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

// ---- rows -----------------------------------------------------------------------------------------------------------

// Rows of a contiguous output: runs, fills, reversals, or elements some steps apart.
template <class T>
class GatheredRows {
 public:
  GatheredRows(const Copy& c, const T* x) : x_(x), stride_(c.from[c.n - 1]) {
    for (int i = 0; i + 1 < c.n; ++i) add_axis<1>(rows_, c.shape[i], {c.from[i]});
  }
  void seek(int64_t row) { fastdl::FASTDL_ISA::seek<1>(rows_, row); }
  void step() { fastdl::FASTDL_ISA::step<1>(rows_); }

  FASTDL_BODY void write(int64_t column, int64_t n, T* to) const {
    const T* const source = x_ + rows_.offset[0] + column * stride_;
    if (stride_ == 1) return copy_run(source, to, n);
    if (stride_ == -1) return reverse_run(source, to, n);
    if (stride_ == 0) return fill_run(*source, to, n);
    for (int64_t i = 0; i < n; ++i) to[i] = source[i * stride_];
  }

 private:
  const T* x_;
  int64_t stride_;
  Walk<1> rows_;
};

template <class T>
static void gather_rows(const Copy& c, const T* x, T* out) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < c.n; ++i) rows *= c.shape[i];
  write_rows(out, rows, c.shape[c.n - 1], GatheredRows<T>(c, x));
}

template <class T>
FASTDL_INLINE void stream_run(const T* x, T* out, int64_t n) {
  constexpr int kStep = kLanes<T>;
  if (n < 4 * kStep || reinterpret_cast<uintptr_t>(out) % sizeof(T)) return copy_run(x, out, n);
  int64_t i = 0;
  for (; reinterpret_cast<uintptr_t>(out + i) % kVecBytes; ++i) out[i] = x[i];
  for (; i + kStep <= n; i += kStep) stream<T>(out + i, load<T>(x + i));
  for (; i < n; ++i) out[i] = x[i];
}

// Rows are cut at kGrain elements, so that threads share a single long one as well.
template <class T>
static void scatter_rows(const Copy& c, const T* x, T* out) {
  const int last = c.n - 1;
  const bool streams = c.bytes >= kStreamBytes;
  const int64_t size = c.shape[last], pieces = (size + kGrain - 1) / kGrain, to = c.to[last];
  int64_t outer = 1;
  for (int i = 0; i < last; ++i) outer *= c.shape[i];
  parallel_for(outer * pieces, kGrain / size + 1, [&](int64_t begin, int64_t end) {
    Walk<2> rows;
    for (int i = 0; i < last; ++i) add_axis<2>(rows, c.shape[i], {c.from[i], c.to[i]});
    seek<2>(rows, begin / pieces);
    int64_t piece = begin % pieces;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t column = piece * kGrain, n = size - column < kGrain ? size - column : kGrain;
      const T* source = x + rows.offset[0] + column;
      T* target = out + rows.offset[1] + column * to;
      if (to == 1 && streams)
        stream_run(source, target, n);
      else if (to == 1)
        copy_run(source, target, n);
      else
        for (int64_t i = 0; i < n; ++i) target[i * to] = source[i];
      if (++piece == pieces) piece = 0, step<2>(rows);
    }
    if (streams) store_fence();
  });
}

// ---- transpositions -------------------------------------------------------------------------------------------------

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

// ---- the choice -----------------------------------------------------------------------------------------------------

template <bool kGather, class T>
static void copy_strided(const Copy& c, const T* x, T* out) {
  const int64_t* const strides = kGather ? c.from : c.to;
  const int last = c.n - 1;
  int across = -1;  // the axis that is contiguous on the strided side
  for (int i = 0; i < c.n; ++i)
    if (strides[i] == 1) across = i;
  const bool run = strides[last] == 1 || (kGather && (strides[last] == 0 || strides[last] == -1));
  if (!run && across >= 0) return copy_transposed(c, kGather ? last : across, kGather ? across : last, x, out);
  if constexpr (kGather)
    gather_rows(c, x, out);
  else
    scatter_rows(c, x, out);
}

template <bool kGather>
static void copy_any(Copy& c, int itemsize, const void* x, int64_t from, void* out, int64_t to) {
  c.bytes = itemsize;
  for (int i = 0; i < c.n; ++i) c.bytes *= c.shape[i];
  if (c.bytes == 0) return;
  visit_itemsize(itemsize, [&](auto zero) FASTDL_BODY {
    using T = decltype(zero);
    copy_strided<kGather>(c, static_cast<const T*>(x) + from, static_cast<T*>(out) + to);
  });
}

// The axes of `shape`, with a contiguous side and one that has `stride`.
static void set_axes(Copy& c, const Dims& shape, const Dims& stride, int64_t (&contiguous)[kMaxDims],
                     int64_t (&strided)[kMaxDims]) {
  c.n = shape.n;
  int64_t step_size = 1;
  for (int i = shape.n - 1; i >= 0; --i) {
    c.shape[i] = shape.d[i];
    contiguous[i] = step_size;
    strided[i] = stride.d[i];
    step_size *= shape.d[i];
  }
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void gather_strided(const GatherStridedArgs& p) {
  Copy c{};
  set_axes(c, p.shape, p.stride, c.to, c.from);
  copy_any<true>(c, p.itemsize, p.x, p.offset, p.out, 0);
}

void scatter_strided(const ScatterStridedArgs& p) {
  Copy c{};
  set_axes(c, p.shape, p.stride, c.from, c.to);
  copy_any<false>(c, p.itemsize, p.x, 0, p.out, p.offset);
}

}  // namespace fastdl::FASTDL_ISA
