// Functions of two numbers and comparisons: out[i] = f(a[i], b[i]), broadcast. elementwise-inl.h says who owns what.
#include "cpu/angles-inl.h"
#include "cpu/division-inl.h"
#include "cpu/power-inl.h"
#include "ops/elementwise/elementwise-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// ---- the functions --------------------------------------------------------------------------------------------------

#define FASTDL_BINARY(name, floats, integers, expression)         \
  struct name##_op {                                              \
    static constexpr bool kFloats = floats, kIntegers = integers; \
    template <class T>                                            \
    FASTDL_INLINE Vec<T> apply(Vec<T> a, Vec<T> b) {              \
      return expression;                                          \
    }                                                             \
  };
#define FASTDL_COMPARE(name, expression) \
  struct name##_op {                     \
    template <class T>                   \
    FASTDL_INLINE bool apply(T a, T b) { \
      return expression;                 \
    }                                    \
  };

FASTDL_BINARY(add, true, true, (Vec<T>)((Wrapping<T>)a + (Wrapping<T>)b))
FASTDL_BINARY(sub, true, true, (Vec<T>)((Wrapping<T>)a - (Wrapping<T>)b))
FASTDL_BINARY(mul, true, true, (Vec<T>)((Wrapping<T>)a * (Wrapping<T>)b))
FASTDL_BINARY(div, true, false, a / b)
FASTDL_BINARY(pow, true, false, vpower<T>(a, b))
FASTDL_BINARY(maximum, true, true, chosen((a > b) | (a != a), a, b))
FASTDL_BINARY(minimum, true, true, chosen((a < b) | (a != a), a, b))
FASTDL_BINARY(bitwise_and, false, true, a& b)
FASTDL_BINARY(bitwise_or, false, true, a | b)
FASTDL_BINARY(bitwise_xor, false, true, a ^ b)
FASTDL_BINARY(floor_divide, true, true, vfloor_divide<T>(a, b))
FASTDL_BINARY(remainder, true, true, vremainder<T>(a, b))
FASTDL_BINARY(relu_bwd, true, false, select<T>(b <= T{0}, Vec<T>{}, a))
FASTDL_BINARY(sigmoid_bwd, true, false, a*(b*(T{1} - b)))
FASTDL_BINARY(tanh_bwd, true, false, a*(T{1} - b * b))
FASTDL_BINARY(prelu, true, false, select<T>(a > T{0}, a, a* b))
FASTDL_BINARY(fmod, true, true, vfmod<T>(a, b))
FASTDL_BINARY(atan2, true, false, vatan2<T>(a, b))
FASTDL_BINARY(hypot, true, false, vhypot<T>(a, b))
FASTDL_BINARY(copysign, true, false, vcopysign<T>(a, b))
FASTDL_BINARY(logaddexp, true, false, vlogaddexp<T>(a, b))

FASTDL_COMPARE(eq, a == b)
FASTDL_COMPARE(ne, a != b)
FASTDL_COMPARE(lt, a < b)
FASTDL_COMPARE(le, a <= b)
FASTDL_COMPARE(gt, a > b)
FASTDL_COMPARE(ge, a >= b)

// Powers with a constant exponent that need no logarithm.
FASTDL_UNARY(copy, true, x)
FASTDL_UNARY(cube, false, x * x * x)

// ---- kernels --------------------------------------------------------------------------------------------------------

// A segment of for_segments. A function of its own: each of the three walks would have a copy of each of the many.
template <class Op, class T>
static __attribute__((noinline)) void binary_segment(T* out, const T* a, int64_t stride_a, const T* b, int64_t stride_b,
                                                     int64_t n, bool past_caches) {
  const auto f = [](Vec<T> x, Vec<T> y) FASTDL_BODY { return Op::template apply<T>(x, y); };
  if (stride_a && stride_b)
    map<T>(out, n, past_caches, f, Elements<T>{a}, Elements<T>{b});
  else if (stride_a)
    map<T>(out, n, past_caches, f, Elements<T>{a}, Repeated<T>{broadcast<T>(*b)});
  else
    map<T>(out, n, past_caches, f, Repeated<T>{broadcast<T>(*a)}, Elements<T>{b});
  if (past_caches) store_fence();
}

template <class Op, class T>
static void run_binary_typed(const BinaryArgs& p) {
  int64_t total = sizeof(T);
  for (int i = 0; i < p.shape.n; ++i) total *= p.shape.d[i];
  const bool streams = total >= kStreamBytes && p.out != p.a && p.out != p.b;
  for_segments<T>(p, [&](const T* a, int64_t stride_a, const T* b, int64_t stride_b, int64_t at, int64_t n) {
    binary_segment<Op, T>(static_cast<T*>(p.out) + at, a, stride_a, b, stride_b, n, streams && n >= kBlock);
  });
}

template <class Op>
static void run_binary(const BinaryArgs& p) {
  auto run = [&](auto zero) { run_binary_typed<Op, decltype(zero)>(p); };
  if constexpr (Op::kFloats) visit_float(p.dtype, run);
  if constexpr (Op::kIntegers) visit_integer(p.dtype, run);
}

// x^s for the exponents that need no logarithm; false for any other. A scalar operand means one merged axis.
static bool simple_power(const BinaryArgs& p) {
  if (p.b || !p.a) return false;
  UnaryArgs u{Unary::k_square, p.dtype, p.shape.d[0], p.a, p.out};
  if (p.scalar_b == 3)
    run_unary<cube_op>(u);
  else if (p.scalar_b == 1)
    run_unary<copy_op>(u);
  else if (p.scalar_b == 2 || p.scalar_b == -1 || p.scalar_b == 0.5)
    u.op = p.scalar_b == 2 ? u.op : p.scalar_b < 0 ? Unary::k_reciprocal : Unary::k_sqrt, unary(u);
  else
    return false;
  return true;
}

// The compiler vectorises these loops: a lane is as wide as T on one side and a byte on the other.
template <class Op, class T>
static __attribute__((noinline)) void compare_segment(uint8_t* __restrict out, const T* a, int64_t stride_a, const T* b,
                                                      int64_t stride_b, int64_t n) {
  if (stride_a && stride_b) {
    for (int64_t i = 0; i < n; ++i) out[i] = Op::apply(a[i], b[i]);
  } else if (stride_a) {
    const T y = *b;
    for (int64_t i = 0; i < n; ++i) out[i] = Op::apply(a[i], y);
  } else {
    const T x = *a;
    for (int64_t i = 0; i < n; ++i) out[i] = Op::apply(x, b[i]);
  }
}

template <class Op, class T>
static void run_compare_typed(const BinaryArgs& p) {
  for_segments<T>(p, [&](const T* a, int64_t stride_a, const T* b, int64_t stride_b, int64_t at, int64_t n) {
    compare_segment<Op, T>(static_cast<uint8_t*>(p.out) + at, a, stride_a, b, stride_b, n);
  });
}

template <class Op>
static void run_compare(const BinaryArgs& p) {
  if (p.dtype == DType::kBool || p.dtype == DType::kUInt8) return run_compare_typed<Op, uint8_t>(p);
  visit_number(p.dtype, [&](auto zero) { run_compare_typed<Op, decltype(zero)>(p); });
}

}  // namespace

void binary(const BinaryArgs& p) {
  if (p.op == static_cast<int>(Binary::k_pow) && simple_power(p)) return;
  switch (static_cast<Binary>(p.op)) {
#define FASTDL_CASE(name) \
  case Binary::k_##name:  \
    return run_binary<name##_op>(p);
    FASTDL_BINARY_OPS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

void compare(const BinaryArgs& p) {
  switch (static_cast<Compare>(p.op)) {
#define FASTDL_CASE(name) \
  case Compare::k_##name: \
    return run_compare<name##_op>(p);
    FASTDL_COMPARE_OPS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

}  // namespace fastdl::FASTDL_ISA
