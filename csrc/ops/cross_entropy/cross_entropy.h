// Cross-entropy of logits against class indices (torch.nn.functional.cross_entropy): softmax and logarithm in one pass.
//   w = weight[target] (1 without weights), lse = log(sum over classes of exp(x_c))
//   loss = (1 - s) * w * (lse - x_target) + s / C * sum over classes of weight_c * (lse - x_c),   s = label_smoothing
// Rows whose target is ignore_index give 0 and no gradient. "mean" divides by the sum of w over the rows that count.
#pragma once
#include "core/array.h"
#include "core/kernel.h"
#include "core/reduction.h"

namespace fastdl {

struct CrossEntropyGeometry {
  int64_t batch, classes, inner;  // logits (batch, classes, inner), target (batch, inner)
};

struct CrossEntropyFwdArgs {
  DType dtype;
  CrossEntropyGeometry g;
  Reduction reduction;
  int64_t ignore_index;
  double label_smoothing;
  const void* x;
  const int64_t* target;
  const void* weight;   // `classes` numbers, or null
  void* loss;           // (batch, inner), or one number when reduced
  void* lse;            // (batch, inner), kept for the gradient
  void* total_weight;   // one number: the sum of w over the rows that count
  int64_t* bad_target;  // one number (LateFault): the first target outside [0, classes). No logit is read by one.
};

struct CrossEntropyBwdArgs {
  DType dtype;
  CrossEntropyGeometry g;
  Reduction reduction;
  int64_t ignore_index;
  double label_smoothing;
  const void* grad;  // of the loss: (batch, inner) for kNone, else one number
  const void* x;
  const int64_t* target;
  const void* weight;
  const void* lse;
  const void* total_weight;
  void* grad_x;
  int64_t* bad_target;  // as in the forward pass
};

}  // namespace fastdl

FASTDL_KERNEL(cross_entropy_fwd, CrossEntropyFwdArgs)
FASTDL_KERNEL(cross_entropy_bwd, CrossEntropyBwdArgs)
