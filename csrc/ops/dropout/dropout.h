// Dropout by a counter-based generator (core/philox.h). Element i is kept or not by word i % 4 of counter offset + i /
// 4, on every device alike, so the gradient draws the same numbers again and no mask is stored.
#pragma once
#include "core/array.h"
#include "core/kernel.h"
#include "core/philox.h"

namespace fastdl {

struct DropoutArgs {
  DType dtype;
  int64_t n;
  uint32_t threshold;  // kept when word >= threshold; floor(p * 2^32)
  double scale;        // 1 / (1 - p); 0 with p = 1 (nothing is kept)
  bool drop_all;       // p = 1
  PhiloxKey key;
  const void* x;
  void* out;  // may be x
};

}  // namespace fastdl

FASTDL_KERNEL(dropout, DropoutArgs)
