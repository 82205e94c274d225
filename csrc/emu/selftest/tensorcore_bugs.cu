// Mistakes with tensor cores and asynchronous copies. A line that must be named ends in "finds KIND name, KIND name";
// "wrong numbers name" marks mistakes that no rule forbids, which the result alone shows. tests/emu/test_tensorcore.py
// reads these comments.
#include "cuda/tensorcore.cuh"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

// C (32 x 8) = A (32 x 64) B (8 x 64)^T in bfloat16 by two warps: two stages of 32 steps (64 bytes, 4 chunks of 16),
// the chunks of a row exchanged by the row's number, as in cuda/mma_gemm.cuh.
enum class Bug {
  kNone,
  kWaitMissing,
  kGroupTooFew,
  kBarrierMissing,
  kCopyToUsedStage,
  kSwizzleMismatch,
  kWrongFragmentB,
  kWrongRows,
  kTransposed,
  kCopyPastEnd,
  kMisalignedCopy,
  kHalfAWarp,
  kOpenAtReturn,
};
constexpr int kRows = 32, kColumns = 8, kStages = 2, kSteps = 64, kChunks = 4;

__device__ inline int swizzled(int row, int chunk) {
  return row * kChunks + (chunk ^ (row / 2 % 4));
}

template <Bug bug>
__global__ void small_product(const uint16_t* a, const uint16_t* b, float* out) {
  FASTDL_SHARED(uint4, tile, [kStages][(kRows + kColumns) * kChunks]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const auto copy_stage = [&](int stage) {
    for (int i = static_cast<int>(threadIdx.x); i < (kRows + kColumns) * kChunks; i += 2 * kWarp) {
      const int row = i / kChunks, chunk = i % kChunks;
      const uint16_t* from = row < kRows ? a + row * kSteps : b + (row - kRows) * kSteps;
      const int skew = bug == Bug::kMisalignedCopy && row == 3 ? 4 : 0;
      const int past = bug == Bug::kCopyPastEnd && row == kRows + kColumns - 1 ? 8 : 0;
      const int to = bug == Bug::kCopyToUsedStage ? 0 : stage;
      from += stage * 32 + chunk * 8 + skew + past;
      uint4* slot = &tile[to][swizzled(row, chunk)];
      if (bug == Bug::kCopyToUsedStage) {
        copy_async<16>(slot, from, 16);  // finds ASYNC copy_to_used_stage
        continue;
      }
      copy_async<16>(slot, from, 16);  // finds ASYNC open_at_return, MISALIGNED misaligned_copy, OUT_OF_BOUNDS past_end
    }
    commit_copies();
  };
  copy_stage(0);
  copy_stage(1);
  float sum[4] = {};
#pragma unroll
  for (int stage = 0; stage < kStages; ++stage) {
    if (bug == Bug::kOpenAtReturn && stage == 1) break;
    if (bug == Bug::kWaitMissing) {
    } else if (stage == 0 && bug != Bug::kGroupTooFew) {
      wait_copies<1>();
    } else if (stage == 1 && bug == Bug::kGroupTooFew) {
      wait_copies<1>();
    } else if (stage == 1) {
      wait_copies<0>();
    }
    if (bug != Bug::kBarrierMissing) __syncthreads();
#pragma unroll
    for (int step = 0; step < 2; ++step) {
      uint32_t ra[4], rb[2];
      const int row = 16 * warp + lane % 16, chunk = 2 * step + lane / 16;
      const int column = kRows + lane % 8, chunk_b = 2 * step + lane / 8 % 2;
      const int at = bug == Bug::kSwizzleMismatch ? row * kChunks + (chunk ^ row % 4) : swizzled(row, chunk);
      if (bug == Bug::kTransposed)
        load_transposed(ra, &tile[stage][at]);
      else
        load_matrices(ra, &tile[stage][at]);                       // finds ASYNC wait_missing, ASYNC group_too_few
      load_matrices(rb, &tile[stage][swizzled(column, chunk_b)]);  // finds RACE|ASYNC barrier_missing
      if (bug == Bug::kWrongFragmentB) {
        const uint32_t first = rb[0];
        rb[0] = rb[1], rb[1] = first;
      }
      if (bug == Bug::kHalfAWarp && lane >= 16) continue;
      multiply(bfloat16{}, sum, ra, rb);  // finds DEADLOCK|WARP_MASK half_a_warp
    }
  }
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int below = bug == Bug::kWrongRows ? 8 - j / 2 * 8 : j / 2 * 8;
    out[(16 * warp + lane / 4 + below) * kColumns + lane % 4 * 2 + j % 2] = sum[j];
  }
}

#define FASTDL_BUG(name, bug)                                                                                   \
  FASTDL_SELFTEST(name) {                                                                                       \
    launch(small_product<bug>, 1, 2 * kWarp, 0, stream, operands[0].as<uint16_t>(), operands[1].as<uint16_t>(), \
           operands[2].as<float>());                                                                            \
  }
FASTDL_BUG(small_product, Bug::kNone)
FASTDL_BUG(wait_missing, Bug::kWaitMissing)
FASTDL_BUG(group_too_few, Bug::kGroupTooFew)
FASTDL_BUG(barrier_missing, Bug::kBarrierMissing)
FASTDL_BUG(copy_to_used_stage, Bug::kCopyToUsedStage)
FASTDL_BUG(swizzle_mismatch, Bug::kSwizzleMismatch)  // wrong numbers swizzle_mismatch
FASTDL_BUG(fragment_halves, Bug::kWrongFragmentB)    // wrong numbers fragment_halves
FASTDL_BUG(result_rows, Bug::kWrongRows)             // wrong numbers result_rows
FASTDL_BUG(transposed_load, Bug::kTransposed)        // wrong numbers transposed_load
FASTDL_BUG(past_end, Bug::kCopyPastEnd)
FASTDL_BUG(misaligned_copy, Bug::kMisalignedCopy)
FASTDL_BUG(half_a_warp, Bug::kHalfAWarp)
FASTDL_BUG(open_at_return, Bug::kOpenAtReturn)

// The copy's own thread reads its bytes before it waited, and then writes where one will land.
__global__ void reads_own_copy(const float* x, float* out) {
  FASTDL_SHARED(float, row, [kWarp]);
  const int i = static_cast<int>(threadIdx.x);
  copy_async<4>(&row[i], x + i, 4);
  out[i] = row[i];  // finds ASYNC own_copy_too_early
  row[i] = 1.0f;    // finds ASYNC own_copy_too_early
  commit_copies();
  wait_copies<0>();
}
FASTDL_SELFTEST(own_copy_too_early) {
  launch(reads_own_copy, 1, kWarp, 0, stream, operands[2].as<float>(), operands[2].as<float>());
}

// commit_copies is missing: wait_copies waits for groups alone.
__global__ void never_committed(const float* x, float* out) {
  FASTDL_SHARED(float, row, [kWarp]);
  const int i = static_cast<int>(threadIdx.x);
  copy_async<4>(&row[i], x + i, 4);  // finds ASYNC commit_missing
  wait_copies<0>();
  out[i] = row[i];  // finds ASYNC commit_missing
}
FASTDL_SELFTEST(commit_missing) {
  launch(never_committed, 1, kWarp, 0, stream, operands[2].as<float>(), operands[2].as<float>());
}

// Another thread still reads the stage that is copied to.
__global__ void stage_in_use(const float* x, float* out) {
  FASTDL_SHARED(float, row, [kWarp]);
  const int i = static_cast<int>(threadIdx.x);
  row[i] = static_cast<float>(i);
  __syncthreads();
  const float other = row[(i + 1) % kWarp];  // finds RACE|ASYNC stage_in_use
  copy_async<4>(&row[i], x + i, 4);          // finds RACE stage_in_use
  commit_copies();
  wait_copies<0>();
  out[kWarp + i] = other;
}
FASTDL_SELFTEST(stage_in_use) {
  launch(stage_in_use, 1, kWarp, 0, stream, operands[2].as<float>(), operands[2].as<float>());
}

__global__ void copies_within_global(const float* x, float* out) {
  copy_async<4>(out + kWarp + threadIdx.x, x + threadIdx.x, 4);  // finds OUT_OF_BOUNDS copy_to_global
  commit_copies();
  wait_copies<0>();
}
FASTDL_SELFTEST(copy_to_global) {
  launch(copies_within_global, 1, kWarp, 0, stream, operands[2].as<float>(), operands[2].as<float>());
}

__global__ void loads_from_global(const uint16_t* x, float* out) {
  uint32_t r[1];
  load_matrices(r, x + 8 * (threadIdx.x % 8));  // finds OUT_OF_BOUNDS matrices_from_global
  out[threadIdx.x] = static_cast<float>(r[0]);
}
FASTDL_SELFTEST(matrices_from_global) {
  launch(loads_from_global, 1, kWarp, 0, stream, operands[0].as<uint16_t>(), operands[2].as<float>());
}

__global__ void block_of_40(float* out) {
  const uint32_t a[4] = {}, b[2] = {};
  float c[4] = {};
  multiply(tfloat32{}, c, a, b);  // finds WARP_MASK warp_of_8
  out[threadIdx.x] = c[0];
}
FASTDL_SELFTEST(warp_of_8) {
  launch(block_of_40, 1, 40, 0, stream, operands[2].as<float>());
}

}  // namespace
}  // namespace fastdl::emu
