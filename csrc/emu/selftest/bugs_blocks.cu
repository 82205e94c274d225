// Races between blocks, and between updates that should be atomic.
#include "emu/selftest/bugs.h"

namespace fastdl::emu {
namespace {

__global__ void plain_histogram(const int* x, int* out) {
  ++out[x[threadIdx.x] & 3];  // finds RACE plain_add_for_atomic
}
FASTDL_SELFTEST(plain_add_for_atomic) {
  set_zero(operands[1].data, 4 * sizeof(int), stream);
  launch(plain_histogram, 1, kBugBlock, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void same_output(float* out) {
  if (threadIdx.x == 0) out[blockIdx.x / 2] = 1.0f;  // finds RACE blocks_share_an_output
}
FASTDL_SELFTEST(blocks_share_an_output) {
  launch(same_output, 4, kBugBlock, 0, stream, operands[1].as<float>());
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

// Steps of a block where the grid's are meant: every block walks over the elements of all.
__global__ void stride_of_a_block(const float* x, float* out, int n) {
  for (int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); i < n; i += static_cast<int>(blockDim.x))
    out[i] = x[i];  // finds RACE stride_of_a_block
}
FASTDL_SELFTEST(stride_of_a_block) {
  launch(stride_of_a_block, 2, 16, 0, stream, operands[0].as<float>(), operands[1].as<float>(), kBugBlock);
}

// gridDim in place of blockDim: blocks overlap.
__global__ void size_of_the_grid(const float* x, float* out) {
  const unsigned i = blockIdx.x * gridDim.x + threadIdx.x;
  out[i] = x[i];  // finds RACE size_of_the_grid_for_the_block
}
FASTDL_SELFTEST(size_of_the_grid_for_the_block) {
  start(size_of_the_grid, operands, stream, 2, 32);
}

// Tiles of 32 at steps of 31.
__global__ void overlapping_tiles(const float* x, float* out) {
  const unsigned i = blockIdx.x * 31 + threadIdx.x;
  out[i] = x[i] * 2.0f;  // finds RACE overlapping_tiles
}
FASTDL_SELFTEST(overlapping_tiles) {
  start(overlapping_tiles, operands, stream, 2, 32);
}

// The last block adds up what the others wrote; without a fence it may not see it.
__global__ void last_block_without_fence(const float* x, float* partial, unsigned* counter, float* out) {
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = x[blockIdx.x];
  if (atomicAdd(counter, 1u) != gridDim.x - 1) return;
  float sum = 0.0f;
  for (unsigned b = 0; b < gridDim.x; ++b) sum += partial[b];  // finds RACE last_block_without_fence
  out[0] = sum;
}
FASTDL_SELFTEST(last_block_without_fence) {
  DeviceScratch<float> partial(4);
  DeviceScratch<unsigned> counter(1);
  set_zero(counter, sizeof(unsigned), stream);
  launch(last_block_without_fence, 4, kWarp, 0, stream, operands[0].as<float>(), partial, counter,
         operands[1].as<float>());
}

// Block 0 clears the sum that all blocks add to: some may have added before.
__global__ void cleared_by_one_block(const float* x, float* out) {
  if (blockIdx.x == 1 && threadIdx.x == 0) out[0] = 0.0f;  // finds RACE cleared_by_one_block
  atomicAdd(&out[0], x[threadIdx.x]);                      // finds RACE cleared_by_one_block
}
FASTDL_SELFTEST(cleared_by_one_block) {
  set_zero(operands[1].data, sizeof(float), stream);
  start(cleared_by_one_block, operands, stream, 3);
}

__global__ void progress_read_plainly(const int* x, int* out) {
  atomicAdd(&out[0], x[threadIdx.x]);                       // finds RACE counter_read_plainly
  out[1 + blockIdx.x * blockDim.x + threadIdx.x] = out[0];  // finds RACE counter_read_plainly
}
FASTDL_SELFTEST(counter_read_plainly) {
  set_zero(operands[1].data, sizeof(int), stream);
  launch(progress_read_plainly, 2, 16, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

// Squares of a matrix change places; the block of the other square does it too.
__global__ void transpose_in_place(float* x) {
  const unsigned row = blockIdx.y * 4 + threadIdx.y, column = blockIdx.x * 4 + threadIdx.x;
  const float a = x[row * 8 + column], b = x[column * 8 + row];  // finds RACE transpose_in_place
  x[row * 8 + column] = b;                                       // finds RACE transpose_in_place
  x[column * 8 + row] = a;                                       // finds RACE transpose_in_place
}
FASTDL_SELFTEST(transpose_in_place) {
  launch(transpose_in_place, dim3(2, 2), dim3(4, 4), 0, stream, operands[0].as<float>());
}

// A gradient scattered without atomics: two inputs have one target.
__global__ void scatter_without_atomics(const int* index, int* out) {
  out[index[blockIdx.x * blockDim.x + threadIdx.x] / 2] = 1;  // finds RACE scatter_without_atomics
}
FASTDL_SELFTEST(scatter_without_atomics) {
  launch(scatter_without_atomics, 2, 32, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

}  // namespace
}  // namespace fastdl::emu
