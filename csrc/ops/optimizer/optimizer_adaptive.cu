// Steps of RMSprop, Adagrad and Adadelta on CUDA, as those of optimizer.cu.
#include <cmath>

#include "ops/optimizer/optimizer_step.cuh"

namespace fastdl {
namespace {

template <int N, class T>
__device__ inline Pack<T, N> load_state(const void* data, int64_t i, int64_t count) {
  return data ? load_pack<N>(static_cast<const T*>(data) + i, count) : splat<N>(T{0});
}
template <int N, class T>
__device__ inline void store_state(void* data, int64_t i, const Pack<T, N>& pack, int64_t count) {
  if (data) store_pack(static_cast<T*>(data) + i, pack, count);
}

template <class T>
struct Rmsprop {
  using Tensor = RmspropTensor;
  T sign, lr, alpha, fresh, eps, weight_decay, momentum;

  __device__ static uintptr_t addresses(const RmspropTensor& t) {
    return address(t.param) | address(t.grad) | address(t.square_avg) | address(t.grad_avg) |
           address(t.momentum_buffer);
  }

  template <int N>
  __device__ void update(const RmspropTensor& t, int64_t i, int64_t count) const {
    Pack<T, N> p = load_state<N, T>(t.param, i, count), g = load_state<N, T>(t.grad, i, count);
    Pack<T, N> v = load_state<N, T>(t.square_avg, i, count), m = load_state<N, T>(t.grad_avg, i, count);
    Pack<T, N> b = load_state<N, T>(t.momentum_buffer, i, count);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      g[k] = decayed(sign * g[k], weight_decay, p[k]);
      v[k] = alpha * v[k] + fresh * g[k] * g[k];
      m[k] += fresh * (g[k] - m[k]);
      const T spread = t.grad_avg ? v[k] - m[k] * m[k] : v[k];
      b[k] = momentum * b[k] + g[k] / (static_cast<T>(sqrt(spread)) + eps);
      p[k] -= lr * b[k];
    }
    store_state(t.param, i, p, count);
    store_state(t.square_avg, i, v, count);
    store_state(t.grad_avg, i, m, count);
    store_state(t.momentum_buffer, i, b, count);
  }
};

template <class T>
struct Adagrad {
  using Tensor = AdagradTensor;
  T sign, rate, weight_decay, eps;

  __device__ static uintptr_t addresses(const AdagradTensor& t) {
    return address(t.param) | address(t.grad) | address(t.sum);
  }

  template <int N>
  __device__ void update(const AdagradTensor& t, int64_t i, int64_t count) const {
    Pack<T, N> p = load_state<N, T>(t.param, i, count), g = load_state<N, T>(t.grad, i, count);
    Pack<T, N> s = load_state<N, T>(t.sum, i, count);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      g[k] = decayed(sign * g[k], weight_decay, p[k]);
      s[k] += g[k] * g[k];
      p[k] -= rate * g[k] / (static_cast<T>(sqrt(s[k])) + eps);
    }
    store_state(t.param, i, p, count);
    store_state(t.sum, i, s, count);
  }
};

template <class T>
struct Adadelta {
  using Tensor = AdadeltaTensor;
  T sign, lr, rho, fresh, eps, weight_decay;

  __device__ static uintptr_t addresses(const AdadeltaTensor& t) {
    return address(t.param) | address(t.grad) | address(t.square_avg) | address(t.acc_delta);
  }

  template <int N>
  __device__ void update(const AdadeltaTensor& t, int64_t i, int64_t count) const {
    Pack<T, N> p = load_state<N, T>(t.param, i, count), g = load_state<N, T>(t.grad, i, count);
    Pack<T, N> v = load_state<N, T>(t.square_avg, i, count), u = load_state<N, T>(t.acc_delta, i, count);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      g[k] = decayed(sign * g[k], weight_decay, p[k]);
      v[k] = rho * v[k] + fresh * g[k] * g[k];
      const T d = static_cast<T>(sqrt(u[k] + eps)) / static_cast<T>(sqrt(v[k] + eps)) * g[k];
      u[k] = rho * u[k] + fresh * d * d;
      p[k] -= lr * d;
    }
    store_state(t.param, i, p, count);
    store_state(t.square_avg, i, v, count);
    store_state(t.acc_delta, i, u, count);
  }
};

template <class T>
T sign_of(bool maximize) {
  return static_cast<T>(maximize ? -1 : 1);
}

}  // namespace

void rmsprop_step(const RmspropArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Rmsprop<T> rule{sign_of<T>(a.maximize),      static_cast<T>(a.lr),  static_cast<T>(a.alpha),
                          static_cast<T>(1 - a.alpha), static_cast<T>(a.eps), static_cast<T>(a.weight_decay),
                          static_cast<T>(a.momentum)};
    launch_replayable_step<T>(rule, a.tensors, a.count, stream);
  });
}

void adagrad_step(const AdagradArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Adagrad<T> rule{sign_of<T>(a.maximize), static_cast<T>(a.rate), static_cast<T>(a.weight_decay),
                          static_cast<T>(a.eps)};
    launch_replayable_step<T>(rule, a.tensors, a.count, stream);
  });
}

void adadelta_step(const AdadeltaArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Adadelta<T> rule{sign_of<T>(a.maximize),    static_cast<T>(a.lr),  static_cast<T>(a.rho),
                           static_cast<T>(1 - a.rho), static_cast<T>(a.eps), static_cast<T>(a.weight_decay)};
    launch_replayable_step<T>(rule, a.tensors, a.count, stream);
  });
}

}  // namespace fastdl
