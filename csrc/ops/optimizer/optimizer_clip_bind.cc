#include "ops/optimizer/optimizer_bind.h"

namespace fastdl {
namespace optimizer_clip_binding {

struct Grads {
  std::vector<GradTensor> tensors;
  int64_t bytes = 0;
};
Grads grads_of(const char* op, const ArrayList& grads) {
  EXPECT(grads.size() > 0, ValueError, op, text("at least one gradient"), text("none"));
  expect_params(op, grads, "grads");
  Grads all;
  for (Py_ssize_t i = 0; i < grads.size(); ++i) {
    all.tensors.push_back({grads[i].size, grads[i].data});
    all.bytes += static_cast<int64_t>(grads[i].bytes());
  }
  return all;
}

Array norm(const ArrayList& grads, double p) {
  constexpr const char* kOp = "grad_norm";
  const Grads all = grads_of(kOp, grads);
  EXPECT(p > 0, ValueError, kOp, text("norm_type above 0"), text(p));
  Array out = empty(Dims{}, grads[0].dtype);
  call(grad_norm, GradNormArgs{out.dtype, grads.size(), all.tensors.data(), p, out.data}, all.bytes);
  return out;
}

void clip_by_norm(const ArrayList& grads, const Array& total, double max_norm) {
  constexpr const char* kOp = "clip_by_norm_";
  const Grads all = grads_of(kOp, grads);
  expect_same_dtype(kOp, "norm", total, grads[0].dtype);
  EXPECT(total.size == 1, ValueError, kOp, text("norm with one element"), text("shape ", total.shape));
  EXPECT(max_norm >= 0, ValueError, kOp, text("max_norm of at least 0"), text(max_norm));
  call(clip_norm, ClipNormArgs{total.dtype, grads.size(), all.tensors.data(), total.data, max_norm}, 2 * all.bytes);
}

void clip_by_value(const ArrayList& grads, double limit) {
  constexpr const char* kOp = "clip_by_value_";
  const Grads all = grads_of(kOp, grads);
  EXPECT(limit >= 0, ValueError, kOp, text("clip_value of at least 0"), text(limit));
  call(clip_value, ClipValueArgs{grads[0].dtype, grads.size(), all.tensors.data(), limit}, 2 * all.bytes);
}

}  // namespace optimizer_clip_binding

void bind_clipping(py::module_& m) {
  using namespace optimizer_clip_binding;
  m.def("grad_norm", &norm);
  m.def("clip_by_norm_", &clip_by_norm);
  m.def("clip_by_value_", &clip_by_value);
}

}  // namespace fastdl
