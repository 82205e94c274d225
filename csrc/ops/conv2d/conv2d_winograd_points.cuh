// Winograd's transforms along one axis, in registers: patches of 6 numbers belong to 4 outputs and 3 taps.
//
//   out   = A' [ (G w) . (B' x) ]      4 outputs of 3 taps
//   grad  = C' [ (D y) . (B' x) ]      3 taps, from 4 gradients of the output
//
// All belong to the points 0, +-3/4, +-3/2 and infinity, as on the CPU (conv2d_winograd-inl.h says why): their powers
// are short binary fractions, and the even and odd parts are computed once for both of a pair.
#pragma once
#include "cuda/launch.h"

namespace fastdl {

constexpr int kPatch = 6, kTileOut = 4, kTaps = 3;
constexpr int kPositions = kPatch * kPatch, kKernel = kTaps * kTaps;

constexpr float kA = 0.75f, kA2 = kA * kA, kA3 = kA2 * kA;
constexpr float kB = 1.5f, kB2 = kB * kB, kB3 = kB2 * kB;
// What the products of a point are divided by: the derivative of x (x^2 - a^2) (x^2 - b^2) there.
constexpr float kNorm0 = 1 / (kA2 * kB2), kNormA = 1 / (2 * kA2 * (kA2 - kB2)), kNormB = 1 / (2 * kB2 * (kB2 - kA2));

// even +- point * odd
__device__ __forceinline__ void at_points(float even_a, float odd_a, float even_b, float odd_b, float (&t)[kPatch]) {
  t[1] = even_a + kA * odd_a;
  t[2] = even_a - kA * odd_a;
  t[3] = even_b + kB * odd_b;
  t[4] = even_b - kB * odd_b;
}

// B': six numbers of an image.
__device__ __forceinline__ void to_points(const float (&d)[kPatch], float (&t)[kPatch]) {
  at_points(d[4] - kB2 * d[2], d[3] - kB2 * d[1], d[4] - kA2 * d[2], d[3] - kA2 * d[1], t);
  t[0] = kA2 * kB2 * d[0] + (d[4] - (kA2 + kB2) * d[2]);
  t[5] = kA2 * kB2 * d[1] + (d[5] - (kA2 + kB2) * d[3]);
}

// D: four gradients of the output.
__device__ __forceinline__ void to_points(const float (&y)[kTileOut], float (&t)[kPatch]) {
  at_points(y[0] + kA2 * y[2], y[1] + kA2 * y[3], y[0] + kB2 * y[2], y[1] + kB2 * y[3], t);
  t[0] = y[0];
  t[5] = y[3];
}

// G: three taps, divided by the norms.
__device__ __forceinline__ void to_points(const float (&w)[kTaps], float (&t)[kPatch]) {
  at_points(kNormA * (w[0] + kA2 * w[2]), kNormA * w[1], kNormB * (w[0] + kB2 * w[2]), kNormB * w[1], t);
  t[0] = kNorm0 * w[0];
  t[5] = w[2];
}

// A': four outputs.
__device__ __forceinline__ void from_points(const float (&m)[kPatch], float (&y)[kTileOut]) {
  const float sum_a = m[1] + m[2], difference_a = m[1] - m[2];
  const float sum_b = m[3] + m[4], difference_b = m[3] - m[4];
  y[0] = m[0] + sum_a + sum_b;
  y[1] = kA * difference_a + kB * difference_b;
  y[2] = kA2 * sum_a + kB2 * sum_b;
  y[3] = kA3 * difference_a + (kB3 * difference_b + m[5]);
}

// C': three taps, divided by the norms.
__device__ __forceinline__ void from_points(const float (&m)[kPatch], float (&w)[kTaps]) {
  const float sum_a = kNormA * (m[1] + m[2]), difference_a = kNormA * (m[1] - m[2]);
  const float sum_b = kNormB * (m[3] + m[4]), difference_b = kNormB * (m[3] - m[4]);
  w[0] = kNorm0 * m[0] + (sum_a + sum_b);
  w[1] = kA * difference_a + kB * difference_b;
  w[2] = kA2 * sum_a + (kB2 * sum_b + m[5]);
}

// Both axes of a square that one thread holds.
template <int kFrom>
__device__ __forceinline__ void square_to_points(const float (&from)[kFrom][kFrom], float (&to)[kPatch][kPatch]) {
  float half[kFrom][kPatch];
#pragma unroll
  for (int i = 0; i < kFrom; ++i) to_points(from[i], half[i]);
#pragma unroll
  for (int j = 0; j < kPatch; ++j) {
    float column[kFrom], points[kPatch];
#pragma unroll
    for (int i = 0; i < kFrom; ++i) column[i] = half[i][j];
    to_points(column, points);
#pragma unroll
    for (int i = 0; i < kPatch; ++i) to[i][j] = points[i];
  }
}

template <int kTo>
__device__ __forceinline__ void square_from_points(const float (&from)[kPatch][kPatch], float (&to)[kTo][kTo]) {
  float half[kPatch][kTo];
#pragma unroll
  for (int i = 0; i < kPatch; ++i) from_points(from[i], half[i]);
#pragma unroll
  for (int j = 0; j < kTo; ++j) {
    float column[kPatch], taps[kTo];
#pragma unroll
    for (int i = 0; i < kPatch; ++i) column[i] = half[i][j];
    from_points(column, taps);
#pragma unroll
    for (int i = 0; i < kTo; ++i) to[i][j] = taps[i];
  }
}

}  // namespace fastdl
