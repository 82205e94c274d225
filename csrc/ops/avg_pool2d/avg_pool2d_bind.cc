#include "bind/call.h"
#include "bind/pool.h"
#include "ops/avg_pool2d/avg_pool2d.h"

namespace fastdl {
namespace avg_pool2d_binding {

PoolAttributes attributes(const char* op, const Dims& kernel, const Dims& stride, const Dims& padding,
                          int64_t divisor) {
  const Dims one{2, {1, 1}};
  const PoolAttributes a{op, kernel, stride, padding, one};
  expect_pool_attributes(a);
  EXPECT(divisor >= 0, ValueError, op, "a divisor of at least 0", text(divisor));
  return a;
}

// divisor 0: the number of elements of each window.
Array avg_pool2d(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, bool ceil_mode,
                 bool count_include_pad, int64_t divisor) {
  const char* op = "avg_pool2d";
  expect_ndim(op, "input", x, 4);
  expect_float(op, "input", x);
  const PoolAttributes a = attributes(op, kernel, stride, padding, divisor);
  const Dims shape = pooled_shape(a, x, ceil_mode);
  Array out = empty(shape, x.dtype);
  const PoolGeometry g = a.geometry(x.dim(0) * x.dim(1), x.dim(2), x.dim(3), shape[2], shape[3]);
  const AvgPool2dArgs args{x.dtype, g, count_include_pad, divisor, x.data, out.data};
  call(avg_pool2d_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

#if defined(FASTDL_DEVICE_CPU)
Array nchwc(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, bool ceil_mode,
            bool count_include_pad, int64_t divisor) {
  const PoolAttributes a = attributes("avg_pool2d_nchwc", kernel, stride, padding, divisor);
  const Dims shape = pooled_nchwc_shape(a, x, ceil_mode);
  Array out = empty(shape, x.dtype);
  const PoolGeometry g = a.geometry(x.dim(0) * x.dim(1), x.dim(2), x.dim(3), shape[2], shape[3]);
  const AvgPool2dNchwcArgs args{{x.dtype, g, count_include_pad, divisor, x.data, out.data}, x.dim(4)};
  call(avg_pool2d_nchwc, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}
#endif

Array avg_pool2d_backward(const Array& grad, const Dims& input_hw, const Dims& kernel, const Dims& stride,
                          const Dims& padding, bool count_include_pad, int64_t divisor) {
  const char* op = "avg_pool2d_bwd";
  expect_ndim(op, "grad", grad, 4);
  expect_float(op, "grad", grad);
  const PoolAttributes a = attributes(op, kernel, stride, padding, divisor);
  expect_pooled_grad(a, grad, input_hw);
  Dims shape = grad.shape;
  shape[2] = input_hw[0], shape[3] = input_hw[1];
  Array grad_x = empty(shape, grad.dtype);
  const PoolGeometry g = a.geometry(grad.dim(0) * grad.dim(1), input_hw[0], input_hw[1], grad.dim(2), grad.dim(3));
  const AvgPool2dArgs args{grad.dtype, g, count_include_pad, divisor, grad.data, grad_x.data};
  call(avg_pool2d_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  return grad_x;
}

}  // namespace avg_pool2d_binding

void bind_avg_pool2d(py::module_& m) {
  using namespace avg_pool2d_binding;
  m.def("avg_pool2d", &avg_pool2d);
  m.def("avg_pool2d_bwd", &avg_pool2d_backward);
#if defined(FASTDL_DEVICE_CPU)
  m.def("avg_pool2d_nchwc", &nchwc);
#endif
}

}  // namespace fastdl
