// Mean and sum of squared deviations of numbers that many threads have seen parts of (Chan, Golub and LeVeque, 1979):
// no large squares are subtracted from each other, so a mean far from zero costs no digits of the variance.
#pragma once
#include "cuda/reduce.cuh"

namespace fastdl {

template <class T>
struct Moments {
  T count, mean, squares;  // squares: sum of (x - mean)^2

  __device__ static Moments none() { return {T{0}, T{0}, T{0}}; }
  __device__ void add(T x) {
    count += T{1};
    const T before = x - mean;
    mean += before / count;
    squares += before * (x - mean);
  }
  __device__ T variance() const { return count > T{0} ? squares / count : T{0}; }
};

// Commutative to the bit, as warp_reduce wants it.
struct MergeMoments {
  template <class T>
  __device__ Moments<T> operator()(const Moments<T>& a, const Moments<T>& b) const {
    const T count = a.count + b.count;
    if (count == T{0}) return a;
    const T apart = a.mean - b.mean;
    return {count, (a.count * a.mean + b.count * b.mean) / count,
            a.squares + b.squares + apart * apart * (a.count * b.count / count)};
  }
};

// Two sums at once.
template <class T>
struct Pair {
  T a, b;
};
struct AddPairs {
  template <class T>
  __device__ Pair<T> operator()(const Pair<T>& x, const Pair<T>& y) const {
    return {x.a + y.a, x.b + y.b};
  }
};

}  // namespace fastdl
