// What a pair of numbers adds to a distance, and to a gradient, for each metric: over vectors of pairs.
#pragma once
#include "cpu/math-inl.h"
#include "ops/distance/distance.h"

namespace fastdl::FASTDL_ISA {

// |d|^p. Float goes by way of e^(p log |d|): its error is relative to the power's, and the p-th root divides it again.
template <class T>
FASTDL_INLINE Vec<T> vpower(Vec<T> magnitude, T p) {
  return vexp<T>(vlog<T>(magnitude) * p);
}

template <class T>
FASTDL_INLINE Vec<T> sign_where(Mask<T> positive, Mask<T> negative, Vec<T> v) {
  return select<T>(positive, v, select<T>(negative, -v, Vec<T>{}));
}

// kMetric of the sum so far and one more column. Cubes and fourth powers need no logarithm.
enum class Power { kAny, kThree, kFour };

template <class T, Metric kMetric, Power kPower = Power::kAny>
FASTDL_INLINE Vec<T> accumulate(Vec<T> sum, Vec<T> x, Vec<T> y, T p) {
  const Vec<T> d = x - y;
  if constexpr (kMetric == Metric::kEuclidean) return sum + d * d;
  if constexpr (kMetric == Metric::kManhattan) return sum + vabs<T>(d);
  if constexpr (kMetric == Metric::kChebyshev) return max_nan<T>(vabs<T>(d), sum);
  if constexpr (kMetric == Metric::kHamming) return sum + select<T>(d != T{0}, broadcast<T>(T{1}), Vec<T>{});
  if constexpr (kMetric == Metric::kCanberra) {
    const Vec<T> size = vabs<T>(x) + vabs<T>(y), share = vabs<T>(d) / size;
    return sum + select<T>(size == T{0}, Vec<T>{}, share);
  }
  if constexpr (kMetric == Metric::kMinkowski) {
    if constexpr (kPower == Power::kThree) return sum + vabs<T>(d) * (d * d);
    if constexpr (kPower == Power::kFour) return sum + (d * d) * (d * d);
    return sum + vpower<T>(vabs<T>(d), p);
  }
}

template <class T, Metric kMetric>
FASTDL_INLINE Vec<T> finish(Vec<T> sum, T p) {
  if constexpr (kMetric == Metric::kEuclidean) return vsqrt<T>(sum);
  if constexpr (kMetric == Metric::kMinkowski) return vpower<T>(sum, T{1} / p);
  return sum;
}

// Once for each pair of rows: what all columns of its gradient are multiplied with.
template <class T, Metric kMetric>
FASTDL_INLINE Vec<T> pair_weight(Vec<T> grad, Vec<T> distance, T p) {
  if constexpr (kMetric == Metric::kEuclidean) return select<T>(distance == T{0}, Vec<T>{}, grad / distance);
  if constexpr (kMetric == Metric::kMinkowski)
    return select<T>(distance == T{0}, Vec<T>{}, grad * vpower<T>(distance, T{1} - p));
  return grad;
}

// ... and for each of its columns: the sum for x, where all of these are added.
template <class T, Metric kMetric, Power kPower = Power::kAny>
FASTDL_INLINE Vec<T> accumulate_gradient(Vec<T> sum, Vec<T> weight, Vec<T> distance, Vec<T> x, Vec<T> y, T p) {
  const Vec<T> d = x - y;
  if constexpr (kMetric == Metric::kEuclidean) return sum + weight * d;
  if constexpr (kMetric == Metric::kManhattan) return sum + sign_where<T>(d > T{0}, d < T{0}, weight);
  // All columns that reach the maximum, as in PyTorch.
  if constexpr (kMetric == Metric::kChebyshev)
    return sum + sign_where<T>((d > T{0}) & (d == distance), (d < T{0}) & (-d == distance), weight);
  if constexpr (kMetric == Metric::kCanberra) {
    // |d| / s with s = |x| + |y|: sign(d) / s - |d| sign(x) / s^2.
    const Vec<T> size = vabs<T>(x) + vabs<T>(y), inverse = T{1} / size;
    const Vec<T> up = sign_where<T>(d > T{0}, d < T{0}, inverse);
    const Vec<T> down = sign_where<T>(x > T{0}, x < T{0}, vabs<T>(d) * inverse * inverse);
    return sum + select<T>(size == T{0}, Vec<T>{}, weight * (up - down));
  }
  if constexpr (kMetric == Metric::kMinkowski) {
    if constexpr (kPower == Power::kThree) return sum + weight * (vabs<T>(d) * d);
    if constexpr (kPower == Power::kFour) return sum + weight * (d * d * d);
    const Vec<T> power = vpower<T>(vabs<T>(d), p - T{1});
    return sum + sign_where<T>(d > T{0}, d < T{0}, weight * power);
  }
  return sum;
}

}  // namespace fastdl::FASTDL_ISA
