// A batch of matrices whose axes may broadcast.
#pragma once
#include "core/array.h"
#include "cuda/launch.h"

namespace fastdl {

struct BatchOffsets {
  int64_t a, b;
};

// Where the operands of matrix `index` of the batch start.
struct Batch {
  Dims shape, stride_a, stride_b;

  __device__ BatchOffsets operator[](int64_t index) const {
    BatchOffsets at = {0, 0};
    // 64-bit divisions, but one thread of a block makes them (in vector products: once a row), and axes are few.
    for (int axis = shape.n - 1; axis >= 0; --axis) {
      const int64_t position = index % shape.d[axis];
      at.a += position * stride_a.d[axis];
      at.b += position * stride_b.d[axis];
      index /= shape.d[axis];
    }
    return at;
  }
};

}  // namespace fastdl
