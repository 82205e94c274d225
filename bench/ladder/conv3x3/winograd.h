// Winograd's minimal filtering: M x M outputs from a tile of T x T inputs (T = M + 2) with T * T multiplications a
// channel instead of 9 * M * M.
//
//   y = A' [ (G w G') * (B' x B) ] A,   * element by element, summed over input channels
//
// So each of the T * T places is a product of matrices: (out x in) * (in x tiles).
#pragma once
#include "../matmul/product.h"

template <int M>
struct Points;  // the three matrices

template <>
struct Points<2> {  // points 0, 1, -1 and infinity
  static constexpr float kInput[4][4] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
  static constexpr float kWeight[4][3] = {{1, 0, 0}, {.5f, .5f, .5f}, {.5f, -.5f, .5f}, {0, 0, 1}};
  static constexpr float kOutput[2][4] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
};

// to[i][t] = sum over j of matrix[i][j] * from[j][t], t < n. t runs over tiles (or weights): they are the lanes. The
// loop over j is unrolled, so that entries of the matrix are constants, and zeros no work.
template <const auto& MATRIX, int J>
static void combine(const float* from, int64_t from_step, float* to, int64_t to_step, int64_t n) {
  constexpr int I = sizeof MATRIX / sizeof MATRIX[0];
#pragma GCC unroll 8
  for (int i = 0; i < I; ++i) {
    float* __restrict row = to + i * to_step;
#pragma GCC ivdep
    for (int64_t t = 0; t < n; ++t) {
      float sum = 0;
#pragma GCC unroll 8
      for (int j = 0; j < J; ++j)
        if (MATRIX[i][j] != 0) sum += MATRIX[i][j] * from[j * from_step + t];
      row[t] = sum;
    }
  }
}

// Columns, then rows: `from` is J x J lines of n, `to` is I x I lines, to_step apart.
template <const auto& MATRIX, int J>
static void transform(const float* from, float* between, float* to, int64_t to_step, int64_t n) {
  constexpr int I = sizeof MATRIX / sizeof MATRIX[0];
  for (int j = 0; j < J; ++j) combine<MATRIX, J>(from + j * n, J * n, between + j * n, J * n, n);
  for (int i = 0; i < I; ++i) combine<MATRIX, J>(between + i * J * n, n, to + i * I * to_step, to_step, n);
}

template <int M>
static void winograd(int64_t in, int64_t out, int64_t h, int64_t w, const float* x, const float* weight, float* y) {
  using P = Points<M>;
  constexpr int T = M + 2, S = T * T;
  const int64_t down = (h + M - 1) / M, across = (w + M - 1) / M, tiles = down * across;
  const int64_t big_h = down * M, big_w = across * M, wide = big_w + 2;  // whole tiles
  std::vector<float> padded(in * (big_h + 2) * wide);
  for (int64_t c = 0; c < in; ++c)
    for (int64_t i = 0; i < h; ++i)
      std::memcpy(&padded[(c * (big_h + 2) + i + 1) * wide + 1], x + (c * h + i) * w, sizeof(float) * w);

  const int64_t most = tiles > out ? tiles : out;
  std::vector<float> u(S * in * out), v(S * in * tiles), m(S * out * tiles), patch(S * most), between(S * most);
  for (int64_t c = 0; c < in; ++c) {  // u[place][c][o]
    for (int64_t o = 0; o < out; ++o)
      for (int r = 0; r < 9; ++r) patch[r * out + o] = weight[(o * in + c) * 9 + r];
    transform<P::kWeight, 3>(patch.data(), between.data(), &u[c * out], in * out, out);
  }
  for (int64_t c = 0; c < in; ++c) {  // v[place][c][tile]
    for (int s = 0; s < S; ++s) {
      for (int64_t row = 0; row < down; ++row) {
        const float* from = &padded[(c * (big_h + 2) + row * M + s / T) * wide + s % T];
        for (int64_t t = 0; t < across; ++t) patch[s * tiles + row * across + t] = from[t * M];
      }
    }
    transform<P::kInput, T>(patch.data(), between.data(), &v[c * tiles], in * tiles, tiles);
  }
  for (int s = 0; s < S; ++s)
    product(out, tiles, in, &u[s * in * out], 1, out, &v[s * in * tiles], tiles, &m[s * out * tiles], tiles);

  std::vector<float> result(M * M * tiles);
  for (int64_t o = 0; o < out; ++o) {
    for (int s = 0; s < S; ++s) std::memcpy(&patch[s * tiles], &m[(s * out + o) * tiles], sizeof(float) * tiles);
    transform<P::kOutput, T>(patch.data(), between.data(), result.data(), tiles, tiles);
    for (int64_t i = 0; i < h; ++i)
      for (int64_t j = 0; j < w; ++j)
        y[(o * h + i) * w + j] = result[(i % M * M + j % M) * tiles + i / M * across + j / M];
  }
}
