// RoIAlign: the average of bilinear samples in each bin of a region of interest (RoI).
#pragma once
#include "core/array.h"
#include "core/host_device.h"
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

// The bins along one axis: bin b samples at start + b * bin + (i + 0.5) * bin / samples, i = 0 ... samples - 1. The
// operations and their order are those of torchvision, so that samples fall into the same cells; product(a, b) is one
// that the compiler does not fuse into a multiply-add.
template <class T>
struct RoiAxis {
  T start, bin, samples;  // samples may be 0: then there are none
};

template <class T, class Product>
FASTDL_HD RoiAxis<T> roi_axis(const RoiAlignGeometry& g, T low, T high, int64_t bins, Product product) {
  const T scale = static_cast<T>(g.spatial_scale), offset = static_cast<T>(g.aligned ? 0.5 : 0);
  const T start = product(low, scale) - offset, end = product(high, scale) - offset;
  T size = end - start;
  if (!g.aligned && !(size > T{1})) size = T{1};
  const T bin = size / static_cast<T>(bins);
  const T samples = g.sampling_ratio > 0 ? static_cast<T>(g.sampling_ratio)
                                         : static_cast<T>(__builtin_ceil(static_cast<double>(bin)));
  const T limit = 1 << 30;
  const bool sane = start > -limit && start < limit && end > -limit && end < limit;
  return {start, bin, sane && samples > 0 ? samples : T{0}};
}

// Where a bin begins, and its samples that may lie within a cell of the map: a huge RoI has many others.
template <class T>
struct RoiSamples {
  T base;
  int64_t begin, end;
};
template <class T, class Product>
FASTDL_HD RoiSamples<T> roi_samples(const RoiAxis<T>& a, int64_t bin, int64_t size, Product product) {
  const T base = a.start + product(static_cast<T>(bin), a.bin);
  if (!(a.samples > 0)) return {base, 0, 0};
  const double step = static_cast<double>(a.bin) / static_cast<double>(a.samples), n = static_cast<double>(a.samples);
  if (!(step > 0)) return {base, 0, static_cast<int64_t>(n)};
  const double from = static_cast<double>(base);
  double begin = __builtin_floor((-1 - from) / step) - 2,
         end = __builtin_ceil((static_cast<double>(size) - from) / step) + 2;
  begin = begin > 0 ? begin : 0, end = end < n ? end : n;
  return {base, static_cast<int64_t>(begin < n ? begin : n), static_cast<int64_t>(end > 0 ? end : 0)};
}

// The cell of sample i and the share of the next one, or cell -1: more than one cell outside the map. The last cell has
// no next one; its sample is all its own.
template <class T>
struct RoiSample {
  int64_t cell;
  T fraction;
};
template <class T, class Product>
FASTDL_HD RoiSample<T> roi_sample(const RoiAxis<T>& a, T base, int64_t i, int64_t size, Product product) {
  T p = base + product(static_cast<T>(i) + T(0.5), a.bin) / a.samples;
  if (!(p >= T{-1} && p <= static_cast<T>(size))) return {-1, T{0}};
  p = p > 0 ? p : T{0};
  const int64_t cell = static_cast<int64_t>(p);
  if (cell >= size - 1) return {size - 1, T{0}};
  return {cell, p - static_cast<T>(cell)};
}

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
