// Transposed convolution on CUDA: the kernels of conv2d's input gradient, which add the bias to each finished tile
// (ops/conv2d/conv2d.cu).
#include "ops/conv2d/conv2d_input.cuh"
#include "ops/conv_transpose2d/conv_transpose2d.h"

namespace fastdl {

void conv_transpose2d_fwd(const ConvTranspose2dFwdArgs& p, Stream stream) {
  make_images({p.dtype, p.g, p.x, p.weight, p.out}, p.bias, stream);
}

}  // namespace fastdl
