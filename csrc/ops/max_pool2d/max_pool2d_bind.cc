#include "bind/call.h"
#include "ops/max_pool2d/max_pool2d.h"

namespace fastdl {
namespace {

constexpr int64_t kLargest = 0x7fffffff;  // of an attribute, and of a plane: indices are int32

struct Pools {
  const char* op;
  Dims kernel, stride, padding, dilation;
};

void expect_pair(const char* op, const char* what, const Dims& d, int64_t least) {
  EXPECT(d.n == 2, ValueError, op, text(what, " of two integers"), text(d));
  for (int i = 0; i < 2; ++i)
    EXPECT(d[i] >= least && d[i] <= kLargest, ValueError, op, text(what, " of at least ", least, " and below 2^31"),
           text(d));
}

void expect_attributes(const Pools& a) {
  expect_pair(a.op, "kernel_size", a.kernel, 1);
  expect_pair(a.op, "stride", a.stride, 1);
  expect_pair(a.op, "padding", a.padding, 0);
  expect_pair(a.op, "dilation", a.dilation, 1);
  for (int i = 0; i < 2; ++i)
    EXPECT(a.padding[i] <= a.kernel[i] / 2, ValueError, a.op, text("padding of at most half the kernel ", a.kernel),
           text("padding ", a.padding));
}

int64_t out_size(const Pools& a, int axis, int64_t in, bool ceil_mode) {
  return pool_out_size(in, a.kernel[axis], a.stride[axis], a.padding[axis], a.dilation[axis], ceil_mode);
}

MaxPool2dGeometry geometry(const Pools& a, int64_t planes, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w) {
  return {planes,      in_h,        in_w,         out_h,        out_w,         a.kernel[0],  a.kernel[1],
          a.stride[0], a.stride[1], a.padding[0], a.padding[1], a.dilation[0], a.dilation[1]};
}

// Sizes without elements are refused as well: padding alone has no element for an index to name.
void expect_plane(const char* op, int64_t h, int64_t w) {
  EXPECT(h > 0 && w > 0, ValueError, op, text("planes with elements"), text(h, " x ", w));
  EXPECT(w <= kLargest / h, ValueError, op, text("planes of less than 2^31 elements"), text(h, " x ", w));
}

py::tuple max_pool2d(const Array& x, const Dims& kernel, const Dims& stride, const Dims& padding, const Dims& dilation,
                     bool ceil_mode, bool indices) {
  const Pools a{"max_pool2d", kernel, stride, padding, dilation};
  expect_ndim(a.op, "input", x, 4);
  expect_float(a.op, "input", x);
  expect_attributes(a);
  expect_plane(a.op, x.dim(2), x.dim(3));
  Dims shape = x.shape;
  for (int i = 0; i < 2; ++i) shape[2 + i] = out_size(a, i, x.dim(2 + i), ceil_mode);
  EXPECT(shape[2] > 0 && shape[3] > 0, ValueError, a.op,
         text("a plane that holds a window of kernel ", kernel, ", dilation ", dilation, ", padding ", padding),
         text("shape ", x.shape));
  Array out = empty(shape, x.dtype), index;
  if (indices) index = empty(shape, DType::kInt32);
  const MaxPool2dFwdArgs args{x.dtype, geometry(a, x.dim(0) * x.dim(1), x.dim(2), x.dim(3), shape[2], shape[3]), x.data,
                              out.data, indices ? static_cast<int32_t*>(index.data) : nullptr};
  call(max_pool2d_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return py::make_tuple(std::move(out), indices ? py::cast(std::move(index)) : py::none());
}

Array max_pool2d_backward(const Array& grad, const Array& indices, const Dims& input_hw, const Dims& kernel,
                          const Dims& stride, const Dims& padding, const Dims& dilation) {
  const Pools a{"max_pool2d_bwd", kernel, stride, padding, dilation};
  expect_ndim(a.op, "grad", grad, 4);
  expect_float(a.op, "grad", grad);
  expect_same_dtype(a.op, "indices", indices, DType::kInt32);
  expect_shape(a.op, "indices", indices, grad.shape);
  expect_attributes(a);
  expect_pair(a.op, "input_hw", input_hw, 0);
  expect_plane(a.op, input_hw[0], input_hw[1]);
  for (int i = 0; i < 2; ++i) {
    const int64_t low = out_size(a, i, input_hw[i], false), high = out_size(a, i, input_hw[i], true);
    EXPECT(grad.dim(2 + i) == low || grad.dim(2 + i) == high, ValueError, a.op,
           text("grad of size ", low, low == high ? "" : text(" or ", high), " on axis ", 2 + i, " for an input of ",
                input_hw),
           text("shape ", grad.shape));
  }
  Dims shape = grad.shape;
  shape[2] = input_hw[0], shape[3] = input_hw[1];
  Array grad_x = empty(shape, grad.dtype);
  int64_t bad = 0;
  const MaxPool2dBwdArgs args{
      grad.dtype,  geometry(a, grad.dim(0) * grad.dim(1), input_hw[0], input_hw[1], grad.dim(2), grad.dim(3)),
      grad.data,   static_cast<const int32_t*>(indices.data),
      grad_x.data, &bad};
  call(max_pool2d_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  EXPECT(bad == 0, IndexError, a.op, text("indices into a plane of ", input_hw[0] * input_hw[1], " elements"),
         text("one outside it at position ", bad - 1));
  return grad_x;
}

}  // namespace

void bind_max_pool2d(py::module_& m) {
  m.def("max_pool2d", &max_pool2d);
  m.def("max_pool2d_bwd", &max_pool2d_backward);
}

}  // namespace fastdl
