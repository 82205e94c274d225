// cuTensorMapEncodeTiled with the driver's conditions: what it refuses here, it refuses on a GPU.
#include "emu/tensor_map.h"

#include <cstring>

namespace fastdl::emu {
namespace {

CUresult encode_tiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* data, const cuuint64_t* sizes,
                      const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* every, CUtensorMapInterleave,
                      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  constexpr cuuint64_t kLongest = uint64_t{1} << 32, kFarthest = uint64_t{1} << 40;
  constexpr cuuint32_t kLargestBox = 256;
  const uint8_t item = type == CU_TENSOR_MAP_DATA_TYPE_FLOAT32 ? 4 : 2;
  if (rank == 0 || rank > kMostAxes || reinterpret_cast<uintptr_t>(data) % 16 != 0) return CUDA_ERROR_INVALID_VALUE;
  EncodedMap map{};
  map.magic = kEncodedMap;
  map.data = static_cast<const unsigned char*>(data);
  map.item = item;
  map.rank = static_cast<uint8_t>(rank);
  map.swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  for (cuuint32_t axis = 0; axis < rank; ++axis) {
    const cuuint64_t stride = axis == 0 ? item : strides[axis - 1];
    if (sizes[axis] == 0 || sizes[axis] > kLongest || stride >= kFarthest || (axis > 0 && stride % 16 != 0) ||
        box[axis] == 0 || box[axis] > kLargestBox || every[axis] != 1)
      return CUDA_ERROR_INVALID_VALUE;
    map.size[axis] = static_cast<int64_t>(sizes[axis]);
    map.stride[axis] = static_cast<int64_t>(stride);
    map.box[axis] = static_cast<uint16_t>(box[axis]);
  }
  const cuuint32_t row_bytes = box[0] * item;
  if (row_bytes % 16 != 0 || (map.swizzled && row_bytes > 128)) return CUDA_ERROR_INVALID_VALUE;
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &map, sizeof map);
  return CUDA_SUCCESS;
}

}  // namespace
}  // namespace fastdl::emu

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  const bool known = std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(&fastdl::emu::encode_tiled) : nullptr;
  *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
