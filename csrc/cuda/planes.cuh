// Places in a stack of planes (images times channels), from a flat index without a division.
#pragma once
#include "cuda/access.cuh"

namespace fastdl {

struct Place {
  int64_t plane;
  int y, x;
};

struct Planes {
  Divider h, w;

  __device__ Place operator[](int64_t i) const {
    const int64_t row = w.divide(i), plane = h.divide(row);
    return {plane, static_cast<int>(row - plane * h.divisor), static_cast<int>(i - row * w.divisor)};
  }
  __device__ int64_t size() const { return h.divisor * w.divisor; }
};

inline Planes planes_of(int64_t h, int64_t w) {
  return {divide_by(h), divide_by(w)};
}

}  // namespace fastdl
