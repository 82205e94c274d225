// Philox4x32-10, a counter-based generator (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): four
// words of 32 bits are a function of a counter and a seed alone. So number i of a call is the same on every device and
// for any number of threads.
#pragma once
#include <cstdint>

#include "core/host_device.h"

namespace fastdl {

constexpr uint32_t kPhiloxM0 = 0xD2511F53u, kPhiloxM1 = 0xCD9E8D57u;
constexpr uint32_t kPhiloxW0 = 0x9E3779B9u, kPhiloxW1 = 0xBB67AE85u;
constexpr int kPhiloxRounds = 10;

// Where the numbers of a call begin.
struct PhiloxKey {
  uint64_t seed, offset;
  const uint64_t* replay;  // on a device, in a graph: where seed and an addend to the offset lie; else null
};

struct Philox {
  uint32_t word[4];
};

// The words of counter i of the call.
FASTDL_HD Philox philox(const PhiloxKey& key, int64_t i) {
  const uint64_t seed = key.replay ? key.replay[0] : key.seed;
  const uint64_t counter = key.offset + (key.replay ? key.replay[1] : 0) + static_cast<uint64_t>(i);
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

}  // namespace fastdl
