// Functions of one number: out[i] = f(x[i]). elementwise-inl.h says who owns what.
#include "cpu/angles-inl.h"
#include "ops/elementwise/elementwise-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// Negation flips the sign of zero too, hence not 0 - x.
FASTDL_UNARY(neg, true, (Vec<T>)(-(Wrapping<T>)x))
FASTDL_UNARY(abs, true, chosen(x > T{0}, x, (Vec<T>)(T{0} - (Wrapping<T>)x)))
// 0 for NaN, as in PyTorch.
FASTDL_UNARY(sign, true, chosen(x > T{0}, broadcast<T>(1), chosen(x < T{0}, broadcast<T>(-1), Vec<T>{})))
FASTDL_UNARY(square, true, (Vec<T>)((Wrapping<T>)x * (Wrapping<T>)x))
FASTDL_UNARY(exp, false, vexp<T>(x))
FASTDL_UNARY(expm1, false, vexpm1<T>(x))
FASTDL_UNARY(log, false, vlog<T>(x))
FASTDL_UNARY(log1p, false, vlog1p<T>(x))
FASTDL_UNARY(sqrt, false, vsqrt<T>(x))
FASTDL_UNARY(rsqrt, false, T{1} / vsqrt<T>(x))
FASTDL_UNARY(reciprocal, false, T{1} / x)
FASTDL_UNARY(sin, false, vsin<T>(x))
FASTDL_UNARY(cos, false, vcos<T>(x))
FASTDL_UNARY(erf, false, verf<T>(x))
FASTDL_UNARY(floor, false, vfloor<T>(x))
FASTDL_UNARY(ceil, false, vceil<T>(x))
FASTDL_UNARY(round, false, vround_even<T>(x))
FASTDL_UNARY(trunc, false, vtrunc<T>(x))
FASTDL_UNARY(relu, false, select<T>(x <= T{0}, Vec<T>{}, x))  // NaN stays
FASTDL_UNARY(sigmoid, false, vsigmoid<T>(x))
FASTDL_UNARY(tanh, false, vtanh<T>(x))
FASTDL_UNARY(tan, false, vtan<T>(x))
FASTDL_UNARY(asin, false, vasin<T>(x))
FASTDL_UNARY(acos, false, vacos<T>(x))
FASTDL_UNARY(atan, false, vatan<T>(x))
FASTDL_UNARY(sinh, false, vsinh<T>(x))
FASTDL_UNARY(cosh, false, vcosh<T>(x))
FASTDL_UNARY(asinh, false, vasinh<T>(x))
FASTDL_UNARY(acosh, false, vacosh<T>(x))
FASTDL_UNARY(atanh, false, vatanh<T>(x))
FASTDL_UNARY(exp2, false, vexp2<T>(x))
FASTDL_UNARY(log2, false, vlog2<T>(x))
FASTDL_UNARY(log10, false, vlog10<T>(x))
FASTDL_UNARY(erfc, false, verfc<T>(x))
FASTDL_UNARY(frac, false, x - vtrunc<T>(x))

}  // namespace

void unary(const UnaryArgs& p) {
  switch (p.op) {
#define FASTDL_CASE(name) \
  case Unary::k_##name:   \
    return run_unary<name##_op>(p);
    FASTDL_UNARY_OPS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

}  // namespace fastdl::FASTDL_ISA
