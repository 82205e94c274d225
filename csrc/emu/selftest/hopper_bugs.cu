// Mistakes with mbarriers, the copy engine and wgmma. Above a line that must be named stands "finds KIND name, KIND
// name"; "wrong numbers name" marks mistakes that no rule forbids, which the result alone shows.
// tests/emu/test_hopper.py reads these comments.
#include "cuda/wgmma_gemm.cuh"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

// C (64 x 128) = A (64 x k) B (128 x k)^T in bfloat16: a warpgroup multiplies, a warp brings panels to a ring of two
// stages, as in cuda/wgmma_gemm.cuh.
enum class Bug {
  kNone,
  kProducerIgnoresEmpty,
  kTooFewBytes,
  kTooManyBytes,
  kNoWaitForFull,
  kGivenBackEarly,
  kWrongStep,
  kSumsReadEarly,
  kNoWgmmaFence,
  kInitNotFenced,
  kInitNotSeen,
  kWrongParity,
  kArrivesTwice,
  kNotOnPattern,
  kReturnsEarly,
  kHalfAWarpgroup,
  kOddBox,
  kStoresToStage,
};
constexpr int kStages = 2, kSteps = 64;
constexpr int kPanelA = 64 * kSwizzledRow, kStage = kPanelA + 128 * kSwizzledRow;

template <Bug bug>
__device__ void bring_panels(const TensorMap* map_a, const TensorMap* map_b, unsigned char* stages, uint64_t* full,
                             uint64_t* empty, int panels) {
  for (int panel = 0; panel < panels; ++panel) {
    const int stage = panel % kStages;
    unsigned char* at = stages + stage * kStage;
    const int x = panel * kSteps;
    if (bug != Bug::kProducerIgnoresEmpty) {
      const uint32_t parity = bug == Bug::kWrongParity ? panel / kStages & 1 : (panel / kStages & 1) ^ 1;
      // finds DEADLOCK wrong_parity, MBARRIER|RACE init_not_seen
      mbarrier_wait_parity(&empty[stage], parity);
    }
    const int wrong = bug == Bug::kTooFewBytes ? -1024 : bug == Bug::kTooManyBytes ? 1024 : 0;
    mbarrier_arrive_expect_tx(&full[stage], kStage + wrong);
    const int skew = bug == Bug::kOddBox ? 64 : 0;
    // finds ASYNC|RACE empty_ignored, PROXY init_not_fenced, MISALIGNED odd_box
    cp_async_bulk_tensor(at + skew, map_a, {x, 0, 0}, &full[stage]);
    // finds RACE|ASYNC given_back_early, RACE|ASYNC arrives_twice
    cp_async_bulk_tensor(at + kPanelA, map_b, {x, 0, 0}, &full[stage]);
  }
}

template <Bug bug>
__device__ void multiply_panels(unsigned char* stages, uint64_t* full, uint64_t* empty, int panels, float* out) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  float sum[64] = {};
  for (int panel = 0; panel < panels; ++panel) {
    const int stage = panel % kStages;
    unsigned char* at = stages + stage * kStage;
    // finds DEADLOCK too_many_bytes, DEADLOCK too_few_bytes, MBARRIER|RACE init_not_seen
    if (bug != Bug::kNoWaitForFull) mbarrier_wait_parity(&full[stage], panel / kStages & 1);
    if (bug == Bug::kStoresToStage && threadIdx.x == 5) reinterpret_cast<uint16_t*>(at)[0] = 0;
    if (bug != Bug::kNoWgmmaFence) wgmma_fence();
    const uint64_t a = matrix_descriptor(at + (bug == Bug::kNotOnPattern ? 128 : 0));
    const uint64_t b = matrix_descriptor(at + kPanelA);
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      if (bug == Bug::kHalfAWarpgroup && threadIdx.x >= 64) break;
      const uint64_t step_a = a + step * (bug == Bug::kWrongStep ? 1 : kDescriptorStep);
      const uint64_t step_b = b + step * kDescriptorStep;
      // finds ASYNC|RACE no_wait_for_full, ASYNC no_wgmma_fence, DESCRIPTOR not_on_pattern, ASYNC returns_early
      // finds RACE|PROXY stores_to_stage
      wgmma(bfloat16{}, sum, step_a, step_b, true);
    }
    wgmma_commit_group();
    // finds ASYNC sums_read_early
    if (bug == Bug::kSumsReadEarly && panel == panels - 1) out[threadIdx.x] = sum[3];
    if (bug == Bug::kReturnsEarly && panel == panels - 1) return;
    if (bug == Bug::kGivenBackEarly && lane == 0) mbarrier_arrive(&empty[stage]);
    // finds WARPGROUP half_a_warpgroup
    wgmma_wait_group<0>();
    if (bug != Bug::kGivenBackEarly && lane == 0) mbarrier_arrive(&empty[stage]);
    if (bug == Bug::kArrivesTwice && lane == 0) mbarrier_arrive(&empty[stage]);
  }
#pragma unroll
  for (int i = 0; i < 64; ++i)
    out[(16 * warp + lane / 4 + i % 4 / 2 * 8) * 128 + i / 4 * 8 + lane % 4 * 2 + i % 2] = sum[i];
}

template <Bug bug>
__global__ void ring_product(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
                             int panels, float* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(uint64_t, full, [kStages]);
  FASTDL_SHARED(uint64_t, empty, [kStages]);
  unsigned char* stages = memory + (kSwizzlePattern - shared_address(memory) % kSwizzlePattern) % kSwizzlePattern;
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      mbarrier_init(&full[i], 1);
      mbarrier_init(&empty[i], 4);
    }
    if (bug != Bug::kInitNotFenced) fence_mbarrier_init();
  }
  if (bug != Bug::kInitNotSeen) __syncthreads();
  if (threadIdx.x == kWarpgroup) bring_panels<bug>(&map_a, &map_b, stages, full, empty, panels);
  if (threadIdx.x < kWarpgroup) multiply_panels<bug>(stages, full, empty, panels, out);
}

template <Bug bug>
void run_bug(const Operand* operands, Stream stream) {
  const int64_t k = operands[0].size * 2 / 64;  // two numbers a word
  const TensorMap a = tensor_map(TensorMapType::kBfloat16, operands[0].data, k, 64, 1, k, kSteps, 64);
  const TensorMap b = tensor_map(TensorMapType::kBfloat16, operands[1].data, k, 128, 1, k, kSteps, 128);
  launch(ring_product<bug>, 1, kWarpgroup + kWarp, kStages * kStage + kSwizzlePattern, stream, a, b,
         static_cast<int>(ceil_div(k, kSteps)), operands[2].as<float>());
}
FASTDL_SELFTEST(ring_product) {
  run_bug<Bug::kNone>(operands, stream);
}
FASTDL_SELFTEST(empty_ignored) {
  run_bug<Bug::kProducerIgnoresEmpty>(operands, stream);
}
FASTDL_SELFTEST(too_few_bytes) {
  run_bug<Bug::kTooFewBytes>(operands, stream);
}
FASTDL_SELFTEST(too_many_bytes) {
  run_bug<Bug::kTooManyBytes>(operands, stream);
}
FASTDL_SELFTEST(no_wait_for_full) {
  run_bug<Bug::kNoWaitForFull>(operands, stream);
}
FASTDL_SELFTEST(given_back_early) {
  run_bug<Bug::kGivenBackEarly>(operands, stream);
}
FASTDL_SELFTEST(wrong_step) {
  run_bug<Bug::kWrongStep>(operands, stream);
}  // wrong numbers wrong_step
FASTDL_SELFTEST(sums_read_early) {
  run_bug<Bug::kSumsReadEarly>(operands, stream);
}
FASTDL_SELFTEST(no_wgmma_fence) {
  run_bug<Bug::kNoWgmmaFence>(operands, stream);
}
FASTDL_SELFTEST(init_not_fenced) {
  run_bug<Bug::kInitNotFenced>(operands, stream);
}
FASTDL_SELFTEST(init_not_seen) {
  run_bug<Bug::kInitNotSeen>(operands, stream);
}
FASTDL_SELFTEST(wrong_parity) {
  run_bug<Bug::kWrongParity>(operands, stream);
}
FASTDL_SELFTEST(arrives_twice) {
  run_bug<Bug::kArrivesTwice>(operands, stream);
}
FASTDL_SELFTEST(not_on_pattern) {
  run_bug<Bug::kNotOnPattern>(operands, stream);
}
FASTDL_SELFTEST(returns_early) {
  run_bug<Bug::kReturnsEarly>(operands, stream);
}
FASTDL_SELFTEST(half_a_warpgroup) {
  run_bug<Bug::kHalfAWarpgroup>(operands, stream);
}
FASTDL_SELFTEST(odd_box) {
  run_bug<Bug::kOddBox>(operands, stream);
}
FASTDL_SELFTEST(stores_to_stage) {
  run_bug<Bug::kStoresToStage>(operands, stream);
}

// ---- without the ring -----------------------------------------------------------------------------------------------

// Ordinary stores, which wgmma may not see without a fence of the asynchronous proxy.
__global__ void no_proxy_fence(float* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  unsigned char* tile = memory + (kSwizzlePattern - shared_address(memory) % kSwizzlePattern) % kSwizzlePattern;
  for (int i = static_cast<int>(threadIdx.x); i < kStage / 4; i += kWarpgroup) reinterpret_cast<uint32_t*>(tile)[i] = 0;
  __syncthreads();
  float sum[64] = {};
  wgmma_fence();
  // finds PROXY no_proxy_fence
  wgmma(bfloat16{}, sum, matrix_descriptor(tile), matrix_descriptor(tile + kPanelA), true);
  wgmma_commit_group();
  wgmma_wait_group<0>();
  out[threadIdx.x] = sum[0];
}
FASTDL_SELFTEST(no_proxy_fence) {
  launch(no_proxy_fence, 1, kWarpgroup, kStage + kSwizzlePattern, stream, operands[2].as<float>());
}

__global__ void read_before_full(const __grid_constant__ TensorMap map, float* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect_tx(full, kPanelA);
    cp_async_bulk_tensor(memory, &map, {0, 0, 0}, full);
  }
  __syncthreads();
  // finds ASYNC|RACE read_before_full
  out[threadIdx.x] = reinterpret_cast<const float*>(memory)[threadIdx.x];
  mbarrier_wait_parity(full, 0);
}
FASTDL_SELFTEST(read_before_full) {
  const TensorMap map = tensor_map(TensorMapType::kBfloat16, operands[0].data, kSteps, 64, 1, kSteps, kSteps, 64);
  launch(read_before_full, 1, kWarp, kPanelA, stream, map, operands[2].as<float>());
}

enum class Run { kBoxOfImages, kRunOfBoxes, kBetweenWindows, kBeyondWindows, kTapTooFar };

// Runs of 8 pixels of 64 channels: images of 4 x 6 pixels, every second of which starts a window.
template <Run bug>
__global__ void bring_run(const __grid_constant__ TensorMap images, const __grid_constant__ TensorMap boxes,
                          float* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(uint64_t, full, [1]);
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect_tx(full, kSwizzlePattern);
    const int x = bug == Run::kBetweenWindows ? 1 : bug == Run::kBeyondWindows ? 6 : 0;
    const uint16_t dx = bug == Run::kTapTooFar ? 256 : 0;
    if (bug == Run::kBoxOfImages) {
      // finds DESCRIPTOR box_of_images
      cp_async_bulk_tensor(memory, &images, {0, 0, 0, 0}, full);
    } else {
      // finds DESCRIPTOR run_of_boxes, DESCRIPTOR between_windows, DESCRIPTOR beyond_windows, DESCRIPTOR tap_too_far
      cp_async_bulk_tensor_im2col(memory, bug == Run::kRunOfBoxes ? &boxes : &images, {0, x, 0, 0}, {dx, 0}, full);
    }
  }
  __syncthreads();
  mbarrier_wait_parity(full, 0);
  out[threadIdx.x] = 1.0f;
}
template <Run bug>
void run_pixels(const Operand* operands, Stream stream) {
  const TensorMap images =
      image_map(TensorMapType::kBfloat16, operands[0].data, 64, 2, {4, 0, 2, 2, 1}, {6, 0, 2, 3, 1}, kSteps, 8);
  const TensorMap boxes = tensor_map(TensorMapType::kBfloat16, operands[0].data, kSteps, 64, 1, kSteps, kSteps, 8);
  launch(bring_run<bug>, 1, kWarp, kSwizzlePattern, stream, images, boxes, operands[2].as<float>());
}
FASTDL_SELFTEST(box_of_images) {
  run_pixels<Run::kBoxOfImages>(operands, stream);
}
FASTDL_SELFTEST(run_of_boxes) {
  run_pixels<Run::kRunOfBoxes>(operands, stream);
}
FASTDL_SELFTEST(between_windows) {
  run_pixels<Run::kBetweenWindows>(operands, stream);
}
FASTDL_SELFTEST(beyond_windows) {
  run_pixels<Run::kBeyondWindows>(operands, stream);
}
FASTDL_SELFTEST(tap_too_far) {
  run_pixels<Run::kTapTooFar>(operands, stream);
}

__global__ void block_ends(const __grid_constant__ TensorMap map) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(uint64_t, full, [1]);
  if (threadIdx.x > 0) return;
  mbarrier_init(full, 1);
  fence_mbarrier_init();
  mbarrier_arrive_expect_tx(full, kPanelA + 16);
  // finds ASYNC|MBARRIER ends_with_a_copy
  cp_async_bulk_tensor(memory, &map, {0, 0, 0}, full);
}
FASTDL_SELFTEST(ends_with_a_copy) {
  const TensorMap map = tensor_map(TensorMapType::kBfloat16, operands[0].data, kSteps, 64, 1, kSteps, kSteps, 64);
  launch(block_ends, 1, kWarp, kPanelA, stream, map);
}

__global__ void never_made(float* out) {
  FASTDL_SHARED(uint64_t, barrier, [1]);
  if (threadIdx.x == 0) barrier[0] = 1;
  __syncthreads();
  // finds MBARRIER never_made
  mbarrier_arrive(barrier);
  out[threadIdx.x] = 1.0f;
}
FASTDL_SELFTEST(never_made) {
  launch(never_made, 1, kWarp, 0, stream, operands[2].as<float>());
}

// 384 threads have 168 registers each, all of the file; nobody gives any.
__global__ void __launch_bounds__(3 * kWarpgroup, 1) too_many_registers(float* out) {
  // finds DEADLOCK too_many_registers
  setmaxnreg_inc<232>();
  out[threadIdx.x] = 1.0f;
}
FASTDL_SELFTEST(too_many_registers) {
  launch(too_many_registers, 1, 3 * kWarpgroup, 0, stream, operands[2].as<float>());
}

}  // namespace
}  // namespace fastdl::emu
