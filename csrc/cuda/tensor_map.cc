#include "cuda/tensor_map.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include "cuda/device_api.h"

#if defined(FASTDL_DEVICE_CUDA)
#include <cudaTypedefs.h>
#endif

namespace fastdl {
namespace {

static_assert(sizeof(TensorMap) == sizeof(CUtensorMap) && alignof(TensorMap) >= alignof(CUtensorMap));

// The driver's functions are asked for by name: there may be no driver where the library is linked or imported.
void* find_encoder(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
  constexpr unsigned kVersion = 12000;
  const cudaError_t error = cudaGetDriverEntryPointByVersion(name, &function, kVersion, cudaEnableDefault, &found);
  if (error != cudaSuccess || found != cudaDriverEntryPointSuccess || !function) {
    cudaGetLastError();  // so that the next call does not report it again
    throw std::runtime_error("[cuda] expected a driver of CUDA 12 or newer for tensor maps, got one without " +
                             std::string(name) + " (" + cudaGetErrorName(error) + ")");
  }
  return function;
}

CUtensorMapDataType driver_type(TensorMapType type) {
  switch (type) {
    case TensorMapType::kBfloat16:
      return CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;
    case TensorMapType::kFloat16:
      return CU_TENSOR_MAP_DATA_TYPE_FLOAT16;
    case TensorMapType::kFloat32:
      break;
  }
  return CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
}

cuuint64_t bytes_of(TensorMapType type) {
  return type == TensorMapType::kFloat32 ? 4 : 2;
}

template <class Numbers>
std::string list(const Numbers& numbers) {
  std::string text;
  for (auto n : numbers) text += (text.empty() ? "" : ", ") + std::to_string(n);
  return "(" + text + ")";
}

TensorMap checked_map(const CUtensorMap& encoded, CUresult result, const void* data, const std::string& given) {
  if (result != CUDA_SUCCESS)
    throw std::runtime_error("[cuda] expected a tensor map that the driver accepts, got error " +
                             std::to_string(static_cast<int>(result)) + " for " + given + " and an address " +
                             std::to_string(reinterpret_cast<uintptr_t>(data) % 16) + " bytes past a multiple of 16");
  TensorMap map;
  std::memcpy(&map, &encoded, sizeof map);
  return map;
}

}  // namespace

TensorMap tensor_map(TensorMapType type, const void* data, int64_t columns, int64_t rows, int64_t matrices,
                     int64_t pitch, int box_columns, int box_rows, int box_matrices) {
  static const auto encode =
      reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(find_encoder("cuTensorMapEncodeTiled"));
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows),
                               static_cast<cuuint64_t>(matrices)};
  const cuuint64_t row_bytes = static_cast<cuuint64_t>(pitch) * bytes_of(type);
  const cuuint64_t strides[2] = {row_bytes, row_bytes * sizes[1]};  // of the two outer axes
  const cuuint32_t box[3] = {static_cast<cuuint32_t>(box_columns), static_cast<cuuint32_t>(box_rows),
                             static_cast<cuuint32_t>(box_matrices)};
  const cuuint32_t every[3] = {1, 1, 1};
  CUtensorMap encoded;
  const CUresult result = encode(&encoded, driver_type(type), 3, const_cast<void*>(data), sizes, strides, box, every,
                                 CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return checked_map(encoded, result, data,
                     "sizes " + list(sizes) + ", strides " + list(strides) + ", box " + list(box));
}

TensorMap image_map(TensorMapType type, const void* data, int64_t channels, int64_t images, const PixelAxis& y,
                    const PixelAxis& x, int box_channels, int run) {
  static const auto encode =
      reinterpret_cast<PFN_cuTensorMapEncodeIm2col_v12000>(find_encoder("cuTensorMapEncodeIm2col"));
  const cuuint64_t sizes[4] = {static_cast<cuuint64_t>(channels), static_cast<cuuint64_t>(x.size),
                               static_cast<cuuint64_t>(y.size), static_cast<cuuint64_t>(images)};
  cuuint64_t strides[3] = {sizes[0] * bytes_of(type)};
  strides[1] = strides[0] * sizes[1], strides[2] = strides[1] * sizes[2];
  const int lower[2] = {x.first, y.first};
  const int upper[2] = {static_cast<int>(x.last_corner()), static_cast<int>(y.last_corner())};
  const cuuint32_t every[4] = {1, static_cast<cuuint32_t>(x.stride), static_cast<cuuint32_t>(y.stride), 1};
  CUtensorMap encoded;
  const CUresult result =
      encode(&encoded, driver_type(type), 4, const_cast<void*>(data), sizes, strides, lower, upper,
             static_cast<cuuint32_t>(box_channels), static_cast<cuuint32_t>(run), every, CU_TENSOR_MAP_INTERLEAVE_NONE,
             CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return checked_map(encoded, result, data,
                     "sizes " + list(sizes) + ", strides " + list(strides) + ", corners " + list(lower) + " and " +
                         list(upper) + ", steps " + list(every));
}

}  // namespace fastdl
