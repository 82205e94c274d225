#include "bind/call.h"
#include "ops/softmax/softmax.h"

namespace fastdl {
namespace softmax_binding {

struct Layout {
  int64_t outer, n, inner;
};

Layout checked_layout(const char* op, const char* what, const Array& x, int64_t axis) {
  expect_float(op, what, x);
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, op, text("an axis in [0, ", x.ndim(), ")"), text(axis));
  const int i = static_cast<int>(axis);
  return {x.shape.product(0, i), x.dim(i), x.shape.product(i + 1)};
}

Array forward(const char* op, bool log, const Array& x, int64_t axis) {
  const Layout l = checked_layout(op, "input", x, axis);
  Array out = empty(x.shape, x.dtype);
  call(softmax_fwd, SoftmaxFwdArgs{x.dtype, log, l.outer, l.n, l.inner, x.data, out.data},
       static_cast<int64_t>(2 * x.bytes()));
  return out;
}

Array backward(const char* op, bool log, const Array& grad, const Array& y, int64_t axis) {
  const Layout l = checked_layout(op, "grad", grad, axis);
  expect_same_dtype(op, "out", y, grad.dtype);
  expect_shape(op, "out", y, grad.shape);
  Array grad_x = empty(grad.shape, grad.dtype);
  call(softmax_bwd, SoftmaxBwdArgs{grad.dtype, log, l.outer, l.n, l.inner, grad.data, y.data, grad_x.data},
       static_cast<int64_t>(3 * grad.bytes()));
  return grad_x;
}

}  // namespace softmax_binding

void bind_softmax(py::module_& m) {
  using namespace softmax_binding;
  m.def("softmax", [](const Array& x, int64_t axis) { return forward("softmax", false, x, axis); });
  m.def("log_softmax", [](const Array& x, int64_t axis) { return forward("log_softmax", true, x, axis); });
  m.def("softmax_bwd", [](const Array& grad, const Array& out, int64_t axis) {
    return backward("softmax_bwd", false, grad, out, axis);
  });
  m.def("log_softmax_bwd", [](const Array& grad, const Array& out, int64_t axis) {
    return backward("log_softmax_bwd", true, grad, out, axis);
  });
}

}  // namespace fastdl
