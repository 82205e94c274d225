// Winograd convolution of 3x3 windows in float32 (conv2d_winograd.cu, conv2d_winograd_weight.cu): each returns false
// where the direct kernels serve better or the setting asks for them, which leaves the work to the caller.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace fastdl {

// What the rule of "auto" counts on for a forward convolution of such windows.
struct ConvSeconds {
  double direct, winograd;
};
ConvSeconds conv2d_seconds(const Conv2dGeometry& g);

bool conv2d_fwd_by_winograd(const Conv2dFwdArgs& p, Stream stream);
bool make_images_by_winograd(const Conv2dBwdInputArgs& p, const void* bias, Stream stream);
bool conv2d_bwd_weight_by_winograd(const Conv2dBwdWeightArgs& p, Stream stream);

}  // namespace fastdl
