// Distances between all rows of x (batch, rows_x, width) and all rows of y (batch, rows_y, width).
#pragma once
#include "core/array.h"
#include "core/host_device.h"
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

// There, d^2 = |x|^2 + |y|^2 - 2 x y loses digits where it is small beside s = |x|^2 + |y|^2. Pairs without
// d^2 > kClose s + kLeast are close, and computed by the definition. kLeast: a sum of squares that were flushed to zero
// is far below.
template <class T>
constexpr T kClose = T{0.25};
template <class T>
constexpr T kLeast = sizeof(T) == 4 ? T(1e-30) : T(1e-290);

// The rows that tell whether many pairs are close: kSample of each set, and not if there are fewer pairs than
// kLeastPairs, where looking would take as long. Many: more than one in kManyShare.
constexpr int64_t kSample = 8, kManyShare = 16, kLeastPairs = 128 * 128;

// Row i of the sample, the j-th of the other set; different rows where both sets are the same.
FASTDL_HD int64_t sampled_row_x(int64_t i, int64_t rows) {
  return 2 * i * rows / (2 * kSample);
}
FASTDL_HD int64_t sampled_row_y(int64_t j, int64_t rows) {
  return (2 * j + 1) * rows / (2 * kSample);
}

// A point amid the rows: in each column the median of three means of so many rows, so that an outlier has no part in
// it.
constexpr int64_t kOriginGroups = 3, kOriginRows = 16;
FASTDL_HD int64_t origin_row(int64_t group, int64_t i, int64_t rows) {
  return (i * kOriginGroups + group) * rows / (kOriginRows * kOriginGroups);
}

static inline bool use_product(const DistanceGeometry& g, Metric metric, int64_t width) {
  return metric == Metric::kEuclidean && g.rows_x >= kProductRows && g.rows_y >= kProductRows && g.width >= width;
}

}  // namespace fastdl

FASTDL_KERNEL(distance_fwd, DistanceFwdArgs)
FASTDL_KERNEL(distance_bwd, DistanceBwdArgs)
// What these two call: Euclidean distances by products, which hand sets with many close pairs back, and all metrics by
// their definition. (On CUDA no gradient goes by products.)
FASTDL_KERNEL(distance_product_fwd, DistanceFwdArgs)
FASTDL_KERNEL(distance_product_bwd, DistanceBwdArgs)
FASTDL_KERNEL(distance_defined_fwd, DistanceFwdArgs)
FASTDL_KERNEL(distance_defined_bwd, DistanceBwdArgs)
