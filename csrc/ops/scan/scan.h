// Running sums, products, extremes and logarithms of sums of exponentials along an axis, and their gradients: one
// family, (outer, n, inner) around the axis.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

enum class Scan { kSum, kProduct, kMax, kMin, kLogSumExp };

// out[o][j][k] = x[o][0][k] * x[o][1][k] * ... * x[o][j][k], with the operation in the place of *; reverse: from j on.
struct ScanArgs {
  Scan op;
  DType dtype;  // logarithms only of floats
  int64_t outer, n, inner;
  bool reverse;  // sums only
  const void* x;
  void* out;
  int64_t* places;  // of extremes: where along the axis they are, the last of equals and of NaN; else null
};

// The gradient to x of floats. Of a product x and out are read, of an extreme (kMax for both) the places alone, of
// logarithms x and out.
struct ScanBwdArgs {
  Scan op;  // not a sum, whose gradient is one in reverse
  DType dtype;
  int64_t outer, n, inner;
  const void *grad, *x, *out;
  const int64_t* places;
  void* grad_x;
};

}  // namespace fastdl

FASTDL_KERNEL(scan_fwd, ScanArgs)
FASTDL_KERNEL(scan_bwd, ScanBwdArgs)
