// Intersection over union (IoU) of every box of one set with every box of another, and the choice of boxes by size.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

enum class BoxFormat { kXyxy, kXywh, kCxcywh };  // corners; corner, width, height; centre, width, height

// out[i][j] = inter / union of boxes1[i] and boxes2[j], minus, if generalized, (hull - union) / hull, hull being the
// area of the smallest box around both. Boxes without area, with NaN or with infinite area give what the formula gives.
struct BoxIouArgs {
  DType dtype;
  BoxFormat format;
  bool generalized;
  int64_t n, m;
  const void *boxes1, *boxes2;
  void* out;  // n x m
};

// Indices of the boxes (x1, y1, x2, y2) with both sides of at least min_size. NaN is not.
struct LargeBoxesArgs {
  DType dtype;
  int64_t n;
  const void* boxes;
  double min_size;
  int64_t* keep;   // out, room for n
  int64_t* count;  // out, on the host
};

}  // namespace fastdl

FASTDL_KERNEL(box_iou_fwd, BoxIouArgs)
FASTDL_KERNEL(large_boxes_fwd, LargeBoxesArgs)
