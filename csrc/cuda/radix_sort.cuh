// Stable sorting of lines of unsigned keys, each with its place in the line: radix, least significant digit first.
//
// A pass orders by one digit of eight bits. A block owns a tile of kSortTile keys of a line:
//
//   count     how often each digit occurs in each tile                      counts [line][digit][tile]
//   sum up    counts become the number of equal digits in tiles before      totals [line][digit]
//   move      key -> where its digit begins + equal digits before it, in tiles before and in its own
//
// A tile is put in order in shared memory first: then neighbouring threads write neighbouring keys, and what goes to
// one digit is a run. Equal digits of a warp find each other by __match_any_sync, so that counting is one addition a
// group; nothing depends on the order in which warps or blocks come, and the result is the only stable one.
//
// The limit is memory: a pass reads keys twice and places once, and writes both once.
#pragma once
#include "cuda/scan.cuh"

namespace fastdl {
namespace {

constexpr int kDigitBits = 8, kDigits = 1 << kDigitBits;
static_assert(kDigits == kBlock, "a thread a digit");
constexpr int kKeysAThread = 8, kSortWarps = kBlock / kWarp;
constexpr int kSortTile = kKeysAThread * kBlock;

// Lines of n < 2^32 keys, one after another.
struct SortShape {
  int64_t n;
  Divider tiles;  // of a line

  __device__ int64_t line() const { return tiles.divide(blockIdx.x); }
  // The first key of this block's tile, counted from the beginning of its line.
  __device__ int64_t first(int64_t line) const { return (blockIdx.x - line * tiles.divisor) * kSortTile; }
  __device__ int64_t count_at(int64_t line, int digit) const {
    return (line * kDigits + digit) * tiles.divisor + (blockIdx.x - line * tiles.divisor);
  }
};

template <class Key>
__device__ __forceinline__ int digit_of(Key key, int shift) {
  return static_cast<int>(key >> shift) & (kDigits - 1);
}

template <class Key>
__global__ void __launch_bounds__(kBlock) count_digits(const Key* keys, SortShape s, int shift, unsigned* counts) {
  FASTDL_SHARED(unsigned, count, [kDigits]);
  count[threadIdx.x] = 0;
  __syncthreads();
  const int64_t line = s.line(), first = s.first(line) + threadIdx.x;
#pragma unroll
  for (int r = 0; r < kKeysAThread; ++r)
    if (first + r * kBlock < s.n) atomicAdd(&count[digit_of(keys[line * s.n + first + r * kBlock], shift)], 1u);
  __syncthreads();
  counts[s.count_at(line, static_cast<int>(threadIdx.x))] = count[threadIdx.x];
}

template <class Key>
struct SortPass {
  const Key* keys;
  const unsigned* places;  // null: each key's own
  Key* keys_out;
  unsigned* places_out;
  const unsigned *counts, *totals;
  int shift;
};

template <class Key>
__global__ void __launch_bounds__(kBlock) move_by_digit(SortPass<Key> p, SortShape s) {
  FASTDL_SHARED(unsigned, equal, [kSortWarps][kDigits]);  // keys of a digit in this warp, then in the warps before
  FASTDL_SHARED(unsigned, start, [kDigits]);              // of a digit in the ordered tile
  FASTDL_SHARED(unsigned, target, [kDigits]);             // of it in the line, less its start
  FASTDL_SHARED(Key, ordered, [kSortTile]);
  FASTDL_SHARED(unsigned, ordered_places, [kSortTile]);
  const int thread = threadIdx.x, lane = thread % kWarp, warp = thread / kWarp;
  const int64_t line = s.line(), first = s.first(line), base = line * s.n;
  for (int w = 0; w < kSortWarps; ++w) equal[w][thread] = 0;
  __syncthreads();

  // A warp owns a run of the tile, 32 neighbours at a time: its counts then go by the order of the keys.
  Key key[kKeysAThread];
  unsigned place[kKeysAThread], rank[kKeysAThread];
  const int64_t own = first + warp * (kSortTile / kSortWarps) + lane;
#pragma unroll
  for (int r = 0; r < kKeysAThread; ++r) {
    const int64_t i = own + r * kWarp;
    const bool in = i < s.n;
    key[r] = in ? p.keys[base + i] : Key{0};
    place[r] = in && p.places ? p.places[base + i] : static_cast<unsigned>(i);
    const int digit = digit_of(key[r], p.shift);
    const unsigned same = __match_any_sync(kFullWarp, in ? digit : kDigits);
    const unsigned before = same & ((1u << lane) - 1);
    rank[r] = (in ? equal[warp][digit] : 0) + __popc(before);
    __syncwarp();
    // The first of the group counts for all of it.
    if (in && before == 0) equal[warp][digit] += __popc(same);
    __syncwarp();
  }
  __syncthreads();

  // A thread a digit: where its keys begin, in the tile and in the line.
  unsigned count = 0;
  for (int w = 0; w < kSortWarps; ++w) {
    const unsigned in_warp = equal[w][thread];
    equal[w][thread] = count;
    count += in_warp;
  }
  const unsigned in_line = p.totals[line * kDigits + thread];
  start[thread] = block_running_sum(count).before;
  const unsigned line_start = block_running_sum(in_line).before;
  target[thread] = line_start + p.counts[s.count_at(line, thread)] - start[thread];
  __syncthreads();

#pragma unroll
  for (int r = 0; r < kKeysAThread; ++r) {
    if (own + r * kWarp >= s.n) break;
    const int digit = digit_of(key[r], p.shift);
    const unsigned at = start[digit] + equal[warp][digit] + rank[r];
    ordered[at] = key[r];
    ordered_places[at] = place[r];
  }
  __syncthreads();
  const int keys = static_cast<int>(min(s.n - first, int64_t{kSortTile}));
#pragma unroll
  for (int i = thread; i < kSortTile; i += kBlock) {
    if (i >= keys) break;
    const Key k = ordered[i];
    const int64_t to = base + (target[digit_of(k, p.shift)] + static_cast<unsigned>(i));
    p.keys_out[to] = k;
    p.places_out[to] = ordered_places[i];
  }
}

// Memory for sorting. The caller fills keys(); after run() they are in order, and places() says where each was.
template <class Key>
class RadixSort {
 public:
  RadixSort(int64_t lines, int64_t n)
      : lines_(lines),
        shape_{n, divide_by(max(int64_t{1}, ceil_div(n, kSortTile)))},
        keys_(2 * lines * n),
        places_(2 * lines * n),
        counts_(lines * kDigits * (shape_.tiles.divisor + 1)) {
    if (n >= int64_t{1} << 32)
      throw std::runtime_error("[sort] expected fewer than 2^32 keys a line, got " + std::to_string(n));
  }
  Key* keys() const { return keys_.get() + now_ * lines_ * shape_.n; }
  const unsigned* places() const { return places_.get() + now_ * lines_ * shape_.n; }

  // By the lowest `bits` bits; higher ones are 0. At least one pass, which makes the places.
  void run(int bits, Stream stream) {
    const int64_t n = lines_ * shape_.n, tiles = shape_.tiles.divisor, rows = lines_ * kDigits;
    if (n == 0) return;
    const unsigned blocks = blocks_for(lines_ * tiles, 1);
    unsigned* const totals = counts_.get() + rows * tiles;
    for (int shift = 0; shift == 0 || shift < bits; shift += kDigitBits) {
      launch(count_digits<Key>, blocks, kBlock, 0, stream, keys(), shape_, shift, counts_.get());
      launch(sum_up_rows<unsigned>, blocks_for(rows, kSortWarps), kBlock, 0, stream, counts_.get(), rows, tiles,
             totals);
      const SortPass<Key> pass = {keys(),
                                  shift ? places() : nullptr,
                                  keys_.get() + (1 - now_) * n,
                                  places_.get() + (1 - now_) * n,
                                  counts_.get(),
                                  totals,
                                  shift};
      launch(move_by_digit<Key>, blocks, kBlock, 0, stream, pass, shape_);
      now_ = 1 - now_;
    }
  }

 private:
  int64_t lines_;
  SortShape shape_;
  DeviceScratch<Key> keys_;
  DeviceScratch<unsigned> places_, counts_;
  int now_ = 0;  // which half holds the keys
};

// Bits of the numbers below n.
inline int bits_below(int64_t n) {
  int bits = 0;
  while (bits < 63 && n > int64_t{1} << bits) ++bits;
  return bits;
}

}  // namespace
}  // namespace fastdl
