// Unpooling on the CPU. The output is large and mostly zero, so the limit is writing it once.
//
// Indices of 2x2 windows side by side say which of four places a value has: the four are written in whole vectors, by
// comparing (spread_2x2 in cpu/pool_indices-inl.h), and large outputs bypass the caches. Other indices are scattered
// into a plane of zeros that is still in L2. A row of nails is a row interleaved with zeros, and rows of zeros follow.
//
// A chunk owns planes.
#include "cpu/pool_indices-inl.h"
#include "ops/max_unpool2d/max_unpool2d.h"

namespace fastdl::FASTDL_ISA {

// ---- by index -------------------------------------------------------------------------------------------------------

void max_unpool2d_fwd(const MaxUnpool2dArgs& a) {
  const UnpoolSizes s = a.s;
  *a.bad_index = 0;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    visit_index(a.index_dtype, [&](auto index) {
      scatter_planes<T, false>(s.planes, s.out_h, s.out_w, s.in_h, s.in_w, true, static_cast<const T*>(a.x),
                               static_cast<const decltype(index)*>(a.indices), static_cast<T*>(a.out), a.bad_index);
    });
  });
}

// Returns the first position whose index is outside the plane, or -1.
template <class T, class I>
static int64_t gather_plane(int64_t plane_size, int64_t n, const T* plane, const I* indices, T* out) {
  const uint64_t limit = static_cast<uint64_t>(plane_size);  // a negative index is a large unsigned one
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t at = static_cast<uint64_t>(static_cast<int64_t>(indices[i]));
    if (at >= limit) return i;
    out[i] = plane[at];
  }
  return -1;
}

void max_unpool2d_bwd(const MaxUnpool2dArgs& a) {
  const UnpoolSizes s = a.s;
  *a.bad_index = 0;
  const int64_t size = s.out_h * s.out_w, n = s.in_h * s.in_w;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    visit_index(a.index_dtype, [&](auto index) {
      const auto* indices = static_cast<const decltype(index)*>(a.indices);
      parallel_for(s.planes, larger(1, kBandInputs / larger(size, 1)), [&](int64_t plane, int64_t last) {
        for (; plane < last; ++plane) {
          const int64_t bad = gather_plane<T>(size, n, static_cast<const T*>(a.x) + plane * size, indices + plane * n,
                                              static_cast<T*>(a.out) + plane * n);
          if (bad >= 0) report_index(plane * n + bad, a.bad_index);
        }
      });
    });
  });
}

// ---- bed of nails ---------------------------------------------------------------------------------------------------

template <class T>
static void nail_row(const T* x, int64_t n, int64_t kernel, T* row) {
  constexpr int kWidth = kLanes<T>;
  if (kernel == 2) {
    for (int64_t i = 0; i < n; i += kWidth) {
      const auto [at, m] = block_at<T>(i, n);
      const Vec<T> v = load_some<T>(x + at, m);
      store_some<T>(row + 2 * at, zip_low<T>(v, Vec<T>{}), 2 * m);
      store_some<T>(row + 2 * at + kWidth, zip_high<T>(v, Vec<T>{}), 2 * m - kWidth);
    }
    return;
  }
  __builtin_memset(row, 0, static_cast<size_t>(n * kernel) * sizeof(T));
  for (int64_t i = 0; i < n; ++i) row[i * kernel] = x[i];
}

void bed_of_nails_fwd(const BedOfNailsArgs& a) {
  const UnpoolSizes s = a.s;
  if (s.planes * s.out_h * s.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t bytes = s.planes * s.out_h * s.out_w * static_cast<int64_t>(sizeof(T));
    for_bands(
        s.planes, s.out_h * s.out_w, s.in_h, [&] { return OutRows<T>(bytes, s.out_w); },
        [&](OutRows<T>& rows, int64_t plane, int64_t begin, int64_t end) {
          const T* x = static_cast<const T*>(a.x) + plane * s.in_h * s.in_w;
          rows.start(static_cast<T*>(a.out) + (plane * s.in_h + begin) * a.kernel_h * s.out_w);
          for (int64_t iy = begin; iy < end; ++iy) {
            nail_row<T>(x + iy * s.in_w, s.in_w, a.kernel_w, rows.next());
            rows.done(s.out_w);
            for (int64_t y = 1; y < a.kernel_h; ++y) {
              __builtin_memset(rows.next(), 0, static_cast<size_t>(s.out_w) * sizeof(T));
              rows.done(s.out_w);
            }
          }
          rows.finish();
        });
  });
}

void bed_of_nails_bwd(const BedOfNailsArgs& a) {
  const UnpoolSizes s = a.s;
  if (s.planes * s.in_h * s.in_w == 0) return;
  constexpr int64_t kRows = 64;  // of a chunk: a plane of nails has many small rows
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kWidth = kLanes<T>;
    parallel_for(s.planes * s.in_h, kRows, [&](int64_t row, int64_t last) {
      for (; row < last; ++row) {
        const T* grad = static_cast<const T*>(a.x) + row * a.kernel_h * s.out_w;
        T* out = static_cast<T*>(a.out) + row * s.in_w;
        if (a.kernel_w == 2) {
          for (int64_t i = 0; i < s.in_w; i += kWidth) {
            const auto [at, n] = block_at<T>(i, s.in_w);
            const Vec<T> low = load_some<T>(grad + 2 * at, 2 * n);
            const Vec<T> high = load_some<T>(grad + 2 * at + kWidth, 2 * n - kWidth);
            store_some<T>(out + at, even_lanes<T>(low, high), n);
          }
        } else {
          for (int64_t i = 0; i < s.in_w; ++i) out[i] = grad[i * a.kernel_w];
        }
      }
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
