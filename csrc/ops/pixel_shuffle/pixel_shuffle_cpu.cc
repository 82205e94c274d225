// Pixel shuffle on the CPU: a row of the large image is r rows of r planes of the small one, interleaved.
//
//   r = 2   plane (i, 0)  a0 a1 a2 ...  \   row h * 2 + i:  a0 b0 a1 b1 a2 b2 ...
//           plane (i, 1)  b0 b1 b2 ...  /
//
// Pairs and fours are interleaved in registers. A chunk owns bands of rows of the large image. The limit is memory.
#include "cpu/out_rows-inl.h"
#include "cpu/pool-inl.h"
#include "ops/pixel_shuffle/pixel_shuffle.h"

namespace fastdl::FASTDL_ISA {

// row[w * r + j] = x[j * plane + w]
template <class T>
static void interleave_row(const T* x, int64_t plane, int64_t width, int64_t r, T* row) {
  constexpr int kWidth = kLanes<T>;
  if (r == 2) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const auto [at, n] = block_at<T>(i, width);
      const Vec<T> a = load_some<T>(x + at, n), b = load_some<T>(x + plane + at, n);
      store_some<T>(row + 2 * at, zip_low<T>(a, b), 2 * n);
      store_some<T>(row + 2 * at + kWidth, zip_high<T>(a, b), 2 * n - kWidth);
    }
  } else if (r == 4) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const auto [at, n] = block_at<T>(i, width);
      const Vec<T> a = load_some<T>(x + at, n), b = load_some<T>(x + plane + at, n);
      const Vec<T> c = load_some<T>(x + 2 * plane + at, n), d = load_some<T>(x + 3 * plane + at, n);
      const Vec<T> even[2] = {zip_low<T>(a, c), zip_high<T>(a, c)}, odd[2] = {zip_low<T>(b, d), zip_high<T>(b, d)};
      for (int half = 0; half < 2; ++half) {
        const int64_t from = half * 2 * kWidth;
        store_some<T>(row + 4 * at + from, zip_low<T>(even[half], odd[half]), 4 * n - from);
        store_some<T>(row + 4 * at + from + kWidth, zip_high<T>(even[half], odd[half]), 4 * n - from - kWidth);
      }
    }
  } else {
    for (int64_t j = 0; j < r; ++j)
      for (int64_t i = 0; i < width; ++i) row[i * r + j] = x[j * plane + i];
  }
}

// The inverse: out[j * plane + w] = row[w * r + j]
template <class T>
static void separate_row(const T* row, int64_t plane, int64_t width, int64_t r, T* out) {
  constexpr int kWidth = kLanes<T>;
  if (r == 2) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const auto [at, n] = block_at<T>(i, width);
      const Vec<T> low = load_some<T>(row + 2 * at, 2 * n), high = load_some<T>(row + 2 * at + kWidth, 2 * n - kWidth);
      store_some<T>(out + at, even_lanes<T>(low, high), n);
      store_some<T>(out + plane + at, odd_lanes<T>(low, high), n);
    }
  } else if (r == 4) {
    for (int64_t i = 0; i < width; i += kWidth) {
      const auto [at, n] = block_at<T>(i, width);
      Vec<T> v[4];
      for (int k = 0; k < 4; ++k) v[k] = load_some<T>(row + 4 * at + k * kWidth, 4 * n - k * kWidth);
      const Vec<T> even[2] = {even_lanes<T>(v[0], v[1]), even_lanes<T>(v[2], v[3])};
      const Vec<T> odd[2] = {odd_lanes<T>(v[0], v[1]), odd_lanes<T>(v[2], v[3])};
      store_some<T>(out + at, even_lanes<T>(even[0], even[1]), n);
      store_some<T>(out + plane + at, even_lanes<T>(odd[0], odd[1]), n);
      store_some<T>(out + 2 * plane + at, odd_lanes<T>(even[0], even[1]), n);
      store_some<T>(out + 3 * plane + at, odd_lanes<T>(odd[0], odd[1]), n);
    }
  } else {
    for (int64_t j = 0; j < r; ++j)
      for (int64_t i = 0; i < width; ++i) out[j * plane + i] = row[i * r + j];
  }
}

void pixel_shuffle_fwd(const PixelShuffleArgs& a) {
  const int64_t plane_size = a.h * a.w, width = a.w * a.r, height = a.h * a.r;
  if (a.planes * plane_size == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t bytes = a.planes * height * width * static_cast<int64_t>(sizeof(T));
    for_bands(
        a.planes, height * width, height, [&] { return OutRows<T>(bytes, width); },
        [&](OutRows<T>& rows, int64_t plane, int64_t begin, int64_t end) {
          const T* x = static_cast<const T*>(a.x) + plane * height * width;
          rows.start(static_cast<T*>(a.out) + (plane * height + begin) * width);
          for (int64_t y = begin; y < end; ++y) {
            const T* from = x + y % a.r * a.r * plane_size + y / a.r * a.w;
            interleave_row<T>(from, plane_size, a.w, a.r, rows.next());
            rows.done(width);
          }
          rows.finish();
        });
  });
}

void pixel_unshuffle_fwd(const PixelShuffleArgs& a) {
  const int64_t plane_size = a.h * a.w, width = a.w * a.r, height = a.h * a.r;
  if (a.planes * plane_size == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_bands(
        a.planes, height * width, height, [] { return 0; },
        [&](int, int64_t plane, int64_t begin, int64_t end) {
          const int64_t start = plane * height * width;
          for (int64_t y = begin; y < end; ++y)
            separate_row<T>(static_cast<const T*>(a.x) + start + y * width, plane_size, a.w, a.r,
                            static_cast<T*>(a.out) + start + y % a.r * a.r * plane_size + y / a.r * a.w);
        });
  });
}

}  // namespace fastdl::FASTDL_ISA
