// The functions of the CUDA run time that runtime.cc calls: NVIDIA's, or the emulation's of the same names.
#pragma once
#if defined(FASTDL_DEVICE_CUDA)
#include <cuda_runtime.h>
namespace fastdl {
constexpr bool kExactAllocations = false;  // freed blocks are cached by size class
}
#else
#include "emu/runtime_api.h"
#include "emu/tensor_map.h"
namespace fastdl {
constexpr bool kExactAllocations = true;  // every array has its own bounds, so that the emulation sees one byte too far
}
#endif
