#include "bind/call.h"
#include "bind/roi_checks.h"
#include "ops/roi_align/roi_align.h"

namespace fastdl {
namespace roi_align_binding {

RoiAlignGeometry geometry(const Dims& x, const Array& rois, const Dims& output_size, double spatial_scale,
                          int64_t sampling_ratio, bool aligned) {
  return {x[0], x[1], x[2], x[3], rois.dim(0), output_size[0], output_size[1], spatial_scale, sampling_ratio, aligned};
}

Array roi_align(const Array& x, const Array& rois, const Dims& output_size, double spatial_scale,
                int64_t sampling_ratio, bool aligned) {
  const char* op = "roi_align";
  expect_float(op, "input", x);
  expect_map(op, x.shape);
  expect_rois(op, rois, x.dtype);
  expect_bins(op, output_size, spatial_scale);
  Array out = empty({4, {rois.dim(0), x.dim(1), output_size[0], output_size[1]}}, x.dtype);
  Fault bad;
  const RoiAlignFwdArgs args{x.dtype,  geometry(x.shape, rois, output_size, spatial_scale, sampling_ratio, aligned),
                             x.data,   rois.data,
                             out.data, bad.place()};
  call(roi_align_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  expect_images(op, bad, x.dim(0));
  return out;
}

Array roi_align_backward(const Array& grad, const Array& rois, const Dims& input_shape, double spatial_scale,
                         int64_t sampling_ratio, bool aligned) {
  const char* op = "roi_align_bwd";
  expect_float(op, "grad", grad);
  expect_ndim(op, "grad", grad, 4);
  expect_map(op, input_shape);
  expect_rois(op, rois, grad.dtype);
  const Dims output_size{2, {grad.dim(2), grad.dim(3)}};
  expect_bins(op, output_size, spatial_scale);
  expect_shape(op, "grad", grad, {4, {rois.dim(0), input_shape[1], grad.dim(2), grad.dim(3)}});
  Array grad_x = empty(input_shape, grad.dtype);
  Fault bad;
  const RoiAlignBwdArgs args{
      grad.dtype,  geometry(input_shape, rois, output_size, spatial_scale, sampling_ratio, aligned),
      grad.data,   rois.data,
      grad_x.data, bad.place()};
  call(roi_align_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  expect_images(op, bad, input_shape[0]);
  return grad_x;
}

}  // namespace roi_align_binding

void bind_roi_align(py::module_& m) {
  using namespace roi_align_binding;
  m.def("roi_align", &roi_align);
  m.def("roi_align_bwd", &roi_align_backward);
}

}  // namespace fastdl
