// Transposed convolution: the kernels of conv2d's input gradient, with a bias that they add while a tile is in the
// nearest cache (ops/conv2d/conv2d_input_cpu.cc chooses among them).
#include "ops/conv2d/conv2d_input-inl.h"
#include "ops/conv_transpose2d/conv_transpose2d.h"

namespace fastdl::FASTDL_ISA {

void conv_transpose2d_fwd(const ConvTranspose2dFwdArgs& p) {
  make_images({p.dtype, p.g, p.x, p.weight, p.out}, p.bias);
}

}  // namespace fastdl::FASTDL_ISA
