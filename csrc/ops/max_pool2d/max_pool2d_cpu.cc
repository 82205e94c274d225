// Max pooling on the CPU, one pass over memory, vectorised over the columns of the output.
//
//   out[oy][ox] = max over ky, kx of x[oy * sh - ph + ky * dh][ox * sw - pw + kx * dw]
//
// Values alone are a fold of windows (cpu/pool-inl.h). With indices the order of the elements matters: the first
// maximum in row-major order wins, and the last NaN. So each input row is pooled along its columns once, to values and
// columns of maxima that stay in a ring of rows in L1, and a row of outputs picks from the rows of its windows in turn:
//
//   input row 2 * oy - 1  ->  slot: values, columns  |
//   input row 2 * oy      ->  slot: values, columns  |>  row oy of the output
//   input row 2 * oy + 1  ->  slot: values, columns  |   (the last row serves oy + 1 too)
//
// A comparison that knows NaN takes more instructions. So rows are first taken for numbers alone, and once more where a
// NaN turns up on the way.
//
// A chunk owns bands of output rows (forward) or planes (backward, where windows of one plane may add to one element).
#include "cpu/pool_turned-inl.h"
#include "ops/max_pool2d/max_pool2d.h"
#include "ops/max_pool2d/max_pool2d_threes-inl.h"

namespace fastdl::FASTDL_ISA {

// ---- forward: the maximum and its place -----------------------------------------------------------------------------

// First column of each window: of the window itself (may be padding) and of its part inside the input. A window of
// nothing but padding (dilation can make one) is given the last column, so that every index names an element.
template <class T>
static void fill_columns(const PoolGeometry& g, int64_t n, Lane<T>* start, Lane<T>* first) {
  for (int64_t ox = 0; ox < n; ++ox) {
    const int64_t s = ox * g.stride_w - g.pad_w;
    start[ox] = static_cast<Lane<T>>(s);
    first[ox] = static_cast<Lane<T>>(smaller(s < 0 ? s + div_up(-s, g.dilation_w) * g.dilation_w : s, g.in_w - 1));
  }
}

// As challenge, among numbers alone.
template <class T>
FASTDL_INLINE void challenge_numbers(Best<T>& best, Vec<T> x, Mask<T> where) {
  const Mask<T> better = x > best.value;
  best.value = select<T>(better, x, best.value);
  best.where = better ? where : best.where;
}
template <bool kNumbers, class T>
FASTDL_INLINE void challenge_as(Best<T>& best, Vec<T> x, Mask<T> where) {
  kNumbers ? challenge_numbers<T>(best, x, where) : challenge<T>(best, x, where);
}

namespace {

// The input rows of one band, pooled along their columns. Row iy lies in slot iy % slots.
template <class T>
class PooledRows {
 public:
  PooledRows(const PoolGeometry& g, const Lane<T>* start, const Lane<T>* first)
      : g_(g),
        start_(start),
        first_(first),
        taps_(g, MaxFold<T>::kStart),
        values_(slots(g) * width(g)),
        columns_(slots(g) * width(g)),
        numbers_(slots(g)) {}

  void start_band() { next_ = 0; }

  // Pools the rows up to `last` that windows from `first` on have not met yet: with dilation also those between taps,
  // which later windows read.
  void advance(const T* plane, int64_t first, int64_t last) {
    const int64_t end = smaller(last + 1, g_.in_h);
    for (int64_t iy = larger(next_, larger(first, 0)); iy < end; ++iy) {
      const T* row = plane + iy * g_.in_w;
      const int64_t i = iy & last_slot_;
      if (!has_column_threes(g_))
        numbers_[i] = pool_taps(row, iy);
      else if (!(numbers_[i] = pool_threes<true>(row, iy)))
        pool_threes<false>(row, iy);
    }
    next_ = larger(next_, end);
  }

  __attribute__((always_inline)) Best<T> at(int64_t iy, int64_t ox) const {
    const int64_t place = slot(iy) + ox;
    return {load<T>(values_ + place), load<Lane<T>>(columns_ + place)};
  }

  // Whether there is no NaN in the rows of a window, as far as one looked.
  bool are_numbers(int64_t iy, int64_t count) const {
    bool all = true;
    for (; count > 0; --count, iy += g_.dilation_h) all &= numbers_[iy & last_slot_];
    return all;
  }

 private:
  // At least the rows of a window; a power of two, because a division a row costs as much as the row.
  static int64_t slots(const PoolGeometry& g) {
    const int64_t needed = smaller((g.kernel_h - 1) * g.dilation_h + 1, g.in_h);
    int64_t n = 1;
    while (n < needed) n *= 2;
    return n;
  }
  static int64_t width(const PoolGeometry& g) { return g.out_w + kLanes<T>; }
  __attribute__((always_inline)) int64_t slot(int64_t iy) const { return (iy & last_slot_) * width_; }

  template <bool kNumbers>
  bool pool_threes(const T* x, int64_t iy) {
    T* const values = values_ + slot(iy);
    Lane<T>* const columns = columns_ + slot(iy);
    NanTrace<T> trace;
    const auto column = [&](int64_t at, auto n) __attribute__((always_inline)) {
      return padded_after<T>(load_some<T>(x + at, n), n, MaxFold<T>::kStart);
    };
    const auto take = [&](int64_t at, auto, Vec<T> left, Vec<T> middle, Vec<T> right) __attribute__((always_inline)) {
      ask_ahead<T, 2>(x + 2 * at);
      const Mask<T> window = lane_numbers<T>() * 2 + static_cast<Lane<T>>(2 * at - g_.pad_w);
      Best<T> best{left, load<Lane<T>>(first_ + at)};  // where the left tap is padding, the next one is named
      if constexpr (kNumbers) {
        trace.see(left + middle + right);
        best.value = larger_number<T>(right, larger_number<T>(middle, left));
        const Mask<T> later = window + 2 + (middle == best.value);  // a comparison gives -1
        best.where = left == best.value ? best.where : later;
      } else {
        challenge<T>(best, middle, window + 1);
        challenge<T>(best, right, window + 2);
      }
      store<T>(values + at, best.value);
      store<Lane<T>>(columns + at, best.where);
    };
    for_threes<T>(g_, MaxFold<T>::kStart, column, take);
    return trace.is_clear();
  }

  bool pool_taps(const T* x, int64_t iy) {
    NanTrace<T> trace;
    for_blocks<T, 2>(taps_.columns(), [&](int64_t at, auto m) __attribute__((always_inline)) {
      ask_ahead<T, 2>(x + at);
      const Vec<T> a = load_some<T>(x + at, m), b = load_some<T>(x + at + kLanes<T>, m - kLanes<T>);
      trace.see(a), trace.see(b);
      taps_.put(at, m, a, b);
    });
    const bool numbers = trace.is_clear();
    numbers ? pick_taps<true>(slot(iy)) : pick_taps<false>(slot(iy));
    return numbers;
  }
  template <bool kNumbers>
  void pick_taps(int64_t to) {
    const int64_t columns = g_.kernel_w;
    for_blocks<T>(larger(g_.out_w, kLanes<T>), [&](int64_t at, auto) __attribute__((always_inline)) {
      const Mask<T> window = load<Lane<T>>(start_ + at);
      Best<T> best{broadcast<T>(MaxFold<T>::kStart), load<Lane<T>>(first_ + at)};
#pragma GCC unroll 4
      for (int64_t kx = 0; kx < columns; ++kx)
        challenge_as<kNumbers, T>(best, load<T>(taps_.tap(kx) + at), window + static_cast<Lane<T>>(kx * g_.dilation_w));
      store<T>(values_ + to + at, best.value);
      store<Lane<T>>(columns_ + to + at, best.where);
    });
  }

  const PoolGeometry& g_;
  const Lane<T>*start_, *first_;
  TapRow<T> taps_;
  Scratch<T> values_;
  Scratch<Lane<T>> columns_;
  Scratch<bool> numbers_;  // whether a slot's row has no NaN
  int64_t next_ = 0;
  const int64_t last_slot_ = slots(g_) - 1, width_ = width(g_);
};

}  // namespace

// ---- forward with indices -------------------------------------------------------------------------------------------

// One row of outputs from the rows of its windows, pooled before. kRows is the number of rows where known, else 0.
template <class T, bool kNumbers, int kRows, bool kStreams, class I>
static void pick_from_rows(const PoolGeometry& g, const WindowRows<T>& rows, const PooledRows<T>& pooled,
                           const Lane<T>* first, T* out, I* indices) {
  const int64_t count = kRows ? kRows : rows.count;
  for_blocks<T>(g.out_w, [&](int64_t at, auto n) __attribute__((always_inline)) {
    Best<T> best{broadcast<T>(MaxFold<T>::kStart), load<Lane<T>>(first + at)};
    int64_t iy = rows.y;
    if (count) best = pooled.at(iy, at), best.where += static_cast<Lane<T>>(iy * g.in_w);
#pragma GCC unroll 4
    for (int64_t i = 1; i < count; ++i) {
      iy += g.dilation_h;
      const Best<T> row = pooled.at(iy, at);
      challenge_as<kNumbers, T>(best, row.value, row.where + static_cast<Lane<T>>(iy * g.in_w));
    }
    store_some<T>(out + at, best.value, n);
    store_indices<T, kStreams>(indices + at, best.where, n);
  });
}

template <class T, bool kStreams, class I>
static void pick_rows(const PoolGeometry& g, const WindowRows<T>& rows, const PooledRows<T>& pooled,
                      const Lane<T>* first, T* out, I* indices) {
  if (!pooled.are_numbers(rows.y, rows.count))
    pick_from_rows<T, false, 0, kStreams>(g, rows, pooled, first, out, indices);
  else if (rows.count == 3)
    pick_from_rows<T, true, 3, kStreams>(g, rows, pooled, first, out, indices);
  else
    pick_from_rows<T, true, 0, kStreams>(g, rows, pooled, first, out, indices);
}

// Windows of two columns side by side: no buffer. kRows is the number of rows where known, else 0.
template <class T, int kRows, class I>
static void pick_from_pairs(const PoolGeometry& g, const WindowRows<T>& rows, T* out, I* indices) {
  constexpr int kWidth = kLanes<T>;
  const int64_t count = kRows ? kRows : rows.count, step = rows.step;
  const Mask<T> first = lane_numbers<T>() * 2 + static_cast<Lane<T>>(rows.y * g.in_w);
  const T* const from = rows.first;
  for_blocks<T>(g.out_w, [=](int64_t at, auto n) __attribute__((always_inline)) {
    Mask<T> where = first + static_cast<Lane<T>>(2 * at);
    Vec<T> a = load_some<T>(from + 2 * at, 2 * n), b = load_some<T>(from + 2 * at + kWidth, 2 * n - kWidth);
    Best<T> best{even_lanes<T>(a, b), where};
    challenge<T>(best, odd_lanes<T>(a, b), where + 1);
#pragma GCC unroll 2
    for (int64_t i = 1; i < count; ++i) {
      const T* const x = from + i * step + 2 * at;
      where += static_cast<Lane<T>>(step);
      a = load_some<T>(x, 2 * n), b = load_some<T>(x + kWidth, 2 * n - kWidth);
      challenge<T>(best, even_lanes<T>(a, b), where);
      challenge<T>(best, odd_lanes<T>(a, b), where + 1);
    }
    store_some<T>(out + at, best.value, n);
    store_indices<T>(indices + at, best.where, n);
  });
}

// Windows of 2x2, among numbers alone: the largest of the four, and then the first that equals it. False, and a row to
// be done again, where one is NaN.
template <class T, bool kStreams, class I>
static bool pick_2x2(const PoolGeometry& g, const WindowRows<T>& rows, T* out, I* indices) {
  constexpr int kWidth = kLanes<T>;
  constexpr LaneIndices<T> kAll{};
  const int64_t step = rows.step;
  const Mask<T> first = count_lanes_in_pieces<T>(kAll) * 2 + static_cast<Lane<T>>(rows.y * g.in_w);
  const Mask<T> last = Mask<T>{} + static_cast<Lane<T>>(step + 1);
  const T* const from = rows.first;
  NanTrace<T> trace;
  for_blocks<T>(g.out_w, [&](int64_t at, auto n) __attribute__((always_inline)) {
    const T *const top = from + 2 * at, *const bottom = top + step;
    ask_ahead<T, 2>(top), ask_ahead<T, 2>(bottom);
    const Vec<T> a = load_some<T>(top, 2 * n), b = load_some<T>(top + kWidth, 2 * n - kWidth);
    const Vec<T> c = load_some<T>(bottom, 2 * n), d = load_some<T>(bottom + kWidth, 2 * n - kWidth);
    trace.see((a + b) + (c + d));
    const Vec<T> top_left = pick_in_pieces<T, 0>(a, b, kAll), top_right = pick_in_pieces<T, 1>(a, b, kAll);
    const Vec<T> left = pick_in_pieces<T, 0>(c, d, kAll), right = pick_in_pieces<T, 1>(c, d, kAll);
    const Vec<T> best = larger_number<T>(larger_number<T>(right, left), larger_number<T>(top_right, top_left));
    Mask<T> offset = last + (left == best);  // a comparison gives -1
    offset = top_right == best ? Mask<T>{} + 1 : offset;
    offset = ~(top_left == best) & offset;
    put_lanes<false, T>(out + at, in_order<T>(best), n);
    store_indices_in_pieces<T, kStreams>(indices + at, first + static_cast<Lane<T>>(2 * at) + offset, n);
  });
  return trace.is_clear();
}

template <class T, bool kStreams, class I>
static void pick_pairs(const PoolGeometry& g, const WindowRows<T>& rows, T* out, I* indices) {
  if (rows.count != 2)
    pick_from_pairs<T, 0>(g, rows, out, indices);
  else if (!pick_2x2<T, kStreams>(g, rows, out, indices))
    pick_from_pairs<T, 2>(g, rows, out, indices);
}

// For geometries that split.
template <class T, class I>
static void forward_with_indices(const MaxPool2dFwdArgs& a) {
  const PoolGeometry g = a.g;
  const int64_t padded = g.out_w + kLanes<T>;
  Scratch<Lane<T>> start(padded), first(padded);
  fill_columns<T>(g, padded, start, first);
  // Nothing reads the indices before the backward pass: they bypass the caches when all arrays together overflow them.
  const int64_t outputs = g.planes * g.out_h * g.out_w, item = static_cast<int64_t>(sizeof(T));
  const int64_t bytes = (g.planes * g.in_h * g.in_w + outputs) * item + outputs * static_cast<int64_t>(sizeof(I));
  struct Buffers {
    PooledRows<T> pooled;
    WholeThrees<T> threes;
    OutRows<I> indices;
  };
  for_bands(
      g.planes, g.in_h * g.in_w, g.out_h,
      [&] { return Buffers{PooledRows<T>(g, start, first), WholeThrees<T>(g), OutRows<I>(bytes, g.out_w)}; },
      [&](Buffers& b, int64_t plane, int64_t begin, int64_t end) {
        const T* x = static_cast<const T*>(a.x) + plane * g.in_h * g.in_w;
        b.pooled.start_band(), b.threes.start_band();
        b.indices.start(static_cast<I*>(a.indices) + (plane * g.out_h + begin) * g.out_w);
        for (int64_t oy = begin; oy < end; ++oy) {
          const WindowRows<T> rows = window_rows<T>(g, x, oy);
          T* const out = static_cast<T*>(a.out) + (plane * g.out_h + oy) * g.out_w;
          I* const line = g.out_w % kLanes<T> ? nullptr : b.indices.line(g.out_w);
          I* const places = line ? line : b.indices.next();
          if (has_column_pairs(g) && rows.count) {
            line ? pick_pairs<T, true>(g, rows, out, places) : pick_pairs<T, false>(g, rows, out, places);
          } else if (!has_whole_threes<T>(g) || !(line ? b.threes.template row<true>(x, oy, out, places)
                                                       : b.threes.template row<false>(x, oy, out, places))) {
            b.pooled.advance(x, oy * g.stride_h - g.pad_h, rows.y + (rows.count - 1) * g.dilation_h);
            line ? pick_rows<T, true>(g, rows, b.pooled, first, out, places)
                 : pick_rows<T, false>(g, rows, b.pooled, first, out, places);
          }
          if (!line) b.indices.done(g.out_w);
        }
        b.indices.finish();
      });
}

void max_pool2d_fwd(const MaxPool2dFwdArgs& a) {
  if (a.g.planes * a.g.out_h * a.g.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = static_cast<const T*>(a.x);
    T* const out = static_cast<T*>(a.out);
    if (!a.indices) return fold_windows<T>(a.g, x, MaxFold<T>{}, out);
    visit_index(a.index_dtype, [&](auto index) {
      using I = decltype(index);
      splits(a.g) ? forward_with_indices<T, I>(a) : max_turned<T, I>(a.g, x, out, static_cast<I*>(a.indices));
    });
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// Windows side by side that lie in the input: each element belongs to at most one of them.
static bool is_plain_2x2(const PoolGeometry& g) {
  return has_column_pairs(g) && g.kernel_h == 2 && g.stride_h == 2 && g.pad_h == 0 && g.dilation_h == 1 &&
         2 * g.out_h <= g.in_h;
}

void max_pool2d_bwd(const MaxPool2dBwdArgs& a) {
  *a.bad_index = 0;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const PoolGeometry& g = a.g;
    visit_index(a.index_dtype, [&](auto index) {
      scatter_planes<T, true>(g.planes, g.in_h, g.in_w, g.out_h, g.out_w, is_plain_2x2(g),
                              static_cast<const T*>(a.grad), static_cast<const decltype(index)*>(a.indices),
                              static_cast<T*>(a.grad_x), a.bad_index);
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
