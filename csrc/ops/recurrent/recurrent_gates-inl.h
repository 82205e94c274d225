// sigmoid and tanh for the gates. A step has five of them a hidden unit, which with the functions of cpu/math-inl.h
// takes a sixth of the time of an LSTM. These are twice as fast: one power of two each without a case near zero, and a
// reciprocal by Newton's method where the processor has an estimate, since a division of a wide vector takes 16 cycles.
//
// Largest errors of float in units of the last place: sigmoid 2.3, tanh 3.1. NaN stays; sigmoid(x) of x < -87 is
// sigmoid(-87) = 1.6e-38. Doubles use the common functions.
#pragma once
#include "cpu/math-inl.h"

namespace fastdl::FASTDL_ISA {

// The larger and the smaller of x and a bound, x where it is NaN: the instruction returns its second operand then.
FASTDL_INLINE Vec<float> at_least(Vec<float> x, float bound) {
  const Vec<float> b = broadcast<float>(bound);
#if defined(FASTDL_ISA_avx512)
  return (Vec<float>)_mm512_maskz_max_ps(0xffff, (__m512)b, (__m512)x);
#elif defined(FASTDL_ISA_avx2)
  return (Vec<float>)_mm256_max_ps((__m256)b, (__m256)x);
#else
  return select<float>(x < b, b, x);
#endif
}
FASTDL_INLINE Vec<float> at_most(Vec<float> x, float bound) {
  const Vec<float> b = broadcast<float>(bound);
#if defined(FASTDL_ISA_avx512)
  return (Vec<float>)_mm512_maskz_min_ps(0xffff, (__m512)b, (__m512)x);
#elif defined(FASTDL_ISA_avx2)
  return (Vec<float>)_mm256_min_ps((__m256)b, (__m256)x);
#else
  return select<float>(x > b, b, x);
#endif
}

// 1 / x for 1 <= x <= 2^126.
FASTDL_INLINE Vec<float> reciprocal(Vec<float> x) {
#if defined(FASTDL_ISA_avx512)
  const Vec<float> r = (Vec<float>)_mm512_maskz_rcp14_ps(0xffff, (__m512)x);  // to 14 bits
  return r + r * (1.f - x * r);
#else
  return 1.f / x;
#endif
}

// e^x = power + power * rest for |x| <= 87.
struct SplitExp {
  Vec<float> power, rest;
};
FASTDL_INLINE SplitExp split_exp(Vec<float> x) {
  using F = Ieee<float>;
  // The low bits of `biased` are the exponent of 2^n.
  constexpr float kRound = F::kRound + F::kBias;
  const Vec<float> biased = x * F::kLog2E + kRound, n = biased - kRound;
  const Vec<float> r = (x - n * F::kLn2High) - n * F::kLn2Low;
  return {(Vec<float>)(bits<float>(biased) << F::kFraction), (r * r) * exp_polynomial<float>(r) + r};
}

template <class T>
FASTDL_INLINE Vec<T> gate_sigmoid(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const SplitExp e = split_exp(-at_most(at_least(x, -87.f), 87.f));
    return reciprocal(e.power * e.rest + (e.power + 1.f));
  } else {
    return vsigmoid<T>(x);
  }
}

// (e^2x - 1) / (e^2x + 1). The numerator is exact to its last bits near zero too.
template <class T>
FASTDL_INLINE Vec<T> gate_tanh(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const SplitExp e = split_exp(at_most(at_least(x + x, -60.f), 60.f));
    const Vec<float> numerator = e.power * e.rest + (e.power - 1.f);
    return numerator * reciprocal(numerator + 2.f);
  } else {
    return vtanh<T>(x);
  }
}

}  // namespace fastdl::FASTDL_ISA
