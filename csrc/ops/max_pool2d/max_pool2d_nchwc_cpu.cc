// Max pooling with channels innermost.
#include "cpu/pool_nchwc-inl.h"
#include "ops/max_pool2d/max_pool2d.h"

namespace fastdl::FASTDL_ISA {

void max_pool2d_nchwc(const MaxPool2dNchwcArgs& a) {
  fold_nchwc(a.g, a.block, static_cast<const float*>(a.x), MaxFold<float>{}, static_cast<float*>(a.out));
}

}  // namespace fastdl::FASTDL_ISA
