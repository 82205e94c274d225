// The copy engine: boxes of arrays and runs of pixels to shared memory. From its issue on a copy's destination is NaN
// and pending; it lands as late as possible (when no thread can run) in the ascending order of threads, at once in the
// descending one, and by chance in shuffled ones. Then the mbarrier counts its bytes.
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
  int offset[2];  // of a run of pixels
  unsigned char* to;
  const uint64_t* barrier;
  Thread* thread;
  const void* pc;
  std::vector<Seen> landed;  // what who waits for the copy has seen
};
std::vector<BoxCopy> under_way;

size_t rows_of(const EncodedMap& map) {
  size_t rows = 1;
  for (int axis = 1; axis < (map.pixels ? 2 : map.rank); ++axis) rows *= map.box[axis];
  return rows;
}
size_t box_bytes(const EncodedMap& map) {
  return rows_of(map) * map.box[0] * map.item;
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

// Where row number `row` of the box stands along the axes beyond the first.
struct Place {
  int64_t at[kMostAxes];
};

Place place_in_box(const BoxCopy& c, size_t row) {
  Place p{};
  for (int axis = 1; axis < c.map.rank; ++axis) {
    p.at[axis] = c.from[axis] + static_cast<int64_t>(row % c.map.box[axis]);
    row /= c.map.box[axis];
  }
  return p;
}

// Positions of windows along an axis of pixels, from `lower` to the end and `upper` beyond it.
int64_t positions(const EncodedMap& m, int i) {
  return (m.size_of(i + 1) - 1 + m.upper[i] - m.lower[i]) / m.every[i] + 1;
}

// A run goes on along x, then y, then images, from window to window; the offset moves each.
Place place_in_run(const BoxCopy& c, size_t row) {
  const EncodedMap& m = c.map;
  const int64_t x = (c.from[1] - m.lower[0]) / m.every[0] + static_cast<int64_t>(row), wide = positions(m, 0);
  const int64_t y = (c.from[2] - m.lower[1]) / m.every[1] + x / wide, high = positions(m, 1);
  return {{0, m.lower[0] + x % wide * m.every[0] + c.offset[0], m.lower[1] + y % high * m.every[1] + c.offset[1],
           c.from[3] + y / high}};
}

// [first, last) of a row's numbers lie inside the array, if the row does.
void copy_rows(const BoxCopy& c) {
  const EncodedMap& m = c.map;
  const int64_t first = std::max<int64_t>(0, -c.from[0]);
  const int64_t last = std::min<int64_t>(m.box[0], m.size_of(0) - c.from[0]);
  const size_t row_bytes = m.box[0] * m.item, rows = rows_of(m);
  for (size_t row = 0; row < rows; ++row) {
    const Place place = m.pixels ? place_in_run(c, row) : place_in_box(c, row);
    bool inside = last > first;
    const unsigned char* source = m.data + (c.from[0] + first) * static_cast<int64_t>(m.item);
    for (int axis = 1; axis < m.rank; ++axis) {
      inside = inside && place.at[axis] >= 0 && place.at[axis] < m.size_of(axis);
      source += place.at[axis] * m.stride[axis];
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

bool acceptable(const EncodedMap& map, const unsigned char* to, int rank, bool pixels, const void* pc) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(to) - arena.base;
  if (map.magic != kEncodedMap) return refuse(Kind::kDescriptor, pc, "this is no tensor map");
  if (map.pixels != pixels)
    return refuse(Kind::kDescriptor, pc,
                  pixels ? "a run of pixels by a tensor map of boxes" : "a box by a tensor map of pixels");
  if (map.rank != rank)
    return refuse(Kind::kDescriptor, pc,
                  std::to_string(rank) + " coordinates for a tensor map of " + std::to_string(map.rank) + " axes");
  if (offset >= kSharedRegion) return refuse(Kind::kOutOfBounds, pc, "boxes are brought to shared memory alone");
  if (offset % 128 != 0)
    return refuse(Kind::kMisaligned, pc, "brings a box to an address that is not a multiple of 128");
  return true;
}

// A run starts at one of its map's windows, and offsets have 8 bits.
bool acceptable_run(const BoxCopy& c) {
  constexpr int kFarthest = 255;
  for (int i = 0; i < 2; ++i) {
    const int64_t window = c.from[i + 1] - c.map.lower[i];
    if (window < 0 || window % c.map.every[i] != 0 || window / c.map.every[i] >= positions(c.map, i))
      return refuse(Kind::kDescriptor, c.pc, "a run of pixels starts where no window of the tensor map does");
    if (c.offset[i] > kFarthest)
      return refuse(Kind::kDescriptor, c.pc,
                    "a tap " + std::to_string(c.offset[i]) + " pixels from its window; offsets have 8 bits");
  }
  return true;
}

// From the issue on, by the running thread.
void issue(BoxCopy& c, const TensorMap* map, int rank, bool pixels) {
  InEngine scope;
  std::memcpy(&c.map, map, sizeof c.map);
  if (!acceptable(c.map, c.to, rank, pixels, c.pc) || (pixels && !acceptable_run(c))) return;
  c.thread = current;
  expect_mbarrier_fenced(c.barrier, c.pc);
  c.landed = copy_issued(current);
  if (!check_async_write(c.to, box_bytes(c.map), c.pc)) return;
  mark_pending(c.to, box_bytes(c.map));
  if (engine.order == Order::kDescending || (engine.order == Order::kShuffled && next_random() % 2 == 0))
    land(c);
  else
    under_way.push_back(std::move(c));
}

}  // namespace

void load_box(void* to, const TensorMap* map, const int* coordinates, int rank, uint64_t* barrier) {
  const void* pc = __builtin_return_address(0);
  if (!check_access<8>(barrier, Access::kAtomic, pc)) return;
  BoxCopy c{};
  c.to = static_cast<unsigned char*>(to), c.barrier = barrier, c.pc = pc;
  std::copy_n(coordinates, rank, c.from);
  issue(c, map, rank, false);
}

void load_pixels(void* to, const TensorMap* map, const int (&coordinates)[4], const uint16_t (&offsets)[2],
                 uint64_t* barrier) {
  const void* pc = __builtin_return_address(0);
  if (!check_access<8>(barrier, Access::kAtomic, pc)) return;
  BoxCopy c{};
  c.to = static_cast<unsigned char*>(to), c.barrier = barrier, c.pc = pc;
  std::copy_n(coordinates, 4, c.from);
  std::copy_n(offsets, 2, c.offset);
  issue(c, map, 4, true);
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
