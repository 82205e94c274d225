// Channels to pixels and back (sub-pixel convolution).
#pragma once
#include "core/kernel.h"

namespace fastdl {

// Forward: out[n][c][h * r + i][w * r + j] = x[n][(c * r + i) * r + j][h][w]. Backward is the inverse.
struct PixelShuffleArgs {
  DType dtype;
  int64_t planes;  // batch * channels of the large image
  int64_t h, w;    // of the small image
  int64_t r;
  const void* x;
  void* out;
};

}  // namespace fastdl

FASTDL_KERNEL(pixel_shuffle_fwd, PixelShuffleArgs)
FASTDL_KERNEL(pixel_unshuffle_fwd, PixelShuffleArgs)
