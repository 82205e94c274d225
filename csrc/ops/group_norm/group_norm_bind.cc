#include "bind/call.h"
#include "ops/group_norm/group_norm.h"

namespace fastdl {
namespace group_norm_binding {

// A vector of one number a channel (a row), or none.
void expect_vector(const char* op, const char* what, const Array* a, const Array& x, int64_t n) {
  if (!a) return;
  expect_same_dtype(op, what, *a, x.dtype);
  expect_shape(op, what, *a, Dims{1, {n}});
}

void expect_groups(const char* op, int64_t groups, const Array& x) {
  EXPECT(groups >= 1 && x.dim(1) % groups == 0, ValueError, op, "num_groups that divides the number of channels",
         text(groups, " for ", x.dim(1), " channels"));
}

py::tuple group_norm(const Array& x, const Array* weight, const Array* bias, int64_t groups, double eps) {
  const char* op = "group_norm";
  expect_ndim(op, "input", x, 3);
  expect_float(op, "input", x);
  expect_groups(op, groups, x);
  expect_vector(op, "weight", weight, x, x.dim(1));
  expect_vector(op, "bias", bias, x, x.dim(1));
  const Dims rows{1, {x.dim(0) * groups}};
  Array out = empty(x.shape, x.dtype), mean = empty(rows, x.dtype), rstd = empty(rows, x.dtype);
  const GroupNormFwdArgs args{
      x.dtype,  x.dim(0),  x.dim(1), x.dim(2), groups, eps, x.data, data_or_null(weight), data_or_null(bias),
      out.data, mean.data, rstd.data};
  call(group_norm_fwd, args, static_cast<int64_t>(2 * x.bytes()));
  return py::make_tuple(std::move(out), std::move(mean), std::move(rstd));
}

py::tuple group_norm_backward(const Array& grad, const Array& x, const Array* weight, const Array& mean,
                              const Array& rstd, int64_t groups, bool needs_x) {
  const char* op = "group_norm_bwd";
  expect_ndim(op, "grad", grad, 3);
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "input", x, grad.dtype);
  expect_shape(op, "input", x, grad.shape);
  expect_groups(op, groups, x);
  expect_vector(op, "weight", weight, x, x.dim(1));
  expect_vector(op, "mean", &mean, x, x.dim(0) * groups);
  expect_vector(op, "rstd", &rstd, x, x.dim(0) * groups);
  const Dims channels{1, {x.dim(1)}};
  Array grad_x, grad_weight = empty(channels, x.dtype), grad_bias = empty(channels, x.dtype);
  if (needs_x) grad_x = empty(x.shape, x.dtype);
  const GroupNormBwdArgs args{x.dtype,
                              x.dim(0),
                              x.dim(1),
                              x.dim(2),
                              groups,
                              grad.data,
                              x.data,
                              data_or_null(weight),
                              mean.data,
                              rstd.data,
                              needs_x ? grad_x.data : nullptr,
                              grad_weight.data,
                              grad_bias.data};
  call(group_norm_bwd, args, static_cast<int64_t>(3 * x.bytes()));
  return py::make_tuple(needs_x ? py::cast(std::move(grad_x)) : py::none(), std::move(grad_weight),
                        std::move(grad_bias));
}

}  // namespace group_norm_binding

void bind_group_norm(py::module_& m) {
  using namespace group_norm_binding;
  m.def("group_norm", &group_norm);
  m.def("group_norm_bwd", &group_norm_backward);
}

}  // namespace fastdl
