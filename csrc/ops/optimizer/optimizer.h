// Optimizer steps: one fused pass over each parameter, all parameters of a group in one call. PyTorch's update rules.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// One parameter of the group; the pointers hold n numbers of the group's dtype.
struct SgdTensor {
  int64_t n;
  void* param;
  const void* grad;
  void* momentum_buffer;  // null without momentum
};
struct SgdArgs {
  DType dtype;
  int64_t count;
  const SgdTensor* tensors;
  double lr, momentum, dampening, weight_decay;
  bool nesterov, maximize;
  bool first;  // the momentum buffers hold nothing yet: buffer = gradient
};

struct AdamTensor {
  int64_t n;
  void* param;
  const void* grad;
  void* exp_avg;
  void* exp_avg_sq;
  void* max_exp_avg_sq;  // null without amsgrad
};
struct AdamArgs {
  DType dtype;
  int64_t count;
  const AdamTensor* tensors;
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;    // 1 for the first step
  bool decoupled;  // AdamW: the decay acts on the parameter, not through the gradient
  bool maximize;
};

}  // namespace fastdl

FASTDL_KERNEL(sgd_step, SgdArgs)
FASTDL_KERNEL(adam_step, AdamArgs)
