// Loops over contiguous runs of numbers: sums in several accumulators, and maps whose stores may bypass the caches.
// Bodies are told where a vector lies and how many of its lanes count: a constant for whole vectors, so that tails cost
// nothing where there are none.
#pragma once
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kRunSums = 4;           // accumulators: one chain of additions would wait for its own latency
constexpr int64_t kPartBytes = 2048;  // shorter parts leave the processor's prefetchers no time to start

// Parts of a long run that are read side by side, by what processors with the instruction set do best: Zen 3 waits for
// memory at as many places, Zen 4 reads a fifth faster in order, and Xeons (with AVX-512) are indifferent.
#if defined(FASTDL_ISA_avx512)
constexpr int kRunParts = 1;
#else
constexpr int kRunParts = 8;
#endif

// Into the L2 cache, without waiting.
FASTDL_INLINE void prefetch(const void* p) {
  __builtin_prefetch(p, 0, 2);
}

// v, whose computation the compiler leaves where it stands between those of other vectors.
template <class T>
FASTDL_INLINE Vec<T> in_place(Vec<T> v) {
  asm volatile("" : FASTDL_PLACE(v));
  return v;
}

// Lanes from n on become zero, or `otherwise`.
template <class T, class N>
FASTDL_INLINE Vec<T> first_lanes(Vec<T> v, N n, T otherwise = 0) {
  if constexpr (std::is_same_v<N, std::integral_constant<int, kLanes<T>>>)
    return v;
  else
    return select<T>(lanes_below<T>(n), v, broadcast<T>(otherwise));
}

// add(k, i, n) for each vector of a run: it goes to accumulator k, begins at i, and n of its lanes are in the run.
template <class T, int kSums = kRunSums, int kParts = kRunParts, class F>
FASTDL_INLINE void accumulate_run(int64_t size, F add) {
  constexpr int kWidth = kLanes<T>;
  constexpr int64_t kLine = 64 / static_cast<int>(sizeof(T));
  constexpr std::integral_constant<int, kWidth> kFull{};
  int64_t i = 0;
  if (kParts > 1 && size >= kParts * kPartBytes / static_cast<int64_t>(sizeof(T))) {
    const int64_t part = size / (kParts * kLine) * kLine;
    for (; i < part; i += kLine)
#pragma GCC unroll 8
      for (int p = 0; p < kParts; ++p)
#pragma GCC unroll 4
        for (int64_t v = 0; v < kLine; v += kWidth) add(p % kSums, p * part + i + v, kFull);
    i = kParts * part;
  }
  for (; i + kSums * kWidth <= size; i += kSums * kWidth)
#pragma GCC unroll 8
    for (int k = 0; k < kSums; ++k) add(k, i + k * kWidth, kFull);
  for (; i + kWidth <= size; i += kWidth) add(0, i, kFull);
  if (i < size) add(1, i, size - i);
}
template <class T>
FASTDL_INLINE T total(const Vec<T> (&sums)[kRunSums]) {
  return tree_sum<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// out[i, i + n) = f(i, n) over a run. With `streams`, whole lines go past the caches: call store_fence() afterwards.
template <class T, class F>
FASTDL_INLINE void map_run(T* out, int64_t size, bool streams, F f) {
  constexpr int kWidth = kLanes<T>;
  constexpr std::integral_constant<int, kWidth> kFull{};
  int64_t i = 0;
  if (streams && size >= 2 * kWidth) {
    const int64_t head = (kVecBytes - reinterpret_cast<uintptr_t>(out) % kVecBytes) % kVecBytes / sizeof(T);
    if (head) store_some<T>(out, f(0, head), head);
    for (i = head; i + kWidth <= size; i += kWidth) stream<T>(out + i, f(i, kFull));
  } else {
    for (; i + kWidth <= size; i += kWidth) store<T>(out + i, f(i, kFull));
  }
  if (i < size) store_some<T>(out + i, f(i, size - i), size - i);
}

}  // namespace fastdl::FASTDL_ISA
