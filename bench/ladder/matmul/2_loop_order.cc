// The same multiplications with the loops over j and p exchanged: the innermost loop goes along rows of b and c.
//
// Every byte of a cache line is used, and the compiler vectorises: lanes are different sums. For each multiply-add a
// number of b and one of c are still loaded and one of c is stored. These are the limit, so that keeping a block of b
// in a nearer cache brings nothing yet.
#include <cstdint>

extern "C" void run(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  for (int64_t i = 0; i < m; ++i) {
    float* __restrict row = c + i * n;
    for (int64_t j = 0; j < n; ++j) row[j] = 0;
    for (int64_t p = 0; p < k; ++p) {
      const float factor = a[i * k + p];
      for (int64_t j = 0; j < n; ++j) row[j] += factor * b[p * n + j];
    }
  }
}
