// Activations on CUDA: a read and a write forward, two reads and a write backward, packs of 16 bytes a thread. Memory
// is the limit: even the two exponentials and the division of gelu_tanh hide behind it.
#include "cuda/access.cuh"
#include "ops/activation/activation.h"

namespace fastdl {
namespace {

// ---- the functions --------------------------------------------------------------------------------------------------

template <class T>
__device__ inline T sigmoid(T x) {
  return static_cast<T>(T{1} / (T{1} + exp(-x)));
}
template <class T>
__device__ inline T softplus(T x) {
  return static_cast<T>(max(x, T{0}) +
                        log1p(exp(x < T{0} ? x : -x)));  // no exponential that overflows, and no digits lost below 0
}
template <class T>
__device__ inline T normal_cdf(T x) {
  return static_cast<T>(T(0.5) * erfc(x * T(-0.70710678118654752440)));
}
// 2 sqrt(2 / pi) (x + 0.044715 x^3): (1 + tanh(u)) / 2 is the sigmoid of 2 u.
template <class T>
__device__ inline T gelu_argument(T x) {
  return x * (x * x * T(2 * kSqrt2OverPi * kGeluCubic) + T(2 * kSqrt2OverPi));
}
// low below it, high above it; NaN stays.
template <class T>
__device__ inline T limited(T x, T low, T high) {
  return x < low ? low : x > high ? high : x;
}

// tanh(log(1 + e)) = n / (n + 2) with e = e^x and n = e (e + 2): neither cancels.
template <class T>
struct Mish {
  T e, n;
  __device__ explicit Mish(T x) : e(static_cast<T>(exp(x))), n(e * (e + T{2})) {}
  __device__ T tanh_of_softplus() const { return n / (n + T{2}); }
  __device__ T derivative(T x) const {
    const T part = T{1} / (n + T{2});
    return (n + x * (T{4} * e * (e + T{1}) * part)) * part;
  }
};

template <ActivationOp op, class T>
__device__ inline T value(T x, T a, T b) {
  if constexpr (op == ActivationOp::k_leaky_relu)
    return x > T{0} ? x : x * a;
  else if constexpr (op == ActivationOp::k_elu)
    return x > T{0} ? x : a * expm1(x);
  else if constexpr (op == ActivationOp::k_selu)
    return T(kSeluScale) * (x > T{0} ? x : T(kSeluAlpha) * expm1(x));
  else if constexpr (op == ActivationOp::k_softplus)
    return x * a > b ? x : softplus(x * a) / a;
  else if constexpr (op == ActivationOp::k_logsigmoid)
    return -softplus(-x);
  else if constexpr (op == ActivationOp::k_gelu)
    return x * normal_cdf(x);
  else if constexpr (op == ActivationOp::k_gelu_tanh)
    return x * sigmoid(gelu_argument(x));
  else if constexpr (op == ActivationOp::k_silu)
    return x * sigmoid(x);
  else if constexpr (op == ActivationOp::k_hardtanh)
    return limited(x, a, b);
  else if constexpr (op == ActivationOp::k_hardsigmoid)
    return limited(x + T{3}, T{0}, T{6}) / T{6};
  else if constexpr (op == ActivationOp::k_hardswish)
    return x * limited(x + T{3}, T{0}, T{6}) / T{6};
  else if constexpr (op == ActivationOp::k_celu)
    return x > T{0} ? x : a * expm1(x / a);
  else if constexpr (op == ActivationOp::k_mish)
    return x > T(kMishIsX) ? x : x * Mish<T>(x).tanh_of_softplus();
  else if constexpr (op == ActivationOp::k_softsign)
    return x / (fabs(x) + T{1});
  else if constexpr (op == ActivationOp::k_tanhshrink)
    return x - static_cast<T>(tanh(x));
  else if constexpr (op == ActivationOp::k_softshrink)
    return x > a ? x - a : x < -a ? x + a : x * T{0};
  else if constexpr (op == ActivationOp::k_hardshrink)
    return x >= -a && x <= a ? T{0} : x;
  else
    return x <= a ? b : x;  // threshold
}

template <ActivationOp op, class T>
__device__ inline T derivative(T x, T a, T b) {
  if constexpr (op == ActivationOp::k_leaky_relu) {
    return x > T{0} ? T{1} : a;
  } else if constexpr (op == ActivationOp::k_elu) {
    return x > T{0} ? T{1} : a * exp(x);
  } else if constexpr (op == ActivationOp::k_selu) {
    return T(kSeluScale) * (x > T{0} ? T{1} : T(kSeluAlpha) * exp(x));
  } else if constexpr (op == ActivationOp::k_softplus) {
    return x * a > b ? T{1} : sigmoid(x * a);
  } else if constexpr (op == ActivationOp::k_logsigmoid) {
    return sigmoid(-x);
  } else if constexpr (op == ActivationOp::k_gelu) {
    return normal_cdf(x) + x * T(kInverseSqrt2Pi) * exp(x * x * T(-0.5));
  } else if constexpr (op == ActivationOp::k_gelu_tanh) {
    // s (1 - s) = s^2 e^(-2 u), which does not cancel where s is nearly 1; the limit keeps s^2 e finite far below 0.
    const T slope = x * x * T(6 * kSqrt2OverPi * kGeluCubic) + T(2 * kSqrt2OverPi);
    const T e = exp(min(-gelu_argument(x), sizeof(T) == 4 ? T(80) : T(700))), s = T{1} / (e + T{1});
    return s + x * ((s * e) * s) * slope;
  } else if constexpr (op == ActivationOp::k_silu) {
    const T s = sigmoid(x);
    return s * (x * (T{1} - s) + T{1});
  } else if constexpr (op == ActivationOp::k_hardtanh) {
    return x <= a || x >= b ? T{0} : T{1};
  } else if constexpr (op == ActivationOp::k_hardsigmoid) {
    return x > T{-3} && x < T{3} ? T{1} / T{6} : T{0};
  } else if constexpr (op == ActivationOp::k_hardswish) {
    return x <= T{-3} ? T{0} : x < T{3} ? x / T{3} + T(0.5) : T{1};
  } else if constexpr (op == ActivationOp::k_celu) {
    return x > T{0} ? T{1} : static_cast<T>(exp(x / a));
  } else if constexpr (op == ActivationOp::k_mish) {
    return x > T(kMishIsX) ? T{1} : Mish<T>(x).derivative(x);
  } else if constexpr (op == ActivationOp::k_softsign) {
    const T size = fabs(x) + T{1};
    return T{1} / (size * size);
  } else if constexpr (op == ActivationOp::k_tanhshrink) {
    const T t = static_cast<T>(tanh(x));
    return t * t;
  } else if constexpr (op == ActivationOp::k_softshrink || op == ActivationOp::k_hardshrink) {
    return x >= -a && x <= a ? T{0} : T{1};
  } else {  // threshold
    return x <= a ? T{0} : T{1};
  }
}

// ---- kernels --------------------------------------------------------------------------------------------------------

template <ActivationOp op, int N, class T>
__global__ void __launch_bounds__(kBlock) forward_kernel(int64_t n, T a, T b, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  Pack<T, N> pack = load_pack<N>(x + i, n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) pack[k] = value<op>(pack[k], a, b);
  store_pack(out + i, pack, n - i);
}

template <ActivationOp op, int N, class T>
__global__ void __launch_bounds__(kBlock) backward_kernel(int64_t n, T a, T b, const T* grad, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  Pack<T, N> pack = load_pack<N>(x + i, n - i);
  const Pack<T, N> g = load_pack<N>(grad + i, n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) pack[k] = g[k] * derivative<op>(pack[k], a, b);
  store_pack(out + i, pack, n - i);
}

// A thread owns a pack of y. Rows of whole packs keep it within one.
template <int N, class T>
__global__ void __launch_bounds__(kBlock) glu_kernel(int64_t n, Divider half, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const int64_t first = i + half.divide(i) * half.divisor;
  Pack<T, N> a = load_pack<N>(x + first, N);
  const Pack<T, N> b = load_pack<N>(x + first + half.divisor, N);
#pragma unroll
  for (int k = 0; k < N; ++k) a[k] *= sigmoid(b[k]);
  store_pack(out + i, a, N);
}

template <int N, class T>
__global__ void __launch_bounds__(kBlock) glu_bwd_kernel(int64_t n, Divider half, const T* grad, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const int64_t first = i + half.divide(i) * half.divisor;
  Pack<T, N> a = load_pack<N>(x + first, N), g = load_pack<N>(grad + i, N);
  const Pack<T, N> b = load_pack<N>(x + first + half.divisor, N);
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const T s = sigmoid(b[k]);
    g[k] *= s;
    a[k] *= g[k] * (T{1} - s);
  }
  store_pack(out + first, g, N);
  store_pack(out + first + half.divisor, a, N);
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <ActivationOp op, class T>
void run(const ActivationArgs& p, Stream stream) {
  constexpr int kWide = kPack<T>;
  const T *x = static_cast<const T*>(p.x), *grad = static_cast<const T*>(p.grad);
  T* out = static_cast<T*>(p.out);
  const T a = static_cast<T>(p.a), b = static_cast<T>(p.b);
  const bool fit = aligned<kWide>(x) && aligned<kWide>(out) && (!grad || aligned<kWide>(grad));
  with_packs<kWide>(fit, [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    if (grad)
      launch(backward_kernel<op, N, T>, grid_for<N>(p.n), kBlock, 0, stream, p.n, a, b, grad, x, out);
    else
      launch(forward_kernel<op, N, T>, grid_for<N>(p.n), kBlock, 0, stream, p.n, a, b, x, out);
  });
}

void run_activation(const ActivationArgs& p, Stream stream) {
  switch (p.op) {
#define FASTDL_CASE(name)      \
  case ActivationOp::k_##name: \
    return visit_float(p.dtype, [&](auto zero) { run<ActivationOp::k_##name, decltype(zero)>(p, stream); });
    FASTDL_ACTIVATIONS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

template <class T>
void run_glu(const GluArgs& p, Stream stream) {
  constexpr int kWide = kPack<T>;
  const T *x = static_cast<const T*>(p.x), *grad = static_cast<const T*>(p.grad);
  T* out = static_cast<T*>(p.out);
  const int64_t n = p.outer * p.half;
  const bool fit = p.half % kWide == 0 && aligned<kWide>(x) && aligned<kWide>(out) && (!grad || aligned<kWide>(grad));
  with_packs<kWide>(fit, [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    if (grad)
      launch(glu_bwd_kernel<N, T>, grid_for<N>(n), kBlock, 0, stream, n, divide_by(p.half), grad, x, out);
    else
      launch(glu_kernel<N, T>, grid_for<N>(n), kBlock, 0, stream, n, divide_by(p.half), x, out);
  });
}

}  // namespace

void activation_fwd(const ActivationArgs& p, Stream stream) {
  run_activation(p, stream);
}

void activation_bwd(const ActivationArgs& p, Stream stream) {
  run_activation(p, stream);
}

void glu_fwd(const GluArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { run_glu<decltype(zero)>(p, stream); });
}

void glu_bwd(const GluArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { run_glu<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
