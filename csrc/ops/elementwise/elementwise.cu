// Elementwise operations on CUDA: out[i] = f(operands at i). They compute a few instructions for each element that they
// move, so all that counts is memory: every access is a pack of 16 bytes where alignment and broadcast axes allow it.
//
// Layout. The output is contiguous; element i of it is at locate(axes, i) in each operand. The axes arrive merged, so
// operands of one shape have a single axis, and finding an element costs no division.
//
//        out (2, 6), b broadcast along the first axis: strides (0, 1)         packs of 2
//        [ o0 o1 | o2 o3 | o4 o5 ]   thread 0 1 2    each pack lies within one row, and so does what
//        [ o6 o7 | o8 o9 | .. .. ]   thread 3 4 5    it needs of b: a pack, or one element (stride 0)
//
// Who owns what. A thread owns one pack of N output elements; N is 1 where packs do not fit. It has read its operands
// before it writes, so an operand may be the output.
#include "core/wrapping.h"
#include "cuda/access.cuh"
#include "ops/elementwise/elementwise.h"

namespace fastdl {
namespace {

// ---- the operations -------------------------------------------------------------------------------------------------

// nvcc warns of unsigned numbers compared with 0.
template <class T>
__device__ inline bool is_negative(T x) {
  if constexpr (std::is_unsigned_v<T>)
    return false;
  else
    return x < T{0};
}

// CUDA's functions of full precision, never the fast intrinsics: with memory as the limit their speed would buy
// nothing.
template <Unary op, class T>
__device__ inline T apply(T x) {
  using Wrap = typename WrappingOf<T>::type;
  if constexpr (op == Unary::k_neg)
    return static_cast<T>(-static_cast<Wrap>(x));  // 0 gives -0
  else if constexpr (op == Unary::k_abs)           // 0 - x, not -x: -0 becomes 0
    return x > T{0} || x != x ? x : static_cast<T>(Wrap{0} - static_cast<Wrap>(x));
  else if constexpr (op == Unary::k_sign)
    return static_cast<T>((x > T{0}) - is_negative(x));  // NaN gives 0, as in PyTorch
  else if constexpr (op == Unary::k_square)
    return static_cast<T>(static_cast<Wrap>(x) * static_cast<Wrap>(x));
  else if constexpr (op == Unary::k_exp)
    return static_cast<T>(exp(x));
  else if constexpr (op == Unary::k_expm1)
    return static_cast<T>(expm1(x));
  else if constexpr (op == Unary::k_log)
    return static_cast<T>(log(x));
  else if constexpr (op == Unary::k_log1p)
    return static_cast<T>(log1p(x));
  else if constexpr (op == Unary::k_sqrt)
    return static_cast<T>(sqrt(x));
  else if constexpr (op == Unary::k_rsqrt)
    return static_cast<T>(T{1} / sqrt(x));
  else if constexpr (op == Unary::k_reciprocal)
    return static_cast<T>(T{1} / x);
  else if constexpr (op == Unary::k_sin)
    return static_cast<T>(sin(x));
  else if constexpr (op == Unary::k_cos)
    return static_cast<T>(cos(x));
  else if constexpr (op == Unary::k_erf)
    return static_cast<T>(erf(x));
  else if constexpr (op == Unary::k_floor)
    return static_cast<T>(floor(x));
  else if constexpr (op == Unary::k_ceil)
    return static_cast<T>(ceil(x));
  else if constexpr (op == Unary::k_round)
    return static_cast<T>(rint(x));  // ties to even
  else if constexpr (op == Unary::k_trunc)
    return static_cast<T>(trunc(x));
  else if constexpr (op == Unary::k_relu)
    return is_negative(x) ? T{0} : x;         // keeps NaN
  else if constexpr (op == Unary::k_sigmoid)  // far below zero exp(-x) is infinite, and the quotient a true 0
    return static_cast<T>(T{1} / (T{1} + exp(-x)));
  else
    return static_cast<T>(tanh(x));
}

// Division towards minus infinity: the remainder has the sign of the divisor. Integers divided by 0 give 0.
template <class T>
__device__ inline T floored_remainder(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    const T r = static_cast<T>(fmod(a, b));
    return r != T{0} && (r < T{0}) != (b < T{0}) ? r + b : r;
  } else {
    if (b == T{0} || (std::is_signed_v<T> && b == static_cast<T>(-1))) return 0;  // the quotient by -1 may overflow
    const T r = a % b;
    return r != 0 && is_negative(r) != is_negative(b) ? r + b : r;
  }
}
template <class T>
__device__ inline T floored_quotient(T a, T b) {
  using Wrap = typename WrappingOf<T>::type;
  if constexpr (std::is_floating_point_v<T>) {
    if (b == T{0}) return a / b;
    const T r = static_cast<T>(fmod(a, b));
    const T q = (a - r) / b - (r != T{0} && (r < T{0}) != (b < T{0}) ? T{1} : T{0});
    // A whole number but for rounding; 0 takes the sign of the true quotient.
    const T below = static_cast<T>(floor(q)), whole = q - below > T(0.5) ? below + T{1} : below;
    return whole != T{0} ? whole : static_cast<T>(copysign(T{0}, a / b));
  } else {
    if (b == T{0}) return 0;
    if (std::is_signed_v<T> && b == static_cast<T>(-1)) return static_cast<T>(-static_cast<Wrap>(a));
    const T q = a / b;
    return q * b != a && is_negative(a) != is_negative(b) ? q - 1 : q;
  }
}

// The gradients take the gradient of the output, a, and the output, b: nothing else need be kept. prelu takes the
// number, a, and its slope, b.
template <Binary op, class T>
__device__ inline T apply(T a, T b) {
  using Wrap = typename WrappingOf<T>::type;
  const Wrap x = static_cast<Wrap>(a), y = static_cast<Wrap>(b);
  if constexpr (op == Binary::k_add)
    return static_cast<T>(x + y);
  else if constexpr (op == Binary::k_sub)
    return static_cast<T>(x - y);
  else if constexpr (op == Binary::k_mul)
    return static_cast<T>(x * y);
  else if constexpr (op == Binary::k_div)
    return a / b;
  else if constexpr (op == Binary::k_floor_divide)
    return floored_quotient(a, b);
  else if constexpr (op == Binary::k_remainder)
    return floored_remainder(a, b);
  else if constexpr (op == Binary::k_bitwise_and)
    return static_cast<T>(a & b);
  else if constexpr (op == Binary::k_bitwise_or)
    return static_cast<T>(a | b);
  else if constexpr (op == Binary::k_bitwise_xor)
    return static_cast<T>(a ^ b);
  else if constexpr (op == Binary::k_pow)
    return static_cast<T>(pow(a, b));
  else if constexpr (op == Binary::k_maximum)
    return a > b || a != a ? a : b;  // NaN in either gives NaN
  else if constexpr (op == Binary::k_minimum)
    return a < b || a != a ? a : b;
  else if constexpr (op == Binary::k_relu_bwd)
    return b <= T{0} ? T{0} : a;  // a NaN lets the gradient pass, as in PyTorch
  else if constexpr (op == Binary::k_sigmoid_bwd)
    return a * b * (T{1} - b);
  else if constexpr (op == Binary::k_prelu)
    return a > T{0} ? a : a * b;
  else
    return a * (T{1} - b * b);
}

// gt and ge are lt and le with the operands exchanged: the negation would be true of NaN.
template <Compare op, class T>
__device__ inline bool holds(T a, T b) {
  if constexpr (op == Compare::k_eq)
    return a == b;
  else if constexpr (op == Compare::k_ne)
    return a != b;
  else if constexpr (op == Compare::k_lt)
    return a < b;
  else
    return a <= b;
}

// Floats to integers truncate; what does not fit, and NaN, have no defined integer.
template <class To, class From>
struct Convert {
  __device__ static To of(From x) { return static_cast<To>(x); }
};
template <class From>
struct Convert<bool, From> {
  __device__ static bool of(From x) { return x != From{0}; }
};
// A negative number has no uint8; through int64 it becomes its last byte on every processor.
template <>
struct Convert<uint8_t, float> {
  __device__ static uint8_t of(float x) { return static_cast<uint8_t>(static_cast<int64_t>(x)); }
};
template <>
struct Convert<uint8_t, double> {
  __device__ static uint8_t of(double x) { return static_cast<uint8_t>(static_cast<int64_t>(x)); }
};

// ---- operands -------------------------------------------------------------------------------------------------------

// An array, or without data one number for all elements. `step` is the stride along the last axis.
template <class T>
struct Operand {
  const T* data;
  T scalar;
  int64_t step;
};

// The branches go one way for the whole grid, so they cost a comparison and no divergence; that saves a kernel for each
// combination of arrays, rows, columns and numbers.
template <int N, class T>
__device__ inline Pack<T, N> read(const Operand<T>& x, int64_t at, int64_t count) {
  if (x.data == nullptr) return splat<N>(x.scalar);
  // A warp reads one address here, or few.
  if (x.step == 0) return splat<N>(x.data[at]);
  return load_pack<N>(x.data + at, count);
}

template <class T>
T scalar_of(double number, int64_t integer) {
  return is_float(DTypeOf<T>::value) ? static_cast<T>(number) : static_cast<T>(integer);
}

// Elements a thread where packs fit. At least 4, since the bytes that go with 8-byte numbers (results of comparisons,
// conditions, casts) move as 4-byte words.
template <class T>
constexpr int kWide = kPack<T> < 4 ? 4 : kPack<T>;

template <int kOperands, class... Strides>
Axes<kOperands> axes_of(const Dims& shape, const Strides&... strides) {
  Axes<kOperands> axes;
  for (int d = 0; d < shape.n; ++d) axes.push(shape[d], strides[d]...);
  return axes;
}
template <int kOperands>
int64_t step_of(const Axes<kOperands>& axes, int operand) {
  return axes.rank > 0 ? axes.stride[operand][axes.rank - 1] : 0;
}

// ---- kernels --------------------------------------------------------------------------------------------------------

// All kernels: the last thread's pack may end after n, and load_pack and store_pack then move what there is. That
// happens on a single axis only; rows that are not whole packs go element by element (divides_into_packs).
template <Unary op, int N, class T>
__global__ void __launch_bounds__(kBlock) unary_kernel(int64_t n, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  Pack<T, N> pack = load_pack<N>(x + i, n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) pack[k] = apply<op>(pack[k]);
  store_pack(out + i, pack, n - i);
}

// Places are found once for a pack and for both operands. The output needs none, as it is contiguous.
template <Binary op, int N, class T>
__global__ void __launch_bounds__(kBlock) binary_kernel(int64_t n, Axes<2> axes, Operand<T> a, Operand<T> b, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const Offsets<2> offsets = locate(axes, i);
  Pack<T, N> x = read<N>(a, offsets.at[0], n - i);
  const Pack<T, N> y = read<N>(b, offsets.at[1], n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) x[k] = apply<op>(x[k], y[k]);
  store_pack(out + i, x, n - i);
}

// The result has a byte an element: packs of 4 (16 of bytes) keep its stores at 4 bytes a thread or more.
template <Compare op, int N, class T>
__global__ void __launch_bounds__(kBlock)
    compare_kernel(int64_t n, Axes<2> axes, Operand<T> a, Operand<T> b, bool* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const Offsets<2> offsets = locate(axes, i);
  const Pack<T, N> x = read<N>(a, offsets.at[0], n - i), y = read<N>(b, offsets.at[1], n - i);
  Pack<bool, N> truth;
#pragma unroll
  for (int k = 0; k < N; ++k) truth[k] = holds<op>(x[k], y[k]);
  store_pack(out + i, truth, n - i);
}

// Elements move as unsigned integers of their size, so three instances serve every dtype. Both branches are read: a
// load that is not wanted costs less than threads that part ways.
template <int N, class Bits>
__global__ void __launch_bounds__(kBlock)
    where_kernel(int64_t n, Axes<3> axes, Operand<uint8_t> condition, Operand<Bits> a, Operand<Bits> b, Bits* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const Offsets<3> offsets = locate(axes, i);
  const Pack<uint8_t, N> chosen = read<N>(condition, offsets.at[0], n - i);
  const Pack<Bits, N> x = read<N>(a, offsets.at[1], n - i), y = read<N>(b, offsets.at[2], n - i);
  Pack<Bits, N> pack;
#pragma unroll
  for (int k = 0; k < N; ++k) pack[k] = chosen[k] ? x[k] : y[k];
  store_pack(out + i, pack, n - i);
}

// N suits the narrower side: it moves 4 bytes or more a thread, and the wider side in one or two accesses.
template <int N, class From, class To>
__global__ void __launch_bounds__(kBlock) cast_kernel(int64_t n, const From* x, To* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const Pack<From, N> from = load_pack<N>(x + i, n - i);
  Pack<To, N> to;
#pragma unroll
  for (int k = 0; k < N; ++k) to[k] = Convert<To, From>::of(from[k]);
  store_pack(out + i, to, n - i);
}

template <int N, class T>
__global__ void __launch_bounds__(kBlock) clamp_kernel(int64_t n, T low, T high, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  Pack<T, N> pack = load_pack<N>(x + i, n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) pack[k] = apply<Binary::k_minimum>(apply<Binary::k_maximum>(pack[k], low), high);
  store_pack(out + i, pack, n - i);
}

template <int N, class Bits>
__global__ void __launch_bounds__(kBlock) fill_kernel(int64_t n, Bits value, Bits* out) {
  const int64_t i = global_thread() * N;
  if (i < n) store_pack(out + i, splat<N>(value), n - i);
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// A bool is read as the byte that it is: its values 0 and 1 compare and convert like those of uint8.
template <class F>
void visit_stored(DType t, F&& f) {
  if (t == DType::kBool || t == DType::kUInt8) return f(uint8_t{});
  visit_number(t, f);
}

template <class F>
void visit_integer(DType t, F&& f) {
  if (t == DType::kInt32) return f(int32_t{});
  if (t == DType::kInt64) return f(int64_t{});
  if (t == DType::kUInt8) return f(uint8_t{});
}

// Kernels that only move elements know their size and not their type.
template <class F>
void visit_bits(size_t itemsize, F&& f) {
  if (itemsize == 1) return f(uint8_t{});
  if (itemsize == 4) return f(uint32_t{});
  f(uint64_t{});
}

template <Unary op, class T>
void launch_unary(const UnaryArgs& args, Stream stream) {
  const T* x = static_cast<const T*>(args.x);
  T* out = static_cast<T*>(args.out);
  with_packs<kPack<T>>(aligned<kPack<T>>(x) && aligned<kPack<T>>(out), [&](auto wide) {
    constexpr int N = decltype(wide)::value;
    launch(unary_kernel<op, N, T>, grid_for<N>(args.n), kBlock, 0, stream, args.n, x, out);
  });
}

// Which operations integers have is the binding's check; here it only saves kernels.
template <Unary op>
void launch_unary(const UnaryArgs& args, Stream stream) {
  visit_float(args.dtype, [&](auto zero) { launch_unary<op, decltype(zero)>(args, stream); });
  if constexpr (takes_integers(op))
    visit_integer(args.dtype, [&](auto zero) { launch_unary<op, decltype(zero)>(args, stream); });
}

// The operands of a binary operation or comparison in their type, and whether packs fit them.
template <class T>
struct Operands {
  Axes<2> axes;
  Operand<T> a, b;

  explicit Operands(const BinaryArgs& args) : axes(axes_of<2>(args.shape, args.stride_a, args.stride_b)) {
    a = {static_cast<const T*>(args.a), scalar_of<T>(args.scalar_a, args.integer_a), step_of(axes, 0)};
    b = {static_cast<const T*>(args.b), scalar_of<T>(args.scalar_b, args.integer_b), step_of(axes, 1)};
    for (int d = 0; d < axes.rank; ++d) {  // a number is everywhere
      if (a.data == nullptr) axes.stride[0][d] = 0;
      if (b.data == nullptr) axes.stride[1][d] = 0;
    }
  }
  // One element for all, or for a row, is read alone and may lie anywhere.
  template <int N>
  bool fit() const {
    return divides_into_packs(axes, N) && (a.step == 0 || aligned<N>(a.data)) && (b.step == 0 || aligned<N>(b.data));
  }
};

template <Binary op, class T>
void launch_binary(const BinaryArgs& args, Stream stream) {
  const Operands<T> x(args);
  const int64_t n = args.shape.product();
  T* out = static_cast<T*>(args.out);
  // In place is safe at either width: a thread reads and writes the same elements, and no other thread touches them.
  with_packs<kPack<T>>(x.template fit<kPack<T>>() && aligned<kPack<T>>(out), [&](auto wide) {
    constexpr int N = decltype(wide)::value;
    launch(binary_kernel<op, N, T>, grid_for<N>(n), kBlock, 0, stream, n, x.axes, x.a, x.b, out);
  });
}

template <Binary op>
void launch_binary(const BinaryArgs& args, Stream stream) {
  if constexpr (takes_floats(op))
    visit_float(args.dtype, [&](auto zero) { launch_binary<op, decltype(zero)>(args, stream); });
  if constexpr (takes_integers(op))
    visit_integer(args.dtype, [&](auto zero) { launch_binary<op, decltype(zero)>(args, stream); });
}

template <Compare op>
void launch_compare(const BinaryArgs& args, Stream stream) {
  visit_stored(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Operands<T> x(args);
    const int64_t n = args.shape.product();
    bool* out = static_cast<bool*>(args.out);
    with_packs<kWide<T>>(x.template fit<kWide<T>>() && aligned<kWide<T>>(out), [&](auto wide) {
      constexpr int N = decltype(wide)::value;
      launch(compare_kernel<op, N, T>, grid_for<N>(n), kBlock, 0, stream, n, x.axes, x.a, x.b, out);
    });
  });
}

// Two comparisons fewer to compile, for each of five dtypes and both widths.
BinaryArgs exchanged(const BinaryArgs& args) {
  BinaryArgs other = args;
  other.stride_a = args.stride_b, other.a = args.b, other.scalar_a = args.scalar_b, other.integer_a = args.integer_b;
  other.stride_b = args.stride_a, other.b = args.a, other.scalar_b = args.scalar_a, other.integer_b = args.integer_a;
  return other;
}

template <class From, class To>
void launch_cast(const CastArgs& args, Stream stream) {
  constexpr int kBoth = kWide<From> < kWide<To> ? kWide<From> : kWide<To>;
  const From* x = static_cast<const From*>(args.x);
  To* out = static_cast<To*>(args.out);
  with_packs<kBoth>(aligned<kBoth>(x) && aligned<kBoth>(out), [&](auto wide) {
    constexpr int N = decltype(wide)::value;
    launch(cast_kernel<N, From, To>, grid_for<N>(args.n), kBlock, 0, stream, args.n, x, out);
  });
}

}  // namespace

#define FASTDL_CASE(name) \
  case Unary::k_##name:   \
    return launch_unary<Unary::k_##name>(args, stream);
void unary(const UnaryArgs& args, Stream stream) {
  switch (args.op) { FASTDL_UNARY_OPS(FASTDL_CASE) }
}
#undef FASTDL_CASE

#define FASTDL_CASE(name) \
  case Binary::k_##name:  \
    return launch_binary<Binary::k_##name>(args, stream);
void binary(const BinaryArgs& args, Stream stream) {
  switch (static_cast<Binary>(args.op)) { FASTDL_BINARY_OPS(FASTDL_CASE) }
}
#undef FASTDL_CASE

void compare(const BinaryArgs& args, Stream stream) {
  switch (static_cast<Compare>(args.op)) {
    case Compare::k_eq:
      return launch_compare<Compare::k_eq>(args, stream);
    case Compare::k_ne:
      return launch_compare<Compare::k_ne>(args, stream);
    case Compare::k_lt:
      return launch_compare<Compare::k_lt>(args, stream);
    case Compare::k_le:
      return launch_compare<Compare::k_le>(args, stream);
    case Compare::k_gt:
      return launch_compare<Compare::k_lt>(exchanged(args), stream);
    case Compare::k_ge:
      return launch_compare<Compare::k_le>(exchanged(args), stream);
  }
}

void where(const WhereArgs& args, Stream stream) {
  const Axes<3> axes = axes_of<3>(args.shape, args.stride_condition, args.stride_a, args.stride_b);
  const int64_t n = args.shape.product();
  visit_bits(itemsize(args.dtype), [&](auto zero) {
    using Bits = decltype(zero);
    constexpr int kN = kWide<Bits>;
    const Operand<uint8_t> condition{static_cast<const uint8_t*>(args.condition), 0, step_of(axes, 0)};
    const Operand<Bits> a{static_cast<const Bits*>(args.a), 0, step_of(axes, 1)};
    const Operand<Bits> b{static_cast<const Bits*>(args.b), 0, step_of(axes, 2)};
    Bits* out = static_cast<Bits*>(args.out);
    // Stricter than it must be, as an operand of one element may lie anywhere; arrays of the allocator are aligned.
    const bool fit = divides_into_packs(axes, kN) && aligned<kN>(out) && aligned<kN>(condition.data) &&
                     aligned<kN>(a.data) && aligned<kN>(b.data);
    with_packs<kN>(fit, [&](auto wide) {
      constexpr int N = decltype(wide)::value;
      launch(where_kernel<N, Bits>, grid_for<N>(n), kBlock, 0, stream, n, axes, condition, a, b, out);
    });
  });
}

void cast(const CastArgs& args, Stream stream) {
  visit_stored(args.from, [&](auto from) {
    visit_any(args.to, [&](auto to) { launch_cast<decltype(from), decltype(to)>(args, stream); });
  });
}

void clamp(const ClampArgs& args, Stream stream) {
  const auto start = [&](auto zero) {
    using T = decltype(zero);
    const T low = scalar_of<T>(args.low, args.integer_low), high = scalar_of<T>(args.high, args.integer_high);
    const T* x = static_cast<const T*>(args.x);
    T* out = static_cast<T*>(args.out);
    with_packs<kPack<T>>(aligned<kPack<T>>(x) && aligned<kPack<T>>(out), [&](auto wide) {
      constexpr int N = decltype(wide)::value;
      launch(clamp_kernel<N, T>, grid_for<N>(args.n), kBlock, 0, stream, args.n, low, high, x, out);
    });
  };
  visit_float(args.dtype, start);
  visit_integer(args.dtype, start);
}

void fill(const FillArgs& args, Stream stream) {
  visit_any(args.dtype, [&](auto zero) {
    const auto value = scalar_of<decltype(zero)>(args.value, args.integer);
    visit_bits(sizeof value, [&](auto bits) {
      using Bits = decltype(bits);
      if constexpr (sizeof(Bits) == sizeof value) {
        Bits pattern;
        // On the host: the emulation does not see a memcpy of a kernel.
        memcpy(&pattern, &value, sizeof pattern);
        Bits* out = static_cast<Bits*>(args.out);
        with_packs<kPack<Bits>>(aligned<kPack<Bits>>(out), [&](auto wide) {
          constexpr int N = decltype(wide)::value;
          launch(fill_kernel<N, Bits>, grid_for<N>(args.n), kBlock, 0, stream, args.n, pattern, out);
        });
      }
    });
  });
}

}  // namespace fastdl
