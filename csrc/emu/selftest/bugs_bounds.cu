// Mistakes of addresses.
#include "emu/selftest/bugs.h"

namespace fastdl::emu {
namespace {

__global__ void read_past_end(const float* x, float* out, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i < n) out[i] = x[i] + x[i + 1];  // finds OUT_OF_BOUNDS global_read_past_end
}
FASTDL_SELFTEST(global_read_past_end) {
  launch(read_past_end, 1, kBugBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), kBugBlock);
}

__global__ void write_past_end(float* out, int n) {
  const int i = static_cast<int>(threadIdx.x);
  if (i <= n) out[i] = 1.0f;  // finds OUT_OF_BOUNDS global_write_past_end
}
FASTDL_SELFTEST(global_write_past_end) {
  launch(write_past_end, 1, kBugBlock + 1, 0, stream, operands[1].as<float>(), kBugBlock);
}

__global__ void read_before(const float* x, float* out) {
  out[threadIdx.x] = *(x + threadIdx.x - 1);  // finds OUT_OF_BOUNDS global_read_before
}
FASTDL_SELFTEST(global_read_before) {
  start(read_before, operands, stream);
}

__global__ void vector_past_end(const float* x, float* out, int n) {
  const int i = static_cast<int>(threadIdx.x) * 4;
  if (i >= n) return;
  const float4 v = load_vec<float4>(x + i);  // finds OUT_OF_BOUNDS vector_tail
  out[threadIdx.x] = v.x;
}
FASTDL_SELFTEST(vector_tail) {  // the array ends inside the last vector
  const int n = static_cast<int>(operands[0].size);
  launch(vector_past_end, 1, kBugBlock, 0, stream, operands[0].as<float>(), operands[1].as<float>(), n);
}

__global__ void shared_too_far(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock]);
  tile[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  const float* next = tile + 1;
  out[threadIdx.x] = next[threadIdx.x];  // finds OUT_OF_BOUNDS shared_index_too_far
}
FASTDL_SELFTEST(shared_index_too_far) {
  start(shared_too_far, operands, stream);
}

__global__ void dynamic_too_small(const float* x, float* out) {
  FASTDL_DYNAMIC_SHARED(bytes);
  float* row = reinterpret_cast<float*>(bytes);
  row[threadIdx.x] = x[threadIdx.x];  // finds OUT_OF_BOUNDS dynamic_shared_too_small
  __syncthreads();
  out[threadIdx.x] = row[threadIdx.x];
}
FASTDL_SELFTEST(dynamic_shared_too_small) {
  launch(dynamic_too_small, 1, kBugBlock, kBugBlock * sizeof(float) - 4, stream, operands[0].as<float>(),
         operands[1].as<float>());
}

__global__ void read_host(const float* host, float* out) {
  out[threadIdx.x] = host[threadIdx.x];  // finds OUT_OF_BOUNDS host_pointer
}
FASTDL_SELFTEST(host_pointer) {
  const float numbers[kBugBlock] = {};
  launch(read_host, 1, kBugBlock, 0, stream, static_cast<const float*>(numbers), operands[1].as<float>());
}

__global__ void write_null(float* out) {
  out[threadIdx.x] = 1.0f;  // finds OUT_OF_BOUNDS null_pointer
}
FASTDL_SELFTEST(null_pointer) {
  launch(write_null, 1, kBugBlock, 0, stream, nullptr);
}

FASTDL_SELFTEST(host_reads_device) {
  float first = operands[0].as<float>()[0];  // finds HOST_ACCESS host_reads_device
  copy_from_host(operands[1].data, &first, sizeof first);
}

__global__ void halo_of_first_block(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock + 2]);
  const int i = static_cast<int>(threadIdx.x);
  tile[i + 1] = x[i];
  if (i == 0) tile[0] = x[i - 1];  // finds OUT_OF_BOUNDS halo_before_the_array
  if (i == 1) tile[kBugBlock + 1] = 0.0f;
  __syncthreads();
  out[i] = tile[i] + tile[i + 1] + tile[i + 2];
}
FASTDL_SELFTEST(halo_before_the_array) {
  start(halo_of_first_block, operands, stream);
}

__global__ void tile_without_room_for_halo(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [kBugBlock + 1]);
  const int i = static_cast<int>(threadIdx.x);
  tile[i + 1] = x[i];
  if (i < 2) tile[i * (kBugBlock + 1)] = 0.0f;  // finds OUT_OF_BOUNDS no_room_for_the_halo
  __syncthreads();
  out[i] = tile[i] + tile[i + 1];
}
FASTDL_SELFTEST(no_room_for_the_halo) {
  start(tile_without_room_for_halo, operands, stream);
}

__global__ void rows_and_columns_swapped(const float* x, float* out) {
  FASTDL_SHARED(float, tile, [4][16]);
  const float* first = &tile[0][0];
  tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * 16 + threadIdx.x];
  __syncthreads();
  out[threadIdx.y * 16 + threadIdx.x] = first[threadIdx.x * 16 + threadIdx.y];  // finds OUT_OF_BOUNDS swapped_axes
}
FASTDL_SELFTEST(swapped_axes) {
  launch(rows_and_columns_swapped, 1, dim3(16, 4), 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

__global__ void ragged_tile(const float* x, float* out, int n) {
  float sum = 0.0f;
  for (int first = 0; first < n; first += 16)
    for (int k = 0; k < 16; ++k) sum += x[first + k];  // finds OUT_OF_BOUNDS last_tile_unguarded
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(last_tile_unguarded) {
  launch(ragged_tile, 1, 1, 0, stream, operands[0].as<float>() + 4, operands[1].as<float>(), kBugBlock - 4);
}

// The product wraps in 32 bits for block 2, where it should have been counted in 64.
__global__ void overflowing_offset(const float* x, float* out, unsigned pitch) {
  const int64_t row = static_cast<int>(blockIdx.x * pitch);
  if (blockIdx.x != 1) out[blockIdx.x] = x[row];  // finds OUT_OF_BOUNDS offset_overflows
}
FASTDL_SELFTEST(offset_overflows) {
  launch(overflowing_offset, 3, 1, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 0x40000000u);
}

__global__ void bytes_for_numbers(const float* x, float* out) {
  FASTDL_DYNAMIC_SHARED(bytes);
  float* row = reinterpret_cast<float*>(bytes);
  row[threadIdx.x] = x[threadIdx.x];  // finds OUT_OF_BOUNDS shared_size_in_numbers
  __syncthreads();
  out[threadIdx.x] = row[kBugBlock - 1 - threadIdx.x];
}
FASTDL_SELFTEST(shared_size_in_numbers) {  // as many bytes as there should be numbers
  launch(bytes_for_numbers, 1, kBugBlock, kBugBlock, stream, operands[0].as<float>(), operands[1].as<float>());
}

// Rows are [offsets[i], offsets[i + 1]): as many offsets as rows are one too few.
__global__ void row_lengths(const int* offsets, int* out) {
  out[threadIdx.x] = offsets[threadIdx.x + 1] - offsets[threadIdx.x];  // finds OUT_OF_BOUNDS one_offset_too_few
}
FASTDL_SELFTEST(one_offset_too_few) {
  launch(row_lengths, 1, kBugBlock, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void unchecked_index(const int* index, int* out) {
  out[index[threadIdx.x]] = 1;  // finds OUT_OF_BOUNDS index_not_checked
}
FASTDL_SELFTEST(index_not_checked) {  // indices count from 1
  launch(unchecked_index, 1, kBugBlock, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void read_again(const float* x, float* out) {
  out[threadIdx.x] = x[threadIdx.x];  // finds OUT_OF_BOUNDS memory_given_back
}
FASTDL_SELFTEST(memory_given_back) {
  const float* scratch = nullptr;
  {
    const DeviceScratch<float> of_this_scope(kBugBlock);
    set_zero(of_this_scope.get(), kBugBlock * sizeof(float), stream);
    scratch = of_this_scope.get();
  }
  launch(read_again, 1, kBugBlock, 0, stream, scratch, operands[1].as<float>());
}

FASTDL_SELFTEST(host_writes_device) {
  operands[1].as<float>()[0] = 1.0f;  // finds HOST_ACCESS host_writes_device
}

}  // namespace
}  // namespace fastdl::emu
