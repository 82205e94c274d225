// The functions of the CUDA run time that cuda/*.cc call: NVIDIA's, or the emulation's of the same names.
#pragma once
#include <string>

#if defined(FASTDL_DEVICE_CUDA)
#include <cuda_runtime.h>
namespace fastdl {
constexpr bool kExactAllocations = false;  // freed blocks are cached by size class
constexpr bool kLaunchesWait = false;      // a launch returns before its kernel has run
}  // namespace fastdl
#else
#include "emu/runtime_api.h"
#include "emu/tensor_map.h"
namespace fastdl {
constexpr bool kExactAllocations = true;  // every array has its own bounds, so that the emulation sees one byte too far
constexpr bool kLaunchesWait = true;
}  // namespace fastdl
#endif

namespace fastdl {

void check(cudaError_t error, const char* what);  // "[cuda] expected <what> to succeed, got ..."
void expect_device();                             // throws where there is none

inline cudaStream_t handle(void* stream) {
  return static_cast<cudaStream_t>(stream);
}

// A capture refuses calls such as cudaMalloc, which do no work of a stream; inside this scope it allows them.
class AllowInCapture {
 public:
  AllowInCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~AllowInCapture() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  AllowInCapture(const AllowInCapture&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace fastdl
