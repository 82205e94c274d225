// Page-locked host memory, which the device copies from and to by itself while the host goes on. Blocks are cached as
// those of the device are: locking pages takes longer than most copies.
#pragma once
#include <cstddef>
#include <vector>

#include "core/kernel.h"

namespace fastdl {

struct PinnedBlock {
  void* data;
  size_t bytes;
  std::vector<Stream> streams;  // that copy from or to it: it is not reused before they have done so
};
PinnedBlock* pinned_allocate(size_t bytes);
void pinned_release(PinnedBlock* block);
PinnedBlock* pinned_block(const void* p);  // that the address lies in, or null
void empty_pinned_cache();

// Return at once. The host must not change what is copied, or read the copy, before the stream is done.
void copy_from_pinned(void* device, PinnedBlock& block, const void* from, size_t bytes, Stream stream);
void copy_to_pinned(PinnedBlock& block, const void* device, size_t bytes, Stream stream);

}  // namespace fastdl
