// Adaptive pooling on the CPU, for sizes that do not divide (those that do are ordinary pooling, chosen in Python).
//
//   out[oy][ox] = mean or maximum of x[start(oy) .. end(oy)][start(ox) .. end(ox)]
//
// Forward, rows of windows are folded as those of ordinary pooling are where strides are long (cpu/pool_turned-inl.h).
// The gradient of the mean is the same in reverse: rows of gradients are added column by column, and each is spread
// over its segment.
//
// A chunk owns rows of what it writes (the gradient of the maximum: planes).
#include "cpu/pool_turned-inl.h"
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace fastdl::FASTDL_ISA {

FASTDL_INLINE Segment segment(int64_t o, int64_t in, int64_t out) {
  return {adaptive_start(o, in, out), adaptive_end(o, in, out), 1};
}

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T>
FASTDL_INLINE WindowRows<T> rows_of_windows(const AdaptiveSizes& s, const T* x, int64_t row) {
  const int64_t oy = row % s.out_h;
  const Segment rows = segment(oy, s.in_h, s.out_h);
  return {x + (row / s.out_h * s.in_h + rows.first) * s.in_w, s.in_w, rows.end - rows.first, rows.first, oy};
}

template <class T>
struct AdaptiveMean : SumFold<T> {
  const T *rows, *columns;  // elements of the windows along each axis
  __attribute__((always_inline)) Vec<T> finish(Vec<T> v, int64_t at, int64_t oy) const {
    return v / (load<T>(columns + at) * rows[oy]);
  }
};

void adaptive_avg_pool2d_fwd(const AdaptiveAvgPool2dArgs& a) {
  const AdaptiveSizes s = a.s;
  if (s.planes * s.out_h * s.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Scratch<T> rows(s.out_h), columns(s.out_w + kLanes<T>);
    const auto elements = [](Segment w) { return static_cast<T>(w.end - w.first); };
    for (int64_t o = 0; o < s.out_h; ++o) rows[o] = elements(segment(o, s.in_h, s.out_h));
    for (int64_t o = 0; o < s.out_w + kLanes<T>; ++o)
      columns[o] = o < s.out_w ? elements(segment(o, s.in_w, s.out_w)) : T{1};
    fold_turned<T>(
        s.planes * s.out_h, s.in_h * s.in_w / s.out_h, s.in_w, s.out_h, s.out_w, AdaptiveMean<T>{{}, rows, columns},
        [&](int64_t row) { return rows_of_windows<T>(s, static_cast<const T*>(a.x), row); },
        [&](int64_t ox) { return segment(ox, s.in_w, s.out_w); }, static_cast<T*>(a.out));
  });
}

void adaptive_max_pool2d_fwd(const AdaptiveMaxPool2dArgs& a) {
  const AdaptiveSizes s = a.s;
  if (s.planes * s.out_h * s.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    max_turned<T>(
        s.planes * s.out_h, s.in_h * s.in_w / s.out_h, s.in_w, s.out_w,
        [&](int64_t row) { return rows_of_windows<T>(s, static_cast<const T*>(a.x), row); },
        [&](int64_t ox) { return segment(ox, s.in_w, s.out_w); }, static_cast<T*>(a.out),
        static_cast<int64_t*>(a.indices));
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

void adaptive_avg_pool2d_bwd(const AdaptiveAvgPool2dArgs& a) {
  const AdaptiveSizes s = a.s;
  if (s.planes * s.in_h * s.in_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_bands(
        s.planes, s.in_h * s.in_w, s.in_h, [&] { return Scratch<T>(s.out_w); },
        [&](Scratch<T>& row, int64_t plane, int64_t begin, int64_t end) {
          const T* grad = static_cast<const T*>(a.x) + plane * s.out_h * s.out_w;
          for (int64_t iy = begin; iy < end; ++iy) {
            // Windows that hold row iy: the same formula with the sizes exchanged.
            const Segment windows = s.out_h ? segment(iy, s.out_h, s.in_h) : Segment{0, 0, 1};
            for (int64_t i = 0; i < s.out_w; i += kLanes<T>) {
              const auto [at, n] = block_at<T>(i, s.out_w);
              Vec<T> v{};
              for (int64_t oy = windows.first; oy < windows.end; ++oy) {
                const Segment rows = segment(oy, s.in_h, s.out_h);
                v += load_some<T>(grad + oy * s.out_w + at, n) / static_cast<T>(rows.end - rows.first);
              }
              store_some<T>(row + at, v, n);
            }
            T* const out = static_cast<T*>(a.out) + (plane * s.in_h + iy) * s.in_w;
            for (int64_t ix = 0; ix < s.in_w; ++ix) out[ix] = 0;
            for (int64_t ox = 0; ox < s.out_w; ++ox) {
              const Segment columns = segment(ox, s.in_w, s.out_w);
              const T v = row[ox] / static_cast<T>(columns.end - columns.first);
              for (int64_t ix = columns.first; ix < columns.end; ++ix) out[ix] += v;
            }
          }
        });
  });
}

void adaptive_max_pool2d_bwd(const AdaptiveMaxPool2dBwdArgs& a) {
  const AdaptiveSizes s = a.s;
  *a.bad_index = 0;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    visit_index(a.index_dtype, [&](auto index) {
      scatter_planes<T, true>(s.planes, s.in_h, s.in_w, s.out_h, s.out_w, false, static_cast<const T*>(a.grad),
                              static_cast<const decltype(index)*>(a.indices), static_cast<T*>(a.grad_x), a.bad_index);
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
