#include "bind/call.h"
#include "ops/batch_norm/batch_norm.h"

namespace fastdl {
namespace batch_norm_binding {

// A vector of one number a channel, or none.
void expect_channels(const char* op, const char* what, const Array* a, const Array& x) {
  if (!a) return;
  expect_same_dtype(op, what, *a, x.dtype);
  expect_shape(op, what, *a, Dims{1, {x.dim(1)}});
}

Array new_channels(const Array& x) {
  return empty(Dims{1, {x.dim(1)}}, x.dtype);
}

py::tuple batch_norm(const Array& x, const Array* weight, const Array* bias, const Array* running_mean,
                     const Array* running_var, bool train, double momentum, double eps) {
  const char* op = "batch_norm";
  expect_ndim(op, "input", x, 3);
  expect_float(op, "input", x);
  expect_channels(op, "weight", weight, x);
  expect_channels(op, "bias", bias, x);
  expect_channels(op, "running_mean", running_mean, x);
  expect_channels(op, "running_var", running_var, x);
  EXPECT(train || (running_mean && running_var), ValueError, op, "running_mean and running_var outside training",
         "None");
  EXPECT(!train || x.size == 0 || x.dim(0) * x.dim(2) > 1, ValueError, op, "more than 1 value per channel in training",
         text("shape ", x.shape));
  Array out = empty(x.shape, x.dtype), mean = new_channels(x), rstd = new_channels(x);
  const BatchNormFwdArgs args{x.dtype,
                              x.dim(0),
                              x.dim(1),
                              x.dim(2),
                              train,
                              momentum,
                              eps,
                              x.data,
                              data_or_null(weight),
                              data_or_null(bias),
                              running_mean ? running_mean->data : nullptr,
                              running_var ? running_var->data : nullptr,
                              out.data,
                              mean.data,
                              rstd.data};
  call(batch_norm_fwd, args, static_cast<int64_t>(2 * x.bytes()));
  return py::make_tuple(std::move(out), std::move(mean), std::move(rstd));
}

py::tuple batch_norm_backward(const Array& grad, const Array& x, const Array* weight, const Array& mean,
                              const Array& rstd, bool train, bool needs_x) {
  const char* op = "batch_norm_bwd";
  expect_ndim(op, "grad", grad, 3);
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "input", x, grad.dtype);
  expect_shape(op, "input", x, grad.shape);
  expect_channels(op, "weight", weight, x);
  expect_channels(op, "mean", &mean, x);
  expect_channels(op, "rstd", &rstd, x);
  Array grad_x, grad_weight = new_channels(x), grad_bias = new_channels(x);
  if (needs_x) grad_x = empty(x.shape, x.dtype);
  const BatchNormBwdArgs args{x.dtype,
                              x.dim(0),
                              x.dim(1),
                              x.dim(2),
                              train,
                              grad.data,
                              x.data,
                              data_or_null(weight),
                              mean.data,
                              rstd.data,
                              needs_x ? grad_x.data : nullptr,
                              grad_weight.data,
                              grad_bias.data};
  call(batch_norm_bwd, args, static_cast<int64_t>(3 * x.bytes()));
  return py::make_tuple(needs_x ? py::cast(std::move(grad_x)) : py::none(), std::move(grad_weight),
                        std::move(grad_bias));
}

}  // namespace batch_norm_binding

void bind_batch_norm(py::module_& m) {
  using namespace batch_norm_binding;
  m.def("batch_norm", &batch_norm);
  m.def("batch_norm_bwd", &batch_norm_backward);
}

}  // namespace fastdl
