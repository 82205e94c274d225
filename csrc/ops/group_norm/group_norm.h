// Group normalisation of x (N, C, S): the C / groups neighbouring channels of a group in an image (a row: they lie side
// by side in memory) by their mean and variance. As many groups as channels is instance normalisation.
//
//   xhat = (x - mean) * rstd,  rstd = 1 / sqrt(var + eps),  out = xhat * weight + bias
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

struct GroupNormFwdArgs {
  DType dtype;
  int64_t batch, channels, plane, groups;
  double eps;
  const void *x, *weight, *bias;  // weight, bias: (C,) or null
  void *out, *mean, *rstd;        // mean, rstd: (N * groups,), for the gradient
};

// With h = grad * weight:  grad_x = rstd * (h - mean(h) - xhat * mean(h * xhat)), means over the row;
// grad_weight = sum(grad * xhat), grad_bias = sum(grad), sums over images and planes.
struct GroupNormBwdArgs {
  DType dtype;
  int64_t batch, channels, plane, groups;
  const void *grad, *x, *weight, *mean, *rstd;
  void *grad_x, *grad_weight, *grad_bias;  // grad_x may be null: not wanted
};

}  // namespace fastdl

FASTDL_KERNEL(group_norm_fwd, GroupNormFwdArgs)
FASTDL_KERNEL(group_norm_bwd, GroupNormBwdArgs)
