// Choosing some of n numbers on the device: a bit for each, then the places of the set bits, in order. Only their count
// goes to the host, which needs it for the shape of the result.
#pragma once
#include "cuda/access.cuh"
#include "cuda/reduce.cuh"

namespace fastdl {

constexpr int kWordBits = 32;  // what a warp's ballot makes

inline int64_t words_of(int64_t n) {
  return ceil_div(n, kWordBits);
}

namespace {

// Set bits of the words before this thread's own, in its block.
__device__ inline int count_before(int own) {
  FASTDL_SHARED(int, warps, [kBlock / kWarp]);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int upto = own;
#pragma unroll
  for (int step = 1; step < kWarp; step *= 2) {
    const int left = __shfl_up_sync(kFullWarp, upto, step);
    if (lane >= step) upto += left;
  }
  if (lane == kWarp - 1) warps[warp] = upto;
  __syncthreads();
  int before = upto - own;
  for (int w = 0; w < warp; ++w) before += warps[w];
  return before;
}

__global__ void __launch_bounds__(kBlock) count_bits(const unsigned* words, int64_t n, int64_t* counts) {
  const int64_t i = global_thread();
  const int64_t sum = block_sum(static_cast<int64_t>(i < n ? __popc(words[i]) : 0));
  if (threadIdx.x == 0) counts[blockIdx.x] = sum;
}

// Every block adds up the counts of those before it: that is a read of 1,200 numbers for ten million bits, and saves a
// launch. value(i): what is written for bit i.
template <class Value>
__global__ void __launch_bounds__(kBlock)
    write_chosen(const unsigned* words, int64_t n, const int64_t* counts, Value value, int64_t* out, int64_t* count) {
  int64_t before = 0;
  for (int64_t b = threadIdx.x; b < blockIdx.x; b += kBlock) before += counts[b];
  before = block_sum(before);
  const int64_t i = global_thread();
  unsigned bits = i < n ? words[i] : 0;
  int64_t at = before + count_before(__popc(bits));
  for (; bits; bits &= bits - 1) out[at++] = value(i * kWordBits + __ffs(static_cast<int>(bits)) - 1);
  if (blockIdx.x == gridDim.x - 1 && threadIdx.x == kBlock - 1) *count = at;
}

// out: value(i) for each set bit i, in order. Returns how many; waits for the device.
template <class Value>
int64_t select_bits(const unsigned* words, int64_t n, const Value& value, int64_t* out, Stream stream) {
  if (n == 0) return 0;
  const unsigned blocks = blocks_for(words_of(n), kBlock);
  const DeviceScratch<int64_t> counts(blocks), count(1);
  launch(count_bits, blocks, kBlock, 0, stream, words, words_of(n), counts.get());
  launch(write_chosen<Value>, blocks, kBlock, 0, stream, words, words_of(n), counts.get(), value, out, count.get());
  int64_t found = 0;
  copy_to_host(&found, count.get(), sizeof found);
  return found;
}

}  // namespace
}  // namespace fastdl
