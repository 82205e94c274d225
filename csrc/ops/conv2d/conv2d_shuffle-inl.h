// Moves between lanes: rows side by side become columns or vectors, and sums of many vectors at once.
//
// Those walk over the bits of the lane number. For the bit S, `keep` and `swap` exchange it with one bit of the row
// number: keep<S>(a, b) takes a where the lane's bit is clear and b, shifted by S lanes, where it is set.
#pragma once
#include <utility>

#include "cpu/shuffle-inl.h"
#include "cpu/transpose-inl.h"

namespace fastdl::FASTDL_ISA {

template <class T, int S, int... J>
FASTDL_INLINE Vec<T> keep_lanes(Vec<T> a, Vec<T> b, std::integer_sequence<int, J...>) {
  constexpr int L = kLanes<T>;
  return __builtin_shuffle(a, b, Mask<T>{(J & S ? L + J - S : J)...});
}
template <class T, int S, int... J>
FASTDL_INLINE Vec<T> swap_lanes(Vec<T> a, Vec<T> b, std::integer_sequence<int, J...>) {
  constexpr int L = kLanes<T>;
  return __builtin_shuffle(a, b, Mask<T>{(J & S ? L + J : J + S)...});
}
template <class T>
using Lanes = std::make_integer_sequence<int, kLanes<T>>;

// to[i * ld + lane] = from[lane * stride + i], i < n: rows side by side become vectors, a square of registers at a
// time. Lanes from `height` on are zeros.
template <class T>
static void pack_lanes(const T* from, int64_t stride, int64_t n, int64_t height, T* to, int64_t ld) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < n; i += L) {
    const int width = static_cast<int>(n - i < L ? n - i : L);
    Vec<T> r[L];
#pragma GCC unroll 16
    for (int m = 0; m < L; ++m) {
      r[m] = Vec<T>{};
      if (m < height) r[m] = width == L ? load<T>(from + m * stride + i) : load_n<T>(from + m * stride + i, width);
    }
    transpose<T>(r);
#pragma GCC unroll 16
    for (int j = 0; j < L; ++j)
      if (j < width) store<T>(to + (i + j) * ld, r[j]);
  }
}

template <class T, int... J>
FASTDL_INLINE Vec<T> even_lanes_of(Vec<T> a, Vec<T> b, std::integer_sequence<int, J...>) {
  return __builtin_shuffle(a, b, Mask<T>{2 * J...});
}
// Numbers 0, 2, 4, ... of a and b side by side.

// to[i * ld + m] = from[m * stride + i], for i < n and m < rows: rows side by side become columns, a square of
// registers at a time.
template <class T>
static void pack_columns(const T* from, int64_t stride, int64_t n, int64_t rows, T* to, int64_t ld) {
  constexpr int L = kLanes<T>;
  for (int64_t m0 = 0; m0 < rows; m0 += L) {
    const int height = static_cast<int>(rows - m0 < L ? rows - m0 : L);
    for (int64_t i = 0; i < n; i += L) {
      const int width = static_cast<int>(n - i < L ? n - i : L);
      const T* corner = from + m0 * stride + i;
      Vec<T> r[L];
#pragma GCC unroll 16
      for (int m = 0; m < L; ++m) {
        r[m] = Vec<T>{};
        if (m < height) r[m] = width == L ? load<T>(corner + m * stride) : load_n<T>(corner + m * stride, width);
      }
      transpose<T>(r);
#pragma GCC unroll 16
      for (int j = 0; j < L; ++j)
        if (j < width) store_n<T>(to + (i + j) * ld + m0, r[j], height);
    }
  }
}

template <class T, int S>
FASTDL_INLINE void fold_bit(Vec<T>* r) {
#pragma GCC unroll 16
  for (int i = 0; i < S; ++i)
    r[i] = keep_lanes<T, S>(r[i], r[i + S], Lanes<T>{}) + swap_lanes<T, S>(r[i], r[i + S], Lanes<T>{});
}

// Lane j of the result is the sum of the lanes of r[j]; kLanes<T> vectors, which are destroyed.
template <class T>
FASTDL_INLINE Vec<T> lane_sums(Vec<T>* r) {
  constexpr int L = kLanes<T>;
  if constexpr (L >= 16) fold_bit<T, 8>(r);
  if constexpr (L >= 8) fold_bit<T, 4>(r);
  if constexpr (L >= 4) fold_bit<T, 2>(r);
  fold_bit<T, 1>(r);
  return r[0];
}

}  // namespace fastdl::FASTDL_ISA
