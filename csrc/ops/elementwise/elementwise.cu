// Choice, limits, conversion, constants, and functions of three numbers on CUDA. elementwise.cuh says who owns what.
#include <limits>

#include "ops/elementwise/elementwise.cuh"

namespace fastdl {
namespace {

// ---- the operations
// --------------------------------------------------------------------------------------------------

// NaN stays.
template <class T>
__device__ inline T limited(T x, T low, T high) {
  const T v = x > low || x != x ? x : low;
  return v < high || v != v ? v : high;
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

// ---- kernels
// ---------------------------------------------------------------------------------------------------------

template <Blend op, class T>
__device__ inline T apply(T a, T b, T c, T s) {
  if constexpr (op == Blend::k_addcmul)
    return a + b * c * s;
  else if constexpr (op == Blend::k_addcdiv)
    return a + b / c * s;
  else  // from the nearer end, so that a weight of 1 gives b
    return fabs(c) < T(0.5) ? a + c * (b - a) : b - (b - a) * (T{1} - c);
}

template <Blend op, int N, class T>
__global__ void __launch_bounds__(kBlock)
    blend_kernel(int64_t n, Axes<3> axes, Operand<T> a, Operand<T> b, Operand<T> c, T s, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const Offsets<3> offsets = locate(axes, i);
  Pack<T, N> x = read<N>(a, offsets.at[0], n - i);
  const Pack<T, N> y = read<N>(b, offsets.at[1], n - i), z = read<N>(c, offsets.at[2], n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) x[k] = apply<op>(x[k], y[k], z[k], s);
  store_pack(out + i, x, n - i);
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
  for (int k = 0; k < N; ++k) pack[k] = limited(pack[k], low, high);
  store_pack(out + i, pack, n - i);
}

template <int N, class T>
__global__ void __launch_bounds__(kBlock) nan_to_num_kernel(int64_t n, T nan, T posinf, T neginf, const T* x, T* out) {
  constexpr T kLargest = std::numeric_limits<T>::max();
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  Pack<T, N> pack = load_pack<N>(x + i, n - i);
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const T v = pack[k];
    pack[k] = v != v ? nan : v > kLargest ? posinf : v < -kLargest ? neginf : v;
  }
  store_pack(out + i, pack, n - i);
}

template <int N, class Bits>
__global__ void __launch_bounds__(kBlock) fill_kernel(int64_t n, Bits value, Bits* out) {
  const int64_t i = global_thread() * N;
  if (i < n) store_pack(out + i, splat<N>(value), n - i);
}

// Floats are sums in double precision, integers wrap around.
template <int N, class T, class Number>
__global__ void __launch_bounds__(kBlock)
    ramp_kernel(int64_t n, int64_t forward, Number start, Number step, Number last, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  Pack<T, N> pack;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    const int64_t from_last = i + k - (n - 1);
    pack[k] = static_cast<T>(i + k < forward ? static_cast<Number>(i + k) * step + start
                                             : static_cast<Number>(from_last) * step + last);
  }
  store_pack(out + i, pack, n - i);
}

// ---- launchers
// -------------------------------------------------------------------------------------------------------

// Kernels that only move elements know their size and not their type.
template <class F>
void visit_bits(size_t itemsize, F&& f) {
  if (itemsize == 1) return f(uint8_t{});
  if (itemsize == 4) return f(uint32_t{});
  f(uint64_t{});
}

template <Blend op, class T>
void launch_blend(const BlendArgs& args, Stream stream) {
  Axes<3> axes = axes_of<3>(args.shape, args.stride_a, args.stride_b, args.stride_c);
  const int64_t n = args.shape.product();
  const T s = static_cast<T>(args.s);
  const Operand<T> a{static_cast<const T*>(args.a), s, step_of(axes, 0)};
  const Operand<T> b{static_cast<const T*>(args.b), s, step_of(axes, 1)};
  const Operand<T> c{static_cast<const T*>(args.c), s, args.c ? step_of(axes, 2) : 0};
  if (args.c == nullptr)  // a number is everywhere
    for (int d = 0; d < axes.rank; ++d) axes.stride[2][d] = 0;
  T* out = static_cast<T*>(args.out);
  const auto fits = [](const Operand<T>& x) { return x.step == 0 || aligned<kPack<T>>(x.data); };
  const bool packs = divides_into_packs(axes, kPack<T>) && fits(a) && fits(b) && fits(c) && aligned<kPack<T>>(out);
  with_packs<kPack<T>>(packs, [&](auto wide) {
    constexpr int N = decltype(wide)::value;
    launch(blend_kernel<op, N, T>, grid_for<N>(n), kBlock, 0, stream, n, axes, a, b, c, s, out);
  });
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
  case Blend::k_##name:   \
    return visit_float(args.dtype, [&](auto zero) { launch_blend<Blend::k_##name, decltype(zero)>(args, stream); });
void blend(const BlendArgs& args, Stream stream) {
  switch (args.op) { FASTDL_BLEND_OPS(FASTDL_CASE) }
}
#undef FASTDL_CASE

void nan_to_num(const NanToNumArgs& args, Stream stream) {
  visit_float(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* x = static_cast<const T*>(args.x);
    T* out = static_cast<T*>(args.out);
    const T nan = static_cast<T>(args.nan), posinf = static_cast<T>(args.posinf), neginf = static_cast<T>(args.neginf);
    with_packs<kPack<T>>(aligned<kPack<T>>(x) && aligned<kPack<T>>(out), [&](auto wide) {
      constexpr int N = decltype(wide)::value;
      launch(nan_to_num_kernel<N, T>, grid_for<N>(args.n), kBlock, 0, stream, args.n, nan, posinf, neginf, x, out);
    });
  });
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

void ramp(const RampArgs& args, Stream stream) {
  visit_number(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    using Number = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
    const auto of = [](double number, int64_t integer) {
      return std::is_floating_point_v<T> ? static_cast<Number>(number) : static_cast<Number>(integer);
    };
    const Number first = of(args.start, args.integer_start), step = of(args.step, args.integer_step),
                 last = of(args.last, 0);
    T* out = static_cast<T*>(args.out);
    with_packs<kPack<T>>(aligned<kPack<T>>(out), [&](auto wide) {
      constexpr int N = decltype(wide)::value;
      launch(ramp_kernel<N, T, Number>, grid_for<N>(args.n), kBlock, 0, stream, args.n, args.forward, first, step, last,
             out);
    });
  });
}

}  // namespace fastdl
