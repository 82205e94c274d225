// Places in sorted sequences, groups of equal numbers, and the gradient of chosen ones.
//
// Who owns what: a thread a number. Groups begin where a number differs from the one before it, and are counted by
// blocks (cuda/scan.cuh). The limit of searches is the latency of their reads, the first of which all share.
#include "ops/sort/sort_keys.cuh"

namespace fastdl {
namespace {

// How many keys of a sequence lie below a key, or (right) not above it.
template <class T>
__global__ void __launch_bounds__(kBlock) search(const T* sorted, const T* x, int64_t* out, int64_t threads,
                                                 int64_t length, Divider count, bool shared, bool right) {
  const int64_t i = global_thread();
  if (i >= threads) return;
  const T* const sequence = shared ? sorted : sorted + count.divide(i) * length;
  const KeyOf<T> wanted = key_of(x[i]);
  int64_t low = 0, high = length;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    const KeyOf<T> key = key_of(sequence[middle]);
    if (key < wanted || (right && key == wanted))
      low = middle + 1;
    else
      high = middle;
  }
  out[i] = low;
}

// NaN differs from itself: each is a group of its own.
template <class T>
struct BeginsGroup {
  const T* x;

  __device__ bool operator()(int64_t i) const { return i == 0 || x[i] != x[i - 1]; }
};

struct WriteGroups {
  const int64_t* indices;  // or null
  int64_t *inverse, *first;

  __device__ void operator()(int64_t i, bool begins, int64_t upto) const {
    if (begins) first[upto - 1] = i;
    if (indices) inverse[indices[i]] = upto - 1;
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    put_chosen(const T* grad, const int64_t* indices, T* out, int64_t n, LineShape s, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t at = indices[i];
  if (at < 0 || at >= s.n) return report(i);
  out[s.place(i, at)] = grad[i];
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void search_sorted(const SearchSortedArgs& a, Stream stream) {
  const int64_t n = a.sequences * a.count;
  visit_any(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(search<T>, blocks_for(n, kBlock), kBlock, 0, stream, static_cast<const T*>(a.sorted),
           static_cast<const T*>(a.x), a.out, n, a.length, divide_by(a.count), a.shared, a.right);
  });
}

void group_equal(const GroupEqualArgs& a, Stream stream) {
  *a.bad_index = a.indices ? first_failure(OutsideRange<int64_t>{a.indices, a.n}, a.n, stream) : 0;
  *a.groups = 0;
  if (*a.bad_index) return;
  visit_any(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Chosen<BeginsGroup<T>> groups({static_cast<const T*>(a.sorted)}, a.n, stream);
    groups.visit(WriteGroups{a.indices, a.inverse, a.first}, stream);
    *a.groups = groups.count();
  });
}

void chosen_bwd(const ChosenBwdArgs& a, Stream stream) {
  const int64_t n = a.lines.outer * a.m * a.lines.inner, numbers = a.lines.outer * a.lines.n * a.lines.inner;
  set_zero(a.out, static_cast<size_t>(numbers) * itemsize(a.dtype), stream);
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(put_chosen<T>, blocks_for(n, kBlock), kBlock, 0, stream, static_cast<const T*>(a.grad), a.indices,
           static_cast<T*>(a.out), n, LineShape{divide_by(a.lines.inner), divide_by(a.m), a.lines.n},
           report_to(a.bad_index));
  });
}

}  // namespace fastdl
