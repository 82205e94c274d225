// Optimizer steps on the CPU: every number of a parameter, its gradient and its states is read once and written once.
//
// The operations and their order are PyTorch's, so that both libraries follow the same trajectory to rounding. What
// only depends on the step (the bias corrections) is computed in double, once.
#include "ops/optimizer/optimizer_pieces-inl.h"

namespace fastdl::FASTDL_ISA {

// ---- stochastic gradient descent ------------------------------------------------------------------------------------
// g = grad + weight_decay * p;  buffer = momentum * buffer + (1 - dampening) * g;  p -= lr * (buffer, or g + momentum *
// buffer with Nesterov's rule)

template <class T, bool kMomentum>
static void sgd_piece(const SgdArgs& a, const SgdTensor& t, int64_t first, int64_t n) {
  T* const param = static_cast<T*>(t.param) + first;
  const T* const grad = static_cast<const T*>(t.grad) + first;
  T* const buffer = kMomentum ? static_cast<T*>(t.momentum_buffer) + first : nullptr;
  const T sign = a.maximize ? T{-1} : T{1}, decay = static_cast<T>(a.weight_decay), rate = static_cast<T>(a.lr);
  const T momentum = static_cast<T>(a.momentum), fresh = static_cast<T>(1 - a.dampening);
  const bool decays = a.weight_decay != 0;
  for_each_vector<T>(n, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
    const Vec<T> p = load_some<T>(param + i, lanes);
    Vec<T> g = load_some<T>(grad + i, lanes) * sign;
    if (decays) g += p * decay;
    if constexpr (kMomentum) {
      const Vec<T> b = a.first ? g : load_some<T>(buffer + i, lanes) * momentum + g * fresh;
      store_some<T>(buffer + i, b, lanes);
      g = a.nesterov ? g + b * momentum : b;
    }
    store_some<T>(param + i, p - g * rate, lanes);
  });
}

void sgd_step(const SgdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const SgdTensor& t, int64_t first, int64_t n) {
      t.momentum_buffer ? sgd_piece<T, true>(a, t, first, n) : sgd_piece<T, false>(a, t, first, n);
    });
  });
}

// ---- Adam and AdamW -------------------------------------------------------------------------------------------------
// m += (1 - beta1) * (g - m);  v = beta2 * v + (1 - beta2) * g * g;  p -= lr / c1 * m / (sqrt(v) / sqrt(c2) + eps)
// with c = 1 - beta^step; AMSGrad takes the largest v so far.

struct AdamScalars {
  double step_size, root_correction;
};

template <class T, bool kAmsgrad>
static void adam_piece(const AdamArgs& a, const AdamScalars& s, const AdamTensor& t, int64_t first, int64_t n) {
  T* const param = static_cast<T*>(t.param) + first;
  const T* const grad = static_cast<const T*>(t.grad) + first;
  T* const exp_avg = static_cast<T*>(t.exp_avg) + first;
  T* const exp_avg_sq = static_cast<T*>(t.exp_avg_sq) + first;
  T* const largest = kAmsgrad ? static_cast<T*>(t.max_exp_avg_sq) + first : nullptr;
  const T sign = a.maximize ? T{-1} : T{1}, eps = static_cast<T>(a.eps);
  const T keep = static_cast<T>(a.decoupled ? 1 - a.lr * a.weight_decay : 1);
  const T decay = static_cast<T>(a.decoupled ? 0 : a.weight_decay);
  const T fresh1 = static_cast<T>(1 - a.beta1), beta2 = static_cast<T>(a.beta2), fresh2 = static_cast<T>(1 - a.beta2);
  const T step_size = static_cast<T>(s.step_size), root_correction = static_cast<T>(s.root_correction);
  for_each_vector<T>(n, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
    // PyTorch rounds the product before the subtraction; over the steps of a training the difference would add up.
    const Vec<T> p = rounded(load_some<T>(param + i, lanes) * keep);
    Vec<T> g = load_some<T>(grad + i, lanes) * sign;
    if (decay != 0) g += p * decay;
    const Vec<T> m0 = load_some<T>(exp_avg + i, lanes);
    const Vec<T> m = m0 + (g - m0) * fresh1;
    Vec<T> v = load_some<T>(exp_avg_sq + i, lanes) * beta2 + g * fresh2 * g;
    store_some<T>(exp_avg + i, m, lanes);
    store_some<T>(exp_avg_sq + i, v, lanes);
    if constexpr (kAmsgrad) {
      v = max_nan<T>(load_some<T>(largest + i, lanes), v);
      store_some<T>(largest + i, v, lanes);
    }
    store_some<T>(param + i, p - m * step_size / (vsqrt<T>(v) / root_correction + eps), lanes);
  });
}

void adam_step(const AdamArgs& a) {
  const double correction1 = 1 - ::pow(a.beta1, static_cast<double>(a.step));
  const double correction2 = 1 - ::pow(a.beta2, static_cast<double>(a.step));
  const AdamScalars s{a.lr / correction1, ::sqrt(correction2)};
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const AdamTensor& t, int64_t first, int64_t n) {
      t.max_exp_avg_sq ? adam_piece<T, true>(a, s, t, first, n) : adam_piece<T, false>(a, s, t, first, n);
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
