// The gradient of the input, also as an operation of its own: transposed convolution adds a bias.
#pragma once
#include "ops/conv2d/conv2d.h"

namespace fastdl {

// grad_x = the gradient of the input + bias (in_channels numbers, or null).
void make_images(const Conv2dBwdInputArgs& p, const void* bias, Stream stream);

}  // namespace fastdl
