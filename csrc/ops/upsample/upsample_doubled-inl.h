// Interpolation to twice the size, the usual case: every output is a source, or three quarters of it and one of its
// neighbour. The edges are their own neighbours (3/4 x + 1/4 x is x in every rounding).
//
//   row   l0 x0 r0 = x1 ...         even outputs   3/4 x + 1/4 l
//                                   odd outputs    3/4 x + 1/4 r        zipped
//
// Two rows of the source are blended first, since they are half as wide, and neighbours come from the registers beside:
// what went through memory would have to wait until the streamed stores before it have left the processor.
#pragma once
#include "cpu/out_rows-inl.h"
#include "cpu/pool-inl.h"
#include "ops/upsample/upsample.h"

namespace fastdl::FASTDL_ISA {

static bool doubles(const UpsampleArgs& a) {
  return a.out_h == 2 * a.in_h && a.out_w == 2 * a.in_w;
}
// Also the places between sources, and not only the sizes.
static bool doubles_evenly(const UpsampleArgs& a) {
  const auto twice = [](double scale) { return scale == 0 || scale == 2; };
  return doubles(a) && !a.align_corners && twice(a.scale_h) && twice(a.scale_w);
}

template <class T>
FASTDL_INLINE Vec<T> with_quarter(Vec<T> x, Vec<T> neighbour) {
  return x * static_cast<T>(0.75) + neighbour * static_cast<T>(0.25);
}

// n blended elements of two rows, and then the last one again and again.
template <class T>
struct BlendedRow {
  const T *row, *beside;
  int64_t n;
  __attribute__((always_inline)) Vec<T> operator()(int64_t i) const {
    if (i + kLanes<T> <= n) return with_quarter<T>(load<T>(row + i), load<T>(beside + i));
    const Vec<T> last = with_quarter<T>(broadcast<T>(row[n - 1]), broadcast<T>(beside[n - 1]));
    const Vec<T> v = with_quarter<T>(load_some<T>(row + i, n - i), load_some<T>(beside + i, n - i));
    return select<T>(lanes_below<T>(n - i), v, last);
  }
};

// put(at, v) for the vectors of the row that n elements stretch to; one may lie behind it.
template <class T, class Put>
FASTDL_INLINE void repeat_columns(const T* row, int64_t n, Put put) {
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const Vec<T> x = load_some<T>(row + i, n - i);
    put(2 * i, zip_low<T>(x, x));
    put(2 * i + kLanes<T>, zip_high<T>(x, x));
  }
}
template <class T, class Put>
FASTDL_INLINE void blend_columns(const BlendedRow<T>& row, Put put) {
  constexpr int kWidth = kLanes<T>;
  constexpr LaneIndices<T> kAll{};
  Vec<T> x = row(0), left = broadcast<T>(x[0]);
  for (int64_t i = 0; i < row.n; i += kWidth) {
    const Vec<T> right = row(i + kWidth);
    const Vec<T> even = with_quarter<T>(x, pick<T, kWidth - 1, 1>(left, x, kAll));
    const Vec<T> odd = with_quarter<T>(x, pick<T, 1, 1>(x, right, kAll));
    put(2 * i, zip_low<T>(even, odd));
    put(2 * i + kWidth, zip_high<T>(even, odd));
    left = x, x = right;
  }
}

// Source rows [begin, end) of a plane to twice as many of the output.
template <class T, bool kBlends>
static void double_rows(const UpsampleArgs& a, const T* x, int64_t begin, int64_t end, OutRows<T>& out) {
  const int64_t n = a.out_w;
  for (int64_t oy = 2 * begin; oy < 2 * end; ++oy) {
    const T* const row = x + oy / 2 * a.in_w;
    const int64_t beside = smaller(larger(oy / 2 + (oy % 2 ? 1 : -1), 0), a.in_h - 1);
    const auto columns = [&](auto put) __attribute__((always_inline)) {
      if constexpr (kBlends)
        blend_columns<T>({row, x + beside * a.in_w, a.in_w}, put);
      else
        repeat_columns<T>(row, a.in_w, put);
    };
    if (T* const line = out.line(n)) {
      columns([=](int64_t at, Vec<T> v) __attribute__((always_inline)) {
        if (at < n) stream<T>(line + at, v);
      });
    } else {
      T* const to = out.next();
      columns([=](int64_t at, Vec<T> v) __attribute__((always_inline)) { store_some<T>(to + at, v, n - at); });
      out.done(n);
    }
  }
}

template <class T, bool kBlends>
static void double_planes(const UpsampleArgs& a) {
  // A core fills a cache of 32 MB faster than it writes past it, and what comes next reads the output: twice
  // kStreamBytes here, where only a quarter of all bytes is read.
  const int64_t bytes = a.planes * a.out_h * a.out_w * static_cast<int64_t>(sizeof(T));
  for_bands(
      a.planes, a.out_h * a.out_w, a.in_h, [&] { return OutRows<T>(bytes / 2, a.out_w); },
      [&](OutRows<T>& out, int64_t plane, int64_t begin, int64_t end) {
        out.start(static_cast<T*>(a.out) + (plane * a.out_h + 2 * begin) * a.out_w);
        double_rows<T, kBlends>(a, static_cast<const T*>(a.x) + plane * a.in_h * a.in_w, begin, end, out);
        out.finish();
      });
}

}  // namespace fastdl::FASTDL_ISA
