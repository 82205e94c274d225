// Adaptive pooling on the CPU, for sizes that do not divide (those that do are ordinary pooling, chosen in Python).
//
//   out[oy][ox] = mean or maximum of x[start(oy) .. end(oy)][start(ox) .. end(ox)]
//
// The rows of a row of windows are folded column by column with vectors, into one row in L1; the windows of that row
// are segments of it, folded one by one. The work is one vector operation an input vector, and a scalar one a column.
// A maximum keeps the row where it was found. The gradient of the mean is the same in reverse: rows of gradients are
// added column by column, and each is spread over its segment.
//
// A chunk owns bands of rows of what it writes (the gradient of the maximum: planes).
#include "cpu/pool_indices-inl.h"
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace fastdl::FASTDL_ISA {

struct Segment {
  int64_t first, end;
};
FASTDL_INLINE Segment segment(int64_t o, int64_t in, int64_t out) {
  return {adaptive_start(o, in, out), adaptive_end(o, in, out)};
}

// ---- mean -----------------------------------------------------------------------------------------------------------

void adaptive_avg_pool2d_fwd(const AdaptiveAvgPool2dArgs& a) {
  const AdaptiveSizes s = a.s;
  if (s.planes * s.out_h * s.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_bands(
        s.planes, s.in_h * s.in_w, s.out_h, [&] { return Scratch<T>(s.in_w); },
        [&](Scratch<T>& row, int64_t plane, int64_t begin, int64_t end) {
          const T* x = static_cast<const T*>(a.x) + plane * s.in_h * s.in_w;
          for (int64_t oy = begin; oy < end; ++oy) {
            const Segment rows = segment(oy, s.in_h, s.out_h);
            for (int64_t i = 0; i < s.in_w; i += kLanes<T>) {
              const auto [at, n] = block_at<T>(i, s.in_w);
              Vec<T> v{};
              for (int64_t iy = rows.first; iy < rows.end; ++iy) v += load_some<T>(x + iy * s.in_w + at, n);
              store_some<T>(row + at, v, n);
            }
            T* const out = static_cast<T*>(a.out) + (plane * s.out_h + oy) * s.out_w;
            for (int64_t ox = 0; ox < s.out_w; ++ox) {
              const Segment columns = segment(ox, s.in_w, s.out_w);
              T sum = 0;
              for (int64_t ix = columns.first; ix < columns.end; ++ix) sum += row[ix];
              out[ox] = sum / static_cast<T>((rows.end - rows.first) * (columns.end - columns.first));
            }
          }
        });
  });
}

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
            const Segment windows = s.out_h ? segment(iy, s.out_h, s.in_h) : Segment{0, 0};
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

// ---- maximum --------------------------------------------------------------------------------------------------------

// The maxima of the columns of rows [first, end), and the rows where they are: the first maximum, but the last NaN.
template <class T>
static void column_maxima(const T* x, int64_t in_w, Segment rows, T* values, Lane<T>* where) {
  // Row by row: the memory is read in order, and the comparisons of a row do not wait for each other.
  for (int64_t iy = rows.first; iy < rows.end; ++iy) {
    const T* const row = x + iy * in_w;
    const Mask<T> here = Mask<T>{} + static_cast<Lane<T>>(iy);
    for (int64_t i = 0; i < in_w; i += kLanes<T>) {
      const int64_t n = in_w - i;
      const Vec<T> v = load_some<T>(row + i, n);
      if (iy == rows.first) {
        store_some<T>(values + i, v, n);
        store_some<Lane<T>>(where + i, here, n);
        continue;
      }
      const Vec<T> best = load_some<T>(values + i, n);
      const Mask<T> better = (v > best) | (v != v);
      store_some<T>(values + i, select<T>(better, v, best), n);
      store_some<Lane<T>>(where + i, better ? here : load_some<Lane<T>>(where + i, n), n);
    }
  }
}

// Whether the maximum of a column comes before the best of the columns on its left, in row-major order.
template <class T>
FASTDL_INLINE bool wins(T v, int64_t row, T best, int64_t best_row) {
  if (v != v) return best == best || row >= best_row;
  return v > best || (v == best && row < best_row);
}

void adaptive_max_pool2d_fwd(const AdaptiveMaxPool2dArgs& a) {
  const AdaptiveSizes s = a.s;
  if (s.planes * s.out_h * s.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    struct Buffers {
      Scratch<T> values;
      Scratch<Lane<T>> rows;
    };
    for_bands(
        s.planes, s.in_h * s.in_w, s.out_h, [&] { return Buffers{Scratch<T>(s.in_w), Scratch<Lane<T>>(s.in_w)}; },
        [&](Buffers& folded, int64_t plane, int64_t begin, int64_t end) {
          const T* x = static_cast<const T*>(a.x) + plane * s.in_h * s.in_w;
          for (int64_t oy = begin; oy < end; ++oy) {
            column_maxima<T>(x, s.in_w, segment(oy, s.in_h, s.out_h), folded.values, folded.rows);
            const int64_t to = (plane * s.out_h + oy) * s.out_w;
            for (int64_t ox = 0; ox < s.out_w; ++ox) {
              const Segment columns = segment(ox, s.in_w, s.out_w);
              int64_t best = columns.first;
              for (int64_t ix = best + 1; ix < columns.end; ++ix)
                if (wins<T>(folded.values[ix], folded.rows[ix], folded.values[best], folded.rows[best])) best = ix;
              static_cast<T*>(a.out)[to + ox] = folded.values[best];
              static_cast<int64_t*>(a.indices)[to + ox] = folded.rows[best] * s.in_w + best;
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
