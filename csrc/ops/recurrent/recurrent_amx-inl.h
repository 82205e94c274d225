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
  int64_t walker_rows = 0;    // numbers that a walker splits of them
  int64_t own_sequences = 0;  // of a thread that walks by itself
};

#if defined(FASTDL_ISA_amx)

// Cycles of a block in a step of the inner product (cpu/amx_gemm-inl.h), of which its weights take some whatever the
// rows are, more where they come from L3; and of splitting rows, and weights, beyond what packing them for vectors
// takes.
constexpr double kWeightCycles = 250, kFarWeightCycles = 350, kRowCycles = 600, kSplitCycles = 960;
constexpr double kNearBytes = 2 << 20;
// A thread that walks by itself has a tile of sequences, or as many as are worth reading all weights from L3 for.
constexpr int64_t kNearSequences = 16, kFarSequences = 64;

FASTDL_INLINE AmxWalk plan_amx_walk(const RecurrentShape& s, int64_t columns, int64_t x, int64_t h) {
  AmxWalk w{};
  if (!amx_in_use() || s.dtype != DType::kFloat32 || s.steps < 2) return w;
  w.panels = ceil_div(s.hidden, kAmxUnits), w.x_steps = amx_steps(x), w.h_steps = amx_steps(h);
  w.walker_rows = ceil_div(s.batch, kAmxSide) * (w.x_steps + w.h_steps) * kAmxStep;
  const double wide = static_cast<double>(ceil_div(columns, kAmxSide)), steps = static_cast<double>(s.steps);
  const double rows = static_cast<double>(ceil_div(s.batch, kAmxSide / 2)) / 2;
  const auto deep = static_cast<double>(w.x_steps + w.h_steps);
  const bool near = wide * deep * kAmxStep * sizeof(Bf16) <= kNearBytes;
  const double block = (near ? kWeightCycles : kFarWeightCycles) + rows * kBlockCycles;
  const double cycles = deep * (steps * (wide * block + rows * kRowCycles) + wide * kSplitCycles);
  w.used = cycles < steps * static_cast<double>(s.batch * columns * (x + h)) / kVectorProducts;
  w.own_sequences = near ? kNearSequences : kFarSequences;
  return w;
}

// Up to 32 rows of k numbers, wherever they lie.
static void amx_pack_rows(Bf16* to, const float* const* rows, int64_t count, int64_t k) {
  constexpr int64_t kRun = 8 * kAmxSteps;
  for (int64_t p = 0; p < k; p += kRun, to += kRun / kAmxSteps * kAmxStep)
    for (int64_t i = 0; i < count; ++i) split_line(to + i * kAmxSteps, rows[i] + p, min64(kRun, k - p));
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
  return {at, at ? coming.lines : 0, block, kAmxSide};
}

#else

FASTDL_INLINE AmxWalk plan_amx_walk(const RecurrentShape&, int64_t, int64_t, int64_t) {
  return {};
}

#endif

}  // namespace fastdl::FASTDL_ISA
