// Sine, cosine, tangent and their inverses over vectors of float or double.
//
// Largest errors in units of the last place: sin and cos of floats 1 of the larger of result and 2^-24, see
// ops/elementwise/README.md for the others. Doubles of the inverses go to the C library one by one.
#pragma once
#include "cpu/special-inl.h"

namespace fastdl::FASTDL_ISA {

// ---- sine, cosine, tangent ------------------------------------------------------------------------------------------

// x = n pi/2 + r with |r| <= pi/4, for |x| < kFarAngle. pi/2 is split so that n times each part but the last is exact
// for such n. The polynomials are those of the rest: (sin r - r) / r^3 and (cos r - 1 + r^2/2) / r^4, by r^2.
template <class T>
inline constexpr T kFarAngle = sizeof(T) == 4 ? T(8192) : T(1 << 20);
template <class T>
struct Turned {
  Vec<T> r;
  VecBits<T> quarters;  // n; of these bits the last two count
};
template <class T>
FASTDL_INLINE Turned<T> turned(Vec<T> x) {
  const Vec<T> shifted = x * T(0.636619772367581343) + Ieee<T>::kRound, n = shifted - Ieee<T>::kRound;
  if constexpr (sizeof(T) == 4) {
    const Vec<T> r = ((x - n * 1.5703125f) - n * 4.837512969970703125e-4f) - n * 7.54978941586159635e-8f;
    return {r - n * 5.39030285815811905e-15f, bits<T>(shifted)};
  } else {
    const Vec<T> r = ((x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e0p-69;
    return {r - n * 0x1.b839a252049c1p-104, bits<T>(shifted)};
  }
}
template <class T>
FASTDL_INLINE Vec<T> sine_of_rest(Vec<T> r, Vec<T> r2) {
  if constexpr (sizeof(T) == 4)
    return r + r * r2 * polynomial<T>(r2, -1.6666654611e-1f, 8.3321608736e-3f, -1.9515295891e-4f);
  else
    return r + r * r2 *
                   polynomial<T>(r2, -1.66666666666666324348e-1, 8.33333333332248946124e-3, -1.98412698298579493134e-4,
                                 2.75573137070700676789e-6, -2.50507602534068634195e-8, 1.58969099521155010221e-10);
}
template <class T>
FASTDL_INLINE Vec<T> cosine_of_rest(Vec<T> r2) {
  if constexpr (sizeof(T) == 4) {
    const Vec<T> p = polynomial<T>(r2, 4.166664568298827e-2f, -1.388731625493765e-3f, 2.443315711809948e-5f);
    return 1.f - 0.5f * r2 + r2 * r2 * p;
  } else {
    const Vec<T> p = polynomial<T>(r2, 4.16666666666666019037e-2, -1.38888888888741095749e-3, 2.48015872894767294178e-5,
                                   -2.75573143513906633035e-7, 2.08757232129817482790e-9, -1.13596475577881948265e-11);
    const Vec<T> half = r2 * 0.5, near_one = 1.0 - half;  // what this rounds away comes back with the rest
    return near_one + (((1.0 - near_one) - half) + r2 * r2 * p);
  }
}

// near(x), and C's function of what lies too far out.
template <class T, class Near, class C>
FASTDL_INLINE Vec<T> near_or_far(Vec<T> x, Near near, C of_far) {
  const Mask<T> far = ~(vabs<T>(x) < kFarAngle<T>);
  Vec<T> out = near(select<T>(far, Vec<T>{}, x));
  if (__builtin_expect(any_lane<T>(far), 0))
    for (int i = 0; i < kLanes<T>; ++i)
      if (far[i]) out[i] = of_far(x[i]);
  return out;
}

// A cosine is a sine a quarter turn ahead.
template <class T>
FASTDL_INLINE Vec<T> sine_from(Vec<T> x, int ahead) {
  using Bits = typename Ieee<T>::Bits;
  const Turned<T> t = turned<T>(x);
  const Vec<T> r2 = t.r * t.r;
  const VecBits<T> quarters = t.quarters + static_cast<Bits>(ahead);
  const Mask<T> odd = (Mask<T>)((quarters & Bits{1}) != Bits{0});
  const Vec<T> value = select<T>(odd, cosine_of_rest<T>(r2), sine_of_rest<T>(t.r, r2));
  return (Vec<T>)(bits<T>(value) ^ ((quarters & Bits{2}) << (8 * sizeof(T) - 2)));
}

template <class T>
FASTDL_INLINE Vec<T> vsin(Vec<T> x) {
  const auto near = [](Vec<T> y) FASTDL_BODY { return sine_from<T>(y, 0); };
  return select<T>(x == T{0}, x, near_or_far<T>(x, near, [](T v) {
                     return sizeof(T) == 4 ? ::sinf(static_cast<float>(v)) : static_cast<T>(::sin(v));
                   }));  // keeps -0
}
template <class T>
FASTDL_INLINE Vec<T> vcos(Vec<T> x) {
  const auto near = [](Vec<T> y) FASTDL_BODY { return sine_from<T>(y, 1); };
  return near_or_far<T>(x, near,
                        [](T v) { return sizeof(T) == 4 ? ::cosf(static_cast<float>(v)) : static_cast<T>(::cos(v)); });
}
// A quarter turn further the tangent is -1 / tan(r).
template <class T>
FASTDL_INLINE Vec<T> vtan(Vec<T> x) {
  const auto near = [](Vec<T> y) FASTDL_BODY {
    using Bits = typename Ieee<T>::Bits;
    const Turned<T> t = turned<T>(y);
    const Vec<T> r2 = t.r * t.r, sine = sine_of_rest<T>(t.r, r2), cosine = cosine_of_rest<T>(r2);
    const Mask<T> odd = (Mask<T>)((t.quarters & Bits{1}) != Bits{0});
    return select<T>(odd, -cosine, sine) / select<T>(odd, sine, cosine);
  };
  return select<T>(x == T{0}, x, near_or_far<T>(x, near, [](T v) {
                     return sizeof(T) == 4 ? ::tanf(static_cast<float>(v)) : static_cast<T>(::tan(v));
                   }));
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
  const Mask<float> far = ~((sum > 1e-30f) & (sum < 1e37f));
  // Zeros are as frequent as they like (after ReLU, say), so they must not take the long way.
  if (__builtin_expect(!any_lane<float>(far), 1) || !any_lane<float>(far & ((a != 0.f) | (b != 0.f))))
    return vsqrt<float>(sum);
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
