// Descriptions of arrays for the copy engine of compute capability 9.0: which boxes of an array it may bring to shared
// memory. A kernel takes one as `const __grid_constant__ TensorMap` and gives its address to cp_async_bulk_tensor.
#pragma once
#include <cstdint>

namespace fastdl {

// The driver's CUtensorMap, or the emulation's.
struct alignas(128) TensorMap {
  unsigned char opaque[128];
};

enum class TensorMapType { kFloat32, kBfloat16, kFloat16 };

// Boxes of `box` elements of a (matrices, rows, columns) array whose rows are `pitch` elements apart. What lies outside
// the array arrives as zeros. Rows of a box are 128 bytes and arrive swizzled: the 16-byte chunk c of row r lies at
// chunk c ^ (r % 8), which is the order that wgmma reads without bank conflicts.
//
// data: on 16 bytes; pitch: a multiple of 16 bytes. Throws runtime_error where the driver refuses.
TensorMap tensor_map(TensorMapType type, const void* data, int64_t columns, int64_t rows, int64_t matrices,
                     int64_t pitch, int box_columns, int box_rows, int box_matrices = 1);

// One axis of the pixels that an image map counts: first, first + stride, ..., `count` of them along `size`; taps move
// them on by up to `farthest`. What then lies outside arrives as zeros.
struct PixelAxis {
  int64_t size;
  int first, stride, count, farthest;

  // What the copy engine can do: corners of 8 bits with a sign, offsets without one.
  constexpr bool fits() const {
    return first >= -128 && first <= 127 && last_corner() >= -128 && last_corner() <= 127 && stride <= 8 &&
           farthest <= 255;
  }
  // The last pixel's distance from the end, as the driver wants it.
  constexpr int64_t last_corner() const { return first + int64_t{count - 1} * stride - (size - 1); }
};

// Runs of `run` pixels, each `box_channels` of its channels, of images (image, y, x, channel) without gaps: im2col
// mode, in the driver's words. A run counts along x, then y, then images; cp_async_bulk_tensor_im2col says where it
// starts and how far its tap moves it. Swizzled as boxes are.
TensorMap image_map(TensorMapType type, const void* data, int64_t channels, int64_t images, const PixelAxis& y,
                    const PixelAxis& x, int box_channels, int run);

}  // namespace fastdl
