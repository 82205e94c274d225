// Mean over windows of each plane on CUDA, and its gradient.
//
// Who owns what: forward, a thread owns an output, its neighbours the outputs next to it, so that a warp reads whole
// sectors between its windows. Backward, a thread owns an input and adds what each window that contains it spreads, in
// the order of the windows: no atomics. The limit of both is memory bandwidth; windows that overlap meet in the L1
// cache.
#include "cuda/windows.cuh"
#include "ops/avg_pool2d/avg_pool2d.h"

namespace fastdl {
namespace {

// What the sum over a window is divided by: of_row(y) * of_column(x).
struct Count {
  PoolGeometry g;
  int64_t divisor;  // 0: the number of elements
  bool with_pad;

  __device__ int64_t of_row(int64_t y) const {
    return divisor ? divisor : window_elements(y, g.in_h, g.kernel_h, g.stride_h, g.pad_h, with_pad);
  }
  __device__ int64_t of_column(int64_t x) const {
    return divisor ? 1 : window_elements(x, g.in_w, g.kernel_w, g.stride_w, g.pad_w, with_pad);
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock) pool_windows(int64_t n, Count count, Planes planes, const T* x, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const PoolGeometry& g = count.g;
  const Place at = planes[i];
  const T* plane = x + at.plane * g.in_h * g.in_w;
  const int64_t start_y = at.y * g.stride_h - g.pad_h, start_x = at.x * g.stride_w - g.pad_w;
  const int64_t end_y = min(g.in_h, start_y + g.kernel_h), end_x = min(g.in_w, start_x + g.kernel_w);
  T sum = 0;
  for (int64_t y = max(start_y, int64_t{0}); y < end_y; ++y)
    for (int64_t column = max(start_x, int64_t{0}); column < end_x; ++column) sum += plane[y * g.in_w + column];
  out[i] = sum / static_cast<T>(count.of_row(at.y) * count.of_column(at.x));
}

template <class T>
__global__ void __launch_bounds__(kBlock) gather_gradients(int64_t n, Count count, Planes planes, WindowAxis rows,
                                                           WindowAxis columns, const T* grad, T* grad_x) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const Place at = planes[i];
  const T* plane = grad + at.plane * rows.out * columns.out;
  const WindowRange y = rows.around(at.y), x = columns.around(at.x);
  // Places along an axis have 32 bits, and the loop has one division of doubles: it is a call, which needs registers.
  const int left = static_cast<int>(x.first), right = static_cast<int>(x.end), bottom = static_cast<int>(y.end);
  T sum = 0;
  for (int oy = static_cast<int>(y.first); oy < bottom; ++oy) {
    const T* row = plane + oy * columns.out;
    const int64_t height = count.of_row(oy);
#pragma unroll 1
    for (int ox = left; ox < right; ++ox) sum += row[ox] / static_cast<T>(height * count.of_column(ox));
  }
  grad_x[i] = sum;
}

}  // namespace

void avg_pool2d_fwd(const AvgPool2dArgs& p, Stream stream) {
  const PoolGeometry& g = p.g;
  const int64_t n = g.planes * g.out_h * g.out_w;
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(pool_windows<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, Count{g, p.divisor, p.count_include_pad},
           planes_of(g.out_h, g.out_w), static_cast<const T*>(p.x), static_cast<T*>(p.out));
  });
}

void avg_pool2d_bwd(const AvgPool2dArgs& p, Stream stream) {
  const PoolGeometry& g = p.g;
  const int64_t n = g.planes * g.in_h * g.in_w;
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(gather_gradients<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, Count{g, p.divisor, p.count_include_pad},
           planes_of(g.in_h, g.in_w), window_rows(g), window_columns(g), static_cast<const T*>(p.x),
           static_cast<T*>(p.out));
  });
}

}  // namespace fastdl
