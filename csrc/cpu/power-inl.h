// x^y over vectors of float or double. Floats: 0.53 units in the last place, doubles: 0.9, and 0.67 but for powers near
// the ends of the exponents.
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

// The leading 26 bits of the fraction: products of two such numbers are exact, and so need no fused multiply-adds.
FASTDL_INLINE Vec<double> leading_bits(Vec<double> x) {
  return (Vec<double>)(bits<double>(x) & ~((uint64_t{1} << 27) - 1));
}

// high + low, of which `high` has 26 bits.
struct Split {
  Vec<double> high, low;
};

// log2 a of positive doubles a to 65 bits. With s = (m - 1) / (m + 1) of the fraction m it is
// 2 / ln 2 (s + s v) + e, v = s^2 / 3 + s^4 q(s^2).
FASTDL_INLINE Split log2_of_doubles(Vec<double> a) {
  const auto [n, e] = fraction_and_exponent<double>(a);  // n = m - 1, exactly
  const Vec<double> d = n + 2.0, inverse = 1.0 / d, s = n * inverse;
  const Vec<double> sh = leading_bits(s), dh = leading_bits(d);
  const Vec<double> sl = ((n - sh * dh) - sh * (n - (dh - 2.0))) * inverse;
  const Vec<double> z = s * s, zh = leading_bits(z), zl = (sh * sh - zh) + sl * (sh + s);
  const Vec<double> rest =
      z * polynomial<double>(z, 0x1.999999999999ap-3, 0x1.2492492492523p-3, 0x1.c71c71c6ea3a7p-4, 0x1.745d177ae7ca4p-4,
                             0x1.3b1395b312af8p-4, 0x1.1118cdef60706p-4, 0x1.df7b9e38d150dp-5, 0x1.e039c40bcc6e0p-5);
  constexpr double kThird = 0x1.5555555555555p-2, kThirdLow = 0x1.5555555555555p-56;
  const Vec<double> k = rest + kThird, kh = leading_bits(k), kl = ((kThird - kh) + rest) + kThirdLow;
  const Vec<double> main = zh * kh, small = zl * k + zh * kl;
  const Vec<double> v = main + small, vh = leading_bits(v), vl = (main - vh) + small;
  const Vec<double> cube = sh * vh, sum = sh + cube;
  const Vec<double> below = (cube - (sum - sh)) + (sl + (sh * vl + sl * v));
  constexpr double kScale = 0x1.7154764p+1, kScaleLow = 0x1.2b82fe1777d10p-27;  // 2 / ln 2
  const Vec<double> th = leading_bits(sum + below), tl = (sum - th) + below;
  const Vec<double> product = th * kScale, whole = e + product;
  const Vec<double> low = (product - (whole - e)) + (tl * kScale + (sum + below) * kScaleLow);
  const Vec<double> high = leading_bits(whole + low);
  return {high, (whole - high) + low};
}

// a^y of positive doubles a, as 2^(y log2 a).
FASTDL_INLINE Vec<double> power_of_doubles(Vec<double> a, Vec<double> y) {
  using F = Ieee<double>;
  const Split log2 = log2_of_doubles(a);
  const Vec<double> yh = leading_bits(y);
  Vec<double> high = yh * log2.high, low = (y - yh) * log2.high + y * log2.low;
  const Vec<double> t = high + low, limit = vcopysign<double>(broadcast<double>(1100), t);  // beyond the exponents
  const Mask<double> far = vabs<double>(t) > 1100.0;
  high = select<double>(far, limit, high), low = select<double>(far, Vec<double>{}, low);
  const Vec<double> shifted = (high + low) + F::kRound, n = shifted - F::kRound;
  // 2^r = 1 + r ln 2 + r^2 q(r): the first two terms and their sum without a rounding.
  const Vec<double> exact = high - n, r = exact + low, rh = leading_bits(r);
  constexpr double kLn2 = 0x1.62e43p-1, kLn2Rest = -0x1.05c610ca86c39p-29;
  const Vec<double> main = rh * kLn2, sum = main + 1.0;
  const Vec<double> q =
      polynomial<double>(r, 0x1.ebfbdff82c598p-3, 0x1.c6b08d704a0cbp-5, 0x1.3b2ab6fba1dc4p-7, 0x1.5d87fe78a2ca8p-10,
                         0x1.430913097594cp-13, 0x1.ffcbfc7449195p-17, 0x1.62bfd4662db51p-20, 0x1.b524dca75785ep-24,
                         0x1.e60661b076dcbp-28, 0x1.ea04635ce019ep-32);
  const Vec<double> rest = ((exact - rh) + low) * kLn2 + r * kLn2Rest + (r * r) * q;
  const Vec<double> p = sum + ((main - (sum - 1.0)) + rest);
  // Two factors, since 2^n need not be a number where the power is one; what is denormal becomes zero.
  const Vec<double> half = n * 0.5 + F::kRound, other = (n - (half - F::kRound)) + F::kRound;
  return add_to_exponent<double>(p, half) * add_to_exponent<double>(broadcast<double>(1), other);
}

// Lanes of which x is not a positive number, or y not a number: C's table of powers, from the power p of |x|.
template <class T>
static __attribute__((noinline)) Vec<T> special_powers(Vec<T> x, Vec<T> y, Vec<T> p) {
  using F = Ieee<T>;
  constexpr T kEven = static_cast<T>(uint64_t{2} << F::kFraction);  // from here on numbers are even integers
  const Vec<T> a = vabs<T>(x), one = broadcast<T>(1), infinity = broadcast<T>(F::kInfinity);
  const Mask<T> rises = (a > T{1}) == (y > T{0});  // at 0 and infinity: whether the power is infinite
  p = select<T>((a == T{0}) | (a == infinity) | (vabs<T>(y) == infinity), select<T>(rises, infinity, Vec<T>{}), p);
  const Mask<T> whole = vround_even<T>(y) == y;
  const Mask<T> odd = whole & (vabs<T>(y) < kEven) & (vround_even<T>(y * T(0.5)) != y * T(0.5));
  p = select<T>(odd, vcopysign<T>(p, x), p);
  const Vec<T> nan = broadcast<T>(static_cast<T>(__builtin_nanf("")));
  p = select<T>(((x < T{0}) & (a != infinity) & ~whole) | (x != x) | (y != y), nan, p);
  // |x| = 1 to a power of infinity is 1, and so is x = 1 to NaN and NaN to 0.
  return select<T>((y == T{0}) | (x == T{1}) | ((a == T{1}) & (vabs<T>(y) == infinity)), one, p);
}

template <class T>
FASTDL_INLINE Vec<T> vpower(Vec<T> x, Vec<T> y) {
  const Vec<T> a = vabs<T>(x);
  Vec<T> p;
  if constexpr (sizeof(T) == 4)
    p = join_halves(power_in_double(low_half(a), low_half(y)), power_in_double(high_half(a), high_half(y)));
  else
    p = power_of_doubles(a, y);
  const Mask<T> ordinary = (x > T{0}) & (x < Ieee<T>::kInfinity) & (vabs<T>(y) < Ieee<T>::kInfinity);
  if (__builtin_expect(!any_lane<T>(~ordinary), 1)) return p;
  return special_powers<T>(x, y, p);
}

}  // namespace fastdl::FASTDL_ISA
