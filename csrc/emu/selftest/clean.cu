// Correct kernels that a careless checker would accuse. The emulation must find nothing in any order of threads; their
// results are compared with NumPy in tests/emu/test_clean.py.
#include "cuda/reduce.cuh"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

constexpr int kBlock = 96;

// Other blocks' partial sums, read by whichever block comes last: ordered by the fence and the counter.
__global__ void last_block_sum(const float* x, float* partial, unsigned* counter, float* out) {
  FASTDL_SHARED(bool, last, [1]);
  const float sum = block_sum(x[blockIdx.x * blockDim.x + threadIdx.x]);
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last[0] = atomicAdd(counter, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last[0]) return;
  const float all = block_sum(threadIdx.x < gridDim.x ? partial[threadIdx.x] : 0.0f);
  if (threadIdx.x == 0) out[0] = all;
}
FASTDL_SELFTEST(last_block) {
  const unsigned blocks = blocks_for(operands[0].size, kBlock);
  DeviceScratch<float> partial(blocks);
  DeviceScratch<unsigned> counter(1);
  set_zero(counter, sizeof(unsigned), stream);
  launch(last_block_sum, blocks, kBlock, 0, stream, operands[0].as<float>(), partial, counter, operands[1].as<float>());
}

// A warp sums through shared memory with no block barrier: __syncwarp between every read and write.
__global__ void warp_through_shared(const float* x, float* out) {
  FASTDL_SHARED(float, row, [kBlock]);
  const int i = static_cast<int>(threadIdx.x), lane = i % kWarp;
  float v = x[i];
  for (int step = kWarp / 2; step > 0; step /= 2) {
    row[i] = v;
    __syncwarp();
    v += row[i - lane + (lane ^ step)];
    __syncwarp();
  }
  out[i] = v;
}
FASTDL_SELFTEST(warp_shared_reduction) {
  launch(warp_through_shared, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// Neighbouring threads write neighbouring bytes of one word.
__global__ void bytes_of_a_word(const uint8_t* x, uint8_t* out) {
  FASTDL_SHARED(uint8_t, bytes, [kBlock]);
  bytes[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = bytes[kBlock - 1 - threadIdx.x];
}
FASTDL_SELFTEST(neighbouring_bytes) {
  launch(bytes_of_a_word, 1, kBlock, 0, stream, operands[0].as<uint8_t>(), operands[1].as<uint8_t>());
}

// The lower and the upper half of a warp take different branches, each with its own mask.
__global__ void half_warps(const float* x, float* out) {
  const float v = x[threadIdx.x];
  float sum = v;
  if (threadIdx.x % kWarp < 16) {
    for (int step = 8; step > 0; step /= 2) sum += __shfl_xor_sync(0x0000ffffu, sum, step);
  } else {
    for (int step = 8; step > 0; step /= 2) sum = fmaxf(sum, __shfl_xor_sync(0xffff0000u, sum, step));
  }
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(divergent_halves) {
  launch(half_warps, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// Two stages in turn: one barrier a step is enough, since a stage is rewritten two steps later.
__global__ void double_buffer(const float* x, float* out, int steps) {
  FASTDL_SHARED(float, stage, [2][kBlock]);
  float sum = 0.0f;
  for (int step = 0; step < steps; ++step) {
    stage[step % 2][threadIdx.x] = x[step * kBlock + threadIdx.x];
    __syncthreads();
    sum += stage[step % 2][kBlock - 1 - threadIdx.x];
  }
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(two_stages) {
  launch(double_buffer, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(),
         static_cast<int>(operands[0].size / kBlock));
}

// Full masks in a warp of which some lanes do not exist or have returned: they do not count.
__global__ void partial_warp(const int* x, int* out, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i >= n) return;
  out[i] = __popc(__ballot_sync(kFullWarp, x[i] > 0));
}
FASTDL_SELFTEST(returned_lanes) {
  launch(partial_warp, 1, 40, 0, stream, operands[0].as<int>(), operands[1].as<int>(),
         static_cast<int>(operands[0].size));
}

// A histogram in shared memory by atomics, then read behind a barrier; blocks add theirs to the result by atomics.
__global__ void histogram(const int* x, int* out) {
  FASTDL_SHARED(int, bins, [4]);
  if (threadIdx.x < 4) bins[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(&bins[x[blockIdx.x * blockDim.x + threadIdx.x] & 3], 1);
  __syncthreads();
  if (threadIdx.x < 4) atomicAdd(&out[threadIdx.x], bins[threadIdx.x]);
}
FASTDL_SELFTEST(shared_histogram) {
  set_zero(operands[1].data, 4 * sizeof(int), stream);
  launch(histogram, blocks_for(operands[0].size, kBlock), kBlock, 0, stream, operands[0].as<int>(),
         operands[1].as<int>());
}

// A table of constants, an array of the thread's own, and a large argument.
__constant__ const float kTable[4] = {1.0f, 2.0f, 3.0f, 4.0f};
struct Large {
  float factor[64];
};
__global__ void local_arrays(const float* x, float* out, Large large) {
  float mine[4];
  for (int k = 0; k < 4; ++k) mine[(k + threadIdx.x) % 4] = x[threadIdx.x] * kTable[k] * large.factor[k];
  out[threadIdx.x] = mine[0] + mine[1] + mine[2] + mine[3];
}
FASTDL_SELFTEST(constants_and_locals) {
  Large large;
  for (float& f : large.factor) f = 2.0f;
  launch(local_arrays, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), large);
}

// Each thread updates its own element in place, reading it first.
__global__ void in_place(float* x, int64_t n) {
  for (int64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += int64_t{gridDim.x} * blockDim.x)
    x[i] = x[i] * 2 + 1;
}
FASTDL_SELFTEST(update_in_place) {
  launch(in_place, 2, 64, 0, stream, operands[0].as<float>(), operands[0].size);
}

// The last step of a scan that keeps two arrays in turn, one barrier a step.
__global__ void scan_between_two(const float* x, float* out) {
  FASTDL_SHARED(float, sums, [2][kBlock]);
  const int i = static_cast<int>(threadIdx.x);
  int now = 0;
  sums[0][i] = x[i];
  for (int step = 1; step < kBlock; step *= 2, now ^= 1) {
    __syncthreads();
    sums[now ^ 1][i] = sums[now][i] + (i >= step ? sums[now][i - step] : 0.0f);
  }
  out[i] = sums[now][i];
}
FASTDL_SELFTEST(scan_of_two_arrays) {
  launch(scan_between_two, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// Whole blocks return before a barrier: nobody waits for them.
__global__ void idle_blocks(const float* x, float* out, int n) {
  if (static_cast<int>(blockIdx.x) * kBlock >= n) return;
  FASTDL_SHARED(float, tile, [kBlock]);
  tile[threadIdx.x] = x[blockIdx.x * kBlock + threadIdx.x];
  __syncthreads();
  out[blockIdx.x * kBlock + threadIdx.x] = tile[kBlock - 1 - threadIdx.x];
}
FASTDL_SELFTEST(blocks_that_return) {
  launch(idle_blocks, 5, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 2 * kBlock);
}

// Two branches on the warp's number with a barrier each and as many barriers would be divergent; here only the whole
// block takes one of them.
__global__ void branch_of_the_block(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBlock]);
  tile[threadIdx.x] = x[blockIdx.x * kBlock + threadIdx.x];
  if (blockIdx.x % 2) {
    __syncthreads();
    out[blockIdx.x * kBlock + threadIdx.x] = tile[kBlock - 1 - threadIdx.x];
  } else {
    __syncthreads();
    out[blockIdx.x * kBlock + threadIdx.x] = tile[threadIdx.x ^ 1];
  }
}
FASTDL_SELFTEST(uniform_branches) {
  launch(branch_of_the_block, 4, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// Warps own rows of shared memory and order their own lanes alone, at different times.
__global__ void rows_of_warps(const float* x, float* out) {
  FASTDL_SHARED(float, row, [kBlock / kWarp][kWarp + 1]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int step = 0; step <= warp; ++step) {
    row[warp][lane] = x[threadIdx.x] + static_cast<float>(step);
    __syncwarp();
    out[threadIdx.x] = row[warp][kWarp - 1 - lane];
    __syncwarp();
  }
}
FASTDL_SELFTEST(warps_on_their_own) {
  launch(rows_of_warps, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// A ticket: blocks take tiles of work in the order in which they ask.
__global__ void take_tickets(const float* x, unsigned* ticket, float* out, unsigned tiles) {
  FASTDL_SHARED(unsigned, mine, [1]);
  for (;;) {
    if (threadIdx.x == 0) mine[0] = atomicAdd(ticket, 1u);
    __syncthreads();
    const unsigned tile = mine[0];
    __syncthreads();  // before the next ticket is written
    if (tile >= tiles) return;
    out[tile * kBlock + threadIdx.x] = x[tile * kBlock + threadIdx.x] + 1.0f;
  }
}
FASTDL_SELFTEST(tickets) {
  DeviceScratch<unsigned> ticket(1);
  set_zero(ticket, sizeof(unsigned), stream);
  launch(take_tickets, 3, kBlock, 0, stream, operands[0].as<float>(), ticket, operands[1].as<float>(),
         static_cast<unsigned>(operands[0].size / kBlock));
}

// The largest by compare and swap: reads of the loop are atomic, too.
__global__ void largest_by_swap(const float* x, int* out) {
  const int mine = static_cast<int>(x[blockIdx.x * kBlock + threadIdx.x]);
  int seen = atomicAdd(out, 0);
  while (seen < mine) {
    const int old = atomicCAS(out, seen, mine);
    if (old == seen) break;
    seen = old;
  }
}
FASTDL_SELFTEST(compare_and_swap_loop) {
  set_zero(operands[1].data, sizeof(int), stream);
  launch(largest_by_swap, blocks_for(operands[0].size, kBlock), kBlock, 0, stream, operands[0].as<float>(),
         operands[1].as<int>());
}

// Parts of dynamic shared memory of several types, each aligned.
__global__ void parts_of_dynamic(const float* x, double* out) {
  FASTDL_DYNAMIC_SHARED(bytes);
  double* wide = reinterpret_cast<double*>(bytes);
  float* narrow = reinterpret_cast<float*>(wide + kBlock);
  narrow[threadIdx.x] = x[threadIdx.x];
  wide[threadIdx.x] = 0.5;
  __syncthreads();
  out[threadIdx.x] = wide[kBlock - 1 - threadIdx.x] * static_cast<double>(narrow[kBlock - 1 - threadIdx.x]);
}
FASTDL_SELFTEST(dynamic_shared_of_two_types) {
  launch(parts_of_dynamic, 1, kBlock, kBlock * 12, stream, operands[0].as<float>(), operands[1].as<double>());
}

}  // namespace
}  // namespace fastdl::emu
