// Pooling windows along one axis: where one begins inside the input, and which contain a position.
#pragma once
#include "core/pool.h"
#include "cuda/planes.cuh"

namespace fastdl {

// First tap of a window that lies inside the input.
__device__ inline int64_t first_inside(int64_t start, int64_t dilation) {
  return start < 0 ? start + (-start + dilation - 1) / dilation * dilation : start;
}

// Windows along one axis that may contain position `at`: from the one whose last tap is at or after it to the one that
// starts at or before it.
struct WindowRange {
  int64_t first, end;
};
struct WindowAxis {
  int64_t reach, pad, out;  // reach: from the first tap to the last
  Divider stride;

  __device__ WindowRange around(int64_t at) const {
    const int64_t before = max(at + pad - reach, int64_t{0});
    return {stride.divide(before + stride.divisor - 1), min(out, stride.divide(at + pad) + 1)};
  }
};
inline WindowAxis window_rows(const PoolGeometry& g) {
  return {(g.kernel_h - 1) * g.dilation_h, g.pad_h, g.out_h, divide_by(g.stride_h)};
}
inline WindowAxis window_columns(const PoolGeometry& g) {
  return {(g.kernel_w - 1) * g.dilation_w, g.pad_w, g.out_w, divide_by(g.stride_w)};
}

}  // namespace fastdl
