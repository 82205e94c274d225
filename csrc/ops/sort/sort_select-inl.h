// The key of a rank, without sorting.
//
// Up to kSearched keys lie in the L1 cache: the key is found bit by bit from the highest, each by counting, a vector at
// a time and without a branch, how many keys lie below. More keys are counted by their 11 highest bits that differ
// first, on all threads, and those that share them with the wanted one are kept: few as a rule.
#pragma once
#include <utility>

#include "ops/sort/sort_radix-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kSearched = 8192;

template <class Key>
static int64_t count_below(const Key* keys, int64_t n, Key bound) {
  constexpr int L = kLanes<Key>;
  const Vec<Key> limit = broadcast<Key>(bound);
  Vec<Key> a{}, b{}, c{}, d{};
  int64_t i = 0;
  for (; i + 4 * L <= n; i += 4 * L) {
    a -= load<Key>(keys + i) < limit;
    b -= load<Key>(keys + i + L) < limit;
    c -= load<Key>(keys + i + 2 * L) < limit;
    d -= load<Key>(keys + i + 3 * L) < limit;
  }
  for (; i + L <= n; i += L) a -= load<Key>(keys + i) < limit;
  int64_t count = tree_sum<Key>(a + b + (c + d));
  for (; i < n; ++i) count += keys[i] < bound;
  return count;
}
// The bits in which any key differs from the first.
template <class Key>
static Key differing_bits(const Key* keys, int64_t n) {
  Key bits = 0;
  for (int64_t i = 0; i < n; ++i) bits |= keys[i] ^ keys[0];
  return bits;
}
template <class Key>
static Key search_bits(const Key* keys, int64_t n, int64_t rank) {
  using Digits = DigitsOf<Key>;
  const int bits = bits_of<Digits>(differing_bits(keys, n));
  if (bits == 0) return keys[0];
  Digits found = unsigned_key(keys[0]) >> (bits - 1) >> 1 << 1 << (bits - 1);  // the bits above, which all keys share
  for (int bit = bits - 1; bit >= 0; --bit) {
    const Digits next = found | Digits{1} << bit;
    if (count_below(keys, n, signed_key<Key>(next)) <= rank) found = next;
  }
  return signed_key<Key>(found);
}

// Keeps, of n keys, those that share the 11 highest differing bits with the one of `rank`, in their order in `kept`,
// and takes what lies below them from the rank. Returns how many; n keys that are all equal stay.
template <class Key>
static int64_t keep_near(const Key* keys, int64_t n, int64_t& rank, Key* kept) {
  const int64_t chunks = (n + kSortChunk - 1) / kSortChunk;
  Scratch<Key> differ(chunks);
  parallel_for(n, kSortChunk, [&](int64_t begin, int64_t end) {
    differ[begin / kSortChunk] = differing_bits(keys + begin, end - begin) | (keys[begin] ^ keys[0]);
  });
  for (int64_t c = 1; c < chunks; ++c) differ[0] |= differ[c];
  const int bits = bits_of<DigitsOf<Key>>(differ[0]), shift = bits < kDigitBits ? 0 : bits - kDigitBits;
  const auto digit_of = [&](Key key) __attribute__((always_inline)) {
    return static_cast<int64_t>((unsigned_key(key) >> shift) % kDigitValues);
  };
  Scratch<int32_t> counts(chunks * kDigitValues);
  parallel_for(n, kSortChunk, [&](int64_t begin, int64_t end) {
    int32_t* const count = counts + begin / kSortChunk * kDigitValues;
    __builtin_memset(count, 0, kDigitValues * sizeof(int32_t));
    for (int64_t i = begin; i < end; ++i) ++count[digit_of(keys[i])];
  });
  int64_t digit = 0;
  for (int64_t below = 0;; ++digit, rank -= below) {
    below = 0;
    for (int64_t c = 0; c < chunks; ++c) below += counts[c * kDigitValues + digit];
    if (rank < below) break;
  }
  Scratch<int64_t> first(chunks + 1);
  first[0] = 0;
  for (int64_t c = 0; c < chunks; ++c) first[c + 1] = first[c] + counts[c * kDigitValues + digit];
  parallel_for(n, kSortChunk, [&](int64_t begin, int64_t end) {
    int64_t at = first[begin / kSortChunk];
    const int64_t last = first[begin / kSortChunk + 1];
    for (int64_t i = begin; i < end && at < last; ++i) {  // without a branch, but never past this chunk's places
      kept[at] = keys[i];
      at += digit_of(keys[i]) == digit;
    }
  });
  return first[chunks];
}

// The key of rank 0 <= rank < n; n keys of spare room, twice where there are more than kSearched.
template <class Key>
static Key key_of_rank(const Key* keys, int64_t n, int64_t rank, Key* spare, Key* other) {
  while (n > kSearched) {
    const int64_t left = keep_near(keys, n, rank, spare);
    if (left == n && differing_bits(spare, n) == 0) return spare[0];
    keys = spare, n = left;
    std::swap(spare, other);
  }
  return search_bits(keys, n, rank);
}

// Where a key stands for the (count + 1)-th time; it does.
template <class Key>
static int64_t place_of(const Key* keys, int64_t n, Key key, int64_t count) {
  constexpr int64_t kBlock = 256;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    int32_t here = 0;
    for (int64_t i = begin; i < end; ++i) here += keys[i] == key;
    if (here > count)
      for (int64_t i = begin;; ++i)
        if (keys[i] == key && count-- == 0) return i;
    count -= here;
  }
  return n - 1;
}

}  // namespace fastdl::FASTDL_ISA
