// Non-maximum suppression of boxes (x1, y1, x2, y2) by their intersection over union (IoU).
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// Keeps a box unless its IoU with a kept box of higher score and equal class exceeds the threshold. Equal scores count
// in the order of the boxes; NaN is the highest score. A NaN IoU (of boxes with NaN, of two empty ones) does not
// exceed.
struct NmsArgs {
  DType dtype;
  int64_t n;
  const void* boxes;
  const void* scores;
  const int64_t* classes;  // or null: all are of one class
  double iou_threshold;
  int64_t* keep;   // out, room for n: indices of kept boxes in the order of their scores
  int64_t* count;  // out, on the host: how many
};

enum class Decay { kLinear, kGaussian };

// Takes the box of the highest score (the first of equal ones) and multiplies the others' scores by
//   linear    1 - IoU where IoU > iou_threshold
//   gaussian  exp(-IoU^2 / sigma)
// until none is left. Scores below score_threshold, and NaN, leave at once. A NaN IoU decays nothing.
struct SoftNmsArgs {
  DType dtype;
  Decay decay;
  int64_t n;
  const void* boxes;
  const void* scores;
  double iou_threshold, sigma, score_threshold;
  int64_t* keep;     // out, room for n: indices in the order in which boxes were taken
  void* new_scores;  // out, room for n: their scores at that moment
  int64_t* count;    // out, on the host: how many
};

}  // namespace fastdl

FASTDL_KERNEL(nms_fwd, NmsArgs)
FASTDL_KERNEL(soft_nms_fwd, SoftNmsArgs)
