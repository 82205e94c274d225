// The caching allocator. Freed blocks are kept by size class, four classes to a power of two, and handed out again:
// fresh pages cost more than most kernels (0.3 to 2 microseconds for 4 KB). Blocks of 2 MB and more are aligned to 2 MB
// and advised to be huge pages. At most kCacheLimit bytes are kept; empty_cache() gives everything back.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "core/memory.h"
#include "cpu/parallel.h"
#include "cpu/recorder.h"

namespace fastdl {
namespace {

constexpr size_t kHuge = size_t{2} << 20, kPage = 4096;
constexpr int64_t kCacheLimit = int64_t{4} << 30;
constexpr int kClasses = 4 * 48;

// Class 4p+q holds blocks of 2^p * (4+q)/4 * 64 bytes: at most 25 % of a block is unused.
int size_class(size_t bytes) {
  const size_t units = (bytes + 63) / 64;
  if (units <= 4) return units <= 1 ? 0 : static_cast<int>(4 + (units == 2 ? 0 : units == 3 ? 2 : 4));
  const int p = 63 - __builtin_clzll(units);
  const size_t quarter = size_t{1} << (p - 2);
  const size_t q = (units - (size_t{1} << p) + quarter - 1) / quarter;
  return 4 * p + static_cast<int>(q);
}
size_t class_bytes(int c) {
  const int p = c / 4, q = c % 4;
  return 64 * (p < 2 ? (size_t{1} << p) * (4 + q) / 4 : (size_t{1} << (p - 2)) * (4 + q));
}

std::mutex mutex;
Buffer* free_blocks[kClasses];  // linked through owner
MemoryStats stats;

void give_back(Buffer* b) {
  std::lock_guard<std::mutex> lock(mutex);
  stats.allocated -= static_cast<int64_t>(b->bytes);
  if (stats.cached + static_cast<int64_t>(b->bytes) > kCacheLimit) {
    std::free(b->data);
    delete b;
    return;
  }
  stats.cached += static_cast<int64_t>(b->bytes);
  const int c = size_class(b->bytes);
  b->owner = free_blocks[c];
  free_blocks[c] = b;
}

Buffer* fresh(size_t bytes) {
  const size_t alignment = bytes >= kHuge ? kHuge : 64;
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (!data) {
    empty_cache();
    data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (!data) throw std::bad_alloc();
  }
  if (bytes >= kHuge) madvise(data, bytes, MADV_HUGEPAGE);
  Buffer* b = new Buffer;
  b->data = data;
  b->bytes = bytes;
  b->release = give_back;
  return b;
}

}  // namespace

Buffer* allocate(size_t bytes) {
  if (Recording* r = recording()) return r->arena.allocate(bytes);
  const int c = size_class(bytes);
  const size_t rounded = class_bytes(c);
  Buffer* b = nullptr;
  {
    std::lock_guard<std::mutex> lock(mutex);
    b = free_blocks[c];
    if (b) {
      free_blocks[c] = static_cast<Buffer*>(b->owner);
      stats.cached -= static_cast<int64_t>(rounded);
    }
    stats.allocated += static_cast<int64_t>(rounded);
    if (stats.allocated > stats.peak) stats.peak = stats.allocated;
  }
  if (b) {
    b->owner = nullptr;
    b->references.store(1, std::memory_order_relaxed);
    return b;
  }
  try {
    return fresh(rounded);
  } catch (...) {
    std::lock_guard<std::mutex> lock(mutex);
    stats.allocated -= static_cast<int64_t>(rounded);
    throw;
  }
}

void empty_cache() {
  std::lock_guard<std::mutex> lock(mutex);
  for (Buffer*& head : free_blocks) {
    while (Buffer* b = head) {
      head = static_cast<Buffer*>(b->owner);
      std::free(b->data);
      delete b;
    }
  }
  stats.cached = 0;
}

MemoryStats memory_stats() {
  std::lock_guard<std::mutex> lock(mutex);
  return stats;
}

void copy_from_host(void* device, const void* host, size_t bytes) {
  std::memcpy(device, host, bytes);
}
void copy_to_host(void* host, const void* device, size_t bytes) {
  std::memcpy(host, device, bytes);
}
void copy_on_device(void* to, const void* from, size_t bytes) {
  std::memcpy(to, from, bytes);
}

// Scratch is a stack of each thread: a kernel works where the one before it did, in the core's own cache. (Blocks from
// a list of all threads would change hands, and another core's lines come slowly.) What does not fit is allocated.
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 0;  // each by itself: the sanitizer sees what runs over
#else
constexpr size_t kStackBytes = size_t{4} << 20;
#endif

struct ScratchStack {
  char* memory = nullptr;
  size_t used = 0;
  ~ScratchStack() { std::free(std::exchange(memory, nullptr)); }
};
thread_local ScratchStack stack;

// In the 64 bytes before the data.
struct ScratchHead {
  Buffer* buffer;  // or null: part of the stack,
  size_t before;   // which had this height
};
constexpr size_t kHeadBytes = 64;

}  // namespace

void* scratch_allocate(size_t bytes) {
  ScratchStack& s = stack;
  ScratchHead head{nullptr, s.used};
  char* data;
  if (bytes < kStackBytes && s.used + kHeadBytes + bytes <= kStackBytes) {
    if (!s.memory) s.memory = static_cast<char*>(std::aligned_alloc(kPage, kStackBytes));
    if (!s.memory) throw std::bad_alloc();
    data = s.memory + s.used;
    s.used += kHeadBytes + (bytes + 63) / 64 * 64;
  } else {
    head.buffer = allocate(bytes + kHeadBytes);
    data = static_cast<char*>(head.buffer->data);
  }
  std::memcpy(data, &head, sizeof head);
  return data + kHeadBytes;
}

void scratch_release(void* data) {
  ScratchHead head;
  std::memcpy(&head, static_cast<char*>(data) - kHeadBytes, sizeof head);
  if (head.buffer)
    release(head.buffer);
  else
    stack.used = head.before;
}

}  // namespace fastdl
