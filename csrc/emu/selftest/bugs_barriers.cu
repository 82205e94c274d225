// Mistakes of barriers, masks and warps.
#include "emu/selftest/bugs.h"

namespace fastdl::emu {
namespace {

__global__ void return_early(const float* x, float* out, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  FASTDL_SHARED(float, tile, [kBugBlock]);
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();  // finds DIVERGENT_BARRIER early_return
  out[threadIdx.x] = tile[n - 1 - threadIdx.x];
}
FASTDL_SELFTEST(early_return) {
  launch(return_early, 1, kBugBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 40);
}

__global__ void barrier_in_both_branches(float* out) {
  if (threadIdx.x < kBugBlock / 2) {
    __syncthreads();  // finds DIVERGENT_BARRIER barrier_in_branches
    out[threadIdx.x] = 1.0f;
  } else {
    __syncthreads();
    out[threadIdx.x] = 2.0f;
  }
}
FASTDL_SELFTEST(barrier_in_branches) {
  launch(barrier_in_both_branches, 1, kBugBlock, 0, stream, operands[1].as<float>());
}

__global__ void full_mask_in_half_a_warp(const float* x, float* out) {
  float v = x[threadIdx.x];
  if (threadIdx.x < 16) v += __shfl_xor_sync(kFullWarp, v, 1);  // finds DEADLOCK shuffle_in_branch
  __syncthreads();
  out[threadIdx.x] = v;
}
FASTDL_SELFTEST(shuffle_in_branch) {
  start(full_mask_in_half_a_warp, operands, stream);
}

__global__ void not_in_mask(const float* x, float* out) {
  const float v = x[threadIdx.x];
  out[threadIdx.x] = v + __shfl_xor_sync(0x0000ffffu, v, 1);  // finds WARP_MASK lane_not_in_mask
}
FASTDL_SELFTEST(lane_not_in_mask) {
  launch(not_in_mask, 1, kWarp, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void reads_absent_lane(const float* x, float* out) {
  const float v = x[threadIdx.x];
  out[threadIdx.x] = v + __shfl_down_sync(kFullWarp, v, 16);  // finds WARP_MASK shuffle_from_absent_lane
}
FASTDL_SELFTEST(shuffle_from_absent_lane) {  // the second warp has 8 lanes
  launch(reads_absent_lane, 1, 40, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void masks_differ(const float* x, float* out) {
  const unsigned mask = threadIdx.x % 2 ? kFullWarp : 0x7fffffffu;
  out[threadIdx.x] = __shfl_sync(mask, x[threadIdx.x], 0);  // finds WARP_MASK masks_differ
}
FASTDL_SELFTEST(masks_differ) {
  launch(masks_differ, 1, kWarp, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void spin(const volatile int* flag, int* out) {
  while (flag[0] == 1) {  // finds DEADLOCK waits_in_a_loop
  }
  out[threadIdx.x] = flag[0];
}
FASTDL_SELFTEST(waits_in_a_loop) {
  launch(spin, 1, kBugBlock, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void much_shared(float* out) {
  FASTDL_SHARED(float, a, [20000]);
  FASTDL_DYNAMIC_SHARED(b);
  a[threadIdx.x] = 0.0f;
  out[threadIdx.x] = a[threadIdx.x] + b[0];
}
FASTDL_SELFTEST(static_and_dynamic_shared) {  // 80,000 + 100,000 bytes
  launch(much_shared, 1, kBugBlock, 100000, stream, operands[1].as<float>());
}

// The mask of the lanes below n, computed for one lane too few.
__global__ void mask_one_short(const float* x, float* out, int n) {
  const unsigned mask = (1u << (n - 1)) - 1;
  if (static_cast<int>(threadIdx.x) >= n) return;
  float v = x[threadIdx.x];
  v += __shfl_xor_sync(mask, v, 1);  // finds WARP_MASK mask_one_lane_short
  out[threadIdx.x] = v;
}
FASTDL_SELFTEST(mask_one_lane_short) {
  launch(mask_one_short, 1, kWarp, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 20);
}

// The mask is of those with a large value; the others shuffle with it too.
__global__ void mask_of_the_branch(const float* x, float* out) {
  const float v = x[threadIdx.x];
  const unsigned large = __ballot_sync(kFullWarp, v > 10.0f);
  out[threadIdx.x] = __shfl_sync(large, v, 31);  // finds WARP_MASK mask_of_the_branch
}
FASTDL_SELFTEST(mask_of_the_branch) {
  start(mask_of_the_branch, operands, stream, 1, kWarp);
}

// Lanes of a ragged row leave the loop before the others.
__global__ void shuffle_in_a_ragged_loop(const float* x, float* out, int n) {
  float sum = 0.0f;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kWarp)
    sum += __shfl_xor_sync(kFullWarp, x[i], 1);  // finds DEADLOCK shuffle_in_a_ragged_loop
  __syncwarp();
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(shuffle_in_a_ragged_loop) {
  launch(shuffle_in_a_ragged_loop, 1, kWarp, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 40);
}

__global__ void reduce_with_wrong_width(const float* x, float* out) {
  float v = x[threadIdx.x];
  for (int step = 16; step > 0; step /= 2)
    v += __shfl_down_sync(0x00ffffffu, v, step);  // finds WARP_MASK ragged_reduction
  out[threadIdx.x] = v;
}
FASTDL_SELFTEST(ragged_reduction) {  // 24 lanes: the halves of 32 reach beyond them
  start(reduce_with_wrong_width, operands, stream, 1, 24);
}

// Threads take different numbers of steps through a loop with a barrier.
__global__ void barrier_in_a_ragged_loop(const float* x, float* out, int n) {
  FASTDL_SHARED(float, tile, [kBugBlock]);
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kBugBlock) {
    tile[threadIdx.x] = x[i];
    __syncthreads();  // finds DIVERGENT_BARRIER barrier_in_a_ragged_loop
  }
  out[threadIdx.x] = 0.0f;
}
FASTDL_SELFTEST(barrier_in_a_ragged_loop) {
  launch(barrier_in_a_ragged_loop, 1, kBugBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 40);
}

// A thread that converged stops, the others wait for it at the next step.
__global__ void stops_on_its_own(const float* x, float* out) {
  float v = x[threadIdx.x];
  for (int step = 0; step < 64; ++step) {
    v *= 0.5f;
    if (v < 1.0f) break;
    __syncthreads();  // finds DIVERGENT_BARRIER leaves_the_loop_alone
  }
  __syncthreads();  // finds DIVERGENT_BARRIER leaves_the_loop_alone
  out[threadIdx.x] = v;
}
FASTDL_SELFTEST(leaves_the_loop_alone) {
  start(stops_on_its_own, operands, stream);
}

__global__ void barrier_for_some(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock]);
  tile[threadIdx.x] = x[threadIdx.x];
  if (threadIdx.x < 40) __syncthreads();  // finds DIVERGENT_BARRIER barrier_for_some
  out[threadIdx.x] = tile[threadIdx.x];
  __syncthreads();
}
FASTDL_SELFTEST(barrier_for_some) {
  start(barrier_for_some, operands, stream);
}

// One warp waits for lanes that wait for the block.
__global__ void warp_waits_for_block(float* out) {
  if (threadIdx.x < 16) __syncwarp();  // finds DEADLOCK|DIVERGENT_BARRIER warp_and_block_wait
  __syncthreads();
  out[threadIdx.x] = 1.0f;
}
FASTDL_SELFTEST(warp_and_block_wait) {
  launch(warp_waits_for_block, 1, kBugBlock, 0, stream, operands[1].as<float>());
}

__global__ void vote_of_some(const float* x, float* out) {
  int all = 0;
  if (x[threadIdx.x] > 5.0f) all = __all_sync(kFullWarp, x[threadIdx.x] < 100.0f);  // finds DEADLOCK vote_in_a_branch
  __syncthreads();
  out[threadIdx.x] = static_cast<float>(all);
}
FASTDL_SELFTEST(vote_in_a_branch) {
  start(vote_of_some, operands, stream);
}

}  // namespace
}  // namespace fastdl::emu
