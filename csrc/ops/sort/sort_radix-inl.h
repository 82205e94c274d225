// Lines sorted by their keys, digit by digit from the lowest.
#pragma once
#include <utility>

#include "cpu/radix_sort-inl.h"
#include "ops/sort/sort_lines-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kShortDigit = 8;             // 256 counters: less to add up than the line has numbers
constexpr int64_t kLongDigitFrom = 8192;   // from here on 11 bits a pass
constexpr int64_t kSortChunk = 32 * 1024;  // of a line that all threads sort

template <class Key>
FASTDL_INLINE std::make_unsigned_t<Key> unsigned_key(Key key) {
  return static_cast<std::make_unsigned_t<Key>>(key) ^ (std::make_unsigned_t<Key>{1} << (8 * sizeof(Key) - 1));
}

template <class Key>
FASTDL_INLINE Key signed_key(std::make_unsigned_t<Key> key) {
  return static_cast<Key>(key ^ (std::make_unsigned_t<Key>{1} << (8 * sizeof(Key) - 1)));
}

// As radix_sort, on all threads.
template <class Key>
static Keyed<Key>* radix_sort_chunks(Keyed<Key>* items, Keyed<Key>* spare, int64_t n) {
  constexpr int kDigits = (8 * static_cast<int>(sizeof(Key)) + kDigitBits - 1) / kDigitBits;
  const int64_t chunks = (n + kSortChunk - 1) / kSortChunk;
  Scratch<int32_t> counts(chunks * kDigitValues);
  for (int d = 0; d < kDigits; ++d) {
    const int shift = d * kDigitBits;
    parallel_for(n, kSortChunk, [&](int64_t begin, int64_t end) {
      int32_t* const count = counts + begin / kSortChunk * kDigitValues;
      __builtin_memset(count, 0, kDigitValues * sizeof(int32_t));
      for (int64_t i = begin; i < end; ++i) ++count[(items[i].key >> shift) % kDigitValues];
    });
    int32_t at = 0;
    bool one_digit = false;
    for (int64_t v = 0; v < kDigitValues; ++v) {
      const int32_t before = at;
      for (int64_t c = 0; c < chunks; ++c) at += std::exchange(counts[c * kDigitValues + v], at);
      one_digit |= at - before == n;
    }
    if (one_digit) continue;
    parallel_for(n, kSortChunk, [&](int64_t begin, int64_t end) {
      int32_t* const next = counts + begin / kSortChunk * kDigitValues;
      for (int64_t i = begin; i < end; ++i) spare[next[(items[i].key >> shift) % kDigitValues]++] = items[i];
    });
    std::swap(items, spare);
  }
  return items;
}

// Sorts lines of n contiguous numbers.
template <class T>
class LineSorter {
 public:
  using Key = KeyOf<T>;
  using Digits = std::make_unsigned_t<Key>;
  using Item = Keyed<Digits>;

  LineSorter(int64_t n, Key flip) : n_(n), flip_(flip), items_(n), spare_(n) {}

  void operator()(const T* x, T* values, int64_t* indices) { write(x, n_, sorted(x), values, indices); }

  // The first m of the line in order, as operator() would write them.
  void write(const T* x, int64_t m, const Item* items, T* values, int64_t* indices) const {
    parallel_for(m, kSortChunk, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) indices[i] = items[i].index;
      if (!values) return;
      for (int64_t i = begin; i < end; ++i) values[i] = number_of<T>(signed_key<Key>(items[i].key) ^ flip_);
    });
    if constexpr (std::is_floating_point_v<T>) {
      if (!values) return;
      copy_equals(x, m, items, 0, values);  // -0 and what is in NaNs do not come back from keys
      copy_equals(x, m, items, kLargestKey<Key>, values);
    }
  }

  Item* sorted(const T* x) {
    parallel_for(n_, kSortChunk, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        items_[i] = {unsigned_key<Key>(ordered(x[i]) ^ flip_), static_cast<int32_t>(i)};
    });
    return in_order(n_);
  }

  // The first n items by their keys, where they then lie.
  Item* in_order(int64_t n) {
    if (n >= kLongLine) return radix_sort_chunks(items_.get(), spare_.get(), n);
    if (n >= kLongDigitFrom) return radix_sort(items_.get(), spare_.get(), n);
    return radix_sort<Digits, kShortDigit>(items_.get(), spare_.get(), n);
  }

  Item* items() { return items_; }

 private:
  // The numbers of the items that have one key, which lie side by side.
  void copy_equals(const T* x, int64_t m, const Item* items, Key key, T* values) const {
    const Digits wanted = unsigned_key<Key>(key ^ flip_);
    int64_t low = 0, high = m;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (items[middle].key < wanted)
        low = middle + 1;
      else
        high = middle;
    }
    for (; low < m && items[low].key == wanted; ++low) values[low] = x[items[low].index];
  }

  const int64_t n_;
  const Key flip_;
  Scratch<Item> items_, spare_;
};

}  // namespace fastdl::FASTDL_ISA
