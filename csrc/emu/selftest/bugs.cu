// Kernels with one mistake each. The comment "finds KIND name" stands on the line that the emulation must name;
// tests/emu/test_bugs.py reads these comments. Most of them give right numbers on some day on some GPU.
#include "cuda/launch.h"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

constexpr int kBlock = 64;

// ---- bounds ---------------------------------------------------------------------------------------------------------

__global__ void read_past_end(const float* x, float* out, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) out[i] = x[i] + x[i + 1];  // finds OUT_OF_BOUNDS global_read_past_end
}
FASTDL_SELFTEST(global_read_past_end) {
  launch(read_past_end, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), kBlock);
}

__global__ void write_past_end(float* out, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i <= n) out[i] = 1.0f;  // finds OUT_OF_BOUNDS global_write_past_end
}
FASTDL_SELFTEST(global_write_past_end) {
  launch(write_past_end, 1, kBlock + 1, 0, stream, operands[1].as<float>(), kBlock);
}

__global__ void read_before(const float* x, float* out) {
  out[threadIdx.x] = *(x + threadIdx.x - 1);  // finds OUT_OF_BOUNDS global_read_before
}
FASTDL_SELFTEST(global_read_before) {
  launch(read_before, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void vector_past_end(const float* x, float* out, int n) {
  const int i = static_cast<int>(threadIdx.x) * 4;
  if (i >= n) return;
  const float4 v = load_vec<float4>(x + i);  // finds OUT_OF_BOUNDS vector_tail
  out[threadIdx.x] = v.x;
}
FASTDL_SELFTEST(vector_tail) {  // the array ends inside the last vector
  const int n = static_cast<int>(operands[0].size);
  launch(vector_past_end, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), n);
}

__global__ void shared_too_far(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBlock]);
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  const float* next = tile + 1;
  out[threadIdx.x] = next[threadIdx.x];  // finds OUT_OF_BOUNDS shared_index_too_far
}
FASTDL_SELFTEST(shared_index_too_far) {
  launch(shared_too_far, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void dynamic_too_small(const float* x, float* out) {
  FASTDL_DYNAMIC_SHARED(bytes);
  float* row = reinterpret_cast<float*>(bytes);
  row[threadIdx.x] = x[threadIdx.x];  // finds OUT_OF_BOUNDS dynamic_shared_too_small
  __syncthreads();
  out[threadIdx.x] = row[threadIdx.x];
}
FASTDL_SELFTEST(dynamic_shared_too_small) {
  launch(dynamic_too_small, 1, kBlock, kBlock * sizeof(float) - 4, stream, operands[0].as<float>(),
         operands[1].as<float>());
}

__global__ void read_host(const float* host, float* out) {
  out[threadIdx.x] = host[threadIdx.x];  // finds OUT_OF_BOUNDS host_pointer
}
FASTDL_SELFTEST(host_pointer) {
  const float numbers[kBlock] = {};
  launch(read_host, 1, kBlock, 0, stream, static_cast<const float*>(numbers), operands[1].as<float>());
}

__global__ void write_null(float* out) {
  out[threadIdx.x] = 1.0f;  // finds OUT_OF_BOUNDS null_pointer
}
FASTDL_SELFTEST(null_pointer) {
  launch(write_null, 1, kBlock, 0, stream, nullptr);
}

FASTDL_SELFTEST(host_reads_device) {
  float first = operands[0].as<float>()[0];  // finds HOST_ACCESS host_reads_device
  copy_from_host(operands[1].data, &first, sizeof first);
}

// ---- alignment and uninitialised memory -----------------------------------------------------------------------------

__global__ void odd_vectors(const float* x, float* out) {
  const float4 v = load_vec<float4>(x + threadIdx.x);  // finds MISALIGNED misaligned_vector
  out[threadIdx.x] = v.x;
}
FASTDL_SELFTEST(misaligned_vector) {
  launch(odd_vectors, 1, kBlock - 3, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void half_stored(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBlock]);
  if (threadIdx.x < kBlock / 2) tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];  // finds UNINIT half_a_tile_stored
}
FASTDL_SELFTEST(half_a_tile_stored) {
  launch(half_stored, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void accumulate(float* out) {
  out[threadIdx.x] += 1.0f;  // finds UNINIT accumulates_into_nothing
}
FASTDL_SELFTEST(accumulates_into_nothing) {
  launch(accumulate, 1, kBlock, 0, stream, operands[1].as<float>());
}

__global__ void add_to_nothing(float* out) {
  atomicAdd(out + threadIdx.x, 1.0f);  // finds UNINIT atomic_on_nothing
}
FASTDL_SELFTEST(atomic_on_nothing) {
  launch(add_to_nothing, 1, kBlock, 0, stream, operands[1].as<float>());
}

// ---- races ----------------------------------------------------------------------------------------------------------

__global__ void no_barrier(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBlock]);
  tile[threadIdx.x] = x[threadIdx.x];
  out[threadIdx.x] = tile[threadIdx.x ^ 32];  // finds RACE|UNINIT missing_barrier
}
FASTDL_SELFTEST(missing_barrier) {
  launch(no_barrier, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void no_barrier_in_loop(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBlock]);
  float sum = 0.0f;
  for (int step = 0; step < 3; ++step) {
    tile[threadIdx.x] = x[threadIdx.x] + static_cast<float>(step);  // finds RACE missing_barrier_in_loop
    __syncthreads();
    sum += tile[kBlock - 1 - threadIdx.x];
  }
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(missing_barrier_in_loop) {
  launch(no_barrier_in_loop, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
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

__global__ void plain_histogram(const int* x, int* out) {
  ++out[x[threadIdx.x] & 3];  // finds RACE plain_add_for_atomic
}
FASTDL_SELFTEST(plain_add_for_atomic) {
  set_zero(operands[1].data, 4 * sizeof(int), stream);
  launch(plain_histogram, 1, kBlock, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void same_output(float* out) {
  if (threadIdx.x == 0) out[blockIdx.x / 2] = 1.0f;  // finds RACE blocks_share_an_output
}
FASTDL_SELFTEST(blocks_share_an_output) {
  launch(same_output, 4, kBlock, 0, stream, operands[1].as<float>());
}

__global__ void shift_in_place(float* x, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i + 1 >= n) return;
  const float next = x[i + 1];  // finds RACE shift_in_place
  x[i] = next;                  // finds RACE shift_in_place
}
FASTDL_SELFTEST(shift_in_place) {
  const int n = static_cast<int>(operands[0].size);
  launch(shift_in_place, 2, n / 2, 0, stream, operands[0].as<float>(), n);
}

// ---- barriers and warps ---------------------------------------------------------------------------------------------

__global__ void return_early(const float* x, float* out, int n) {
  if (static_cast<int>(threadIdx.x) >= n) return;
  FASTDL_SHARED(float, tile, [kBlock]);
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();  // finds DIVERGENT_BARRIER early_return
  out[threadIdx.x] = tile[n - 1 - threadIdx.x];
}
FASTDL_SELFTEST(early_return) {
  launch(return_early, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 40);
}

__global__ void barrier_in_both_branches(float* out) {
  if (threadIdx.x < kBlock / 2) {
    __syncthreads();  // finds DIVERGENT_BARRIER barrier_in_branches
    out[threadIdx.x] = 1.0f;
  } else {
    __syncthreads();
    out[threadIdx.x] = 2.0f;
  }
}
FASTDL_SELFTEST(barrier_in_branches) {
  launch(barrier_in_both_branches, 1, kBlock, 0, stream, operands[1].as<float>());
}

__global__ void full_mask_in_half_a_warp(const float* x, float* out) {
  float v = x[threadIdx.x];
  if (threadIdx.x < 16) v += __shfl_xor_sync(kFullWarp, v, 1);  // finds DEADLOCK shuffle_in_branch
  __syncthreads();
  out[threadIdx.x] = v;
}
FASTDL_SELFTEST(shuffle_in_branch) {
  launch(full_mask_in_half_a_warp, 1, kBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>());
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
  launch(spin, 1, kBlock, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void much_shared(float* out) {
  FASTDL_SHARED(float, a, [20000]);
  FASTDL_DYNAMIC_SHARED(b);
  a[threadIdx.x] = 0.0f;
  out[threadIdx.x] = a[threadIdx.x] + b[0];
}
FASTDL_SELFTEST(static_and_dynamic_shared) {  // 80,000 + 100,000 bytes
  launch(much_shared, 1, kBlock, 100000, stream, operands[1].as<float>());
}

}  // namespace
}  // namespace fastdl::emu
