#include "bind/call.h"
#include "bind/pool.h"
#include "ops/upsample/upsample.h"

namespace fastdl {
namespace upsample_binding {

using Kernel = decltype(&upsample_nearest2d_fwd);

// `from` planes to planes of `hw`; forward: `from` is the input. A scale of 0 stands for the quotient of the sizes.
Array resize(const char* op, bool forward, Kernel kernel, const Array& from, const Dims& hw, bool align_corners,
             double scale_h, double scale_w) {
  expect_ndim(op, forward ? "input" : "grad", from, 4);
  expect_float(op, forward ? "input" : "grad", from);
  expect_pair(op, forward ? "output size" : "input size", hw, 1);
  for (const double scale : {scale_h, scale_w})
    EXPECT(scale >= 0 && scale <= 1e9, ValueError, op, "a scale of at most 1e9, or 0", text(scale));
  expect_plane(op, from.dim(2), from.dim(3));
  expect_plane(op, hw[0], hw[1]);
  Dims shape = from.shape;
  shape[2] = hw[0], shape[3] = hw[1];
  Array out = empty(shape, from.dtype);
  const Dims &in = forward ? from.shape : shape, &large = forward ? shape : from.shape;
  const UpsampleArgs args{from.dtype, shape[0] * shape[1], in[2],   in[3], large[2], large[3], align_corners, scale_h,
                          scale_w,    from.data,           out.data};
  call(kernel, args, static_cast<int64_t>(from.bytes() + out.bytes()));
  return out;
}

Array nearest(const Array& x, const Dims& output_hw, double scale_h, double scale_w) {
  return resize("upsample_nearest2d", true, upsample_nearest2d_fwd, x, output_hw, false, scale_h, scale_w);
}
Array nearest_backward(const Array& grad, const Dims& input_hw, double scale_h, double scale_w) {
  return resize("upsample_nearest2d_bwd", false, upsample_nearest2d_bwd, grad, input_hw, false, scale_h, scale_w);
}
Array bilinear(const Array& x, const Dims& output_hw, bool align_corners, double scale_h, double scale_w) {
  return resize("upsample_bilinear2d", true, upsample_bilinear2d_fwd, x, output_hw, align_corners, scale_h, scale_w);
}
Array bilinear_backward(const Array& grad, const Dims& input_hw, bool align_corners, double scale_h, double scale_w) {
  return resize("upsample_bilinear2d_bwd", false, upsample_bilinear2d_bwd, grad, input_hw, align_corners, scale_h,
                scale_w);
}

}  // namespace upsample_binding

void bind_upsample(py::module_& m) {
  using namespace upsample_binding;
  m.def("upsample_nearest2d", &nearest);
  m.def("upsample_nearest2d_bwd", &nearest_backward);
  m.def("upsample_bilinear2d", &bilinear);
  m.def("upsample_bilinear2d_bwd", &bilinear_backward);
}

}  // namespace fastdl
