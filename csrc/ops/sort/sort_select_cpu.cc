// The k first of lines and the k-th, on the CPU.
//
//   small k   one read: numbers, a block at a time, against the k-th of those before; what lies below it, k ln(n / k) of
//             n in any order, is put into a sorted list. Lines on which more does (sorted the other way) change over:
//   others    the key of rank k (sort_select-inl.h), the numbers below it and the first of those equal to it, sorted
//   most      sorted whole
//   k-th      its key, then the place of the key
//
// A long line goes in chunks: each has a list of its own, then the lists become one.
#include "ops/sort/sort_select-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kListed = 128;           // k up to here by way of a list
constexpr int64_t kBlock = 64;             // numbers that one comparison dismisses
constexpr int64_t kListChunk = 64 * 1024;  // of a long line

// The k first items so far, in order.
template <class Key>
struct FirstList {
  Keyed<Key>* items;
  int64_t k, count;

  bool full() const { return count == k; }
  void add(Key key, int64_t index) {  // which lies after those before it: of equals it is the last
    int64_t j = full() ? k - 1 : count++;
    for (; j > 0 && items[j - 1].key > key; --j) items[j] = items[j - 1];
    items[j] = {key, static_cast<int32_t>(index)};
  }
};

// Puts what belongs there of x[begin, end) into the list; false when that is too much work.
template <class T>
static bool list_first(const T* x, int64_t begin, int64_t end, KeyOf<T> flip, FirstList<KeyOf<T>>& list) {
  using Key = KeyOf<T>;
  Key keys[kBlock];
  int64_t left = kBlock + 16 * list.k + (end - begin) / 16;
  for (int64_t i = begin; i < end; i += kBlock) {
    const int64_t n = end - i < kBlock ? end - i : kBlock;
    Key least = kLargestKey<Key>;
    if (n == kBlock) {
      for (int64_t j = 0; j < kBlock; ++j) {
        keys[j] = ordered(x[i + j]) ^ flip;
        least = keys[j] < least ? keys[j] : least;
      }
    } else {
      for (int64_t j = 0; j < n; ++j) keys[j] = ordered(x[i + j]) ^ flip;
      least = -kLargestKey<Key> - 1;
    }
    if (list.full() && !(least < list.items[list.k - 1].key)) continue;
    for (int64_t j = 0; j < n; ++j) {
      if (list.full() && !(keys[j] < list.items[list.k - 1].key)) continue;
      list.add(keys[j], i + j);
      --left;
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

  TopkOfLine(int64_t n, int64_t k, Key flip)
      : n_(n), k_(k), flip_(flip), chunks_(n < kLongLine ? 1 : (n + kListChunk - 1) / kListChunk), lists_(chunks_ * k) {}

  void operator()(const T* x, T* values, int64_t* indices) {
    if (k_ > kListed || 2 * k_ > n_ || !by_lists(x)) return by_rank(x, values, indices);
    for (int64_t i = 0; i < k_; ++i) indices[i] = lists_[i].index, values[i] = x[indices[i]];
  }

 private:
  bool by_lists(const T* x) {
    const int64_t size = chunks_ == 1 ? n_ : kListChunk;
    bool done = true;
    parallel_for(n_, size, [&](int64_t begin, int64_t end) {
      FirstList<Key> list{lists_ + begin / size * k_, k_, 0};
      if (!list_first<T>(x, begin, end, flip_, list)) __atomic_store_n(&done, false, __ATOMIC_RELAXED);
      for (; list.count < k_; ++list.count) list.items[list.count].index = -1;  // a short last chunk
    });
    if (!done) return false;
    FirstList<Key> all{lists_, k_, k_};
    for (const Keyed<Key>* item = lists_ + k_; item < lists_ + chunks_ * k_; ++item)
      if (item->index >= 0 && item->key < all.items[k_ - 1].key) all.add(item->key, item->index);
    return true;
  }

  void by_rank(const T* x, T* values, int64_t* indices) {
    LineSorter<T> sorter(n_, flip_);
    if (2 * k_ > n_) return sorter.write(x, k_, sorter.sorted(x), values, indices);
    Scratch<Key> keys(n_), spare(n_), other(n_);
    parallel_for(n_, kSortChunk, [&](int64_t begin, int64_t end) {
      load_keys<T>(x + begin, end - begin, flip_, keys + begin);
    });
    const Key last = key_of_rank<Key>(keys, n_, k_ - 1, spare, other);
    int64_t equal = k_ - count_below<Key>(keys, n_, last), at = 0;
    auto* const items = sorter.items();
    for (int64_t i = 0; at < k_; ++i) {  // without a branch
      items[at] = {unsigned_key<Key>(keys[i]), static_cast<int32_t>(i)};
      const bool is_equal = keys[i] == last;
      at += (keys[i] < last) | (is_equal & (equal > 0));
      equal -= is_equal;
    }
    sorter.write(x, k_, sorter.in_order(k_), values, indices);
  }

  const int64_t n_, k_;
  const Key flip_;
  const int64_t chunks_;
  Scratch<Keyed<Key>> lists_;
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
    parallel_for(n_, kSortChunk, [&](int64_t begin, int64_t end) {
      load_keys<T>(x + begin, end - begin, Key{0}, keys_ + begin);
    });
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
