// log(sum(exp(x))) of a row in one pass: the maximum so far and the sum of exp(x - maximum), rescaled when the maximum
// rises.
#pragma once
#include "cuda/reduce.cuh"

namespace fastdl {

template <class T>
constexpr T kMinusInfinity = -static_cast<T>(__builtin_huge_val());

template <class T>
struct LogSum {
  T top, sum;

  __device__ static LogSum empty() { return {kMinusInfinity<T>, T(0)}; }

  // Equal numbers are not subtracted: of two infinities that would give NaN, and here a row may yet rise above minus
  // infinity. NaN is no maximum, but stays in the sum.
  __device__ void add(T x) {
    if (x > top) {
      sum = sum * exp(top - x) + T(1);
      top = x;
    } else {
      sum += x == top ? T(1) : exp(x - top);
    }
  }
  // NaN for a row whose maximum is infinite, as the formula has it.
  __device__ T total() const { return sum + (top - top); }
  __device__ T value() const { return top + log(total()); }
};

struct MergeLogSums {
  template <class T>
  __device__ LogSum<T> operator()(const LogSum<T>& a, const LogSum<T>& b) const {
    LogSum<T> both;
    both.top = a.top > b.top ? a.top : b.top;
    both.sum = (a.top == both.top ? a.sum : a.sum * exp(a.top - both.top)) +
               (b.top == both.top ? b.sum : b.sum * exp(b.top - both.top));
    return both;
  }
};

}  // namespace fastdl
