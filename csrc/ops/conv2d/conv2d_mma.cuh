// Convolution on tensor cores (conv2d_mma.cu): each returns false where the product is not one for them, which leaves
// the work to the caller.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace fastdl {

bool conv2d_fwd_on_tensor_cores(const Conv2dFwdArgs& p, Stream stream);
bool make_images_on_tensor_cores(const Conv2dBwdInputArgs& p, const void* bias, Stream stream);
bool conv2d_bwd_weight_on_tensor_cores(const Conv2dBwdWeightArgs& p, Stream stream);

}  // namespace fastdl
