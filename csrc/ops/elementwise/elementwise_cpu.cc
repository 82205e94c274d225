// Elementwise operations on the CPU: one pass over memory, whose speed is the memory's.
//
// Layout: outputs are contiguous. Operands are walked along the last merged axis with stride 1 (Elements) or 0
// (Repeated: a scalar, or one number a row), and from row to row by a Walk over the other axes:
//
//     [N, C] + [C]               rows of C, b starts again in every row
//     [N, C, H, W] + [C, 1, 1]   merged to (N, C, HW): rows of HW, b repeated within a row
//
// Rows too short for vectors are first written out in full into a buffer that stays in the L1 cache.
// Threads own ranges of output elements. Outputs of kStreamBytes and more bypass the caches.
#include "cpu/division-inl.h"
#include "cpu/map-inl.h"
#include "cpu/parallel.h"
#include "cpu/power-inl.h"
#include "cpu/strided-inl.h"
#include "ops/elementwise/elementwise.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kGrain = 32 * 1024;  // elements a chunk: 20 microseconds from memory
constexpr int64_t kShortRow = 32;      // below, the step from row to row costs more than writing the operand out
constexpr int kBlock = 1024;           // elements of that buffer: two of doubles are 16 KB

// ---- the functions --------------------------------------------------------------------------------------------------

// Integers wrap around as NumPy's do; in C++ only unsigned ones may.
template <class T>
using Wrapping = Vec<typename WrappingOf<T>::type>;

// select for every T: the mask of bytes is one of bytes.
template <class M, class V>
FASTDL_INLINE V chosen(M mask, V a, V b) {
  return mask ? a : b;
}

#define FASTDL_UNARY(name, integers, expression) \
  struct name##_op {                             \
    static constexpr bool kIntegers = integers;  \
    template <class T>                           \
    FASTDL_INLINE Vec<T> apply(Vec<T> x) {       \
      return expression;                         \
    }                                            \
  };
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

FASTDL_COMPARE(eq, a == b)
FASTDL_COMPARE(ne, a != b)
FASTDL_COMPARE(lt, a < b)
FASTDL_COMPARE(le, a <= b)
FASTDL_COMPARE(gt, a > b)
FASTDL_COMPARE(ge, a >= b)

// Powers with a constant exponent that need no logarithm.
FASTDL_UNARY(copy, true, x)
FASTDL_UNARY(cube, false, x * x * x)

// ---- one operand ----------------------------------------------------------------------------------------------------

template <class Op, class T>
static void map_all(const void* x, void* out, int64_t n) {
  const bool streams = n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes && x != out;
  parallel_for(n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        static_cast<T*>(out) + begin, end - begin, streams,
        [](Vec<T> v) FASTDL_BODY { return Op::template apply<T>(v); }, Elements<T>{static_cast<const T*>(x) + begin});
    if (streams) store_fence();
  });
}

template <class F>
FASTDL_INLINE void visit_integer(DType t, F&& f) {
  if (t == DType::kInt32) return f(int32_t{});
  if (t == DType::kInt64) return f(int64_t{});
  if (t == DType::kUInt8) return f(uint8_t{});
}

template <class Op>
static void run_unary(const UnaryArgs& p) {
  auto run = [&](auto zero) { map_all<Op, decltype(zero)>(p.x, p.out, p.n); };
  visit_float(p.dtype, run);
  if constexpr (Op::kIntegers) visit_integer(p.dtype, run);
}

template <class T>
static void run_clamp(const ClampArgs& p) {
  const Vec<T> low = broadcast<T>(std::is_floating_point_v<T> ? static_cast<T>(p.low) : static_cast<T>(p.integer_low));
  const Vec<T> high =
      broadcast<T>(std::is_floating_point_v<T> ? static_cast<T>(p.high) : static_cast<T>(p.integer_high));
  const T* const x = static_cast<const T*>(p.x);
  T* const out = static_cast<T*>(p.out);
  const bool streams = p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(p.n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        out + begin, end - begin, streams,
        [&](Vec<T> v) FASTDL_BODY {
          v = maximum_op::apply<T>(v, low);
          return minimum_op::apply<T>(v, high);
        },
        Elements<T>{x + begin});
    if (streams) store_fence();
  });
}

// ---- two operands ---------------------------------------------------------------------------------------------------

// How one operand of a broadcast operation is read.
template <class T>
struct Operand {
  const T* p;
  int64_t stride[kMaxDims];
};
template <class T>
static void set_operand(Operand<T>& x, const void* p, const T* scalar, const Dims& stride, int axes) {
  x.p = p ? static_cast<const T*>(p) : scalar;
  for (int i = 0; i < axes; ++i) x.stride[i] = p ? stride.d[i] : 0;
}

// buffer = elements [begin, begin + n) of x read with the output's shape. Returns where they lie: no copy if x is
// dense.
template <class T>
static const T* written_out(const Operand<T>& x, const Dims& shape, int64_t begin, int64_t n, T* buffer) {
  bool dense = true;
  Walk<1> rows;
  int64_t step_size = 1;
  const int last = shape.n - 1;
  for (int i = last; i >= 0; --i) {
    dense = dense && x.stride[i] == step_size;
    step_size *= shape.d[i];
  }
  if (dense) return x.p + begin;
  for (int i = 0; i < last; ++i) add_axis<1>(rows, shape.d[i], {x.stride[i]});
  const int64_t size = shape.d[last], stride = x.stride[last];
  seek<1>(rows, begin / size);
  for (int64_t k = 0, column = begin % size; k < n; column = 0, step<1>(rows)) {
    const T* row = x.p + rows.offset[0];
    for (; column < size && k < n; ++column) buffer[k++] = row[column * stride];
  }
  return buffer;
}

// segment(a, stride of a, b, stride of b, first output, n) over all outputs; the strides are 0 or 1.
template <class T, class Segment>
FASTDL_INLINE void for_segments(const BinaryArgs& p, Segment segment) {
  constexpr bool kFloat = std::is_floating_point_v<T>;
  const T scalar_a = kFloat ? static_cast<T>(p.scalar_a) : static_cast<T>(p.integer_a);
  const T scalar_b = kFloat ? static_cast<T>(p.scalar_b) : static_cast<T>(p.integer_b);
  const int last = p.shape.n - 1;
  int64_t total = 1;
  for (int i = 0; i <= last; ++i) total *= p.shape.d[i];
  if (total == 0) return;
  Operand<T> a, b;
  set_operand(a, p.a, &scalar_a, p.stride_a, p.shape.n);
  set_operand(b, p.b, &scalar_b, p.stride_b, p.shape.n);
  const int64_t size = p.shape.d[last], stride_a = a.stride[last], stride_b = b.stride[last];

  auto flat = [&](int64_t begin, int64_t end) {
    segment(a.p + begin * stride_a, stride_a, b.p + begin * stride_b, stride_b, begin, end - begin);
  };
  auto by_rows = [&](int64_t begin, int64_t end) {
    Walk<2> rows;
    for (int i = 0; i < last; ++i) add_axis<2>(rows, p.shape.d[i], {a.stride[i], b.stride[i]});
    seek<2>(rows, begin / size);
    for (int64_t at = begin, column = begin % size; at < end; column = 0, step<2>(rows)) {
      const int64_t n = size - column < end - at ? size - column : end - at;
      segment(a.p + rows.offset[0] + column * stride_a, stride_a, b.p + rows.offset[1] + column * stride_b, stride_b,
              at, n);
      at += n;
    }
  };
  auto by_blocks = [&](int64_t begin, int64_t end) {
    T buffer_a[kBlock], buffer_b[kBlock];
    for (int64_t at = begin; at < end; at += kBlock) {
      const int64_t n = end - at < kBlock ? end - at : kBlock;
      segment(written_out(a, p.shape, at, n, buffer_a), int64_t{1}, written_out(b, p.shape, at, n, buffer_b),
              int64_t{1}, at, n);
    }
  };
  if (last == 0)
    parallel_for(total, kGrain, flat);
  else if (size < kShortRow)
    parallel_for(total, kGrain, by_blocks);
  else
    parallel_for(total, kGrain, by_rows);
}

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
  const UnaryArgs u{Unary::k_neg, p.dtype, p.shape.d[0], p.a, p.out};
  if (p.scalar_b == 2)
    run_unary<square_op>(u);
  else if (p.scalar_b == 3)
    run_unary<cube_op>(u);
  else if (p.scalar_b == 1)
    run_unary<copy_op>(u);
  else if (p.scalar_b == -1)
    run_unary<reciprocal_op>(u);
  else if (p.scalar_b == 0.5)
    run_unary<sqrt_op>(u);
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

// ---- where, cast, fill ----------------------------------------------------------------------------------------------

template <class T>
static void run_where(const WhereArgs& p) {
  const int last = p.shape.n - 1;
  int64_t outer = 1;
  for (int i = 0; i < last; ++i) outer *= p.shape.d[i];
  const int64_t size = p.shape.d[last];
  const int64_t sc = p.stride_condition.d[last], sa = p.stride_a.d[last], sb = p.stride_b.d[last];
  if (outer * size == 0) return;
  parallel_for(outer * size, kGrain, [&](int64_t begin, int64_t end) {
    Walk<3> rows;
    for (int i = 0; i < last; ++i)
      add_axis<3>(rows, p.shape.d[i], {p.stride_condition.d[i], p.stride_a.d[i], p.stride_b.d[i]});
    seek<3>(rows, begin / size);
    for (int64_t at = begin, column = begin % size; at < end; column = 0, step<3>(rows)) {
      const int64_t n = size - column < end - at ? size - column : end - at;
      const uint8_t* condition = static_cast<const uint8_t*>(p.condition) + rows.offset[0] + column * sc;
      const T* a = static_cast<const T*>(p.a) + rows.offset[1] + column * sa;
      const T* b = static_cast<const T*>(p.b) + rows.offset[2] + column * sb;
      T* __restrict out = static_cast<T*>(p.out) + at;
      // Both are read before one is chosen: a branch on conditions that change would cost more.
      const auto choose = [&](auto first, auto second) FASTDL_BODY {
        for (int64_t i = 0; i < n; ++i) {
          const T x = first(i), y = second(i);
          out[i] = condition[i] ? x : y;
        }
      };
      const auto of_a = [&](int64_t i) FASTDL_BODY { return a[i]; };
      const auto of_b = [&](int64_t i) FASTDL_BODY { return b[i]; };
      const auto same_a = [x = *a](int64_t) FASTDL_BODY { return x; };
      const auto same_b = [y = *b](int64_t) FASTDL_BODY { return y; };
      if (sc && sa)
        sb ? choose(of_a, of_b) : choose(of_a, same_b);
      else if (sc)
        sb ? choose(same_a, of_b) : choose(same_a, same_b);
      else
        for (int64_t i = 0; i < n; ++i) out[i] = *condition ? a[i * sa] : b[i * sb];
      at += n;
    }
  });
}

template <class From, class To>
FASTDL_INLINE To convert(From x) {
  if constexpr (std::is_same_v<To, bool>)
    return x != From{0};
  else if constexpr (std::is_same_v<To, uint8_t> && std::is_floating_point_v<From>)
    return static_cast<uint8_t>(static_cast<int32_t>(x));  // -1 becomes 255, as for integers
  else
    return static_cast<To>(x);
}

template <class From, class To>
static void run_cast(const CastArgs& p) {
  parallel_for(p.n, kGrain, [&](int64_t begin, int64_t end) {
    const From* x = static_cast<const From*>(p.x);
    To* __restrict out = static_cast<To*>(p.out);
    for (int64_t i = begin; i < end; ++i) out[i] = convert<From, To>(x[i]);
  });
}

template <class T>
static void run_fill(void* out, int64_t n, T value) {
  const bool streams = n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        static_cast<T*>(out) + begin, end - begin, streams, [](Vec<T> v) FASTDL_BODY { return v; },
        Repeated<T>{broadcast<T>(value)});
    if (streams) store_fence();
  });
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void unary(const UnaryArgs& p) {
  switch (p.op) {
#define FASTDL_CASE(name) \
  case Unary::k_##name:   \
    return run_unary<name##_op>(p);
    FASTDL_UNARY_OPS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

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

void where(const WhereArgs& p) {
  switch (itemsize(p.dtype)) {
    case 1:
      return run_where<uint8_t>(p);
    case 4:
      return run_where<uint32_t>(p);
    case 8:
      return run_where<uint64_t>(p);
  }
}

void cast(const CastArgs& p) {
  visit_any(p.from, [&](auto from) { visit_any(p.to, [&](auto to) { run_cast<decltype(from), decltype(to)>(p); }); });
}

void clamp(const ClampArgs& p) {
  const auto run = [&](auto zero) { run_clamp<decltype(zero)>(p); };
  visit_float(p.dtype, run);
  visit_integer(p.dtype, run);
}

void fill(const FillArgs& p) {
  if (itemsize(p.dtype) == 1) {
    __builtin_memset(p.out, static_cast<int>(p.integer), static_cast<size_t>(p.n));
    return;
  }
  visit_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    run_fill<T>(p.out, p.n, std::is_floating_point_v<T> ? static_cast<T>(p.value) : static_cast<T>(p.integer));
  });
}

}  // namespace fastdl::FASTDL_ISA
