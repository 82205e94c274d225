#include "ops/optimizer/optimizer_bind.h"

namespace fastdl {
namespace optimizer_binding {

void sgd(const ArrayList& params, const ArrayList& grads, const ArrayList& buffers, double lr, double momentum,
         double dampening, double weight_decay, bool nesterov, bool maximize, bool first) {
  constexpr const char* kOp = "sgd_step";
  expect_params(kOp, params);
  expect_like(kOp, "grads", grads, params);
  expect_at_least_0(kOp, "lr", lr);
  expect_at_least_0(kOp, "momentum", momentum);
  expect_at_least_0(kOp, "weight_decay", weight_decay);
  EXPECT(std::isfinite(dampening), ValueError, kOp, text("a finite dampening"), text(dampening));
  EXPECT(!nesterov || (momentum > 0 && dampening == 0), ValueError, kOp,
         text("momentum above 0 and dampening 0 with nesterov"),
         text("momentum ", momentum, ", dampening ", dampening));
  if (momentum != 0 || buffers.size() != 0) expect_like(kOp, "buffers", buffers, params);
  if (params.size() == 0) return;

  std::vector<SgdTensor> tensors(static_cast<size_t>(params.size()));
  int64_t bytes = 0;
  for (Py_ssize_t i = 0; i < params.size(); ++i) {
    void* buffer = momentum != 0 ? buffers[i].data : nullptr;
    tensors[static_cast<size_t>(i)] = {params[i].size, params[i].data, grads[i].data, buffer};
    bytes += static_cast<int64_t>(3 * params[i].bytes());
  }
  const SgdArgs args{params[0].dtype, params.size(), tensors.data(), lr,       momentum,
                     dampening,       weight_decay,  nesterov,       maximize, first};
  call(sgd_step, args, bytes);
}

void adam(const ArrayList& params, const ArrayList& grads, const ArrayList& exp_avgs, const ArrayList& exp_avg_sqs,
          const ArrayList& max_exp_avg_sqs, int64_t step, double lr, double beta1, double beta2, double eps,
          double weight_decay, bool decoupled, bool maximize) {
  constexpr const char* kOp = "adam_step";
  expect_params(kOp, params);
  expect_like(kOp, "grads", grads, params);
  expect_like(kOp, "exp_avgs", exp_avgs, params);
  expect_like(kOp, "exp_avg_sqs", exp_avg_sqs, params);
  const bool amsgrad = max_exp_avg_sqs.size() != 0;
  if (amsgrad) expect_like(kOp, "max_exp_avg_sqs", max_exp_avg_sqs, params);
  EXPECT(step >= 1, ValueError, kOp, text("step of at least 1"), text(step));
  EXPECT(beta1 >= 0 && beta1 < 1, ValueError, kOp, text("beta1 in [0, 1)"), text(beta1));
  EXPECT(beta2 >= 0 && beta2 < 1, ValueError, kOp, text("beta2 in [0, 1)"), text(beta2));
  expect_at_least_0(kOp, "lr", lr);
  expect_at_least_0(kOp, "eps", eps);
  expect_at_least_0(kOp, "weight_decay", weight_decay);
  if (params.size() == 0) return;

  std::vector<AdamTensor> tensors(static_cast<size_t>(params.size()));
  int64_t bytes = 0;
  for (Py_ssize_t i = 0; i < params.size(); ++i) {
    void* largest = amsgrad ? max_exp_avg_sqs[i].data : nullptr;
    tensors[static_cast<size_t>(i)] = {params[i].size,   params[i].data,      grads[i].data,
                                       exp_avgs[i].data, exp_avg_sqs[i].data, largest};
    bytes += static_cast<int64_t>(4 * params[i].bytes());
  }
  const AdamArgs args{params[0].dtype, params.size(), tensors.data(), lr,      beta1, beta2, eps,
                      weight_decay,    step,          decoupled,      maximize};
  call(adam_step, args, bytes);
}

}  // namespace optimizer_binding

void bind_optimizer(py::module_& m) {
  using namespace optimizer_binding;
  m.def("sgd_step", &sgd);
  m.def("adam_step", &adam);
  bind_adaptive_steps(m);
  bind_moments_steps(m);
  bind_clipping(m);
}

}  // namespace fastdl
