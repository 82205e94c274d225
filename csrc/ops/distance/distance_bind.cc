#include <cmath>

#include "bind/call.h"
#include "ops/distance/distance.h"

namespace fastdl {
namespace distance_binding {

Metric metric_of(const char* op, const std::string& name, double p) {
  static constexpr std::pair<const char*, Metric> kNames[] = {{"euclidean", Metric::kEuclidean},
                                                              {"manhattan", Metric::kManhattan},
                                                              {"chebyshev", Metric::kChebyshev},
                                                              {"canberra", Metric::kCanberra},
                                                              {"hamming", Metric::kHamming}};
  for (const auto& [known, metric] : kNames)
    if (name == known) return metric;
  EXPECT(name == "minkowski", ValueError, op,
         text("metric euclidean, manhattan, chebyshev, minkowski, canberra or hamming"), name);
  EXPECT(p > 0 && std::isfinite(p), ValueError, op, text("a finite p above 0"), text(p));
  // Powers that other metrics compute without a logarithm.
  return p == 1 ? Metric::kManhattan : p == 2 ? Metric::kEuclidean : Metric::kMinkowski;
}

DistanceGeometry geometry(const char* op, const Array& x, const Array& y) {
  expect_float(op, "x", x);
  expect_same_dtype(op, "y", y, x.dtype);
  expect_ndim(op, "x", x, 3);
  expect_ndim(op, "y", y, 3);
  EXPECT(y.dim(0) == x.dim(0) && y.dim(2) == x.dim(2), ValueError, op,
         text("y of shape (", x.dim(0), ", rows, ", x.dim(2), ")"), text("shape ", y.shape));
  return {x.dim(0), x.dim(1), y.dim(1), x.dim(2)};
}
Dims matrix(const DistanceGeometry& g) {
  Dims shape;
  shape.n = 3, shape[0] = g.batch, shape[1] = g.rows_x, shape[2] = g.rows_y;
  return shape;
}
int64_t work(const DistanceGeometry& g) {
  return g.batch * g.rows_x * g.rows_y * (g.width + 1);
}

Array cdist(const Array& x, const Array& y, const std::string& metric, double p) {
  constexpr const char* kOp = "cdist";
  const DistanceGeometry g = geometry(kOp, x, y);
  const Metric kind = metric_of(kOp, metric, p);
  Array out = empty(matrix(g), x.dtype);
  call(distance_fwd, DistanceFwdArgs{x.dtype, g, kind, p, x.data, y.data, out.data}, work(g));
  return out;
}

Array cdist_backward(const Array& grad, const Array& out, const Array& x, const Array& y, const std::string& metric,
                     double p, bool transposed) {
  constexpr const char* kOp = "cdist_bwd";
  const DistanceGeometry g = geometry(kOp, x, y);
  const Metric kind = metric_of(kOp, metric, p);
  expect_same_dtype(kOp, "grad", grad, x.dtype);
  expect_shape(kOp, "grad", grad, transposed ? matrix({g.batch, g.rows_y, g.rows_x, g.width}) : matrix(g));
  expect_same_dtype(kOp, "out", out, x.dtype);
  expect_shape(kOp, "out", out, grad.shape);
  Array grad_x = empty(x.shape, x.dtype);
  call(distance_bwd, DistanceBwdArgs{x.dtype, g, kind, p, grad.data, out.data, transposed, x.data, y.data, grad_x.data},
       work(g));
  return grad_x;
}

}  // namespace distance_binding

void bind_distance(py::module_& m) {
  using namespace distance_binding;
  m.def("cdist", &cdist);
  m.def("cdist_bwd", &cdist_backward);
}

}  // namespace fastdl
