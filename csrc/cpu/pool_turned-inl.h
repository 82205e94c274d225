// Windows of any stride, length and position along rows. kLanes rows of windows, each folded column by column into a
// row in L1, are turned so that a lane is a row; a window is then a fold of whole vectors, and the results are turned
// back:
//
//   rows   a0 a1 a2 ...      columns   a0 b0 c0 ...  \                       (lane 0: row a, lane 1: row b, ...)
//          b0 b1 b2 ...                a1 b1 c1 ...   > window 0 of a, b, c, ...
//          c0 c1 c2 ...                a2 b2 c2 ...  /
//
// A column of the input costs log2(kLanes) shuffles for kLanes rows of windows, and each of these has many rows of
// inputs.
#pragma once
#include "cpu/pool_indices-inl.h"
#include "cpu/transpose-inl.h"

namespace fastdl::FASTDL_ISA {

// Columns first, first + step, ... before end.
struct Segment {
  int64_t first, end, step;
};
// The columns of window ox inside the input. A window of padding only (dilation can make one) gets column in_w, where
// places have one for it.
FASTDL_INLINE Segment segment_of(const PoolGeometry& g, int64_t ox) {
  const int64_t left = ox * g.stride_w - g.pad_w, d = g.dilation_w;
  const int64_t first = left < 0 ? left + div_up(-left, d) * d : left;
  if (first >= g.in_w) return {g.in_w, g.in_w + 1, 1};
  return {first, smaller(g.in_w, left + (g.kernel_w - 1) * d + 1), d};
}

namespace {

// kLanes rows of in_w numbers, and of out_w results.
template <class T>
class TurnedRows {
 public:
  TurnedRows(int64_t in_w, int64_t out_w)
      : in_(whole(in_w)), out_(whole(out_w)), rows_(kLanes<T> * line()), columns_(kLanes<T> * line()) {}

  T* row(int64_t k) const { return rows_ + k * line(); }
  void turn() const { transpose_matrix_as<T, true>(rows_, line(), kLanes<T>, in_, columns_, kLanes<T>); }
  T& turned(int64_t x, int64_t k) const { return columns_[x * kLanes<T> + k]; }
  __attribute__((always_inline)) Vec<T> column(int64_t x) const { return load<T>(columns_ + x * kLanes<T>); }
  // The rows have been read by now: their memory takes the results.
  __attribute__((always_inline)) void put(int64_t ox, Vec<T> v) const { store<T>(rows_ + ox * kLanes<T>, v); }
  void turn_back() const { transpose_matrix_as<T, true>(rows_, kLanes<T>, out_, kLanes<T>, columns_, line()); }
  const T* result(int64_t k) const { return columns_ + k * line(); }

 private:
  static int64_t whole(int64_t n) { return div_up(n, kLanes<T>) * kLanes<T>; }
  // A vector more than needed: rows a power of two apart would share few sets of the cache.
  int64_t line() const { return larger(in_, out_) + kLanes<T>; }

  const int64_t in_, out_;
  const Scratch<T> rows_, columns_;
};

}  // namespace

// work(state, first, n) for groups of n <= kLanes rows of windows; few rows make smaller groups, for the threads.
template <class T, class Prepare, class Work>
static void for_turned_groups(int64_t rows, int64_t inputs_a_row, Prepare prepare, Work work) {
  const int64_t group = smaller(kLanes<T>, div_up(rows, 16));
  parallel_for(rows, group * larger(1, kBandInputs / larger(1, group * inputs_a_row)), [&](int64_t first, int64_t end) {
    auto&& state = prepare();
    for (; first < end; first += group) work(state, first, smaller(group, end - first));
  });
}

// The first lines of the rows that come next: memory is at work while rows are turned.
template <class T>
FASTDL_INLINE void prefetch_rows(const WindowRows<T>& rows) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T)), kLines = 64;
#pragma GCC unroll 4
  for (int64_t i = 0; i < kLines; ++i) __builtin_prefetch(rows.first + i * kLine, 0, 2);
}

constexpr int kRowsAtOnce = 4;  // of a window: fewer passes over the row in L1, and memory is still read in order

// f(i, count) for the rows of a window, count (a constant) from row i on at once.
template <class F>
FASTDL_INLINE void for_rows_at_once(int64_t rows, F f) {
  int64_t i = 0;
  for (; i + kRowsAtOnce <= rows; i += kRowsAtOnce) f(i, std::integral_constant<int, kRowsAtOnce>{});
  if (rows - i == 3) f(i, std::integral_constant<int, 3>{});
  if (rows - i == 2) f(i, std::integral_constant<int, 2>{});
  if (rows - i == 1) f(i, std::integral_constant<int, 1>{});
}
// f(x, n) for the vectors of a row; n lanes (a constant where all) lie in it.
template <class T, class F>
FASTDL_INLINE void for_vectors(int64_t width, F f) {
  int64_t x = 0;
  for (; x + kLanes<T> <= width; x += kLanes<T>) f(x, std::integral_constant<int64_t, kLanes<T>>{});
  if (x < width) f(x, width - x);
}

// ---- folds ----------------------------------------------------------------------------------------------------------

// The rows of a window, column by column. kAsk: they follow each other in memory, which is asked for ahead.
template <class T, bool kAsk = false, class F>
static void fold_columns(const WindowRows<T>& rows, int64_t in_w, F f, T* row) {
  for (int64_t x = 0; rows.count == 0 && x < in_w; ++x) row[x] = F::kStart;
  for_rows_at_once(rows.count, [&](int64_t i, auto count) __attribute__((always_inline)) {
    const T* const from = rows.first + i * rows.step;
    for_vectors<T>(in_w, [&](int64_t x, auto n) __attribute__((always_inline)) {
      Vec<T> v = load_some<T>(from + x, n);
      if (kAsk) ask_ahead<T, 1>(from + x);
      if (i) v = f.join(load<T>(row + x), v);
      for (int64_t k = 1; k < count; ++k) {
        v = f.join(v, load_some<T>(from + k * rows.step + x, n));
        if (kAsk) ask_ahead<T, 1>(from + k * rows.step + x);
      }
      store<T>(row + x, v);
    });
  });
}

// out[row][ox] = f.finish(fold of rows_of(row) over the columns of window(ox), ox, row % out_h) for all rows of all
// planes.
template <class T, class F, class Rows, class Window>
static void fold_turned(int64_t rows, int64_t inputs_a_row, int64_t in_w, int64_t out_h, int64_t out_w, F f,
                        Rows rows_of, Window window, T* out) {
  for_turned_groups<T>(
      rows, inputs_a_row, [&] { return TurnedRows<T>(in_w, out_w); },
      [&](const TurnedRows<T>& turned, int64_t first, int64_t n) {
        for (int64_t k = 0; k < n; ++k) fold_columns<T>(rows_of(first + k), in_w, f, turned.row(k));
        if (first + n < rows) prefetch_rows<T>(rows_of(first + n));
        turned.turn();
        for (int64_t ox = 0; ox < out_w; ++ox) {
          const Segment s = window(ox);
          Vec<T> v = broadcast<T>(F::kStart);
          for (int64_t x = s.first; x < smaller(s.end, in_w); x += s.step) v = f.join(v, turned.column(x));
          turned.put(ox, v);
        }
        turned.turn_back();
        for (int64_t k = 0; k < n; ++k) {
          const int64_t row = first + k, oy = row % out_h;
          for (int64_t ox = 0; ox < out_w; ox += kLanes<T>)
            store_some<T>(out + row * out_w + ox, f.finish(load<T>(turned.result(k) + ox), ox, oy), out_w - ox);
        }
      });
}

// ---- maxima with their places ---------------------------------------------------------------------------------------

template <class T>
struct Best {
  Vec<T> value;
  Mask<T> where;
};
// Of elements in row-major order: the first maximum wins, but the last NaN.
template <class T>
FASTDL_INLINE void challenge(Best<T>& best, Vec<T> x, Mask<T> where) {
  const Mask<T> better = (x > best.value) | (x != x);
  best.value = select<T>(better, x, best.value);
  best.where = better ? where : best.where;
}
// Of elements in any order.
template <class T>
FASTDL_INLINE void challenge_unordered(Best<T>& best, Vec<T> x, Mask<T> where) {
  const Mask<T> nan = (x != x) & ((best.value == best.value) | (where > best.where));
  const Mask<T> better = (x > best.value) | ((x == best.value) & (where < best.where)) | nan;
  best.value = select<T>(better, x, best.value);
  best.where = better ? where : best.where;
}

// The maxima of the columns of a window's rows and their places in the plane. Returns the place for a window of no
// column.
template <class T>
static int64_t best_columns(const WindowRows<T>& rows, int64_t in_w, T* values, Lane<T>* places) {
  const int64_t top = rows.count ? rows.y * in_w : 0;
  for (int64_t x = 0; rows.count == 0 && x < in_w; ++x)
    values[x] = MaxFold<T>::kStart, places[x] = static_cast<Lane<T>>(x);
  for_rows_at_once(rows.count, [&](int64_t i, auto count) __attribute__((always_inline)) {
    const T* const from = rows.first + i * rows.step;
    for_vectors<T>(in_w, [&](int64_t x, auto n) __attribute__((always_inline)) {
      Mask<T> where = lane_numbers<T>() + static_cast<Lane<T>>(top + i * rows.step + x);
      const Vec<T> v = load_some<T>(from + x, n);
      Best<T> best{v, where};
      if (i) {
        best = {load<T>(values + x), load<Lane<T>>(places + x)};
        challenge<T>(best, v, where);
      }
      for (int64_t k = 1; k < count; ++k) {
        where += static_cast<Lane<T>>(rows.step);
        challenge<T>(best, load_some<T>(from + k * rows.step + x, n), where);
      }
      store<T>(values + x, best.value);
      store<Lane<T>>(places + x, best.where);
    });
  });
  return top + in_w - 1;
}

// As fold_turned: maxima, and their places in the plane.
template <class T, class I, class Rows, class Window>
static void max_turned(int64_t rows, int64_t inputs_a_row, int64_t in_w, int64_t out_w, Rows rows_of, Window window,
                       T* out, I* indices) {
  struct Buffers {
    TurnedRows<T> values;
    TurnedRows<Lane<T>> places;
  };
  for_turned_groups<T>(
      rows, inputs_a_row, [&] { return Buffers{{in_w, out_w}, {in_w, out_w}}; },
      [&](const Buffers& turned, int64_t first, int64_t n) {
        int64_t none[kLanes<T>];
        for (int64_t k = 0; k < n; ++k)
          none[k] = best_columns<T>(rows_of(first + k), in_w, turned.values.row(k), turned.places.row(k));
        if (first + n < rows) prefetch_rows<T>(rows_of(first + n));
        turned.values.turn();
        turned.places.turn();
        for (int64_t k = 0; k < n; ++k) {
          turned.values.turned(in_w, k) = MaxFold<T>::kStart;
          turned.places.turned(in_w, k) = static_cast<Lane<T>>(none[k]);
        }
        for (int64_t ox = 0; ox < out_w; ++ox) {
          const Segment s = window(ox);
          Best<T> best{turned.values.column(s.first), turned.places.column(s.first)};
          for (int64_t x = s.first + s.step; x < s.end; x += s.step)
            challenge_unordered<T>(best, turned.values.column(x), turned.places.column(x));
          turned.values.put(ox, best.value);
          turned.places.put(ox, best.where);
        }
        turned.values.turn_back();
        turned.places.turn_back();
        for (int64_t k = 0; k < n; ++k)
          for (int64_t ox = 0; ox < out_w; ox += kLanes<T>) {
            const int64_t to = (first + k) * out_w + ox;
            const int left = static_cast<int>(smaller(kLanes<T>, out_w - ox));
            store_some<T>(out + to, load<T>(turned.values.result(k) + ox), left);
            store_indices<T>(indices + to, load<Lane<T>>(turned.places.result(k) + ox), left);
          }
      });
}

// ---- windows of a geometry ------------------------------------------------------------------------------------------

template <class T>
FASTDL_INLINE WindowRows<T> rows_of_windows(const PoolGeometry& g, const T* x, int64_t row) {
  return window_rows<T>(g, x + row / g.out_h * g.in_h * g.in_w, row % g.out_h);
}

// out[plane][oy][ox] = f.finish(fold of the window at (oy, ox), ox, oy).
template <class T, class F>
static void fold_windows(const PoolGeometry& g, const T* x, F f, T* out) {
  if (splits(g)) return fold_split<T>(g, x, f, out);
  fold_turned<T>(
      g.planes * g.out_h, g.in_h * g.in_w / g.out_h, g.in_w, g.out_h, g.out_w, f,
      [&](int64_t row) { return rows_of_windows<T>(g, x, row); }, [&](int64_t ox) { return segment_of(g, ox); }, out);
}
template <class T, class I>
static void max_turned(const PoolGeometry& g, const T* x, T* out, I* indices) {
  max_turned<T>(
      g.planes * g.out_h, g.in_h * g.in_w / g.out_h, g.in_w, g.out_w,
      [&](int64_t row) { return rows_of_windows<T>(g, x, row); }, [&](int64_t ox) { return segment_of(g, ox); }, out,
      indices);
}

}  // namespace fastdl::FASTDL_ISA
