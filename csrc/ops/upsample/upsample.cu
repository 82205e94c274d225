// Interpolation on CUDA, nearest and bilinear, and their gradients.
//
// Who owns what: forward, a thread owns an output and reads one source or four, which its neighbours share in the L1
// cache. Backward, a thread owns a source: the outputs that take from it are a run along each axis, found by bisection
// (sources never decrease), and it adds them in order. The limit is memory bandwidth. Places are computed by the
// functions of upsample.h, as on the CPU, so that both choose the same neighbours.
#include "cuda/planes.cuh"
#include "ops/upsample/upsample.h"

namespace fastdl {
namespace {

// One axis: where output o comes from.
struct UpsampleAxis {
  int64_t in, out;
  bool align_corners, linear;
  double scale;

  __device__ LinearSource source(int64_t o) const {
    if (linear) return linear_source(o, in, out, align_corners, scale);
    return {nearest_source(o, in, out, scale), 0};
  }
  __device__ int64_t high(int64_t low) const { return min(low + 1, in - 1); }
  // The share of output o that source i gives.
  __device__ double share(int64_t o, int64_t i) const {
    const LinearSource s = source(o);
    return (s.low == i ? 1 - s.weight : 0) + (high(s.low) == i ? s.weight : 0);
  }
  // The first output whose source is at least i.
  __device__ int64_t first_from(int64_t i) const {
    int64_t low = 0, above = out;
    while (low < above) {
      const int64_t middle = (low + above) / 2;
      if (source(middle).low < i)
        low = middle + 1;
      else
        above = middle;
    }
    return low;
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    forward_kernel(int64_t n, UpsampleAxis rows, UpsampleAxis columns, Planes large, const T* x, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const Place at = large[i];
  const T* plane = x + at.plane * rows.in * columns.in;
  const LinearSource y = rows.source(at.y), column = columns.source(at.x);
  const T* top = plane + y.low * columns.in;
  if (!rows.linear) {
    out[i] = top[column.low];
    return;
  }
  const T* bottom = plane + rows.high(y.low) * columns.in;
  const T across = static_cast<T>(column.weight), down = static_cast<T>(y.weight);
  const int64_t left = column.low, right = columns.high(left);
  const T upper = top[left] * (T{1} - across) + top[right] * across;
  const T lower = bottom[left] * (T{1} - across) + bottom[right] * across;
  out[i] = upper * (T{1} - down) + lower * down;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    backward_kernel(int64_t n, UpsampleAxis rows, UpsampleAxis columns, Planes small, const T* grad, T* grad_x) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const Place at = small[i];
  const T* plane = grad + at.plane * rows.out * columns.out;
  // A source gives to outputs that start from it, and, interpolating, from the one before.
  const int64_t top = rows.first_from(at.y - rows.linear), bottom = rows.first_from(at.y + 1);
  const int64_t left = columns.first_from(at.x - columns.linear), right = columns.first_from(at.x + 1);
  T sum = 0;
  for (int64_t y = top; y < bottom; ++y) {
    T row = 0;
    for (int64_t x = left; x < right; ++x) row += plane[y * columns.out + x] * static_cast<T>(columns.share(x, at.x));
    sum += row * static_cast<T>(rows.share(y, at.y));
  }
  grad_x[i] = sum;
}

template <bool kForward>
void run(const UpsampleArgs& p, bool linear, Stream stream) {
  const UpsampleAxis rows{p.in_h, p.out_h, p.align_corners, linear, p.scale_h};
  const UpsampleAxis columns{p.in_w, p.out_w, p.align_corners, linear, p.scale_w};
  const int64_t n = kForward ? p.planes * p.out_h * p.out_w : p.planes * p.in_h * p.in_w;
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto kernel = kForward ? forward_kernel<T> : backward_kernel<T>;
    launch(kernel, blocks_for(n, kBlock), kBlock, 0, stream, n, rows, columns,
           kForward ? planes_of(p.out_h, p.out_w) : planes_of(p.in_h, p.in_w), static_cast<const T*>(p.x),
           static_cast<T*>(p.out));
  });
}

}  // namespace

void upsample_nearest2d_fwd(const UpsampleArgs& p, Stream stream) {
  run<true>(p, false, stream);
}

void upsample_nearest2d_bwd(const UpsampleArgs& p, Stream stream) {
  run<false>(p, false, stream);
}

void upsample_bilinear2d_fwd(const UpsampleArgs& p, Stream stream) {
  run<true>(p, true, stream);
}

void upsample_bilinear2d_bwd(const UpsampleArgs& p, Stream stream) {
  run<false>(p, true, stream);
}

}  // namespace fastdl
