#include "bind/call.h"
#include "bind/roi_checks.h"
#include "ops/roi_pool/roi_pool.h"

namespace fastdl {
namespace roi_pool_binding {

RoiPoolGeometry geometry(const Dims& x, const Array& rois, const Dims& output_size, double spatial_scale) {
  return {x[0], x[1], x[2], x[3], rois.dim(0), output_size[0], output_size[1], spatial_scale};
}

py::tuple roi_pool(const Array& x, const Array& rois, const Dims& output_size, double spatial_scale, bool indices) {
  const char* op = "roi_pool";
  expect_float(op, "input", x);
  expect_map(op, x.shape);
  expect_rois(op, rois, x.dtype);
  expect_bins(op, output_size, spatial_scale);
  const Dims shape{4, {rois.dim(0), x.dim(1), output_size[0], output_size[1]}};
  Array out = empty(shape, x.dtype), index;
  if (indices) index = empty(shape, DType::kInt32);
  Fault bad;
  const RoiPoolFwdArgs args{x.dtype,  geometry(x.shape, rois, output_size, spatial_scale),   x.data,     rois.data,
                            out.data, indices ? static_cast<int32_t*>(index.data) : nullptr, bad.place()};
  call(roi_pool_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  expect_images(op, bad, x.dim(0));
  return py::make_tuple(std::move(out), indices ? py::cast(std::move(index)) : py::none());
}

Array roi_pool_backward(const Array& grad, const Array& rois, const Array& indices, const Dims& input_shape) {
  const char* op = "roi_pool_bwd";
  expect_float(op, "grad", grad);
  expect_ndim(op, "grad", grad, 4);
  expect_map(op, input_shape);
  expect_rois(op, rois, grad.dtype);
  const Dims output_size{2, {grad.dim(2), grad.dim(3)}};
  expect_bins(op, output_size, 1.0);
  expect_shape(op, "grad", grad, {4, {rois.dim(0), input_shape[1], grad.dim(2), grad.dim(3)}});
  expect_same_dtype(op, "indices", indices, DType::kInt32);
  expect_shape(op, "indices", indices, grad.shape);
  Array grad_x = empty(input_shape, grad.dtype);
  Fault bad_roi, bad_index;
  const RoiPoolBwdArgs args{grad.dtype,
                            geometry(input_shape, rois, output_size, 1.0),
                            grad.data,
                            rois.data,
                            static_cast<const int32_t*>(indices.data),
                            grad_x.data,
                            bad_roi.place(),
                            bad_index.place()};
  call(roi_pool_bwd, args, static_cast<int64_t>(grad.bytes() + grad_x.bytes()));
  expect_images(op, bad_roi, input_shape[0]);
  bad_index.check([op, plane = input_shape[2] * input_shape[3]](const int64_t* found) {
    EXPECT(*found == 0, IndexError, op, text("indices of -1 or into a plane of ", plane, " elements"),
           text("another one at position ", *found - 1));
  });
  return grad_x;
}

}  // namespace roi_pool_binding

void bind_roi_pool(py::module_& m) {
  using namespace roi_pool_binding;
  m.def("roi_pool", &roi_pool);
  m.def("roi_pool_bwd", &roi_pool_backward);
}

}  // namespace fastdl
