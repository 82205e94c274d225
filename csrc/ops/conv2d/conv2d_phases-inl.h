// The gradient of the input at strides above 1, all residues together.
#pragma once
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

bool phases_serve(const Conv2dGeometry& g);
void make_phases(const Conv2dBwdInputArgs& p, const void* bias);  // bias: in_channels numbers, or null
void winograd_phases(const Conv2dBwdInputArgs& p, const float* bias);

}  // namespace fastdl::FASTDL_ISA
