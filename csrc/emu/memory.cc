// The emulated device's memory. One range of addresses, reserved once, backed by pages only where touched:
//
//   arena   | shared memory of the running block | gap | allocation | gap | allocation | ...
//   flags   one byte for each byte of the arena: allocated, written
//   cells   one Cell for each 4-byte word: who wrote and read it last
//
// The shadow of an address is found by arithmetic. Gaps and fresh memory hold 0xff bytes, which are NaN as floats, so
// that what a kernel should not have read also shows in its numbers.
#include "emu/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <new>
#include <utility>

#include "emu/engine.h"

namespace fastdl::emu {

Arena arena;

namespace {

constexpr size_t kGap = 512;        // between allocations
constexpr size_t kAlignment = 256;  // as cudaMalloc
constexpr size_t kSharedGap = 64;   // between shared variables
constexpr int kPoison = 0xff;
constexpr size_t kLargestArena = size_t{16} << 30, kSmallestArena = size_t{256} << 20;
constexpr size_t kReturnPagesAbove = size_t{1} << 20;  // freed memory beyond this goes back to the system

std::map<uintptr_t, size_t> allocations;  // offset -> bytes as asked for
std::map<uintptr_t, size_t> free_ranges;  // offset -> bytes, neighbours merged
// Allocation goes on behind the last one, so that freed memory stays untouched for a while, and starts again at the
// front after kRound bytes, so that the pages in use stay few.
constexpr size_t kRound = size_t{32} << 20;
uintptr_t rover = 0;
size_t gone_since_start = 0;
std::vector<std::pair<uintptr_t, size_t>> dirty_gaps;

void* reserve(size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

size_t cell_bytes(size_t bytes) {
  return bytes / 4 * sizeof(Cell);
}

bool reserve_arena(size_t size) {
  void* data = reserve(size);
  void* flags = reserve(size);
  void* cells = reserve(cell_bytes(size));
  if (data && flags && cells) {
    arena = {reinterpret_cast<uintptr_t>(data), size, static_cast<uint8_t*>(flags), static_cast<Cell*>(cells),
             module_base()};
    return true;
  }
  if (data) munmap(data, size);
  if (flags) munmap(flags, size);
  if (cells) munmap(cells, cell_bytes(size));
  return false;
}

uint8_t* at(uintptr_t offset) {
  return reinterpret_cast<uint8_t*>(arena.base + offset);
}
size_t span(size_t bytes) {
  return (bytes + kGap + kAlignment - 1) / kAlignment * kAlignment;
}

std::map<uintptr_t, size_t>::iterator find_free(size_t bytes) {
  const auto fits = [&](const auto& range) { return range.second >= bytes; };
  const auto from = free_ranges.lower_bound(rover);
  const auto found = std::find_if(from, free_ranges.end(), fits);
  if (found != free_ranges.end()) return found;
  const auto wrapped = std::find_if(free_ranges.begin(), from, fits);
  return wrapped == from ? free_ranges.end() : wrapped;
}

// Zeroes the bytes and gives whole pages back to the system.
void forget_pages(uintptr_t start, size_t bytes) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t end = start + bytes, first = (start + page - 1) / page * page, last = end / page * page;
  std::memset(reinterpret_cast<void*>(start), 0, first - start);
  madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  std::memset(reinterpret_cast<void*>(last), 0, end - last);
}

void add_free(uintptr_t offset, size_t bytes) {
  auto next = free_ranges.lower_bound(offset);
  if (next != free_ranges.end() && offset + bytes == next->first) {
    bytes += next->second;
    next = free_ranges.erase(next);
  }
  if (next != free_ranges.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += bytes;
      return;
    }
  }
  free_ranges[offset] = bytes;
}

// ---- shared memory of the running block -----------------------------------------------------------------------------

struct SharedVariable {
  const void* key;
  uintptr_t offset;
  size_t bytes;
};
std::vector<SharedVariable> shared_variables;
size_t shared_end = 0, shared_bytes = 0;

uintptr_t add_shared(const void* key, size_t bytes, size_t alignment) {
  const size_t align = std::max<size_t>(alignment, 16);
  const uintptr_t offset = (shared_end + kSharedGap + align - 1) / align * align;
  shared_bytes += bytes;
  if (shared_bytes > max_shared_bytes()) {
    report_at(Kind::kSharedSize, key,
              "the block has " + std::to_string(shared_bytes) + " bytes of shared memory, the device " +
                  std::to_string(max_shared_bytes()));
    abort_launch();
  }
  std::memset(arena.flags + offset, kAllocated, bytes);
  std::memset(at(shared_end), kPoison, offset + bytes + kSharedGap - shared_end);
  shared_end = offset + bytes;
  shared_variables.push_back({key, offset, bytes});
  return offset;
}

constexpr char kDynamicKey = 0;  // its address stands for the launch's dynamic shared memory

std::string distance(uintptr_t offset, size_t bytes, uintptr_t start, size_t size, const char* what) {
  const std::string of = std::string(what) + " of " + std::to_string(size) + " bytes";
  if (offset == start + size) return "just past the end of " + of;
  if (offset > start + size) return std::to_string(offset - (start + size)) + " bytes past the end of " + of;
  if (offset + bytes <= start) return std::to_string(start - offset) + " bytes before " + of;
  return "across the bounds of " + of;
}

}  // namespace

void ensure_arena() {
  if (arena.size != 0) return;
  size_t size = kLargestArena;
  while (!reserve_arena(size)) {
    size /= 2;
    if (size < kSmallestArena) throw std::bad_alloc();
  }
  add_free(kSharedRegion + kGap, size - kSharedRegion - 2 * kGap);
}

// ---- global memory --------------------------------------------------------------------------------------------------

void* allocate_global(size_t bytes) {
  ensure_arena();
  if (bytes > arena.size) return nullptr;
  const auto range = find_free(span(bytes));
  if (range == free_ranges.end()) return nullptr;
  const auto [offset, available] = *range;
  free_ranges.erase(range);
  if (available > span(bytes)) free_ranges[offset + span(bytes)] = available - span(bytes);
  rover = offset + span(bytes);
  gone_since_start += span(bytes);
  if (gone_since_start > kRound) rover = gone_since_start = 0;
  allocations[offset] = bytes;
  std::memset(at(offset), kPoison, span(bytes));
  std::memset(arena.flags + offset, kAllocated, bytes);
  std::memset(arena.flags + offset + bytes, 0, span(bytes) - bytes);
  return at(offset);
}

bool free_global(void* data) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(data) - arena.base;
  const auto found = allocations.find(offset);
  if (found == allocations.end()) return false;
  const size_t bytes = span(found->second);
  allocations.erase(found);
  if (bytes > kReturnPagesAbove) {
    forget_pages(arena.base + offset, bytes);
    forget_pages(reinterpret_cast<uintptr_t>(arena.flags) + offset, bytes);
    forget_pages(reinterpret_cast<uintptr_t>(arena.cells) + cell_bytes(offset), cell_bytes(bytes));
  } else {
    std::memset(arena.flags + offset, 0, bytes);
    std::memset(at(offset), kPoison, bytes);
  }
  add_free(offset, bytes);
  return true;
}

size_t allocated_global() {
  size_t bytes = 0;
  for (const auto& [offset, size] : allocations) bytes += span(size);
  return bytes;
}

bool is_allocated(const void* p, size_t bytes) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(p) - arena.base;
  auto next = allocations.upper_bound(offset);
  if (next == allocations.begin()) return false;
  const auto [start, size] = *std::prev(next);
  return offset + bytes <= start + size && offset + bytes >= offset;
}

void mark_written(const void* p, size_t bytes) {
  std::memset(arena.flags + (reinterpret_cast<uintptr_t>(p) - arena.base), kAllocated | kWritten, bytes);
}
void copy_written(const void* to, const void* from, size_t bytes) {
  std::memmove(arena.flags + (reinterpret_cast<uintptr_t>(to) - arena.base),
               arena.flags + (reinterpret_cast<uintptr_t>(from) - arena.base), bytes);
}

void mark_pending(const void* p, size_t bytes) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(p) - arena.base;
  std::memset(at(offset), kPoison, bytes);
  std::memset(arena.flags + offset, kAllocated | kPending, bytes);
}
void mark_landed(const void* p, size_t bytes) {
  mark_written(p, bytes);
}

void forget_cells() {
  madvise(arena.cells, cell_bytes(arena.size), MADV_DONTNEED);
}

void repair_later(uintptr_t offset, size_t bytes) {
  if (dirty_gaps.size() < 65536) dirty_gaps.push_back({offset, bytes});
}
void repair_gaps() {
  for (auto [offset, bytes] : dirty_gaps)
    for (size_t i = offset; i < offset + bytes; ++i)
      if (!(arena.flags[i] & kAllocated)) *at(i) = kPoison;
  dirty_gaps.clear();
}

// ---- shared memory --------------------------------------------------------------------------------------------------

void begin_block_memory(size_t dynamic_bytes) {
  std::memset(arena.flags, 0, shared_end);
  shared_variables.clear();
  shared_end = shared_bytes = 0;
  if (dynamic_bytes > 0) add_shared(&kDynamicKey, dynamic_bytes, 128);
}

void* shared_variable(const void* key, size_t bytes, size_t alignment) {
  InEngine scope;
  for (const SharedVariable& v : shared_variables)
    if (v.key == key) return at(v.offset);
  return at(add_shared(key, bytes, alignment));
}
unsigned char* dynamic_shared() {
  InEngine scope;
  for (const SharedVariable& v : shared_variables)
    if (v.key == &kDynamicKey) return at(v.offset);
  return at(kSharedRegion);  // the launch asked for none: any access is out of bounds
}

// ---- words for reports ----------------------------------------------------------------------------------------------

std::string describe(uintptr_t offset, size_t bytes) {
  if (offset < kSharedRegion) {
    const SharedVariable* nearest = nullptr;
    size_t best = ~size_t{0};
    for (const SharedVariable& v : shared_variables) {
      const size_t d = offset >= v.offset ? offset - std::min(offset, v.offset + v.bytes) : v.offset - offset;
      if (d < best) best = d, nearest = &v;
    }
    if (!nearest) return "shared memory, of which the block has none";
    const bool dynamic = nearest->key == &kDynamicKey;
    return distance(offset, bytes, nearest->offset, nearest->bytes,
                    dynamic ? "the dynamic shared memory" : "a shared variable");
  }
  const auto next = allocations.upper_bound(offset);
  const bool has_next = next != allocations.end();
  if (next != allocations.begin()) {
    const auto [start, size] = *std::prev(next);
    if (!has_next || offset - start - std::min(offset - start, size) <= next->first - offset)
      return distance(offset, bytes, start, size, "an allocation");
  }
  return has_next ? distance(offset, bytes, next->first, next->second, "an allocation")
                  : "device memory without an owner";
}

}  // namespace fastdl::emu
