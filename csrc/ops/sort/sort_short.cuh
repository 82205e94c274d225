// Sorting lines of up to 1024 numbers in shared memory, as many lines a block as fit: Batcher's bitonic network over
// pairs of key and place. Places decide between equal keys, so the order is the stable one.
//
//   tile of 1024      line 0: n, padding to 2^p | line 1: n, padding | ...       padding: largest key, places from n on
//
// A thread owns two of 512 comparisons a step. Those of a warp lie in 64 neighbours while partners are at most 32
// apart, so that most steps wait for a warp and not for the block. log2(n)^2 / 2 steps; the limit is shared memory.
#pragma once
#include "ops/sort/sort_keys.cuh"

namespace fastdl {
namespace {

constexpr int kShortTile = 1024;
constexpr int kPairs = kShortTile / 2;

// Items of a tile and of a thread: along lines where these lie in one piece, else across them, which lie side by side.
struct ShortShape {
  int64_t lines;
  int n, log_padded;
  bool across;

  __device__ int padded() const { return 1 << log_padded; }
  __device__ int tile_lines() const { return kShortTile >> log_padded; }
  __device__ int line(int item) const { return across ? item % tile_lines() : item >> log_padded; }
  __device__ int i(int item) const { return across ? item / tile_lines() : item & (padded() - 1); }
};

template <class Key>
__device__ __forceinline__ void order_pair(Key* keys, unsigned* places, int low, int high, bool ascending) {
  const Key a = keys[low], b = keys[high];
  const unsigned i = places[low], j = places[high];
  const bool behind = a > b || (a == b && i > j);
  if (behind != ascending) return;
  keys[low] = b;
  keys[high] = a;
  places[low] = j;
  places[high] = i;
}

// source: key(line, i) and place(line, i). sink(line, i, keys, places) for every i of a line, in order.
template <class Source, class Sink>
__global__ void __launch_bounds__(kBlock) sort_short_lines(Source source, Sink sink, ShortShape s) {
  using Key = typename Source::Key;
  FASTDL_SHARED(Key, keys, [kShortTile]);
  FASTDL_SHARED(unsigned, places, [kShortTile]);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * s.tile_lines();
#pragma unroll
  for (int item = threadIdx.x; item < kShortTile; item += kBlock) {
    const int line = s.line(item), i = s.i(item), at = (line << s.log_padded) + i;
    const bool in = i < s.n && first + line < s.lines;
    keys[at] = in ? source.key(first + line, i) : kNanKey<Key>;
    places[at] = in ? source.place(first + line, i) : 0x80000000u + static_cast<unsigned>(i);
  }
  __syncthreads();
  int before = kShortTile;
  for (int size = 2; size <= s.padded(); size *= 2) {
    for (int apart = size / 2; apart > 0; apart /= 2) {
      if (apart > kWarp || before > kWarp)
        __syncthreads();
      else
        __syncwarp();
      before = apart;
#pragma unroll
      for (int pair = threadIdx.x; pair < kPairs; pair += kBlock) {
        const int low = 2 * pair - (pair & (apart - 1));
        order_pair(keys, places, low, low + apart, (low & size) == 0 || size == s.padded());
      }
    }
  }
  __syncthreads();
#pragma unroll
  for (int item = threadIdx.x; item < kShortTile; item += kBlock) {
    const int line = s.line(item), i = s.i(item), begin = line << s.log_padded;
    if (i < s.n && first + line < s.lines) sink(first + line, i, keys + begin, places + begin);
  }
}

template <class Source, class Sink>
void sort_short(const Source& source, const Sink& sink, int64_t lines, int64_t n, bool across, Stream stream) {
  const ShortShape shape = {lines, static_cast<int>(n), bits_below(n), across};
  launch(sort_short_lines<Source, Sink>, blocks_for(lines, kShortTile >> shape.log_padded), kBlock, 0, stream, source,
         sink, shape);
}

template <class T>
struct StoreFirst {
  Results<T> to;

  template <class Key>
  __device__ void operator()(int64_t line, int i, const Key*, const unsigned* places) const {
    if (i < to.k) to.store(line, i, places[i]);
  }
};

template <class T>
struct StoreRank {
  Results<T> to;
  RankRule rule;

  template <class Key>
  __device__ void operator()(int64_t line, int i, const Key* keys, const unsigned* places) const {
    // A thread of the line; the others have nothing to do.
    if (i == 0) to.store(line, 0, places[rule.in(keys, to.numbers.n)]);
  }
};

}  // namespace
}  // namespace fastdl
