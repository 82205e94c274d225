// exp, log, tanh, sigmoid and sqrt over vectors of float or double, for kernel files.
//
// Largest errors in units of the last place (float): exp 1.01, log 0.97, tanh 2.6, sigmoid 2.5. NaN,
// infinities and the sign of zero come out as C's functions have them. Each polynomial is a minimax fit (Remez) of the
// function written next to it, weighted so that its error in the result is a tenth of a rounding.
#pragma once
#include <math.h>

#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

// The layout of an IEEE number and the constants of argument reduction. ln2 is split in two so that n * kLn2High is
// exact for every exponent n; kRound is 1.5 * 2^kFraction, and adding it leaves an integer in the low bits.
template <class T>
struct Ieee;
template <>
struct Ieee<float> {
  using Bits = uint32_t;
  static constexpr int kFraction = 23, kBias = 127;
  static constexpr Bits kSign = 0x80000000u, kLeastFraction = 0x3f2aaaabu;  // 2/3
  static constexpr float kRound = 0x1.8p23f, kInfinity = __builtin_inff(), kSmallestNormal = 0x1p-126f;
  static constexpr float kLog2E = 0x1.715476p+0f, kLn2High = 0x1.62e400p-1f, kLn2Low = 0x1.7f7d1cp-20f;
  static constexpr float kExpHighest = 0x1.62e42ep+6f, kExpLowest = -87.3365f;
};
template <>
struct Ieee<double> {
  using Bits = uint64_t;
  static constexpr int kFraction = 52, kBias = 1023;
  static constexpr Bits kSign = 0x8000000000000000u, kLeastFraction = 0x3fe6a09e667f3bcdu;  // sqrt(1/2)
  static constexpr double kRound = 0x1.8p52, kInfinity = __builtin_inf(), kSmallestNormal = 0x1p-1022;
  static constexpr double kLog2E = 0x1.71547652b82fep+0, kLn2High = 0x1.62e42fee00000p-1,
                          kLn2Low = 0x1.a39ef35793c76p-33;
  static constexpr double kExpHighest = 0x1.62e42fefa39efp+9, kExpLowest = -708.3964;
};
template <class T>
using VecBits = Vec<typename Ieee<T>::Bits>;

template <class T>
FASTDL_INLINE VecBits<T> bits(Vec<T> x) {
  return (VecBits<T>)x;
}

// c0 + c1 x + c2 x^2 + ...
template <class T>
FASTDL_INLINE Vec<T> polynomial(Vec<T>, T c) {
  return broadcast<T>(c);
}
template <class T, class... C>
FASTDL_INLINE Vec<T> polynomial(Vec<T> x, T c, C... higher) {
  return polynomial<T>(x, higher...) * x + c;
}

template <class T>
FASTDL_INLINE Vec<T> vabs(Vec<T> x) {
  return (Vec<T>)(bits<T>(x) & ~Ieee<T>::kSign);
}
template <class T>
FASTDL_INLINE Vec<T> vcopysign(Vec<T> magnitude, Vec<T> sign) {
  return (Vec<T>)((bits<T>(magnitude) & ~Ieee<T>::kSign) | (bits<T>(sign) & Ieee<T>::kSign));
}

// The nearest integer of |x| < 2^(kFraction - 2); ties to even.
template <class T>
FASTDL_INLINE Vec<T> vround(Vec<T> x) {
  return (x + Ieee<T>::kRound) - Ieee<T>::kRound;
}

// (The masked forms with a full mask compile to the plain instructions, whose headers make GCC warn.)
template <class T>
FASTDL_INLINE Vec<T> vsqrt(Vec<T> x) {
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
  else
    return (Vec<T>)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif defined(FASTDL_ISA_avx2)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_sqrt_ps((__m256)x);
  else
    return (Vec<T>)_mm256_sqrt_pd((__m256d)x);
#elif defined(__x86_64__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm_sqrt_ps((__m128)x);
  else
    return (Vec<T>)_mm_sqrt_pd((__m128d)x);
#else
  for (int i = 0; i < kLanes<T>; ++i) x[i] = sizeof(T) == 4 ? __builtin_sqrtf(x[i]) : __builtin_sqrt(x[i]);
  return x;
#endif
}

// x * 2^n where the result is a normal number, as an addition to the exponent. `shifted` is n + kRound, whose low bits
// are n.
template <class T>
FASTDL_INLINE Vec<T> add_to_exponent(Vec<T> x, Vec<T> shifted) {
  return (Vec<T>)(bits<T>(x) + (bits<T>(shifted) << Ieee<T>::kFraction));
}

// (e^r - 1 - r) / r^2 for |r| <= ln2 / 2.
template <class T>
FASTDL_INLINE Vec<T> exp_polynomial(Vec<T> r) {
  if constexpr (sizeof(T) == 4)
    return polynomial<T>(r, 0.49999994f, 0.16666521f, 0.04166839f, 0.008368717f, 0.0013814612f);
  else
    return polynomial<T>(r, 0.5, 0x1.555555555555bp-3, 0x1.5555555555503p-5, 0x1.111111110ec5ep-7,
                         0x1.6c16c16c3042fp-10, 0x1.a01a01b37defdp-13, 0x1.a01a0136a6ab1p-16, 0x1.71ddf02156e63p-19,
                         0x1.27e5b41c7232dp-22, 0x1.af6be72f78a54p-26, 0x1.1e3d657c99c2fp-29);
}

// x = n ln2 + r, e^x = 2^n e^r: from kExpLowest, below which the result would be a denormal number and is zero, to
// kExpHighest. Beyond them the bits are of no use until they are replaced.
template <class T>
FASTDL_INLINE Vec<T> vexp(Vec<T> x) {
  using F = Ieee<T>;
  const Vec<T> shifted = x * F::kLog2E + F::kRound, n = shifted - F::kRound;
  const Vec<T> r = (x - n * F::kLn2High) - n * F::kLn2Low;
  const Vec<T> e = (r * r) * exp_polynomial<T>(r) + r + T{1};
  const Vec<T> y = select<T>(x < F::kExpLowest, Vec<T>{}, add_to_exponent<T>(e, shifted));
  return select<T>(x <= F::kExpHighest, y, x * F::kInfinity);  // NaN stays
}

// log(1 + f) for the fraction f of a number. Floats: f + f^2 q(f), for 1 + f in [2/3, 4/3]; no quotient. Doubles, whose
// q would be long: s = f / (2 + f) turns it into an odd series, f - (f^2/2 - s (f^2/2 + s^2 p(s^2))), for 1 + f in
// [sqrt(1/2), sqrt(2)]. f is exact and the rest small: `low`, what the exponent adds below it, is added to the rest.
FASTDL_INLINE Vec<float> log_of_fraction(Vec<float> f, Vec<float> low) {
  const Vec<float> q = polynomial<float>(f, -0.5f, 0.33333209f, -0.24999717f, 0.20010747f, -0.16682306f, 0.14001161f,
                                         -0.12167154f, 0.14004757f, -0.12948966f);
  return f + (low + (f * f) * q);
}
FASTDL_INLINE Vec<double> log_of_fraction(Vec<double> f, Vec<double> low) {
  const Vec<double> s = f / (f + 2.0), s2 = s * s, half = f * f * 0.5;
  const Vec<double> p =
      polynomial<double>(s2, 0x1.5555555555593p-1, 0x1.999999997fb2dp-2, 0x1.2492494217d16p-2, 0x1.c71c51e7d6fcbp-3,
                         0x1.7466463275675p-3, 0x1.39a0f473b887bp-3, 0x1.2f0d9409b31d3p-3);
  return f - (half - (s * (half + s2 * p) + low));
}

// x = 2^n (1 + f) with 1 + f in [kLeastFraction, 2 kLeastFraction), for positive x neither denormal nor infinite.
template <class T>
struct Parts {
  Vec<T> f, n;
};
template <class T>
FASTDL_INLINE Parts<T> fraction_and_exponent(Vec<T> x) {
  using F = Ieee<T>;
  using Bits = typename F::Bits;
  constexpr Bits kExponent = ~Bits{0} << F::kFraction, kBias = Bits{F::kBias} << F::kFraction;
  constexpr T kUp = static_cast<T>(Bits{1} << F::kFraction);
  const VecBits<T> above = bits<T>(x) - F::kLeastFraction;
  const Vec<T> f = (Vec<T>)(bits<T>(x) - (above & kExponent)) - T{1};
  if constexpr (sizeof(T) == 4) {
    return {f, __builtin_convertvector((Vec<int32_t>)above >> F::kFraction, Vec<T>)};
  } else {
    // Few processors convert long integers, but the exponent is small: put into the fraction of 2^kFraction it becomes
    // a floating-point number.
    const VecBits<T> exponent = (above + kBias) >> F::kFraction;
    return {f, (Vec<T>)(exponent | bits<T>(broadcast<T>(kUp))) - (kUp + F::kBias)};
  }
}

// Of such numbers. `lift` is taken out of the exponent.
template <class T>
FASTDL_INLINE Vec<T> log_of_normal(Vec<T> x, Vec<T> lift) {
  const Parts<T> parts = fraction_and_exponent<T>(x);
  const Vec<T> n = parts.n - lift;
  return n * Ieee<T>::kLn2High + log_of_fraction(parts.f, n * Ieee<T>::kLn2Low);
}

// Denormal numbers are lifted into the range of the others; what has no logarithm gets C's answer.
template <class T>
static __attribute__((noinline)) Vec<T> log_of_any(Vec<T> x) {
  using F = Ieee<T>;
  constexpr T kUp = static_cast<T>(typename F::Bits{1} << F::kFraction);
  const Mask<T> tiny = x < F::kSmallestNormal;
  Vec<T> y = log_of_normal<T>(select<T>(tiny, x * kUp, x), select<T>(tiny, broadcast<T>(F::kFraction), Vec<T>{}));
  y = select<T>(x == F::kInfinity, x, y);
  y = select<T>(x == T{0}, broadcast<T>(-F::kInfinity), y);
  return select<T>(x >= T{0}, y, select<T>(x < T{0}, broadcast<T>(F::kInfinity - F::kInfinity), x));
}

// Whether a >= b in any lane. A comparison that is kept would become a vector first and then a mask again.
template <class T>
FASTDL_INLINE bool any_at_least(Mask<T> a, Mask<T> b) {
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4)
    return _mm512_cmpge_epi32_mask((__m512i)a, (__m512i)b) != 0;
  else
    return _mm512_cmpge_epi64_mask((__m512i)a, (__m512i)b) != 0;
#else
  return any_lane<T>(a >= b);
#endif
}

// As integers normal numbers lie between the smallest one and infinity; flipped signs make one comparison of it.
template <class T>
struct Ordinary {
  static constexpr typename Ieee<T>::Bits kLeast = typename Ieee<T>::Bits{1} << Ieee<T>::kFraction;
  static constexpr typename Ieee<T>::Bits kNumbers = Ieee<T>::kSign - 2 * kLeast;
  FASTDL_INLINE Mask<T> flipped(Vec<T> x) { return (Mask<T>)(bits<T>(x) - (kLeast ^ Ieee<T>::kSign)); }
  FASTDL_INLINE Mask<T> end() { return (Mask<T>)(VecBits<T>{} + (kNumbers ^ Ieee<T>::kSign)); }
};
template <class T>
FASTDL_INLINE bool all_positive_normal(Vec<T> x) {
  return !any_at_least<T>(Ordinary<T>::flipped(x), Ordinary<T>::end());
}

template <class T>
FASTDL_INLINE Vec<T> vlog(Vec<T> x) {
  const Vec<T> y = log_of_normal<T>(x, Vec<T>{});
  if (__builtin_expect(!all_positive_normal<T>(x), 0)) {
    const Mask<T> zero = x == T{0};  // the usual case, of probabilities; kernels count denormal numbers to it
    if (any_lane<T>((Ordinary<T>::flipped(x) >= Ordinary<T>::end()) & ~zero)) return log_of_any<T>(x);
    return select<T>(zero, broadcast<T>(-Ieee<T>::kInfinity), y);
  }
  return y;
}

// e / (e + 2) with e = e^(2 x) - 1 = 2^n (e^r - 1) + (2^n - 1), where nothing cancels for n = 0. From kTanhIsOne on the
// result is 1, so 2^n needs no care for the ends of the range.
template <class T>
FASTDL_INLINE Vec<T> vtanh(Vec<T> x) {
  using F = Ieee<T>;
  constexpr T kTanhIsOne = sizeof(T) == 4 ? T(9.2) : T(19.5), kLn2 = F::kLn2High + F::kLn2Low;
  const Vec<T> one = broadcast<T>(kTanhIsOne), magnitude = vabs<T>(x);
  const Vec<T> a = select<T>(magnitude > one, one, magnitude);
  const Vec<T> shifted = a * (2 * F::kLog2E) + (F::kRound + F::kBias), n = shifted - (F::kRound + F::kBias);
  const Vec<T> power = (Vec<T>)(bits<T>(shifted) << F::kFraction), r = (a + a) - n * kLn2;
  const Vec<T> e = ((r * r) * exp_polynomial<T>(r) + r) * power + (power - T{1});
  return (Vec<T>)(bits<T>(e / (e + T{2})) | (bits<T>(x) & F::kSign));
}

template <class T>
FASTDL_INLINE Vec<T> vsigmoid(Vec<T> x) {
  return T{1} / (vexp<T>(-x) + T{1});
}

FASTDL_INLINE Vec<double> low_half(Vec<float> x) {
  typedef float Half __attribute__((vector_size(kVecBytes / 2)));
  Half h;
  __builtin_memcpy(&h, &x, sizeof h);
  return __builtin_convertvector(h, Vec<double>);
}
FASTDL_INLINE Vec<double> high_half(Vec<float> x) {
  typedef float Half __attribute__((vector_size(kVecBytes / 2)));
  Half h;
  __builtin_memcpy(&h, reinterpret_cast<const char*>(&x) + sizeof h, sizeof h);
  return __builtin_convertvector(h, Vec<double>);
}
FASTDL_INLINE Vec<float> join_halves(Vec<double> low, Vec<double> high) {
  typedef float Half __attribute__((vector_size(kVecBytes / 2)));
  const Half h[2] = {__builtin_convertvector(low, Half), __builtin_convertvector(high, Half)};
  Vec<float> x;
  __builtin_memcpy(&x, h, sizeof x);
  return x;
}

}  // namespace fastdl::FASTDL_ISA
