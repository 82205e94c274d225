// Division towards minus infinity over vectors: the remainder has the sign of the divisor, exactly (as Python's % and
// //); and what division towards 0 leaves. Integers divided by 0 give 0; processors have no vectors of these, so they
// and doubles go one by one.
#pragma once
#include <type_traits>

#include "core/wrapping.h"
#include "cpu/special-inl.h"

namespace fastdl::FASTDL_ISA {

template <class T>
FASTDL_INLINE T floored_remainder(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    const T r = sizeof(T) == 4 ? __builtin_fmodf(a, b) : __builtin_fmod(a, b);
    return r != T{0} && (r < T{0}) != (b < T{0}) ? r + b : r;
  } else {
    if (b == T{0} || (std::is_signed_v<T> && b == static_cast<T>(-1))) return 0;  // the quotient by -1 may overflow
    const T r = a % b;
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
}
// Of the sign of a.
template <class T>
FASTDL_INLINE T truncated_remainder(T a, T b) {
  if constexpr (std::is_floating_point_v<T>)
    return sizeof(T) == 4 ? __builtin_fmodf(a, b) : __builtin_fmod(a, b);
  else
    return b == T{0} || (std::is_signed_v<T> && b == static_cast<T>(-1)) ? T{0} : static_cast<T>(a % b);
}
template <class T>
FASTDL_INLINE T floored_quotient(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (b == T{0}) return a / b;
    const T r = sizeof(T) == 4 ? __builtin_fmodf(a, b) : __builtin_fmod(a, b);
    const T q = (a - r) / b - (r != T{0} && (r < T{0}) != (b < T{0}) ? T{1} : T{0});
    // A whole number but for rounding; 0 takes the sign of the true quotient.
    const T below = sizeof(T) == 4 ? __builtin_floorf(q) : __builtin_floor(q);
    const T whole = q - below > T(0.5) ? below + T{1} : below;
    return whole != T{0} ? whole : sizeof(T) == 4 ? __builtin_copysignf(0, a / b) : __builtin_copysign(0, a / b);
  } else {
    if (b == T{0}) return 0;
    if (std::is_signed_v<T> && b == static_cast<T>(-1))
      return static_cast<T>(-static_cast<typename WrappingOf<T>::type>(a));
    const T q = a / b;
    return q * b != a && (a < 0) != (b < 0) ? q - 1 : q;
  }
}

// Whether rest_of_floats gets all lanes right: quotients below 2^28 of finite numbers, and divisions by zero (denormal
// numbers are some), which leave NaN.
FASTDL_INLINE bool all_near(Vec<float> a, Vec<float> b) {
  const Vec<float> size = vabs<float>(b);
  return !any_lane<float>(((vabs<float>(a) >= 0x1p28f * size) & (b != 0.f)) | (size == Ieee<float>::kInfinity));
}

// C's fmodf. In doubles: floats have 24 bits, so the product of a quotient below 2^28 and its divisor is exact, and no
// quotient is so near a whole number that it would be rounded to it.
FASTDL_INLINE Vec<float> rest_of_floats(Vec<float> a, Vec<float> b) {
  const auto rest = [](Vec<double> x, Vec<double> y) FASTDL_BODY { return x - vtrunc<double>(x / y) * y; };
  const Vec<float> r = join_halves(rest(low_half(a), low_half(b)), rest(high_half(a), high_half(b)));
  return vcopysign<float>(vabs<float>(r), a);
}

template <class T>
FASTDL_INLINE Vec<T> vremainder(Vec<T> a, Vec<T> b) {
  if constexpr (std::is_same_v<T, float>) {
    if (__builtin_expect(all_near(a, b), 1)) {
      const Vec<float> r = rest_of_floats(a, b);
      return select<float>((r != 0.f) & ((r < 0.f) ^ (b < 0.f)), r + b, r);
    }
  }
  return each_lane<T>(a, b, [](T x, T y) { return floored_remainder<T>(x, y); });
}

template <class T>
FASTDL_INLINE Vec<T> vfmod(Vec<T> a, Vec<T> b) {
  if constexpr (std::is_same_v<T, float>)
    if (__builtin_expect(all_near(a, b), 1)) return rest_of_floats(a, b);
  return each_lane<T>(a, b, [](T x, T y) { return truncated_remainder<T>(x, y); });
}

template <class T>
FASTDL_INLINE Vec<T> vfloor_divide(Vec<T> a, Vec<T> b) {
  if constexpr (std::is_same_v<T, float>) {
    if (__builtin_expect(all_near(a, b), 1)) {
      const Vec<float> r = rest_of_floats(a, b), ratio = (a - r) / b;
      const Vec<float> q = select<float>((r != 0.f) & ((r < 0.f) ^ (b < 0.f)), ratio - 1.f, ratio);
      const Vec<float> below = vfloor<float>(q), whole = select<float>(q - below > 0.5f, below + 1.f, below);
      const Vec<float> quotient = a / b;
      return select<float>(b == 0.f, quotient,
                           select<float>(whole != 0.f, whole, vcopysign<float>(Vec<float>{}, quotient)));
    }
  }
  return each_lane<T>(a, b, [](T x, T y) { return floored_quotient<T>(x, y); });
}

}  // namespace fastdl::FASTDL_ISA
