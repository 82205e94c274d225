// Work on the lanes of vectors: vectors that are only part full, neighbours apart and together, and reductions as a
// tree.
#pragma once
#include <utility>

#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

// ---- the first n lanes ----------------------------------------------------------------------------------------------

// Any n of kLanes and more means all lanes; none or less means none.

template <class T>
FASTDL_INLINE Vec<T> load_some(const T* p, int64_t n) {
  return n >= kLanes<T> ? load<T>(p) : load_n<T>(p, n > 0 ? static_cast<int>(n) : 0);
}
template <class T>
FASTDL_INLINE void store_some(T* p, Vec<T> v, int64_t n) {
  if (n >= kLanes<T>)
    store<T>(p, v);
  else if (n > 0)
    store_n<T>(p, v, static_cast<int>(n));
}

template <class T, size_t... I>
FASTDL_INLINE Mask<T> count_lanes(std::index_sequence<I...>) {
  return Mask<T>{static_cast<decltype(Mask<T>{}[0] + 0)>(I)...};
}
// 0, 1, 2, ...
template <class T>
FASTDL_INLINE Mask<T> lane_numbers() {
  return count_lanes<T>(std::make_index_sequence<kLanes<T>>{});
}
// Set in the first n lanes.
template <class T>
FASTDL_INLINE Mask<T> lanes_below(int64_t n) {
  return lane_numbers<T>() < static_cast<int>(n < kLanes<T> ? n : kLanes<T>);
}

// ---- neighbours -----------------------------------------------------------------------------------------------------

// Lane I of the result is lane kFirst + I * kStep of a, b laid end to end.
template <class T, int kFirst, int kStep, size_t... I>
FASTDL_INLINE Vec<T> pick(Vec<T> a, Vec<T> b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (kFirst + static_cast<int>(I) * kStep)...);
}
// Lanes kFirst, kFirst + 1, ... of a and b in turn.
template <class T, int kFirst, size_t... I>
FASTDL_INLINE Vec<T> zip(Vec<T> a, Vec<T> b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (kFirst + static_cast<int>(I / 2 + I % 2 * kLanes<T>))...);
}
template <class T>
using LaneIndices = std::make_index_sequence<kLanes<T>>;

// a0 a2 a4 ... b0 b2 ... and a1 a3 ... b1 b3 ...
template <class T>
FASTDL_INLINE Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
  return pick<T, 0, 2>(a, b, LaneIndices<T>{});
}
template <class T>
FASTDL_INLINE Vec<T> odd_lanes(Vec<T> a, Vec<T> b) {
  return pick<T, 1, 2>(a, b, LaneIndices<T>{});
}

// The way back: a0 b0 a1 b1 ..., from the lower and from the upper halves.
template <class T>
FASTDL_INLINE Vec<T> zip_low(Vec<T> a, Vec<T> b) {
  return zip<T, 0>(a, b, LaneIndices<T>{});
}
template <class T>
FASTDL_INLINE Vec<T> zip_high(Vec<T> a, Vec<T> b) {
  return zip<T, kLanes<T> / 2>(a, b, LaneIndices<T>{});
}

// Lane i of the result is lane lanes[i] of v.
template <class T>
FASTDL_INLINE Vec<T> permute_lanes(Vec<T> v, Mask<T> lanes) {
  return __builtin_shuffle(v, lanes);
}

// ---- reductions -----------------------------------------------------------------------------------------------------

// One number from all lanes by halving: log2(lanes) steps instead of a chain of lanes - 1.
template <class T, int kDistance, class F>
FASTDL_INLINE T fold_lanes(Vec<T> v, F f) {
  if constexpr (kDistance == 0) {
    return v[0];
  } else {
    return fold_lanes<T, kDistance / 2>(f(v, pick<T, kDistance, 1>(v, v, LaneIndices<T>{})), f);
  }
}
template <class T>
FASTDL_INLINE T tree_sum(Vec<T> v) {
  return fold_lanes<T, kLanes<T> / 2>(v, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a + b; });
}
// Whether a comparison holds in any lane.
template <class T>
FASTDL_INLINE bool any_lane(Mask<T> m) {
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4)
    return _mm512_movepi32_mask((__m512i)m) != 0;
  else
    return _mm512_movepi64_mask((__m512i)m) != 0;
#elif defined(FASTDL_ISA_avx2)
  return _mm256_movemask_epi8((__m256i)m) != 0;
#elif defined(__x86_64__)
  return _mm_movemask_epi8((__m128i)m) != 0;
#else
  bool any = false;
  for (int i = 0; i < kLanes<T>; ++i) any |= m[i] != 0;
  return any;
#endif
}
// Of numbers: a NaN may be lost.
template <class T>
FASTDL_INLINE T tree_max(Vec<T> v) {
  return fold_lanes<T, kLanes<T> / 2>(
      v, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return select<T>(a > b, a, b); });
}

}  // namespace fastdl::FASTDL_ISA
