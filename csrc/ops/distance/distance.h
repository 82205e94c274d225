// Distances between all rows of x (batch, rows_x, width) and all rows of y (batch, rows_y, width).
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

//   kEuclidean  sqrt(sum of d^2)        kManhattan  sum of |d|         kChebyshev  max of |d|       with d = x - y
//   kMinkowski  (sum of |d|^p)^(1/p)    kCanberra   sum of |d| / (|x| + |y|), 0 / 0 = 0            kHamming  count of d
//   != 0
enum class Metric { kEuclidean, kManhattan, kChebyshev, kMinkowski, kCanberra, kHamming };

struct DistanceGeometry {
  int64_t batch, rows_x, rows_y, width;
};

struct DistanceFwdArgs {
  DType dtype;
  DistanceGeometry g;
  Metric metric;
  double p;
  const void *x, *y;
  void* out;  // (batch, rows_x, rows_y)
};

// The gradient of x alone: that of y is the same function with x and y exchanged and both matrices as they are, which
// makes them transposed ones.
struct DistanceBwdArgs {
  DType dtype;
  DistanceGeometry g;
  Metric metric;
  double p;
  const void *grad, *out;  // (batch, rows_x, rows_y); transposed: (batch, rows_y, rows_x)
  bool transposed;
  const void *x, *y;
  void* grad_x;
};

// Euclidean distances and gradients go by way of matrix products (distance_product_cpu.cc) from so many rows of both
// sets, and so many columns, on.
constexpr int64_t kProductRows = 32, kProductWidth = 24, kProductGradientWidth = 32;

static inline bool use_product(const DistanceGeometry& g, Metric metric, int64_t width) {
  return metric == Metric::kEuclidean && g.rows_x >= kProductRows && g.rows_y >= kProductRows && g.width >= width;
}

}  // namespace fastdl

FASTDL_KERNEL(distance_fwd, DistanceFwdArgs)
FASTDL_KERNEL(distance_bwd, DistanceBwdArgs)
// What these two call: Euclidean distances by products, which hand sets with many close pairs back, and all metrics by
// their definition.
FASTDL_KERNEL(distance_product_fwd, DistanceFwdArgs)
FASTDL_KERNEL(distance_product_bwd, DistanceBwdArgs)
FASTDL_KERNEL(distance_defined_fwd, DistanceFwdArgs)
FASTDL_KERNEL(distance_defined_bwd, DistanceBwdArgs)
