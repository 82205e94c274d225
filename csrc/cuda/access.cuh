// How kernels that are limited by bandwidth reach memory: packs of 16 bytes a thread, and the place of an element of a
// strided view without a division.
#pragma once
#include "core/array.h"
#include "cuda/launch.h"

namespace fastdl {

// Threads a block of the bandwidth kernels: small enough that eight blocks share a multiprocessor, so that the loads of
// one overlap the ends of another.
constexpr int kBlock = 256;

__device__ inline int64_t global_thread() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// ---- packs ----------------------------------------------------------------------------------------------------------

// One instruction moves at most 16 bytes a thread. Neighbouring threads take neighbouring packs, so that a warp moves
// 512 bytes in a row.
constexpr int kPackBytes = 16;
template <class T>
constexpr int kPack = kPackBytes / static_cast<int>(sizeof(T));

// Bytes of each access that moves a pack of N elements; the pack must be aligned to it.
template <class T, int N>
constexpr int kAccess = N * static_cast<int>(sizeof(T)) > kPackBytes ? kPackBytes
                        : N * static_cast<int>(sizeof(T)) >= 4       ? N * static_cast<int>(sizeof(T))
                                                                     : static_cast<int>(sizeof(T));

template <int N, class T>
inline bool aligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % kAccess<T, N> == 0;
}

// The first `count` elements from p on. The others are zero, and their memory is not touched.
template <int N, class T>
__device__ inline Pack<T, N> load_pack(const T* p, int64_t count = N) {
  constexpr int kPart = kAccess<T, N> / static_cast<int>(sizeof(T));
  Pack<T, N> pack;
  if constexpr (kPart > 1) {
    // Whole packs are all but the last of an array: the branch is taken alike by all warps but one.
    if (count >= N) {
#pragma unroll
      for (int i = 0; i < N; i += kPart) {
        const auto part = load_vec<Pack<T, kPart>>(p + i);
#pragma unroll
        for (int j = 0; j < kPart; ++j) pack[i + j] = part[j];
      }
      return pack;
    }
  }
#pragma unroll
  for (int i = 0; i < N; ++i) pack[i] = i < count ? p[i] : T{};
  return pack;
}

// A whole pack in as few accesses as its size allows; part of one, at the end of an array, element by element.
template <int N, class T>
__device__ inline void store_pack(T* p, const Pack<T, N>& pack, int64_t count = N) {
  constexpr int kPart = kAccess<T, N> / static_cast<int>(sizeof(T));
  if constexpr (kPart > 1) {
    if (count >= N) {
#pragma unroll
      for (int i = 0; i < N; i += kPart) {
        Pack<T, kPart> part;
#pragma unroll
        for (int j = 0; j < kPart; ++j) part[j] = pack[i + j];
        store_vec(p + i, part);
      }
      return;
    }
  }
#pragma unroll
  for (int i = 0; i < N; ++i)
    if (i < count) p[i] = pack[i];
}

// One element for all: a number, or an axis that is broadcast.
template <int N, class T>
__device__ inline Pack<T, N> splat(T x) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack[i] = x;
  return pack;
}

// Calls run with a number of elements a thread, as a type whose value is `Wide` or 1. Two instances of a kernel: one
// for arrays as the allocator makes them, one that is right for any pointer and any stride.
template <int N>
struct Elements {
  static constexpr int value = N;
};
template <int Wide, class Run>
void with_packs(bool fit, Run run) {
  if (fit) return run(Elements<Wide>{});
  run(Elements<1>{});
}

// A thread for each pack and no loop: blocks that end make room for others, which keeps as many loads in flight.
template <int N>
unsigned grid_for(int64_t n) {
  return blocks_for(n, int64_t{kBlock} * N);
}

// ---- places ---------------------------------------------------------------------------------------------------------

// Division by a number that the host knows, as a multiplication: a 64-bit division takes a GPU about a hundred
// instructions. With 2^shift < divisor <= 2^(shift + 1) and magic = ceil(2^(64 + shift) / divisor) it is exact for
// 0 <= n < 2^63: rounding magic up adds less than n / 2^(64 + shift) to the quotient, too little to reach the next one.
struct Divider {
  int64_t divisor = 1;
  uint64_t magic = 0;  // 0: the divisor is 1
  int shift = 0;

  __device__ int64_t divide(int64_t n) const {
    return magic ? static_cast<int64_t>(__umul64hi(static_cast<uint64_t>(n), magic) >> shift) : n;
  }
};

inline Divider divide_by(int64_t divisor) {
  Divider d{divisor, 0, 0};
  if (divisor < 2) return d;
  while (d.shift < 62 && (int64_t{2} << d.shift) < divisor) ++d.shift;
  const unsigned __int128 power = static_cast<unsigned __int128>(1) << (64 + d.shift);
  d.magic = static_cast<uint64_t>((power + static_cast<uint64_t>(divisor) - 1) / static_cast<uint64_t>(divisor));
  return d;
}

// Axes that several operands share, with the stride of each operand along each axis, in elements.
template <int kOperands>
struct Axes {
  int rank = 0;
  Divider size[kMaxDims];
  int64_t stride[kOperands][kMaxDims] = {};

  template <class... Stride>
  void push(int64_t n, Stride... strides) {
    static_assert(sizeof...(strides) == kOperands);
    const int64_t given[] = {strides...};
    for (int k = 0; k < kOperands; ++k) stride[k][rank] = given[k];
    size[rank++] = divide_by(n);
  }
};

// One struct for all operands: the coordinates are found once.
template <int kOperands>
struct Offsets {
  int64_t at[kOperands];
};

// Where element i of the row-major order over the axes lies in each operand.
template <int kOperands>
__device__ inline Offsets<kOperands> locate(const Axes<kOperands>& axes, int64_t i) {
  Offsets<kOperands> offsets = {};
  // Remainders come last axis first. The rank is the same for all threads, so nothing diverges.
  for (int d = axes.rank - 1; d >= 0; --d) {
    // What is left of i is the coordinate along the first axis: a single axis costs no division.
    const int64_t quotient = d > 0 ? axes.size[d].divide(i) : 0;
    const int64_t coordinate = i - quotient * axes.size[d].divisor;
#pragma unroll
    for (int k = 0; k < kOperands; ++k) offsets.at[k] += coordinate * axes.stride[k][d];
    i = quotient;
  }
  return offsets;
}

// Whether N neighbours along the last axis are N neighbours, or one repeated element, of every operand, and start at
// multiples of N. A single axis may end in part of a pack.
template <int kOperands>
inline bool divides_into_packs(const Axes<kOperands>& axes, int n) {
  const int last = axes.rank - 1;
  // Else a pack would reach into the next row, which may lie anywhere.
  if (last > 0 && axes.size[last].divisor % n != 0) return false;
  for (int k = 0; k < kOperands && last >= 0; ++k) {
    if (axes.stride[k][last] == 0) continue;
    if (axes.stride[k][last] != 1) return false;
    for (int d = 0; d < last; ++d)
      if (axes.stride[k][d] % n != 0) return false;
  }
  return true;
}

}  // namespace fastdl
