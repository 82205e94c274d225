// Philox4x32-10 (core/philox.h) over vectors of counters.
//
// A 64-bit lane carries one 32-bit word of one counter, because the 32 x 32 -> 64 bit multiplication of every
// instruction set reads the low half of such lanes and ignores the high one. So nothing is masked between the rounds:
// the high halves may hold anything, in the end too. The rounds are a chain of dependent instructions, so kPhiloxGroups
// vectors of counters run side by side.
#pragma once
#include "core/philox.h"
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

using Word64 = Vec<uint64_t>;

constexpr int kPhiloxGroups = 2;
constexpr int kPhiloxCounters = kPhiloxGroups * kLanes<uint64_t>;  // made at a time
constexpr uint64_t kLowHalf = 0xffffffffu;

// The full products of the low halves.
FASTDL_INLINE Word64 multiply_low_halves(Word64 a, Word64 b) {
#if defined(FASTDL_ISA_avx512)
  return (Word64)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b);
#elif defined(FASTDL_ISA_avx2)
  return (Word64)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__x86_64__)
  return (Word64)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
  return (a & kLowHalf) * (b & kLowHalf);
#endif
}
FASTDL_INLINE Word64 multiply_low_halves(Word64 a, uint32_t b) {
  return multiply_low_halves(a, broadcast<uint64_t>(b));
}

// Two words in one lane.
FASTDL_INLINE Word64 join_words(Word64 low, Word64 high) {
  return (low & kLowHalf) | (high << 32);
}

// Word k of a vector of counters, in the low halves of w[k].
struct PhiloxWords {
  Word64 w[4];
};
// Those of kPhiloxCounters counters from `counter` on.
FASTDL_INLINE void philox_words(uint64_t counter, uint64_t seed, PhiloxWords (&out)[kPhiloxGroups]) {
  const Word64 lane = (Word64)lane_numbers<double>();
  Word64 c0[kPhiloxGroups], c1[kPhiloxGroups], c2[kPhiloxGroups]{}, c3[kPhiloxGroups]{};
#pragma GCC unroll 4
  for (int g = 0; g < kPhiloxGroups; ++g) {
    c0[g] = lane + (counter + static_cast<uint64_t>(g) * kLanes<uint64_t>);
    c1[g] = c0[g] >> 32;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
#pragma GCC unroll 4
    for (int g = 0; g < kPhiloxGroups; ++g) {
      const Word64 p0 = multiply_low_halves(c0[g], kPhiloxM0), p1 = multiply_low_halves(c2[g], kPhiloxM1);
      c0[g] = (p1 >> 32) ^ c1[g] ^ uint64_t { k0 };
      c2[g] = (p0 >> 32) ^ c3[g] ^ uint64_t { k1 };
      c1[g] = p1, c3[g] = p0;
    }
    k0 += kPhiloxW0, k1 += kPhiloxW1;
  }
#pragma GCC unroll 4
  for (int g = 0; g < kPhiloxGroups; ++g) out[g] = {{c0[g], c1[g], c2[g], c3[g]}};
}

// The words of a vector of counters, counter after counter: the first half of them and the second.
struct PhiloxRow {
  Vec<uint32_t> front, back;
};
FASTDL_INLINE PhiloxRow in_order(const PhiloxWords& c) {
  const Word64 first = join_words(c.w[0], c.w[1]), second = join_words(c.w[2], c.w[3]);
  return {(Vec<uint32_t>)zip_low<uint64_t>(first, second), (Vec<uint32_t>)zip_high<uint64_t>(first, second)};
}

}  // namespace fastdl::FASTDL_ISA
