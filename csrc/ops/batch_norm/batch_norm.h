// Batch normalisation of x (N, C, S): each channel by the mean and variance of its m = N * S numbers, or by given ones.
//
//   xhat = (x - mean) * rstd,  rstd = 1 / sqrt(var + eps),  out = xhat * weight + bias
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// In training, mean and var are the batch's (var divides by m), and the running ones move towards them:
//   running = (1 - momentum) * running + momentum * (mean, var * m / (m - 1))
struct BatchNormFwdArgs {
  DType dtype;
  int64_t batch, channels, plane;
  bool train;
  double momentum, eps;
  const void *x, *weight, *bias;     // weight, bias: (C,) or null
  void *running_mean, *running_var;  // (C,): read if not train, else changed unless null
  void *out, *mean, *rstd;           // mean, rstd: (C,), for the gradient
};

// grad_weight = sum(grad * xhat), grad_bias = sum(grad); grad_x = weight * rstd * grad, and in training
//   grad_x = weight * rstd * (grad - grad_bias / m - xhat * grad_weight / m)
struct BatchNormBwdArgs {
  DType dtype;
  int64_t batch, channels, plane;
  bool train;
  const void *grad, *x, *weight, *mean, *rstd;
  void *grad_x, *grad_weight, *grad_bias;  // grad_x may be null: not wanted
};

}  // namespace fastdl

FASTDL_KERNEL(batch_norm_fwd, BatchNormFwdArgs)
FASTDL_KERNEL(batch_norm_bwd, BatchNormBwdArgs)
