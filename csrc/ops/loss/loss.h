// Losses of input x and target t, element by element: values, sums or means, and gradients by x and by t.
//
//   mse_loss              (x - t)^2                             l1_loss    |x - t|
//   smooth_l1_loss        |d| < a ? d^2 / 2a : |d| - a/2        huber_loss |d| < a ? d^2 / 2 : a (|d| - a/2),   d = x -
//   t binary_cross_entropy  -t log(x) - (1 - t) log(1 - x), each logarithm at least -100; x in [0, 1]
//   binary_cross_entropy_with_logits   (1 - t) x + (1 + (pos_weight - 1) t) log(1 + e^-x)
//   hinge_loss            max(0, a - t x), t = -1 or 1
//   kl_div                t (log t - x), 0 where t is           kl_div_log_target   e^t (t - x)
//   msle_loss             (log(1 + x) - log(1 + t))^2           mape_loss  |x - t| / max(|t|, a)
#pragma once
#include "core/array.h"
#include "core/kernel.h"
#include "core/reduction.h"

// clang-format off
#define FASTDL_LOSSES(X) \
  X(mse_loss) X(l1_loss) X(smooth_l1_loss) X(huber_loss) X(binary_cross_entropy) \
  X(binary_cross_entropy_with_logits) X(hinge_loss) X(kl_div) X(kl_div_log_target) X(msle_loss) X(mape_loss)
// clang-format on

namespace fastdl {

#define FASTDL_ENUM(name) k_##name,
enum class Loss { FASTDL_LOSSES(FASTDL_ENUM) };
#undef FASTDL_ENUM

// Whether some numbers are illegal for a loss.
constexpr bool refuses(Loss op) {
  return op == Loss::k_msle_loss || op == Loss::k_binary_cross_entropy || op == Loss::k_hinge_loss;
}

struct LossFwdArgs {
  Loss op;
  DType dtype;
  Reduction reduction;
  int64_t n;
  double a;                // attribute, see above
  const void *x, *target;  // n numbers each
  const void* weight;      // n factors of the losses, or null
  const void* pos_weight;  // n weights of positive targets, or null
  void* out;               // n numbers, or one
  int64_t* illegal;        // 1 + the position of the first x or t that the loss does not take, or 0
};

struct LossBwdArgs {
  Loss op;
  DType dtype;
  Reduction reduction;
  int64_t n;
  double a;
  const void* grad;  // of the loss: n numbers for kNone, else one
  const void *x, *target, *weight, *pos_weight;
  bool by_target;  // the gradient of t instead of that of x
  void* out;       // n numbers
};

}  // namespace fastdl

FASTDL_KERNEL(loss_fwd, LossFwdArgs)
FASTDL_KERNEL(loss_bwd, LossBwdArgs)
