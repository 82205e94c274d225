// The caching allocator. cudaMalloc takes longer than most kernels and cudaFree waits for all of them, so freed blocks
// are kept and handed out again.
//
//   pool      | stream | size class | block -> block -> ...
//   general      s0        0 ... 191
//   general      s1
//   graph A      s2
//
// Size classes: four to a power of two. Streams: a block belongs to the stream that was current when it was allocated,
// and is reused for that stream alone: kernels of the previous owner that still wait come first there. What was used on
// another stream too (used_on_stream) waits for an event of it. Pools: memory that a captured graph works in must not
// be handed out to others while the graph can be replayed, so it is in a pool of its own.
#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cuda/capture.h"
#include "cuda/pool.h"
#include "cuda/runtime.h"
#include "cuda/waiting.h"

namespace fastdl {
namespace {

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
int class_of(size_t bytes) {
  return size_class(bytes == 0 ? 1 : (bytes + kUnit - 1) / kUnit);
}

struct Block : Buffer {
  std::shared_ptr<Pool> pool;
  Stream stream = nullptr;
  std::vector<Stream> others;  // that used it, too
  Block* next = nullptr;       // in a list of free blocks
};

// Becomes a MemoryError in Python.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string what) : what_(std::move(what)) {}
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  std::string what_;
};

std::recursive_mutex mutex;  // guards all that follows; the last block of a pool takes the pool with it
using Lock = std::lock_guard<std::recursive_mutex>;
MemoryCounters counters;
WaitingBlocks<Block> waiting;
bool caching = !kExactAllocations;
int64_t limit = INT64_MAX;

cudaError_t device_allocate(void** data, size_t bytes) {
  if (static_cast<int64_t>(bytes) > limit - counters.segment_bytes.current) return cudaErrorMemoryAllocation;
  return cudaMalloc(data, bytes);
}

void free_now(Block* b) {
  const AllowInCapture allow;
  cudaFree(b->data);  // an error here belongs to an earlier kernel, which synchronize() reports
  counters.segments.add(-1);
  counters.segment_bytes.add(-static_cast<int64_t>(b->bytes));
  delete b;
}

}  // namespace

class Pool {
 public:
  explicit Pool(bool of_graphs) : of_graphs_(of_graphs) {}
  ~Pool() { free_all(); }

  bool of_graphs() const { return of_graphs_; }
  Block* take(Stream stream, size_t bytes) {
    Block*& head = free_[stream].head[class_of(bytes)];
    // Without caching a graph's blocks have exact sizes, and each allocation inside it has memory of its own.
    if (!caching || !head || head->bytes < bytes) return nullptr;
    Block* const b = head;
    head = b->next;
    return b;
  }
  void put(Block* b) {
    Block*& head = free_[b->stream].head[class_of(b->bytes)];
    b->next = head;
    head = b;
  }
  void free_all() {
    for (auto& [stream, lists] : free_)
      for (Block*& head : lists.head)
        while (Block* b = head) {
          head = b->next;
          free_now(b);
        }
  }

 private:
  struct Lists {
    Block* head[kClasses] = {};
  };
  bool of_graphs_;
  std::unordered_map<Stream, Lists> free_;
};

namespace {

const std::shared_ptr<Pool>& general() {
  static const auto* const pool = new std::shared_ptr<Pool>(new Pool(false));  // arrays may outlive static objects
  return *pool;
}
thread_local std::shared_ptr<Pool> chosen;  // by AllocateFrom

// Free blocks do not hold their pool, so that it ends with the last graph or array.
void put_back(Block* b) {
  const std::shared_ptr<Pool> pool = std::move(b->pool);
  if (!caching && !pool->of_graphs()) return free_now(b);
  pool->put(b);
}

void give_back(Buffer* buffer) {
  const Lock lock(mutex);
  Block* const b = static_cast<Block*>(buffer);
  counters.blocks.add(-1);
  counters.block_bytes.add(-static_cast<int64_t>(b->bytes));
  if (b->others.empty()) return put_back(b);
  waiting.add(b, std::exchange(b->others, {}));
}

void reclaim() {
  if (!capturing()) waiting.reclaim(put_back);
}
void empty_cache_locked() {
  reclaim();
  general()->free_all();
}

std::string shortage(size_t bytes) {
  size_t available = 0, total = 0;
  if (cudaMemGetInfo(&available, &total) != cudaSuccess) cudaGetLastError();
  const int64_t kept = counters.segment_bytes.current - counters.block_bytes.current;
  const std::string allowed = limit < INT64_MAX ? std::to_string(limit) + " allowed, " : "";
  return "[cuda] expected " + std::to_string(bytes) + " bytes of free device memory, got " + std::to_string(available) +
         " of " + std::to_string(total) + " (" + allowed + std::to_string(counters.block_bytes.current) +
         " in arrays, " + std::to_string(kept) + " kept for reuse)";
}

Block* fresh(size_t bytes) {
  expect_device();
  const AllowInCapture allow;
  void* data = nullptr;
  cudaError_t error = device_allocate(&data, bytes);
  if (error == cudaErrorMemoryAllocation && !capturing()) {  // cudaFree waits, which a capture may not
    cudaGetLastError();
    ++counters.retries;
    empty_cache_locked();
    error = device_allocate(&data, bytes);
  }
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    ++counters.out_of_memory;
    throw OutOfMemory(shortage(bytes));
  }
  check(error, "cudaMalloc");
  Block* const b = new Block;
  b->data = data;
  b->bytes = bytes;
  b->release = give_back;
  counters.segments.add(1);
  counters.segment_bytes.add(static_cast<int64_t>(bytes));
  return b;
}

}  // namespace

// ---- core/memory.h --------------------------------------------------------------------------------------------------

Buffer* allocate(size_t bytes) {
  const Lock lock(mutex);
  const size_t rounded = caching ? class_units(class_of(bytes)) * kUnit : bytes;
  const std::shared_ptr<Pool>& pool = chosen ? chosen : general();
  const Stream stream = current_stream();
  reclaim();
  Block* b = pool->take(stream, rounded);
  if (!b) b = fresh(rounded);
  b->references.store(1, std::memory_order_relaxed);
  b->pool = pool;
  b->stream = stream;
  counters.blocks.add(1);
  counters.block_bytes.add(static_cast<int64_t>(b->bytes));
  return b;
}

void empty_cache() {
  refuse_capture("empty_cache(), which waits for the device");
  const Lock lock(mutex);
  empty_cache_locked();
}

MemoryStats memory_stats() {
  const Lock lock(mutex);
  const MemoryCounter& arrays = counters.block_bytes;
  return {arrays.current, counters.segment_bytes.current - arrays.current, arrays.peak};
}

// ---- pool.h ---------------------------------------------------------------------------------------------------------

std::shared_ptr<Pool> new_pool() {
  return {new Pool(true), [](Pool* pool) {
            const Lock lock(mutex);
            delete pool;
          }};
}

AllocateFrom::AllocateFrom(std::shared_ptr<Pool> pool) : before_(std::exchange(chosen, std::move(pool))) {}
AllocateFrom::~AllocateFrom() {
  chosen = std::move(before_);
}

void used_on_stream(Buffer* buffer, Stream stream) {
  const Lock lock(mutex);
  if (buffer->release != give_back) return;  // memory of another library
  Block* const b = static_cast<Block*>(buffer);
  if (stream == b->stream || std::find(b->others.begin(), b->others.end(), stream) != b->others.end()) return;
  b->others.push_back(stream);
}

MemoryCounters memory_counters() {
  const Lock lock(mutex);
  return counters;
}

namespace {
template <class Change>
void for_each_counter(const Change& change) {
  const Lock lock(mutex);
  for (MemoryCounter* c : {&counters.blocks, &counters.block_bytes, &counters.segments, &counters.segment_bytes})
    change(*c);
}
}  // namespace

void reset_peak_memory() {
  for_each_counter([](MemoryCounter& c) { c.peak = c.current; });
}
void reset_accumulated_memory() {
  for_each_counter([](MemoryCounter& c) { c.allocated = c.freed = 0; });
  const Lock lock(mutex);
  counters.retries = counters.out_of_memory = 0;
}

void set_memory_limit(int64_t bytes) {
  const Lock lock(mutex);
  limit = bytes;
}
void set_caching(bool on) {
  const Lock lock(mutex);
  empty_cache_locked();
  caching = on;
}

}  // namespace fastdl
