#include "bind/call.h"
#include "ops/local_response_norm/local_response_norm.h"

namespace fastdl {
namespace local_response_norm_binding {

constexpr int64_t kLargest = 0x7fffffff;

void expect_window(const char* op, int64_t size) {
  EXPECT(size >= 1 && size <= kLargest, ValueError, op, "size of at least 1 and below 2^31", text(size));
}

// A window that reaches past all channels on both sides sums the same numbers as a shorter one, but divides by `size`:
// the kernel takes the shorter window and a smaller alpha.
int64_t window(int64_t size, int64_t channels) {
  const int64_t reaches_all = 2 * channels + 1;
  return size < reaches_all ? size : reaches_all;
}

Array local_response_norm(const Array& x, int64_t size, double alpha, double beta, double k) {
  const char* op = "local_response_norm";
  expect_ndim(op, "input", x, 3);
  expect_float(op, "input", x);
  expect_window(op, size);
  Array out = empty(x.shape, x.dtype);
  const int64_t taken = window(size, x.dim(1));
  const LocalResponseNormFwdArgs args{
      x.dtype, x.dim(0), x.dim(1), x.dim(2), taken, alpha * static_cast<double>(taken) / static_cast<double>(size),
      beta,    k,        x.data,   out.data};
  call(local_response_norm_fwd, args, static_cast<int64_t>(2 * x.bytes()));
  return out;
}

Array local_response_norm_backward(const Array& grad, const Array& x, int64_t size, double alpha, double beta,
                                   double k) {
  const char* op = "local_response_norm_bwd";
  expect_ndim(op, "grad", grad, 3);
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "input", x, grad.dtype);
  expect_shape(op, "input", x, grad.shape);
  expect_window(op, size);
  Array grad_x = empty(x.shape, x.dtype);
  const int64_t taken = window(size, x.dim(1));
  const LocalResponseNormBwdArgs args{
      x.dtype,  x.dim(0),   x.dim(1),
      x.dim(2), taken,      alpha * static_cast<double>(taken) / static_cast<double>(size),
      beta,     k,          grad.data,
      x.data,   grad_x.data};
  call(local_response_norm_bwd, args, static_cast<int64_t>(3 * x.bytes()));
  return grad_x;
}

}  // namespace local_response_norm_binding

void bind_local_response_norm(py::module_& m) {
  using namespace local_response_norm_binding;
  m.def("local_response_norm", &local_response_norm);
  m.def("local_response_norm_bwd", &local_response_norm_backward);
}

}  // namespace fastdl
