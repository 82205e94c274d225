// expm1, log1p, erf, sin, cos and rounding over vectors of float or double: what math-inl.h leaves out.
//
// Largest errors in units of the last place (float): expm1 1.6, log1p 1.6, erf 1.3, sin and cos 1 of the larger of
// result and 2^-24. Doubles of erf, sin and cos go to the C library one by one.
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

// log(1 + e^x) without overflow.
template <class T>
FASTDL_INLINE Vec<T> vsoftplus(Vec<T> x) {
  return select<T>(x > T{0}, x, select<T>(x == x, Vec<T>{}, x)) + vlog1p<T>(vexp<T>(-vabs<T>(x)));
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
template <class T>
FASTDL_INLINE Vec<T> verf(Vec<T> x) {
  if constexpr (sizeof(T) == 4)
    return erf_of_floats(x);
  else
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::erf(v); });
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

// ---- sine and cosine ------------------------------------------------------------------------------------------------

// x = n pi/2 + r with |r| <= pi/4. pi/2 is split so that n times a part is exact for n below 2^13; larger x go to the C
// library. `quarter` is 0 for the sine and 1 for the cosine, a sine that is a quarter turn ahead.
FASTDL_INLINE Vec<float> sine_of_floats(Vec<float> x, int quarter) {
  const Mask<float> far = ~(vabs<float>(x) < 8192.f);
  const Vec<float> y = select<float>(far, Vec<float>{}, x);
  const Vec<float> shifted = y * 0.636619772f + Ieee<float>::kRound, n = shifted - Ieee<float>::kRound;
  const Vec<float> r = ((y - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978995489188216e-8f;
  const Vec<float> r2 = r * r;
  const Vec<float> sine = r + r * r2 * polynomial<float>(r2, -1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f);
  const Vec<float> cosine =
      1.f - 0.5f * r2 +
      r2 * r2 * polynomial<float>(r2, 4.166664568298827e-2f, -1.388731625493765e-3f, 2.443315711809948e-5f);
  const VecBits<float> turns = bits<float>(shifted) + static_cast<uint32_t>(quarter);
  const Vec<float> value = select<float>((Mask<float>)((turns & 1u) != 0u), cosine, sine);
  Vec<float> out = (Vec<float>)(bits<float>(value) ^ ((turns & 2u) << 30));
  if (__builtin_expect(any_lane<float>(far), 0))
    for (int i = 0; i < kLanes<float>; ++i)
      if (far[i]) out[i] = quarter ? ::cosf(x[i]) : ::sinf(x[i]);
  return out;
}
template <class T>
FASTDL_INLINE Vec<T> vsin(Vec<T> x) {
  if constexpr (sizeof(T) == 4)
    return select<float>(x == 0.f, x, sine_of_floats(x, 0));  // keeps -0
  else
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::sin(v); });
}
template <class T>
FASTDL_INLINE Vec<T> vcos(Vec<T> x) {
  if constexpr (sizeof(T) == 4)
    return sine_of_floats(x, 1);
  else
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::cos(v); });
}

}  // namespace fastdl::FASTDL_ISA
