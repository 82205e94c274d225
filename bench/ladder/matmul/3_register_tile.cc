// A tile of c stays in registers for the whole of a block of k.
//
// One step of k loads kVectors vectors of b and kRows numbers of a for kRows * kVectors multiply-adds: with 14 x 2, 16
// loads for 28, and no store. The processor can start two multiply-adds a cycle and two loads a cycle, so loads no
// longer hold it up. Many independent sums also hide the four cycles that a multiply-add takes.
//
// Without the pragmas the compiler would keep the array of sums on the stack.
#include "../vector.h"

constexpr int64_t kBlockK = 256;

template <int ROWS>
static void tile(int64_t steps, const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc) {
  Vector sum[ROWS][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[i][v] = load(c + i * ldc + v * kLanes);
  for (int64_t p = 0; p < steps; ++p) {
    Vector row[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) row[v] = load(b + p * ldb + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[i][v] += a[i * lda + p] * row[v];
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(c + i * ldc + v * kLanes, sum[i][v]);
}

static void edge(int64_t rows, int64_t columns, int64_t steps, const float* a, int64_t lda, const float* b, int64_t ldb,
                 float* c, int64_t ldc) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t p = 0; p < steps; ++p)
      for (int64_t j = 0; j < columns; ++j) c[i * ldc + j] += a[i * lda + p] * b[p * ldb + j];
}

extern "C" void run(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  std::memset(c, 0, sizeof(float) * m * n);
  for (int64_t p = 0; p < k; p += kBlockK) {
    const int64_t steps = smaller(kBlockK, k - p);
    for (int64_t j = 0; j < n; j += kColumns) {
      for (int64_t i = 0; i < m; i += kRows) {
        const float *at_a = a + i * k + p, *at_b = b + p * n + j;
        if (i + kRows <= m && j + kColumns <= n) {
          tile<kRows>(steps, at_a, k, at_b, n, c + i * n + j, n);
        } else {
          edge(smaller(kRows, m - i), smaller(kColumns, n - j), steps, at_a, k, at_b, n, c + i * n + j, n);
        }
      }
    }
  }
}
