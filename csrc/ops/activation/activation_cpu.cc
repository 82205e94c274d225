// Activations on the CPU: one pass over memory forward (x to y) and backward (x and the gradient of y to that of x).
//
// Each activation is a line: its value, and its derivative from x. The output is not kept, so that a chain of layers
// holds one array a layer. NaN in x gives NaN. Threads own ranges of elements; outputs of kStreamBytes and more bypass
// the caches.
#include "cpu/map-inl.h"
#include "cpu/parallel.h"
#include "cpu/special-inl.h"
#include "ops/activation/activation.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kGrain = 32 * 1024;  // elements a chunk: 20 microseconds from memory

// ---- the functions --------------------------------------------------------------------------------------------------

template <class T>
FASTDL_INLINE Vec<T> zero() {
  return Vec<T>{};
}
template <class T>
FASTDL_INLINE Vec<T> one() {
  return broadcast<T>(1);
}
// low where x is below it, high where x is above it; NaN stays.
template <class T>
FASTDL_INLINE Vec<T> limited(Vec<T> x, Vec<T> low, Vec<T> high) {
  x = select<T>(x < low, low, x);
  return select<T>(x > high, high, x);
}

// (1 + tanh(u)) / 2 = sigmoid(2 u): one exponential and no second branch.
template <class T>
FASTDL_INLINE Vec<T> tanh_cdf(Vec<T> x) {
  return vsigmoid<T>(x * (x * x * T(2 * kSqrt2OverPi * kGeluCubic) + T(2 * kSqrt2OverPi)));
}
// With e = e^(-2 u) and s = 1 / (1 + e): s (1 - s) = s^2 e, which does not cancel where s is nearly 1.
template <class T>
FASTDL_INLINE Vec<T> gelu_tanh_derivative(Vec<T> x) {
  constexpr T kLargest = sizeof(T) == 4 ? T(80) : T(700);
  const Vec<T> u = x * (x * x * T(-2 * kSqrt2OverPi * kGeluCubic) - T(2 * kSqrt2OverPi));
  const Vec<T> slope = x * x * T(6 * kSqrt2OverPi * kGeluCubic) + T(2 * kSqrt2OverPi);
  const Vec<T> e = vexp<T>(select<T>(u > kLargest, broadcast<T>(kLargest), u)), s = T{1} / (e + T{1});
  return s + x * ((s * e) * s) * slope;
}
template <class T>
FASTDL_INLINE Vec<T> silu_derivative(Vec<T> x) {
  const Vec<T> s = vsigmoid<T>(x);
  return s * (x * (T{1} - s) + T{1});
}

// tanh(log(1 + e)) = n / (n + 2) with e = e^x and n = e (e + 2): neither cancels.
template <class T>
FASTDL_INLINE Vec<T> mish_value(Vec<T> x) {
  const Vec<T> large = broadcast<T>(T(kMishIsX)), e = vexp<T>(select<T>(x > large, large, x)), n = e * (e + T{2});
  return select<T>(x > large, x, x * (n / (n + T{2})));
}
template <class T>
FASTDL_INLINE Vec<T> mish_derivative(Vec<T> x) {
  const Vec<T> large = broadcast<T>(T(kMishIsX)), e = vexp<T>(select<T>(x > large, large, x)), n = e * (e + T{2});
  const Vec<T> part = T{1} / (n + T{2});
  return select<T>(x > large, one<T>(), (n + x * (T{4} * e * (e + T{1}) * part)) * part);
}

// name, value and derivative; x, a and b are vectors of T.
#define FASTDL_ACTIVATION(name, value_of_x, derivative_of_x)        \
  struct name##_op {                                                \
    template <class T>                                              \
    FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> a, Vec<T> b) {      \
      (void)a, (void)b;                                             \
      return value_of_x;                                            \
    }                                                               \
    template <class T>                                              \
    FASTDL_INLINE Vec<T> derivative(Vec<T> x, Vec<T> a, Vec<T> b) { \
      (void)a, (void)b;                                             \
      return derivative_of_x;                                       \
    }                                                               \
  };

FASTDL_ACTIVATION(leaky_relu, select<T>(x > T{0}, x, x* a), select<T>(x > T{0}, one<T>(), a))
FASTDL_ACTIVATION(elu, select<T>(x > T{0}, x, a* vexpm1<T>(x)), select<T>(x > T{0}, one<T>(), a* vexp<T>(x)))
FASTDL_ACTIVATION(selu, T(kSeluScale) * select<T>(x > T{0}, x, T(kSeluAlpha) * vexpm1<T>(x)),
                  T(kSeluScale) * select<T>(x > T{0}, one<T>(), T(kSeluAlpha) * vexp<T>(x)))
FASTDL_ACTIVATION(softplus, select<T>(x* a > b, x, vsoftplus<T>(x* a) / a),
                  select<T>(x* a > b, one<T>(), vsigmoid<T>(x* a)))
FASTDL_ACTIVATION(logsigmoid, -vsoftplus<T>(-x), vsigmoid<T>(-x))
FASTDL_ACTIVATION(gelu, x* vnormal_cdf<T>(x), gelu_derivative<T>(x))
FASTDL_ACTIVATION(gelu_tanh, x* tanh_cdf<T>(x), gelu_tanh_derivative<T>(x))
FASTDL_ACTIVATION(silu, x* vsigmoid<T>(x), silu_derivative<T>(x))
FASTDL_ACTIVATION(hardtanh, limited<T>(x, a, b), select<T>((x <= a) | (x >= b), zero<T>(), one<T>()))
FASTDL_ACTIVATION(hardsigmoid, limited<T>(x + T{3}, zero<T>(), broadcast<T>(6)) / T{6},
                  select<T>((x > T{-3}) & (x < T{3}), broadcast<T>(T{1} / T{6}), zero<T>()))
FASTDL_ACTIVATION(hardswish, x* limited<T>(x + T{3}, zero<T>(), broadcast<T>(6)) / T{6},
                  select<T>(x <= T{-3}, zero<T>(), select<T>(x < T{3}, x / T{3} + T(0.5), one<T>())))
FASTDL_ACTIVATION(celu, select<T>(x > T{0}, x, a* vexpm1<T>(x / a)), select<T>(x > T{0}, one<T>(), vexp<T>(x / a)))
FASTDL_ACTIVATION(mish, mish_value<T>(x), mish_derivative<T>(x))
FASTDL_ACTIVATION(softsign, x / (vabs<T>(x) + T{1}), T{1} / ((vabs<T>(x) + T{1}) * (vabs<T>(x) + T{1})))
FASTDL_ACTIVATION(tanhshrink, x - vtanh<T>(x), vtanh<T>(x) * vtanh<T>(x))
FASTDL_ACTIVATION(softshrink, select<T>(x > a, x - a, select<T>(x < -a, x + a, x* T{0})),
                  select<T>((x >= -a) & (x <= a), zero<T>(), one<T>()))
FASTDL_ACTIVATION(hardshrink, select<T>((x >= -a) & (x <= a), zero<T>(), x),
                  select<T>((x >= -a) & (x <= a), zero<T>(), one<T>()))
FASTDL_ACTIVATION(threshold, select<T>(x <= a, b, x), select<T>(x <= a, zero<T>(), one<T>()))

// ---- kernels --------------------------------------------------------------------------------------------------------

template <class Op, class T>
static void forward(const ActivationArgs& p) {
  const T* const x = static_cast<const T*>(p.x);
  T* const out = static_cast<T*>(p.out);
  const Vec<T> a = broadcast<T>(static_cast<T>(p.a)), b = broadcast<T>(static_cast<T>(p.b));
  const bool streams = p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes && x != out;
  parallel_for(p.n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        out + begin, end - begin, streams, [=](Vec<T> v) FASTDL_BODY { return Op::template value<T>(v, a, b); },
        Elements<T>{x + begin});
    if (streams) store_fence();
  });
}

template <class Op, class T>
static void backward(const ActivationArgs& p) {
  const T *const x = static_cast<const T*>(p.x), *const grad = static_cast<const T*>(p.grad);
  T* const out = static_cast<T*>(p.out);
  const Vec<T> a = broadcast<T>(static_cast<T>(p.a)), b = broadcast<T>(static_cast<T>(p.b));
  const bool streams = p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(p.n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        out + begin, end - begin, streams,
        [=](Vec<T> v, Vec<T> g) FASTDL_BODY { return g * Op::template derivative<T>(v, a, b); }, Elements<T>{x + begin},
        Elements<T>{grad + begin});
    if (streams) store_fence();
  });
}

// ---- gated linear units ---------------------------------------------------------------------------------------------

// run(place of y, place of its first operand in x, n) for runs within rows of y.
template <class Run>
FASTDL_INLINE void for_halves(const GluArgs& p, Run run) {
  parallel_for(p.outer * p.half, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin, n; at < end; at += n) {
      const int64_t row = at / p.half, left = (row + 1) * p.half - at;
      n = left < end - at ? left : end - at;
      run(at, at + row * p.half, n);
    }
    store_fence();
  });
}

template <class T>
static void glu_forward(const GluArgs& p) {
  const T* const x = static_cast<const T*>(p.x);
  T* const out = static_cast<T*>(p.out);
  const bool streams = p.outer * p.half * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  for_halves(p, [=](int64_t at, int64_t first, int64_t n) {
    map<T>(
        out + at, n, streams, [](Vec<T> a, Vec<T> b) FASTDL_BODY { return a * vsigmoid<T>(b); }, Elements<T>{x + first},
        Elements<T>{x + first + p.half});
  });
}

// s = sigmoid(b): g s for the first operand, g a s (1 - s) for the second.
template <class T>
static void glu_backward(const GluArgs& p) {
  const T *const x = static_cast<const T*>(p.x), *const grad = static_cast<const T*>(p.grad);
  T* const out = static_cast<T*>(p.out);
  for_halves(p, [=](int64_t at, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i += kLanes<T>) {
      const int part = static_cast<int>(n - i < kLanes<T> ? n - i : kLanes<T>);
      const int64_t a = first + i, b = a + p.half;
      const Vec<T> s = vsigmoid<T>(load_part<T>(x + b, part)), g = load_part<T>(grad + at + i, part) * s;
      store_part<T>(out + a, g, part);
      store_part<T>(out + b, g * load_part<T>(x + a, part) * (T{1} - s), part);
    }
  });
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void activation_fwd(const ActivationArgs& p) {
  switch (p.op) {
#define FASTDL_CASE(name)      \
  case ActivationOp::k_##name: \
    return visit_float(p.dtype, [&](auto z) { forward<name##_op, decltype(z)>(p); });
    FASTDL_ACTIVATIONS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

void activation_bwd(const ActivationArgs& p) {
  switch (p.op) {
#define FASTDL_CASE(name)      \
  case ActivationOp::k_##name: \
    return visit_float(p.dtype, [&](auto z) { backward<name##_op, decltype(z)>(p); });
    FASTDL_ACTIVATIONS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

void glu_fwd(const GluArgs& p) {
  visit_float(p.dtype, [&](auto zero) { glu_forward<decltype(zero)>(p); });
}

void glu_bwd(const GluArgs& p) {
  visit_float(p.dtype, [&](auto zero) { glu_backward<decltype(zero)>(p); });
}

}  // namespace fastdl::FASTDL_ISA
