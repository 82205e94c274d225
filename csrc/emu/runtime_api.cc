#include "emu/runtime_api.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "emu/capture.h"
#include "emu/engine.h"
#include "emu/memory.h"

using namespace fastdl::emu;

namespace {

// GPUs of each architecture: clocks in kHz, the memory's width in bits.
struct Model {
  int architecture, multiprocessors, clock, memory_clock, memory_width;
};
constexpr Model kModels[] = {
    {75, 40, 1590000, 5001000, 256},    // T4
    {80, 108, 1410000, 1593000, 5120},  // A100 of 80 GB
    {89, 128, 2520000, 10501000, 384},  // RTX 4090
    {90, 132, 1980000, 2619000, 5120},  // H100
};
const Model& model() {
  for (const Model& m : kModels)
    if (m.architecture == engine.architecture) return m;
  std::abort();  // set_architecture knows no other
}

int64_t to_host = 0;                 // bytes that were copied there
std::map<uintptr_t, size_t> pinned;  // host memory of cudaHostAlloc: address -> bytes

cudaError_t copy_now(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  if (kind != cudaMemcpyDeviceToHost && !is_allocated(to, bytes)) return cudaErrorInvalidValue;
  if (kind != cudaMemcpyHostToDevice && !is_allocated(from, bytes)) return cudaErrorInvalidValue;
  std::memmove(to, from, bytes);
  if (kind == cudaMemcpyDeviceToHost) to_host += static_cast<int64_t>(bytes);
  if (kind == cudaMemcpyHostToDevice) mark_written(to, bytes);
  if (kind == cudaMemcpyDeviceToDevice) copy_written(to, from, bytes);
  return cudaSuccess;
}

cudaError_t set_now(void* data, int value, size_t bytes) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  if (!is_allocated(data, bytes)) return cudaErrorInvalidValue;
  std::memset(data, value, bytes);
  mark_written(data, bytes);
  return cudaSuccess;
}

}  // namespace

int64_t fastdl::emu::copied_to_host() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  return to_host;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  if (const cudaError_t error = unsafe_in_capture()) return error;
  std::lock_guard<std::mutex> lock(engine_mutex);
  *data = allocate_global(bytes);
  return *data ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaFree(void* data) {
  if (const cudaError_t error = unsafe_in_capture()) return error;
  std::lock_guard<std::mutex> lock(engine_mutex);
  return !data || free_global(data) ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  ensure_arena();
  *total = arena.size;
  *available = arena.size - allocated_global();
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  if (const cudaError_t error = unsafe_in_capture()) return error;
  constexpr size_t kPage = 4096;
  *data = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
  if (!*data) return cudaErrorMemoryAllocation;
  std::lock_guard<std::mutex> lock(engine_mutex);
  pinned[reinterpret_cast<uintptr_t>(*data)] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* data) {
  if (const cudaError_t error = unsafe_in_capture()) return error;
  std::lock_guard<std::mutex> lock(engine_mutex);
  pinned.erase(reinterpret_cast<uintptr_t>(data));
  std::free(data);
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  const auto next = pinned.upper_bound(address);
  const bool inside = next != pinned.begin() && address - std::prev(next)->first < std::prev(next)->second;
  attributes->type = inside               ? cudaMemoryTypeHost
                     : is_allocated(p, 1) ? cudaMemoryTypeDevice
                                          : cudaMemoryTypeUnregistered;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (captured(stream, [=] { copy_now(to, from, bytes, kind); })) return cudaSuccess;
  return copy_now(to, from, bytes, kind);
}

cudaError_t cudaMemsetAsync(void* data, int value, size_t bytes, cudaStream_t stream) {
  if (captured(stream, [=] { set_now(data, value, bytes); })) return cudaSuccess;
  return set_now(data, value, bytes);
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
    case cudaDevAttrClockRate:
      // What the device has fewer multiprocessors than the GPU, its clock is faster: its rates are the GPU's.
      *value = model().clock / kMultiprocessors * model().multiprocessors;
      break;
    case cudaDevAttrMemoryClockRate:
      *value = model().memory_clock;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = model().memory_width;
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

cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

namespace {

struct Text {
  cudaError_t error;
  const char *name, *text;
};
constexpr Text kTexts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
};

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  for (const Text& t : kTexts)
    if (t.error == error) return t.name;
  return "unknown";
}
const char* cudaGetErrorString(cudaError_t error) {
  for (const Text& t : kTexts)
    if (t.error == error) return t.text;
  return "unknown error";
}
