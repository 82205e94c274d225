// A kernel for each function of cuda/hopper.cuh, and correct ones that look suspicious; tests/emu/test_hopper.py
// compares with NumPy.
#include "cuda/hopper.cuh"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

constexpr int kRows = 64, kColumns = 128;

// ---- mbarriers ------------------------------------------------------------------------------------------------------

// Two warps take turns with one number a thread: the first writes, the second adds one, the first writes that out. No
// barrier of the block orders them, and the mbarriers go through many phases.
__global__ void ping_pong(const int* x, int* out, int turns) {
  FASTDL_SHARED(uint64_t, there, [1]);
  FASTDL_SHARED(uint64_t, back, [1]);
  FASTDL_SHARED(int, numbers, [kWarp]);
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  if (threadIdx.x == 0) {
    mbarrier_init(there, kWarp);
    mbarrier_init(back, kWarp);
    fence_mbarrier_init();
  }
  __syncthreads();
  for (int turn = 0; turn < turns; ++turn) {
    const uint32_t parity = turn & 1;
    if (threadIdx.x < kWarp) {
      numbers[lane] = x[turn * kWarp + lane];
      mbarrier_arrive(there);
      mbarrier_wait_parity(back, parity);
      out[turn * kWarp + lane] = numbers[lane];
    } else {
      mbarrier_wait_parity(there, parity);
      const int other = kWarp - 1 - lane;  // what another thread wrote
      numbers[other] += 1;
      mbarrier_arrive(back);
    }
  }
}
FASTDL_SELFTEST(mbarrier_ping_pong) {
  launch(ping_pong, 1, 2 * kWarp, 0, stream, operands[0].as<int>(), operands[1].as<int>(),
         static_cast<int>(operands[0].size / kWarp));
}

// One thread of each warp arrives for its warp: __syncwarp carries what the other lanes did.
__global__ void arrive_for_the_warp(const int* x, int* out) {
  FASTDL_SHARED(uint64_t, filled, [1]);
  FASTDL_SHARED(int, numbers, [3 * kWarp]);
  if (threadIdx.x == 0) mbarrier_init(filled, 3);
  __syncthreads();
  numbers[threadIdx.x] = x[threadIdx.x];
  __syncwarp();
  if (threadIdx.x % kWarp == 0) mbarrier_arrive(filled);
  if (threadIdx.x % kWarp == 0) mbarrier_wait_parity(filled, 0);
  __syncwarp();
  out[threadIdx.x] = numbers[3 * kWarp - 1 - threadIdx.x];
}
FASTDL_SELFTEST(mbarrier_for_a_warp) {
  launch(arrive_for_the_warp, 1, 3 * kWarp, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

// ---- the copy engine ------------------------------------------------------------------------------------------------

struct Corner {
  int column, row, matrix;
};

// One box of 8 rows of 128 bytes, written out as it lies in shared memory.
__global__ void copy_box(const __grid_constant__ TensorMap map, Corner from, uint32_t* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(uint64_t, full, [1]);
  unsigned char* box = memory + (kSwizzlePattern - shared_address(memory) % kSwizzlePattern) % kSwizzlePattern;
  if (threadIdx.x == 0) {
    prefetch_tensormap(&map);
    mbarrier_init(full, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect_tx(full, kSwizzlePattern);
    cp_async_bulk_tensor(box, &map, {from.column, from.row, from.matrix}, full);
  }
  __syncthreads();
  mbarrier_wait_parity(full, 0);
  for (unsigned i = threadIdx.x; i < kSwizzlePattern / 4; i += blockDim.x)
    out[i] = reinterpret_cast<const uint32_t*>(box)[i];
}
// operands: array (2, 10, 40) of float32; corner; out. The array's rows have 38 columns, at a pitch of 40.
FASTDL_SELFTEST(tensor_box) {
  Corner from;
  copy_to_host(&from, operands[1].data, sizeof from);
  const TensorMap map = tensor_map(TensorMapType::kFloat32, operands[0].data, 38, 10, 2, 40, 32, 8);
  launch(copy_box, 1, 2 * kWarp, 2 * kSwizzlePattern, stream, map, from, operands[2].as<uint32_t>());
}

struct RunStart {
  int from[4];  // c, x, y, image
  int dx, dy;
};

// A run of 8 pixels of 128 bytes, likewise.
__global__ void copy_run(const __grid_constant__ TensorMap map, RunStart start, uint32_t* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(uint64_t, full, [1]);
  unsigned char* run = memory + (kSwizzlePattern - shared_address(memory) % kSwizzlePattern) % kSwizzlePattern;
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect_tx(full, kSwizzlePattern);
    const uint16_t dx = static_cast<uint16_t>(start.dx), dy = static_cast<uint16_t>(start.dy);
    cp_async_bulk_tensor_im2col(run, &map, {start.from[0], start.from[1], start.from[2], start.from[3]}, {dx, dy},
                                full);
  }
  __syncthreads();
  mbarrier_wait_parity(full, 0);
  for (unsigned i = threadIdx.x; i < kSwizzlePattern / 4; i += blockDim.x)
    out[i] = reinterpret_cast<const uint32_t*>(run)[i];
}
// operands: images (3, 5, 6, 36) of float32; start; out. Windows of 3 x 2 taps, 2 x 3 steps apart, with padding 2
// and 1.
FASTDL_SELFTEST(tensor_pixels) {
  RunStart start;
  copy_to_host(&start, operands[1].data, sizeof start);
  const TensorMap map =
      image_map(TensorMapType::kFloat32, operands[0].data, 36, 3, {5, -2, 2, 4, 2}, {6, -1, 3, 3, 1}, 32, 8);
  launch(copy_run, 1, 2 * kWarp, 2 * kSwizzlePattern, stream, map, start, operands[2].as<uint32_t>());
}
// Corners have 8 bits.
FASTDL_SELFTEST(image_map_refused) {
  image_map(TensorMapType::kFloat32, operands[0].data, 32, 1, {4, -129, 1, 4, 0}, {4, 0, 1, 4, 0}, 32, 8);
}

// Conditions of the driver: this address is not on 16 bytes.
FASTDL_SELFTEST(tensor_map_refused) {
  tensor_map(TensorMapType::kFloat32, operands[0].as<float>() + 1, 32, 8, 1, 32, 32, 8);
}

// ---- wgmma ----------------------------------------------------------------------------------------------------------

// Rows of 128 bytes as the copy engine would leave them, by ordinary stores.
__device__ void store_swizzled(unsigned char* tile, const uint4* rows, int count) {
  for (int i = static_cast<int>(threadIdx.x); i < count * 8; i += kWarpgroup)
    store_vec(tile + (i / 8 * 8 + ((i % 8) ^ (i / 8 % 8))) * 16, load_vec<uint4>(rows + i));
}

// out (64 x 128) = a (64 rows of 128 bytes) b (128 rows)^T, once as one group and once, added to it, as a group a step.
template <class Number>
__global__ void multiply_tile(const uint4* a, const uint4* b, float* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  unsigned char* tile_a = memory + (kSwizzlePattern - shared_address(memory) % kSwizzlePattern) % kSwizzlePattern;
  unsigned char* tile_b = tile_a + kRows * kSwizzledRow;
  store_swizzled(tile_a, a, kRows);
  store_swizzled(tile_b, b, kColumns);
  fence_proxy_async();
  __syncthreads();
  float sum[64];
  wgmma_fence();
#pragma unroll
  for (int step = 0; step < 4; ++step)
    wgmma(Number{}, sum, matrix_descriptor(tile_a) + step * kDescriptorStep,
          matrix_descriptor(tile_b) + step * kDescriptorStep, step > 0);
  wgmma_commit_group();
#pragma unroll
  for (int step = 0; step < 4; ++step) {
    wgmma(Number{}, sum, matrix_descriptor(tile_a) + step * kDescriptorStep,
          matrix_descriptor(tile_b) + step * kDescriptorStep, true);
    wgmma_commit_group();
    wgmma_wait_group<1>();
  }
  wgmma_wait_group<0>();
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int i = 0; i < 64; ++i)
    out[(16 * warp + lane / 4 + i % 4 / 2 * 8) * kColumns + i / 4 * 8 + lane % 4 * 2 + i % 2] = sum[i];
}
constexpr size_t kTileBytes = (kRows + kColumns) * kSwizzledRow + kSwizzlePattern;
FASTDL_SELFTEST(wgmma_bfloat16) {
  launch(multiply_tile<bfloat16>, 1, kWarpgroup, kTileBytes, stream, operands[0].as<uint4>(), operands[1].as<uint4>(),
         operands[2].as<float>());
}
FASTDL_SELFTEST(wgmma_float16) {
  launch(multiply_tile<float16>, 1, kWarpgroup, kTileBytes, stream, operands[0].as<uint4>(), operands[1].as<uint4>(),
         operands[2].as<float>());
}
FASTDL_SELFTEST(wgmma_tfloat32) {
  launch(multiply_tile<tfloat32>, 1, kWarpgroup, kTileBytes, stream, operands[0].as<uint4>(), operands[1].as<uint4>(),
         operands[2].as<float>());
}

__global__ void describe_tile(uint32_t* out) {
  FASTDL_DYNAMIC_SHARED(memory);
  const uint64_t descriptor = matrix_descriptor(memory + kSwizzlePattern);
  out[0] = static_cast<uint32_t>(descriptor);
  out[1] = static_cast<uint32_t>(descriptor >> 32);
  out[2] = shared_address(memory + kSwizzlePattern);
}
FASTDL_SELFTEST(matrix_descriptor) {
  launch(describe_tile, 1, 1, 2 * kSwizzlePattern, stream, operands[0].as<uint32_t>());
}

// ---- registers ------------------------------------------------------------------------------------------------------

// 256 threads have 248 registers each; the first warpgroup cannot have 232 + 24 before the second gave some.
__global__ void __launch_bounds__(2 * kWarpgroup, 1) move_registers(int* out) {
  if (threadIdx.x < kWarpgroup)
    setmaxnreg_inc<256>();
  else
    setmaxnreg_dec<40>();
  out[threadIdx.x] = static_cast<int>(threadIdx.x);
}
FASTDL_SELFTEST(registers_move) {
  launch(move_registers, 1, 2 * kWarpgroup, 0, stream, operands[0].as<int>());
}

}  // namespace
}  // namespace fastdl::emu
