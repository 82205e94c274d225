// States of running logarithms and of their gradients.
#pragma once
#include "cuda/logsumexp.cuh"

namespace fastdl {
namespace {

// Stands for the sum of w_j e^x_j over some elements: the largest x_j and the sum of w_j e^(x_j - top). Equal tops are
// not subtracted, of infinities that would be NaN. NaN is no top and in the sum alone.
template <class T>
struct Exponentials {
  using State = LogSum<T>;
  static constexpr bool kCommutes = true;

  __device__ static State identity() { return State::empty(); }
  __device__ static State of(T x, T weight) {
    const bool nan = x != x;
    return {nan ? kMinusInfinity<T> : x, nan ? x : weight};
  }
  __device__ static State combine(const State& a, const State& b) {
    const bool rises = b.top > a.top;
    const T low = rises ? a.top : b.top, of_low = rises ? a.sum : b.sum;
    State s;
    s.top = rises ? b.top : a.top;
    s.sum = (rises ? b.sum : a.sum) + of_low * (low == s.top ? T(1) : exp(low - s.top));
    return s;
  }
};

}  // namespace
}  // namespace fastdl
