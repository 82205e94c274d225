// What becomes of a tile's sums on the warpgroups: bias, residual and activation, and their way to memory.
#pragma once
#include "cuda/wgmma_gemm.cuh"
#include "ops/matmul/epilogue.cuh"

namespace fastdl {

// Two neighbouring columns, and where both are written in a row.
struct PairPlace {
  int column;     // of the tile
  int count;      // how many of the two exist: none from 0 down
  bool together;  // one after the other, at an even place
  int64_t first, second;
};

// The rows of a tile in memory.
struct ResultRows {
  float* out;             // row 0 of the tile
  const float* residual;  // likewise, or null
  const float* bias;      // of row 0, or of column 0; or null
  bool bias_of_rows;
  int rows;
  int64_t pitch;  // from row to row
  Activation activation;

  // Pairs are read and written at once only from multiples of 8 bytes.
  __device__ bool even() const {
    return (reinterpret_cast<uintptr_t>(out) | reinterpret_cast<uintptr_t>(residual)) % 8 == 0 && pitch % 2 == 0;
  }
};

// Places: as each_pair_of_sums wants them, of PairPlace.
template <class Tile, class Places>
__device__ __forceinline__ void store_sums(const ResultRows& r, const Places& places, const float (&sum)[Tile::kSums]) {
  const bool even = r.even();
  const Activation activation = r.activation;
  each_pair_of_sums<Tile>(sum, places, [&](int row, const PairPlace& at, float first, float second) {
    if (row >= r.rows || at.count <= 0) return;
    const bool two = at.count > 1, pair = even && at.together && two;
    if (r.bias) {
      first += r.bias[r.bias_of_rows ? row : at.column];
      if (two) second += r.bias[r.bias_of_rows ? row : at.column + 1];
    }
    const int64_t skip = row * r.pitch;
    if (r.residual && pair) {
      const float2 more = load_vec<float2>(r.residual + skip + at.first);
      first += more.x, second += more.y;
    } else if (r.residual) {
      first += r.residual[skip + at.first];
      if (two) second += r.residual[skip + at.second];
    }
    if (activation == Activation::kRelu)
      first = activate(Activation::kRelu, first), second = activate(Activation::kRelu, second);
    float* to = r.out + skip;
    if (pair) return store_vec(to + at.first, make_float2(first, second));
    to[at.first] = first;
    if (two) to[at.second] = second;
  });
  if (activation == Activation::kNone || activation == Activation::kRelu) return;
  // Exponentials are long: a thread reads its results back, from the caches, and the code is there once.
  each_place_of_sums<Tile>(places, [&](int row, const PairPlace& at) {
    if (row >= r.rows || at.count <= 0) return;
    float* to = r.out + row * r.pitch;
    to[at.first] = activate(activation, to[at.first]);
    if (at.count > 1) to[at.second] = activate(activation, to[at.second]);
  });
}

}  // namespace fastdl
