// Sine, cosine, tangent and their inverses over vectors of float or double.
//
// Largest errors of floats in units of the last place: sin and cos 1 of the larger of result and 2^-24, see
// ops/elementwise/README.md for the others. Doubles go to the C library one by one.
#pragma once
#include "cpu/special-inl.h"

namespace fastdl::FASTDL_ISA {

// ---- sine, cosine, tangent ------------------------------------------------------------------------------------------

// x = n pi/2 + r with |r| <= pi/4, for |x| < kFarAngle. pi/2 is split so that n times each part but the last is exact
// for n below 2^13.
inline constexpr float kFarAngle = 8192;
struct Turned {
  Vec<float> r;
  VecBits<float> quarters;  // n; of these bits the last two count
};
FASTDL_INLINE Turned turned(Vec<float> x) {
  const Vec<float> shifted = x * 0.636619772f + Ieee<float>::kRound, n = shifted - Ieee<float>::kRound;
  const Vec<float> r = ((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978941586159635e-8f;
  return {r - n * 5.39030285815811905e-15f, bits<float>(shifted)};
}
FASTDL_INLINE Vec<float> sine_of_rest(Vec<float> r, Vec<float> r2) {
  return r + r * r2 * polynomial<float>(r2, -1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f);
}
FASTDL_INLINE Vec<float> cosine_of_rest(Vec<float> r2) {
  const Vec<float> p = polynomial<float>(r2, 4.166664568298827e-2f, -1.388731625493765e-3f, 2.443315711809948e-5f);
  return 1.f - 0.5f * r2 + r2 * r2 * p;
}

// near(x), and C's function of what lies too far out.
template <class Near, class C>
FASTDL_INLINE Vec<float> near_or_far(Vec<float> x, Near near, C of_far) {
  const Mask<float> far = ~(vabs<float>(x) < kFarAngle);
  Vec<float> out = near(select<float>(far, Vec<float>{}, x));
  if (__builtin_expect(any_lane<float>(far), 0))
    for (int i = 0; i < kLanes<float>; ++i)
      if (far[i]) out[i] = of_far(x[i]);
  return out;
}

// A cosine is a sine a quarter turn ahead.
FASTDL_INLINE Vec<float> sine_of_floats(Vec<float> x, uint32_t ahead) {
  const Turned t = turned(x);
  const Vec<float> r2 = t.r * t.r;
  const VecBits<float> quarters = t.quarters + ahead;
  const Vec<float> value =
      select<float>((Mask<float>)((quarters & 1u) != 0u), cosine_of_rest(r2), sine_of_rest(t.r, r2));
  return (Vec<float>)(bits<float>(value) ^ ((quarters & 2u) << 30));
}

template <class T>
FASTDL_INLINE Vec<T> vsin(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const auto near = [](Vec<float> y) FASTDL_BODY { return sine_of_floats(y, 0); };
    return select<float>(x == 0.f, x, near_or_far(x, near, [](float v) { return ::sinf(v); }));  // keeps -0
  } else {
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::sin(v); });
  }
}
template <class T>
FASTDL_INLINE Vec<T> vcos(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const auto near = [](Vec<float> y) FASTDL_BODY { return sine_of_floats(y, 1); };
    return near_or_far(x, near, [](float v) { return ::cosf(v); });
  } else {
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::cos(v); });
  }
}
// A quarter turn further the tangent is -1 / tan(r).
template <class T>
FASTDL_INLINE Vec<T> vtan(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const auto near = [](Vec<float> y) FASTDL_BODY {
      const Turned t = turned(y);
      const Vec<float> r2 = t.r * t.r, sine = sine_of_rest(t.r, r2), cosine = cosine_of_rest(r2);
      const Mask<float> odd = (Mask<float>)((t.quarters & 1u) != 0u);
      return select<float>(odd, -cosine, sine) / select<float>(odd, sine, cosine);
    };
    return select<float>(x == 0.f, x, near_or_far(x, near, [](float v) { return ::tanf(v); }));
  } else {
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::tan(v); });
  }
}

// ---- the inverses ---------------------------------------------------------------------------------------------------

// pi and its half as a float and what that lacks.
inline constexpr float kPi = 3.14159274f, kPiRest = -8.74227766e-8f;
FASTDL_INLINE Vec<float> half_pi_less(Vec<float> x) {
  return (kPi / 2 - x) + kPiRest / 2;
}
FASTDL_INLINE Vec<float> pi_less(Vec<float> x) {
  return (kPi - x) + kPiRest;
}

// atan of numbers in [0, 1].
FASTDL_INLINE Vec<float> atan_to_one(Vec<float> q) {
  const Vec<float> t = q * q;
  return q + q * (t * polynomial<float>(t, -0.333332986f, 0.199985489f, -0.142642424f, 0.109521858f, -0.08403451f,
                                        0.0579576045f, -0.031177856f, 0.0109146107f, -0.00179362285f));
}
template <class T>
FASTDL_INLINE Vec<T> vatan(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const Vec<float> a = vabs<float>(x);
    const Mask<float> steep = a > 1.f;
    const Vec<float> y = atan_to_one(select<float>(steep, 1.f / a, a));
    return vcopysign<float>(select<float>(steep, half_pi_less(y), y), x);
  } else {
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::atan(v); });
  }
}

// The angle of the point (x, y). Of equal sizes the ratio is 1, infinities too; the origin has the angle 0 or pi.
FASTDL_INLINE Vec<float> angle_of_floats(Vec<float> y, Vec<float> x) {
  const Vec<float> a = vabs<float>(x), b = vabs<float>(y);
  const Mask<float> steep = b > a;
  const Vec<float> one_or_zero = select<float>(a == 0.f, Vec<float>{}, broadcast<float>(1));
  const Vec<float> ratio = select<float>(steep, a, b) / select<float>(steep, b, a);
  const Vec<float> first = atan_to_one(select<float>(a == b, one_or_zero, ratio));
  const Vec<float> right = select<float>(steep, half_pi_less(first), first);
  return vcopysign<float>(select<float>((Mask<float>)x < 0, pi_less(right), right), y);
}
template <class T>
FASTDL_INLINE Vec<T> vatan2(Vec<T> y, Vec<T> x) {
  if constexpr (sizeof(T) == 4)
    return angle_of_floats(y, x);
  else
    return each_lane<T>(y, x, [](T v, T w) __attribute__((always_inline)) { return ::atan2(v, w); });
}

// asin of half the chord: numbers above 1/2 by asin(x) = pi/2 - 2 asin(sqrt((1 - x) / 2)). Beyond 1 the root is NaN.
struct Arc {
  Vec<float> y;  // asin(|x|), or where x is `far` from 0 half of acos(|x|)
  Mask<float> far;
};
FASTDL_INLINE Arc arc_of(Vec<float> x) {
  const Vec<float> a = vabs<float>(x);
  const Mask<float> far = a > 0.5f;
  const Vec<float> t = select<float>(far, (1.f - a) * 0.5f, a * a), s = select<float>(far, vsqrt<float>(t), a);
  return {s + s * (t * polynomial<float>(t, 0.166667521f, 0.0749529749f, 0.0454703756f, 0.0241795145f, 0.0421663076f)),
          far};
}
template <class T>
FASTDL_INLINE Vec<T> vasin(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const Arc arc = arc_of(x);
    return vcopysign<float>(select<float>(arc.far, half_pi_less(arc.y + arc.y), arc.y), x);
  } else {
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::asin(v); });
  }
}
template <class T>
FASTDL_INLINE Vec<T> vacos(Vec<T> x) {
  if constexpr (sizeof(T) == 4) {
    const Arc arc = arc_of(x);
    const Vec<float> twice = arc.y + arc.y;
    return select<float>(arc.far, select<float>(x < 0.f, pi_less(twice), twice),
                         half_pi_less(vcopysign<float>(arc.y, x)));
  } else {
    return each_lane<T>(x, [](T v) __attribute__((always_inline)) { return ::acos(v); });
  }
}

// sqrt(a^2 + b^2). Squares that are no normal numbers are taken in double precision.
FASTDL_INLINE Vec<float> hypot_of_floats(Vec<float> a, Vec<float> b) {
  const Vec<float> sum = a * a + b * b;
  if (__builtin_expect(!any_lane<float>(~((sum > 1e-30f) & (sum < 1e37f))), 1)) return vsqrt<float>(sum);
  const auto root = [](Vec<double> x, Vec<double> y) FASTDL_BODY { return vsqrt<double>(x * x + y * y); };
  const Vec<float> y = join_halves(root(low_half(a), low_half(b)), root(high_half(a), high_half(b)));
  const Vec<float> infinity = broadcast<float>(Ieee<float>::kInfinity);
  return select<float>((vabs<float>(a) == infinity) | (vabs<float>(b) == infinity), infinity, y);
}
template <class T>
FASTDL_INLINE Vec<T> vhypot(Vec<T> a, Vec<T> b) {
  if constexpr (sizeof(T) == 4)
    return hypot_of_floats(a, b);
  else
    return each_lane<T>(a, b, [](T x, T y) __attribute__((always_inline)) { return ::hypot(x, y); });
}

}  // namespace fastdl::FASTDL_ISA
