// Mistakes of alignment, and reads of what nothing wrote.
#include "emu/selftest/bugs.h"

namespace fastdl::emu {
namespace {

__global__ void odd_vectors(const float* x, float* out) {
  const float4 v = load_vec<float4>(x + threadIdx.x);  // finds MISALIGNED misaligned_vector
  out[threadIdx.x] = v.x;
}
FASTDL_SELFTEST(misaligned_vector) {
  launch(odd_vectors, 1, kBugBlock - 3, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void half_stored(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock]);
  if (threadIdx.x < kBugBlock / 2) tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x];  // finds UNINIT half_a_tile_stored
}
FASTDL_SELFTEST(half_a_tile_stored) {
  start(half_stored, operands, stream);
}

__global__ void accumulate(float* out) {
  out[threadIdx.x] += 1.0f;  // finds UNINIT accumulates_into_nothing
}
FASTDL_SELFTEST(accumulates_into_nothing) {
  launch(accumulate, 1, kBugBlock, 0, stream, operands[1].as<float>());
}

__global__ void add_to_nothing(float* out) {
  atomicAdd(out + threadIdx.x, 1.0f);  // finds UNINIT atomic_on_nothing
}
FASTDL_SELFTEST(atomic_on_nothing) {
  launch(add_to_nothing, 1, kBugBlock, 0, stream, operands[1].as<float>());
}

__global__ void rows_of_odd_length(const float* x, float* out) {
  const float4 v = load_vec<float4>(x + threadIdx.x * 5);  // finds MISALIGNED rows_of_odd_length
  out[threadIdx.x] = v.x;
}
FASTDL_SELFTEST(rows_of_odd_length) {
  start(rows_of_odd_length, operands, stream, 1, 12);
}

__global__ void pairs_from_an_odd_start(const float* x, float* out) {
  const float2 v = load_vec<float2>(x + 1 + 2 * threadIdx.x);  // finds MISALIGNED pairs_from_an_odd_start
  out[threadIdx.x] = v.x + v.y;
}
FASTDL_SELFTEST(pairs_from_an_odd_start) {
  start(pairs_from_an_odd_start, operands, stream, 1, 31);
}

__global__ void doubles_behind_a_float(float* out) {
  FASTDL_DYNAMIC_SHARED(bytes);
  float* first = reinterpret_cast<float*>(bytes);
  double* rest = reinterpret_cast<double*>(bytes + sizeof(float));
  if (threadIdx.x == 0) first[0] = 1.0f;
  rest[threadIdx.x] = 2.0;  // finds MISALIGNED doubles_behind_a_float
  out[threadIdx.x] = 0.0f;
}
FASTDL_SELFTEST(doubles_behind_a_float) {
  launch(doubles_behind_a_float, 1, kBugBlock, 8 * kBugBlock + 4, stream, operands[1].as<float>());
}

__global__ void sums_without_a_start(const float* x, float* out) {
  FASTDL_SHARED(float, sums, [kBugBlock]);
  for (int k = 0; k < 2; ++k) sums[threadIdx.x] += x[threadIdx.x];  // finds UNINIT shared_sums_without_a_start
  out[threadIdx.x] = sums[threadIdx.x];
}
FASTDL_SELFTEST(shared_sums_without_a_start) {
  start(sums_without_a_start, operands, stream);
}

__global__ void halo_not_loaded(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock + 2]);
  tile[threadIdx.x + 1] = x[threadIdx.x];
  if (threadIdx.x == 0) tile[0] = 0.0f;  // and nobody the other end
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x] + tile[threadIdx.x + 2];  // finds UNINIT halo_not_loaded
}
FASTDL_SELFTEST(halo_not_loaded) {
  start(halo_not_loaded, operands, stream);
}

// The rows of a tile beyond the matrix should be zero, not left as they are.
__global__ void tile_of_a_small_matrix(const float* x, float* out, int rows) {
  FASTDL_SHARED(float, tile, [4][16]);
  if (static_cast<int>(threadIdx.y) < rows) tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * 16 + threadIdx.x];
  __syncthreads();
  float sum = 0.0f;
  for (int k = 0; k < 4; ++k) sum += tile[k][threadIdx.x];  // finds UNINIT rows_beyond_the_matrix
  out[threadIdx.y * 16 + threadIdx.x] = sum;
}
FASTDL_SELFTEST(rows_beyond_the_matrix) {
  launch(tile_of_a_small_matrix, 1, dim3(16, 4), 0, stream, operands[0].as<float>(), operands[1].as<float>(), 3);
}

// Fewer warps than the second step reads partial sums of.
__global__ void partial_sums_of_warps(const float* x, float* out) {
  FASTDL_SHARED(float, partial, [kWarp]);
  float v = x[threadIdx.x];
  for (int step = 16; step > 0; step /= 2) v += __shfl_xor_sync(kFullWarp, v, step);
  if (threadIdx.x % kWarp == 0) partial[threadIdx.x / kWarp] = v;
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  float sum = partial[threadIdx.x];  // finds UNINIT partial_sums_of_absent_warps
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kFullWarp, sum, step);
  if (threadIdx.x == 0) out[0] = sum;
}
FASTDL_SELFTEST(partial_sums_of_absent_warps) {
  start(partial_sums_of_warps, operands, stream);
}

}  // namespace
}  // namespace fastdl::emu
