// RoIAlign: the average of bilinear samples in each bin of a region of interest (RoI).
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// With s = spatial_scale and d = 0.5 if aligned, else 0, a RoI (image, x1, y1, x2, y2) begins at x1 * s - d and is
// (x2 - x1) * s wide, at least 1 unless aligned; likewise along y. Its out_h x out_w bins are sampled on a regular grid
// of sampling_ratio^2 points each, or if that is not above 0, of ceil(bin size) points along each axis. Points more
// than one cell outside the map count as zero, those less far out have the value of the border. RoIs with NaN, infinite
// coordinates or any of 2^30 cells and more give zeros.
struct RoiAlignGeometry {
  int64_t images, channels, h, w, rois, out_h, out_w;
  double spatial_scale;
  int64_t sampling_ratio;
  bool aligned;
};

struct RoiAlignFwdArgs {
  DType dtype;
  RoiAlignGeometry g;
  const void *x, *rois;  // (images, channels, h, w), (rois, 5)
  void* out;             // (rois, channels, out_h, out_w)
  int64_t* bad_roi;      // out, on the host: 1 + the first RoI whose image does not exist, or 0
};

struct RoiAlignBwdArgs {
  DType dtype;
  RoiAlignGeometry g;
  const void *grad, *rois;
  void* grad_x;  // every element is written
  int64_t* bad_roi;
};

}  // namespace fastdl

FASTDL_KERNEL(roi_align_fwd, RoiAlignFwdArgs)
FASTDL_KERNEL(roi_align_bwd, RoiAlignBwdArgs)
