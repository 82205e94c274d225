// The device's properties, and copies to and from it, for CUDA and its emulation alike. Everything goes to the current
// stream, so copies come after the kernels that made what they copy.
#include "cuda/runtime.h"

#include <map>
#include <mutex>
#include <stdexcept>

#include "cuda/capture.h"
#include "cuda/device_api.h"

namespace fastdl {

// ---- errors ---------------------------------------------------------------------------------------------------------

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // so that the next call does not report it again
  throw std::runtime_error("[cuda] expected " + std::string(what) + " to succeed, got " + cudaGetErrorName(error) +
                           ": " + cudaGetErrorString(error));
}

namespace {

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
}  // namespace

void expect_device() {
  if (devices().count == 0)
    throw std::runtime_error("[cuda] expected a CUDA device, got none (" + devices().problem + ")");
}

namespace {

int attribute(cudaDeviceAttr which) {
  expect_device();
  int device = 0, value = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute");
  return value;
}

// Host memory that CUDA does not know: a copy between it and the device has left or reached it when the stream is done.
void copy_and_wait(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const char* what) {
  const Stream stream = current_stream();
  check(cudaMemcpyAsync(to, from, bytes, kind, handle(stream)), what);
  check(cudaStreamSynchronize(handle(stream)), what);
  look_at_faults(stream);
}

}  // namespace

// ---- core/memory.h --------------------------------------------------------------------------------------------------

void copy_from_host(void* device, const void* host, size_t bytes) {
  if (bytes == 0) return;
  refuse_capture("a copy from the host, whose numbers would be those of the capture for ever");
  copy_and_wait(device, host, bytes, cudaMemcpyHostToDevice, "the copy to the device");
}
void copy_to_host(void* host, const void* device, size_t bytes) {
  if (bytes == 0) return;
  refuse_capture("a copy to the host, which waits for the device");
  copy_and_wait(host, device, bytes, cudaMemcpyDeviceToHost, "the copy from the device, or an earlier kernel,");
}
void copy_on_device(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, handle(current_stream())), "the copy on the device");
}

// ---- the device -----------------------------------------------------------------------------------------------------

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
Rates peak_rates() {
  // Asked once: for its clocks the driver goes to the device, which takes longer than a launch. (An emulated device may
  // change its architecture.)
  static std::mutex mutex;
  static std::map<int, Rates> known;
  const int capability = compute_capability();
  std::lock_guard<std::mutex> lock(mutex);
  if (const auto found = known.find(capability); found != known.end()) return found->second;
  // Lanes that multiply floats in each clock; NVIDIA's table of instructions by compute capability.
  const double lanes = multiprocessors() * (capability <= 80 ? 64.0 : 128.0);
  constexpr double kHz = 1000, kBothEdges = 2, kBits = 8;  // memory moves its width of bits twice in a clock
  const double multiply_adds = kHz * attribute(cudaDevAttrClockRate) * lanes;
  const double bytes =
      kHz * attribute(cudaDevAttrMemoryClockRate) * kBothEdges * attribute(cudaDevAttrGlobalMemoryBusWidth) / kBits;
  constexpr double kUsual = 10;  // multiply-adds a byte, where the driver does not say (virtual GPUs)
  return known[capability] = {multiply_adds, bytes > 0 ? bytes : multiply_adds / kUsual};
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
  refuse_capture("a wait for the device");
  expect_device();
  check(cudaDeviceSynchronize(), "every kernel");
  look_at_all_faults();
}
void set_zero(void* device, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  check(cudaMemsetAsync(device, 0, bytes, handle(stream)), "setting memory to zero");
}

}  // namespace fastdl
