// Panels of a and slivers of b are copied into the order in which the tile reads them.
//
// Lines of a matrix whose rows are 4 KB apart fall into the same few places of the level-1 cache, and need a TLB entry
// each. Packed, both operands are contiguous streams; a copy of m*k + n*k numbers is little beside 2*m*n*k operations.
#include "product.h"

extern "C" void run(int64_t m, int64_t n, int64_t k, const float* a, const float* b, float* c) {
  std::memset(c, 0, sizeof(float) * m * n);
  product(m, n, k, a, k, 1, b, n, c, n);
}
