#include <pybind11/pybind11.h>

#include "bind/call.h"
#include "ops/matmul/activation_name.h"
#include "ops/matmul/matmul.h"

namespace fastdl {
namespace matmul_binding {

Dims leading_axes(const Array& a, int last) {
  Dims d;
  d.n = a.ndim() - last;
  for (int i = 0; i < d.n; ++i) d[i] = a.dim(i);
  return d;
}

// Batch axis i of the output, counted in an operand whose leading axes may be fewer or 1.
int64_t batch_size(const Dims& operand, int i, int ndim) {
  const int at = i - (ndim - operand.n);
  return at < 0 ? 1 : operand[at];
}
Dims batch_strides(const Dims& operand, const Dims& batch, int64_t matrix) {
  Dims strides;
  strides.n = batch.n;
  int64_t next = matrix;
  for (int i = batch.n - 1; i >= 0; --i) {
    const int64_t size = batch_size(operand, i, batch.n);
    strides[i] = size == 1 ? 0 : next;
    next *= size;
  }
  return strides;
}

Dims broadcast_batch(const Array& a, const Array& b) {
  const Dims da = leading_axes(a, 2), db = leading_axes(b, 2);
  Dims batch;
  batch.n = da.n > db.n ? da.n : db.n;
  for (int i = 0; i < batch.n; ++i) {
    const int64_t sa = batch_size(da, i, batch.n), sb = batch_size(db, i, batch.n);
    EXPECT(sa == sb || sa == 1 || sb == 1, ValueError, "matmul", text("leading axes that broadcast"),
           text("shapes ", a.shape, " and ", b.shape));
    batch[i] = sa == 1 ? sb : sa;
  }
  return batch;
}

Array run(MatmulArgs& args, const Dims& shape) {
  Array out = empty(shape, args.dtype);
  args.out = out.data;
  if (out.size) call(matmul, args, static_cast<int64_t>(matmul_bytes(args)));
  return out;
}

Array py_matmul(const Array& a, const Array& b, bool trans_a, bool trans_b) {
  expect_float("matmul", "a", a);
  expect_same_dtype("matmul", "b", b, a.dtype);
  EXPECT(a.ndim() >= 2, ValueError, "matmul", text("a with at least 2 dimensions"), text("shape ", a.shape));
  EXPECT(b.ndim() >= 2, ValueError, "matmul", text("b with at least 2 dimensions"), text("shape ", b.shape));
  const int64_t rows_a = a.dim(a.ndim() - 2), columns_a = a.dim(a.ndim() - 1);
  const int64_t rows_b = b.dim(b.ndim() - 2), columns_b = b.dim(b.ndim() - 1);
  const int64_t k = trans_a ? rows_a : columns_a;
  EXPECT((trans_b ? columns_b : rows_b) == k, ValueError, "matmul",
         text("equal inner sizes (trans_a=", trans_a ? "True" : "False", ", trans_b=", trans_b ? "True" : "False", ")"),
         text("shapes ", a.shape, " and ", b.shape));

  MatmulArgs args{};
  args.dtype = a.dtype;
  args.m = trans_a ? columns_a : rows_a, args.n = trans_b ? rows_b : columns_b, args.k = k;
  args.trans_a = trans_a, args.trans_b = trans_b;
  args.batch = broadcast_batch(a, b);
  args.stride_a = batch_strides(leading_axes(a, 2), args.batch, rows_a * columns_a);
  args.stride_b = batch_strides(leading_axes(b, 2), args.batch, rows_b * columns_b);
  args.a = a.data, args.b = b.data;
  Dims shape = args.batch;
  shape[shape.n++] = args.m, shape[shape.n++] = args.n;
  return run(args, shape);
}

Array linear(const Array& x, const Array& weight, const Array* bias, const std::string& activation) {
  expect_float("linear", "x", x);
  expect_same_dtype("linear", "weight", weight, x.dtype);
  EXPECT(x.ndim() >= 1, ValueError, "linear", text("x with at least 1 dimension"), text("shape ", x.shape));
  expect_ndim("linear", "weight", weight, 2);
  const int64_t in = x.dim(x.ndim() - 1), out = weight.dim(0);
  EXPECT(weight.dim(1) == in, ValueError, "linear", text("weight of shape (out, ", in, ")"),
         text("shape ", weight.shape));
  if (bias) {
    expect_same_dtype("linear", "bias", *bias, x.dtype);
    EXPECT(bias->ndim() == 1 && bias->dim(0) == out, ValueError, "linear", text("bias of shape (", out, ",)"),
           text("shape ", bias->shape));
  }

  MatmulArgs args{};
  args.dtype = x.dtype;
  args.activation = activation_from_name("linear", activation);
  args.m = x.shape.product(0, x.ndim() - 1), args.n = out, args.k = in;
  args.trans_b = true;
  args.a = x.data, args.b = weight.data;
  if (bias) args.bias = bias->data;
  Dims shape = x.shape;
  shape[shape.n - 1] = out;
  return run(args, shape);
}

}  // namespace matmul_binding

void bind_matmul(py::module_& m) {
  using namespace matmul_binding;
  m.def("matmul", &py_matmul);
  m.def("linear", &linear);
}

}  // namespace fastdl
