// Looking up rows of a table: forward a copy of rows, backward a sum of gradients for each row.
//
//   out[i] = weight[index[i]]          grad_weight[r] = sum over the lookups i of row r, in order, of grad[i]
//
// Who owns what: forward, a thread a pack of 16 bytes of out. Backward, lookups are sorted by row, and a thread owns 32
// of the sorted ones and a pack of columns (cuda/lookups.cuh): no atomics, one order of every sum. Norms: a warp a row,
// of the first lookup that names it. The limit of all is memory bandwidth.
#include "ops/embedding/embedding_gradient.cuh"

namespace fastdl {
namespace {

// ---- norms ----------------------------------------------------------------------------------------------------------

// first[row] = the largest n - i over the lookups i of the row: its first lookup owns it.
template <class I>
__global__ void __launch_bounds__(kBlock) find_first_lookups(const I* index, int64_t n, unsigned* first) {
  const int64_t i = global_thread();
  if (i < n) atomicMax(&first[index[i]], static_cast<unsigned>(n - i));
}

enum class Norm { kOne, kTwo, kInfinity, kAny };

template <Norm norm, class T>
__device__ __forceinline__ T term(T x, T p) {
  const T size = x < T{0} ? -x : x;
  if constexpr (norm == Norm::kTwo) return x * x;
  if constexpr (norm == Norm::kAny) return pow(size, p);
  return size;
}

template <Norm norm, class T, class I>
__global__ void __launch_bounds__(kBlock)
    scale_rows(T* weight, const I* index, const unsigned* first, int64_t n, int64_t width, double max_norm, T p) {
  constexpr double kTiny = 1e-7;  // PyTorch's, against rounding up to just above the norm
  const int64_t i = global_thread() / kWarp;
  if (i >= n) return;  // a whole warp, as below
  const int64_t at = index[i];
  if (first[at] != static_cast<unsigned>(n - i)) return;
  T* const row = weight + at * width;
  T sum = 0;
  for (int64_t j = threadIdx.x % kWarp; j < width; j += kWarp) {
    const T next = term<norm>(row[j], p);
    sum = norm == Norm::kInfinity ? Max{}(sum, next) : sum + next;
  }
  sum = norm == Norm::kInfinity ? warp_max(sum) : warp_sum(sum);
  if constexpr (norm == Norm::kTwo) sum = sqrt(sum);
  if constexpr (norm == Norm::kAny) sum = pow(sum, T{1} / p);
  if (!(sum > static_cast<T>(max_norm))) return;
  const T scale = static_cast<T>(max_norm / (static_cast<double>(sum) + kTiny));
  for (int64_t j = threadIdx.x % kWarp; j < width; j += kWarp) row[j] *= scale;
}

template <class T, class I>
void renorm(const EmbeddingRenormArgs& a, const I* index, Stream stream) {
  const int64_t n = a.t.count;
  const DeviceScratch<unsigned> first(a.t.rows);
  set_zero(first.get(), static_cast<size_t>(a.t.rows) * sizeof(unsigned), stream);
  launch(find_first_lookups<I>, blocks_for(n, kBlock), kBlock, 0, stream, index, n, first.get());
  const auto kernel = a.norm_type == 1                      ? scale_rows<Norm::kOne, T, I>
                      : a.norm_type == 2                    ? scale_rows<Norm::kTwo, T, I>
                      : a.norm_type == __builtin_huge_val() ? scale_rows<Norm::kInfinity, T, I>
                                                            : scale_rows<Norm::kAny, T, I>;
  launch(kernel, blocks_for(n, kBlock / kWarp), kBlock, 0, stream, static_cast<T*>(a.weight), index, first.get(), n,
         a.t.width, a.max_norm, static_cast<T>(a.norm_type));
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void embedding_fwd(const EmbeddingFwdArgs& a, Stream stream) {
  const EmbeddingTable& t = a.t;
  visit_index(t.index_dtype, [&](auto zero) {
    using I = decltype(zero);
    visit_itemsize(static_cast<int>(itemsize(t.dtype)), [&](auto number) {
      using T = decltype(number);
      look_up_lines(static_cast<const T*>(a.weight), static_cast<const I*>(t.index), static_cast<T*>(a.out), 1, t.rows,
                    t.width, t.count, report_to(t.bad_index), stream);
    });
  });
}

void embedding_bwd(const EmbeddingBwdArgs& a, Stream stream) {
  visit_table(a.t, [&](auto zero, auto index) {
    using T = decltype(zero);
    const Addends<T> grads = {static_cast<const T*>(a.grad), nullptr, nullptr, nullptr};
    add_to_table<T>(a.t, index, a.t.count, grads, a.t.count, a.g, report_to(a.t.bad_index), stream);
  });
}

void embedding_renorm(const EmbeddingRenormArgs& a, Stream stream) {
  visit_checked_table(a.t, stream, [&](auto zero, auto index) { renorm<decltype(zero)>(a, index, stream); });
}

}  // namespace fastdl
