// Strassen's algorithm (1969) in Winograd's form, one step of it: an eighth of a product's multiplications less. As a
// product of matrices, split in halves along all three axes:
//
//              pixels of an image                              input channels
//   [c11 c12]                 output channels       [w11 w12]                 [x11 x12]  input channels
//   [c21 c22]  = weights x                          [w21 w22]                 [x21 x22]
//                pixels
//
//   product    weights                 pixels
//   p0         w11                     x11
//   p1         w12                     x21             s1 = w21 + w22,  s2 = s1 - w11
//   p2         s2                      t2              t1 = x12 - x11,  t2 = x22 - t1
//   p3         w11 - w21               x22 - x12
//   p4         -w22                    t2 - x21
//   p5         s1                      t1
//   p6         w12 - s2                x22
//
//   u = p0 + p2:     c11 = p0 + p1,   c21 = u + p3 + p4,   c22 = u + p3 + p5,   c12 = u + p5 + p6
//
// Sums of weights are made beforehand, so this is for prepared weights; those of pixels on the way to the products. The
// halves of pixels are neighbouring tiles of one image, so that memory is read and written in long stretches, and what
// one image has never reaches another. The halves of output channels are slivers side by side.
#pragma once
#include "ops/conv2d/conv2d_lanes-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kProducts = 7;

struct StrassenProducts {
  Vec<float> of[kProducts];
};

// What each product takes of the four quarters of the pixels.
FASTDL_INLINE StrassenProducts strassen_pixels(Vec<float> x11, Vec<float> x12, Vec<float> x21, Vec<float> x22) {
  const Vec<float> t1 = x12 - x11, t2 = x22 - t1;
  return {{x11, x21, t2, x22 - x12, t2 - x21, t1, x22}};
}

// The four quarters of the result.
struct StrassenSums {
  Vec<float> c11, c12, c21, c22;
};
FASTDL_INLINE StrassenSums strassen_sums(const Vec<float> (&p)[kProducts]) {
  const Vec<float> u = p[0] + p[2], w = u + p[3];
  return {p[0] + p[1], u + p[5] + p[6], w + p[4], w + p[5]};
}

// to[q * n + i] = what product q takes of number i of the four quarters of the weights.
static void sum_strassen_weights(const float* w11, const float* w12, const float* w21, const float* w22, int64_t n,
                                 float* to) {
  constexpr int64_t L = kLanes<float>;
  for (int64_t i = 0; i < n; i += L, to += L) {
    const Vec<float> a11 = load<float>(w11 + i), a12 = load<float>(w12 + i);
    const Vec<float> a21 = load<float>(w21 + i), a22 = load<float>(w22 + i);
    const Vec<float> s1 = a21 + a22, s2 = s1 - a11;
    const Vec<float> made[kProducts] = {a11, a12, s2, a11 - a21, -a22, s1, a12 - s2};
#pragma GCC unroll 7
    for (int q = 0; q < kProducts; ++q) store<float>(to + q * n, made[q]);
  }
}

}  // namespace fastdl::FASTDL_ISA
