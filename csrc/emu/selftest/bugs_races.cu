// Races between the threads of a block.
#include "emu/selftest/bugs.h"

namespace fastdl::emu {
namespace {

__global__ void no_barrier(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock]);
  tile[threadIdx.x] = x[threadIdx.x];
  out[threadIdx.x] = tile[threadIdx.x ^ 32];  // finds RACE|UNINIT missing_barrier
}
FASTDL_SELFTEST(missing_barrier) {
  start(no_barrier, operands, stream);
}

__global__ void no_barrier_in_loop(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock]);
  float sum = 0.0f;
  for (int step = 0; step < 3; ++step) {
    tile[threadIdx.x] = x[threadIdx.x] + static_cast<float>(step);  // finds RACE missing_barrier_in_loop
    __syncthreads();
    sum += tile[kBugBlock - 1 - threadIdx.x];
  }
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(missing_barrier_in_loop) {
  start(no_barrier_in_loop, operands, stream);
}

__global__ void no_syncwarp(const float* x, float* out) {
  FASTDL_SHARED(float, row, [kWarp]);
  row[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  const float next = row[(threadIdx.x + 1) % kWarp];
  row[threadIdx.x] = next;  // finds RACE missing_syncwarp
  out[threadIdx.x] = next;
}
FASTDL_SELFTEST(missing_syncwarp) {
  launch(no_syncwarp, 1, kWarp, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// The stage that is filled is the one that others still read.
__global__ void stages_mixed_up(const float* x, float* out) {
  FASTDL_SHARED(float, stage, [2][kBugBlock]);
  float sum = 0.0f;
  stage[0][threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  for (int step = 0; step < 3; ++step) {
    sum += stage[step % 2][kBugBlock - 1 - threadIdx.x];
    stage[step % 2][threadIdx.x] = x[threadIdx.x];  // finds RACE fills_the_stage_being_read
    stage[(step + 1) % 2][threadIdx.x] = x[threadIdx.x];
    __syncthreads();
  }
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(fills_the_stage_being_read) {
  start(stages_mixed_up, operands, stream);
}

__global__ void stages_without_a_barrier(const float* x, float* out) {
  FASTDL_SHARED(float, stage, [2][kBugBlock]);
  float sum = 0.0f;
  for (int step = 0; step < 3; ++step) {
    stage[step % 2][threadIdx.x] = x[threadIdx.x];
    sum += stage[step % 2][kBugBlock - 1 - threadIdx.x];  // finds RACE|UNINIT stages_without_a_barrier
  }
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(stages_without_a_barrier) {
  start(stages_without_a_barrier, operands, stream);
}

// The last 32 threads go on as if a warp moved in step.
__global__ void last_warp_in_step(const float* x, float* out) {
  FASTDL_SHARED(float, sums, [kBugBlock]);
  const int i = static_cast<int>(threadIdx.x);
  sums[i] = x[i];
  __syncthreads();
  if (i < 32) {
    for (int step = 32; step > 0; step /= 2)
      if (i < step) sums[i] += sums[i + step];  // finds RACE warp_taken_to_move_in_step
  }
  if (i == 0) out[0] = sums[0];
}
FASTDL_SELFTEST(warp_taken_to_move_in_step) {
  start(last_warp_in_step, operands, stream);
}

// A shuffle brings the neighbour's register; what the neighbour stored is not ordered by it.
__global__ void shared_after_shuffle(const float* x, float* out) {
  FASTDL_SHARED(float, row, [kBugBlock]);
  row[threadIdx.x] = x[threadIdx.x];
  const float next = __shfl_down_sync(kFullWarp, x[threadIdx.x], 1);
  out[threadIdx.x] = next + row[threadIdx.x ^ 1];  // finds RACE shuffle_taken_for_a_barrier
}
FASTDL_SELFTEST(shuffle_taken_for_a_barrier) {
  start(shared_after_shuffle, operands, stream);
}

__global__ void flag_of_first_thread(const float* x, float* out) {
  FASTDL_SHARED(float, factor, [1]);
  if (threadIdx.x == kBugBlock / 2) factor[0] = x[0];
  out[threadIdx.x] = x[threadIdx.x] * factor[0];  // finds RACE|UNINIT broadcast_without_a_barrier
}
FASTDL_SELFTEST(broadcast_without_a_barrier) {
  start(flag_of_first_thread, operands, stream);
}

// One array for the maximum and for the sum: the second is written while some still read the first.
__global__ void softmax_in_one_cell(const float* x, float* out) {
  FASTDL_SHARED(float, shared, [1]);
  if (threadIdx.x == 0) shared[0] = x[kBugBlock - 1];
  __syncthreads();
  const float shifted = x[threadIdx.x] - shared[0];
  if (threadIdx.x == kBugBlock / 2) shared[0] = 1.0f;  // finds RACE cell_reused_without_a_barrier
  __syncthreads();
  out[threadIdx.x] = shifted * shared[0];
}
FASTDL_SELFTEST(cell_reused_without_a_barrier) {
  start(softmax_in_one_cell, operands, stream);
}

__global__ void scan_in_place(const float* x, float* out) {
  FASTDL_SHARED(float, sums, [kBugBlock]);
  const int i = static_cast<int>(threadIdx.x);
  sums[i] = x[i];
  __syncthreads();
  for (int step = 1; step < kBugBlock; step *= 2) {
    if (i >= step) sums[i] += sums[i - step];  // finds RACE scan_in_place
    __syncthreads();
  }
  out[i] = sums[i];
}
FASTDL_SELFTEST(scan_in_place) {
  start(scan_in_place, operands, stream);
}

__global__ void bins_cleared_late(const float* x, float* out) {
  FASTDL_SHARED(int, bins, [4]);
  if (threadIdx.x >= kBugBlock - 4) bins[threadIdx.x % 4] = 0;  // finds RACE|UNINIT bins_cleared_without_a_barrier
  atomicAdd(&bins[static_cast<int>(x[threadIdx.x]) & 3], 1);    // finds RACE|UNINIT bins_cleared_without_a_barrier
  __syncthreads();
  out[threadIdx.x] = static_cast<float>(bins[threadIdx.x & 3]);
}
FASTDL_SELFTEST(bins_cleared_without_a_barrier) {
  start(bins_cleared_late, operands, stream);
}

__global__ void bins_read_early(const float* x, float* out) {
  FASTDL_SHARED(int, bins, [4]);
  if (threadIdx.x < 4) bins[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&bins[static_cast<int>(x[threadIdx.x]) & 3], 1);
  out[threadIdx.x] = static_cast<float>(bins[threadIdx.x & 3]);  // finds RACE bins_read_while_counted
}
FASTDL_SELFTEST(bins_read_while_counted) {
  start(bins_read_early, operands, stream);
}

// Everybody writes the same, which is a race all the same.
__global__ void found_by_any(const float* x, float* out) {
  FASTDL_SHARED(float, found, [1]);
  if (x[threadIdx.x] > 10.0f) found[0] = 1.0f;  // finds RACE all_write_the_same
  __syncthreads();
  out[threadIdx.x] = found[0];
}
FASTDL_SELFTEST(all_write_the_same) {
  start(found_by_any, operands, stream);
}

}  // namespace
}  // namespace fastdl::emu
