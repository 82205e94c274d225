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

struct RmspropTensor {
  int64_t n;
  void* param;
  const void* grad;
  void* square_avg;
  void* grad_avg;         // null unless centered
  void* momentum_buffer;  // null without momentum
};
struct RmspropArgs {
  DType dtype;
  int64_t count;
  const RmspropTensor* tensors;
  double lr, alpha, eps, weight_decay, momentum;
  bool maximize;
};

struct AdagradTensor {
  int64_t n;
  void* param;
  const void* grad;
  void* sum;  // of squares
};
struct AdagradArgs {
  DType dtype;
  int64_t count;
  const AdagradTensor* tensors;
  double rate;  // lr / (1 + (step - 1) * lr_decay)
  double weight_decay, eps;
  bool maximize;
};

struct AdadeltaTensor {
  int64_t n;
  void* param;
  const void* grad;
  void *square_avg, *acc_delta;  // averages of squares: of gradients, and of updates
};
struct AdadeltaArgs {
  DType dtype;
  int64_t count;
  const AdadeltaTensor* tensors;
  double lr, rho, eps, weight_decay;
  bool maximize;
};

// Adamax, NAdam, RAdam: exp_avg and exp_inf or exp_avg_sq. Rprop: the gradient before and the sizes of steps.
struct MomentsTensor {
  int64_t n;
  void* param;
  const void* grad;
  void *exp_avg, *other;
};
struct AdamaxArgs {
  DType dtype;
  int64_t count;
  const MomentsTensor* tensors;
  double step_size;  // lr / (1 - beta1^step)
  double beta1, beta2, eps, weight_decay;
  bool maximize;
};
// p = keep * p - (of_grad * g + of_mean * exp_avg) / (sqrt(exp_avg_sq) / root + eps), or without the quotient: NAdam,
// which looks ahead by the gradient, and RAdam, whose first steps do without the variance.
struct AheadArgs {
  DType dtype;
  int64_t count;
  const MomentsTensor* tensors;
  double beta1, beta2, eps, weight_decay;
  double keep, of_grad, of_mean, root;
  bool divided, maximize;
};
struct RpropArgs {
  DType dtype;
  int64_t count;
  const MomentsTensor* tensors;
  double shrink, grow;  // of a size where the gradient turns, and where it keeps its sign
  double least, most;
  bool maximize;
};

// ---- gradients before a step ----------------------------------------------------------------------------------------

struct GradTensor {
  int64_t n;
  void* grad;
};
struct GradNormArgs {
  DType dtype;
  int64_t count;
  const GradTensor* tensors;
  double p;    // (sum of |g|^p)^(1/p) over all numbers; the largest |g| for an infinite p
  void* norm;  // one number
};
// Every gradient times max_norm / (norm + 1e-6), where that is below 1 or NaN.
struct ClipNormArgs {
  DType dtype;
  int64_t count;
  const GradTensor* tensors;
  const void* norm;
  double max_norm;
};
// Every number of the gradients limited to [-limit, limit]; NaN stays.
struct ClipValueArgs {
  DType dtype;
  int64_t count;
  const GradTensor* tensors;
  double limit;
};
constexpr double kClipEps = 1e-6;  // PyTorch's

}  // namespace fastdl

FASTDL_KERNEL(sgd_step, SgdArgs)
FASTDL_KERNEL(adam_step, AdamArgs)
FASTDL_KERNEL(rmsprop_step, RmspropArgs)
FASTDL_KERNEL(adagrad_step, AdagradArgs)
FASTDL_KERNEL(adadelta_step, AdadeltaArgs)
FASTDL_KERNEL(adamax_step, AdamaxArgs)
FASTDL_KERNEL(ahead_step, AheadArgs)
FASTDL_KERNEL(rprop_step, RpropArgs)
FASTDL_KERNEL(grad_norm, GradNormArgs)
FASTDL_KERNEL(clip_norm, ClipNormArgs)
FASTDL_KERNEL(clip_value, ClipValueArgs)
