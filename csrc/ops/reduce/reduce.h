// Reductions over axes. The binding merges neighbouring axes of one kind, so a kernel sees at most
// alternating kept and reduced axes; sums are pairwise or over fixed chunks, so their bits do not depend on threads.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

#define FASTDL_REDUCE_OPS(X) X(sum) X(mean) X(amax) X(amin) X(prod)

namespace fastdl {

#define FASTDL_ENUM(name) k_##name,
enum class Reduce { FASTDL_REDUCE_OPS(FASTDL_ENUM) k_squared_deviations };
#undef FASTDL_ENUM

struct ReduceArgs {
  Reduce op;
  DType dtype;             // mean and squared deviations only of floats
  Dims shape;              // of x, merged
  bool reduced[kMaxDims];  // which of its axes go
  int64_t out_size;        // product of the kept axes
  const void* x;
  void* out;
  // Of the squared deviations from it, which are summed: as out, or null: 0.
  const void* center = nullptr;
};

// Index of the largest (smallest) element along the middle axis of x (outer, n, inner); the first one wins, NaN wins
// over numbers, as in PyTorch.
struct ArgReduceArgs {
  bool largest;
  DType dtype;
  int64_t outer, n, inner;
  const void* x;
  int64_t* out;  // (outer, inner)
};

// The gradient of products of floats along the middle axis of x (outer, n, inner): grad out / x where out says that no
// factor is 0; where one is, that factor alone has a gradient, and none where several are.
struct ProdBwdArgs {
  DType dtype;
  int64_t outer, n, inner;
  const void *grad, *x, *out;  // (outer, inner), as x, (outer, inner)
  void* grad_x;
};

// How many numbers lie in each of `bins` parts of [low, high]: of floats in part (x - low) scale, of integers in part
// x. Those outside, and NaN, count nowhere.
struct HistogramArgs {
  DType dtype;  // float32, float64, int32 or int64
  int64_t n, bins;
  double low, high, scale;  // of floats
  const void* x;
  int64_t* out;
};

}  // namespace fastdl

FASTDL_KERNEL(reduce, ReduceArgs)
FASTDL_KERNEL(arg_reduce, ArgReduceArgs)
FASTDL_KERNEL(prod_bwd, ProdBwdArgs)
FASTDL_KERNEL(histogram, HistogramArgs)
