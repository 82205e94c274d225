// What a pair of numbers adds to a distance, and to a gradient, for each metric.
#pragma once
#include "cuda/reduce.cuh"
#include "ops/distance/distance.h"

namespace fastdl {

// Cubes and fourth powers need no logarithm.
enum class Power { kAny, kThree, kFour };

template <class T>
__device__ __forceinline__ T power(T x, T p) {
  return static_cast<T>(pow(x, p));
}
template <class T>
__device__ __forceinline__ T magnitude(T x) {
  return x < 0 ? -x : x;
}
template <class T>
__device__ __forceinline__ T signed_like(T by, T x) {
  return by > 0 ? x : by < 0 ? -x : T(0);
}

template <class Number, Metric kMetric, Power kPower = Power::kAny>
struct Measure {
  using T = Number;
  static constexpr Metric metric = kMetric;
  // Whether a pair's weight in the gradient, or each of its columns, needs the distance.
  static constexpr bool kWeighted = kMetric == Metric::kEuclidean || kMetric == Metric::kMinkowski;
  static constexpr bool kCompared = kMetric == Metric::kChebyshev;
  // Powers and divisions are dozens of instructions each.
  static constexpr bool kLong =
      kMetric == Metric::kCanberra || (kMetric == Metric::kMinkowski && kPower == Power::kAny);
  T p;

  // The sum so far and one more column. Two zeros add nothing: panels are padded with them.
  __device__ __forceinline__ T add(T sum, T x, T y) const {
    const T d = x - y;
    if constexpr (kMetric == Metric::kEuclidean) return sum + d * d;
    if constexpr (kMetric == Metric::kManhattan) return sum + magnitude(d);
    if constexpr (kMetric == Metric::kChebyshev) return Max{}(magnitude(d), sum);
    if constexpr (kMetric == Metric::kHamming) return sum + (d != 0 ? T(1) : T(0));
    if constexpr (kMetric == Metric::kCanberra) {
      const T size = magnitude(x) + magnitude(y);
      return sum + (size == 0 ? T(0) : magnitude(d) / size);
    }
    if constexpr (kMetric == Metric::kMinkowski) {
      if constexpr (kPower == Power::kThree) return sum + magnitude(d) * (d * d);
      if constexpr (kPower == Power::kFour) return sum + (d * d) * (d * d);
      return sum + power(magnitude(d), p);
    }
  }
  // Two sums over different columns.
  __device__ __forceinline__ T merge(T a, T b) const {
    if constexpr (kMetric == Metric::kChebyshev) return Max{}(a, b);
    return a + b;
  }
  __device__ __forceinline__ T finish(T sum) const {
    if constexpr (kMetric == Metric::kEuclidean) return sqrt(sum);
    if constexpr (kMetric == Metric::kMinkowski) return power(sum, T(1) / p);
    return sum;
  }

  // Once for each pair of rows: what all columns of its gradient are multiplied with. 0 at distance 0.
  __device__ __forceinline__ T weight(T grad, T distance) const {
    if constexpr (kMetric == Metric::kEuclidean) return distance == 0 ? T(0) : grad / distance;
    if constexpr (kMetric == Metric::kMinkowski) {
      if (distance == 0) return T(0);
      if constexpr (kPower == Power::kThree) return grad / (distance * distance);
      if constexpr (kPower == Power::kFour) return grad / (distance * distance * distance);
      return grad * power(distance, T(1) - p);
    }
    return grad;
  }
  // ... and for each of its columns: the sum for x, where all of these are added.
  __device__ __forceinline__ T add_gradient(T sum, T weight, T distance, T x, T y) const {
    const T d = x - y;
    if constexpr (kMetric == Metric::kEuclidean) return sum + weight * d;
    if constexpr (kMetric == Metric::kManhattan) return sum + signed_like(d, weight);
    // All columns that reach the maximum, as in PyTorch.
    if constexpr (kMetric == Metric::kChebyshev) return magnitude(d) == distance ? sum + signed_like(d, weight) : sum;
    if constexpr (kMetric == Metric::kCanberra) {
      // |d| / s with s = |x| + |y|: sign(d) / s - |d| sign(x) / s^2.
      const T size = magnitude(x) + magnitude(y), inverse = 1 / size;
      if (size == 0) return sum;
      return sum + weight * (signed_like(d, inverse) - signed_like(x, magnitude(d) * inverse * inverse));
    }
    if constexpr (kMetric == Metric::kMinkowski) {
      if constexpr (kPower == Power::kThree) return sum + weight * (magnitude(d) * d);
      if constexpr (kPower == Power::kFour) return sum + weight * (d * d * d);
      return sum + signed_like(d, weight * power(magnitude(d), p - 1));
    }
    return sum;
  }
};

// run(measure) with metric and power as constants.
template <class T, class Run>
void with_measure(Metric metric, double power, Run&& run) {
  const T p = static_cast<T>(power);
  switch (metric) {
    case Metric::kEuclidean:
      return run(Measure<T, Metric::kEuclidean>{p});
    case Metric::kManhattan:
      return run(Measure<T, Metric::kManhattan>{p});
    case Metric::kChebyshev:
      return run(Measure<T, Metric::kChebyshev>{p});
    case Metric::kCanberra:
      return run(Measure<T, Metric::kCanberra>{p});
    case Metric::kHamming:
      return run(Measure<T, Metric::kHamming>{p});
    case Metric::kMinkowski:
      if (power == 3) return run(Measure<T, Metric::kMinkowski, Power::kThree>{p});
      if (power == 4) return run(Measure<T, Metric::kMinkowski, Power::kFour>{p});
      return run(Measure<T, Metric::kMinkowski>{p});
  }
}

// In distance.cu: distances by the definition. `wanted`: null, or a number on the device; if that is 0 nothing is done.
void defined_distances(const DistanceFwdArgs& a, const int* wanted, Stream stream);

}  // namespace fastdl
