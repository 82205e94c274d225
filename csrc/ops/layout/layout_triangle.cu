// Triangles of matrices on CUDA. A thread owns a pack of up to 16 bytes in one row, and reads it only where some of it
// is kept.
#include "ops/layout/layout.h"
#include "ops/layout/layout_units.cuh"

namespace fastdl {
namespace {

struct Triangles {
  Divider rows, columns;
  int64_t diagonal;
  bool lower;
};

template <int N, class T>
__global__ void __launch_bounds__(kBlock) triangle_packs(int64_t n, Triangles t, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i >= n) return;
  const int64_t line = t.columns.divide(i), column = i - line * t.columns.divisor;
  const int64_t row = line - t.rows.divide(line) * t.rows.divisor;
  // How many of the pack come before the first column beyond the lower triangle, or of the upper one.
  const int64_t split = row + t.diagonal + (t.lower ? 1 : 0) - column;
  Pack<T, N> pack = splat<N>(T{});
  if (t.lower ? split > 0 : split < N) {
    const Pack<T, N> given = load_pack<N>(x + i);
#pragma unroll
    for (int j = 0; j < N; ++j)
      if ((j < split) == t.lower) pack[j] = given[j];
  }
  store_pack(out + i, pack);
}

}  // namespace

void triangle(const TriangleArgs& p, Stream stream) {
  const int64_t n = p.matrices * p.rows * p.columns;
  const Triangles t{divide_by(p.rows), divide_by(p.columns), p.diagonal, p.lower};
  visit_unit(p.itemsize, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (sizeof(T) <= 8) {
      const T* const x = static_cast<const T*>(p.x);
      T* const out = static_cast<T*>(p.out);
      const bool fit = p.columns % kPack<T> == 0 && aligned<kPack<T>>(x) && aligned<kPack<T>>(out);
      with_packs<kPack<T>>(fit, [&](auto count) {
        constexpr int N = decltype(count)::value;
        launch(triangle_packs<N, T>, grid_for<N>(n), kBlock, 0, stream, n, t, x, out);
      });
    }
  });
}

}  // namespace fastdl
