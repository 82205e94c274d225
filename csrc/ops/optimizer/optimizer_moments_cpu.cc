// Adamax, NAdam, RAdam and Rprop on the CPU, as the steps of optimizer_cpu.cc: one pass, PyTorch's operations in their
// order.
#include "ops/optimizer/optimizer_pieces-inl.h"

namespace fastdl::FASTDL_ISA {

// ---- Adamax ---------------------------------------------------------------------------------------------------------
// m += (1 - beta1) * (g - m);  u = max(beta2 * u, |g| + eps);  p -= step_size * m / u

void adamax_step(const AdamaxArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const MomentsTensor& t, int64_t first, int64_t count) {
      T *const param = static_cast<T*>(t.param) + first, *const mean = static_cast<T*>(t.exp_avg) + first;
      T* const largest = static_cast<T*>(t.other) + first;
      const T* const grad = static_cast<const T*>(t.grad) + first;
      const T sign = a.maximize ? T{-1} : T{1}, decay = static_cast<T>(a.weight_decay), eps = static_cast<T>(a.eps);
      const T fresh = static_cast<T>(1 - a.beta1), beta2 = static_cast<T>(a.beta2);
      const T step_size = static_cast<T>(a.step_size);
      for_each_vector<T>(count, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
        const Vec<T> p = load_some<T>(param + i, lanes);
        Vec<T> g = load_some<T>(grad + i, lanes) * sign;
        if (decay != 0) g += p * decay;
        const Vec<T> m0 = load_some<T>(mean + i, lanes), m = m0 + (g - m0) * fresh;
        const Vec<T> u = max_nan<T>(load_some<T>(largest + i, lanes) * beta2, vabs<T>(g) + eps);
        store_some<T>(mean + i, m, lanes);
        store_some<T>(largest + i, u, lanes);
        store_some<T>(param + i, p - m * step_size / u, lanes);
      });
    });
  });
}

// ---- NAdam and RAdam ------------------------------------------------------------------------------------------------
// m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g * g
// p = keep * p - (of_grad * g + of_mean * m) / (sqrt(v) / root + eps), or without the quotient

template <class T, bool kDivided>
static void ahead_piece(const AheadArgs& a, const MomentsTensor& t, int64_t first, int64_t count) {
  T *const param = static_cast<T*>(t.param) + first, *const mean = static_cast<T*>(t.exp_avg) + first;
  T* const square = static_cast<T*>(t.other) + first;
  const T* const grad = static_cast<const T*>(t.grad) + first;
  const T sign = a.maximize ? T{-1} : T{1}, keep = static_cast<T>(a.keep), decay = static_cast<T>(a.weight_decay);
  const T fresh1 = static_cast<T>(1 - a.beta1), beta2 = static_cast<T>(a.beta2), fresh2 = static_cast<T>(1 - a.beta2);
  const T of_grad = static_cast<T>(a.of_grad), of_mean = static_cast<T>(a.of_mean);
  const T root = static_cast<T>(a.root), eps = static_cast<T>(a.eps);
  for_each_vector<T>(count, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
    const Vec<T> p = load_some<T>(param + i, lanes);
    Vec<T> g = load_some<T>(grad + i, lanes) * sign;
    if (decay != 0) g += p * decay;
    const Vec<T> m0 = load_some<T>(mean + i, lanes), m = m0 + (g - m0) * fresh1;
    const Vec<T> v = load_some<T>(square + i, lanes) * beta2 + g * fresh2 * g;
    store_some<T>(mean + i, m, lanes);
    store_some<T>(square + i, v, lanes);
    Vec<T> update = m * of_mean;
    if (of_grad != 0) update += g * of_grad;
    if constexpr (kDivided) update = update / (vsqrt<T>(v) / root + eps);
    store_some<T>(param + i, rounded(p * keep) - update, lanes);  // as PyTorch rounds it
  });
}

void ahead_step(const AheadArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const MomentsTensor& t, int64_t first, int64_t count) {
      a.divided ? ahead_piece<T, true>(a, t, first, count) : ahead_piece<T, false>(a, t, first, count);
    });
  });
}

// ---- Rprop ----------------------------------------------------------------------------------------------------------
// size = size * (grow where g keeps its sign, shrink where it turns), within limits;  g = 0 where it turned
// p -= sign(g) * size

void rprop_step(const RpropArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const MomentsTensor& t, int64_t first, int64_t count) {
      T *const param = static_cast<T*>(t.param) + first, *const before = static_cast<T*>(t.exp_avg) + first;
      T* const sizes = static_cast<T*>(t.other) + first;
      const T* const grad = static_cast<const T*>(t.grad) + first;
      const T sign = a.maximize ? T{-1} : T{1}, shrink = static_cast<T>(a.shrink), grow = static_cast<T>(a.grow);
      const T least = static_cast<T>(a.least), most = static_cast<T>(a.most);
      for_each_vector<T>(count, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
        Vec<T> g = load_some<T>(grad + i, lanes) * sign;
        const Vec<T> turned = g * load_some<T>(before + i, lanes);
        Vec<T> size = load_some<T>(sizes + i, lanes);
        const Vec<T> still = turned * T{0} + T{1};  // NaN stays
        size *= select<T>(turned > T{0}, broadcast<T>(grow), select<T>(turned < T{0}, broadcast<T>(shrink), still));
        size = min_nan<T>(max_nan<T>(size, broadcast<T>(least)), broadcast<T>(most));
        g = select<T>(turned < T{0}, Vec<T>{}, g);
        store_some<T>(before + i, g, lanes);
        store_some<T>(sizes + i, size, lanes);
        const Vec<T> step = select<T>(g > T{0}, size, select<T>(g < T{0}, -size, g * size));
        store_some<T>(param + i, load_some<T>(param + i, lanes) - step, lanes);
      });
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
