// Weight gradients with lanes over channels, for shapes that leave most of the other forms' vectors empty.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace fastdl::FASTDL_ISA {

bool few_serve_weights(DType dtype, const Conv2dGeometry& g);  // few input channels
void weight_gradient_few(const Conv2dBwdWeightArgs& p);
bool depthwise_serves_weights(DType dtype, const Conv2dGeometry& g);  // small planes
void weight_gradient_depthwise(const Conv2dBwdWeightArgs& p);

}  // namespace fastdl::FASTDL_ISA
