// x^y over vectors of float or double. Floats: 0.53 units in the last place; doubles go to the C library one by one,
// since a vector version would need its logarithm in twice the precision.
#pragma once
#include "cpu/special-inl.h"

namespace fastdl::FASTDL_ISA {

// 2^(y log2 a) of positive floats a. Doubles, since the error of the logarithm grows with the exponent; but short
// polynomials (36 bits of log2(1 + f) / f, 29 of 2^r), since a float has room for 24 bits. No division: a polynomial
// of 13 terms in f costs less than the quotient of the usual series.
FASTDL_INLINE Vec<double> power_in_double(Vec<double> a, Vec<double> y) {
  using F = Ieee<double>;
  const auto [f, e] = fraction_and_exponent<double>(a);
  const Vec<double> log2 =
      e + f * polynomial<double>(f, 0x1.71547652a1eddp+0, -0x1.715476565d9fdp-1, 0x1.ec709ebb6a55cp-2,
                                 -0x1.71547096c4c3cp-2, 0x1.2776520ba7b44p-2, -0x1.ec72b625813c7p-3,
                                 0x1.a63f40b2e047fp-3, -0x1.71415e82bc5c8p-3, 0x1.45293ef77f3d5p-3,
                                 -0x1.253033513e98bp-3, 0x1.2871ee2d07835p-3, -0x1.24844032d83efp-3,
                                 0x1.3cde09e775d43p-4);
  // Floats end at 2^128 and 2^-149: the conversion makes infinity or zero of what is beyond.
  const Vec<double> high = broadcast<double>(200), low = broadcast<double>(-200);
  Vec<double> t = y * log2;
  t = select<double>(t > high, high, t);
  t = select<double>(t < low, low, t);
  const Vec<double> shifted = t + F::kRound, r = t - (shifted - F::kRound);
  const Vec<double> power =
      polynomial<double>(r, 0x1.00000002613e3p+0, 0x1.62e430c7e7155p-1, 0x1.ebfbdadce1ff4p-3, 0x1.c6aed4bb7202cp-5,
                         0x1.3b2dbba07786ap-7, 0x1.5f4569cdd8273p-10, 0x1.41d3488e044eep-13);
  return (Vec<double>)(bits<double>(power) + (bits<double>(shifted) << F::kFraction));
}

// Lanes of which x is not a positive number, or y not a number: C's table of powers, from the power p of |x|.
static __attribute__((noinline)) Vec<float> special_powers(Vec<float> x, Vec<float> y, Vec<float> p) {
  using F = Ieee<float>;
  const Vec<float> a = vabs<float>(x), one = broadcast<float>(1), infinity = broadcast<float>(F::kInfinity);
  const Mask<float> rises = (a > 1.f) == (y > 0.f);  // of a = 0 and infinity: whether the power is infinite
  p = select<float>((a == 0.f) | (a == infinity), select<float>(rises, infinity, Vec<float>{}), p);
  // Floats of 2^24 and more are even integers.
  const Mask<float> whole = vround_even<float>(y) == y;
  const Mask<float> odd = whole & (vabs<float>(y) < 0x1p24f) & (vround_even<float>(y * 0.5f) != y * 0.5f);
  p = select<float>(odd, vcopysign<float>(p, x), p);
  const Vec<float> nan = broadcast<float>(__builtin_nanf(""));
  p = select<float>(((x < 0.f) & (a != infinity) & ~whole) | (x != x) | (y != y), nan, p);
  // |x| = 1 to a power of infinity is 1, and so is x = 1 to NaN and NaN to 0.
  return select<float>((y == 0.f) | (x == 1.f) | ((a == 1.f) & (vabs<float>(y) == infinity)), one, p);
}

template <class T>
FASTDL_INLINE Vec<T> vpower(Vec<T> x, Vec<T> y) {
  if constexpr (sizeof(T) == 4) {
    const Vec<float> a = vabs<float>(x);
    const Vec<float> p =
        join_halves(power_in_double(low_half(a), low_half(y)), power_in_double(high_half(a), high_half(y)));
    const Mask<float> ordinary = (x > 0.f) & (x < Ieee<float>::kInfinity) & (vabs<float>(y) < Ieee<float>::kInfinity);
    if (__builtin_expect(!any_lane<float>(~ordinary), 1)) return p;
    return special_powers(x, y, p);
  } else {
    return each_lane<T>(x, y, [](T a, T b) __attribute__((always_inline)) { return ::pow(a, b); });
  }
}

}  // namespace fastdl::FASTDL_ISA
