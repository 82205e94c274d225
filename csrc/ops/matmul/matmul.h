// Products of matrices: out[b] = activation(op(A[b]) op(B[b]) + bias), op = transposition or not, never a copy of a
// whole operand. linear(x, weight, bias) is the case trans_b with one matrix.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// What may follow a product or a convolution; kActivationNames are theirs, in the same order.
enum class Activation { kNone, kRelu, kRelu6, kSigmoid, kTanh, kSilu, kHardsigmoid, kHardswish };
constexpr const char* kActivationNames[] = {"none", "relu", "relu6",       "sigmoid",
                                            "tanh", "silu", "hardsigmoid", "hardswish"};

struct MatmulArgs {
  DType dtype;              // float32 or float64
  int64_t m, n, k;          // op(A) is m x k, op(B) is k x n; any of them may be 0 (k = 0 gives bias or zeros)
  bool trans_a, trans_b;    // A is stored k x m, B is stored n x k
  Dims batch;               // of the output; empty for plain matrices
  Dims stride_a, stride_b;  // of the batch axes, in elements; 0 along a broadcast axis
  const void* a;
  const void* b;
  const void* bias;  // n numbers, or null
  Activation activation;
  void* out;  // batch x m x n, contiguous
};

// Floating-point operations and least bytes moved, for benchmarks and models.
inline double matmul_flops(const MatmulArgs& p) {
  return 2.0 * p.batch.product() * p.m * p.n * p.k;
}
inline double matmul_bytes(const MatmulArgs& p) {
  return static_cast<double>(itemsize(p.dtype)) * p.batch.product() * (p.m * p.k + p.k * p.n + p.m * p.n);
}

}  // namespace fastdl

FASTDL_KERNEL(matmul, MatmulArgs)
