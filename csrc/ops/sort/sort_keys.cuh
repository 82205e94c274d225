// Numbers as unsigned keys of the same order, and where the numbers of a line lie.
#pragma once
#include <type_traits>

#include "cuda/lookups.cuh"
#include "ops/sort/sort.h"

namespace fastdl {
namespace {

template <class T>
using KeyOf = std::conditional_t<sizeof(T) == 8, uint64_t, unsigned>;
// The bits that differ: of bytes, only these are sorted by.
template <class T>
constexpr int kKeyBits = 8 * static_cast<int>(sizeof(T));
// Of any NaN. The largest integer has it too, so ask only for floats.
template <class Key>
constexpr Key kNanKey = static_cast<Key>(~Key{0});

// From bits, so that numbers too small for arithmetic keep their order. NaN comes last, -0 is 0.
template <class Key>
__device__ __forceinline__ Key float_key(Key bits, Key infinity) {
  constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
  const Key size = bits & ~kSign;
  if (size > infinity) return kNanKey<Key>;
  if (size == 0) return kSign;
  return bits & kSign ? ~bits : bits | kSign;
}
__device__ __forceinline__ unsigned key_of(float x) {
  return float_key(static_cast<unsigned>(__float_as_int(x)), 0x7f800000u);
}
__device__ __forceinline__ uint64_t key_of(double x) {
  return float_key(static_cast<uint64_t>(__double_as_longlong(x)), uint64_t{0x7ff} << 52);
}
template <class T>
__device__ __forceinline__ KeyOf<T> key_of(T x) {
  static_assert(std::is_integral_v<T>);
  using Key = KeyOf<T>;
  if constexpr (std::is_signed_v<T>) return static_cast<Key>(x) ^ (Key{1} << (kKeyBits<T> - 1));
  return static_cast<Key>(x);
}

// The keys of the numbers of (outer, n, inner); `flip` turns the order round.
template <class T>
struct Numbers {
  using Key = KeyOf<T>;
  const T* x;
  int64_t n;
  Divider inner;
  Key flip;

  __device__ int64_t at(int64_t line, int64_t i, int64_t of) const {
    const int64_t outer = inner.divide(line);
    return (outer * of + i) * inner.divisor + (line - outer * inner.divisor);
  }
  __device__ Key key(int64_t line, int64_t i) const { return key_of(x[at(line, i, n)]) ^ flip; }
  __device__ unsigned place(int64_t, int64_t i) const { return static_cast<unsigned>(i); }
};

template <class T>
Numbers<T> numbers_of(const void* x, const Lines& lines, bool descending) {
  const KeyOf<T> all = kNanKey<KeyOf<T>> >> (8 * sizeof(KeyOf<T>) - kKeyBits<T>);
  return {static_cast<const T*>(x), lines.n, divide_by(lines.inner), descending ? all : KeyOf<T>{0}};
}

// Where results go: the first k of each line, or one. values may be null.
template <class T>
struct Results {
  Numbers<T> numbers;
  int64_t k;
  T* values;
  int64_t* indices;

  __device__ void store(int64_t line, int64_t i, unsigned place) const {
    const int64_t to = numbers.at(line, i, k);
    indices[to] = place;
    if (values) values[to] = numbers.x[numbers.at(line, place, numbers.n)];
  }
};

// places: of all numbers of each line, sorted. In the order of the output, as it is written and mostly read.
template <class T>
__global__ void __launch_bounds__(kBlock)
    store_places(Results<T> to, const unsigned* places, Divider k, int64_t count) {
  const int64_t e = global_thread();
  if (e >= count) return;
  const Divider& inner = to.numbers.inner;
  const int64_t row = inner.divide(e), outer = k.divide(row), i = row - outer * k.divisor;
  const int64_t line = outer * inner.divisor + (e - row * inner.divisor);
  to.store(line, i, places[line * to.numbers.n + i]);
}

template <class T>
void store_sorted(const Results<T>& to, const unsigned* places, int64_t lines, Stream stream) {
  launch(store_places<T>, blocks_for(lines * to.k, kBlock), kBlock, 0, stream, to, places, divide_by(to.k),
         lines * to.k);
}

// The rank that is asked for, in sorted keys.
struct RankRule {
  Rank rank;
  int64_t k;
  bool floats;

  // Of n numbers, the last `nans` of which are NaN.
  __device__ int64_t of(int64_t n, int64_t nans) const {
    if (rank == Rank::kMedian) return nans ? n - nans : (n - 1) / 2;
    if (rank == Rank::kNanMedian) return max(n - nans - 1, int64_t{0}) / 2;
    return k;
  }
  __device__ bool counts_nans() const { return floats && rank != Rank::kGiven; }
  template <class Key>
  __device__ int64_t in(const Key* keys, int64_t n) const {
    return of(n, counts_nans() ? n - bound(keys, n, kNanKey<Key>, false) : 0);
  }
};

// Lines with a block each, where they are many or not very long; few long ones are sorted by all blocks instead, which
// reads them more often, but with the whole device.
constexpr int64_t kLongLine = 16 * 1024, kFewLines = 64;
inline bool few_and_long(const Lines& lines) {
  return lines.n >= kLongLine && lines.outer * lines.inner < kFewLines;
}

// keys (lines, n), in the order of x: neighbours are read, whatever the axis.
template <class T>
__global__ void __launch_bounds__(kBlock) make_keys(Numbers<T> numbers, Divider n, int64_t count, KeyOf<T>* keys) {
  const int64_t i = global_thread();
  if (i >= count) return;
  const int64_t row = numbers.inner.divide(i), outer = n.divide(row);
  const int64_t line = outer * numbers.inner.divisor + (i - row * numbers.inner.divisor);
  keys[line * n.divisor + (row - outer * n.divisor)] = key_of(numbers.x[i]) ^ numbers.flip;
}

template <class T>
void write_keys(const Numbers<T>& numbers, const Lines& lines, KeyOf<T>* keys, Stream stream) {
  const int64_t count = lines.outer * lines.n * lines.inner;
  launch(make_keys<T>, blocks_for(count, kBlock), kBlock, 0, stream, numbers, divide_by(lines.n), count, keys);
}

}  // namespace
}  // namespace fastdl
