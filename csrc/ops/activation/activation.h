// Activations with up to two numbers as attributes, and their gradients from the input.
//
//   leaky_relu    x > 0 ? x : a x
//   elu           x > 0 ? x : a (e^x - 1)
//   selu          scale * elu, constants of the paper
//   softplus      a x > b ? x : log(1 + e^(a x)) / a
//   logsigmoid    -log(1 + e^-x)
//   gelu          x (1 + erf(x / sqrt 2)) / 2
//   gelu_tanh     x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
//   silu          x sigmoid(x)
//   hardtanh      min(max(x, a), b)
//   hardsigmoid   min(max(x + 3, 0), 6) / 6
//   hardswish     x hardsigmoid(x)
//   celu          x > 0 ? x : a (e^(x / a) - 1)
//   mish          x tanh(log(1 + e^x))
//   softsign      x / (1 + |x|)
//   tanhshrink    x - tanh(x)
//   softshrink    x moved towards 0 by a, 0 within it
//   hardshrink    |x| > a ? x : 0
//   threshold     x > a ? x : b
#pragma once
#include "core/array.h"
#include "core/kernel.h"

// clang-format off
#define FASTDL_ACTIVATIONS(X) \
  X(leaky_relu) X(elu) X(selu) X(softplus) X(logsigmoid) X(gelu) X(gelu_tanh) X(silu) X(hardtanh) X(hardsigmoid) \
  X(hardswish) X(celu) X(mish) X(softsign) X(tanhshrink) X(softshrink) X(hardshrink) X(threshold)
// clang-format on

namespace fastdl {

#define FASTDL_ENUM(name) k_##name,
enum class ActivationOp { FASTDL_ACTIVATIONS(FASTDL_ENUM) };
#undef FASTDL_ENUM

// Of the paper "Self-Normalizing Neural Networks" (2017).
constexpr double kSeluAlpha = 1.6732632423543772848170429916717, kSeluScale = 1.0507009873554804934193349852946;
constexpr double kInverseSqrt2Pi = 0.39894228040143267794;
constexpr double kMishIsX = 20;  // from here on x tanh(softplus(x)) is x, and squares of e^x are still numbers
constexpr double kSqrt2OverPi = 0.79788456080286535588, kGeluCubic = 0.044715;

struct ActivationArgs {
  ActivationOp op;
  DType dtype;
  int64_t n;
  double a, b;       // attributes, see above
  const void* grad;  // of the output; null in the forward pass
  const void* x;
  void* out;  // y, or the gradient of x; y may be x
};

// x is (outer, 2, half): y = x[:, 0] sigmoid(x[:, 1]), (outer, half).
struct GluArgs {
  DType dtype;
  int64_t outer, half;
  const void* grad;  // of y; null in the forward pass
  const void* x;
  void* out;  // y, or the gradient of x
};

}  // namespace fastdl

FASTDL_KERNEL(activation_fwd, ActivationArgs)
FASTDL_KERNEL(activation_bwd, ActivationArgs)
FASTDL_KERNEL(glu_fwd, GluArgs)
FASTDL_KERNEL(glu_bwd, GluArgs)
