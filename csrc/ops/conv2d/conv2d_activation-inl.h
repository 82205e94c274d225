// The activation that a convolution applies to what it has just made, while it is in the nearest cache.
#pragma once
#include "cpu/math-inl.h"
#include "cpu/shuffle-inl.h"
#include "ops/conv2d/conv2d.h"

namespace fastdl::FASTDL_ISA {

// Activations of a comparison or two, which kernels apply to registers: NaN stays, as no comparison holds for it.
FASTDL_INLINE bool only_limits(Activation activation) {
  return activation == Activation::kNone || activation == Activation::kRelu || activation == Activation::kRelu6;
}
// That of it which a kernel does in registers. The rest follows in rows (activate_row): inlined among the registers of
// a tile, exponentials would send them all to the stack, used or not.
FASTDL_INLINE Activation in_registers(Activation activation) {
  return only_limits(activation) ? activation : Activation::kNone;
}
template <class T>
FASTDL_INLINE Vec<T> limit(Activation activation, Vec<T> v) {
  if (activation == Activation::kNone) return v;
  v = select<T>(v < T{0}, Vec<T>{}, v);
  return activation == Activation::kRelu6 ? select<T>(v > T{6}, broadcast<T>(6), v) : v;
}

template <class T>
FASTDL_INLINE Vec<T> activate(Activation activation, Vec<T> v) {
  if (only_limits(activation)) return limit<T>(activation, v);
  if (activation == Activation::kSigmoid) return vsigmoid<T>(v);
  if (activation == Activation::kTanh) return vtanh<T>(v);
  if (activation == Activation::kSilu) return v * vsigmoid<T>(v);
  const Vec<T> hard = limit<T>(Activation::kRelu6, v + T{3});
  return (activation == Activation::kHardswish ? v * hard : hard) / T{6};
}

// to[i] = activation(from[i] + residual[i]), where there is a residual.
template <class T>
static void finish_row(Activation activation, const T* from, const T* residual, T* to, int64_t n) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < n; i += L) {
    Vec<T> v = load_some<T>(from + i, n - i);
    if (residual) v += load_some<T>(residual + i, n - i);
    store_some<T>(to + i, activate<T>(activation, v), n - i);
  }
}

template <class T>
static void activate_row(Activation activation, T* row, int64_t n) {
  constexpr int L = kLanes<T>;
  if (activation == Activation::kNone) return;
  int64_t i = 0;
  for (; i + L <= n; i += L) store<T>(row + i, activate<T>(activation, load<T>(row + i)));
  const int rest = static_cast<int>(n - i);
  if (rest > 0) store_n<T>(row + i, activate<T>(activation, load_n<T>(row + i, rest)), rest);
}

}  // namespace fastdl::FASTDL_ISA
