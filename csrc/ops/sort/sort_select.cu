// The first k of each line, and the number of a rank.
//
// Short lines are sorted in shared memory. Of others a block finds the key of the rank (sort_select.cuh) and walks the
// line once more: for the first k it collects what lies below, and of the equal ones the first, in the order of the
// line, and these k are sorted. A few lines of very many numbers would keep a few blocks busy: those are sorted whole,
// as are lines of which more than 1024 are wanted.
#include "ops/sort/sort_select.cuh"
#include "ops/sort/sort_short.cuh"

namespace fastdl {
namespace {

// ---- the first k ----------------------------------------------------------------------------------------------------

// Collected keys and their places, k a line.
template <class K>
struct Collected {
  using Key = K;
  Key* keys;
  unsigned* places;
  int64_t k;

  __device__ Key key(int64_t line, int64_t i) const { return keys[line * k + i]; }
  __device__ unsigned place(int64_t line, int64_t i) const { return places[line * k + i]; }
};

// A block a line.
template <class Key>
__global__ void __launch_bounds__(kBlock) collect_first(const Key* keys, int64_t n, int bits, Collected<Key> to) {
  const int64_t line = blockIdx.x;
  keys += line * n;
  const Selected<Key> last = select_key(keys, n, to.k - 1, bits);
  const int64_t wanted = to.k - last.below;  // of those that equal the last one
  int64_t below = 0, equal = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    const int64_t i = first + threadIdx.x;
    const Key key = i < n ? keys[i] : kNanKey<Key>;
    const bool is_below = i < n && key < last.key, is_equal = i < n && key == last.key;
    // Both counts in one sum: a block has fewer than 2^16 threads.
    const RunningSum<unsigned> sum = block_running_sum((is_below ? 1u : 0u) + (is_equal ? 0x10000u : 0u));
    const int64_t below_here = below + (sum.before & 0xffffu), equal_here = equal + (sum.before >> 16);
    if (is_below || (is_equal && equal_here < wanted)) {
      const int64_t at = line * to.k + below_here + min(equal_here, wanted);
      to.keys[at] = key;
      to.places[at] = static_cast<unsigned>(i);
    }
    below += sum.total & 0xffffu;
    equal += sum.total >> 16;
  }
}

template <class T>
void topk(const TopkArgs& a, Stream stream) {
  using Key = KeyOf<T>;
  const Lines& l = a.lines;
  const int64_t lines = l.outer * l.inner;
  const Numbers<T> numbers = numbers_of<T>(a.x, l, a.largest);
  const Results<T> to = {numbers, a.k, static_cast<T*>(a.values), a.indices};
  if (l.n <= kShortTile) return sort_short(numbers, StoreFirst<T>{to}, lines, l.n, l.inner > 1, stream);
  if (a.k > kShortTile || few_and_long(l)) {
    RadixSort<Key> sorted(lines, l.n);
    write_keys(numbers, l, sorted.keys(), stream);
    sorted.run(kKeyBits<T>, stream);
    return store_sorted(to, sorted.places(), lines, stream);
  }
  const DeviceScratch<Key> keys(lines * l.n), chosen(lines * a.k);
  const DeviceScratch<unsigned> places(lines * a.k);
  write_keys(numbers, l, keys.get(), stream);
  const Collected<Key> list = {chosen, places, a.k};
  launch(collect_first<Key>, blocks_for(lines, 1), kBlock, 0, stream, keys.get(), l.n, kKeyBits<T>, list);
  sort_short(list, StoreFirst<T>{to}, lines, a.k, false, stream);
}

// ---- one rank -------------------------------------------------------------------------------------------------------

// A block a line.
template <class T>
__global__ void __launch_bounds__(kBlock) find_rank(const KeyOf<T>* keys, Results<T> to, RankRule rule) {
  using Key = KeyOf<T>;
  const int64_t line = blockIdx.x, n = to.numbers.n;
  keys += line * n;
  int nans = 0;
  if (rule.counts_nans())
    for (int64_t i = threadIdx.x; i < n; i += kBlock) nans += keys[i] == kNanKey<Key>;
  nans = block_sum(nans);
  const int64_t rank = rule.of(n, nans);
  const Selected<Key> found = select_key(keys, n, rank, kKeyBits<T>);
  int64_t left = rank - found.below;  // equal ones that come before it
  for (int64_t first = 0; left >= 0; first += kBlock) {
    const int64_t i = first + threadIdx.x;
    const bool equal = i < n && keys[i] == found.key;
    const RunningSum<int> sum = block_running_sum(static_cast<int>(equal));
    if (equal && sum.before == left) to.store(line, 0, static_cast<unsigned>(i));
    left -= sum.total;
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    store_rank(const KeyOf<T>* keys, const unsigned* places, Results<T> to, RankRule rule, int64_t lines) {
  const int64_t line = global_thread(), n = to.numbers.n;
  if (line < lines) to.store(line, 0, places[line * n + rule.in(keys + line * n, n)]);
}

template <class T>
void kth(const KthArgs& a, Stream stream) {
  using Key = KeyOf<T>;
  const Lines& l = a.lines;
  const int64_t lines = l.outer * l.inner;
  const Numbers<T> numbers = numbers_of<T>(a.x, l, false);
  const Results<T> to = {numbers, 1, static_cast<T*>(a.values), a.indices};
  const RankRule rule = {a.rank, a.k, std::is_floating_point_v<T>};
  if (l.n <= kShortTile) return sort_short(numbers, StoreRank<T>{to, rule}, lines, l.n, l.inner > 1, stream);
  if (few_and_long(l)) {
    RadixSort<Key> sorted(lines, l.n);
    write_keys(numbers, l, sorted.keys(), stream);
    sorted.run(kKeyBits<T>, stream);
    return launch(store_rank<T>, blocks_for(lines, kBlock), kBlock, 0, stream, sorted.keys(), sorted.places(), to, rule,
                  lines);
  }
  const DeviceScratch<Key> keys(lines * l.n);
  write_keys(numbers, l, keys.get(), stream);
  launch(find_rank<T>, blocks_for(lines, 1), kBlock, 0, stream, keys.get(), to, rule);
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void topk_lines(const TopkArgs& a, Stream stream) {
  if (a.lines.outer * a.lines.inner * a.k == 0) return;
  visit_any(a.dtype, [&](auto zero) { topk<decltype(zero)>(a, stream); });
}

void kth_of_lines(const KthArgs& a, Stream stream) {
  if (a.lines.outer * a.lines.inner == 0) return;
  visit_any(a.dtype, [&](auto zero) { kth<decltype(zero)>(a, stream); });
}

}  // namespace fastdl
