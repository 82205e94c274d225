// Tensor maps of the emulated device: the part of the driver's interface that cuda/tensor_map.cc uses, under the
// driver's names, and what the emulation makes of it.
#pragma once
#include <cstddef>
#include <cstdint>

#include "emu/runtime_api.h"

using cuuint32_t = uint32_t;
using cuuint64_t = uint64_t;

enum CUresult { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1 };
enum CUtensorMapDataType {
  CU_TENSOR_MAP_DATA_TYPE_FLOAT16 = 6,
  CU_TENSOR_MAP_DATA_TYPE_FLOAT32 = 7,
  CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 = 9,
};
enum CUtensorMapInterleave { CU_TENSOR_MAP_INTERLEAVE_NONE = 0 };
enum CUtensorMapSwizzle { CU_TENSOR_MAP_SWIZZLE_NONE = 0, CU_TENSOR_MAP_SWIZZLE_128B = 3 };
enum CUtensorMapL2promotion { CU_TENSOR_MAP_L2_PROMOTION_L2_256B = 3 };
enum CUtensorMapFloatOOBfill { CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE = 0 };
struct alignas(128) CUtensorMap {
  cuuint64_t opaque[16];
};
using PFN_cuTensorMapEncodeTiled_v12000 = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*,
                                                       const cuuint64_t*, const cuuint64_t*, const cuuint32_t*,
                                                       const cuuint32_t*, CUtensorMapInterleave, CUtensorMapSwizzle,
                                                       CUtensorMapL2promotion, CUtensorMapFloatOOBfill);
using PFN_cuTensorMapEncodeIm2col_v12000 = CUresult (*)(CUtensorMap*, CUtensorMapDataType, cuuint32_t, void*,
                                                        const cuuint64_t*, const cuuint64_t*, const int*, const int*,
                                                        cuuint32_t, cuuint32_t, const cuuint32_t*,
                                                        CUtensorMapInterleave, CUtensorMapSwizzle,
                                                        CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

enum cudaDriverEntryPointQueryResult { cudaDriverEntryPointSuccess = 0, cudaDriverEntryPointSymbolNotFound = 1 };
constexpr unsigned long long cudaEnableDefault = 0;
cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned version,
                                             unsigned long long flags, cudaDriverEntryPointQueryResult* found);

namespace fastdl::emu {

constexpr int kMostAxes = 5;
constexpr uint64_t kEncodedMap = 0x70616d726f736e65;  // tells a tensor map from other bytes

struct EncodedMap {  // axes from the contiguous one on
  uint64_t magic;
  const unsigned char* data;
  uint32_t size[kMostAxes];   // less one: up to 2^32
  int64_t stride[kMostAxes];  // bytes
  uint16_t box[kMostAxes];    // of pixels: channels, then the pixels of a run
  uint8_t item, rank, swizzled;
  bool pixels;  // im2col mode, of four axes: what follows is of x and y
  int8_t lower[2], upper[2];
  uint8_t every[2];

  int64_t size_of(int axis) const { return int64_t{size[axis]} + 1; }
};
static_assert(sizeof(EncodedMap) <= sizeof(CUtensorMap));

}  // namespace fastdl::emu
