// Looking up rows of a table on the CPU: forward a copy of rows, backward a sum of gradients for each row.
//
//   out[i] = weight[index[i]]          grad_weight[r] = sum over the lookups i of row r, in order, of grad[i]
//
// A chunk owns lookups in the forward pass, rows of the table in the backward pass (cpu/lookups-inl.h: lookups are
// sorted by row, every row is summed in registers and written once). The gradient of a large table is mostly zeros that
// must be written, so these bypass the caches.
#include "cpu/math-inl.h"
#include "ops/embedding/embedding_gradient-inl.h"

namespace fastdl::FASTDL_ISA {

void embedding_fwd(const EmbeddingFwdArgs& a) {
  visit_table(a.t, [&](auto zero, auto index) {
    using T = decltype(zero);
    copy_rows<T>(static_cast<const T*>(a.weight), index, a.t.count, a.t.width, static_cast<T*>(a.out));
  });
}

void embedding_bwd(const EmbeddingBwdArgs& a) {
  visit_table(a.t, [&](auto zero, auto index) {
    using T = decltype(zero);
    const Addends<T> grads{static_cast<const T*>(a.grad), a.t.width, nullptr, nullptr, false};
    add_to_table<T>(a.t, index, a.t.count, grads, a.g);
  });
}

// ---- norms ----------------------------------------------------------------------------------------------------------

template <class T>
static T power(T x, T p) {
  return sizeof(T) == 4 ? ::powf(x, p) : ::pow(x, p);
}

// (sum of |x|^p)^(1/p); the largest |x| for an infinite p. Over lanes where the compiler sees that it may.
template <class T>
static T norm_of(const T* x, int64_t n, T p) {
  Vec<T> sum{};
  T rest{};
  int64_t j = 0;
  if (p == T{1} || p == T{2}) {
    for (; j < n; j += kLanes<T>) {
      const Vec<T> v = load_some<T>(x + j, n - j);
      sum += p == T{2} ? v * v : vabs<T>(v);
    }
    const T total = tree_sum<T>(sum);
    return p == T{2} ? static_cast<T>(sizeof(T) == 4 ? ::sqrtf(total) : ::sqrt(total)) : total;
  }
  if (p == static_cast<T>(__builtin_inf())) {
    for (; j < n; j += kLanes<T>) sum = max_nan<T>(sum, vabs<T>(load_some<T>(x + j, n - j)));
    for (int i = 0; i < kLanes<T>; ++i) rest = sum[i] > rest || sum[i] != sum[i] ? sum[i] : rest;
    return rest;
  }
  for (; j < n; ++j) rest += power<T>(x[j] < 0 ? -x[j] : x[j], p);
  return power<T>(rest, T{1} / p);
}

void embedding_renorm(const EmbeddingRenormArgs& a) {
  constexpr double kTiny = 1e-7;  // PyTorch's, against rounding up to just above the norm
  visit_table(a.t, [&](auto zero, auto index) {
    using T = decltype(zero);
    const int64_t n = a.t.count, width = a.t.width;
    Scratch<Lookup> sorted(n), spare(n);
    sort_lookups(index, n, a.t.rows, sorted.get(), spare.get());
    Scratch<int64_t> rows(n), begin(n), end(n);
    const int64_t found = find_rows(sorted, n, -1, {rows, begin, end});
    parallel_for(found, kSumGrain / (width + 1) + 1, [&](int64_t first, int64_t last) {
      for (int64_t u = first; u < last; ++u) {
        T* const row = static_cast<T*>(a.weight) + rows[u] * width;
        const T norm = norm_of<T>(row, width, static_cast<T>(a.norm_type));
        if (!(norm > static_cast<T>(a.max_norm))) continue;
        const T scale = static_cast<T>(a.max_norm / (static_cast<double>(norm) + kTiny));
        for (int64_t j = 0; j < width; ++j) row[j] *= scale;
      }
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
