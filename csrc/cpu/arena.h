// The memory of a recorded network: one block in which arrays that never live at the same time share bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/memory.h"

namespace fastdl {

// A network is recorded twice. The first time arrays get memory of their own, and the arena learns sizes and lifetimes;
// place() then finds an offset for each, and the second time, in the same order, arrays get these.
class Arena : public std::enable_shared_from_this<Arena> {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  ~Arena() { release(memory_); }

  Buffer* allocate(size_t bytes);
  void place();
  size_t bytes() const { return memory_bytes_; }  // what all arrays together take
  size_t total() const;                           // what they would take without sharing

 private:
  struct Block {
    size_t bytes, offset;
    int64_t born, died;
  };
  struct Held;  // a Buffer within an arena, which it keeps alive
  static void give_back(Buffer* b);

  std::vector<Block> blocks_;
  int64_t clock_ = 0;
  size_t next_ = 0;  // the block of the next allocation, the second time
  Buffer* memory_ = nullptr;
  size_t memory_bytes_ = 0;
};

}  // namespace fastdl
