// cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col with the driver's conditions: what they refuse here, they refuse
// on a GPU.
#include "emu/tensor_map.h"

#include <cstring>

namespace fastdl::emu {
namespace {

// What the two kinds have in common.
bool describe_array(EncodedMap& map, CUtensorMapDataType type, cuuint32_t rank, void* data, const cuuint64_t* sizes,
                    const cuuint64_t* strides, CUtensorMapSwizzle swizzle) {
  constexpr cuuint64_t kLongest = uint64_t{1} << 32, kFarthest = uint64_t{1} << 40;
  if (rank == 0 || rank > kMostAxes || reinterpret_cast<uintptr_t>(data) % 16 != 0) return false;
  map.magic = kEncodedMap;
  map.data = static_cast<const unsigned char*>(data);
  map.item = type == CU_TENSOR_MAP_DATA_TYPE_FLOAT32 ? 4 : 2;
  map.rank = static_cast<uint8_t>(rank);
  map.swizzled = swizzle == CU_TENSOR_MAP_SWIZZLE_128B;
  for (cuuint32_t axis = 0; axis < rank; ++axis) {
    const cuuint64_t stride = axis == 0 ? map.item : strides[axis - 1];
    if (sizes[axis] == 0 || sizes[axis] > kLongest || stride >= kFarthest || (axis > 0 && stride % 16 != 0))
      return false;
    map.size[axis] = static_cast<uint32_t>(sizes[axis] - 1);
    map.stride[axis] = static_cast<int64_t>(stride);
  }
  return true;
}

bool set_box(EncodedMap& map, int axis, cuuint32_t box, cuuint32_t most) {
  map.box[axis] = static_cast<uint16_t>(box);
  if (axis == 0 && (box * map.item % 16 != 0 || (map.swizzled && box * map.item > 128))) return false;
  return box > 0 && box <= most;
}

CUresult finish_map(const EncodedMap& map, bool accepted, CUtensorMap* out) {
  if (!accepted) return CUDA_ERROR_INVALID_VALUE;
  std::memset(out, 0, sizeof *out);
  std::memcpy(out, &map, sizeof map);
  return CUDA_SUCCESS;
}

CUresult encode_tiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* data, const cuuint64_t* sizes,
                      const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* every, CUtensorMapInterleave,
                      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  constexpr cuuint32_t kLargestBox = 256;
  EncodedMap map{};
  bool accepted = describe_array(map, type, rank, data, sizes, strides, swizzle);
  for (int axis = 0; axis < map.rank; ++axis)
    accepted = accepted && set_box(map, axis, box[axis], kLargestBox) && every[axis] == 1;
  return finish_map(map, accepted, out);
}

CUresult encode_im2col(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* data, const cuuint64_t* sizes,
                       const cuuint64_t* strides, const int* lower, const int* upper, cuuint32_t channels,
                       cuuint32_t run, const cuuint32_t* every, CUtensorMapInterleave, CUtensorMapSwizzle swizzle,
                       CUtensorMapL2promotion, CUtensorMapFloatOOBfill) {
  constexpr cuuint32_t kMostChannels = 256, kLongestRun = 1024, kLargestStep = 8;
  constexpr int kCorner = 128;  // corners have 8 bits where there are four axes
  EncodedMap map{};
  bool accepted = rank == 4 && describe_array(map, type, rank, data, sizes, strides, swizzle) &&
                  set_box(map, 0, channels, kMostChannels) && set_box(map, 1, run, kLongestRun);
  map.pixels = true;
  for (int i = 0; accepted && i < 2; ++i) {
    accepted = lower[i] >= -kCorner && lower[i] < kCorner && upper[i] >= -kCorner && upper[i] < kCorner &&
               every[i + 1] > 0 && every[i + 1] <= kLargestStep && map.size_of(i + 1) + upper[i] > lower[i];
    map.lower[i] = static_cast<int8_t>(lower[i]), map.upper[i] = static_cast<int8_t>(upper[i]);
    map.every[i] = static_cast<uint8_t>(every[i + 1]);
  }
  return finish_map(map, accepted, out);
}

}  // namespace
}  // namespace fastdl::emu

cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  *function = nullptr;
  if (std::strcmp(symbol, "cuTensorMapEncodeTiled") == 0)
    *function = reinterpret_cast<void*>(&fastdl::emu::encode_tiled);
  if (std::strcmp(symbol, "cuTensorMapEncodeIm2col") == 0)
    *function = reinterpret_cast<void*>(&fastdl::emu::encode_im2col);
  *found = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
