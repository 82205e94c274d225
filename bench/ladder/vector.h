// A vector of the machine's width, and the size of the tile of vectors that fills its registers.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRows = 14, kVectors = 2;  // 28 of 32 registers hold sums
#elif defined(__AVX__)
constexpr int kLanes = 8, kRows = 6, kVectors = 2;  // 12 of 16
#else
constexpr int kLanes = 4, kRows = 4, kVectors = 2;
#endif
constexpr int kColumns = kLanes * kVectors;

typedef float Vector __attribute__((vector_size(4 * kLanes)));
typedef float Unaligned __attribute__((vector_size(4 * kLanes), aligned(4)));

inline Vector load(const float* p) {
  return *reinterpret_cast<const Unaligned*>(p);
}
inline void store(float* p, Vector v) {
  *reinterpret_cast<Unaligned*>(p) = v;
}
inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
