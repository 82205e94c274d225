// RoI pooling: the maximum of the cells in each bin of a region of interest (RoI), and where it lies.
#pragma once
#include "core/array.h"
#include "core/host_device.h"
#include "core/kernel.h"

namespace fastdl {

struct RoiPoolGeometry {
  int64_t images, channels, h, w, rois, out_h, out_w;
  double spatial_scale;
};

// Cells [begin, end) of a bin along one axis of `size` cells.
struct RoiBin {
  int32_t begin, end;
};

// Corners times spatial_scale are rounded, halves away from zero, and both belong to the RoI, which is at least one
// cell wide. Bins take the cells that they touch; neighbours may share one. A RoI with a corner that is NaN, infinite
// or 2^30 cells away has no cells.
template <class T>
FASTDL_HD RoiBin roi_bin(T low, T high, T spatial_scale, int64_t bin, int64_t bins, int64_t size) {
  const T a = __builtin_round(low * spatial_scale), b = __builtin_round(high * spatial_scale), limit = 1 << 30;
  if (!(a > -limit && a < limit && b > -limit && b < limit)) return {0, 0};
  const int64_t start = static_cast<int64_t>(a), width = static_cast<int64_t>(b) - start + 1;
  const T bin_size = static_cast<T>(width > 1 ? width : 1) / static_cast<T>(bins);
  int64_t begin = start + static_cast<int64_t>(__builtin_floor(static_cast<T>(bin) * bin_size));
  int64_t end = start + static_cast<int64_t>(__builtin_ceil(static_cast<T>(bin + 1) * bin_size));
  begin = begin < 0 ? 0 : begin < size ? begin : size;
  end = end < 0 ? 0 : end < size ? end : size;
  return {static_cast<int32_t>(begin), static_cast<int32_t>(end)};
}

// The first maximum of a bin in row-major order wins; NaN never does. A bin without cells gives 0, one without a number
// above -FLT_MAX gives that; the index of both is -1.
struct RoiPoolFwdArgs {
  DType dtype;
  RoiPoolGeometry g;
  const void *x, *rois;  // (images, channels, h, w), (rois, 5)
  void* out;             // (rois, channels, out_h, out_w)
  int32_t* indices;      // y * w + x of each maximum, or null when not wanted
  int64_t* bad_roi;      // out, on the host: 1 + the first RoI whose image does not exist, or 0
};

// Adds the gradient of each bin to the cell of its index, RoI by RoI.
struct RoiPoolBwdArgs {
  DType dtype;
  RoiPoolGeometry g;
  const void *grad, *rois;
  const int32_t* indices;
  void* grad_x;  // every element is written
  int64_t* bad_roi;
  int64_t* bad_index;  // out, on the host: 1 + the position of the first index outside its plane, or 0
};

}  // namespace fastdl

FASTDL_KERNEL(roi_pool_fwd, RoiPoolFwdArgs)
FASTDL_KERNEL(roi_pool_bwd, RoiPoolBwdArgs)
