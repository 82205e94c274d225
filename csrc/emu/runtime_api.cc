#include "emu/runtime_api.h"

#include <cstdio>
#include <cstring>

#include "emu/engine.h"
#include "emu/memory.h"

using namespace fastdl::emu;

cudaError_t cudaMalloc(void** data, size_t bytes) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  *data = allocate_global(bytes);
  return *data ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void* data) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  return !data || free_global(data) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  if (kind != cudaMemcpyDeviceToHost && !is_allocated(to, bytes)) return cudaErrorInvalidValue;
  if (kind != cudaMemcpyHostToDevice && !is_allocated(from, bytes)) return cudaErrorInvalidValue;
  std::memmove(to, from, bytes);
  if (kind == cudaMemcpyHostToDevice) mark_written(to, bytes);
  if (kind == cudaMemcpyDeviceToDevice) copy_written(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy(to, from, bytes, kind);
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  if (!is_allocated(data, bytes)) return cudaErrorInvalidValue;
  std::memset(data, value, bytes);
  mark_written(data, bytes);
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {
  switch (which) {
    case cudaDevAttrMultiProcessorCount:
      *value = kMultiprocessors;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(max_shared_bytes());
      break;
    case cudaDevAttrComputeCapabilityMajor:
      *value = engine.architecture / 10;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = engine.architecture % 10;
      break;
  }
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::snprintf(properties->name, sizeof properties->name, "CUDA emulation (compute capability %d.%d)",
                engine.architecture / 10, engine.architecture % 10);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  return cudaSuccess;
}
cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
  }
  return "unknown";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
  }
  return "unknown error";
}
