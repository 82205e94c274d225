// The k first of lines and the k-th, on the CPU.
//
//   small k     one read: numbers, a block at a time, against the k-th of those before; what lies below it, k ln(n / k)
//               of n in any order, is put into a sorted list. Lines on which more does (sorted the other way) change
//               over
//   long line   the k-th of a sixteenth of its numbers is a bound; what is not above it, some 16 k, is sorted
//   others      the key of rank k (sort_select-inl.h), the numbers below it and the first of those equal to it, sorted
//   most        sorted whole
//   k-th        its key, then the place of the key
#include "ops/sort/sort_select-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kListed = 128;        // k up to here by way of a list
constexpr int64_t kBlock = 64;          // numbers that one comparison dismisses
constexpr int64_t kSampled = 16;        // one block of these is in the sample
constexpr int64_t kSampledLine = 8192;  // at least; and
constexpr int64_t kSampledShare = 64;   // k up to this part of it

// The k first items so far, in order.
template <class Key>
struct FirstList {
  Keyed<Key>* items;
  int64_t k, count;

  bool full() const { return count == k; }
  Key last() const { return items[k - 1].key; }
  void add(Key key, int64_t index) {  // which lies after those before it: of equals it is the last
    int64_t j = full() ? k - 1 : count++;
    for (; j > 0 && items[j - 1].key > key; --j) items[j] = items[j - 1];
    items[j] = {key, static_cast<int32_t>(index)};
  }
};

// The keys of n <= kBlock numbers, and the least of a whole block; of a part of one: less than any.
template <class T>
FASTDL_INLINE KeyOf<T> least_key(const T* x, int64_t n, KeyOf<T> flip, KeyOf<T>* keys) {
  using Key = KeyOf<T>;
  Key least = kLargestKey<Key>;
  if (n < kBlock) {
    for (int64_t j = 0; j < n; ++j) keys[j] = ordered(x[j]) ^ flip;
    return -least - 1;
  }
  for (int64_t j = 0; j < kBlock; ++j) {
    keys[j] = ordered(x[j]) ^ flip;
    least = keys[j] < least ? keys[j] : least;
  }
  return least;
}

// Puts what belongs there of n numbers into the list; false when that is too much work.
template <class T>
static bool list_first(const T* x, int64_t n, KeyOf<T> flip, FirstList<KeyOf<T>>& list) {
  using Key = KeyOf<T>;
  constexpr int L = kLanes<Key>;
  Key keys[kBlock];
  int64_t left = kBlock + 16 * list.k + n / 16;
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t size = n - i < kBlock ? n - i : kBlock;
    const Key least = least_key(x + i, size, flip, keys);
    if (list.full() && !(least < list.last())) continue;
    for (int64_t first = 0; first < size; first += L) {  // a vector at a time, then one by one
      const int64_t last = size - first < L ? size : first + L;
      if (list.full() && last - first == L && !any_lane<Key>(load<Key>(keys + first) < broadcast<Key>(list.last())))
        continue;
      for (int64_t j = first; j < last; ++j) {
        if (list.full() && !(keys[j] < list.last())) continue;
        list.add(keys[j], i + j);
        --left;
      }
    }
    if (left < 0) return false;
  }
  return true;
}

// The first k of lines of n contiguous numbers.
template <class T>
class TopkOfLine {
 public:
  using Key = KeyOf<T>;
  using Item = typename LineSorter<T>::Item;

  TopkOfLine(int64_t n, int64_t k, Key flip) : n_(n), k_(k), flip_(flip), list_(k < kListed ? k : kListed) {}

  void operator()(const T* x, T* values, int64_t* indices) {
    if (n_ < kLongLine && k_ <= kListed && 2 * k_ <= n_) {
      FirstList<Key> list{list_, k_, 0};
      if (list_first<T>(x, n_, flip_, list)) {
        for (int64_t i = 0; i < k_; ++i) indices[i] = list_[i].index, values[i] = x[indices[i]];
        return;
      }
    }
    LineSorter<T> sorter(n_, flip_);
    if (2 * k_ > n_)
      sorter.sort(x);
    else if (n_ >= kSampledLine && k_ <= n_ / kSampledShare)
      sorter.sort_items(take_below_sampled(x, sorter.items()));
    else
      sorter.sort_items(take_first(x, sorter.items()));
    sorter.write(x, k_, values, indices);
  }

 private:
  // All numbers up to the k-th of a sample, at least k.
  int64_t take_below_sampled(const T* x, Item* items) const {
    const int64_t step = kBlock * kSampled, sampled = n_ / step * kBlock;
    Scratch<Key> sample(sampled), spare(sampled), other(sampled);
    for (int64_t i = 0; i < sampled / kBlock; ++i) load_keys<T>(x + i * step, kBlock, flip_, sample + i * kBlock);
    const Key bound = key_of_rank<Key>(sample, sampled, k_ - 1, spare, other);
    const int64_t chunks = (n_ + kSortChunk - 1) / kSortChunk;
    Scratch<int64_t> counts(chunks);
    parallel_for(n_, kSortChunk, [&](int64_t begin, int64_t end) {
      counts[begin / kSortChunk] = take_up_to(x, begin, end, bound, items + begin);
    });
    int64_t at = counts[0];
    for (int64_t c = 1; c < chunks; at += counts[c++])
      __builtin_memmove(static_cast<void*>(items + at), items + c * kSortChunk,
                        static_cast<size_t>(counts[c]) * sizeof(Item));
    return at;
  }
  // Of x[begin, end) those not above the bound; returns how many.
  int64_t take_up_to(const T* x, int64_t begin, int64_t end, Key bound, Item* items) const {
    Key keys[kBlock];
    int64_t at = 0;
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t n = end - i < kBlock ? end - i : kBlock;
      if (least_key(x + i, n, flip_, keys) > bound) continue;
      for (int64_t j = 0; j < n; ++j) {  // without a branch
        items[at] = {unsigned_key<Key>(keys[j]), static_cast<int32_t>(i + j)};
        at += keys[j] <= bound;
      }
    }
    return at;
  }
  // Exactly the first k, in the order of the line.
  int64_t take_first(const T* x, Item* items) const {
    Scratch<Key> keys(n_), spare(n_), other(n_);
    parallel_for(n_, kSortChunk,
                 [&](int64_t begin, int64_t end) { load_keys<T>(x + begin, end - begin, flip_, keys + begin); });
    const Key last = key_of_rank<Key>(keys, n_, k_ - 1, spare, other);
    int64_t equal = k_ - count_below<Key>(keys, n_, last), at = 0;
    for (int64_t i = 0; at < k_; ++i) {  // without a branch
      items[at] = {unsigned_key<Key>(keys[i]), static_cast<int32_t>(i)};
      const bool is_equal = keys[i] == last;
      at += (keys[i] < last) | (is_equal & (equal > 0));
      equal -= is_equal;
    }
    return k_;
  }

  const int64_t n_, k_;
  const Key flip_;
  Scratch<Keyed<Key>> list_;
};

void topk_lines(const TopkArgs& a) {
  if (a.lines.outer * a.k * a.lines.inner == 0) return;
  visit_numbers(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const KeyOf<T> flip = flip_of<KeyOf<T>>(a.largest);
    for_each_line<T>(a.lines, a.k, static_cast<const T*>(a.x), static_cast<T*>(a.values), a.indices,
                     [&] { return TopkOfLine<T>(a.lines.n, a.k, flip); });
  });
}

template <class T>
class KthOfLine {
 public:
  using Key = KeyOf<T>;

  KthOfLine(int64_t n, Rank rank, int64_t k)
      : n_(n), k_(k), rank_(rank), keys_(n), spare_(n > kSearched ? n : 1), other_(n > kSearched ? n : 1) {}

  void operator()(const T* x, T* value, int64_t* index) {
    parallel_for(n_, kSortChunk,
                 [&](int64_t begin, int64_t end) { load_keys<T>(x + begin, end - begin, Key{0}, keys_ + begin); });
    constexpr Key kNan = kLargestKey<Key>;
    const int64_t numbers =
        rank_ != Rank::kGiven && std::is_floating_point_v<T> ? count_below<Key>(keys_, n_, kNan) : n_;
    int64_t k = k_;
    if (rank_ == Rank::kMedian) k = (n_ - 1) / 2;
    if (rank_ == Rank::kNanMedian) k = numbers > 0 ? (numbers - 1) / 2 : 0;
    if (rank_ == Rank::kMedian && numbers < n_) k = numbers;
    const Key key = key_of_rank<Key>(keys_, n_, k, spare_, other_);
    *index = place_of<Key>(keys_, n_, key, k - count_below<Key>(keys_, n_, key));
    *value = x[*index];
  }

 private:
  const int64_t n_, k_;
  const Rank rank_;
  Scratch<Key> keys_, spare_, other_;
};

void kth_of_lines(const KthArgs& a) {
  if (a.lines.outer * a.lines.inner == 0) return;
  visit_numbers(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_line<T>(a.lines, 1, static_cast<const T*>(a.x), static_cast<T*>(a.values), a.indices,
                     [&] { return KthOfLine<T>(a.lines.n, a.rank, a.k); });
  });
}

}  // namespace fastdl::FASTDL_ISA
