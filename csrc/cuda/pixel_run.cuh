// Pixels of a batch of images, one after another.
#pragma once
#include "cuda/launch.h"

namespace fastdl {

// A run of pixels in row-major order over (image, y, x).
struct PixelRun {
  int64_t image;
  int y, x, rows, columns;  // the first pixel, and the pixels of an image

  __device__ static PixelRun from(int64_t pixel, int rows, int columns) {
    const int64_t row = pixel / columns;
    return {row / rows, static_cast<int>(row % rows), static_cast<int>(pixel % columns), rows, columns};
  }
  __device__ PixelRun operator+(int n) const {
    const unsigned over_x = x + n, over_y = y + over_x / columns;
    return {image + over_y / rows, static_cast<int>(over_y % rows), static_cast<int>(over_x % columns), rows, columns};
  }
};

}  // namespace fastdl
