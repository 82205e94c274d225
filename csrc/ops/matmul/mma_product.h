// Products of float32 operands on tensor cores: of matrices, and of weights with the pixels under windows. Operands are
// first written in the numbers of the product, k contiguous, in chunks of 16 bytes with zeros behind the last k; then
// one kernel (matmul_mma.cu) multiplies them all:
//
//   out (row, pixel) = sum over taps (y, x) and chunks c of the tap    a (row, y, x, c) * b (pixel moved by y, x; c)
//
// A matrix is the case of one tap, with its columns as images of one pixel.
#pragma once
#include "core/kernel.h"
#include "cuda/gemm.cuh"
#include "cuda/product_precision.h"
#include "ops/matmul/batch.cuh"
#include "ops/matmul/epilogue.cuh"

namespace fastdl {

// Whether this thread wants tensor cores, they are there, and the product is not too small. Below 16 rows, columns or
// steps of k most of what an instruction multiplies would be zeros, and preparing the operands would cost more than it
// gains.
bool on_tensor_cores(int64_t rows, int64_t columns, int64_t k);

// Numbers in a chunk: 8, or 4 of TF32.
int64_t chunk_size(ProductPrecision precision);
inline int64_t chunks_of(int64_t k, ProductPrecision precision) {
  return ceil_div(k, chunk_size(precision));
}

// Matrices (rows, k) of float32 for each (outer, inner), to be written row by row; either rows or steps of k are
// contiguous. Strides of the source are in numbers, of the result in chunks.
struct MmaOperand {
  const float* from;
  int64_t row_stride, step_stride, outer_stride, inner_stride;
  uint4* to;
  int64_t to_row, to_outer, to_inner;
  int64_t outer, inner, rows, k;
};
void prepare_operand(const MmaOperand& operand, ProductPrecision precision, Stream stream);

// One axis of pixels and taps: tap t of pixel i reads start + i * stride + t * step, zero outside [0, size), and chunk
// a_start + t * a_step of a row of A. What pixel i gives is written to out_start + i * out_stride.
struct MmaAxis {
  int size, pixels, stride, start, taps, step;
  int a_start, a_step;
  int out_start, out_stride;
};
// Phases of an axis: pixels that differ in the taps they meet. A product has the phases of y times those of x.
constexpr int kMmaPhases = 4;

struct MmaProduct {
  const uint4 *a, *b;
  float* out;  // (splits, ...): the result when there is one split, partial sums otherwise
  Epilogue<float> epilogue;
  bool bias_of_rows;
  int64_t rows, images;
  int channels;     // chunks of a tap
  int64_t a_row;    // chunks between rows of A
  int64_t b_image;  // chunks between images of B, and between pixels
  int b_pixel;
  MmaAxis y[kMmaPhases], x[kMmaPhases];
  int phases_y, phases_x;
  Batch batch;  // strides in chunks
  int64_t matrices, out_matrix;
  int64_t out_image, out_plane, out_size;  // numbers between images, between rows, and of a whole result
  int out_width;
  GemmPlan plan;
};
// Plans, cuts k where blocks are few, multiplies. The first phase of an axis has the most pixels.
void multiply_on_tensor_cores(MmaProduct product, ProductPrecision precision, Stream stream);

}  // namespace fastdl
