// Windows of pooling over the rows of a plane, vectorised over the columns of the output.
//
// A fold (maximum or sum) is separable: the rows of a window are folded column by column, and then the columns of that
// one row. Neighbouring outputs lie stride_w columns apart, so the folded row is split by phase (column mod stride_w)
// into a buffer with padding around it, where the inputs of one tap of neighbouring outputs are contiguous:
//
//   row (stride_w = 2, pad_w = 1)   x0 x1 x2 x3 x4 x5     phase 0:  pad x1 x3 x5 pad
//                                                         phase 1:  x0 x2 x4 pad
#pragma once
#include "core/pool.h"
#include "cpu/parallel.h"
#include "cpu/runs-inl.h"

namespace fastdl::FASTDL_ISA {

FASTDL_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
FASTDL_INLINE int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}
FASTDL_INLINE int64_t div_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// ---- blocks and bands -----------------------------------------------------------------------------------------------

// Blocks of one vector of a row. The last one overlaps the one before it, so that only rows shorter than a vector need
// partial stores.
struct Block {
  int64_t at;
  int n;
};
template <class T>
FASTDL_INLINE Block block_at(int64_t i, int64_t n) {
  constexpr int64_t kWidth = kLanes<T>;
  if (i + kWidth <= n) return {i, kWidth};
  return n >= kWidth ? Block{n - kWidth, kWidth} : Block{i, static_cast<int>(n - i)};
}
// f(at, n) for such blocks of kVectors vectors. n is a constant but for rows shorter than a block: branches would cost
// as much as the loads.
template <class T, int kVectors = 1, class F>
FASTDL_INLINE void for_blocks(int64_t n, F f) {
  constexpr int kWidth = kVectors * kLanes<T>;
  if (n < kWidth) return f(int64_t{0}, n);
  for (int64_t i = 0; i < n; i += kWidth) f(smaller(i, n - kWidth), std::integral_constant<int64_t, kWidth>{});
}

constexpr int64_t kBandInputs = 32 * 1024;  // input elements of one chunk: tens of microseconds

// body(plane, begin, end) for bands of output rows; prepare() makes what a chunk needs once and body gets it first.
template <class Prepare, class Body>
static void for_bands(int64_t planes, int64_t plane_inputs, int64_t out_h, Prepare&& prepare, Body&& body) {
  const int64_t inputs = larger(plane_inputs, 1);
  const int64_t bands = smaller(out_h, div_up(inputs, kBandInputs)), band = div_up(out_h, larger(bands, 1));
  parallel_for(planes * bands, larger(1, kBandInputs / inputs), [&](int64_t item, int64_t last) {
    auto&& state = prepare();
    for (; item < last; ++item) {
      const int64_t begin = item % bands * band;
      body(state, item / bands, begin, smaller(begin + band, out_h));
    }
  });
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// The rows of a window that lie inside the input.
template <class T>
struct WindowRows {
  const T* first;
  int64_t step, count;
  int64_t y, oy;  // the first of them, and the row of the output
};
template <class T>
FASTDL_INLINE WindowRows<T> window_rows(const PoolGeometry& g, const T* plane, int64_t oy) {
  const int64_t top = oy * g.stride_h - g.pad_h, d = g.dilation_h;
  const int64_t skipped = top < 0 ? div_up(-top, d) : 0;
  const int64_t y = top + skipped * d;
  const int64_t count = y < g.in_h ? smaller(g.kernel_h - skipped, div_up(g.in_h - y, d)) : 0;
  return {plane + y * g.in_w, d * g.in_w, larger(count, 0), y, oy};
}

// Measured on Zen 4, and on Zen 3 without AVX-512.
constexpr int64_t kRowBytesAhead = kVecBytes == 64 ? 8192 : 2048;

// Asks for what lies kRowBytesAhead behind the kVectors vectors at p: the processor's own prefetcher stops at the end
// of each page.
template <class T, int kVectors>
FASTDL_INLINE void ask_ahead(const T* p) {
  for (int64_t byte = 0; byte < kVectors * kVecBytes; byte += 64)
    prefetch(reinterpret_cast<const char*>(p) + kRowBytesAhead + byte);
}

constexpr int64_t kLongestReach = 64;  // columns from the first tap to the last, for which windows are padded

// Whether rows are split by phase. The other windows are for cpu/pool_turned-inl.h.
FASTDL_INLINE bool splits(const PoolGeometry& g) {
  return g.stride_w <= 2 && (g.kernel_w - 1) * g.dilation_w < kLongestReach;
}
// Windows of two columns side by side that lie in the input are split in registers.
FASTDL_INLINE bool has_column_pairs(const PoolGeometry& g) {
  return g.kernel_w == 2 && g.stride_w == 2 && g.pad_w == 0 && g.dilation_w == 1 && 2 * g.out_w <= g.in_w;
}

namespace {

// One row in the buffer described above.
template <class T>
class TapRow {
 public:
  TapRow(const PoolGeometry& g, T padding) : g_(g), data_(size(g)) {
    for (int64_t i = 0; i < size(g); ++i) data_[i] = padding;
  }

  // Columns of the input that windows reach, for `put`: the others are not needed.
  int64_t columns() const { return smaller(g_.in_w, phase_size_ * phases_ - g_.pad_w); }

  // Columns [at, at + n) in two vectors. The padding around them stays.
  template <class N>
  __attribute__((always_inline)) void put(int64_t at, N n, Vec<T> a, Vec<T> b) const {
    const int64_t column = at + g_.pad_w;
    if (phases_ == 1) {
      store_some<T>(data_ + column, a, n);
      store_some<T>(data_ + column + kLanes<T>, b, n - kLanes<T>);
    } else {
      store_some<T>(data_ + column % 2 * phase_size_ + column / 2, even_lanes<T>(a, b), (n + 1) / 2);
      store_some<T>(data_ + (column + 1) % 2 * phase_size_ + (column + 1) / 2, odd_lanes<T>(a, b), n / 2);
    }
  }

  // Where the inputs of tap kx of outputs 0, 1, ... lie.
  __attribute__((always_inline)) const T* tap(int64_t kx) const {
    const int64_t column = kx * g_.dilation_w;
    return phases_ == 1 ? data_ + column : data_ + column % 2 * phase_size_ + column / 2;
  }

 private:
  // Long enough for whole vectors of outputs and the reach of the last tap.
  static int64_t phase_size(const PoolGeometry& g) {
    return larger(g.out_w, kLanes<T>) + (g.kernel_w - 1) * g.dilation_w / g.stride_w + 1;
  }
  static int64_t size(const PoolGeometry& g) { return phase_size(g) * g.stride_w; }

  const PoolGeometry& g_;
  const Scratch<T> data_;
  const int64_t phases_ = g_.stride_w, phase_size_ = phase_size(g_);
};

}  // namespace

// ---- folds ----------------------------------------------------------------------------------------------------------

// The larger of numbers, the second where they are equal: one instruction, which the compiler loses where its result
// is chosen from again.
template <class T>
FASTDL_INLINE Vec<T> larger_number(Vec<T> a, Vec<T> b) {
  return in_place<T>(a > b ? a : b);
}

// NaN in a window gives NaN: the instruction gives b where either is one. Padding never wins.
template <class T>
struct MaxFold {
  static constexpr T kStart = -static_cast<T>(__builtin_inf());
  __attribute__((always_inline)) Vec<T> join(Vec<T> a, Vec<T> b) const {
    return select<T>(a != a, a, larger_number<T>(a, b));
  }
  __attribute__((always_inline)) Vec<T> finish(Vec<T> v, int64_t, int64_t) const { return v; }
};

template <class T>
struct SumFold {
  static constexpr T kStart = 0;
  __attribute__((always_inline)) Vec<T> join(Vec<T> a, Vec<T> b) const { return a + b; }
  __attribute__((always_inline)) Vec<T> finish(Vec<T> v, int64_t, int64_t) const { return v; }
};

// kRows is the number of rows where known, else 0.
template <class T, int kRows, class F>
FASTDL_INLINE Vec<T> fold_rows(const WindowRows<T>& rows, F f, int64_t at, int64_t n) {
  const int64_t count = kRows ? kRows : rows.count;
  if (count == 0) return broadcast<T>(F::kStart);
  Vec<T> v = load_some<T>(rows.first + at, n);
#pragma GCC unroll 4
  for (int64_t i = 1; i < count; ++i) v = f.join(v, load_some<T>(rows.first + i * rows.step + at, n));
  return v;
}

// For two vectors of the rows of a window that the row of windows before did not have, as a rule.
template <class T, int kRows>
FASTDL_INLINE void ask_rows_ahead(const WindowRows<T>& rows, int64_t at) {
  ask_ahead<T, 2>(rows.first + at);
  if constexpr (kRows > 1) ask_ahead<T, 2>(rows.first + rows.step + at);
}

template <class T, int kRows, class F>
static void fold_pairs(const PoolGeometry& g, const WindowRows<T>& rows, F f, T* out) {
  constexpr int kWidth = kLanes<T>;
  for_blocks<T>(g.out_w, [&](int64_t at, auto n) __attribute__((always_inline)) {
    ask_rows_ahead<T, kRows>(rows, 2 * at);
    const Vec<T> a = fold_rows<T, kRows>(rows, f, 2 * at, 2 * n);
    const Vec<T> b = fold_rows<T, kRows>(rows, f, 2 * at + kWidth, 2 * n - kWidth);
    store_some<T>(out + at, f.finish(f.join(even_lanes<T>(a, b), odd_lanes<T>(a, b)), at, rows.oy), n);
  });
}

// Windows of three columns two apart share a column with a neighbour: a lane of the vector beside, which is carried
// over from the left (one column of padding) or from the right (none). column(x, n) gives the columns from x on, of
// which n lie in the row, and padding behind them; take(at, n, left, middle, right) gets the taps of the n outputs from
// `at` on.
template <class T, class Column, class Take>
FASTDL_INLINE void for_threes(const PoolGeometry& g, T padding, Column column, Take take) {
  constexpr int kWidth = kLanes<T>;
  constexpr std::integral_constant<int64_t, kWidth> kFull{};
  const int64_t whole = smaller(g.in_w / (2 * kWidth), g.out_w / kWidth) * kWidth;  // outputs of whole vectors
  if (g.pad_w) {
    Vec<T> before = broadcast<T>(padding);
    const auto step = [&](int64_t at, auto n, Vec<T> a, Vec<T> b) __attribute__((always_inline)) {
      const Vec<T> right = odd_lanes<T>(a, b);
      take(at, n, pick<T, kWidth - 1, 1>(before, right, LaneIndices<T>{}), even_lanes<T>(a, b), right);
      before = right;
    };
    int64_t at = 0;
    for (; at < whole; at += kWidth) step(at, kFull, column(2 * at, kFull), column(2 * at + kWidth, kFull));
    for (; at < g.out_w; at += kWidth)
      step(at, g.out_w - at, column(2 * at, g.in_w - 2 * at), column(2 * at + kWidth, g.in_w - 2 * at - kWidth));
  } else {
    int64_t at = (g.out_w - 1) / kWidth * kWidth;
    const int64_t behind = 2 * (at + kWidth);
    Vec<T> after = even_lanes<T>(column(behind, g.in_w - behind), broadcast<T>(padding));
    const auto step = [&](int64_t at, auto n, Vec<T> a, Vec<T> b) __attribute__((always_inline)) {
      const Vec<T> left = even_lanes<T>(a, b);
      take(at, n, left, odd_lanes<T>(a, b), pick<T, 1, 1>(left, after, LaneIndices<T>{}));
      after = left;
    };
    for (; at >= whole; at -= kWidth)
      step(at, g.out_w - at, column(2 * at, g.in_w - 2 * at), column(2 * at + kWidth, g.in_w - 2 * at - kWidth));
    for (; at >= 0; at -= kWidth) step(at, kFull, column(2 * at, kFull), column(2 * at + kWidth, kFull));
  }
}
FASTDL_INLINE bool has_column_threes(const PoolGeometry& g) {
  return g.kernel_w == 3 && g.stride_w == 2 && g.pad_w <= 1 && g.dilation_w == 1;
}

// The first n lanes of v, padding in the others.
template <class T, class N>
FASTDL_INLINE Vec<T> padded_after(Vec<T> v, N n, T padding) {
  return n >= kLanes<T> ? v : select<T>(lanes_below<T>(n), v, broadcast<T>(padding));
}

template <class T, int kRows, class F>
static void fold_threes(const PoolGeometry& g, const WindowRows<T>& rows, F f, T* out) {
  const auto column = [&](int64_t x, auto n) __attribute__((always_inline)) {
    return padded_after<T>(fold_rows<T, kRows>(rows, f, x, n), n, F::kStart);
  };
  const auto take = [&](int64_t at, auto n, Vec<T> left, Vec<T> middle, Vec<T> right) __attribute__((always_inline)) {
    ask_rows_ahead<T, kRows>(rows, 2 * at);
    store_some<T>(out + at, f.finish(f.join(f.join(left, middle), right), at, rows.oy), n);
  };
  for_threes<T>(g, F::kStart, column, take);
}

template <class T, int kRows, class F>
static void fold_taps(const PoolGeometry& g, const WindowRows<T>& rows, F f, const TapRow<T>& taps, T* out) {
  constexpr int kWidth = kLanes<T>;
  const int64_t columns = taps.columns();
  for_blocks<T, 2>(columns, [&](int64_t at, auto n) __attribute__((always_inline)) {
    ask_rows_ahead<T, kRows>(rows, at);
    taps.put(at, n, fold_rows<T, kRows>(rows, f, at, n), fold_rows<T, kRows>(rows, f, at + kWidth, n - kWidth));
  });
  for_blocks<T>(g.out_w, [&](int64_t at, auto n) __attribute__((always_inline)) {
    Vec<T> v = load<T>(taps.tap(0) + at);
#pragma GCC unroll 4
    for (int64_t kx = 1; kx < g.kernel_w; ++kx) v = f.join(v, load<T>(taps.tap(kx) + at));
    store_some<T>(out + at, f.finish(v, at, rows.oy), n);
  });
}

template <class T, int kRows, class F>
static void fold_row(const PoolGeometry& g, const WindowRows<T>& rows, F f, const TapRow<T>& taps, T* out) {
  if (has_column_pairs(g)) return fold_pairs<T, kRows>(g, rows, f, out);
  if (has_column_threes(g)) return fold_threes<T, kRows>(g, rows, f, out);
  fold_taps<T, kRows>(g, rows, f, taps, out);
}

// out[plane][oy][ox] = f.finish(fold of the window at (oy, ox), ox, oy), for geometries that split.
template <class T, class F>
static void fold_split(const PoolGeometry& g, const T* x, F f, T* out) {
  for_bands(
      g.planes, g.in_h * g.in_w, g.out_h, [&] { return TapRow<T>(g, F::kStart); },
      [&](const TapRow<T>& taps, int64_t plane, int64_t begin, int64_t end) {
        for (int64_t oy = begin; oy < end; ++oy) {
          const WindowRows<T> rows = window_rows<T>(g, x + plane * g.in_h * g.in_w, oy);
          T* const row = out + (plane * g.out_h + oy) * g.out_w;
          if (rows.count == 2)
            fold_row<T, 2>(g, rows, f, taps, row);
          else if (rows.count == 3)
            fold_row<T, 3>(g, rows, f, taps, row);
          else
            fold_row<T, 0>(g, rows, f, taps, row);
        }
      });
}

}  // namespace fastdl::FASTDL_ISA
