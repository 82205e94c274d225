// Dropout by a counter-based generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// 2011). Element i is kept or not by word i % 4 of philox(counter = offset + i / 4, key = seed), on every device alike,
// so the gradient draws the same numbers again and no mask is stored.
#pragma once
#include "core/array.h"
#include "core/host_device.h"
#include "core/kernel.h"

namespace fastdl {

constexpr uint32_t kPhiloxM0 = 0xD2511F53u, kPhiloxM1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxW0 = 0x9E3779B9u, kPhiloxW1 = 0xBB67AE85u;
constexpr int kPhiloxRounds = 10;

struct Philox {
  uint32_t word[4];
};

FASTDL_HD Philox philox(uint64_t counter, uint64_t seed) {
  uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32), c2 = 0, c3 = 0;
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const uint64_t p0 = static_cast<uint64_t>(kPhiloxM0) * c0, p1 = static_cast<uint64_t>(kPhiloxM1) * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0, n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1), c3 = static_cast<uint32_t>(p0);
    c0 = n0, c2 = n2;
    k0 += kPhiloxW0, k1 += kPhiloxW1;
  }
  return {{c0, c1, c2, c3}};
}

struct DropoutArgs {
  DType dtype;
  int64_t n;
  uint32_t threshold;  // kept when word >= threshold; floor(p * 2^32)
  double scale;        // 1 / (1 - p); 0 with p = 1 (nothing is kept)
  bool drop_all;       // p = 1
  uint64_t seed, offset;
  const uint64_t* replay;  // on a device, in a graph: where seed and an addend to the offset lie; else null
  const void* x;
  void* out;  // may be x
};

}  // namespace fastdl

FASTDL_KERNEL(dropout, DropoutArgs)
