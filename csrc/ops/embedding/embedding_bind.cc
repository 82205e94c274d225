#include "ops/embedding/embedding_bind.h"

namespace fastdl {
namespace embedding_binding {

Array embedding(const Array& weight, const Array& index) {
  constexpr const char* kOp = "embedding";
  expect_weight(kOp, weight);
  LateFault bad;
  const EmbeddingTable t = table(kOp, weight.dtype, weight.dim(0), weight.dim(1), index, bad.place());
  EXPECT(index.ndim() < kMaxDims, ValueError, kOp, text("index with at most ", kMaxDims - 1, " dimensions"),
         text("shape ", index.shape));
  Dims shape = index.shape;
  shape[shape.n++] = weight.dim(1);
  Array out = empty(shape, weight.dtype);
  call(embedding_fwd, EmbeddingFwdArgs{t, weight.data, out.data}, static_cast<int64_t>(2 * out.bytes()));
  expect_inside(kOp, bad, index, t.rows);
  return out;
}

template <bool kAllRows>
py::object embedding_backward(const Array& grad, const Array& index, int64_t rows, int64_t padding, bool by_frequency) {
  constexpr const char* kOp = kAllRows ? "embedding_bwd" : "embedding_bwd_rows";
  expect_float(kOp, "grad", grad);
  const bool fits = grad.ndim() == index.ndim() + 1 && grad.shape.product(0, index.ndim()) == index.size;
  EXPECT(fits, ValueError, kOp, text("a row of grad for each index of shape ", index.shape),
         text("shape ", grad.shape));
  LateFault bad;
  const EmbeddingTable t = table(kOp, grad.dtype, rows, grad.dim(grad.ndim() - 1), index, bad.place());
  GradientTarget to = gradient_target(t, kAllRows);
  call(embedding_bwd, EmbeddingBwdArgs{t, grad.data, gradient(to, padding, by_frequency)},
       static_cast<int64_t>(grad.bytes() + to.values.bytes()));
  expect_inside(kOp, bad, index, rows);
  return finished(to, kAllRows);
}

void renorm(Array& weight, const Array& index, double max_norm, double norm_type) {
  constexpr const char* kOp = "embedding_renorm_";
  expect_weight(kOp, weight);
  EXPECT(max_norm >= 0, ValueError, kOp, text("max_norm of at least 0"), text(max_norm));
  EXPECT(norm_type > 0, ValueError, kOp, text("norm_type above 0"), text(norm_type));
  Fault bad;
  const EmbeddingTable t = table(kOp, weight.dtype, weight.dim(0), weight.dim(1), index, bad.place());
  call(embedding_renorm, EmbeddingRenormArgs{t, max_norm, norm_type, weight.data},
       2 * t.count * t.width * static_cast<int64_t>(itemsize(weight.dtype)));
  expect_inside(kOp, bad, index, t.rows);
}

}  // namespace embedding_binding

void bind_embedding(py::module_& m) {
  using namespace embedding_binding;
  m.def("embedding", &embedding);
  m.def("embedding_bwd", &embedding_backward<true>);
  m.def("embedding_bwd_rows", &embedding_backward<false>);
  m.def("embedding_renorm_", &renorm);
  bind_embedding_bag(m);
}

}  // namespace fastdl
