// Operands of products on tensor cores: float32 matrices written in the numbers of the product, in chunks of 16 bytes
// along k. The limit is memory: 4 bytes a number read and 2 (TF32: 4) written, once a product.
#pragma once
#include "cuda/access.cuh"
#include "cuda/tensorcore.cuh"
#include "ops/matmul/mma_product.h"

namespace fastdl {
namespace {

// Calls run with a number of the product's type.
template <class Run>
void visit_number(ProductPrecision precision, Run&& run) {
  if (precision == ProductPrecision::kTfloat32) return run(tfloat32{});
  if (precision == ProductPrecision::kBfloat16) return run(bfloat16{});
  run(float16{});
}

template <class Number>
constexpr int kNumbers = 16 / static_cast<int>(sizeof(Number));  // in a chunk

template <class Number>
__device__ uint4 make_chunk(const Pack<float, kNumbers<Number>>& v) {
  if constexpr (sizeof(Number) == 4) {
    const Number n{};
    return make_uint4(round_to(n, v[0]), round_to(n, v[1]), round_to(n, v[2]), round_to(n, v[3]));
  } else {
    const Number n{};
    return make_uint4(pack(n, v[0], v[1]), pack(n, v[2], v[3]), pack(n, v[4], v[5]), pack(n, v[6], v[7]));
  }
}

// k contiguous: a thread a chunk, neighbours along k.
template <class Number>
__global__ void __launch_bounds__(kBlock) prepare_along_k(MmaOperand p, Divider chunks, Divider rows, bool vector) {
  constexpr int N = kNumbers<Number>;
  const int64_t i = global_thread(), line = chunks.divide(i), chunk = i - line * chunks.divisor;
  const int64_t matrix = rows.divide(line), row = line - matrix * rows.divisor;
  if (matrix >= p.outer) return;
  const float* from = p.from + matrix * p.outer_stride + row * p.row_stride + chunk * N;
  const int64_t count = p.k - chunk * N;
  Pack<float, N> v;
  if (vector && count >= N) {
    v = load_pack<N>(from);
  } else {
#pragma unroll
    for (int j = 0; j < N; ++j) v[j] = j < count ? from[j] : 0.0f;
  }
  store_vec(p.to + matrix * p.to_outer + row * p.to_row + chunk, make_chunk<Number>(v));
}

// Rows contiguous: a block turns a square of 32 rows and 64 steps in shared memory. Reads are lines of 32 rows; a write
// of 8 threads is 128 bytes of a row. The odd pitch keeps the turned reads to two in a bank.
constexpr int kTurnRows = 32, kTurnSteps = 64;

template <class Number>
__global__ void __launch_bounds__(kBlock) prepare_across_k(MmaOperand p, Divider tiles_k, Divider tiles_rows) {
  constexpr int N = kNumbers<Number>, kChunks = kTurnSteps / N;
  FASTDL_SHARED(float, tile, [kTurnSteps][kTurnRows + 1]);
  const int64_t line = tiles_k.divide(blockIdx.x), matrix = tiles_rows.divide(line);
  const int64_t first_k = (blockIdx.x - line * tiles_k.divisor) * kTurnSteps;
  const int64_t first_row = (line - matrix * tiles_rows.divisor) * kTurnRows;
  const int64_t outer = matrix / p.inner, inner = matrix % p.inner;
  const float* from = p.from + outer * p.outer_stride + inner * p.inner_stride + first_k * p.step_stride + first_row;
  const int rows = static_cast<int>(min(p.rows - first_row, int64_t{kTurnRows}));
  const int steps = static_cast<int>(min(p.k - first_k, int64_t{kTurnSteps}));
  const int row = threadIdx.x % kTurnRows;
#pragma unroll
  for (int i = 0; i < kTurnSteps; i += kBlock / kTurnRows) {
    const int k = threadIdx.x / kTurnRows + i;
    tile[k][row] = row < rows && k < steps ? from[k * p.step_stride + row] : 0.0f;
  }
  __syncthreads();
  uint4* to = p.to + outer * p.to_outer + inner * p.to_inner + first_row * p.to_row + first_k / N;
#pragma unroll
  for (int i = threadIdx.x; i < kTurnRows * kChunks; i += kBlock) {
    const int r = i / kChunks, chunk = i % kChunks;
    if (r >= rows || chunk * N >= steps) continue;
    Pack<float, N> v;
#pragma unroll
    for (int j = 0; j < N; ++j) v[j] = tile[chunk * N + j][r];
    store_vec(to + r * p.to_row + chunk, make_chunk<Number>(v));
  }
}

template <class Number>
void prepare_in(const MmaOperand& p, Stream stream) {
  constexpr int N = kNumbers<Number>;
  if (p.step_stride == 1 && p.inner == 1) {
    const int64_t chunks = ceil_div(p.k, N);
    const bool vector = vectors_at(p.from, p.row_stride) && p.outer_stride % 4 == 0;
    launch(prepare_along_k<Number>, checked_grid(ceil_div(p.outer * p.rows * chunks, kBlock)), kBlock, 0, stream, p,
           divide_by(chunks), divide_by(p.rows), vector);
    return;
  }
  const int64_t tiles_k = ceil_div(p.k, kTurnSteps), tiles_rows = ceil_div(p.rows, kTurnRows);
  launch(prepare_across_k<Number>, checked_grid(p.outer * p.inner * tiles_rows * tiles_k), kBlock, 0, stream, p,
         divide_by(tiles_k), divide_by(tiles_rows));
}

}  // namespace
}  // namespace fastdl
