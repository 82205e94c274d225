#include <pybind11/stl.h>

#include "bind/call.h"
#include "bind/pool.h"
#include "ops/max_pool2d/max_pool2d.h"

namespace fastdl {
namespace max_pool2d_binding {

// `indices` names their dtype, "int32" or "int64"; None: values only.
py::tuple max_pool2d(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
                     bool ceil_mode, const std::optional<DType>& indices) {
  const PoolAttributes a{"max_pool2d", kernel, stride, padding, dilation};
  expect_ndim(a.op, "input", x, 4);
  expect_float(a.op, "input", x);
  expect_pool_attributes(a);
  if (indices) expect_index_dtype(a.op, *indices);
  const Dims shape = pooled_shape(a, x, ceil_mode);
  Array out = empty(shape, x.dtype), index;
  if (indices) index = empty(shape, *indices);
  const MaxPool2dFwdArgs args{x.dtype,    a.geometry(x.dim(0) * x.dim(1), x.dim(2), x.dim(3), shape[2], shape[3]),
                              x.data,     out.data,
                              index.data, indices.value_or(DType::kInt32)};
  call(max_pool2d_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return py::make_tuple(std::move(out), indices ? py::cast(std::move(index)) : py::none());
}

#if defined(FASTDL_DEVICE_CPU)
Array nchwc(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
            bool ceil_mode) {
  const PoolAttributes a{"max_pool2d_nchwc", kernel, stride, padding, dilation};
  expect_pool_attributes(a);
  const Dims shape = pooled_nchwc_shape(a, x, ceil_mode);
  Array out = empty(shape, x.dtype);
  const MaxPool2dNchwcArgs args{a.geometry(x.dim(0) * x.dim(1), x.dim(2), x.dim(3), shape[2], shape[3]), x.dim(4),
                                x.data, out.data};
  call(max_pool2d_nchwc, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}
#endif

Array max_pool2d_backward(const Array& grad, const Array& indices, const Dims& input_hw, const Dims& kernel,
                          const Dims& stride, const Dims& padding, const Dims& dilation) {
  const PoolAttributes a{"max_pool2d_bwd", kernel, stride, padding, dilation};
  expect_ndim(a.op, "grad", grad, 4);
  expect_float(a.op, "grad", grad);
  expect_index_dtype(a.op, indices.dtype);
  expect_shape(a.op, "indices", indices, grad.shape);
  expect_pool_attributes(a);
  expect_pooled_grad(a, grad, input_hw);
  Dims shape = grad.shape;
  shape[2] = input_hw[0], shape[3] = input_hw[1];
  Array grad_x = empty(shape, grad.dtype);
  LateFault bad;
  const PoolGeometry g = a.geometry(grad.dim(0) * grad.dim(1), input_hw[0], input_hw[1], grad.dim(2), grad.dim(3));
  const MaxPool2dBwdArgs args{grad.dtype, g, grad.data, indices.data, indices.dtype, grad_x.data, bad.place()};
  call(max_pool2d_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  expect_indices(a.op, bad, input_hw[0] * input_hw[1]);
  return grad_x;
}

}  // namespace max_pool2d_binding

void bind_max_pool2d(py::module_& m) {
  using namespace max_pool2d_binding;
  m.def("max_pool2d", &max_pool2d);
  m.def("max_pool2d_bwd", &max_pool2d_backward);
#if defined(FASTDL_DEVICE_CPU)
  m.def("max_pool2d_nchwc", &nchwc);
#endif
}

}  // namespace fastdl
