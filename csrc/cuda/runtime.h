// The device's run time as the bindings and launchers see it. core/memory.h declares the memory functions.
#pragma once
#include <string>

#include "core/kernel.h"
#include "core/memory.h"

namespace pybind11 {
class module_;
}

namespace fastdl {

Stream current_stream();  // of this thread
int device_count();       // 0 without a device or driver; never throws
bool is_available();
int multiprocessors();      // of the current device: grids of persistent blocks are multiples of it
size_t max_shared_bytes();  // shared memory that a block may ask for
int compute_capability();   // 90 for 9.0
// What the device does in a second, by its clocks: multiply-adds of float32, and bytes to and from its memory.
struct Rates {
  double multiply_adds, bytes;
};
Rates peak_rates();
std::string device_name();
void synchronize();                                        // waits for all kernels; throws what they failed with
void set_zero(void* device, size_t bytes, Stream stream);  // in stream order

// Device memory for the inside of one launcher, e.g. partial sums. It goes back to the cache at the end of the scope;
// the next user's kernels come later in the same stream.
template <class T>
class DeviceScratch {
 public:
  explicit DeviceScratch(int64_t n) : buffer_(allocate(static_cast<size_t>(n) * sizeof(T))) {}
  ~DeviceScratch() { release(buffer_); }
  DeviceScratch(const DeviceScratch&) = delete;
  DeviceScratch& operator=(const DeviceScratch&) = delete;
  T* get() const { return static_cast<T*>(buffer_->data); }
  operator T*() const { return get(); }

 private:
  Buffer* buffer_;
};

void bind_runtime(pybind11::module_& m);

}  // namespace fastdl
