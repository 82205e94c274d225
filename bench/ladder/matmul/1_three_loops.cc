// The definition: c[i][j] = sum over p of a[i][p] * b[p][j].
//
// The innermost loop goes down a column of b: each step touches another cache line, and uses 4 of its 64 bytes. Nothing
// can be vectorised, since a sum of floats may not be reordered.
#include <cstdint>

extern "C" void run(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (int64_t p = 0; p < k; ++p) sum += a[i * k + p] * b[p * n + j];
      c[i * n + j] = sum;
    }
  }
}
