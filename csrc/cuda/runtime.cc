// Device memory and the device's properties, for CUDA and its emulation alike. Freed blocks are kept by size class,
// four classes to a power of two, and handed out again: cudaMalloc takes longer than most kernels and cudaFree waits
// for all of them. All work goes to one stream, so a block may be reused while the kernels of its previous owner still
// wait.
#include "cuda/runtime.h"

#include <pybind11/pybind11.h>

#include <mutex>
#include <new>
#include <stdexcept>

#include "cuda/device_api.h"
#include "cuda/product_precision.h"

namespace fastdl {
namespace {

// ---- errors ---------------------------------------------------------------------------------------------------------

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not report it again
  throw std::runtime_error("[cuda] expected " + std::string(what) + " to succeed, got " + cudaGetErrorName(error) +
                           ": " + cudaGetErrorString(error));
}

// Becomes a MemoryError in Python.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(size_t bytes)
      : what_("[cuda] expected " + std::to_string(bytes) + " bytes of free device memory, got fewer") {}
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

struct Devices {
  int count = 0;
  std::string problem;
};
const Devices& devices() {
  static const Devices found = [] {
    Devices d;
    const cudaError_t error = cudaGetDeviceCount(&d.count);
    if (error != cudaSuccess) {
      cudaGetLastError();
      d.count = 0;
      d.problem = std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
    } else if (d.count == 0) {
      d.problem = "the driver found no device";
    }
    return d;
  }();
  return found;
}
void expect_device() {
  if (devices().count == 0)
    throw std::runtime_error("[cuda] expected a CUDA device, got none (" + devices().problem + ")");
}

int attribute(cudaDeviceAttr which) {
  expect_device();
  int device = 0, value = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

// ---- the caching allocator ------------------------------------------------------------------------------------------

constexpr size_t kUnit = 256;  // alignment and smallest block
constexpr int kClasses = 4 * 48;

// Classes 4p .. 4p+3 hold blocks of 2^p * {4, 5, 6, 7}/4 units: at most a quarter of a block is unused. Below four
// units there are no quarters, and those classes stay empty.
int size_class(size_t units) {
  const int p = 63 - __builtin_clzll(units);
  const int quarter = p < 2 ? 0 : p - 2;
  const size_t q = (units - (size_t{1} << p) + (size_t{1} << quarter) - 1) >> quarter;
  return 4 * p + static_cast<int>(q);
}
size_t class_units(int c) {
  const int p = c / 4;
  const size_t q = static_cast<size_t>(c % 4);
  return (size_t{1} << p) + (q << (p < 2 ? 0 : p - 2));
}

std::mutex mutex;
Buffer* free_blocks[kClasses];  // linked through owner
MemoryStats stats;

int class_of(size_t bytes) {
  return size_class(bytes == 0 ? 1 : (bytes + kUnit - 1) / kUnit);
}

void free_now(Buffer* b) {
  cudaFree(b->data);  // an error here belongs to an earlier kernel, which synchronize() reports
  delete b;
}

void give_back(Buffer* b) {
  std::lock_guard<std::mutex> lock(mutex);
  stats.allocated -= static_cast<int64_t>(b->bytes);
  if (kExactAllocations) return free_now(b);
  stats.cached += static_cast<int64_t>(b->bytes);
  const int c = class_of(b->bytes);
  b->owner = free_blocks[c];
  free_blocks[c] = b;
}

Buffer* take_cached(size_t bytes) {
  if (kExactAllocations) return nullptr;
  Buffer*& head = free_blocks[class_of(bytes)];
  Buffer* b = head;
  if (!b) return nullptr;
  head = static_cast<Buffer*>(b->owner);
  stats.cached -= static_cast<int64_t>(b->bytes);
  b->owner = nullptr;
  b->references.store(1, std::memory_order_relaxed);
  return b;
}

void empty_cache_locked() {
  for (Buffer*& head : free_blocks) {
    while (Buffer* b = head) {
      head = static_cast<Buffer*>(b->owner);
      free_now(b);
    }
  }
  stats.cached = 0;
}

Buffer* fresh(size_t bytes) {
  expect_device();
  void* data = nullptr;
  cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    empty_cache_locked();
    error = cudaMalloc(&data, bytes);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      throw OutOfMemory(bytes);
    }
  }
  check(error, "cudaMalloc");
  Buffer* b = new Buffer;
  b->data = data;
  b->bytes = bytes;
  b->release = give_back;
  return b;
}

}  // namespace

// ---- core/memory.h --------------------------------------------------------------------------------------------------

Buffer* allocate(size_t bytes) {
  const size_t rounded = kExactAllocations ? bytes : class_units(class_of(bytes)) * kUnit;
  std::lock_guard<std::mutex> lock(mutex);
  Buffer* b = take_cached(rounded);
  if (!b) b = fresh(rounded);
  stats.allocated += static_cast<int64_t>(rounded);
  if (stats.allocated > stats.peak) stats.peak = stats.allocated;
  return b;
}

void empty_cache() {
  std::lock_guard<std::mutex> lock(mutex);
  empty_cache_locked();
}

MemoryStats memory_stats() {
  std::lock_guard<std::mutex> lock(mutex);
  return stats;
}

void copy_from_host(void* device, const void* host, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "the copy to the device");
}
void copy_to_host(void* host, const void* device, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "the copy from the device, or an earlier kernel,");
}
void copy_on_device(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(current_stream())),
        "the copy on the device");
}

// ---- the device -----------------------------------------------------------------------------------------------------

Stream current_stream() {
  return nullptr;
}
int device_count() {
  return devices().count;
}
bool is_available() {
  return device_count() > 0;
}
int multiprocessors() {
  static const int n = attribute(cudaDevAttrMultiProcessorCount);
  return n;
}
size_t max_shared_bytes() {
  return static_cast<size_t>(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin));
}
int compute_capability() {
  return 10 * attribute(cudaDevAttrComputeCapabilityMajor) + attribute(cudaDevAttrComputeCapabilityMinor);
}
std::string device_name() {
  expect_device();
  cudaDeviceProp properties;
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return properties.name;
}
void synchronize() {
  expect_device();
  check(cudaDeviceSynchronize(), "every kernel");
}
void set_zero(void* device, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  check(cudaMemsetAsync(device, 0, bytes, static_cast<cudaStream_t>(stream)), "setting memory to zero");
}

void bind_runtime(pybind11::module_& m) {
  m.def("device_count", &device_count);
  m.def("is_available", &is_available);
  m.def("device_name", &device_name);
  m.def("multiprocessors", &multiprocessors);
  m.def("synchronize", &synchronize, pybind11::call_guard<pybind11::gil_scoped_release>());
  bind_product_precision(m);
#if !defined(FASTDL_DEVICE_CUDA)
  emu::bind_engine(m);
#endif
}

}  // namespace fastdl
