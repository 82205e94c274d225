#include <cstring>

#include "bind/call.h"
#include "ops/nms/nms.h"

namespace fastdl {
namespace nms_binding {

constexpr int64_t kMostBoxes = 0x7fffffff;  // their ranks are int32

void expect_scored_boxes(const char* op, const Array& boxes, const Array& scores) {
  refuse_recording(op);
  expect_float(op, "boxes", boxes);
  EXPECT(boxes.ndim() == 2 && boxes.dim(1) == 4, ValueError, op, text("boxes of shape (N, 4)"),
         text("shape ", boxes.shape));
  EXPECT(boxes.dim(0) <= kMostBoxes, ValueError, op, text("less than 2^31 boxes"), text(boxes.dim(0)));
  expect_same_dtype(op, "scores", scores, boxes.dtype);
  expect_shape(op, "scores", scores, {1, {boxes.dim(0)}});
}

// The first `count` elements, in memory of their own.
Array shortened(const Array& a, int64_t count) {
  Array out = empty({1, {count}}, a.dtype);
  std::memcpy(out.data, a.data, out.bytes());
  return out;
}

Array nms(const Array& boxes, const Array& scores, const Array* classes, double iou_threshold) {
  const char* op = "nms";
  expect_scored_boxes(op, boxes, scores);
  if (classes) {
    expect_same_dtype(op, "classes", *classes, DType::kInt64);
    expect_shape(op, "classes", *classes, scores.shape);
  }
  Array keep = empty(scores.shape, DType::kInt64);
  int64_t count = 0;
  const NmsArgs args{boxes.dtype,
                     boxes.dim(0),
                     boxes.data,
                     scores.data,
                     classes ? static_cast<const int64_t*>(classes->data) : nullptr,
                     iou_threshold,
                     static_cast<int64_t*>(keep.data),
                     &count};
  call(nms_fwd, args, static_cast<int64_t>(boxes.bytes()) * 4);
  return shortened(keep, count);
}

Decay decay_named(const char* op, const std::string& method) {
  EXPECT(method == "linear" || method == "gaussian", ValueError, op, text("method linear or gaussian"), text(method));
  return method == "linear" ? Decay::kLinear : Decay::kGaussian;
}

py::tuple soft_nms(const Array& boxes, const Array& scores, const std::string& method, double iou_threshold,
                   double sigma, double score_threshold) {
  const char* op = "soft_nms";
  const Decay decay = decay_named(op, method);
  expect_scored_boxes(op, boxes, scores);
  EXPECT(sigma > 0, ValueError, op, text("sigma above 0"), text(sigma));
  Array keep = empty(scores.shape, DType::kInt64), decayed = empty(scores.shape, scores.dtype);
  int64_t count = 0;
  const SoftNmsArgs args{boxes.dtype,  decay,           boxes.dim(0),
                         boxes.data,   scores.data,     iou_threshold,
                         sigma,        score_threshold, static_cast<int64_t*>(keep.data),
                         decayed.data, &count};
  call(soft_nms_fwd, args, static_cast<int64_t>(boxes.bytes()) * 64);
  return py::make_tuple(shortened(keep, count), shortened(decayed, count));
}

}  // namespace nms_binding

void bind_nms(py::module_& m) {
  using namespace nms_binding;
  m.def("nms", &nms);
  m.def("soft_nms", &soft_nms);
}

}  // namespace fastdl
