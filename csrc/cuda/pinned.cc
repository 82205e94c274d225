#include "cuda/pinned.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "cuda/capture.h"
#include "cuda/waiting.h"

namespace fastdl {
namespace {

constexpr size_t kSmallest = 512;

std::mutex mutex;                                         // guards all that follows
std::map<size_t, std::vector<PinnedBlock*>> free_blocks;  // by their size, a power of two
std::map<const char*, PinnedBlock*> in_use;               // by their address
WaitingBlocks<PinnedBlock> waiting;

size_t rounded(size_t bytes) {
  size_t size = kSmallest;
  while (size < bytes) size *= 2;
  return size;
}

void reclaim() {
  if (!capturing()) waiting.reclaim([](PinnedBlock* b) { free_blocks[b->bytes].push_back(b); });
}

void note_use(PinnedBlock& block, Stream stream) {
  std::lock_guard<std::mutex> lock(mutex);
  if (std::find(block.streams.begin(), block.streams.end(), stream) == block.streams.end())
    block.streams.push_back(stream);
}

}  // namespace

PinnedBlock* pinned_allocate(size_t bytes) {
  expect_device();
  std::lock_guard<std::mutex> lock(mutex);
  reclaim();
  std::vector<PinnedBlock*>& same = free_blocks[rounded(bytes)];
  PinnedBlock* block = nullptr;
  if (same.empty()) {
    const AllowInCapture allow;
    void* data = nullptr;
    check(cudaHostAlloc(&data, rounded(bytes), cudaHostAllocDefault), "locking host memory");
    block = new PinnedBlock{data, rounded(bytes), {}};
  } else {
    block = same.back();
    same.pop_back();
  }
  return in_use[static_cast<const char*>(block->data)] = block;
}

void pinned_release(PinnedBlock* block) {
  std::lock_guard<std::mutex> lock(mutex);
  in_use.erase(static_cast<const char*>(block->data));
  if (block->streams.empty())
    free_blocks[block->bytes].push_back(block);
  else
    waiting.add(block, std::exchange(block->streams, {}));
}

PinnedBlock* pinned_block(const void* p) {
  std::lock_guard<std::mutex> lock(mutex);
  const char* const at = static_cast<const char*>(p);
  const auto next = in_use.upper_bound(at);
  if (next == in_use.begin()) return nullptr;
  PinnedBlock* const block = std::prev(next)->second;
  return at < static_cast<const char*>(block->data) + block->bytes ? block : nullptr;
}

void empty_pinned_cache() {
  std::lock_guard<std::mutex> lock(mutex);
  reclaim();
  for (auto& [bytes, blocks] : free_blocks) {
    for (PinnedBlock* b : blocks) {
      cudaFreeHost(b->data);
      delete b;
    }
    blocks.clear();
  }
}

void copy_from_pinned(void* device, PinnedBlock& block, const void* from, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(device, from, bytes, cudaMemcpyHostToDevice, handle(stream)), "the copy to the device");
  note_use(block, stream);
}

void copy_to_pinned(PinnedBlock& block, const void* device, size_t bytes, Stream stream) {
  if (bytes == 0) return;
  check(cudaMemcpyAsync(block.data, device, bytes, cudaMemcpyDeviceToHost, handle(stream)), "the copy from the device");
  note_use(block, stream);
}

}  // namespace fastdl
