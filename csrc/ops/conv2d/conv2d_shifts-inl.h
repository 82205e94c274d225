// Direct convolution of few input channels (conv2d_shifts_cpu.cc): where it serves, and itself.
#pragma once
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

bool shifts_serve(const View& v);
void conv_shifts(const View& v);

}  // namespace fastdl::FASTDL_ISA
