// Elements that move as one: 1, 4, 8 or 16 bytes.
#pragma once
#include "cuda/access.cuh"

namespace fastdl {

struct alignas(16) Bits128 {
  uint64_t low, high;
};

template <class F>
void visit_unit(int bytes, F&& f) {
  if (bytes == 1) return f(uint8_t{});
  if (bytes == 4) return f(uint32_t{});
  if (bytes == 8) return f(uint64_t{});
  f(Bits128{});
}

}  // namespace fastdl
