// Stable sorting by unsigned keys: 11 bits at a time from the lowest, each pass a count and a scatter. A digit that is
// the same in all keys is neither counted nor sorted by, so sorting small integers costs one pass.
#pragma once
#include <utility>

#include "cpu/parallel.h"
#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

template <class Key>
struct Keyed {
  Key key;
  int32_t index;  // what the key belongs to
};

constexpr int kDigitBits = 11;
constexpr int64_t kDigitValues = int64_t{1} << kDigitBits;
constexpr int64_t kInsertionSort = 48;  // up to here moving items by one place is cheaper than counting

template <class T>
using SortKey = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// Unsigned integers in the order of the numbers. NaN lies above all numbers; -0 and 0 are equal. Looks at bits alone,
// because denormal numbers, which arithmetic takes for zero here, have an order too.
template <class T>
FASTDL_INLINE SortKey<T> sort_key(T x) {
  using Key = SortKey<T>;
  constexpr Key kSign = Key{1} << (8 * sizeof(T) - 1);
  constexpr Key kInfinity = sizeof(T) == 8 ? static_cast<Key>(0x7ff0000000000000u) : static_cast<Key>(0x7f800000u);
  Key bits;
  __builtin_memcpy(&bits, &x, sizeof(T));
  if ((bits & ~kSign) > kInfinity) return ~Key{0};
  if ((bits & ~kSign) == 0) return kSign;
  return bits & kSign ? ~bits : bits | kSign;
}

template <class Key>
static void insertion_sort(Keyed<Key>* items, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const Keyed<Key> item = items[i];
    int64_t j = i;
    for (; j > 0 && items[j - 1].key > item.key; --j) items[j] = items[j - 1];
    items[j] = item;
  }
}

// Sorts n items from the smallest key, with as many items of spare room. Returns where the result lies, in one of both.
template <class Key>
static Keyed<Key>* radix_sort(Keyed<Key>* items, Keyed<Key>* spare, int64_t n) {
  if (n <= kInsertionSort) {
    insertion_sort(items, n);
    return items;
  }
  Key differ = 0;
  for (int64_t i = 1; i < n; ++i) differ |= items[i].key ^ items[0].key;
  Scratch<int32_t> count(kDigitValues);
  for (int shift = 0; shift < 8 * static_cast<int>(sizeof(Key)); shift += kDigitBits) {
    if ((differ >> shift) % kDigitValues == 0) continue;
    __builtin_memset(count, 0, kDigitValues * sizeof(int32_t));
    for (int64_t i = 0; i < n; ++i) ++count[(items[i].key >> shift) % kDigitValues];
    int32_t at = 0;
    for (int64_t v = 0; v < kDigitValues; ++v) at += std::exchange(count[v], at);
    for (int64_t i = 0; i < n; ++i) spare[count[(items[i].key >> shift) % kDigitValues]++] = items[i];
    std::swap(items, spare);
  }
  return items;
}

}  // namespace fastdl::FASTDL_ISA
