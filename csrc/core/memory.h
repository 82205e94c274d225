// Memory of the device that this module was built for. Each device's run time defines these functions:
// cpu/allocator.cc for the CPU, cuda/runtime.cc for CUDA and its emulation.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fastdl {

// A block of memory shared by the arrays that view it. Freed (given back to its cache) with the last of them.
struct Buffer {
  std::atomic<int64_t> references{1};
  void* data = nullptr;
  size_t bytes = 0;                    // as allocated, at least what was asked for
  void (*release)(Buffer*) = nullptr;  // gives data back and deletes this
  void* owner = nullptr;               // for release: a Python object whose memory this is, or null
};

inline void retain(Buffer* b) {
  if (b) b->references.fetch_add(1, std::memory_order_relaxed);
}
inline void release(Buffer* b) {
  if (b && b->references.fetch_sub(1, std::memory_order_acq_rel) == 1) b->release(b);
}

Buffer* allocate(size_t bytes);  // 64-byte aligned, contents undefined; throws std::bad_alloc
void copy_from_host(void* device, const void* host, size_t bytes);
void copy_to_host(void* host, const void* device, size_t bytes);
void copy_on_device(void* to, const void* from, size_t bytes);
void empty_cache();

struct MemoryStats {
  int64_t allocated = 0, cached = 0, peak = 0;  // bytes in arrays, kept for reuse, most ever in arrays
};
MemoryStats memory_stats();

}  // namespace fastdl
