// Sums of rows that go to rows of another array, the gradient of looking rows up: out[index[i]] += source[i].
//
// Lookups are sorted by their target first, stably, by a radix sort whose result does not depend on how it is divided.
// Then an owner of some target rows meets all that is added to them in one piece, in the order of the lookups:
//
//   index           4 0 4 2 0        position      0 1 2 3 4
//   sorted          0 0 2 4 4        of            1 4 3 0 2
//   out row         0: source 1 + source 4    1: nothing    2: source 3    ...
//
// Every row of out is written once, and no two threads write the same one.
#pragma once
#include "cpu/indices-inl.h"
#include "cpu/parallel.h"

namespace fastdl::FASTDL_ISA {

// Target row in the upper half, position of the lookup in the lower one: a sort moves one number.
using Lookup = uint64_t;
constexpr int64_t kMaxLookups = int64_t{1} << 32;  // lookups, and rows that they may name
FASTDL_INLINE int64_t row_of(Lookup x) {
  return static_cast<int64_t>(x >> 32);
}
FASTDL_INLINE int64_t position_of(Lookup x) {
  return static_cast<int64_t>(x & 0xffffffffu);
}

constexpr int kDigitBits = 11;        // 2048 counters of a chunk stay in the L1 cache
constexpr int64_t kSortGrain = 4096;  // lookups of a chunk, at least
constexpr int64_t kMaxSortChunks = 16;
constexpr int64_t kSumGrain = 32 * 1024;      // numbers of out in a chunk, at least
constexpr int kSumVectors = 8;                // vectors of a row that are summed in registers together
constexpr int kLineVectors = 64 / kVecBytes;  // of a cache line
constexpr int kLookupsAhead = 6;              // how far memory is asked for rows that come next
constexpr int kSumsAhead = 12;                // of sums
// Into L2 or L1, by what processors with the instruction set do best: Zen 3's L2 waits for more lines, Xeons sum up to
// a tenth faster from L1.
#if defined(FASTDL_ISA_avx512)
constexpr int kSumsLevel = 3;
#else
constexpr int kSumsLevel = 2;
#endif

// ---- sort ---------------------------------------------------------------------------------------------------------

// Lookups as a sort finds them: sorted by their lower digits, or (without `sorted`) still indices.
template <class Index>
struct Unsorted {
  const Lookup* sorted;
  const Index* index;
  __attribute__((always_inline)) Lookup operator[](int64_t i) const {
    return sorted ? sorted[i] : static_cast<Lookup>(index[i]) << 32 | static_cast<Lookup>(i);
  }
};
struct Digit {
  int shift, bits;
  __attribute__((always_inline)) Lookup operator()(Lookup x) const { return x >> shift & ((Lookup{1} << bits) - 1); }
};

// Both walk two halves by turns: where digits repeat, as in words, the next count of one would wait for the last.
template <class From>
static void count_digits(From from, Digit digit, int64_t begin, int64_t end, uint32_t* counts) {
  const int64_t half = (end - begin) / 2, digits = int64_t{1} << digit.bits;
  uint32_t* const second = counts + digits;
  __builtin_memset(counts, 0, static_cast<size_t>(2 * digits) * sizeof(uint32_t));
  for (int64_t i = begin; i < begin + half; ++i) ++counts[digit(from[i])], ++second[digit(from[i + half])];
  if (begin + 2 * half < end) ++second[digit(from[end - 1])];
}
template <class From>
static void move_digits(From from, Digit digit, int64_t begin, int64_t end, uint32_t* next, Lookup* to) {
  const int64_t half = (end - begin) / 2;
  uint32_t* const second = next + (int64_t{1} << digit.bits);
  for (int64_t i = begin; i < begin + half; ++i) {
    const Lookup x = from[i], y = from[i + half];
    to[next[digit(x)]++] = x, to[second[digit(y)]++] = y;
  }
  if (begin + 2 * half < end) to[second[digit(from[end - 1])]++] = from[end - 1];
}

// One pass: lookups of equal digits stay in order. first[half of a chunk][digit] is where its next one goes.
template <class From>
static void sort_by_digit(From from, Lookup* to, int64_t n, Digit digit) {
  const int64_t digits = int64_t{1} << digit.bits, most = n / kMaxSortChunks;
  const int64_t grain = most > kSortGrain ? most : kSortGrain, halves = 2 * ((n + grain - 1) / grain);
  Scratch<uint32_t> first(digits * halves);
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    count_digits(from, digit, begin, end, first + 2 * (begin / grain) * digits);
  });
  uint32_t sum = 0;
  for (int64_t d = 0; d < digits; ++d) {
    for (int64_t h = 0; h < halves; ++h) {
      const uint32_t count = first[h * digits + d];
      first[h * digits + d] = sum;
      sum += count;
    }
  }
  parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    move_digits(from, digit, begin, end, first + 2 * (begin / grain) * digits, to);
  });
}

// The lookups in the order of their rows, into `out`; `spare` is as long. Indices have been checked: 0 <= index < rows.
template <class Index>
static void sort_lookups(const Index* index, int64_t n, int64_t rows, Lookup* out, Lookup* spare) {
  int bits = 1;
  while (bits < 32 && rows > int64_t{1} << bits) ++bits;
  const int passes = (bits + kDigitBits - 1) / kDigitBits;
  const Lookup* from = nullptr;
  for (int pass = 0; pass < passes; ++pass) {
    Lookup* const to = (passes - pass) % 2 ? out : spare;  // so that the last pass ends in `out`
    const int begin = bits * pass / passes, end = bits * (pass + 1) / passes;
    sort_by_digit(Unsorted<Index>{from, index}, to, n, Digit{32 + begin, end - begin});
    from = to;
  }
}

// The first of n sorted lookups whose row is at least `row`.
static int64_t lower_bound(const Lookup* lookups, int64_t n, int64_t row) {
  int64_t low = 0, high = n;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (row_of(lookups[middle]) < row)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// ---- sums ---------------------------------------------------------------------------------------------------------

// Rows to be summed. Lookup i stands for row row[i] of data, i itself without `row`, or (by_row) the row that it names;
// it is multiplied with scale[i], if there is a scale.
template <class T>
struct Addends {
  const T* data;
  int64_t width;
  const int64_t* row;
  const T* scale;
  bool by_row;
};
template <class T>
FASTDL_INLINE const T* addend(const Addends<T>& a, Lookup x) {
  const int64_t i = position_of(x);
  return a.data + (a.by_row ? row_of(x) : a.row ? a.row[i] : i) * a.width;
}

template <class T, bool kStream>
FASTDL_INLINE void put(T* p, Vec<T> v) {
  if constexpr (kStream)
    stream<T>(p, v);
  else
    store<T>(p, v);
}

// kVectors vectors of a row, from `column` on; partial: only `n` numbers, of one vector. Rows lie anywhere in memory,
// so it is asked for those that come next: of the lookups up to `ahead`, which may belong to the next sums.
template <class T, int kVectors, bool kScaled, bool kStream>
FASTDL_INLINE void sum_columns(const Addends<T>& a, const Lookup* x, int64_t count, const Lookup* ahead, int64_t column,
                               T factor, T* out, int n) {
  Vec<T> sum[kVectors] = {};
  for (int64_t i = 0; i < count; ++i) {
    if (x + i + kSumsAhead < ahead) {
      const T* const next = addend(a, x[i + kSumsAhead]) + column;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v += kLineVectors) __builtin_prefetch(next + v * kLanes<T>, 0, kSumsLevel);
    }
    const T* const source = addend(a, x[i]) + column;
    const T scale = kScaled ? a.scale[position_of(x[i])] : T{1};
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Vec<T> s = n < kLanes<T> ? load_n<T>(source, n) : load<T>(source + v * kLanes<T>);
      sum[v] += kScaled ? scale * s : s;
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    if (n < kLanes<T>)
      store_n<T>(out + column, sum[v] * factor, n);
    else
      put<T, kStream>(out + column + v * kLanes<T>, sum[v] * factor);
  }
}

// out = factor * the sum of `count` addends.
template <class T, bool kScaled, bool kStream>
static void sum_row(const Addends<T>& a, const Lookup* x, int64_t count, const Lookup* ahead, T factor, T* out) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
  for (; j + kSumVectors * L <= a.width; j += kSumVectors * L)
    sum_columns<T, kSumVectors, kScaled, kStream>(a, x, count, ahead, j, factor, out, L);
  for (; j + 2 * L <= a.width; j += 2 * L) sum_columns<T, 2, kScaled, kStream>(a, x, count, ahead, j, factor, out, L);
  for (; j + L <= a.width; j += L) sum_columns<T, 1, kScaled, kStream>(a, x, count, ahead, j, factor, out, L);
  if (j < a.width) sum_columns<T, 1, kScaled, false>(a, x, count, ahead, j, factor, out, static_cast<int>(a.width - j));
}

template <class T, bool kStream>
static void zero_row(T* out, int64_t n) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
  for (; j + 2 * L <= n; j += 2 * L) put<T, kStream>(out + j, Vec<T>{}), put<T, kStream>(out + j + L, Vec<T>{});
  for (; j + L <= n; j += L) put<T, kStream>(out + j, Vec<T>{});
  for (; j < n; ++j) out[j] = T{0};
}

// Rows [begin, end) of out, each from its lookups; `skip` (or -1) and rows without lookups become 0. factor(count) is
// what the sum of so many addends is multiplied with.
template <class T, bool kScaled, bool kStream, class Factor>
static void sum_rows(const Addends<T>& a, const Lookup* x, int64_t n, int64_t begin, int64_t end, int64_t skip, T* out,
                     const Factor& factor) {
  int64_t i = lower_bound(x, n, begin);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t next = i < n && row_of(x[i]) < end ? row_of(x[i]) : end;
    zero_row<T, kStream>(out + row * a.width, (next - row) * a.width);
    if (next == end) break;
    int64_t last = i + 1;
    while (last < n && row_of(x[last]) == next) ++last;
    if (next == skip)
      zero_row<T, kStream>(out + next * a.width, a.width);
    else
      sum_row<T, kScaled, kStream>(a, x + i, last - i, x + n, factor(last - i), out + next * a.width);
    row = next, i = last;
  }
  if (kStream) store_fence();
}

// out (rows x width): every row the sum of what its lookups add.
template <class T, class Factor>
static void sum_into_rows(const Addends<T>& a, const Lookup* x, int64_t n, int64_t rows, int64_t skip, T* out,
                          const Factor& factor) {
  const int64_t bytes = rows * a.width * static_cast<int64_t>(sizeof(T));
  const bool streams = bytes >= kStreamBytes && a.width % kLanes<T> == 0;
  parallel_for(rows, kSumGrain / (a.width + 1) + 1, [&](int64_t begin, int64_t end) {
    if (a.scale)
      streams ? sum_rows<T, true, true>(a, x, n, begin, end, skip, out, factor)
              : sum_rows<T, true, false>(a, x, n, begin, end, skip, out, factor);
    else
      streams ? sum_rows<T, false, true>(a, x, n, begin, end, skip, out, factor)
              : sum_rows<T, false, false>(a, x, n, begin, end, skip, out, factor);
  });
}

// ---- copies -------------------------------------------------------------------------------------------------------

// out row i = data row index[i], for `width` numbers of any type of the size of T.
template <class T, class Index>
static void copy_rows(const T* data, const Index* index, int64_t n, int64_t width, T* out) {
  constexpr int L = kLanes<T>;
  const bool streams = n * width * static_cast<int64_t>(sizeof(T)) >= kStreamBytes && width % L == 0 &&
                       reinterpret_cast<uintptr_t>(out) % kVecBytes == 0;
  parallel_for(n, kSumGrain / (width + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (i + kLookupsAhead < end) {
        const char* const ahead = reinterpret_cast<const char*>(data + index[i + kLookupsAhead] * width);
        for (int64_t byte = 0; byte < width * static_cast<int64_t>(sizeof(T)) && byte < 512; byte += 64)
          __builtin_prefetch(ahead + byte);
      }
      const T* const source = data + index[i] * width;
      T* const target = out + i * width;
      int64_t j = 0;
      if (streams)
        for (; j + L <= width; j += L) stream<T>(target + j, load<T>(source + j));
      else
        for (; j + L <= width; j += L) store<T>(target + j, load<T>(source + j));
      if (j < width)
        store_n<T>(target + j, load_n<T>(source + j, static_cast<int>(width - j)), static_cast<int>(width - j));
    }
    if (streams) store_fence();
  });
}

}  // namespace fastdl::FASTDL_ISA
