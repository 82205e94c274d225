// Dropout on the CPU: out = word >= threshold ? x * scale : 0, with the words of a vectorised Philox4x32-10.
//
// A 64-bit lane carries one 32-bit word of one counter, because the 32 x 32 -> 64 bit multiplication of every
// instruction set reads the low half of such lanes and ignores the high one. So nothing is masked between the rounds:
// the high halves may hold anything until the end, where two words of a counter are joined in one lane in the order of
// the elements:
//
//   c0, c1 -> (w0 w1) of each counter      zip of 64-bit lanes: w0 w1 w2 w3 | w0 w1 w2 w3 | ...
//   c2, c3 -> (w2 w3)
//
// The rounds are a chain of dependent instructions, so kGroups vectors of counters run side by side. A chunk owns a
// fixed range of elements; each element knows its counter.
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"
#include "ops/dropout/dropout.h"

namespace fastdl::FASTDL_ISA {

using Word64 = Vec<uint64_t>;

constexpr int kGroups = 2;
constexpr int kTile = kGroups * kLanes<uint64_t> * 4;  // elements (words) made at a time
constexpr int64_t kChunk = 16384;                      // elements of one chunk; a multiple of every kTile

// The full products of the low halves.
FASTDL_INLINE Word64 multiply_low_halves(Word64 a, uint32_t b) {
  const Word64 m = broadcast<uint64_t>(b);
#if defined(FASTDL_ISA_avx512)
  return (Word64)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)m);
#elif defined(FASTDL_ISA_avx2)
  return (Word64)_mm256_mul_epu32((__m256i)a, (__m256i)m);
#elif defined(__x86_64__)
  return (Word64)_mm_mul_epu32((__m128i)a, (__m128i)m);
#else
  return (a & 0xffffffffu) * m;
#endif
}

FASTDL_INLINE Word64 join_words(Word64 low, Word64 high) {
  return (low & 0xffffffffu) | (high << 32);
}

// The words of kTile / 4 counters from `counter` on, in the order of the elements.
FASTDL_INLINE void make_words(uint64_t counter, uint64_t seed, uint32_t* words) {
  constexpr int kWidth = kLanes<uint64_t>;
  const Word64 lane = (Word64)lane_numbers<double>();
  Word64 c0[kGroups], c1[kGroups], c2[kGroups]{}, c3[kGroups]{};
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    c0[g] = lane + (counter + static_cast<uint64_t>(g) * kWidth);
    c1[g] = c0[g] >> 32;
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < kPhiloxRounds; ++round) {
#pragma GCC unroll 4
    for (int g = 0; g < kGroups; ++g) {
      const Word64 p0 = multiply_low_halves(c0[g], kPhiloxM0), p1 = multiply_low_halves(c2[g], kPhiloxM1);
      c0[g] = (p1 >> 32) ^ c1[g] ^ uint64_t { k0 };
      c2[g] = (p0 >> 32) ^ c3[g] ^ uint64_t { k1 };
      c1[g] = p1, c3[g] = p0;
    }
    k0 += kPhiloxW0, k1 += kPhiloxW1;
  }
#pragma GCC unroll 4
  for (int g = 0; g < kGroups; ++g) {
    const Word64 front = join_words(c0[g], c1[g]), back = join_words(c2[g], c3[g]);
    uint32_t* const p = words + g * kWidth * 4;
    store<uint64_t>(reinterpret_cast<uint64_t*>(p), zip_low<uint64_t>(front, back));
    store<uint64_t>(reinterpret_cast<uint64_t*>(p + 2 * kWidth), zip_high<uint64_t>(front, back));
  }
}

// All bits set in the lanes of the elements that stay; the words are compared in 32 bits whatever T is.
template <class T>
FASTDL_INLINE Mask<T> kept(const uint32_t* words, uint32_t threshold) {
  if constexpr (sizeof(T) == 4) {
    return (Mask<T>)(load<uint32_t>(words) >= threshold);
  } else {
    typedef uint32_t Half __attribute__((vector_size(kVecBytes / 2)));
    Half w;
    __builtin_memcpy(&w, words, sizeof w);
    return (Mask<T>)(__builtin_convertvector(w, Word64) >= uint64_t{threshold});
  }
}

// Elements [begin, end); begin is a multiple of 4.
template <class T>
static void drop(const DropoutArgs& a, int64_t begin, int64_t end) {
  constexpr int kWidth = kLanes<T>;
  const T* const x = static_cast<const T*>(a.x);
  T* const out = static_cast<T*>(a.out);
  const T scale = static_cast<T>(a.scale);
  alignas(64) uint32_t words[kTile];
  for (int64_t i = begin; i < end; i += kTile) {
    make_words(a.offset + static_cast<uint64_t>(i) / 4, a.seed, words);
    for (int j = 0; j < kTile && i + j < end; j += kWidth) {
      const Mask<T> keep = kept<T>(words + j, a.threshold);
      const int64_t left = end - i - j;
      store_some<T>(out + i + j, select<T>(keep, load_some<T>(x + i + j, left) * scale, Vec<T>{}), left);
    }
  }
}

template <class T>
static void run(const DropoutArgs& a) {
  const size_t bytes = static_cast<size_t>(a.n) * sizeof(T);
  if (a.drop_all) {
    __builtin_memset(a.out, 0, bytes);
  } else if (a.threshold == 0 && a.scale == 1) {
    if (a.out != a.x) __builtin_memcpy(a.out, a.x, bytes);
  } else {
    parallel_for(a.n, kChunk, [&](int64_t begin, int64_t end) { drop<T>(a, begin, end); });
  }
}

void dropout(const DropoutArgs& a) {
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto zero) { run<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
