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

}  // namespace fastdl::FASTDL_ISA
