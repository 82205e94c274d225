// Reductions over the lanes of a warp and the threads of a block. Every thread gets the result. The order of the
// operations depends on the block size alone, so results are the same in each run.
#pragma once
#include "cuda/launch.h"

namespace fastdl {

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(const T& a, const T& b) const {
    return a + b;
  }
};
struct Product {
  template <class T>
  __device__ __forceinline__ T operator()(const T& a, const T& b) const {
    return a * b;
  }
};
// NaN wins, as in PyTorch.
struct Max {
  template <class T>
  __device__ __forceinline__ T operator()(const T& a, const T& b) const {
    return a > b || a != a ? a : b;
  }
};
struct Min {
  template <class T>
  __device__ __forceinline__ T operator()(const T& a, const T& b) const {
    return a < b || a != a ? a : b;
  }
};

// move(word) for each 4-byte word of any trivially copyable T of whole ones: a (value, index) pair, say.
template <class T, class Move>
__device__ __forceinline__ T move_words(const T& v, Move move) {
  static_assert(sizeof(T) % 4 == 0, "shuffles move 4-byte words");
  constexpr int kWords = sizeof(T) / 4;
  unsigned words[kWords];
  memcpy(words, &v, sizeof v);
#pragma unroll
  for (int i = 0; i < kWords; ++i) words[i] = move(words[i]);
  T out;
  memcpy(&out, words, sizeof out);
  return out;
}
// The value of lane (lane ^ mask), of the lane `distance` below (its own in the lowest lanes), of one lane for all.
template <class T>
__device__ __forceinline__ T shuffle_xor(const T& v, int mask) {
  return move_words(v, [&](unsigned word) { return __shfl_xor_sync(kFullWarp, word, mask); });
}
template <class T>
__device__ __forceinline__ T shuffle_up(const T& v, int distance) {
  return move_words(v, [&](unsigned word) { return __shfl_up_sync(kFullWarp, word, distance); });
}
template <class T>
__device__ __forceinline__ T shuffle_from(const T& v, int lane) {
  return move_words(v, [&](unsigned word) { return __shfl_sync(kFullWarp, word, lane); });
}

// Over groups of `Lanes` neighbouring lanes (a power of two). All 32 lanes of the warp must call it. `op` must be
// commutative: a lane combines with its partner on either side.
template <int Lanes = kWarp, class T, class Op>
__device__ __forceinline__ T warp_reduce(T v, Op op) {
#pragma unroll
  for (int mask = Lanes / 2; mask > 0; mask /= 2) v = op(v, shuffle_xor(v, mask));
  return v;
}

__device__ __forceinline__ int thread_in_block() {
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}
__device__ __forceinline__ int threads_in_block() {
  return static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
}

// Over the block, whose size must be a multiple of 32. All threads must call it; it holds two barriers.
template <class T, class Op>
__device__ __forceinline__ T block_reduce(T v, Op op, T identity) {
  FASTDL_SHARED(T, partial, [kWarp]);
  const int thread = thread_in_block(), lane = thread % kWarp, warp = thread / kWarp;
  v = warp_reduce(v, op);
  __syncthreads();  // a previous reduction may still be reading
  if (lane == 0) partial[warp] = v;
  __syncthreads();
  v = lane < threads_in_block() / kWarp ? partial[lane] : identity;
  return warp_reduce(v, op);
}

template <class T>
__device__ __forceinline__ T warp_sum(T v) {
  return warp_reduce(v, Sum{});
}
template <class T>
__device__ __forceinline__ T warp_max(T v) {
  return warp_reduce(v, Max{});
}
template <class T>
__device__ __forceinline__ T block_sum(T v) {
  return block_reduce(v, Sum{}, T{0});
}
// `lowest` is what an idle lane contributes: minus infinity, or the least integer.
template <class T>
__device__ __forceinline__ T block_max(T v, T lowest) {
  return block_reduce(v, Max{}, lowest);
}

}  // namespace fastdl
