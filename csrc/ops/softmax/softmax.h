// softmax and log_softmax over one axis of x (outer, n, inner), and their gradients from the output.
//   softmax:      grad_x = out * (grad - sum(grad * out))       log_softmax: grad_x = grad - exp(out) * sum(grad)
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

struct SoftmaxFwdArgs {
  DType dtype;
  bool log;
  int64_t outer, n, inner;
  const void* x;
  void* out;
};

struct SoftmaxBwdArgs {
  DType dtype;
  bool log;
  int64_t outer, n, inner;
  const void* grad;
  const void* y;  // the output of the forward pass
  void* grad_x;
};

}  // namespace fastdl

FASTDL_KERNEL(softmax_fwd, SoftmaxFwdArgs)
FASTDL_KERNEL(softmax_bwd, SoftmaxBwdArgs)
