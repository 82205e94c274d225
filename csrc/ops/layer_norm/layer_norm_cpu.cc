// Layer normalisation on the CPU. A row stays in the L1 cache (L2 if it is long) while it is summed, its squared
// deviations are summed, and the result is written: memory is read once and written once. The later walks over a row
// fetch the next one, for memory would rest meanwhile.
//
// The gradient walks over a row twice: for its two means, and for grad_x and the row's share of grad_weight and
// grad_bias, which is added to sums of a part. The parts are added in order:
//
//   part 0   rows 0 ... 63     -> [ sum of grad * xhat ][ sum of grad ]
//   part 1   rows 64 ... 127   -> [ sum of grad * xhat ][ sum of grad ]      columns added from top to bottom
//
// A chunk owns rows, or parts.
#include "cpu/parallel.h"
#include "cpu/row_exp-inl.h"
#include "cpu/runs-inl.h"
#include "ops/layer_norm/layer_norm.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kPartRows = 64;  // whose share of a parameter's gradient is added up one by one

template <class T>
FASTDL_INLINE const T* as(const void* p) {
  return static_cast<const T*>(p);
}
template <class T>
FASTDL_INLINE T* as(void* p) {
  return static_cast<T*>(p);
}

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T, bool kWeight, bool kBias>
static void forward_row(const LayerNormFwdArgs& a, int64_t row, bool streams) {
  const T *const x = as<T>(a.x) + row * a.n, *const weight = as<T>(a.weight), *const bias = as<T>(a.bias);
  const T n = static_cast<T>(a.n);
  const T mean = row_sum<T>(a.n, [=](int64_t i, auto left) FASTDL_BODY { return load_some<T>(x + i, left); }) / n;
  const T var = row_sum<T>(a.n,
                           [=, &a](int64_t i, auto left) FASTDL_BODY {
                             prefetch(x + a.n + i / 2);
                             const Vec<T> d = load_some<T>(x + i, left) - mean;
                             return d * d;
                           }) /
                n;
  const T rstd = static_cast<T>(1 / __builtin_sqrt(static_cast<double>(var) + a.eps));
  as<T>(a.mean)[row] = mean;
  as<T>(a.rstd)[row] = rstd;
  map_run<T>(as<T>(a.out) + row * a.n, a.n, streams, [=, &a](int64_t i, auto left) FASTDL_BODY {
    prefetch(x + a.n + (a.n + i) / 2);
    Vec<T> y = (load_some<T>(x + i, left) - mean) * rstd;
    if constexpr (kWeight) y *= load_some<T>(weight + i, left);
    if constexpr (kBias) y += load_some<T>(bias + i, left);
    return y;
  });
}

template <class T, bool kWeight, bool kBias>
static void forward(const LayerNormFwdArgs& a) {
  const bool streams = a.rows * a.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes && a.n >= 8 * kLanes<T>;
  parallel_for(a.rows, kRowChunk / a.n + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) forward_row<T, kWeight, kBias>(a, row, streams);
    store_fence();
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// What grad_x of a row is made of: rstd * (h - mean_h - slope * (x - mean)) with h = grad * weight.
template <class T>
struct Row {
  const T *g, *x;
  T* grad_x;
  T mean, rstd, mean_h, slope;
};

template <class T, bool kWeight>
static Row<T> row_of(const LayerNormBwdArgs& a, int64_t row) {
  const T *const g = as<T>(a.grad) + row * a.n, *const x = as<T>(a.x) + row * a.n, *const weight = as<T>(a.weight);
  const T mean = as<T>(a.mean)[row], rstd = as<T>(a.rstd)[row];
  if (!a.grad_x) return {g, x, nullptr, mean, rstd, T{0}, T{0}};
  Vec<T> sum[kRunSums]{}, moment[kRunSums]{};
  accumulate_run<T, kRunSums, 1>(a.n, [&](int k, int64_t i, auto left) FASTDL_BODY {
    Vec<T> h = load_some<T>(g + i, left);
    if constexpr (kWeight) h *= load_some<T>(weight + i, left);
    sum[k] += h;
    moment[k] += h * (load_some<T>(x + i, left) - mean);
  });
  const T n = static_cast<T>(a.n);
  return {g, x, as<T>(a.grad_x) + row * a.n, mean, rstd, total<T>(sum) / n, rstd * rstd * (total<T>(moment) / n)};
}

// grad_x of a row, and its share of the parameters' gradients, which is added to the sums.
template <class T, bool kWeight, bool kParameters>
static void backward_row(const LayerNormBwdArgs& a, int64_t row, T* weight_sum, T* bias_sum, bool streams) {
  const T* const weight = as<T>(a.weight);
  const Row<T> r = row_of<T, kWeight>(a, row);
  for_row<T>(a.n, [&](int64_t i, auto left) FASTDL_BODY {
    prefetch(r.g + a.n + i), prefetch(r.x + a.n + i);
    const Vec<T> g = load_some<T>(r.g + i, left), d = load_some<T>(r.x + i, left) - r.mean;
    if constexpr (kParameters) {
      store_some<T>(weight_sum + i, load_some<T>(weight_sum + i, left) + g * (d * r.rstd), left);
      store_some<T>(bias_sum + i, load_some<T>(bias_sum + i, left) + g, left);
    }
    if (!r.grad_x) return;
    Vec<T> h = g;
    if constexpr (kWeight) h *= load_some<T>(weight + i, left);
    const Vec<T> grad_x = r.rstd * ((h - r.mean_h) - r.slope * d);
    streams ? stream<T>(r.grad_x + i, grad_x) : store_some<T>(r.grad_x + i, grad_x, left);
  });
}

template <class T, bool kWeight, bool kParameters>
static void backward(const LayerNormBwdArgs& a) {
  const int64_t parts = (a.rows + kPartRows - 1) / kPartRows;
  const bool streams = 3 * a.rows * a.n * static_cast<int64_t>(sizeof(T)) >= 2 * kStreamBytes && a.n % kLanes<T> == 0;
  Scratch<T> sums(kParameters ? 2 * parts * a.n : 0);
  parallel_for(parts, kRowChunk / (kPartRows * a.n) + 1, [&](int64_t part, int64_t end) {
    for (; part < end; ++part) {
      const int64_t last = part * kPartRows + kPartRows < a.rows ? part * kPartRows + kPartRows : a.rows;
      T *const weight_sum = sums + 2 * part * a.n, *const bias_sum = weight_sum + a.n;
      if (kParameters) __builtin_memset(weight_sum, 0, static_cast<size_t>(2 * a.n) * sizeof(T));
      for (int64_t row = part * kPartRows; row < last; ++row)
        backward_row<T, kWeight, kParameters>(a, row, weight_sum, bias_sum, streams);
    }
    store_fence();
  });
  for (int k = 0; kParameters && k < 2; ++k) {
    T* const out = as<T>(k == 0 ? a.grad_weight : a.grad_bias);
    const T* const from = sums + k * a.n;
    for_row<T>(a.n, [=](int64_t i, auto left) FASTDL_BODY {
      Vec<T> sum{};
      for (int64_t part = 0; part < parts; ++part) sum += load_some<T>(from + 2 * part * a.n + i, left);
      store_some<T>(out + i, sum, left);
    });
  }
}

// ---- launchers ------------------------------------------------------------------------------------------------------

void layer_norm_fwd(const LayerNormFwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t row = 0; a.n == 0 && row < a.rows; ++row) as<T>(a.mean)[row] = as<T>(a.rstd)[row] = T{0};
    if (a.rows * a.n == 0) return;
    if (a.weight)
      a.bias ? forward<T, true, true>(a) : forward<T, true, false>(a);
    else
      a.bias ? forward<T, false, true>(a) : forward<T, false, false>(a);
  });
}

void layer_norm_bwd(const LayerNormBwdArgs& a) {
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.weight)
      a.grad_weight ? backward<T, true, true>(a) : backward<T, true, false>(a);
    else
      a.grad_weight ? backward<T, false, true>(a) : backward<T, false, false>(a);
  });
}

}  // namespace fastdl::FASTDL_ISA
