// Products with few columns: C = op(A) B with A used where it lies. Each number of A meets as many multiply-adds as
// there are vectors in a row of C, so that packing A would take as long as the product.
//
//   A along k   rows `lda` apart: a tile reads one number of each row a step     A across k   its rows lie together
//
// B is used where it lies, too, if its lines run across k; else each thread, which has rows of its own, packs it. Sums
// have the order of gemm-inl.h: blocks of k, which depend on k alone, added up in order.
#pragma once
#include "cpu/gemm-inl.h"

namespace fastdl::FASTDL_ISA {

// Whether parts of vectors are read and written under masks, which then cost nothing.
constexpr bool kMasks = kVecBytes == 64;
constexpr int64_t kNarrowColumns = 256;  // beyond, packing A is a small part
// Rows of A so many bytes apart fall into the same set of the level-1 cache, which keeps more than 8 of them seldom.
constexpr int64_t kSameSet = 4096;
constexpr int kSameSetRows = kTallTile.rows < 8 ? kTallTile.rows : 8;

// The factors of a tile's rows: *at(r) of this step.
template <class T, int MR, bool kAlong>
class Factors {
 public:
  __attribute__((always_inline)) Factors(const T* a, int64_t lda) : lda_(lda) {
#pragma GCC unroll 8
    for (int i = 0; i < kPointers; ++i) rows_[i] = a + 3 * i * lda;
  }
  __attribute__((always_inline)) const T* at(int r, int step) const {
    return kAlong ? rows_[r / 3] + r % 3 * lda_ + step : rows_[0] + r;
  }
  __attribute__((always_inline)) void move(int steps) {
#pragma GCC unroll 8
    for (int i = 0; i < kPointers; ++i) {
      rows_[i] += kAlong ? steps : lda_;
      in_register(rows_[i]);
    }
  }
  static constexpr int kSteps = kAlong ? kUnrolled : 1;  // between two moves

 private:
  static constexpr int kPointers = kAlong ? (MR + 2) / 3 : 1;  // of every third row: addresses have room for two more
  const T* rows_[kPointers];
  int64_t lda_;
};

// c[i][j] (+)= sum over k steps of A[i][p] B[p][j], for MR rows and NV vectors of columns, of the last of which `lanes`
// are there (with kMasks; else all).
template <class T, int MR, int NV, bool kAlong>
static __attribute__((noinline)) void in_place_tile(int64_t k, const T* __restrict a, int64_t lda,
                                                    const T* __restrict b, int64_t ldb, T* __restrict c, int64_t ldc,
                                                    int lanes, bool accumulate) {
  constexpr int L = kLanes<T>, kSteps = Factors<T, MR, kAlong>::kSteps;
  Vec<T> tile[MR][NV];
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) tile[i][j] = Vec<T>{};
  }
  Factors<T, MR, kAlong> factors(a, lda);
  const auto add = [&](int step) FASTDL_BODY {
    Vec<T> row[NV];
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
      row[j] = kMasks && j == NV - 1 ? load_n<T>(b + j * L, lanes) : load<T>(b + j * L);
      if (j * kVecBytes % 64 == 0) __builtin_prefetch(b + kStepsAhead * ldb + j * L + kLine<T> - 1);
    }
#pragma GCC unroll 32
    for (int r = 0; r < MR; ++r) add_row<T, NV>(tile[r], factors.at(r, step), row, r);
    b += ldb;
    in_register(b);
  };
  for (; k >= kSteps; k -= kSteps) {
#pragma GCC unroll 8
    for (int s = 0; s < kSteps; ++s) add(s);
    factors.move(kSteps);
  }
  for (; k > 0; --k) {
    add(0);
    factors.move(1);
  }
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i, c += ldc) {
    in_register(c);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
      T* const to = c + j * L;
      if (kMasks && j == NV - 1)
        store_n<T>(to, accumulate ? load_n<T>(to, lanes) + tile[i][j] : tile[i][j], lanes);
      else
        store<T>(to, accumulate ? load<T>(to) + tile[i][j] : tile[i][j]);
    }
  }
}

template <class T>
using InPlaceTile = void (*)(int64_t, const T*, int64_t, const T*, int64_t, T*, int64_t, int, bool);
template <class T, int NV, bool kAlong, int... I>
static InPlaceTile<T> in_place_tile_of(int rows, std::integer_sequence<int, I...>) {
  static constexpr InPlaceTile<T> kInstances[] = {&in_place_tile<T, I + 1, NV, kAlong>...};
  return kInstances[rows - 1];
}
template <class T>
static InPlaceTile<T> in_place_tile_for(int rows, int vecs, bool along_k) {
  constexpr std::make_integer_sequence<int, kTallTile.rows> kRows{};
  static_assert(kTallTile.vecs == 2, "the cases below");
  if (along_k) return vecs == 1 ? in_place_tile_of<T, 1, true>(rows, kRows) : in_place_tile_of<T, 2, true>(rows, kRows);
  return vecs == 1 ? in_place_tile_of<T, 1, false>(rows, kRows) : in_place_tile_of<T, 2, false>(rows, kRows);
}

// A block of k of the rows [first, last) and a sliver of columns.
template <class T>
struct InPlaceBlock {
  int64_t first, last, k;
  const T *a, *b;  // row 0 and the first k of the block; the sliver
  int64_t ldb;
  int columns;
  T* c;  // row 0 of the sliver
  int64_t ldc;
  bool accumulate;
};
template <class T>
static void multiply_in_place(const InPlaceBlock<T>& x, const Operand<T>& a) {
  constexpr int L = kLanes<T>;
  const int vecs = (x.columns + L - 1) / L, width = vecs * L;
  alignas(64) T edge[kTallTile.rows * kTallTile.vecs * L];  // for columns that do not fill a vector
  const int rows = static_cast<int>(x.last - x.first);
  const auto tile = in_place_tile_for<T>(rows, vecs, a.along_k);
  const T* const from = x.a + x.first * (a.along_k ? a.ld : 1);
  T* const to = x.c + x.first * x.ldc;
  if (kMasks || x.columns == width)
    return tile(x.k, from, a.ld, x.b, x.ldb, to, x.ldc, x.columns - (vecs - 1) * L, x.accumulate);
  tile(x.k, from, a.ld, x.b, x.ldb, edge, width, L, false);
  for (int r = 0; r < rows; ++r)
    for (int j = 0; j < x.columns; j += L) {
      Vec<T> v = load<T>(edge + r * width + j);
      T* const at = to + r * x.ldc + j;
      if (x.accumulate) v += load_some<T>(at, x.columns - j);
      store_some<T>(at, v, x.columns - j);
    }
}

// C = op(A) op(B), m, n, k >= 1, n <= kNarrowColumns; finish(tile, ldc, row, rows, column, columns) on every tile when
// it is complete.
template <class T, class Finish>
static void in_place_gemm(int64_t m, int64_t n, int64_t k, const Operand<T>& a, const Operand<T>& b, T* c, int64_t ldc,
                          const Finish& finish) {
  constexpr int L = kLanes<T>;
  constexpr int64_t kBytes = sizeof(T), kWidth = kTallTile.vecs * L;
  const Split k_blocks = split_evenly(k, kGemmBlocks.kc * 4 / kBytes);
  const bool same_set = a.along_k && a.ld * kBytes % kSameSet == 0;
  const Split panels = split_evenly(m, same_set ? kSameSetRows : kTallTile.rows);
  const bool direct = !b.along_k && (kMasks || n % L == 0);
  const int64_t grain = ceil_div(kTaskFlops, 2 * n * k * part_size(panels, 0));
  parallel_for(panels.count, grain, [&](int64_t begin, int64_t end) {
    Workspace<T> packed(direct ? 0 : ceil_div(n, L) * L * part_size(k_blocks, 0));
    for (int64_t kb = 0; kb < k_blocks.count; ++kb) {
      const int64_t k0 = part_begin(k_blocks, kb), kc = part_size(k_blocks, kb);
      const T* const from = operand_at(b, 0, k0);
      if (!direct) pack_slivers<T>(packed.get(), kWidth, from, b.ld, b.along_k, n, kc);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = part_begin(panels, i), rows = part_size(panels, i);
        for (int64_t j = 0; j < n; j += kWidth) {
          const int columns = static_cast<int>(min64(kWidth, n - j));
          const T* const sliver = direct ? from + j : packed.get() + j * kc;
          multiply_in_place<T>({row, row + rows, kc, operand_at(a, 0, k0), sliver,
                                direct ? b.ld : sliver_width(columns, kWidth, L), columns, c + j, ldc, kb > 0},
                               a);
          if (kb + 1 == k_blocks.count) finish(c + row * ldc + j, ldc, row, static_cast<int>(rows), j, columns);
        }
      }
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
