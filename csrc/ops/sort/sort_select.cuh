// The key of a rank, by a block for a line of keys: digit by digit from the highest, counting those that share the
// digits found so far. The block reads its line once a digit, mostly from the L2 cache.
#pragma once
#include "ops/sort/sort_keys.cuh"

namespace fastdl {
namespace {

template <class Key>
struct Selected {
  Key key;
  int64_t below;  // keys of the line that are smaller
};

// All threads of the block call it and get the result.
template <class Key>
__device__ Selected<Key> select_key(const Key* keys, int64_t n, int64_t rank, int bits) {
  FASTDL_SHARED(unsigned, counts, [kDigits]);
  FASTDL_SHARED(unsigned, found, [2]);  // a digit, and the keys of lower digits
  const unsigned thread = threadIdx.x;
  Key key = 0, known = 0;
  unsigned left = static_cast<unsigned>(rank);
  for (int shift = bits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    counts[thread] = 0;
    __syncthreads();
    for (int64_t i = thread; i < n; i += kBlock)
      if ((keys[i] & known) == key) atomicAdd(&counts[digit_of(keys[i], shift)], 1u);
    __syncthreads();
    const unsigned own = counts[thread];
    const unsigned before = block_running_sum(own).before;
    if (before <= left && left - before < own) {
      found[0] = thread;
      found[1] = before;
    }
    __syncthreads();
    key |= static_cast<Key>(found[0]) << shift;
    known |= static_cast<Key>(kDigits - 1) << shift;
    left -= found[1];
  }
  return {key, rank - left};
}

}  // namespace
}  // namespace fastdl
