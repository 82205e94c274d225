// The innermost loop of every product: an MR x (NV vectors) tile of C held in registers while k runs.
//
//   C[i][j] (+)= sum over p of A[p][i] * B[p][j]        i < MR,  j < NV * kLanes<T>
//
//   a   packed panel, [k][MR]: the MR numbers of a step lie together
//   b   row p at b + p * ldb: a packed sliver (ldb = its width) or a matrix where it lies
//   c   row i at c + i * ldc
//   next   what a later call will read, fetched into L2: the line at next + p * step of each step (where kNext)
//
// A step loads NV vectors of B and MR scalars of A for MR * NV multiply-adds; the tile fills the registers, so that
// loads stay well below the rate at which they can be made. Shapes stand in the table below, and nowhere else.
//
// Operands come from L2, where the processor's own prefetchers leave gaps: so rows of B are fetched some steps ahead,
// by the last numbers of their lines: where rows are not aligned, the first line is that of the sliver before. Lines of
// C come last, a row at a time: together they would hold up those of B, and earlier they would be gone from L1 when the
// sums are complete.
#pragma once
#include <utility>

#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

// The register tile: rows x vectors. MR * NV accumulators + NV of B + 1 of A have to fit the registers (32 with AVX-512
// and NEON, else 16; without fused multiply-add one more for the product).
struct TileShape {
  int rows, vecs;
};
#if defined(FASTDL_ISA_avx512)
constexpr TileShape kTallTile{14, 2};
#elif defined(FASTDL_ISA_avx2) || defined(__x86_64__)
constexpr TileShape kTallTile{6, 2};
#else
constexpr TileShape kTallTile{12, 2};
#endif

template <class T>
constexpr int64_t kLine = 64 / sizeof(T);
constexpr int kStepsAhead = 16;  // steps of k that rows of B are fetched ahead
constexpr int kRowSteps = 16;    // steps between the rows of C that are fetched
// Steps that are one run of instructions. One by one, moving on takes a tenth of the instructions of a step.
#if defined(FASTDL_ISA_avx512) && !defined(FASTDL_AVX512_ON_AVX2)
constexpr int kUnrolled = 4;
#else
constexpr int kUnrolled = 1;
#endif

// Every loop over the tile must be unrolled: an index that is not a constant would send the tile to the stack.

// A pointer that a loop moves on. The compiler would rather compute its value behind the loop anew, from memory, and
// the addresses of all rows before the first one is stored.
template <class P>
FASTDL_INLINE void in_register(P& p) {
  asm("" : "+r"(p));
}

// sum += factor * x, written out with AVX-512: the compiler may choose a form that overwrites another operand than the
// sum, and in a loop over several steps it then moves the sums back, 20 times a step. Volatile, so that they stay in
// this order: it would bring the ones that load together.
template <class T>
FASTDL_INLINE void multiply_add(Vec<T>& sum, Vec<T> factor, Vec<T> x) {
#if defined(FASTDL_ISA_avx512) && !defined(FASTDL_AVX512_ON_AVX2)
  if constexpr (sizeof(T) == 4)
    asm volatile("vfmadd231ps %1, %2, %0" : "+v"(sum) : "v"(factor), "v"(x));
  else
    asm volatile("vfmadd231pd %1, %2, %0" : "+v"(sum) : "v"(factor), "v"(x));
#else
  sum += factor * x;
#endif
}

// sums[j] += *factor * row[j], for row r of a tile. With AVX-512 a multiply-add can read its factor itself. A load for
// two products is one instruction more, two products that load are one load more. Where a core has the pipeline to
// itself both are the same. On a virtual machine whose cores others use too (most likely by another hardware thread,
// which takes half of the instructions and of the loads), none of the rows, every second and every fourth reach 90, 91
// and 96 % of the rate of multiply-adds alone.
template <class T, int NV>
FASTDL_INLINE void add_row(Vec<T> (&sums)[NV], const T* factor, const Vec<T> (&row)[NV], int r) {
#if defined(FASTDL_ISA_avx512) && !defined(FASTDL_AVX512_ON_AVX2)
  if (NV == 1 || r % 4 == 1) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
      if constexpr (sizeof(T) == 4)
        asm volatile("vfmadd231ps %1%{1to16%}, %2, %0" : "+v"(sums[j]) : "m"(*factor), "v"(row[j]));
      else
        asm volatile("vfmadd231pd %1%{1to8%}, %2, %0" : "+v"(sums[j]) : "m"(*factor), "v"(row[j]));
    }
    return;
  }
#else
  (void)r;
#endif
  const Vec<T> all = broadcast<T>(*factor);
#pragma GCC unroll 8
  for (int j = 0; j < NV; ++j) multiply_add<T>(sums[j], all, row[j]);
}

// Where a product reads next.
template <class T>
struct ProductPlace {
  const T *a, *b, *next;
  int64_t ldb, step;
};

// tile += one step of A B, and moves on.
template <class T, int MR, int NV, bool kNext>
FASTDL_INLINE void add_step(Vec<T> (&tile)[MR][NV], ProductPlace<T>& at) {
  constexpr int L = kLanes<T>;
  if (kNext) __builtin_prefetch(at.next, 0, 2);
  Vec<T> row[NV];
#pragma GCC unroll 8
  for (int j = 0; j < NV; ++j) {
    row[j] = load<T>(at.b + j * L);
    if (j * kVecBytes % 64 == 0) __builtin_prefetch(at.b + kStepsAhead * at.ldb + j * L + kLine<T> - 1);
  }
#pragma GCC unroll 32
  for (int r = 0; r < MR; ++r) add_row<T, NV>(tile[r], at.a + r, row, r);
  at.a += MR, at.b += at.ldb, at.next += at.step;
  in_register(at.b);
  if (kNext) in_register(at.next);
}

// tile += A B, k >= 0 steps. The loops over steps end in their condition: with the condition in front, which costs a
// second jump in each step, tiles of 5 rows took the time of 6 on Zen 3.
template <class T, int MR, int NV, bool kNext>
FASTDL_INLINE void add_product(Vec<T> (&tile)[MR][NV], int64_t k, const T* a, const T* b, int64_t ldb, const T* c,
                               int64_t ldc, const T* next, int64_t step) {
  constexpr int L = kLanes<T>;
  // All but the last steps first, then some steps after each row of C that is fetched.
  const int64_t each = k < MR * kRowSteps ? (k + MR * kUnrolled - 1) / (MR * kUnrolled) * kUnrolled : kRowSteps;
  const T* line = c;
  ProductPlace<T> at{a, b, next, ldb, step};
  int64_t steps = k - each * MR;
  for (int i = 0;; ++i, line += ldc) {
    if (steps > 0) {
      k -= steps;
      for (int64_t n = steps / kUnrolled; n > 0; --n) {
#pragma GCC unroll 8
        for (int s = 0; s < kUnrolled; ++s) add_step<T, MR, NV, kNext>(tile, at);
        in_register(at.a);
      }
      for (int64_t n = steps % kUnrolled; n > 0; --n) {
        add_step<T, MR, NV, kNext>(tile, at);
        in_register(at.a);
      }
    }
    if (i == MR) break;
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j)
      if (j * kVecBytes % 64 == 0) __builtin_prefetch(line + j * L, 1);
    steps = each < k ? each : k;
  }
}

template <class T, int MR, int NV>
static __attribute__((noinline)) void microkernel(int64_t k, const T* __restrict a, const T* __restrict b, int64_t ldb,
                                                  T* __restrict c, int64_t ldc, bool accumulate, const T* next,
                                                  int64_t step) {
  constexpr int L = kLanes<T>;
  Vec<T> tile[MR][NV];
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) tile[i][j] = Vec<T>{};
  }
  add_product<T, MR, NV, true>(tile, k, a, b, ldb, c, ldc, next, step);
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i, c += ldc) {
    in_register(c);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store<T>(c + j * L, accumulate ? load<T>(c + j * L) + tile[i][j] : tile[i][j]);
  }
}

template <class T>
struct Microkernel {
  using Function = void (*)(int64_t k, const T* a, const T* b, int64_t ldb, T* c, int64_t ldc, bool accumulate,
                            const T* next, int64_t step);
  Function run;
  // Without a `next` b stands for it: its lines are there anyway.
  __attribute__((always_inline)) void operator()(int64_t k, const T* a, const T* b, int64_t ldb, T* c, int64_t ldc,
                                                 bool accumulate) const {
    run(k, a, b, ldb, c, ldc, accumulate, b, ldb);
  }
};

// The instance for a panel of `rows` and a sliver of `vecs` vectors: balanced panels and narrow last slivers then run
// at full vectors instead of on padding.
template <class T, int NV, int... I>
FASTDL_INLINE Microkernel<T> microkernel_of_width(int rows, std::integer_sequence<int, I...>) {
  static constexpr typename Microkernel<T>::Function kInstances[] = {&microkernel<T, I + 1, NV>...};
  return {kInstances[rows - 1]};
}
template <class T>
static Microkernel<T> microkernel_for(int rows, int vecs) {
  using Rows = std::make_integer_sequence<int, kTallTile.rows>;
  static_assert(kTallTile.vecs == 2, "the cases below");
  return vecs == 1 ? microkernel_of_width<T, 1>(rows, Rows{}) : microkernel_of_width<T, 2>(rows, Rows{});
}

}  // namespace fastdl::FASTDL_ISA
