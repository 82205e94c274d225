// The product with packed operands, for 4_packing.cc and for the convolutions that are products.
#pragma once
#include "../vector.h"

// a: [steps][ROWS], b: [steps][kColumns], both contiguous.
template <int ROWS>
static void packed_tile(int64_t steps, const float* a, const float* b, float* c, int64_t ldc) {
  Vector sum[ROWS][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[i][v] = load(c + i * ldc + v * kLanes);
  for (int64_t p = 0; p < steps; ++p) {
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[i][v] += a[p * ROWS + i] * load(b + p * kColumns + v * kLanes);
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(c + i * ldc + v * kLanes, sum[i][v]);
}

// `rows` rows of a to [steps][kRows], zeros for rows that are not there. a(row, p) = a[row * row_step + p * step].
static void pack_rows(const float* a, int64_t row_step, int64_t step, int64_t rows, int64_t steps, float* to) {
  for (int64_t p = 0; p < steps; ++p)
    for (int64_t i = 0; i < kRows; ++i) to[p * kRows + i] = i < rows ? a[i * row_step + p * step] : 0;
}

static void pack_columns(const float* b, int64_t ldb, int64_t columns, int64_t steps, float* to) {
  for (int64_t p = 0; p < steps; ++p)
    for (int64_t j = 0; j < kColumns; ++j) to[p * kColumns + j] = j < columns ? b[p * ldb + j] : 0;
}

// c += a b, tile by tile; tiles at the edges are computed in a whole tile apart.
static void product(int64_t m, int64_t n, int64_t k, const float* a, int64_t row_step, int64_t step, const float* b,
                    int64_t ldb, float* c, int64_t ldc) {
  constexpr int64_t kBlockK = 512;
  const int64_t panels = (m + kRows - 1) / kRows;
  std::vector<float> packed_a(panels * kRows * kBlockK), packed_b(kColumns * kBlockK);
  float whole[kRows * kColumns];
  for (int64_t p = 0; p < k; p += kBlockK) {
    const int64_t steps = smaller(kBlockK, k - p);
    for (int64_t i = 0; i < panels; ++i)
      pack_rows(a + i * kRows * row_step + p * step, row_step, step, smaller(kRows, m - i * kRows), steps,
                &packed_a[i * kRows * steps]);
    for (int64_t j = 0; j < n; j += kColumns) {
      const int64_t columns = smaller(kColumns, n - j);
      pack_columns(b + p * ldb + j, ldb, columns, steps, packed_b.data());
      for (int64_t i = 0; i < panels; ++i) {
        const int64_t rows = smaller(kRows, m - i * kRows);
        float* to = c + i * kRows * ldc + j;
        if (rows == kRows && columns == kColumns) {
          packed_tile<kRows>(steps, &packed_a[i * kRows * steps], packed_b.data(), to, ldc);
          continue;
        }
        std::memset(whole, 0, sizeof whole);
        packed_tile<kRows>(steps, &packed_a[i * kRows * steps], packed_b.data(), whole, kColumns);
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t s = 0; s < columns; ++s) to[r * ldc + s] += whole[r * kColumns + s];
      }
    }
  }
}
