// Layer normalisation of the rows of x (R, n): each row by its own mean and variance.
//
//   xhat = (x - mean) * rstd,  rstd = 1 / sqrt(var + eps),  out = xhat * weight + bias
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

struct LayerNormFwdArgs {
  DType dtype;
  int64_t rows, n;
  double eps;
  const void *x, *weight, *bias;  // weight, bias: (n,) or null
  void *out, *mean, *rstd;        // mean, rstd: (R,), for the gradient
};

// With h = grad * weight:  grad_x = rstd * (h - mean(h) - xhat * mean(h * xhat)), means over the row;
// grad_weight = sum(grad * xhat), grad_bias = sum(grad), sums over rows.
struct LayerNormBwdArgs {
  DType dtype;
  int64_t rows, n;
  const void *grad, *x, *weight, *mean, *rstd;
  void *grad_x, *grad_weight, *grad_bias;  // grad_x may be null, or both of the others: not wanted
};

}  // namespace fastdl

FASTDL_KERNEL(layer_norm_fwd, LayerNormFwdArgs)
FASTDL_KERNEL(layer_norm_bwd, LayerNormBwdArgs)
