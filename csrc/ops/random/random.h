// Arrays of random numbers from a counter-based generator (core/philox.h): a number is a function of the seed and of
// the words that its place has, the same on every device. README.md has the table of which words make which number.
#pragma once
#include "core/array.h"
#include "core/kernel.h"
#include "core/philox.h"

namespace fastdl {

// Numbers that the four words of a counter make: float32 takes one word for a number, everything else two.
constexpr int numbers_of_counter(DType t) {
  return t == DType::kFloat32 ? 4 : 2;
}

// low + u * scale for u in [0, 1), at most `largest`: the sum may round up to the end of the range.
struct UniformArgs {
  DType dtype;  // of floats
  int64_t n;
  double low, scale, largest;
  PhiloxKey key;
  void* out;
};

struct NormalArgs {
  DType dtype;  // of floats
  int64_t n;
  double mean, std;
  PhiloxKey key;
  void* out;
};

// low + floor(w * span / 2^64) for w of 64 bits.
struct IntegersArgs {
  DType dtype;  // int32, int64
  int64_t n;
  int64_t low;
  uint64_t span;
  PhiloxKey key;
  void* out;
};

// 0 ... n - 1 in random order, n < 2^32; on the CPU alone.
struct PermutationArgs {
  int64_t n;
  PhiloxKey key;
  void* out;  // int64
};

}  // namespace fastdl

FASTDL_KERNEL(uniform, UniformArgs)
FASTDL_KERNEL(normal, NormalArgs)
FASTDL_KERNEL(integers, IntegersArgs)
FASTDL_KERNEL(permutation, PermutationArgs)
