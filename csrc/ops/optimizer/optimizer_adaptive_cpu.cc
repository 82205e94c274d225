// RMSprop, Adagrad and Adadelta on the CPU, as the steps of optimizer_cpu.cc: one pass, PyTorch's operations in their
// order.
#include "ops/optimizer/optimizer_pieces-inl.h"

namespace fastdl::FASTDL_ISA {

template <class T>
FASTDL_INLINE T* at(void* data, int64_t first) {
  return data ? static_cast<T*>(data) + first : nullptr;
}

// ---- RMSprop --------------------------------------------------------------------------------------------------------
// v = alpha * v + (1 - alpha) * g * g;  centered: a += (1 - alpha) * (g - a), v' = v - a * a, else v' = v
// update = g / (sqrt(v') + eps), with momentum b = momentum * b + update;  p -= lr * update, or b

template <class T, bool kCentered, bool kMomentum>
static void rmsprop_piece(const RmspropArgs& a, const RmspropTensor& t, int64_t first, int64_t n) {
  T* const param = at<T>(t.param, first);
  const T* const grad = static_cast<const T*>(t.grad) + first;
  T *const square = at<T>(t.square_avg, first), *const average = at<T>(t.grad_avg, first);
  T* const buffer = at<T>(t.momentum_buffer, first);
  const T sign = a.maximize ? T{-1} : T{1}, decay = static_cast<T>(a.weight_decay), rate = static_cast<T>(a.lr);
  const T alpha = static_cast<T>(a.alpha), fresh = static_cast<T>(1 - a.alpha), eps = static_cast<T>(a.eps);
  const T momentum = static_cast<T>(a.momentum);
  for_each_vector<T>(n, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
    const Vec<T> p = load_some<T>(param + i, lanes);
    Vec<T> g = load_some<T>(grad + i, lanes) * sign;
    if (decay != 0) g += p * decay;
    const Vec<T> v = load_some<T>(square + i, lanes) * alpha + g * fresh * g;
    store_some<T>(square + i, v, lanes);
    Vec<T> spread = v;
    if constexpr (kCentered) {
      const Vec<T> m0 = load_some<T>(average + i, lanes), m = m0 + (g - m0) * fresh;
      store_some<T>(average + i, m, lanes);
      spread = v - m * m;
    }
    Vec<T> update = g / (vsqrt<T>(spread) + eps);
    if constexpr (kMomentum) {
      update += load_some<T>(buffer + i, lanes) * momentum;
      store_some<T>(buffer + i, update, lanes);
    }
    store_some<T>(param + i, p - update * rate, lanes);
  });
}

void rmsprop_step(const RmspropArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const RmspropTensor& t, int64_t first, int64_t n) {
      if (t.grad_avg)
        t.momentum_buffer ? rmsprop_piece<T, true, true>(a, t, first, n)
                          : rmsprop_piece<T, true, false>(a, t, first, n);
      else
        t.momentum_buffer ? rmsprop_piece<T, false, true>(a, t, first, n)
                          : rmsprop_piece<T, false, false>(a, t, first, n);
    });
  });
}

// ---- Adagrad --------------------------------------------------------------------------------------------------------
// s += g * g;  p -= rate * g / (sqrt(s) + eps)

void adagrad_step(const AdagradArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const AdagradTensor& t, int64_t first, int64_t count) {
      T *const param = at<T>(t.param, first), *const sum = at<T>(t.sum, first);
      const T* const grad = static_cast<const T*>(t.grad) + first;
      const T sign = a.maximize ? T{-1} : T{1}, decay = static_cast<T>(a.weight_decay);
      const T rate = static_cast<T>(a.rate), eps = static_cast<T>(a.eps);
      for_each_vector<T>(count, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
        const Vec<T> p = load_some<T>(param + i, lanes);
        Vec<T> g = load_some<T>(grad + i, lanes) * sign;
        if (decay != 0) g += p * decay;
        const Vec<T> s = load_some<T>(sum + i, lanes) + g * g;
        store_some<T>(sum + i, s, lanes);
        store_some<T>(param + i, p - g * rate / (vsqrt<T>(s) + eps), lanes);
      });
    });
  });
}

// ---- Adadelta -------------------------------------------------------------------------------------------------------
// v = rho * v + (1 - rho) * g * g;  d = sqrt(u + eps) / sqrt(v + eps) * g;  u = rho * u + (1 - rho) * d * d;  p -= lr *
// d

void adadelta_step(const AdadeltaArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_piece(a.tensors, a.count, [&](const AdadeltaTensor& t, int64_t first, int64_t count) {
      T* const param = at<T>(t.param, first);
      const T* const grad = static_cast<const T*>(t.grad) + first;
      T *const square = at<T>(t.square_avg, first), *const delta = at<T>(t.acc_delta, first);
      const T sign = a.maximize ? T{-1} : T{1}, decay = static_cast<T>(a.weight_decay), rate = static_cast<T>(a.lr);
      const T rho = static_cast<T>(a.rho), fresh = static_cast<T>(1 - a.rho), eps = static_cast<T>(a.eps);
      for_each_vector<T>(count, [=](int64_t i, auto lanes) __attribute__((always_inline)) {
        const Vec<T> p = load_some<T>(param + i, lanes), u = load_some<T>(delta + i, lanes);
        Vec<T> g = load_some<T>(grad + i, lanes) * sign;
        if (decay != 0) g += p * decay;
        const Vec<T> v = load_some<T>(square + i, lanes) * rho + g * fresh * g;
        const Vec<T> d = vsqrt<T>(u + eps) / vsqrt<T>(v + eps) * g;
        store_some<T>(square + i, v, lanes);
        store_some<T>(delta + i, u * rho + d * fresh * d, lanes);
        store_some<T>(param + i, p - d * rate, lanes);
      });
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
