// Numbers as keys, and lines along any axis as contiguous ones.
#pragma once
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"
#include "cpu/transpose-inl.h"
#include "ops/sort/sort.h"

namespace fastdl::FASTDL_ISA {

// ---- keys -----------------------------------------------------------------------------------------------------------

// Signed integers, which AVX2 can compare, in the order of the numbers.
template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
template <class Key>
constexpr Key kLargestKey = static_cast<Key>(~(std::make_unsigned_t<Key>{1} << (8 * sizeof(Key) - 1)));

// NaN lies above all numbers; -0 and 0 are equal. Looks at bits alone, because denormal numbers, which arithmetic takes
// for zero here, have an order too.
template <class T>
FASTDL_INLINE KeyOf<T> ordered(T x) {
  using Key = KeyOf<T>;
  if constexpr (std::is_floating_point_v<T>) {
    constexpr Key kInfinity = sizeof(T) == 8 ? static_cast<Key>(0x7ff0000000000000) : static_cast<Key>(0x7f800000);
    Key bits;
    __builtin_memcpy(&bits, &x, sizeof(T));
    const Key magnitude = bits & kLargestKey<Key>;
    const Key key = bits < 0 ? bits ^ kLargestKey<Key> : bits;
    return magnitude > kInfinity ? kLargestKey<Key> : magnitude == 0 ? 0 : key;
  } else {
    return x;
  }
}
// The way back: exact except for -0 and for what was in a NaN.
template <class T>
FASTDL_INLINE T number_of(KeyOf<T> key) {
  if constexpr (std::is_floating_point_v<T>) {
    const KeyOf<T> bits = key < 0 ? key ^ kLargestKey<KeyOf<T>> : key;
    T x;
    __builtin_memcpy(&x, &bits, sizeof(T));
    return x;
  } else {
    return static_cast<T>(key);
  }
}
// What keys are combined with so that the descending order is the ascending one of keys.
template <class Key>
FASTDL_INLINE Key flip_of(bool descending) {
  return descending ? Key{-1} : Key{0};
}

template <class T>
static void load_keys(const T* x, int64_t n, KeyOf<T> flip, KeyOf<T>* keys) {
  for (int64_t i = 0; i < n; ++i) keys[i] = ordered(x[i]) ^ flip;
}

// bool as bytes, which compilers turn into vectors.
template <class F>
static void visit_numbers(DType t, F&& f) {
  if (t == DType::kUInt8 || t == DType::kBool) return f(uint8_t{});
  visit_number(t, f);
}

// ---- lines ----------------------------------------------------------------------------------------------------------

constexpr int64_t kLineGrain = 16 * 1024;    // numbers of a chunk of lines, at least
constexpr int64_t kLongLine = 128 * 1024;    // a line of these is work for all threads
constexpr int64_t kFewLines = 8;             // and where there are no more of them, one line comes after another
constexpr int64_t kTileBytes = 1024 * 1024;  // of columns that are copied together

template <class T>
static void copy_transposed(const T* x, int64_t from, int64_t rows, int64_t columns, T* out, int64_t to) {
  if constexpr (sizeof(T) == 1) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) out[j * to + i] = x[i * from + j];
  } else {
    transpose_matrix<T>(x, from, rows, columns, out, to);
  }
}

// make() gives, once a chunk, a body(x, values, indices) for lines of n contiguous numbers and m results. Columns go
// through tiles:
//
//         inner                        tile: up to 16 lines
//   n  ...|abcd|...   -> aaaa bbbb cccc dddd -> body for each -> m ...|abcd|...
//
// values may be null.
template <class T, class Make>
static void for_each_line(const Lines& g, int64_t m, const T* x, T* values, int64_t* indices, const Make& make) {
  const int64_t width_of_cache = kTileBytes / static_cast<int64_t>(sizeof(T)) / (g.n + 1);
  const int64_t most = width_of_cache < 1 ? 1 : width_of_cache < 16 ? width_of_cache : 16;
  const int64_t width = g.inner < most ? g.inner : most;
  const int64_t pieces = (g.inner + width - 1) / width, tiles = g.outer * pieces;
  const bool by_line = g.n >= kLongLine && tiles <= kFewLines;
  parallel_for(tiles, by_line ? tiles : kLineGrain / (g.n * width) + 1, [&](int64_t begin, int64_t end) {
    auto body = make();
    if (g.inner == 1) {
      for (int64_t o = begin; o < end; ++o) body(x + o * g.n, values ? values + o * m : nullptr, indices + o * m);
      return;
    }
    Scratch<T> lines(width * g.n), chosen(width * m);
    Scratch<int64_t> places(width * m);
    for (int64_t tile = begin; tile < end; ++tile) {
      const int64_t o = tile / pieces, first = tile % pieces * width;
      const int64_t columns = g.inner - first < width ? g.inner - first : width, at = o * m * g.inner + first;
      copy_transposed<T>(x + o * g.n * g.inner + first, g.inner, g.n, columns, lines, g.n);
      for (int64_t c = 0; c < columns; ++c) body(lines + c * g.n, values ? chosen + c * m : nullptr, places + c * m);
      if (values) copy_transposed<T>(chosen, m, columns, m, values + at, g.inner);
      copy_transposed<int64_t>(places, m, columns, m, indices + at, g.inner);
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
