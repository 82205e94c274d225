// Planes at another size: nearest neighbour and bilinear interpolation. PyTorch's rules for places.
#pragma once
#include <cmath>

#include "core/host_device.h"
#include "core/kernel.h"

namespace fastdl {

struct UpsampleArgs {
  DType dtype;
  int64_t planes, in_h, in_w, out_h, out_w;
  bool align_corners;       // bilinear
  double scale_h, scale_w;  // output size over input size as the caller gave it; 0: from the sizes
  const void* x;            // forward: input; backward: gradient of the output (planes of out_h x out_w)
  void* out;                // forward: output; backward: gradient of the input; every element is written
};

// The source of output o, in single precision for every dtype: another rounding would choose another neighbour.
FASTDL_HD int64_t nearest_source(int64_t o, int64_t in, int64_t out, double scale) {
  if (in == out) return o;
  if (out == 2 * in) return o / 2;
  const float step = scale > 0 ? static_cast<float>(1.0 / scale) : static_cast<float>(in) / static_cast<float>(out);
  const int64_t source = static_cast<int64_t>(floorf(static_cast<float>(o) * step));
  return source < in - 1 ? source : in - 1;
}

// Output o lies between sources `low` and min(low + 1, in - 1), at `weight` of the way.
struct LinearSource {
  int64_t low;
  double weight;
};
FASTDL_HD LinearSource linear_source(int64_t o, int64_t in, int64_t out, bool align_corners, double scale) {
  double at;
  if (align_corners) {
    at = out > 1 ? static_cast<double>(o) * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0;
  } else {
    const double step = scale > 0 ? 1.0 / scale : static_cast<double>(in) / static_cast<double>(out);
    at = (static_cast<double>(o) + 0.5) * step - 0.5;
  }
  if (!(at > 0)) return {0, 0};
  if (at >= static_cast<double>(in - 1)) return {in - 1, 0};
  const int64_t low = static_cast<int64_t>(at);
  return {low, at - static_cast<double>(low)};
}

}  // namespace fastdl

FASTDL_KERNEL(upsample_nearest2d_fwd, UpsampleArgs)
FASTDL_KERNEL(upsample_nearest2d_bwd, UpsampleArgs)
FASTDL_KERNEL(upsample_bilinear2d_fwd, UpsampleArgs)
FASTDL_KERNEL(upsample_bilinear2d_bwd, UpsampleArgs)
