// Average pooling on the CPU, one pass over memory, vectorised over columns.
//
//   out[oy][ox]    = sum of its window / (rows[oy] * columns[ox])
//   grad_x[iy][ix] = sum over the windows that hold (iy, ix) of grad[oy][ox] / (rows[oy] * columns[ox])
//
// The number of elements of a window is a product of a number of rows and one of columns, which two tables hold. The
// forward pass is a fold of windows (cpu/pool-inl.h). The gradient is separable too: the rows of gradients that reach
// row iy are added column by column, scaled, and spread along the row. The spread sums are contiguous for each phase
// (column mod stride_w) of the input:
//
//   kernel 3, stride 2, pad 1      g0 g1 g2 ...            sums of windows, zeros around them
//                                  phase 0: g0+g(-1) ...   taps 0 and 2
//                                  phase 1: g0 ...         tap 1; then the phases are interleaved
//
// A chunk owns bands of rows of what it writes. Nothing is added by two chunks.
#include "cpu/out_rows-inl.h"
#include "cpu/pool_turned-inl.h"
#include "ops/avg_pool2d/avg_pool2d.h"

namespace fastdl::FASTDL_ISA {

template <class T>
struct MeanFold : SumFold<T> {
  const T *rows, *columns;  // elements of the windows along each axis, or one over them
  bool exact;               // one over them: powers of two, where a product is the quotient
  __attribute__((always_inline)) Vec<T> finish(Vec<T> v, int64_t at, int64_t oy) const {
    const Vec<T> n = load<T>(columns + at) * rows[oy];
    return exact ? v * n : v / n;
  }
};

// n elements, of which those past the output repeat the last one: vectors may read them.
template <class T>
static void fill_elements(T* to, int64_t n, int64_t out, int64_t in, int64_t kernel, int64_t stride, int64_t pad,
                          bool with_pad) {
  for (int64_t o = 0; o < n; ++o)
    to[o] = static_cast<T>(window_elements(smaller(o, out - 1), in, kernel, stride, pad, with_pad));
}

namespace {

template <class T>
class Divisors {
 public:
  explicit Divisors(const AvgPool2dArgs& a)
      : height_(a.g.out_h), width_(a.g.out_w + kLanes<T>), rows_(height_), columns_(width_) {
    const PoolGeometry& g = a.g;
    fill_elements<T>(rows_, height_, g.out_h, g.in_h, g.kernel_h, g.stride_h, g.pad_h, a.count_include_pad);
    fill_elements<T>(columns_, width_, g.out_w, g.in_w, g.kernel_w, g.stride_w, g.pad_w, a.count_include_pad);
    if (a.divisor == 0) return;
    for (int64_t i = 0; i < height_; ++i) rows_[i] = 1;
    for (int64_t i = 0; i < width_; ++i) columns_[i] = static_cast<T>(a.divisor);
  }
  // Then a product with one over them is the quotient, and a division costs as much as reading a vector.
  bool are_powers_of_two() const {
    int64_t others = 0;
    for (int64_t i = 0; i < height_; ++i) others |= bits_below_highest(rows_[i]);
    for (int64_t i = 0; i < width_; ++i) others |= bits_below_highest(columns_[i]);
    return others == 0;
  }
  void invert() const {
    for (int64_t i = 0; i < height_; ++i) rows_[i] = 1 / rows_[i];
    for (int64_t i = 0; i < width_; ++i) columns_[i] = 1 / columns_[i];
  }
  T* rows() const { return rows_; }
  T* columns() const { return columns_; }

 private:
  static int64_t bits_below_highest(T n) {
    const int64_t i = static_cast<int64_t>(n);
    return i & (i - 1);
  }

  const int64_t height_, width_;
  const Scratch<T> rows_, columns_;
};

}  // namespace

void avg_pool2d_fwd(const AvgPool2dArgs& a) {
  if (a.g.planes * a.g.out_h * a.g.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Divisors<T> divisors(a);
    const bool exact = divisors.are_powers_of_two();
    if (exact) divisors.invert();
    fold_windows<T>(a.g, static_cast<const T*>(a.x), MeanFold<T>{{}, divisors.rows(), divisors.columns(), exact},
                    static_cast<T*>(a.out));
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// Windows along one axis that hold a position: [first, end).
struct WindowRange {
  int64_t first, end;
};
FASTDL_INLINE WindowRange windows_of(int64_t at, int64_t out, int64_t kernel, int64_t stride, int64_t pad) {
  const int64_t before = larger(at + pad - kernel + 1, 0);
  return {div_up(before, stride), smaller(out, (at + pad) / stride + 1)};
}

namespace {

// The sums of one row of windows, with zeros on both sides for the taps of its ends to read.
template <class T>
class SpreadRow {
 public:
  explicit SpreadRow(const PoolGeometry& g) : g_(g), data_(size(g)) {
    for (int64_t i = 0; i < size(g); ++i) data_[i] = 0;
  }
  T* sums() const { return data_ + margin(g_); }

  // row[ix] = sum of the windows that hold column ix.
  void spread(T* row) const {
    if (g_.kernel_w == 2 && g_.stride_w == 2 && g_.pad_w == 0)
      phases<1, 1>(row);
    else if (g_.stride_w == 2 && g_.kernel_w == 3 && g_.pad_w == 1)
      phases<1, 2>(row);
    else if (splits(g_))
      g_.stride_w == 2 ? phases<0, 0>(row) : neighbours(row);
    else
      scattered(row);
  }

 private:
  static int64_t margin(const PoolGeometry& g) { return splits(g) ? g.kernel_w : 0; }
  static int64_t size(const PoolGeometry& g) {
    return larger(g.out_w, g.in_w / g.stride_w + g.pad_w) + 2 * margin(g) + 2 * kLanes<T>;
  }

  // Stride 2: even and odd columns have taps of one parity each. kEven, kOdd: their numbers where known, else 0.
  template <int kEven, int kOdd>
  __attribute__((always_inline)) void phases(T* row) const {
    const int64_t p = g_.pad_w, odd_pad = p % 2;
    const int64_t evens = kEven ? kEven : (g_.kernel_w - odd_pad + 1) / 2;
    const int64_t odds = kOdd ? kOdd : (g_.kernel_w + odd_pad) / 2;
    const T *even = sums() + p / 2, *odd = sums() + (p + 1) / 2;
    for (int64_t ix = 0; ix < g_.in_w; ix += 2 * kLanes<T>) {
      Vec<T> a{}, b{};
      for (int64_t t = 0; t < evens; ++t) a += load<T>(even + ix / 2 - t);
      for (int64_t t = 0; t < odds; ++t) b += load<T>(odd + ix / 2 - t);
      store_some<T>(row + ix, zip_low<T>(a, b), g_.in_w - ix);
      store_some<T>(row + ix + kLanes<T>, zip_high<T>(a, b), g_.in_w - ix - kLanes<T>);
    }
  }
  void neighbours(T* row) const {
    const T* const first = sums() + g_.pad_w;
    for (int64_t ix = 0; ix < g_.in_w; ix += kLanes<T>) {
      Vec<T> v{};
      for (int64_t t = 0; t < g_.kernel_w; ++t) v += load<T>(first + ix - t);
      store_some<T>(row + ix, v, g_.in_w - ix);
    }
  }
  void scattered(T* row) const {
    for (int64_t ix = 0; ix < g_.in_w; ++ix) row[ix] = 0;
    for (int64_t ox = 0; ox < g_.out_w; ++ox) {
      const int64_t left = ox * g_.stride_w - g_.pad_w;
      const int64_t end = smaller(g_.in_w, left + g_.kernel_w);
      const T v = sums()[ox];
      for (int64_t ix = larger(left, 0); ix < end; ++ix) row[ix] += v;
    }
  }

  const PoolGeometry& g_;
  const Scratch<T> data_;
};

}  // namespace

template <class T>
static void backward(const AvgPool2dArgs& a) {
  const PoolGeometry g = a.g;
  const Divisors<T> divisors(a);
  divisors.invert();
  const T *const by_row = divisors.rows(), *const by_column = divisors.columns();

  struct Buffers {
    SpreadRow<T> windows;
    OutRows<T> rows;
  };
  const int64_t bytes = g.planes * g.in_h * g.in_w * static_cast<int64_t>(sizeof(T));
  for_bands(
      g.planes, g.in_h * g.in_w, g.in_h, [&] { return Buffers{SpreadRow<T>(g), OutRows<T>(bytes, g.in_w)}; },
      [&](Buffers& buffers, int64_t plane, int64_t begin, int64_t end) {
        const T* grad = static_cast<const T*>(a.x) + plane * g.out_h * g.out_w;
        T* const sums = buffers.windows.sums();
        buffers.rows.start(static_cast<T*>(a.out) + (plane * g.in_h + begin) * g.in_w);
        WindowRange seen{-1, -1};
        for (int64_t iy = begin; iy < end; ++iy) {
          const WindowRange range = windows_of(iy, g.out_h, g.kernel_h, g.stride_h, g.pad_h);
          if (range.first != seen.first || range.end != seen.end) {
            for (int64_t ox = 0; ox < g.out_w; ox += kLanes<T>) {
              const auto [at, n] = block_at<T>(ox, g.out_w);
              Vec<T> v{};
              for (int64_t oy = range.first; oy < range.end; ++oy)
                v += load_some<T>(grad + oy * g.out_w + at, n) * by_row[oy];
              store_some<T>(sums + at, v * load<T>(by_column + at), n);
            }
            seen = range;
          }
          buffers.windows.spread(buffers.rows.next());
          buffers.rows.done(g.in_w);
        }
        buffers.rows.finish();
      });
}

void avg_pool2d_bwd(const AvgPool2dArgs& a) {
  if (a.g.planes * a.g.in_h * a.g.in_w == 0) return;
  visit_float(a.dtype, [&](auto zero) { backward<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
