#include "bind/call.h"
#include "bind/pool.h"
#include "ops/max_unpool2d/max_unpool2d.h"

namespace fastdl {
namespace max_unpool2d_binding {

Dims with_plane(const Dims& shape, int64_t h, int64_t w) {
  Dims out = shape;
  out[2] = h, out[3] = w;
  return out;
}

UnpoolSizes sizes(const Dims& in, const Dims& out) {
  return {in[0] * in[1], in[2], in[3], out[2], out[3]};
}

Array max_unpool2d(const Array& x, const Array& indices, const Dims& output_hw) {
  const char* op = "max_unpool2d";
  expect_ndim(op, "input", x, 4);
  expect_float(op, "input", x);
  expect_index_dtype(op, indices.dtype);
  expect_shape(op, "indices", indices, x.shape);
  expect_pair(op, "output_size", output_hw, 0);
  expect_plane(op, output_hw[0], output_hw[1]);
  Array out = empty(with_plane(x.shape, output_hw[0], output_hw[1]), x.dtype);
  LateFault bad;
  const MaxUnpool2dArgs args{x.dtype,    sizes(x.shape, out.shape), x.data, indices.data, indices.dtype, out.data,
                             bad.place()};
  call(max_unpool2d_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  expect_indices(op, bad, output_hw[0] * output_hw[1]);
  return out;
}

Array max_unpool2d_backward(const Array& grad, const Array& indices) {
  const char* op = "max_unpool2d_bwd";
  expect_ndim(op, "grad", grad, 4);
  expect_float(op, "grad", grad);
  expect_index_dtype(op, indices.dtype);
  expect_ndim(op, "indices", indices, 4);
  expect_shape(op, "indices", indices, with_plane(grad.shape, indices.dim(2), indices.dim(3)));
  Array grad_x = empty(indices.shape, grad.dtype);
  LateFault bad;
  const MaxUnpool2dArgs args{
      grad.dtype, sizes(indices.shape, grad.shape), grad.data, indices.data, indices.dtype, grad_x.data, bad.place()};
  call(max_unpool2d_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  expect_indices(op, bad, grad.dim(2) * grad.dim(3));
  return grad_x;
}

Array bed_of_nails(const Array& x, const Dims& kernel) {
  const char* op = "bed_of_nails";
  expect_ndim(op, "input", x, 4);
  expect_float(op, "input", x);
  expect_pair(op, "kernel_size", kernel, 1);
  for (int i = 0; i < 2; ++i)
    EXPECT(x.dim(2 + i) <= kLargestPool / kernel[i], ValueError, op, "axes of less than 2^31 elements",
           text(x.dim(2 + i), " times ", kernel[i]));
  Array out = empty(with_plane(x.shape, x.dim(2) * kernel[0], x.dim(3) * kernel[1]), x.dtype);
  const BedOfNailsArgs args{x.dtype, sizes(x.shape, out.shape), kernel[0], kernel[1], x.data, out.data};
  call(bed_of_nails_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

Array bed_of_nails_backward(const Array& grad, const Dims& kernel) {
  const char* op = "bed_of_nails_bwd";
  expect_ndim(op, "grad", grad, 4);
  expect_float(op, "grad", grad);
  expect_pair(op, "kernel_size", kernel, 1);
  EXPECT(grad.dim(2) % kernel[0] == 0 && grad.dim(3) % kernel[1] == 0, ValueError, op,
         text("planes of whole windows ", kernel), text("shape ", grad.shape));
  Array grad_x = empty(with_plane(grad.shape, grad.dim(2) / kernel[0], grad.dim(3) / kernel[1]), grad.dtype);
  const BedOfNailsArgs args{grad.dtype, sizes(grad_x.shape, grad.shape), kernel[0], kernel[1], grad.data, grad_x.data};
  call(bed_of_nails_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  return grad_x;
}

}  // namespace max_unpool2d_binding

void bind_max_unpool2d(py::module_& m) {
  using namespace max_unpool2d_binding;
  m.def("max_unpool2d", &max_unpool2d);
  m.def("max_unpool2d_bwd", &max_unpool2d_backward);
  m.def("bed_of_nails", &bed_of_nails);
  m.def("bed_of_nails_bwd", &bed_of_nails_backward);
}

}  // namespace fastdl
