// Functions of two numbers and comparisons on CUDA: out[i] = f(a[i], b[i]), broadcast. elementwise.cuh says who owns
// what.
#include "ops/elementwise/elementwise.cuh"

namespace fastdl {
namespace {

// ---- the operations
// --------------------------------------------------------------------------------------------------

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
// Towards 0: of the sign of a.
template <class T>
__device__ inline T truncated_remainder(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(fmod(a, b));
  else
    return b == T{0} || (std::is_signed_v<T> && b == static_cast<T>(-1)) ? T{0} : static_cast<T>(a % b);
}
// log(e^a + e^b): the larger one and what the other adds. Equal infinities have no difference.
template <class T>
__device__ inline T log_of_sum(T a, T b) {
  const T apart = a == b ? T{0} : static_cast<T>(-fabs(a - b));
  return (a > b ? a : b) + static_cast<T>(log1p(exp(apart)));
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
  else if constexpr (op == Binary::k_fmod)
    return truncated_remainder(a, b);
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
  else if constexpr (op == Binary::k_tanh_bwd)
    return a * (T{1} - b * b);
  else if constexpr (op == Binary::k_atan2)
    return static_cast<T>(atan2(a, b));
  else if constexpr (op == Binary::k_hypot)
    return static_cast<T>(hypot(a, b));
  else if constexpr (op == Binary::k_copysign)
    return static_cast<T>(copysign(a, b));
  else
    return log_of_sum(a, b);
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

// ---- kernels
// ---------------------------------------------------------------------------------------------------------

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

// ---- launchers
// -------------------------------------------------------------------------------------------------------

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

}  // namespace

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

}  // namespace fastdl
