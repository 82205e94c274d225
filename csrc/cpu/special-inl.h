// expm1, log1p, erf and rounding over vectors of float or double, and what is made of them: what math-inl.h leaves out.
//
// Largest errors in units of the last place (float): expm1 1.6, log1p 1.6, erf 1.3; of doubles: erf 1.3, without fused
// multiply-adds 1.5. Doubles of erfc go to the C library one by one.
#pragma once
#include "cpu/math-inl.h"
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

// f of each lane, for what has no vector form. Not inline: its loop would be unrolled into every kernel.
template <class T, class F>
static __attribute__((noinline)) Vec<T> each_lane(Vec<T> x, F f) {
  for (int i = 0; i < kLanes<T>; ++i) x[i] = f(x[i]);
  return x;
}
template <class T, class F>
static __attribute__((noinline)) Vec<T> each_lane(Vec<T> x, Vec<T> y, F f) {
  for (int i = 0; i < kLanes<T>; ++i) x[i] = f(x[i], y[i]);
  return x;
}

// ---- rounding -------------------------------------------------------------------------------------------------------

// To the nearest integer, ties to even, for every x: adding 2^kFraction leaves no place for a fraction, and numbers
// above it have none. NaN and the sign of zero stay.
template <class T>
FASTDL_INLINE Vec<T> vround_even(Vec<T> x) {
  constexpr T kWhole = static_cast<T>(typename Ieee<T>::Bits{1} << Ieee<T>::kFraction);
  const Vec<T> a = vabs<T>(x);
  return select<T>(a < kWhole, vcopysign<T>((a + kWhole) - kWhole, x), x);
}
template <class T>
FASTDL_INLINE Vec<T> vfloor(Vec<T> x) {
  const Vec<T> r = vround_even<T>(x);
  return select<T>(r > x, r - T{1}, r);
}
template <class T>
FASTDL_INLINE Vec<T> vceil(Vec<T> x) {
  return -vfloor<T>(-x);
}
template <class T>
FASTDL_INLINE Vec<T> vtrunc(Vec<T> x) {
  return vcopysign<T>(vfloor<T>(vabs<T>(x)), x);
}

// ---- exponentials and logarithms near their zeros -------------------------------------------------------------------

// x = n ln2 + r: 2^n (e^r - 1) + (2^n - 1), where nothing cancels for n = 0.
template <class T>
FASTDL_INLINE Vec<T> vexpm1(Vec<T> x) {
  using F = Ieee<T>;
  constexpr T kHigh = sizeof(T) == 4 ? T(88) : T(709), kLow = sizeof(T) == 4 ? T(-40) : T(-80);
  const Vec<T> high = broadcast<T>(kHigh), low = broadcast<T>(kLow);
  Vec<T> y = select<T>(x > high, high, x);
  y = select<T>(y < low, low, y);
  const Vec<T> shifted = y * F::kLog2E + F::kRound, n = shifted - F::kRound;
  const Vec<T> r = (y - n * F::kLn2High) - n * F::kLn2Low;
  const Vec<T> e = (r * r) * exp_polynomial<T>(r) + r;
  // Half of 2^n first: 2^128 itself is no float.
  const Vec<T> half = add_to_exponent<T>(broadcast<T>(T(0.5)), shifted);
  const Vec<T> result = ((e * half) + (half - T(0.5))) * T{2};
  return select<T>(x == T{0}, x, select<T>(x > high, vexp<T>(x), result));
}

// log(u) with u = 1 + x rounded, and what the rounding took away as a first-order correction.
template <class T>
FASTDL_INLINE Vec<T> vlog1p(Vec<T> x) {
  const Vec<T> u = x + T{1};
  const Vec<T> lost = (x - (u - T{1})) / u;
  const Vec<T> y = vlog<T>(u);
  const Vec<T> sum = select<T>((u > T{0}) & (u < Ieee<T>::kInfinity), y + lost, y);
  return select<T>(x == T{0}, x, sum);
}

// log(e^a + e^b): the larger one and what the other adds. Equal infinities have no difference.
template <class T>
FASTDL_INLINE Vec<T> vlogaddexp(Vec<T> a, Vec<T> b) {
  const Vec<T> apart = select<T>(a == b, Vec<T>{}, -vabs<T>(a - b));
  return select<T>(a > b, a, b) + vlog1p<T>(vexp<T>(apart));
}

// log(1 + e^x) without overflow.
template <class T>
FASTDL_INLINE Vec<T> vsoftplus(Vec<T> x) {
  return select<T>(x > T{0}, x, select<T>(x == x, Vec<T>{}, x)) + vlog1p<T>(vexp<T>(-vabs<T>(x)));
}

// ---- other bases ----------------------------------------------------------------------------------------------------

// x = n + r with |r| <= 1/2: 2^n e^(r ln2), from the exponent of the smallest normal number; 0 below it.
template <class T>
FASTDL_INLINE Vec<T> vexp2(Vec<T> x) {
  using F = Ieee<T>;
  constexpr T kLn2 = static_cast<T>(0.693147180559945309417), kEnd = static_cast<T>(F::kBias + 1);
  const Vec<T> shifted = x + F::kRound, r = (x - (shifted - F::kRound)) * kLn2;
  const Vec<T> e = (r * r) * exp_polynomial<T>(r) + r + T{1};
  const Vec<T> y = select<T>(x < T{2} - kEnd, Vec<T>{}, add_to_exponent<T>(e, shifted));
  return select<T>(x < kEnd, y, x * F::kInfinity);  // NaN stays
}

// A whole exponent n is exact to base 2, and what 10 has of it is split as ln2 is: so powers of the base give whole
// numbers. What is no positive normal number goes the way of the natural logarithm.
template <class T>
FASTDL_INLINE Vec<T> vlog2(Vec<T> x) {
  constexpr T kLog2E = static_cast<T>(1.44269504088896340736);
  if (__builtin_expect(!all_positive_normal<T>(x), 0)) return log_of_any<T>(x) * kLog2E;
  const Parts<T> parts = fraction_and_exponent<T>(x);
  return parts.n + log_of_fraction(parts.f, Vec<T>{}) * kLog2E;
}
template <class T>
FASTDL_INLINE Vec<T> vlog10(Vec<T> x) {
  constexpr T kLog10E = static_cast<T>(0.434294481903251827651);
  constexpr T kHigh = sizeof(T) == 4 ? T(0x1.344p-2) : T(0x1.34413509f78p-2);
  constexpr T kLow = static_cast<T>(0.30102999566398119521373889L - kHigh);
  if (__builtin_expect(!all_positive_normal<T>(x), 0)) return log_of_any<T>(x) * kLog10E;
  const Parts<T> parts = fraction_and_exponent<T>(x);
  return parts.n * kHigh + (log_of_fraction(parts.f, Vec<T>{}) * kLog10E + parts.n * kLow);
}

// ---- hyperbolic functions -------------------------------------------------------------------------------------------

// Half of e^a where e^a itself is no number any more.
template <class T>
FASTDL_INLINE Vec<T> half_of_large_exp(Vec<T> a) {
  const Vec<T> root = vexp<T>(a * T(0.5));
  return (root * T(0.5)) * root;
}
template <class T>
inline constexpr T kExpIsLarge = sizeof(T) == 4 ? T(88) : T(709);

// (m + m / (m + 1)) / 2 with m = e^|x| - 1: nothing cancels.
template <class T>
FASTDL_INLINE Vec<T> vsinh(Vec<T> x) {
  const Vec<T> a = vabs<T>(x), m = vexpm1<T>(a);
  Vec<T> y = (m + m / (m + T{1})) * T(0.5);
  const Mask<T> large = a > kExpIsLarge<T>;
  if (__builtin_expect(any_lane<T>(large), 0)) y = select<T>(large, half_of_large_exp<T>(a), y);
  return vcopysign<T>(y, x);
}
template <class T>
FASTDL_INLINE Vec<T> vcosh(Vec<T> x) {
  const Vec<T> a = vabs<T>(x), e = vexp<T>(a);
  const Vec<T> y = e * T(0.5) + T(0.5) / e;
  const Mask<T> large = a > kExpIsLarge<T>;
  return __builtin_expect(any_lane<T>(large), 0) ? select<T>(large, half_of_large_exp<T>(a), y) : y;
}

// Their inverses as log(1 + u), where u is small with x (for acosh with x - 1). Squares of `kFar` are still numbers,
// and 1 nothing beside them.
template <class T>
inline constexpr T kFar = sizeof(T) == 4 ? T(1e9) : T(1e17);

template <class T>
FASTDL_INLINE Vec<T> vasinh(Vec<T> x) {
  constexpr T kLn2 = static_cast<T>(0.693147180559945309417);
  const Vec<T> a = vabs<T>(x), a2 = a * a, u = a + a2 / (vsqrt<T>(a2 + T{1}) + T{1});
  const Mask<T> far = a > kFar<T>;
  return vcopysign<T>(vlog1p<T>(select<T>(far, a, u)) + select<T>(far, broadcast<T>(kLn2), Vec<T>{}), x);
}
template <class T>
FASTDL_INLINE Vec<T> vacosh(Vec<T> x) {
  constexpr T kLn2 = static_cast<T>(0.693147180559945309417);
  const Vec<T> t = x - T{1}, u = t + vsqrt<T>(t * (t + T{2}));
  const Mask<T> far = x > kFar<T>;
  const Vec<T> y = vlog1p<T>(select<T>(far, x, u)) + select<T>(far, broadcast<T>(kLn2), Vec<T>{});
  return select<T>(x < T{1}, broadcast<T>(Ieee<T>::kInfinity - Ieee<T>::kInfinity), y);
}
template <class T>
FASTDL_INLINE Vec<T> vatanh(Vec<T> x) {
  const Vec<T> a = vabs<T>(x);
  return vcopysign<T>(vlog1p<T>((a + a) / (T{1} - a)) * T(0.5), x);
}

// ---- the error function ---------------------------------------------------------------------------------------------

// Below 0.875 x + x p(x^2); above 1 - e^q(|x|), where q is the logarithm of erfc. From 3.95 on the result is 1.
FASTDL_INLINE Vec<float> erf_of_floats(Vec<float> x) {
  const Vec<float> top = broadcast<float>(3.95f), magnitude = vabs<float>(x), x2 = x * x;
  const Vec<float> a = select<float>(magnitude > top, top, magnitude);
  const Vec<float> series = x + x * polynomial<float>(x2, 0.128379151f, -0.376125515f, 0.112824552f, -0.0267914645f,
                                                      0.00503218267f, -0.000620326144f);
  const Vec<float> log_erfc = polynomial<float>(a, -0.000133581329f, -1.12793612f, -0.636737287f, -0.104327455f,
                                                0.0224201921f, -0.00309228501f, 0.000200995433f);
  const Vec<float> tail = vcopysign<float>(1.f - vexp<float>(log_erfc), x);
  return select<float>(magnitude < 0.875f, series, tail);
}
// Below 1 x + x p(x^2); above 1 - e^(-x^2) g(u) / x with u = (|x| - 3) / (|x| + 3). From 6 on the result is 1.
FASTDL_INLINE Vec<double> erf_of_doubles(Vec<double> x) {
  const Vec<double> top = broadcast<double>(6), magnitude = vabs<double>(x), x2 = x * x;
  const Vec<double> series =
      x + x * polynomial<double>(x2, 0.12837916709551257390, -0x1.812746b0379c2p-2, 0x1.ce2f21a041017p-4,
                                 -0x1.b82ce31206297p-6, 0x1.565bccfa9a436p-8, -0x1.c02db072ec747p-11,
                                 0x1.f9a2bf736605bp-14, -0x1.f4ca9492f1adep-17, 0x1.b9827aef77543p-20,
                                 -0x1.5c16e27a146b8p-23, 0x1.d78491ba15f90p-27, -0x1.acdffa2223165p-31);
  if (!any_lane<double>(magnitude >= 1.0)) return series;  // nor NaN, of which the series makes NaN
  const Vec<double> a = select<double>(magnitude < top, magnitude, top);
  const Vec<double> inverse = 1.0 / (a * (a + 3.0)), u = (a - 3.0) * (a * inverse);
  const Vec<double> g =
      polynomial<double>(u, 0x1.12f21ddd9f5e2p-1, 0x1.865fd27e51fd4p-4, -0x1.2c33bbab985a0p-3, 0x1.1e79b14a68250p-3,
                         -0x1.870b49f4e9bcep-4, 0x1.7bb38c1bffbf4p-5, -0x1.cb66d2c281b54p-7, 0x1.dd88cb0b939dap-11,
                         0x1.45d06b4ebb991p-10, -0x1.b09b22a528d84p-12, -0x1.633c93a04ba03p-14, 0x1.21b701a5c81f2p-14,
                         0x1.da157d6872754p-18, -0x1.6ed631f344161p-17, -0x1.5846e5507d644p-19);
  const Vec<double> tail = 1.0 - vexp<double>(-a * a) * (g * ((a + 3.0) * inverse));
  return select<double>(magnitude >= 1.0, vcopysign<double>(tail, x), series);
}
template <class T>
FASTDL_INLINE Vec<T> verf(Vec<T> x) {
  if constexpr (sizeof(T) == 4)
    return erf_of_floats(x);
  else
    return erf_of_doubles(x);
}

// 1 - erf(x) with the digits of small results: e^(-x^2) t q(t) with t = 1 / (1 + 0.4 |x|). The square is that of 12
// bits, exact, and what is left of it small enough for four terms of its exponential.
FASTDL_INLINE Vec<float> erfc_of_floats(Vec<float> x) {
  const Vec<float> zero_from = broadcast<float>(10), magnitude = vabs<float>(x);
  const Vec<float> a = select<float>(magnitude > zero_from, zero_from, magnitude), t = 1.f / (1.f + 0.4f * a);
  const Vec<float> q = polynomial<float>(t, 0.225706905f, 0.224952042f, 0.214918971f, 0.129680276f, 0.27206412f,
                                         -0.284362495f, 0.547430098f, -0.498807222f, 0.198011309f, -0.0295939688f);
  const Vec<float> near = (Vec<float>)(bits<float>(a) & 0xfffff000u), rest = (a - near) * (a + near);
  const Vec<float> correction = 1.f - rest * (1.f - rest * (0.5f - rest * (1.f / 6 - rest * (1.f / 24))));
  const Vec<float> y = vexp<float>(-near * near) * correction * (t * q);
  return select<float>(x < 0.f, 2.f - y, y);
}
template <class T>
FASTDL_INLINE Vec<T> verfc(Vec<T> x) {
  if constexpr (sizeof(T) == 4)
    return erfc_of_floats(x);
  else
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::erfc(v); });
}

// The lower half of the normal distribution function at -a, a >= 0. Its logarithm to base 2 is nearly a parabola:
// 2^q(a) needs neither a second branch nor a quotient. Errors are 4e-8 of 1, not of small results; far out it is 0.
FASTDL_INLINE Vec<float> lower_normal_cdf(Vec<float> a) {
  const Vec<float> q = polynomial<float>(a, -1.f, -1.15110576f, -0.459204912f, -0.0525050387f, 0.0070754881f,
                                         -0.000145883751f, -0.000182541582f, 3.86194151e-05f, -2.77193362e-06f);
  const Vec<float> shifted = q + Ieee<float>::kRound, r = q - (shifted - Ieee<float>::kRound);
  const Vec<float> e = 1.f + r * polynomial<float>(r, 0.693147182f, 0.240226507f, 0.055503279f, 0.00961800385f,
                                                   0.00134002697f, 0.000154762805f);
  return select<float>(q < -125.f, Vec<float>{}, add_to_exponent<float>(e, shifted));
}

// The normal distribution function, (1 + erf(x / sqrt 2)) / 2.
template <class T>
FASTDL_INLINE Vec<T> vnormal_cdf(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const Vec<T> lower = lower_normal_cdf(vabs<T>(x));
    return select<T>(x > 0.f, 1.f - lower, lower);
  } else {
    return each_lane<T>(x,
                        [](T v) __attribute__((always_inline)) { return 0.5 * ::erfc(v * -0.70710678118654752440); });
  }
}

// The derivative of x cdf(x): cdf(x) + x pdf(x). For floats the density is the lower half of the distribution function
// times a polynomial (the inverse of Mills' ratio), which saves an exponential; the error of their product is 2e-8.
template <class T>
FASTDL_INLINE Vec<T> gelu_derivative(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    // At 14 the distribution function is 0 and the polynomial still a number.
    const Vec<T> far = broadcast<T>(14), magnitude = vabs<T>(x), a = select<T>(magnitude > far, far, magnitude);
    const Vec<T> lower = lower_normal_cdf(a);
    const Vec<T> ratio = polynomial<T>(a, 0.79788464f, 0.6366147f, 0.109049655f, -0.019263491f, 1.5417765e-05f,
                                       0.001131349f, -0.00034281734f, 4.8660986e-05f, -2.8410113e-06f);
    return select<T>(x > 0.f, 1.f - lower, lower) + x * (lower * ratio);
  } else {
    constexpr T kInverseSqrt2Pi = 0.39894228040143267794;
    return vnormal_cdf<T>(x) + x * kInverseSqrt2Pi * vexp<T>(x * x * T(-0.5));
  }
}

}  // namespace fastdl::FASTDL_ISA
