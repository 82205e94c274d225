// Random numbers on CUDA. Writing them is the limit of uniform numbers; arithmetic (ten rounds of Philox, a logarithm,
// a root, a sine and a cosine for two numbers) that of normal ones.
//
// Who owns what. A thread owns the numbers of one counter: four float32, or two of 8 bytes.
#include "cuda/access.cuh"
#include "ops/random/random.h"

namespace fastdl {
namespace {

// A product that is rounded before it is added to anything, for the bits that the CPU has.
__device__ float rounded(float a, float b) {
  return __fmul_rn(a, b);
}
__device__ double rounded(double a, double b) {
  return __dmul_rn(a, b);
}

// 53 bits of two words in [0, 1), exact.
__device__ double fraction_of(uint32_t high, uint32_t low) {
  return high * 0x1p-32 + (low >> 11) * 0x1p-53;
}

template <class T>
struct Uniform {
  using Number = T;
  T low, scale, largest;

  __device__ T scaled(T u) const {
    const T y = rounded(u, scale) + low;
    return y < largest ? y : largest;
  }
  __device__ void make(const Philox& c, Pack<float, 4>& out) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) out[i] = scaled(static_cast<float>(c.word[i] >> 8) * 0x1p-24f);
  }
  __device__ void make(const Philox& c, Pack<double, 2>& out) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) out[i] = scaled(fraction_of(c.word[2 * i], c.word[2 * i + 1]));
  }
};

// Of angles up to pi / 4 and their squares s: the polynomials of cpu/angles-inl.h. CUDA's own functions have a branch
// for large angles, and memory for it on the stack.
__device__ float sine(float x, float s) {
  return x + x * s * (-1.6666654611e-1f + s * (8.3321608736e-3f + s * -1.9515295891e-4f));
}
__device__ float cosine(float s) {
  return 1.f - 0.5f * s + s * s * (4.166664568298827e-2f + s * (-1.388731625493765e-3f + s * 2.443315711809948e-5f));
}
__device__ double sine(double x, double s) {
  const double p = -1.98412698298579493134e-4 +
                   s * (2.75573137070700676789e-6 + s * (-2.50507602534068634195e-8 + s * 1.58969099521155010221e-10));
  return x + x * s * (-1.66666666666666324348e-1 + s * (8.33333333332248946124e-3 + s * p));
}
__device__ double cosine(double s) {
  const double p = 2.48015872894767294178e-5 +
                   s * (-2.75573143513906633035e-7 + s * (2.08757232129817482790e-9 + s * -1.13596475577881948265e-11));
  const double half = s * 0.5, near_one = 1.0 - half;  // what this rounds away comes back with the rest
  const double rest = s * s * (4.16666666666666019037e-2 + s * (-1.38888888888741095749e-3 + s * p));
  return near_one + (((1.0 - near_one) - half) + rest);
}

// The radius and angle of a pair: see random_cpu.cc.
template <class T>
struct Normal {
  using Number = T;
  T mean, std;

  __device__ void turn(T minus_two_logs, T r, uint32_t bits, T& x, T& y) const {
    const T radius = sqrt(minus_two_logs) * std, angle = r * T(1.57079632679489662), square = angle * angle;
    const T along = cosine(square) * (bits >> 31 ? -radius : radius), across = sine(angle, square) * radius;
    const bool steep = bits & 0x40000000u;
    x = (steep ? across : along) + mean;
    y = (steep ? along : across) + mean;
  }
  __device__ void make(const Philox& c, Pack<float, 4>& out) const {
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
      const float f = (static_cast<float>(static_cast<int32_t>(c.word[i])) + 0.5f) * 0x1p-32f;
      const float r = static_cast<float>(static_cast<int32_t>(c.word[i + 1] << 2)) * 0x1p-32f;
      turn(-2.f * (f < 0 ? log1pf(f) : logf(f)), r, c.word[i + 1], out[i], out[i + 1]);
    }
  }
  __device__ void make(const Philox& c, Pack<double, 2>& out) const {
    const double u = 1.0 - fraction_of(c.word[0], c.word[1]), r = fraction_of(c.word[2] << 2, c.word[3]) - 0.5;
    turn(-2.0 * log(u), r, c.word[2], out[0], out[1]);
  }
};

template <class T>
struct Integers {
  using Number = T;
  int64_t low;
  uint64_t span;

  __device__ void make(const Philox& c, Pack<T, 2>& out) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint64_t w = static_cast<uint64_t>(c.word[2 * i]) << 32 | c.word[2 * i + 1];
      out[i] = static_cast<T>(static_cast<uint64_t>(low) + __umul64hi(w, span));
    }
  }
};

// `N` is the width of an access: kNumbers or, for arrays that are not aligned to it, 1.
template <int N, class Draw>
__global__ void __launch_bounds__(kBlock) draw_kernel(PhiloxKey key, int64_t n, Draw draw, typename Draw::Number* out) {
  using T = typename Draw::Number;
  constexpr int kNumbers = numbers_of_counter(DTypeOf<T>::value);
  const int64_t counter = global_thread(), first = counter * kNumbers;
  if (first >= n) return;
  Pack<T, kNumbers> made;
  draw.make(philox(key, counter), made);
#pragma unroll
  for (int i = 0; i < kNumbers; i += N) {
    Pack<T, N> pack;
#pragma unroll
    for (int k = 0; k < N; ++k) pack[k] = made[i + k];
    if (n - first - i > 0) store_pack(out + first + i, pack, n - first - i);
  }
}

template <class Draw>
void draw(const PhiloxKey& key, int64_t n, const Draw& numbers, void* out, Stream stream) {
  using T = typename Draw::Number;
  constexpr int kNumbers = numbers_of_counter(DTypeOf<T>::value);
  T* const to = static_cast<T*>(out);
  const auto kernel = aligned<kNumbers>(to) ? draw_kernel<kNumbers, Draw> : draw_kernel<1, Draw>;
  launch(kernel, blocks_for(n, int64_t{kBlock} * kNumbers), kBlock, 0, stream, key, n, numbers, to);
}

}  // namespace

void uniform(const UniformArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Uniform<T> numbers{static_cast<T>(a.low), static_cast<T>(a.scale), static_cast<T>(a.largest)};
    draw(a.key, a.n, numbers, a.out, stream);
  });
}

void normal(const NormalArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    draw(a.key, a.n, Normal<T>{static_cast<T>(a.mean), static_cast<T>(a.std)}, a.out, stream);
  });
}

void integers(const IntegersArgs& a, Stream stream) {
  if (a.dtype == DType::kInt32)
    draw(a.key, a.n, Integers<int32_t>{a.low, a.span}, a.out, stream);
  else
    draw(a.key, a.n, Integers<int64_t>{a.low, a.span}, a.out, stream);
}

}  // namespace fastdl
