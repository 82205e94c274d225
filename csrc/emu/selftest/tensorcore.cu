// A kernel for each function of cuda/tensorcore.cuh; tests/emu/test_tensorcore.py compares with NumPy. One warp each.
#include "cuda/tensorcore.cuh"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

// ---- copies ---------------------------------------------------------------------------------------------------------

// Thread i copies kBytes, of which i % (kBytes + 1) are read; then it waits and reads its own.
template <int kBytes>
__global__ void copy_some(const uint32_t* x, uint32_t* out) {
  FASTDL_SHARED(uint32_t, words, [kWarp * 4]);
  constexpr int kWords = kBytes / 4;
  const int i = static_cast<int>(threadIdx.x);
  copy_async<kBytes>(&words[i * kWords], x + i * kWords, i % (kBytes + 1));
  commit_copies();
  wait_copies<0>();
#pragma unroll
  for (int j = 0; j < kWords; ++j) out[i * kWords + j] = words[i * kWords + j];
}
FASTDL_SELFTEST(copy_async_4) {
  launch(copy_some<4>, 1, kWarp, 0, stream, operands[0].as<uint32_t>(), operands[1].as<uint32_t>());
}
FASTDL_SELFTEST(copy_async_8) {
  launch(copy_some<8>, 1, kWarp, 0, stream, operands[0].as<uint32_t>(), operands[1].as<uint32_t>());
}
FASTDL_SELFTEST(copy_async_16) {
  launch(copy_some<16>, 1, kWarp, 0, stream, operands[0].as<uint32_t>(), operands[1].as<uint32_t>());
}

// Three groups in flight, each waited for in turn: out[group] = x[group], whichever thread brought it.
__global__ void copy_groups(const float* x, float* out) {
  FASTDL_SHARED(float, rows, [3][kWarp]);
  const int i = static_cast<int>(threadIdx.x), other = kWarp - 1 - i;
#pragma unroll
  for (int group = 0; group < 3; ++group) {
    copy_async<4>(&rows[group][i], x + group * kWarp + i, 4);
    commit_copies();
  }
  wait_copies<2>();
  __syncthreads();
  out[other] = rows[0][other];
  wait_copies<1>();
  __syncthreads();
  out[kWarp + other] = rows[1][other];
  commit_copies();  // an empty group counts too
  wait_copies<1>();
  __syncthreads();
  out[2 * kWarp + other] = rows[2][other];
}
FASTDL_SELFTEST(copy_groups) {
  launch(copy_groups, 1, kWarp, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// ---- matrices -------------------------------------------------------------------------------------------------------

// x: the rows of kCount matrices, one after another. out[lane * kCount + m]: register m of the lane.
template <int kCount, bool kTransposed>
__global__ void load_some(const uint4* x, uint32_t* out) {
  FASTDL_SHARED(uint4, rows, [kCount * 8]);
  const int i = static_cast<int>(threadIdx.x);
  if (i < kCount * 8) store_vec(&rows[i], load_vec<uint4>(x + i));
  __syncthreads();
  uint32_t r[kCount];
  const uint4* row = &rows[i % (kCount * 8)];
  if constexpr (kTransposed)
    load_transposed(r, row);
  else
    load_matrices(r, row);
#pragma unroll
  for (int m = 0; m < kCount; ++m) out[i * kCount + m] = r[m];
}
#define FASTDL_LOAD_TEST(name, count, transposed)                                                                   \
  FASTDL_SELFTEST(name) {                                                                                           \
    launch(load_some<count, transposed>, 1, kWarp, 0, stream, operands[0].as<uint4>(), operands[1].as<uint32_t>()); \
  }
FASTDL_LOAD_TEST(load_matrices_1, 1, false)
FASTDL_LOAD_TEST(load_matrices_2, 2, false)
FASTDL_LOAD_TEST(load_matrices_4, 4, false)
FASTDL_LOAD_TEST(load_transposed_1, 1, true)
FASTDL_LOAD_TEST(load_transposed_2, 2, true)
FASTDL_LOAD_TEST(load_transposed_4, 4, true)

// ---- products -------------------------------------------------------------------------------------------------------

// Registers as they are: a (32, 4), b (32, 2), c (32, 4) -> out (32, 4), by lane.
template <class Number>
__global__ void multiply_registers(const uint32_t* a, const uint32_t* b, const float* c, float* out) {
  const int i = static_cast<int>(threadIdx.x);
  uint32_t ra[4], rb[2];
  float sum[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) ra[j] = a[i * 4 + j], sum[j] = c[i * 4 + j];
#pragma unroll
  for (int j = 0; j < 2; ++j) rb[j] = b[i * 2 + j];
  multiply(Number{}, sum, ra, rb);
#pragma unroll
  for (int j = 0; j < 4; ++j) out[i * 4 + j] = sum[j];
}
#define FASTDL_MULTIPLY_TEST(name, Number)                                                                          \
  FASTDL_SELFTEST(name) {                                                                                           \
    launch(multiply_registers<Number>, 1, kWarp, 0, stream, operands[0].as<uint32_t>(), operands[1].as<uint32_t>(), \
           operands[2].as<float>(), operands[3].as<float>());                                                       \
  }
FASTDL_MULTIPLY_TEST(multiply_bfloat16, bfloat16)
FASTDL_MULTIPLY_TEST(multiply_float16, float16)
FASTDL_MULTIPLY_TEST(multiply_tfloat32, tfloat32)

// ---- numbers --------------------------------------------------------------------------------------------------------

template <class Number>
__global__ void pack_pairs(const float* x, uint32_t* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (2 * i + 1 < n) out[i] = pack(Number{}, x[2 * i], x[2 * i + 1]);
}
__global__ void round_all(const float* x, uint32_t* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = round_to(tfloat32{}, x[i]);
}
FASTDL_SELFTEST(to_bfloat16) {
  const int n = static_cast<int>(operands[0].size);
  launch(pack_pairs<bfloat16>, blocks_for(n, 64), 32, 0, stream, operands[0].as<float>(), operands[1].as<uint32_t>(),
         n);
}
FASTDL_SELFTEST(to_float16) {
  const int n = static_cast<int>(operands[0].size);
  launch(pack_pairs<float16>, blocks_for(n, 64), 32, 0, stream, operands[0].as<float>(), operands[1].as<uint32_t>(), n);
}
FASTDL_SELFTEST(to_tfloat32) {
  const int n = static_cast<int>(operands[0].size);
  launch(round_all, blocks_for(n, 32), 32, 0, stream, operands[0].as<float>(), operands[1].as<uint32_t>(), n);
}

}  // namespace
}  // namespace fastdl::emu
