// Pooling to a given size on CUDA, and its gradients.
//
// Who owns what: forward, a warp owns an output and folds its window, whose rows its lanes read side by side: windows
// are large where the output is small, and a thread each would leave the device idle. Backward of the mean, a thread
// owns an input and adds its share of the windows that contain it, in their order. Backward of the maximum, a thread
// owns a plane, since indices may come from anywhere. The limit is memory bandwidth.
#include "cuda/first_failure.cuh"
#include "cuda/planes.cuh"
#include "ops/adaptive_pool2d/adaptive_pool2d.h"

namespace fastdl {
namespace {

constexpr int kWarps = kBlock / kWarp;

// The windows along an axis, without divisions.
struct AdaptiveAxis {
  Divider in, out;

  __device__ int64_t start(int64_t o) const { return out.divide(o * in.divisor); }
  __device__ int64_t end(int64_t o) const { return out.divide((o + 1) * in.divisor + out.divisor - 1); }
  // Those that contain `at`: (o + 1) in / out > at and o in / out < at + 1.
  __device__ int64_t first_around(int64_t at) const { return in.divide(at * out.divisor); }
  __device__ int64_t end_around(int64_t at) const { return in.divide((at + 1) * out.divisor + in.divisor - 1); }
};
struct AdaptiveAxes {
  AdaptiveAxis y, x;
};
AdaptiveAxes axes_of(const AdaptiveSizes& s) {
  return {{divide_by(s.in_h), divide_by(s.out_h)}, {divide_by(s.in_w), divide_by(s.out_w)}};
}

// visit(place in the plane) for every kWarp-th element of an output's window, in order, from that of the lane.
template <class Visit>
__device__ inline void for_lane(const AdaptiveAxes& axes, const Place& at, Visit visit) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int64_t left = axes.x.start(at.x), bottom = axes.y.end(at.y);
  const int width = static_cast<int>(axes.x.end(at.x) - left), down = kWarp / width, across = kWarp % width;
  int64_t y = axes.y.start(at.y) + lane / width;
  for (int x = lane % width; y < bottom; y += down) {
    visit(y * axes.x.in.divisor + left + x);
    x += across;
    if (x >= width) {
      x -= width;
      ++y;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock) mean_kernel(int64_t n, AdaptiveAxes axes, Planes planes, const T* x, T* out) {
  const int64_t i = global_thread() / kWarp;
  if (i >= n) return;  // the whole warp
  const Place at = planes[i];
  const T* plane = x + at.plane * axes.y.in.divisor * axes.x.in.divisor;
  T sum = 0;
  for_lane(axes, at, [&](int64_t place) { sum += plane[place]; });
  sum = warp_sum(sum);
  const int64_t size = (axes.y.end(at.y) - axes.y.start(at.y)) * (axes.x.end(at.x) - axes.x.start(at.x));
  if (threadIdx.x % kWarp == 0) out[i] = sum / static_cast<T>(size);
}

// A maximum and where it is. NaN wins over numbers, of several NaN the last; of equal maxima the first.
template <class T>
struct Best {
  T value;
  int64_t where;  // -1: none yet
};
struct Better {
  template <class T>
  __device__ Best<T> operator()(const Best<T>& a, const Best<T>& b) const {
    if (b.where < 0) return a;
    if (a.where < 0) return b;
    const bool nan_a = a.value != a.value, nan_b = b.value != b.value;
    if (nan_a || nan_b) return nan_a && (!nan_b || a.where > b.where) ? a : b;
    if (a.value != b.value) return a.value > b.value ? a : b;
    return a.where < b.where ? a : b;
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    max_kernel(int64_t n, AdaptiveAxes axes, Planes planes, const T* x, T* out, int64_t* indices) {
  const int64_t i = global_thread() / kWarp;
  if (i >= n) return;  // the whole warp
  const Place at = planes[i];
  const T* plane = x + at.plane * axes.y.in.divisor * axes.x.in.divisor;
  Best<T> best = {T{0}, -1};
  for_lane(axes, at, [&](int64_t place) { best = Better{}(best, Best<T>{plane[place], place}); });
  best = warp_reduce(best, Better{});
  if (threadIdx.x % kWarp == 0) {
    out[i] = best.value;
    indices[i] = best.where;
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    mean_gradient_kernel(int64_t n, AdaptiveAxes axes, Planes planes, const T* grad, T* grad_x) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const Place at = planes[i];
  const T* plane = grad + at.plane * axes.y.out.divisor * axes.x.out.divisor;
  // Places along an axis have 32 bits: a division of doubles needs the registers.
  const int left = static_cast<int>(axes.x.first_around(at.x)), right = static_cast<int>(axes.x.end_around(at.x));
  const int bottom = static_cast<int>(axes.y.end_around(at.y));
  T sum = 0;
  for (int oy = static_cast<int>(axes.y.first_around(at.y)); oy < bottom; ++oy) {
    const int64_t height = axes.y.end(oy) - axes.y.start(oy);
    for (int ox = left; ox < right; ++ox)
      sum += plane[oy * axes.x.out.divisor + ox] / static_cast<T>(height * (axes.x.end(ox) - axes.x.start(ox)));
  }
  grad_x[i] = sum;
}

// Indices may come from anywhere, so one thread adds those of a plane, in order. Few outputs a plane make this short.
template <class T, class I>
__global__ void __launch_bounds__(kBlock)
    max_gradient_kernel(int64_t planes, int64_t outputs, int64_t inputs, const T* grad, const I* indices, T* grad_x,
                        FailureReport report) {
  const int64_t plane = global_thread();
  if (plane >= planes) return;
  T* to = grad_x + plane * inputs;
  for (int64_t i = plane * outputs; i < (plane + 1) * outputs; ++i) {
    const I at = indices[i];
    if (at < 0 || at >= inputs)
      report(i);
    else
      to[at] += grad[i];
  }
}

int64_t outputs_of(const AdaptiveSizes& s) {
  return s.planes * s.out_h * s.out_w;
}
int64_t inputs_of(const AdaptiveSizes& s) {
  return s.planes * s.in_h * s.in_w;
}

}  // namespace

void adaptive_avg_pool2d_fwd(const AdaptiveAvgPool2dArgs& p, Stream stream) {
  const int64_t n = outputs_of(p.s);
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(mean_kernel<T>, blocks_for(n, kWarps), kBlock, 0, stream, n, axes_of(p.s), planes_of(p.s.out_h, p.s.out_w),
           static_cast<const T*>(p.x), static_cast<T*>(p.out));
  });
}

void adaptive_avg_pool2d_bwd(const AdaptiveAvgPool2dArgs& p, Stream stream) {
  const int64_t n = inputs_of(p.s);
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (outputs_of(p.s) == 0) return set_zero(p.out, static_cast<size_t>(n) * sizeof(T), stream);
    launch(mean_gradient_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, axes_of(p.s),
           planes_of(p.s.in_h, p.s.in_w), static_cast<const T*>(p.x), static_cast<T*>(p.out));
  });
}

void adaptive_max_pool2d_fwd(const AdaptiveMaxPool2dArgs& p, Stream stream) {
  const int64_t n = outputs_of(p.s);
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(max_kernel<T>, blocks_for(n, kWarps), kBlock, 0, stream, n, axes_of(p.s), planes_of(p.s.out_h, p.s.out_w),
           static_cast<const T*>(p.x), static_cast<T*>(p.out), static_cast<int64_t*>(p.indices));
  });
}

void adaptive_max_pool2d_bwd(const AdaptiveMaxPool2dBwdArgs& p, Stream stream) {
  const AdaptiveSizes& s = p.s;
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto run = [&](auto index) {
      using I = decltype(index);
      const I* indices = static_cast<const I*>(p.indices);
      set_zero(p.grad_x, static_cast<size_t>(inputs_of(s)) * sizeof(T), stream);
      launch(max_gradient_kernel<T, I>, blocks_for(s.planes, kBlock), kBlock, 0, stream, s.planes, s.out_h * s.out_w,
             s.in_h * s.in_w, static_cast<const T*>(p.grad), indices, static_cast<T*>(p.grad_x),
             report_to(p.bad_index));
    };
    p.index_dtype == DType::kInt64 ? run(int64_t{}) : run(int32_t{});
  });
}

}  // namespace fastdl
