// The copy engine: boxes of arrays to shared memory. From its issue on a copy's destination is NaN and pending; it
// lands as late as possible (when no thread can run) in the ascending order of threads, at once in the descending one,
// and by chance in shuffled ones. Then the mbarrier counts its bytes.
#include <algorithm>
#include <cstring>

#include "emu/engine.h"
#include "emu/hopper.h"
#include "emu/tensor_map.h"

namespace fastdl::emu {
namespace {

struct BoxCopy {
  EncodedMap map;
  int from[kMostAxes];
  unsigned char* to;
  const uint64_t* barrier;
  Thread* thread;
  const void* pc;
  std::vector<Seen> landed;  // what who waits for the copy has seen
};
std::vector<BoxCopy> under_way;

size_t box_bytes(const EncodedMap& map) {
  size_t bytes = map.item;
  for (int axis = 0; axis < map.rank; ++axis) bytes *= map.box[axis];
  return bytes;
}

// Address bits 4 to 6 are changed by bits 7 to 9.
unsigned char* swizzled(unsigned char* p) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  return reinterpret_cast<unsigned char*>(address ^ (address >> 7 & 7) << 4);
}

// One row of the box: `before` bytes of zeros, `inside` bytes from `from`, zeros up to `bytes`. A chunk of 16 bytes
// goes where the swizzle says.
void copy_row(const BoxCopy& c, unsigned char* to, const unsigned char* from, size_t before, size_t inside,
              size_t bytes) {
  std::vector<unsigned char> row(bytes, 0);
  if (inside > 0) {
    if (check_async_read(from, inside, c.pc))
      std::memcpy(row.data() + before, from, inside);
    else
      std::memset(row.data() + before, 0xff, inside);
  }
  for (size_t at = 0; at < bytes; at += 16)
    std::memcpy(c.map.swizzled ? swizzled(to + at) : to + at, row.data() + at, std::min<size_t>(16, bytes - at));
}

// [first, last) of a row's numbers lie inside the array, if the row does.
void copy_rows(const BoxCopy& c) {
  const EncodedMap& m = c.map;
  const int64_t first = std::max<int64_t>(0, -c.from[0]);
  const int64_t last = std::min<int64_t>(m.box[0], m.size[0] - c.from[0]);
  const size_t row_bytes = m.box[0] * m.item;
  size_t rows = 1;
  for (int axis = 1; axis < m.rank; ++axis) rows *= m.box[axis];
  for (size_t row = 0; row < rows; ++row) {
    bool inside = last > first;
    const unsigned char* source = m.data + (c.from[0] + first) * static_cast<int64_t>(m.item);
    size_t rest = row;
    for (int axis = 1; axis < m.rank; ++axis) {
      const int64_t at = c.from[axis] + static_cast<int64_t>(rest % m.box[axis]);
      rest /= m.box[axis];
      inside = inside && at >= 0 && at < m.size[axis];
      source += at * m.stride[axis];
    }
    const size_t count = inside ? static_cast<size_t>(last - first) * m.item : 0;
    copy_row(c, c.to + row * row_bytes, source, static_cast<size_t>(first) * m.item, count, row_bytes);
  }
}

void land(const BoxCopy& c) {
  Thread* running = current;
  current = c.thread;
  mark_landed(c.to, box_bytes(c.map));
  copy_rows(c);
  bytes_landed(c.barrier, static_cast<int64_t>(box_bytes(c.map)), c.landed, c.pc);
  current = running;
}

bool refuse(Kind kind, const void* pc, const std::string& message) {
  if (!repeated(kind, pc)) report_at(kind, pc, message);
  return false;
}

bool acceptable(const EncodedMap& map, const unsigned char* to, int rank, const void* pc) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(to) - arena.base;
  if (map.magic != kEncodedMap) return refuse(Kind::kDescriptor, pc, "this is no tensor map");
  if (map.rank != rank)
    return refuse(Kind::kDescriptor, pc,
                  std::to_string(rank) + " coordinates for a tensor map of " + std::to_string(map.rank) + " axes");
  if (offset >= kSharedRegion) return refuse(Kind::kOutOfBounds, pc, "boxes are brought to shared memory alone");
  if (offset % 128 != 0)
    return refuse(Kind::kMisaligned, pc, "brings a box to an address that is not a multiple of 128");
  return true;
}

}  // namespace

void load_box(void* to, const TensorMap* map, const int* coordinates, int rank, uint64_t* barrier) {
  const void* pc = __builtin_return_address(0);
  if (!check_access<8>(barrier, Access::kAtomic, pc)) return;
  InEngine scope;
  BoxCopy c{};
  std::memcpy(&c.map, map, sizeof c.map);
  c.to = static_cast<unsigned char*>(to);
  if (!acceptable(c.map, c.to, rank, pc)) return;
  std::copy_n(coordinates, rank, c.from);
  c.barrier = barrier;
  c.thread = current;
  c.pc = pc;
  expect_mbarrier_fenced(barrier, pc);
  c.landed = copy_issued(current);
  if (!check_async_write(to, box_bytes(c.map), pc)) return;
  mark_pending(to, box_bytes(c.map));
  if (engine.order == Order::kDescending || (engine.order == Order::kShuffled && next_random() % 2 == 0))
    land(c);
  else
    under_way.push_back(std::move(c));
}

bool land_copy() {
  if (under_way.empty()) return false;
  const size_t which = engine.order == Order::kShuffled ? next_random() % under_way.size() : 0;
  const BoxCopy c = std::move(under_way[which]);
  under_way.erase(under_way.begin() + static_cast<std::ptrdiff_t>(which));
  land(c);
  return true;
}

void check_boxes_at_end() {
  for (const BoxCopy& c : under_way)
    refuse(Kind::kAsync, c.pc, "the block ends while this copy of a box is under way; nothing waited for it");
  under_way.clear();
}

void forget_boxes() {
  under_way.clear();
}

}  // namespace fastdl::emu
