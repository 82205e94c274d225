#include <cstring>

#include "bind/call.h"
#include "ops/boxes/boxes.h"

namespace fastdl {
namespace boxes_binding {

void expect_boxes(const char* op, const char* what, const Array& boxes) {
  expect_float(op, what, boxes);
  EXPECT(boxes.ndim() == 2 && boxes.dim(1) == 4, ValueError, op, text(what, " of shape (N, 4)"),
         text("shape ", boxes.shape));
}

BoxFormat format_named(const char* op, const std::string& name) {
  EXPECT(name == "xyxy" || name == "xywh" || name == "cxcywh", ValueError, op, text("fmt xyxy, xywh or cxcywh"),
         text(name));
  return name == "xyxy" ? BoxFormat::kXyxy : name == "xywh" ? BoxFormat::kXywh : BoxFormat::kCxcywh;
}

Array box_iou(const Array& boxes1, const Array& boxes2, const std::string& fmt, bool generalized) {
  const char* op = "box_iou";
  expect_boxes(op, "boxes1", boxes1);
  expect_boxes(op, "boxes2", boxes2);
  expect_same_dtype(op, "boxes2", boxes2, boxes1.dtype);
  const BoxFormat format = format_named(op, fmt);
  Array out = empty({2, {boxes1.dim(0), boxes2.dim(0)}}, boxes1.dtype);
  const BoxIouArgs args{boxes1.dtype,  format,      generalized, boxes1.dim(0),
                        boxes2.dim(0), boxes1.data, boxes2.data, out.data};
  call(box_iou_fwd, args, static_cast<int64_t>(out.bytes()));
  return out;
}

Array large_boxes(const Array& boxes, double min_size) {
  refuse_recording("large_boxes");
  expect_boxes("large_boxes", "boxes", boxes);
  const Array keep = empty({1, {boxes.dim(0)}}, DType::kInt64);
  int64_t count = 0;
  const LargeBoxesArgs args{boxes.dtype, boxes.dim(0), boxes.data, min_size, static_cast<int64_t*>(keep.data), &count};
  call(large_boxes_fwd, args, static_cast<int64_t>(boxes.bytes()));
  Array out = empty({1, {count}}, DType::kInt64);
  std::memcpy(out.data, keep.data, out.bytes());
  return out;
}

}  // namespace boxes_binding

void bind_boxes(py::module_& m) {
  using namespace boxes_binding;
  m.def("box_iou", &box_iou);
  m.def("large_boxes", &large_boxes);
}

}  // namespace fastdl
