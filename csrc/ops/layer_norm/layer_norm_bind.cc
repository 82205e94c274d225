#include "bind/call.h"
#include "ops/layer_norm/layer_norm.h"

namespace fastdl {
namespace layer_norm_binding {

// A vector of one number a column (a row), or none.
void expect_vector(const char* op, const char* what, const Array* a, const Array& x, int axis) {
  if (!a) return;
  expect_same_dtype(op, what, *a, x.dtype);
  expect_shape(op, what, *a, Dims{1, {x.dim(axis)}});
}

py::tuple layer_norm(const Array& x, const Array* weight, const Array* bias, double eps) {
  const char* op = "layer_norm";
  expect_ndim(op, "input", x, 2);
  expect_float(op, "input", x);
  expect_vector(op, "weight", weight, x, 1);
  expect_vector(op, "bias", bias, x, 1);
  const Dims rows{1, {x.dim(0)}};
  Array out = empty(x.shape, x.dtype), mean = empty(rows, x.dtype), rstd = empty(rows, x.dtype);
  const LayerNormFwdArgs args{x.dtype,  x.dim(0),  x.dim(1), eps, x.data, data_or_null(weight), data_or_null(bias),
                              out.data, mean.data, rstd.data};
  call(layer_norm_fwd, args, static_cast<int64_t>(2 * x.bytes()));
  return py::make_tuple(std::move(out), std::move(mean), std::move(rstd));
}

py::tuple layer_norm_backward(const Array& grad, const Array& x, const Array* weight, const Array& mean,
                              const Array& rstd, bool needs_x, bool needs_parameters) {
  const char* op = "layer_norm_bwd";
  expect_ndim(op, "grad", grad, 2);
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "input", x, grad.dtype);
  expect_shape(op, "input", x, grad.shape);
  expect_vector(op, "weight", weight, x, 1);
  expect_vector(op, "mean", &mean, x, 0);
  expect_vector(op, "rstd", &rstd, x, 0);
  Array grad_x, grad_weight, grad_bias;
  if (needs_x) grad_x = empty(x.shape, x.dtype);
  if (needs_parameters)
    grad_weight = empty(Dims{1, {x.dim(1)}}, x.dtype), grad_bias = empty(Dims{1, {x.dim(1)}}, x.dtype);
  const LayerNormBwdArgs args{x.dtype,   x.dim(0),  x.dim(1),    grad.data,        x.data,        data_or_null(weight),
                              mean.data, rstd.data, grad_x.data, grad_weight.data, grad_bias.data};
  call(layer_norm_bwd, args, static_cast<int64_t>(3 * x.bytes()));
  const auto given = [](Array& a, bool wanted) { return wanted ? py::cast(std::move(a)) : py::object(py::none()); };
  return py::make_tuple(given(grad_x, needs_x), given(grad_weight, needs_parameters),
                        given(grad_bias, needs_parameters));
}

}  // namespace layer_norm_binding

void bind_layer_norm(py::module_& m) {
  using namespace layer_norm_binding;
  m.def("layer_norm", &layer_norm);
  m.def("layer_norm_bwd", &layer_norm_backward);
}

}  // namespace fastdl
