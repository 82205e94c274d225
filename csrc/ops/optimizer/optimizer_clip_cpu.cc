// Clipping of gradients on the CPU: the norm of all gradients as one vector in one read, and a second pass over them
// only where the norm is too large.
//
// A chunk of the range over all gradients has a partial norm of its own; these are added in their order, in double.
#include "cpu/power-inl.h"
#include "cpu/runs-inl.h"
#include "ops/optimizer/optimizer_pieces-inl.h"

namespace fastdl::FASTDL_ISA {

enum class Norm { kOne, kTwo, kLargest, kPower };

template <class T, Norm kNorm>
FASTDL_INLINE Vec<T> term(Vec<T> x, Vec<T> p) {
  if constexpr (kNorm == Norm::kTwo) return x * x;
  if constexpr (kNorm == Norm::kPower) return vpower<T>(vabs<T>(x), p);
  return vabs<T>(x);
}

template <class T, Norm kNorm>
static double partial_norm(const T* x, int64_t n, double power) {
  constexpr int L = kLanes<T>;
  const Vec<T> p = broadcast<T>(static_cast<T>(power));
  const auto join = [](Vec<T> a, Vec<T> b)
                        __attribute__((always_inline)) { return kNorm == Norm::kLargest ? max_nan<T>(a, b) : a + b; };
  Vec<T> sums[kRunSums] = {};
  const auto add = [&](int k, int64_t i, auto lanes) FASTDL_BODY {
    sums[k] = in_place<T>(join(sums[k], term<T, kNorm>(load_some<T>(x + i, lanes), p)));
  };
  if constexpr (kNorm == Norm::kPower)  // the power is long, and so is its code
    for_each_vector<T>(n, [&](int64_t i, auto lanes) FASTDL_BODY { add(0, i, lanes); });
  else
    accumulate_run<T>(n, add);
  const Vec<T> all = join(join(sums[0], sums[1]), join(sums[2], sums[3]));
  if constexpr (kNorm != Norm::kLargest) return static_cast<double>(tree_sum<T>(all));
  T largest = all[0];
  for (int l = 1; l < L; ++l) largest = all[l] > largest || all[l] != all[l] ? all[l] : largest;
  return static_cast<double>(largest);
}

template <class T, Norm kNorm>
static double norm_of(const GradNormArgs& a) {
  int64_t total = 0;
  for (int64_t t = 0; t < a.count; ++t) total += a.tensors[t].n;
  // One place a chunk; a piece finds its chunk from its place in the range.
  const int64_t chunks = (total + kChunk - 1) / kChunk;
  Scratch<double> partial(chunks + 1);
  for (int64_t c = 0; c < chunks; ++c) partial[c] = 0;
  for_each_piece(a.tensors, a.count, [&](const GradTensor& t, int64_t first, int64_t n, int64_t chunk) {
    const double part = partial_norm<T, kNorm>(static_cast<const T*>(t.grad) + first, n, a.p);
    double& sum = partial[chunk];
    if constexpr (kNorm == Norm::kLargest)
      sum = part > sum || part != part ? part : sum;
    else
      sum += part;
  });
  double norm = 0;
  for (int64_t c = 0; c < chunks; ++c) {
    if constexpr (kNorm == Norm::kLargest)
      norm = partial[c] > norm || partial[c] != partial[c] ? partial[c] : norm;
    else
      norm += partial[c];
  }
  return norm;
}

void grad_norm(const GradNormArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    double norm;
    if (a.p == 2)
      norm = ::sqrt(norm_of<T, Norm::kTwo>(a));
    else if (a.p == 1)
      norm = norm_of<T, Norm::kOne>(a);
    else if (a.p == __builtin_inf())
      norm = norm_of<T, Norm::kLargest>(a);
    else
      norm = ::pow(norm_of<T, Norm::kPower>(a), 1 / a.p);
    *static_cast<T*>(a.norm) = static_cast<T>(norm);
  });
}

// Into L1, for arrays that are read and written in place: the processor's own prefetcher stops at the end of each page.
FASTDL_INLINE void ask_ahead(const void* p) {
  __builtin_prefetch(static_cast<const char*>(p) + 8192, 1);
}

void clip_norm(const ClipNormArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T scale = static_cast<T>(a.max_norm) / (*static_cast<const T*>(a.norm) + static_cast<T>(kClipEps));
    if (scale >= T{1}) return;  // false for NaN
    for_each_piece<true>(a.tensors, a.count, [&](const GradTensor& t, int64_t first, int64_t n, int64_t) {
      T* const grad = static_cast<T*>(t.grad) + first;
      for_each_vector<T>(n, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
        ask_ahead(grad + i);
        store_some<T>(grad + i, load_some<T>(grad + i, lanes) * scale, lanes);
      });
    });
  });
}

void clip_value(const ClipValueArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Vec<T> high = broadcast<T>(static_cast<T>(a.limit)), low = -high;
    for_each_piece(a.tensors, a.count, [&](const GradTensor& t, int64_t first, int64_t n, int64_t) {
      T* const grad = static_cast<T*>(t.grad) + first;
      for_each_vector<T>(n, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
        ask_ahead(grad + i);
        const Vec<T> g = load_some<T>(grad + i, lanes);
        store_some<T>(grad + i, select<T>(g > high, high, select<T>(g < low, low, g)), lanes);
      });
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
