// Pools of device memory: one for everything, and one for each graph (or several that share it).
#pragma once
#include <cstddef>
#include <memory>

#include "core/kernel.h"
#include "core/memory.h"

namespace fastdl {

class Pool;
// Memory that a graph's kernels use belongs to the graph: a pool lives as long as a graph or an array holds it.
std::shared_ptr<Pool> new_pool();

// Everything that this thread allocates while it lives comes from `pool`.
class AllocateFrom {
 public:
  explicit AllocateFrom(std::shared_ptr<Pool> pool);
  ~AllocateFrom();
  AllocateFrom(const AllocateFrom&) = delete;

 private:
  std::shared_ptr<Pool> before_;
};

// `block` is in use on another stream than the one it was allocated for: its memory is not handed out again before
// what that stream has been given so far is done.
void used_on_stream(Buffer* block, Stream stream);

struct MemoryCounter {
  int64_t current = 0, peak = 0, allocated = 0, freed = 0;
  void add(int64_t n) {
    current += n;
    (n > 0 ? allocated : freed) += n > 0 ? n : -n;
    if (current > peak) peak = current;
  }
};
struct MemoryCounters {
  MemoryCounter blocks, block_bytes;       // in arrays
  MemoryCounter segments, segment_bytes;   // of the device, in arrays or kept for reuse
  int64_t retries = 0, out_of_memory = 0;  // times the cache was emptied for an allocation; failures in spite of that
};
MemoryCounters memory_counters();
void reset_peak_memory();
void reset_accumulated_memory();
void set_memory_limit(int64_t bytes);  // of what is taken from the device; what goes beyond counts as out of memory
void set_caching(bool on);  // off: freed memory goes back to the device at once, and blocks have their exact size

}  // namespace fastdl
