// Sorting lines of (outer, n, inner). Short ones: a block in shared memory (sort_short.cuh). Longer ones: their keys,
// one line after another, by radix (cuda/radix_sort.cuh), which moves key and place; then values are picked by place,
// so that zeros and NaNs come out as they went in.
#include "ops/sort/sort_short.cuh"

namespace fastdl {
namespace {

template <class T>
void sort(const SortArgs& a, Stream stream) {
  const Lines& l = a.lines;
  const int64_t lines = l.outer * l.inner;
  const Numbers<T> numbers = numbers_of<T>(a.x, l, a.descending);
  const Results<T> to = {numbers, l.n, static_cast<T*>(a.values), a.indices};
  if (l.n <= kShortTile) return sort_short(numbers, StoreFirst<T>{to}, lines, l.n, l.inner > 1, stream);
  RadixSort<KeyOf<T>> sorted(lines, l.n);
  write_keys(numbers, l, sorted.keys(), stream);
  sorted.run(kKeyBits<T>, stream);
  store_sorted(to, sorted.places(), lines, stream);
}

}  // namespace

void sort_lines(const SortArgs& a, Stream stream) {
  if (a.lines.outer * a.lines.n * a.lines.inner == 0) return;
  visit_any(a.dtype, [&](auto zero) { sort<decltype(zero)>(a, stream); });
}

}  // namespace fastdl
