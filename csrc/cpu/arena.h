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
  Arena();
  Arena(const Arena&) = delete;
  ~Arena();

  Buffer* allocate(size_t bytes);
  // The next allocation lies inside another one if it has this size, so that a concatenation need not copy it.
  void allocate_next_in(Buffer* whole, size_t offset, size_t bytes);
  void place();
  size_t bytes() const { return memory_bytes_; }  // what all arrays together take
  size_t total() const;                           // what they would take without sharing

 private:
  struct Block {
    size_t bytes, offset;
    int64_t born, died;
  };
  struct Held;  // a Buffer within an arena, which it keeps alive
  struct Part;  // a Buffer within another one, which it keeps alive
  static void give_back(Buffer* b);
  static void give_back_part(Buffer* b);

  std::vector<Block> blocks_;
  int64_t clock_ = 0;
  size_t next_ = 0;  // the block of the next allocation, the second time
  std::unique_ptr<Part> part_;
  size_t parts_bytes_ = 0;
  Buffer* memory_ = nullptr;
  size_t memory_bytes_ = 0;
};

}  // namespace fastdl
