#include "ops/optimizer/optimizer_bind.h"

namespace fastdl {
namespace optimizer_adaptive_binding {

void* data_of(const ArrayList& arrays, Py_ssize_t i) {
  return arrays.size() ? arrays[i].data : nullptr;
}
int64_t bytes_of(const ArrayList& params, int64_t arrays) {
  int64_t bytes = 0;
  for (Py_ssize_t i = 0; i < params.size(); ++i) bytes += arrays * static_cast<int64_t>(params[i].bytes());
  return bytes;
}

void rmsprop(const ArrayList& params, const ArrayList& grads, const ArrayList& square_avgs, const ArrayList& grad_avgs,
             const ArrayList& buffers, double lr, double alpha, double eps, double weight_decay, double momentum,
             bool maximize) {
  constexpr const char* kOp = "rmsprop_step";
  expect_params(kOp, params);
  expect_like(kOp, "grads", grads, params);
  expect_like(kOp, "square_avgs", square_avgs, params);
  if (grad_avgs.size() != 0) expect_like(kOp, "grad_avgs", grad_avgs, params);
  if (momentum != 0 || buffers.size() != 0) expect_like(kOp, "buffers", buffers, params);
  expect_at_least_0(kOp, "lr", lr);
  expect_at_least_0(kOp, "alpha", alpha);
  expect_at_least_0(kOp, "eps", eps);
  expect_at_least_0(kOp, "weight_decay", weight_decay);
  expect_at_least_0(kOp, "momentum", momentum);
  if (params.size() == 0) return;
  std::vector<RmspropTensor> tensors;
  for (Py_ssize_t i = 0; i < params.size(); ++i)
    tensors.push_back({params[i].size, params[i].data, grads[i].data, square_avgs[i].data, data_of(grad_avgs, i),
                       momentum != 0 ? data_of(buffers, i) : nullptr});
  const RmspropArgs args{params[0].dtype, params.size(), tensors.data(), lr, alpha, eps,
                         weight_decay,    momentum,      maximize};
  call(rmsprop_step, args, bytes_of(params, 4));
}

void adagrad(const ArrayList& params, const ArrayList& grads, const ArrayList& sums, int64_t step, double lr,
             double lr_decay, double weight_decay, double eps, bool maximize) {
  constexpr const char* kOp = "adagrad_step";
  expect_params(kOp, params);
  expect_like(kOp, "grads", grads, params);
  expect_like(kOp, "sums", sums, params);
  EXPECT(step >= 1, ValueError, kOp, text("step of at least 1"), text(step));
  expect_at_least_0(kOp, "lr", lr);
  expect_at_least_0(kOp, "lr_decay", lr_decay);
  expect_at_least_0(kOp, "weight_decay", weight_decay);
  expect_at_least_0(kOp, "eps", eps);
  if (params.size() == 0) return;
  std::vector<AdagradTensor> tensors;
  for (Py_ssize_t i = 0; i < params.size(); ++i)
    tensors.push_back({params[i].size, params[i].data, grads[i].data, sums[i].data});
  const double rate = lr / (1 + static_cast<double>(step - 1) * lr_decay);
  const AdagradArgs args{params[0].dtype, params.size(), tensors.data(), rate, weight_decay, eps, maximize};
  call(adagrad_step, args, bytes_of(params, 3));
}

void adadelta(const ArrayList& params, const ArrayList& grads, const ArrayList& square_avgs,
              const ArrayList& acc_deltas, double lr, double rho, double eps, double weight_decay, bool maximize) {
  constexpr const char* kOp = "adadelta_step";
  expect_params(kOp, params);
  expect_like(kOp, "grads", grads, params);
  expect_like(kOp, "square_avgs", square_avgs, params);
  expect_like(kOp, "acc_deltas", acc_deltas, params);
  EXPECT(rho >= 0 && rho <= 1, ValueError, kOp, text("rho in [0, 1]"), text(rho));
  expect_at_least_0(kOp, "lr", lr);
  expect_at_least_0(kOp, "eps", eps);
  expect_at_least_0(kOp, "weight_decay", weight_decay);
  if (params.size() == 0) return;
  std::vector<AdadeltaTensor> tensors;
  for (Py_ssize_t i = 0; i < params.size(); ++i)
    tensors.push_back({params[i].size, params[i].data, grads[i].data, square_avgs[i].data, acc_deltas[i].data});
  const AdadeltaArgs args{params[0].dtype, params.size(), tensors.data(), lr, rho, eps, weight_decay, maximize};
  call(adadelta_step, args, bytes_of(params, 4));
}

}  // namespace optimizer_adaptive_binding

void bind_adaptive_steps(py::module_& m) {
  using namespace optimizer_adaptive_binding;
  m.def("rmsprop_step", &rmsprop);
  m.def("adagrad_step", &adagrad);
  m.def("adadelta_step", &adadelta);
}

}  // namespace fastdl
