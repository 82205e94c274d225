// Loops that softmax and cross-entropy share. Logits lie as (outer, n, inner), and one reduction runs over n:
//   inner = 1   a row is contiguous; its lanes are summed up in kAccumulators vectors and folded at the end
//   inner > 1   neighbouring columns are neighbouring lanes; a tile of kTileVectors vectors walks down the n numbers
#pragma once
#include "cpu/math-inl.h"
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kAccumulators = 4;       // one chain of additions would wait for its own latency
constexpr int kSumBlock = 32;          // vectors of each accumulator between two additions to the total
constexpr int kTileVectors = 4;        // four cache lines of each of the n rows, and registers for two states a vector
constexpr int64_t kColumnBlock = 512;  // columns of one work item
constexpr int64_t kRowChunk = 32 * 1024;  // numbers of one chunk: tens of microseconds

template <class T>
constexpr T kMinusInfinity = -static_cast<T>(__builtin_inf());

template <class T>
FASTDL_INLINE Vec<T> max_number(Vec<T> a, Vec<T> b) {
  return select<T>(a > b, a, b);
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// The maximum of a row's numbers. NaN may be lost here: exp(NaN - maximum) brings it back.
template <class T>
static T row_max(const T* x, int64_t n) {
  constexpr int kWidth = kLanes<T>;
  const Vec<T> none = broadcast<T>(kMinusInfinity<T>);
  Vec<T> m[kAccumulators] = {none, none, none, none};
  int64_t i = 0;
  for (; i + kAccumulators * kWidth <= n; i += kAccumulators * kWidth)
#pragma GCC unroll 4
    for (int k = 0; k < kAccumulators; ++k) m[k] = max_number<T>(load<T>(x + i + k * kWidth), m[k]);
  Vec<T> all = max_number<T>(max_number<T>(m[0], m[1]), max_number<T>(m[2], m[3]));
  for (; i < n; i += kWidth)
    all = max_number<T>(select<T>(lanes_below<T>(n - i), load_some<T>(x + i, n - i), none), all);
  return tree_max<T>(all);
}

// The sum over a row of f(i, left), the vector of its elements from i on, of which `left` are in the row. Blocks
// of kSumBlock vectors are added up apart, so that the error grows with the root of the row and not with the row.
template <class T, class F>
FASTDL_INLINE T row_sum(int64_t n, F f) {
  constexpr int kWidth = kLanes<T>, kStep = kAccumulators * kWidth;
  Vec<T> all{};
  int64_t i = 0;
  while (i + kStep <= n) {
    const int64_t end = i + kSumBlock * kStep <= n ? i + kSumBlock * kStep : i + (n - i) / kStep * kStep;
    Vec<T> s[kAccumulators]{};
    for (; i < end; i += kStep)
#pragma GCC unroll 4
      for (int k = 0; k < kAccumulators; ++k) s[k] += f(i + k * kWidth, std::integral_constant<int, kWidth>{});
    all += (s[0] + s[1]) + (s[2] + s[3]);
  }
  for (; i < n; i += kWidth) all += select<T>(lanes_below<T>(n - i), f(i, n - i), Vec<T>{});
  return tree_sum<T>(all);
}

// f(i, left) for each vector of a row.
template <class T, class F>
FASTDL_INLINE void for_row(int64_t n, F f) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) f(i, std::integral_constant<int, kLanes<T>>{});
  if (i < n) f(i, n - i);
}

// ---- columns --------------------------------------------------------------------------------------------------------

// tile(vectors, first, left) over columns [begin, end): `vectors` (a constant) vectors from column `first` on, of which
// `left` columns are in the range.
template <class T, class Tile>
FASTDL_INLINE void for_column_tiles(int64_t begin, int64_t end, Tile tile) {
  constexpr int kWidth = kLanes<T>;
  int64_t i = begin;
  for (; i + kTileVectors * kWidth <= end; i += kTileVectors * kWidth)
    tile(std::integral_constant<int, kTileVectors>{}, i, std::integral_constant<int, kTileVectors * kWidth>{});
  for (; i < end; i += kWidth) tile(std::integral_constant<int, 1>{}, i, end - i);
}

// f(v, p, left, c) for each vector v of each row c of a tile; p is its distance from the first column of row 0.
template <class T, int kVectors, class F>
FASTDL_INLINE void for_tile(int64_t n, int64_t inner, int64_t left, F f) {
  for (int64_t c = 0; c < n; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) f(v, c * inner + v * kLanes<T>, left - v * kLanes<T>, c);
}

}  // namespace fastdl::FASTDL_ISA
