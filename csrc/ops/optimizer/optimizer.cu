// Steps of SGD and Adam on CUDA: one pass over parameters, gradients and states (optimizer_step.cuh: layout and
// owners). The update rules are PyTorch's; each element needs a dozen operations, so memory is the limit.
#include <cmath>

#include "ops/optimizer/optimizer_step.cuh"

namespace fastdl {
namespace {

// The coefficients in the dtype of the parameters; the powers of the betas are taken in double, on the host. They
// travel as the tensors do, and all threads read them alike from constant memory.
template <class T>
struct Sgd {
  using Tensor = SgdTensor;
  T sign, lr, momentum, undamped, weight_decay;
  bool nesterov, first;

  __device__ static uintptr_t addresses(const SgdTensor& t) {
    return address(t.param) | address(t.grad) | address(t.momentum_buffer);
  }

  template <int N>
  __device__ void update(const SgdTensor& t, int64_t i, int64_t count) const {
    T* param = static_cast<T*>(t.param) + i;
    T* buffer = t.momentum_buffer ? static_cast<T*>(t.momentum_buffer) + i : nullptr;
    Pack<T, N> p = load_pack<N>(param, count), g = load_pack<N>(static_cast<const T*>(t.grad) + i, count);
    // What an empty buffer holds is never read: it may be NaN.
    Pack<T, N> b = buffer && !first ? load_pack<N>(buffer, count) : splat<N>(T{0});
#pragma unroll
    for (int k = 0; k < N; ++k) {
      g[k] = decayed(sign * g[k], weight_decay, p[k]);
      if (buffer) {
        b[k] = first ? g[k] : momentum * b[k] + undamped * g[k];
        g[k] = nesterov ? g[k] + momentum * b[k] : b[k];
      }
      p[k] -= lr * g[k];
    }
    if (buffer) store_pack(buffer, b, count);
    store_pack(param, p, count);
  }
};

template <class T>
struct Adam {
  using Tensor = AdamTensor;
  T sign, keep, weight_decay;  // keep: what decoupled decay leaves of a parameter
  T beta1, new1, beta2, new2;  // new = 1 - beta, rounded once
  T step_size, root_correction, eps;

  __device__ static uintptr_t addresses(const AdamTensor& t) {
    return address(t.param) | address(t.grad) | address(t.exp_avg) | address(t.exp_avg_sq) | address(t.max_exp_avg_sq);
  }

  template <int N>
  __device__ void update(const AdamTensor& t, int64_t i, int64_t count) const {
    T* param = static_cast<T*>(t.param) + i;
    T* exp_avg = static_cast<T*>(t.exp_avg) + i;
    T* exp_avg_sq = static_cast<T*>(t.exp_avg_sq) + i;
    T* largest = t.max_exp_avg_sq ? static_cast<T*>(t.max_exp_avg_sq) + i : nullptr;
    Pack<T, N> p = load_pack<N>(param, count), g = load_pack<N>(static_cast<const T*>(t.grad) + i, count);
    Pack<T, N> m = load_pack<N>(exp_avg, count), v = load_pack<N>(exp_avg_sq, count);
    Pack<T, N> w = largest ? load_pack<N>(largest, count) : v;
#pragma unroll
    for (int k = 0; k < N; ++k) {
      g[k] = decayed(sign * g[k], weight_decay, p[k]);
      m[k] = beta1 * m[k] + new1 * g[k];
      v[k] = beta2 * v[k] + new2 * g[k] * g[k];
      // The largest keeps NaN, from either side.
      w[k] = !largest || v[k] > w[k] || v[k] != v[k] ? v[k] : w[k];
      p[k] = keep * p[k] - step_size * m[k] / (static_cast<T>(sqrt(w[k])) / root_correction + eps);
    }
    store_pack(param, p, count);
    store_pack(exp_avg, m, count);
    store_pack(exp_avg_sq, v, count);
    if (largest) store_pack(largest, w, count);
  }
};

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T>
Sgd<T> rule_of(const SgdArgs& args) {
  return {static_cast<T>(args.maximize ? -1 : 1),
          static_cast<T>(args.lr),
          static_cast<T>(args.momentum),
          static_cast<T>(1 - args.dampening),
          static_cast<T>(args.weight_decay),
          args.nesterov,
          args.first};
}

template <class T>
Adam<T> rule_of(const AdamArgs& args) {
  const double step = static_cast<double>(args.step);
  const double correction1 = 1 - std::pow(args.beta1, step), correction2 = 1 - std::pow(args.beta2, step);
  return {static_cast<T>(args.maximize ? -1 : 1),
          static_cast<T>(args.decoupled ? 1 - args.lr * args.weight_decay : 1),
          static_cast<T>(args.decoupled ? 0 : args.weight_decay),
          static_cast<T>(args.beta1),
          static_cast<T>(1 - args.beta1),
          static_cast<T>(args.beta2),
          static_cast<T>(1 - args.beta2),
          static_cast<T>(args.lr / correction1),
          static_cast<T>(std::sqrt(correction2)),
          static_cast<T>(args.eps)};
}

}  // namespace

void sgd_step(const SgdArgs& args, Stream stream) {
  visit_float(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_replayable_step<T>(rule_of<T>(args), args.tensors, args.count, stream);
  });
}

void adam_step(const AdamArgs& args, Stream stream) {
  visit_float(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_replayable_step<T>(rule_of<T>(args), args.tensors, args.count, stream);
  });
}

}  // namespace fastdl
