// Local response normalisation of x (N, C, S) over `size` neighbouring channels (Krizhevsky et al., 2012).
//
//   d[c] = k + alpha / size * sum of x[j]^2 over j in [c - size / 2, c + (size - 1) / 2],   out[c] = x[c] * d[c]^-beta
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

struct LocalResponseNormFwdArgs {
  DType dtype;
  int64_t batch, channels, plane, size;
  double alpha, beta, k;
  const void* x;
  void* out;
};

// grad_x[j] = grad[j] * d[j]^-beta - 2 alpha beta / size * x[j] * sum of grad[c] * x[c] * d[c]^(-beta - 1) over the c
// in whose window j lies: c in [j - (size - 1) / 2, j + size / 2].
struct LocalResponseNormBwdArgs {
  DType dtype;
  int64_t batch, channels, plane, size;
  double alpha, beta, k;
  const void *grad, *x;
  void* grad_x;
};

}  // namespace fastdl

FASTDL_KERNEL(local_response_norm_fwd, LocalResponseNormFwdArgs)
FASTDL_KERNEL(local_response_norm_bwd, LocalResponseNormBwdArgs)
