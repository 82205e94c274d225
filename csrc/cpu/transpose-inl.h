// Transposition through registers: squares of kLanes x kLanes, and matrices made of them.
#pragma once
#include <utility>

#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

template <class T, int D, int... I>
FASTDL_INLINE void exchange(Vec<T>& x, Vec<T>& y, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  const Vec<T> low = __builtin_shufflevector(x, y, (I & D ? I - D + L : I)...);
  y = __builtin_shufflevector(x, y, (I & D ? I + L : I + D)...);
  x = low;
}
// Swaps, for D = 1, 2, 4, ..., the off-diagonal D x D blocks of each 2D x 2D block: log2(L) rounds of L shuffles, where
// moving single elements would take L * L steps.
template <class T, int D = 1>
FASTDL_INLINE void transpose(Vec<T> (&v)[kLanes<T>]) {
  constexpr int L = kLanes<T>;
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i)
    if (!(i & D)) exchange<T, D>(v[i], v[i + D], std::make_integer_sequence<int, L>{});
  if constexpr (2 * D < L) transpose<T, 2 * D>(v);
}

// out[j * to + i] = x[i * from + j], i < rows, j < columns; kFull: at least kLanes of both.
template <class T, bool kFull>
static void transpose_matrix_as(const T* x, int64_t from, int64_t rows, int64_t columns, T* out, int64_t to) {
  constexpr int L = kLanes<T>;
  const int height = kFull || rows > L ? L : static_cast<int>(rows);
  const int width = kFull || columns > L ? L : static_cast<int>(columns);
  for (int64_t row = 0; row < rows; row += L) {
    // The last square overlaps the one before and writes the same numbers again.
    const int64_t i = row + height <= rows ? row : rows - height;
    for (int64_t column = 0; column < columns; column += L) {
      const int64_t j = column + width <= columns ? column : columns - width;
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) {
        const T* line = x + (i + (k < height ? k : height - 1)) * from + j;
        v[k] = kFull ? load<T>(line) : load_n<T>(line, width);
      }
      transpose<T>(v);
#pragma GCC unroll 16
      for (int k = 0; k < L; ++k) {
        if (!kFull && k >= width) break;
        T* const line = out + (j + k) * to + i;
        kFull ? store<T>(line, v[k]) : store_n<T>(line, v[k], height);
      }
    }
  }
}
template <class T>
FASTDL_INLINE void transpose_matrix(const T* x, int64_t from, int64_t rows, int64_t columns, T* out, int64_t to) {
  if (rows >= kLanes<T> && columns >= kLanes<T>)
    transpose_matrix_as<T, true>(x, from, rows, columns, out, to);
  else
    transpose_matrix_as<T, false>(x, from, rows, columns, out, to);
}

}  // namespace fastdl::FASTDL_ISA
