// Global memory as the emulated run time sees it.
#pragma once
#include <cstddef>
#include <mutex>

namespace fastdl::emu {

extern std::mutex engine_mutex;  // held by a running kernel, and by whoever changes the memory's bookkeeping

void* allocate_global(size_t bytes);  // null when the arena is full
bool free_global(void* data);         // false: not an allocation
size_t allocated_global();            // bytes, with the gaps between allocations
bool is_allocated(const void* p, size_t bytes);
void mark_written(const void* p, size_t bytes);
void copy_written(const void* to, const void* from, size_t bytes);
int64_t copied_to_host();  // bytes, since the module was loaded

}  // namespace fastdl::emu
