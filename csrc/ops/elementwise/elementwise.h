// Elementwise operations with NumPy broadcasting. One list for each family; kernels and bindings expand from the lists.
//   unary    out = f(x)                float32, float64 (neg, abs, sign, square: also int32, int64, uint8)
//   binary   out = f(a, b)             float32, float64, int32, int64, uint8; equal dtypes; div, pow and *_bwd only
//                                      floats, bitwise_* only integers. Integers divided by 0 give 0.
//   blend    out = f(a, b, c)          float32, float64
//   compare  out = f(a, b), bool       every dtype
//   where    out = condition ? a : b
//   clamp    out = min(max(x, low), high)   float32, float64, int32, int64, uint8; NaN stays
//   nan_to_num  numbers for NaN and the infinities   float32, float64
//   cast     out = (dtype) x           every pair of dtypes
#pragma once
#include "core/array.h"
#include "core/kernel.h"

// name. PyTorch's semantics for NaN and infinities.
// clang-format off
#define FASTDL_UNARY_OPS(X) \
  X(neg) X(abs) X(sign) X(square) X(exp) X(expm1) X(log) X(log1p) X(sqrt) X(rsqrt) X(reciprocal) X(sin) X(cos) \
  X(erf) X(floor) X(ceil) X(round) X(trunc) X(relu) X(sigmoid) X(tanh) X(tan) X(asin) X(acos) X(atan) X(sinh) \
  X(cosh) X(asinh) X(acosh) X(atanh) X(exp2) X(log2) X(log10) X(erfc) X(frac)
// clang-format on

// name. relu_bwd, sigmoid_bwd, tanh_bwd take (gradient of the output, output), prelu (x, slope below 0), atan2 (y, x).
// clang-format off
#define FASTDL_BINARY_OPS(X) \
  X(add) X(sub) X(mul) X(div) X(floor_divide) X(remainder) X(fmod) X(pow) X(maximum) X(minimum) X(bitwise_and) \
  X(bitwise_or) X(bitwise_xor) X(relu_bwd) X(sigmoid_bwd) X(tanh_bwd) X(prelu) X(atan2) X(hypot) X(copysign) \
  X(logaddexp)
// clang-format on

// name, of (a, b, c) and a number s: a + s b c, a + s b / c, a + c (b - a).
#define FASTDL_BLEND_OPS(X) X(addcmul) X(addcdiv) X(lerp)

#define FASTDL_COMPARE_OPS(X) X(eq) X(ne) X(lt) X(le) X(gt) X(ge)

namespace fastdl {

#define FASTDL_ENUM(name) k_##name,
enum class Unary { FASTDL_UNARY_OPS(FASTDL_ENUM) };
enum class Binary { FASTDL_BINARY_OPS(FASTDL_ENUM) };
enum class Blend { FASTDL_BLEND_OPS(FASTDL_ENUM) };
enum class Compare { FASTDL_COMPARE_OPS(FASTDL_ENUM) };
#undef FASTDL_ENUM

constexpr bool takes_integers(Unary op) {
  return op == Unary::k_neg || op == Unary::k_abs || op == Unary::k_sign || op == Unary::k_square;
}
constexpr bool takes_floats(Binary op) {
  return op != Binary::k_bitwise_and && op != Binary::k_bitwise_or && op != Binary::k_bitwise_xor;
}
constexpr bool takes_integers(Binary op) {
  return op != Binary::k_div && op != Binary::k_pow && op < Binary::k_relu_bwd;
}

struct UnaryArgs {
  Unary op;
  DType dtype;
  int64_t n;
  const void* x;
  void* out;  // may be x
};

// Axes are merged by the binding where both operands allow it, so that equal shapes arrive as one axis. Strides are in
// elements, 0 along a broadcast axis. A scalar operand (a.data null) is one number for all elements.
struct BinaryArgs {
  int op;       // a Binary or a Compare
  DType dtype;  // of the operands
  Dims shape;   // of the output, merged
  Dims stride_a, stride_b;
  const void* a;  // null: scalar_a
  const void* b;  // null: scalar_b
  double scalar_a, scalar_b;
  int64_t integer_a, integer_b;  // the scalars again, for integer dtypes
  void* out;                     // contiguous; may be a when a is not broadcast (in-place)
};

// Axes merged as above, for three operands.
struct BlendArgs {
  Blend op;
  DType dtype;
  Dims shape;
  Dims stride_a, stride_b, stride_c;
  const void* a;
  const void* b;
  const void* c;  // null: the number s
  double s;
  void* out;
};

struct ClampArgs {
  DType dtype;
  int64_t n;
  double low, high;
  int64_t integer_low, integer_high;  // the same for integer dtypes
  const void* x;
  void* out;
};

struct NanToNumArgs {
  DType dtype;
  int64_t n;
  double nan, posinf, neginf;
  const void* x;
  void* out;
};

struct WhereArgs {
  DType dtype;
  Dims shape;
  Dims stride_condition, stride_a, stride_b;
  const void* condition;  // bool
  const void* a;
  const void* b;
  void* out;
};

struct CastArgs {
  DType from, to;
  int64_t n;
  const void* x;
  void* out;
};

struct FillArgs {
  DType dtype;
  int64_t n;
  double value;
  int64_t integer;
  void* out;
};

// out[i] = start + i step of the first `forward` elements, last - (n - 1 - i) step of the others; floats in double.
struct RampArgs {
  DType dtype;  // float32, float64, int32 or int64
  int64_t n, forward;
  double start, step, last;
  int64_t integer_start, integer_step;  // of integer dtypes, which go forward and wrap around
  void* out;
};

}  // namespace fastdl

FASTDL_KERNEL(unary, UnaryArgs)
FASTDL_KERNEL(binary, BinaryArgs)
FASTDL_KERNEL(compare, BinaryArgs)  // out is bool
FASTDL_KERNEL(blend, BlendArgs)
FASTDL_KERNEL(clamp, ClampArgs)
FASTDL_KERNEL(nan_to_num, NanToNumArgs)
FASTDL_KERNEL(where, WhereArgs)
FASTDL_KERNEL(cast, CastArgs)
FASTDL_KERNEL(fill, FillArgs)
FASTDL_KERNEL(ramp, RampArgs)
