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
                     int64_t pitch, int box_columns, int box_rows);

}  // namespace fastdl
