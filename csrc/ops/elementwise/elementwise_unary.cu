// Functions of one number on CUDA: out[i] = f(x[i]). elementwise.cuh says who owns what.
#include "ops/elementwise/elementwise.cuh"

namespace fastdl {
namespace {

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
  else if constexpr (op == Unary::k_tanh)
    return static_cast<T>(tanh(x));
  else if constexpr (op == Unary::k_tan)
    return static_cast<T>(tan(x));
  else if constexpr (op == Unary::k_asin)
    return static_cast<T>(asin(x));
  else if constexpr (op == Unary::k_acos)
    return static_cast<T>(acos(x));
  else if constexpr (op == Unary::k_atan)
    return static_cast<T>(atan(x));
  else if constexpr (op == Unary::k_sinh)
    return static_cast<T>(sinh(x));
  else if constexpr (op == Unary::k_cosh)
    return static_cast<T>(cosh(x));
  else if constexpr (op == Unary::k_asinh)
    return static_cast<T>(asinh(x));
  else if constexpr (op == Unary::k_acosh)
    return static_cast<T>(acosh(x));
  else if constexpr (op == Unary::k_atanh)
    return static_cast<T>(atanh(x));
  else if constexpr (op == Unary::k_exp2)
    return static_cast<T>(exp2(x));
  else if constexpr (op == Unary::k_log2)
    return static_cast<T>(log2(x));
  else if constexpr (op == Unary::k_log10)
    return static_cast<T>(log10(x));
  else if constexpr (op == Unary::k_erfc)
    return static_cast<T>(erfc(x));
  else
    return x - static_cast<T>(trunc(x));  // frac
}

template <Unary op, int N, class T>
__global__ void __launch_bounds__(kBlock) unary_kernel(int64_t n, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  Pack<T, N> pack = load_pack<N>(x + i, n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) pack[k] = apply<op>(pack[k]);
  store_pack(out + i, pack, n - i);
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

}  // namespace

#define FASTDL_CASE(name) \
  case Unary::k_##name:   \
    return launch_unary<Unary::k_##name>(args, stream);
void unary(const UnaryArgs& args, Stream stream) {
  switch (args.op) { FASTDL_UNARY_OPS(FASTDL_CASE) }
}
#undef FASTDL_CASE

}  // namespace fastdl
