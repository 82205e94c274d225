// Steps of a walk on the tile unit (cpu/amx-inl.h). The weights are split once a call and serve all steps; at each step
// the rows of x and h, or of dG, are split, a small part of the work where a step has many columns.
//
//   weights   [direction][panel][gate][steps]   a panel: 32 units, and a gate of it the 32 columns of a block
//   rows      [32 sequences][steps]             steps of x, then of h
//
// What becomes of a row does not depend on the others of its block, so sequences may be cut anywhere.
#pragma once
#include "ops/recurrent/recurrent_steps-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kAmxUnits = 32;

// How a walk goes on tiles.
struct AmxWalk {
  bool used = false;
  int64_t panels = 0;                // of a direction
  int64_t x_steps = 0, h_steps = 0;  // of the inner product
  uint16_t* weights = nullptr;
  uint16_t* rows = nullptr;  // of each walker in turn
  int64_t walker_rows = 0;   // numbers of a walker
};

#if defined(FASTDL_ISA_avx512)

// From so many sequences on, in tiles of 16.
constexpr int64_t kAmxSequences = 12;

// Whether `rows` rows, in steps of up to `batch`, are multiplied sooner by tiles. Vectors multiply 29 pairs of numbers
// a cycle.
FASTDL_INLINE bool amx_walks(const RecurrentShape& s, int64_t columns, int64_t k) {
  if (!amx_in_use() || s.dtype != DType::kFloat32 || s.steps < 2 || s.batch < kAmxSequences) return false;
  const double rows = static_cast<double>(ceil_div(s.batch, kAmxSide / 2)) / 2, steps = static_cast<double>(s.steps);
  const double wide = static_cast<double>(ceil_div(columns, kAmxSide));
  const double cycles =
      static_cast<double>(amx_steps(k)) * (steps * rows * (wide * kBlockCycles + kPackCycles) + wide * kPackCycles);
  return cycles < steps * static_cast<double>(s.batch * columns * k) / kVectorProducts;
}

// Up to 32 rows of k numbers, wherever they lie.
static void amx_pack_rows(Bf16* to, const float* const* rows, int64_t count, int64_t k) {
  constexpr int64_t kRun = 8 * kAmxSteps;
  for (int64_t p = 0; p < k; p += kRun, to += kRun / kAmxSteps * kAmxStep)
    for (int64_t i = 0; i < count; ++i) split_line(to + i * kAmxSteps, rows[i] + p, min64(kRun, k - p));
}

static __attribute__((noinline)) void remake_rows(int64_t steps, const Bf16* a, const Bf16* b, int64_t rows,
                                                  int64_t columns, float* block) {
  alignas(64) float made[kAmxBlock];
  for (int64_t i = 0; i < rows; ++i) {
    float* const row = block + i * kAmxSide;
    if (all_finite(row, 1, columns)) continue;
    amx_block_by_vectors(steps, a + i * kAmxSteps, b, 1, columns, made);
    __builtin_memcpy(row, made, static_cast<size_t>(columns) * sizeof(float));
  }
}

// block[32][32] = A B. Rows that are not finite are made again, and no others: those are of other sequences.
FASTDL_INLINE void amx_step(int64_t steps, const Bf16* a, const Bf16* b, const AmxAhead& ahead, int64_t rows,
                            int64_t columns, float* block) {
  amx_block_for(rows, columns)(steps, a, b, ahead, block);
  if (__builtin_expect(!all_finite(block, rows, columns), 0)) remake_rows(steps, a, b, rows, columns, block);
}

// The rows that the next step reads or writes, fetched while blocks of so many steps in all are multiplied.
struct AmxComing {
  Coming<float> runs;
  int64_t lines;  // a step
};
FASTDL_INLINE AmxComing amx_coming(const Coming<float>& runs, int64_t steps) {
  int64_t numbers = 0;
  for (int i = 0; i < runs.count; ++i) numbers += runs.left[i];
  return {runs, ceil_div(numbers, steps * kLine<float>)};
}
FASTDL_INLINE AmxAhead amx_ahead(AmxComing& coming, int64_t steps, float* block) {
  const float* const at = take_run<float>(coming.runs, steps * coming.lines * kLine<float>);
  return {reinterpret_cast<const Bf16*>(at), at ? coming.lines : 0, block, kAmxSide};
}

#else

FASTDL_INLINE bool amx_walks(const RecurrentShape&, int64_t, int64_t) {
  return false;
}

#endif

}  // namespace fastdl::FASTDL_ISA
