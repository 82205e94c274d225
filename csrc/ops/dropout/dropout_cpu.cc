// Dropout on the CPU: out = word >= threshold ? x * scale : 0, with the words of a vectorised Philox4x32-10
// (cpu/philox-inl.h). A chunk owns a fixed range of elements; each element knows its counter.
#include "cpu/parallel.h"
#include "cpu/philox-inl.h"
#include "ops/dropout/dropout.h"

namespace fastdl::FASTDL_ISA {

constexpr int kTile = kPhiloxCounters * 4;  // elements (words) made at a time
constexpr int64_t kChunk = 16384;           // elements of one chunk; a multiple of every kTile

// The words of kTile / 4 counters from `counter` on, in the order of the elements.
FASTDL_INLINE void make_words(uint64_t counter, uint64_t seed, uint32_t* words) {
  PhiloxWords made[kPhiloxGroups];
  philox_words(counter, seed, made);
#pragma GCC unroll 4
  for (int g = 0; g < kPhiloxGroups; ++g) {
    const PhiloxRow row = in_order(made[g]);
    uint32_t* const p = words + g * 2 * kLanes<uint32_t>;
    store<uint32_t>(p, row.front);
    store<uint32_t>(p + kLanes<uint32_t>, row.back);
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
    make_words(a.key.offset + static_cast<uint64_t>(i) / 4, a.key.seed, words);
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
