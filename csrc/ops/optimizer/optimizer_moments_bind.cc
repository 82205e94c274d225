#include "ops/optimizer/optimizer_bind.h"

namespace fastdl {
namespace optimizer_moments_binding {

struct Moments {
  std::vector<MomentsTensor> tensors;
  int64_t bytes = 0;
};
Moments moments_of(const char* op, const ArrayList& params, const ArrayList& grads, const char* first,
                   const ArrayList& firsts, const char* other, const ArrayList& others) {
  expect_params(op, params);
  expect_like(op, "grads", grads, params);
  expect_like(op, first, firsts, params);
  expect_like(op, other, others, params);
  Moments all;
  for (Py_ssize_t i = 0; i < params.size(); ++i) {
    all.tensors.push_back({params[i].size, params[i].data, grads[i].data, firsts[i].data, others[i].data});
    all.bytes += static_cast<int64_t>(4 * params[i].bytes());
  }
  return all;
}

void expect_betas(const char* op, double beta1, double beta2) {
  EXPECT(beta1 >= 0 && beta1 < 1, ValueError, op, text("beta1 in [0, 1)"), text(beta1));
  EXPECT(beta2 >= 0 && beta2 < 1, ValueError, op, text("beta2 in [0, 1)"), text(beta2));
}

void adamax(const ArrayList& params, const ArrayList& grads, const ArrayList& exp_avgs, const ArrayList& exp_infs,
            int64_t step, double lr, double beta1, double beta2, double eps, double weight_decay, bool maximize) {
  constexpr const char* kOp = "adamax_step";
  const Moments all = moments_of(kOp, params, grads, "exp_avgs", exp_avgs, "exp_infs", exp_infs);
  EXPECT(step >= 1, ValueError, kOp, text("step of at least 1"), text(step));
  expect_betas(kOp, beta1, beta2);
  expect_at_least_0(kOp, "lr", lr);
  expect_at_least_0(kOp, "eps", eps);
  expect_at_least_0(kOp, "weight_decay", weight_decay);
  if (params.size() == 0) return;
  const double step_size = lr / (1 - std::pow(beta1, static_cast<double>(step)));
  const AdamaxArgs args{params[0].dtype, params.size(), all.tensors.data(), step_size, beta1,
                        beta2,           eps,           weight_decay,       maximize};
  call(adamax_step, args, all.bytes);
}

void ahead(const ArrayList& params, const ArrayList& grads, const ArrayList& exp_avgs, const ArrayList& exp_avg_sqs,
           double beta1, double beta2, double eps, double weight_decay, double keep, double of_grad, double of_mean,
           double root, bool divided, bool maximize) {
  constexpr const char* kOp = "ahead_step";
  const Moments all = moments_of(kOp, params, grads, "exp_avgs", exp_avgs, "exp_avg_sqs", exp_avg_sqs);
  expect_betas(kOp, beta1, beta2);
  expect_at_least_0(kOp, "eps", eps);
  expect_at_least_0(kOp, "weight_decay", weight_decay);
  EXPECT(root > 0, ValueError, kOp, text("root above 0"), text(root));
  if (params.size() == 0) return;
  const AheadArgs args{
      params[0].dtype, params.size(), all.tensors.data(), beta1, beta2, eps, weight_decay, keep, of_grad, of_mean, root,
      divided,         maximize};
  call(ahead_step, args, all.bytes);
}

void rprop(const ArrayList& params, const ArrayList& grads, const ArrayList& prevs, const ArrayList& step_sizes,
           double shrink, double grow, double least, double most, bool maximize) {
  constexpr const char* kOp = "rprop_step";
  const Moments all = moments_of(kOp, params, grads, "prevs", prevs, "step_sizes", step_sizes);
  EXPECT(0 < shrink && shrink < 1 && 1 < grow, ValueError, kOp, text("0 < etas[0] < 1 < etas[1]"),
         text("(", shrink, ", ", grow, ")"));
  expect_at_least_0(kOp, "step_sizes[0]", least);
  expect_at_least_0(kOp, "step_sizes[1]", most);
  if (params.size() == 0) return;
  const RpropArgs args{params[0].dtype, params.size(), all.tensors.data(), shrink, grow, least, most, maximize};
  call(rprop_step, args, all.bytes);
}

}  // namespace optimizer_moments_binding

void bind_moments_steps(py::module_& m) {
  using namespace optimizer_moments_binding;
  m.def("adamax_step", &adamax);
  m.def("ahead_step", &ahead);
  m.def("rprop_step", &rprop);
}

}  // namespace fastdl
