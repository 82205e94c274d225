#include "bind/call.h"
#include "bind/pool.h"
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace fastdl {
namespace adaptive_pool2d_binding {

// Checks a (N, C, H, W) array against another size of its planes; the shape with that size.
Dims resized(const char* op, const char* what, const Array& a, const char* size_name, const Dims& hw, int64_t least) {
  expect_ndim(op, what, a, 4);
  expect_float(op, what, a);
  expect_pair(op, size_name, hw, least);
  Dims shape = a.shape;
  shape[2] = hw[0], shape[3] = hw[1];
  return shape;
}

AdaptiveSizes sizes(const Dims& in, const Dims& out) {
  return {in[0] * in[1], in[2], in[3], out[2], out[3]};
}

Array adaptive_avg_pool2d(const Array& x, const Dims& output_hw) {
  const char* op = "adaptive_avg_pool2d";
  const Dims shape = resized(op, "input", x, "output_size", output_hw, 0);
  expect_plane(op, x.dim(2), x.dim(3));
  Array out = empty(shape, x.dtype);
  const AdaptiveAvgPool2dArgs args{x.dtype, sizes(x.shape, shape), x.data, out.data};
  call(adaptive_avg_pool2d_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

Array adaptive_avg_pool2d_backward(const Array& grad, const Dims& input_hw) {
  const char* op = "adaptive_avg_pool2d_bwd";
  const Dims shape = resized(op, "grad", grad, "input_hw", input_hw, 0);
  expect_plane(op, input_hw[0], input_hw[1]);
  Array grad_x = empty(shape, grad.dtype);
  const AdaptiveAvgPool2dArgs args{grad.dtype, sizes(shape, grad.shape), grad.data, grad_x.data};
  call(adaptive_avg_pool2d_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  return grad_x;
}

py::tuple adaptive_max_pool2d(const Array& x, const Dims& output_hw) {
  const char* op = "adaptive_max_pool2d";
  const Dims shape = resized(op, "input", x, "output_size", output_hw, 0);
  expect_plane(op, x.dim(2), x.dim(3));
  Array out = empty(shape, x.dtype), indices = empty(shape, DType::kInt64);
  const AdaptiveMaxPool2dArgs args{x.dtype, sizes(x.shape, shape), x.data, out.data, indices.data};
  call(adaptive_max_pool2d_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return py::make_tuple(std::move(out), std::move(indices));
}

Array adaptive_max_pool2d_backward(const Array& grad, const Array& indices, const Dims& input_hw) {
  const char* op = "adaptive_max_pool2d_bwd";
  const Dims shape = resized(op, "grad", grad, "input_hw", input_hw, 0);
  expect_plane(op, input_hw[0], input_hw[1]);
  expect_index_dtype(op, indices.dtype);
  expect_shape(op, "indices", indices, grad.shape);
  Array grad_x = empty(shape, grad.dtype);
  LateFault bad;
  const AdaptiveMaxPool2dBwdArgs args{
      grad.dtype, sizes(shape, grad.shape), grad.data, indices.data, indices.dtype, grad_x.data, bad.place()};
  call(adaptive_max_pool2d_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  expect_indices(op, bad, input_hw[0] * input_hw[1]);
  return grad_x;
}

}  // namespace adaptive_pool2d_binding

void bind_adaptive_pool2d(py::module_& m) {
  using namespace adaptive_pool2d_binding;
  m.def("adaptive_avg_pool2d", &adaptive_avg_pool2d);
  m.def("adaptive_avg_pool2d_bwd", &adaptive_avg_pool2d_backward);
  m.def("adaptive_max_pool2d", &adaptive_max_pool2d);
  m.def("adaptive_max_pool2d_bwd", &adaptive_max_pool2d_backward);
}

}  // namespace fastdl
