// Places of maxima (y * width + x within a plane): int32 or int64 in memory, lanes as wide as the numbers in registers.
#pragma once
#include "cpu/pool-inl.h"

namespace fastdl::FASTDL_ISA {

template <class T>
using Lane = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;

typedef int32_t HalfIndices __attribute__((vector_size(kVecBytes / 2)));
typedef Vec<int64_t> WideIndices;

template <int kFirst, size_t... I>
FASTDL_INLINE HalfIndices half_of(Vec<int32_t> v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, (kFirst + static_cast<int>(I))...);
}
template <size_t... I>
FASTDL_INLINE Vec<int32_t> joined(HalfIndices a, HalfIndices b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, static_cast<int>(I)...);
}

// kStreams: bypasses the caches; p is aligned to a vector, n is a multiple of kLanes<int64_t>.
template <class T, bool kStreams = false>
FASTDL_INLINE void store_indices(int64_t* p, Mask<T> v, int n) {
  constexpr int kWide = kLanes<int64_t>;
  const auto put = [](int64_t* to, WideIndices w, int m) __attribute__((always_inline)) {
    if constexpr (kStreams) {
      if (m > 0) stream<int64_t>(to, w);
    } else {
      store_some<int64_t>(to, w, m);
    }
  };
  if constexpr (sizeof(T) == 8) {
    put(p, v, n);
  } else {
    using Half = std::make_index_sequence<kWide>;
    put(p, __builtin_convertvector(half_of<0>(v, Half{}), WideIndices), n);
    put(p + kWide, __builtin_convertvector(half_of<kWide>(v, Half{}), WideIndices), n - kWide);
  }
}
template <class T, bool kStreams = false>
FASTDL_INLINE void store_indices(int32_t* p, Mask<T> v, int n) {
  if constexpr (sizeof(T) == 4) {
    store_some<int32_t>(p, v, n);
  } else {
    const HalfIndices h = __builtin_convertvector(v, HalfIndices);
    __builtin_memcpy(p, &h, static_cast<size_t>(n) * sizeof(int32_t));
  }
}

// int64 indices beyond int32 come back as -1, which is outside every plane as well.
FASTDL_INLINE HalfIndices narrowed(WideIndices w) {
  const WideIndices fits = (w >= 0) & (w <= 0x7fffffff);
  return __builtin_convertvector(w | ~fits, HalfIndices);
}
template <class T>
FASTDL_INLINE Mask<T> load_indices(const int64_t* p, int n) {
  constexpr int kWide = kLanes<int64_t>;
  if constexpr (sizeof(T) == 8) {
    return load_some<int64_t>(p, n);
  } else {
    const HalfIndices low = narrowed(load_some<int64_t>(p, n));
    const HalfIndices high = narrowed(load_some<int64_t>(p + kWide, n - kWide));
    return joined(low, high, std::make_index_sequence<2 * kWide>{});
  }
}
template <class T>
FASTDL_INLINE Mask<T> load_indices(const int32_t* p, int n) {
  if constexpr (sizeof(T) == 4) {
    return load_some<int32_t>(p, n);
  } else {
    HalfIndices h{};
    __builtin_memcpy(&h, p, static_cast<size_t>(n) * sizeof(int32_t));
    return __builtin_convertvector(h, Mask<T>);
  }
}

// Calls f with a zero of the type that indices have.
template <class F>
static inline void visit_index(DType t, F&& f) {
  t == DType::kInt64 ? f(int64_t{}) : f(int32_t{});
}

// ---- windows of 2x2 side by side ------------------------------------------------------------------------------------

// Values (in_h / 2 x in_w / 2 or less) to the places that their indices name, zeros elsewhere: every pair of elements
// of the plane is written once, with the value where the index says so. False if an index lies outside its window.
// kStreams: the plane bypasses the caches; it is aligned and its rows are whole vectors.
template <class T, bool kStreams, class I>
static bool spread_2x2(int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w, const T* values, const I* indices,
                       T* plane) {
  using L = Lane<T>;
  constexpr int kWidth = kLanes<T>;
  const auto put = [](T* to, Vec<T> v, int64_t n) __attribute__((always_inline)) {
    if constexpr (kStreams) {
      if (n > 0) stream<T>(to, v);
    } else {
      store_some<T>(to, v, n);
    }
  };
  const Mask<T> lane = lane_numbers<T>();
  const L below = static_cast<L>(in_w);
  Mask<T> stray{};
  for (int64_t oy = 0; oy < out_h; ++oy) {
    T* const top = plane + 2 * oy * in_w;
    for (int64_t ox = 0; ox < out_w; ox += kWidth) {
      const Block block = kStreams ? Block{ox, static_cast<int>(smaller(kWidth, out_w - ox))} : block_at<T>(ox, out_w);
      const auto [at, n] = block;
      const Vec<T> v = load_some<T>(values + oy * out_w + at, n);
      const Mask<T> corner = (lane + static_cast<L>(at + oy * in_w)) * 2;
      const Mask<T> offset = load_indices<T>(indices + oy * out_w + at, n) - corner;
      stray |= (offset != 0) & (offset != 1) & (offset != below) & (offset != below + 1) & (lane < static_cast<L>(n));
      for (int row = 0; row < 2; ++row) {
        const Vec<T> left = select<T>(offset == row * below, v, Vec<T>{});
        const Vec<T> right = select<T>(offset == row * below + 1, v, Vec<T>{});
        T* const p = top + row * in_w + 2 * at;
        put(p, zip_low<T>(left, right), 2 * n);
        put(p + kWidth, zip_high<T>(left, right), 2 * n - kWidth);
      }
    }
    for (int64_t x = 2 * out_w; x < in_w; ++x) top[x] = top[in_w + x] = T{0};
  }
  const int64_t rest = (in_h - 2 * out_h) * in_w;
  __builtin_memset(plane + 2 * out_h * in_w, 0, static_cast<size_t>(rest) * sizeof(T));
  for (int i = 0; i < kWidth; ++i)
    if (stray[i]) return false;
  return true;
}

// Whether planes from `data` on may be written by streams: 2x2 windows that fill whole vectors of an aligned plane.
template <class T>
FASTDL_INLINE bool spread_streams(const void* data, int64_t planes, int64_t in_h, int64_t in_w, int64_t out_w) {
  const int64_t bytes = planes * in_h * in_w * static_cast<int64_t>(sizeof(T));
  return bytes >= kStreamBytes && reinterpret_cast<uintptr_t>(data) % kVecBytes == 0 && in_w % kLanes<T> == 0 &&
         in_w == 2 * out_w;
}

// ---- any windows ----------------------------------------------------------------------------------------------------

// Keeps the smallest position, whichever chunk finds its own first.
static inline void report_index(int64_t position, int64_t* bad) {
  int64_t seen = __atomic_load_n(bad, __ATOMIC_RELAXED);
  while ((seen == 0 || position + 1 < seen) &&
         !__atomic_compare_exchange_n(bad, &seen, position + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

}  // namespace fastdl::FASTDL_ISA
