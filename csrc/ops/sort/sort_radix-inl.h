// Items in the order of their keys, digit by digit.
//
// From the highest digit, buckets are sorted one by one, in ever smaller pieces of memory; from the lowest, all items
// move once for each digit and nothing is left to do. Digits have 8 bits: 256 places that are written in turn stay in
// the L1 cache, 2048 do not. So:
//
//   32 bits and fewer  from the lowest digit
//   more bits          a pass by the highest digit; then buckets, most of which are small, by the bits below
//   long lines         a pass by the highest 11 bits in chunks on all threads: each chunk counts its digits, and writes
//                      where the counts of the lower digits, and of its digit in the chunks before it, end; buckets on
//                      all threads. Without it every digit would be a pass over memory outside the L2 cache
//
// Every way is stable.
#pragma once
#include <utility>

#include "cpu/radix_sort-inl.h"
#include "ops/sort/sort_lines-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kByte = 256;
constexpr int64_t kSortChunk = 32 * 1024;  // of a line that all threads sort
constexpr int64_t kBucketGrain = 4;        // of 2048

template <class Key>
using DigitsOf = std::make_unsigned_t<Key>;
template <class Key>
FASTDL_INLINE DigitsOf<Key> unsigned_key(Key key) {
  return static_cast<DigitsOf<Key>>(key) ^ (DigitsOf<Key>{1} << (8 * sizeof(Key) - 1));
}
template <class Key>
FASTDL_INLINE Key signed_key(DigitsOf<Key> key) {
  return static_cast<Key>(key ^ (DigitsOf<Key>{1} << (8 * sizeof(Key) - 1)));
}
template <class Digits>
FASTDL_INLINE int bits_of(Digits x) {
  return x == 0 ? 0 : 64 - __builtin_clzll(static_cast<uint64_t>(x));
}

template <class Digits>
FASTDL_INLINE void scatter_by(const Keyed<Digits>* items, Keyed<Digits>* out, int64_t n, int shift, int32_t* next) {
  for (int64_t i = 0; i < n; ++i) out[next[(items[i].key >> shift) % kByte]++] = items[i];
}
// Counts to the places where each digit begins.
FASTDL_INLINE void add_up(int32_t* counts, int64_t digits) {
  int32_t at = 0;
  for (int64_t v = 0; v < digits; ++v) at += std::exchange(counts[v], at);
}

// kDigits digits, from the lowest one. The result lies in `spare` or, without to_spare, in `items`, here and below.
template <int kDigits, class Digits>
static void sort_lowest_first(Keyed<Digits>* items, Keyed<Digits>* spare, int64_t n, bool to_spare) {
  int32_t counts[kDigits][kByte] = {};
  for (int64_t i = 0; i < n; ++i)
    for (int d = 0; d < kDigits; ++d) ++counts[d][(items[i].key >> 8 * d) % kByte];
  Keyed<Digits>*from = items, *to = spare;
  for (int d = 0; d < kDigits; ++d) {
    if (counts[d][(from[0].key >> 8 * d) % kByte] == n) continue;
    add_up(counts[d], kByte);
    scatter_by(from, to, n, 8 * d, counts[d]);
    std::swap(from, to);
  }
  if ((from == spare) != to_spare) __builtin_memcpy(static_cast<void*>(to), from, static_cast<size_t>(n) * sizeof(*to));
}

// By the lowest `bits`, on one thread.
template <class Digits>
static void sort_bits(Keyed<Digits>* items, Keyed<Digits>* spare, int64_t n, int bits, bool to_spare) {
  if (n <= kInsertionSort || bits <= 0) {
    if (bits > 0) insertion_sort(items, n);
    for (int64_t i = 0; to_spare && i < n; ++i) spare[i] = items[i];
    return;
  }
  if (bits <= 8) return sort_lowest_first<1>(items, spare, n, to_spare);
  if (bits <= 16) return sort_lowest_first<2>(items, spare, n, to_spare);
  if (bits <= 24) return sort_lowest_first<3>(items, spare, n, to_spare);
  if (bits <= 32) return sort_lowest_first<4>(items, spare, n, to_spare);
  const int shift = bits - 8;
  int32_t first[kByte + 1] = {}, next[kByte];
  for (int64_t i = 0; i < n; ++i) ++first[(items[i].key >> shift) % kByte];
  add_up(first, kByte + 1);
  __builtin_memcpy(next, first, sizeof(next));
  scatter_by(items, spare, n, shift, next);
  for (int v = 0; v < kByte; ++v)
    if (first[v] < first[v + 1])
      sort_bits(spare + first[v], items + first[v], first[v + 1] - first[v], shift, !to_spare);
}

// The same on all threads.
template <class Digits>
static void sort_bits_in_chunks(Keyed<Digits>* items, Keyed<Digits>* spare, int64_t n, int bits, bool to_spare) {
  if (n < kLongLine || bits <= kDigitBits) return sort_bits(items, spare, n, bits, to_spare);
  const int shift = bits - kDigitBits;
  const int64_t chunks = (n + kSortChunk - 1) / kSortChunk;
  Scratch<int32_t> counts(chunks * kDigitValues), first(kDigitValues + 1);
  parallel_for(n, kSortChunk, [&](int64_t begin, int64_t end) {
    int32_t* const count = counts + begin / kSortChunk * kDigitValues;
    __builtin_memset(count, 0, kDigitValues * sizeof(int32_t));
    for (int64_t i = begin; i < end; ++i) ++count[(items[i].key >> shift) % kDigitValues];
  });
  int32_t at = 0;
  for (int64_t v = 0; v < kDigitValues; ++v) {
    first[v] = at;
    for (int64_t c = 0; c < chunks; ++c) at += std::exchange(counts[c * kDigitValues + v], at);
  }
  first[kDigitValues] = at;
  parallel_for(n, kSortChunk, [&](int64_t begin, int64_t end) {
    int32_t* const next = counts + begin / kSortChunk * kDigitValues;
    for (int64_t i = begin; i < end; ++i) spare[next[(items[i].key >> shift) % kDigitValues]++] = items[i];
  });
  const auto size = [&](int64_t v) __attribute__((always_inline)) { return int64_t{first[v + 1]} - first[v]; };
  for (int64_t v = 0; v < kDigitValues; ++v)  // buckets that are long lines again
    if (size(v) >= kLongLine) sort_bits_in_chunks(spare + first[v], items + first[v], size(v), shift, !to_spare);
  parallel_for(kDigitValues, kBucketGrain, [&](int64_t begin, int64_t end) {
    for (int64_t v = begin; v < end; ++v)
      if (size(v) > 0 && size(v) < kLongLine) sort_bits(spare + first[v], items + first[v], size(v), shift, !to_spare);
  });
}

// Sorts lines of n contiguous numbers.
template <class T>
class LineSorter {
 public:
  using Key = KeyOf<T>;
  using Digits = DigitsOf<Key>;
  using Item = Keyed<Digits>;

  LineSorter(int64_t n, Key flip)
      : n_(n), flip_(flip), items_(n), spare_(n), differ_((n + kSortChunk - 1) / kSortChunk) {}

  void operator()(const T* x, T* values, int64_t* indices) {
    sort(x);
    write(x, n_, values, indices);
  }

  Item* items() { return items_; }

  // The whole line as items in order.
  void sort(const T* x) {
    const Digits any = unsigned_key<Key>(ordered(x[0]) ^ flip_);
    parallel_for(n_, kSortChunk, [&](int64_t begin, int64_t end) {
      Digits differ = 0;
      for (int64_t i = begin; i < end; ++i) {
        const Digits key = unsigned_key<Key>(ordered(x[i]) ^ flip_);
        differ |= key ^ any;
        items_[i] = {key, static_cast<int32_t>(i)};
      }
      differ_[begin / kSortChunk] = differ;
    });
    Digits differ = 0;
    for (int64_t c = 0; c * kSortChunk < n_; ++c) differ |= differ_[c];
    sort_bits_in_chunks(items_.get(), spare_.get(), n_, bits_of(differ), false);
  }
  // The first m items, which the caller has written.
  void sort_items(int64_t m) {
    sort_bits_in_chunks(items_.get(), spare_.get(), m, 8 * static_cast<int>(sizeof(Key)), false);
  }

  // Numbers and places of the first m sorted items; values may be null.
  void write(const T* x, int64_t m, T* values, int64_t* indices) const {
    parallel_for(m, kSortChunk, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) indices[i] = items_[i].index;
      if (!values) return;
      for (int64_t i = begin; i < end; ++i) values[i] = number_of<T>(signed_key<Key>(items_[i].key) ^ flip_);
    });
    if constexpr (std::is_floating_point_v<T>) {
      if (!values) return;
      copy_equals(x, m, 0, values);  // -0 and what is in NaNs do not come back from keys
      copy_equals(x, m, kLargestKey<Key>, values);
    }
  }

 private:
  // The numbers of the items that have one key, which lie side by side.
  void copy_equals(const T* x, int64_t m, Key key, T* values) const {
    const Digits wanted = unsigned_key<Key>(key ^ flip_);
    int64_t low = 0, high = m;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (items_[middle].key < wanted)
        low = middle + 1;
      else
        high = middle;
    }
    for (; low < m && items_[low].key == wanted; ++low) values[low] = x[items_[low].index];
  }

  const int64_t n_;
  const Key flip_;
  Scratch<Item> items_, spare_;
  Scratch<Digits> differ_;
};

}  // namespace fastdl::FASTDL_ISA
