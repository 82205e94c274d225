#include "cpu/arena.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <new>
#include <numeric>
#include <stdexcept>

namespace fastdl {
namespace {

constexpr size_t kAlignment = 64;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

size_t rounded(size_t bytes) {
  return std::max((bytes + kAlignment - 1) / kAlignment * kAlignment, kAlignment);
}

}  // namespace

struct Arena::Held : Buffer {
  std::shared_ptr<Arena> arena;
  size_t block;
  bool own;  // has memory of its own: the first time
};

void Arena::give_back(Buffer* b) {
  Held* held = static_cast<Held*>(b);
  if (held->own) {
    held->arena->blocks_[held->block].died = ++held->arena->clock_;
    std::free(held->data);
  }
  delete held;
}

struct Arena::Part : Buffer {
  Buffer* whole = nullptr;
  ~Part() { fastdl::release(whole); }
};

void Arena::give_back_part(Buffer* b) {
  delete static_cast<Part*>(b);
}

Arena::Arena() = default;
Arena::~Arena() {
  release(memory_);
}

void Arena::allocate_next_in(Buffer* whole, size_t offset, size_t bytes) {
  part_ = std::make_unique<Part>();
  part_->data = static_cast<char*>(whole->data) + offset;
  part_->bytes = bytes;
  part_->Buffer::release = give_back_part;
  part_->whole = whole;
  retain(whole);
}

Buffer* Arena::allocate(size_t bytes) {
  if (std::unique_ptr<Part> part = std::move(part_); part && part->bytes == bytes) {
    if (!memory_) parts_bytes_ += rounded(bytes);
    return part.release();
  }
  const size_t size = rounded(bytes);
  auto held = std::make_unique<Held>();
  held->arena = shared_from_this();
  held->bytes = size;
  held->release = give_back;
  held->own = !memory_;
  if (memory_) {
    held->block = next_++;
    if (held->block >= blocks_.size() || blocks_[held->block].bytes != size)
      throw std::logic_error("[record] expected the allocations of the first time, got others");
    held->data = static_cast<char*>(memory_->data) + blocks_[held->block].offset;
  } else {
    held->block = blocks_.size();
    held->data = std::aligned_alloc(kAlignment, size);  // never touched, so it costs addresses only
    if (!held->data) throw std::bad_alloc();
    blocks_.push_back({size, 0, ++clock_, kNever});
  }
  return held.release();
}

// The largest first, each at the lowest offset that is free while it lives. Networks are chains, where this is close to
// the least that is possible: what lives at once at the widest place.
void Arena::place() {
  std::vector<size_t> order(blocks_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return blocks_[a].bytes > blocks_[b].bytes; });
  std::vector<const Block*> placed;  // by offset
  for (size_t i : order) {
    Block& block = blocks_[i];
    block.offset = 0;
    for (const Block* other : placed) {
      if (other->born > block.died || other->died < block.born) continue;
      if (block.offset + block.bytes <= other->offset) break;
      block.offset = std::max(block.offset, other->offset + other->bytes);
    }
    const auto after = [](const Block* a, const Block* b) { return a->offset < b->offset; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &block, after), &block);
    memory_bytes_ = std::max(memory_bytes_, block.offset + block.bytes);
  }
  memory_ = fastdl::allocate(std::max(memory_bytes_, kAlignment));
}

size_t Arena::total() const {
  size_t sum = parts_bytes_;
  for (const Block& block : blocks_) sum += block.bytes;
  return sum;
}

}  // namespace fastdl
