// The innermost loop of every product: an MR x (NV vectors) tile of C held in registers while k runs.
//
//   C[i][j] (+)= sum over p of A[p][i] * B[p][j]        i < MR,  j < NV * kLanes<T>
//
//   a   packed panel, [k][MR]: the MR numbers of a step lie together
//   b   row p at b + p * ldb: a packed sliver (ldb = its width) or a matrix where it lies
//   c   row i at c + i * ldc
//
// A step loads NV vectors of B and MR scalars of A for MR * NV multiply-adds; the tile fills the registers, so that
// loads stay well below the rate at which they can be made. Shapes stand in the table below, and nowhere else.
#pragma once
#include <utility>

#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

// Register tiles, one row a shape: rows x vectors. MR * NV accumulators + NV of B + 1 of A have to fit the registers
// (32 with AVX-512 and NEON, else 16; without fused multiply-add one more for the product). `tall` needs fewer columns
// and serves every shape; `wide` reads A less often and C in longer runs: it wins for long rows.
struct TileShape {
  int rows, vecs;
};
#if defined(FASTDL_ISA_avx512)
constexpr TileShape kTallTile{14, 2}, kWideTile{6, 4};
#elif defined(FASTDL_ISA_avx2) || defined(__x86_64__)
constexpr TileShape kTallTile{6, 2}, kWideTile{6, 2};
#else
constexpr TileShape kTallTile{12, 2}, kWideTile{8, 3};
#endif
constexpr int kMaxTileRows = kTallTile.rows > kWideTile.rows ? kTallTile.rows : kWideTile.rows;
constexpr int kMaxTileVecs = kTallTile.vecs > kWideTile.vecs ? kTallTile.vecs : kWideTile.vecs;

// Every loop over the tile must be unrolled: an index that is not a constant would send the tile to the stack.
template <class T, int MR, int NV>
static __attribute__((noinline)) void microkernel(int64_t k, const T* __restrict a, const T* __restrict b, int64_t ldb,
                                                  T* __restrict c, int64_t ldc, bool accumulate) {
  constexpr int L = kLanes<T>;
  Vec<T> tile[MR][NV];
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
      tile[i][j] = Vec<T>{};
      // C is wanted only after the loop over k; its lines travel meanwhile.
      if (j * kVecBytes % 64 == 0) __builtin_prefetch(c + i * ldc + j * L, 1);
    }
  }

  for (; k > 0; --k, a += MR, b += ldb) {
    Vec<T> row[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) row[j] = load<T>(b + j * L);
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) tile[i][j] += a[i] * row[j];
    }
  }

  if (accumulate) {
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) store<T>(c + i * ldc + j * L, load<T>(c + i * ldc + j * L) + tile[i][j]);
    }
  } else {
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) store<T>(c + i * ldc + j * L, tile[i][j]);
    }
  }
}

template <class T>
using Microkernel = void (*)(int64_t k, const T* a, const T* b, int64_t ldb, T* c, int64_t ldc, bool accumulate);

// The instance for a panel of `rows` and a sliver of `vecs` vectors: balanced panels and narrow last slivers then run
// at full vectors instead of on padding. Up to kTallTile.vecs, rows go to kTallTile.rows; beyond, to kWideTile.rows.
template <class T, int NV, int... I>
FASTDL_INLINE Microkernel<T> microkernel_of_width(int rows, std::integer_sequence<int, I...>) {
  static constexpr Microkernel<T> kInstances[] = {&microkernel<T, I + 1, NV>...};
  return kInstances[rows - 1];
}
template <class T>
static Microkernel<T> microkernel_for(int rows, int vecs) {
  using TallRows = std::make_integer_sequence<int, kTallTile.rows>;
  using WideRows = std::make_integer_sequence<int, kWideTile.rows>;
  static_assert(kTallTile.vecs == 2 && kMaxTileVecs <= 4, "the cases below");
  if (vecs == 1) return microkernel_of_width<T, 1>(rows, TallRows{});
  if constexpr (kMaxTileVecs >= 3) {
    if (vecs == 3) return microkernel_of_width<T, 3>(rows, WideRows{});
  }
  if constexpr (kMaxTileVecs >= 4) {
    if (vecs == 4) return microkernel_of_width<T, 4>(rows, WideRows{});
  }
  return microkernel_of_width<T, 2>(rows, TallRows{});
}

}  // namespace fastdl::FASTDL_ISA
