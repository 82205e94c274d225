// Images as products on tensor cores want them: channels innermost, in the numbers of the product and in chunks of 16
// bytes (8 channels, 4 in TF32) with zeros behind the last channel of a group, one group behind the other:
//
//   x (n, c, y, x)  ->  (group, n, y, x, chunk of c)        padding stays implicit: a copy of zeros
#pragma once
#include "ops/matmul/mma_operand.cuh"

namespace fastdl {
namespace {

// Images (batch, groups * depth, pixels) with channels innermost.
void prepare_images(const void* images, int64_t batch, int64_t groups, int64_t depth, int64_t pixels, uint4* to,
                    ProductPrecision precision, Stream stream) {
  const int64_t chunks = chunks_of(depth, precision);
  prepare_operand({static_cast<const float*>(images), 1, pixels, groups * depth * pixels, depth * pixels, to, chunks,
                   pixels * chunks, batch * pixels * chunks, batch, groups, pixels, depth},
                  precision, stream);
}

}  // namespace
}  // namespace fastdl
