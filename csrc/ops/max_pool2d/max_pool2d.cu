// Maximum over windows of each plane, and its gradient.
//
// Layout: planes (batch * channels) of in_h x in_w numbers; indices are y * in_w + x within a plane.
// Who owns what: forward, a thread owns an output, its neighbours the outputs next to it, so that a warp reads whole
// sectors between its windows and what windows share comes from the L1 cache. Backward, a thread owns an input: it
// looks at the windows that may contain it and adds the gradients of those whose maximum it is, always in the same
// order. The limit of both is memory bandwidth. Indices that no forward pass made (inside the plane, but outside their
// window) are rare and still have a meaning; a thread a plane adds them up one after another.
#include "cuda/first_failure.cuh"
#include "cuda/windows.cuh"
#include "ops/max_pool2d/max_pool2d.h"

namespace fastdl {
namespace {

// ---- forward --------------------------------------------------------------------------------------------------------

// kIndices: also where each maximum is. A window of nothing but padding (dilation can make one) is given the last
// column or the first row, so that every index names an element.
template <class T, bool kIndices, class I>
__global__ void __launch_bounds__(kBlock)
    pool_windows(const T* x, T* out, I* indices, int64_t n, PoolGeometry g, Planes planes) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = global_thread(); i < n; i += step) {
    const Place at = planes[i];
    const T* plane = x + at.plane * g.in_h * g.in_w;
    const int64_t start_y = at.y * g.stride_h - g.pad_h, start_x = at.x * g.stride_w - g.pad_w;
    // The window cut to the input, so that the loops make no test: padding counts as minus infinity and never wins.
    const int64_t end_y = min(g.in_h, start_y + (g.kernel_h - 1) * g.dilation_h + 1);
    const int64_t end_x = min(g.in_w, start_x + (g.kernel_w - 1) * g.dilation_w + 1);
    const int64_t top = first_inside(start_y, g.dilation_h), left = first_inside(start_x, g.dilation_w);
    T best = -static_cast<T>(__builtin_huge_val());
    int64_t where = (top < end_y ? top * g.in_w : 0) + min(left, g.in_w - 1);
    for (int64_t y = top; y < end_y; y += g.dilation_h) {
      for (int64_t column = left; column < end_x; column += g.dilation_w) {
        const T v = plane[y * g.in_w + column];
        // Strictly greater: the first of equal maxima wins. Of several NaN the last does, as in PyTorch.
        if (v > best || v != v) {
          best = v;
          where = y * g.in_w + column;
        }
      }
    }
    out[i] = best;
    if constexpr (kIndices) indices[i] = static_cast<I>(where);
  }
}

// ---- backward -------------------------------------------------------------------------------------------------------

// Whether an index lies outside its own window, or outside its plane.
template <class I>
struct OutsideWindow {
  const I* indices;
  PoolGeometry g;
  Planes planes;

  __device__ static bool outside(int64_t from_start, int64_t kernel, int64_t dilation) {
    return from_start < 0 || from_start >= kernel * dilation || from_start % dilation != 0;
  }
  __device__ bool operator()(int64_t i) const {
    const int64_t index = indices[i];
    if (index < 0 || index >= g.in_h * g.in_w) return true;
    const Place at = planes[i];
    const int64_t y = index / g.in_w, x = index - y * g.in_w;
    return outside(y + g.pad_h - at.y * g.stride_h, g.kernel_h, g.dilation_h) ||
           outside(x + g.pad_w - at.x * g.stride_w, g.kernel_w, g.dilation_w);
  }
};

// Looked for only where an index lies outside its window.
template <class I>
struct OutsidePlane {
  OutsideRange<I> outside;
  FailureReport foreign;

  __device__ bool operator()(int64_t i) const { return *foreign.word && outside(i); }
};

template <class T, class I>
__global__ void __launch_bounds__(kBlock)
    gather_gradients(const T* grad, const I* indices, T* grad_x, int64_t n, Planes planes, WindowAxis rows,
                     WindowAxis columns, FailureReport foreign) {
  if (*foreign.word) return;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = global_thread(); i < n; i += step) {
    const Place at = planes[i];
    const int64_t plane = at.plane * rows.out * columns.out;
    const I own = static_cast<I>(at.y * planes.w.divisor + at.x);
    const WindowRange y = rows.around(at.y), x = columns.around(at.x);
    T sum = 0;
    for (int64_t oy = y.first; oy < y.end; ++oy) {
      for (int64_t ox = x.first; ox < x.end; ++ox) {
        const int64_t window = plane + oy * columns.out + ox;
        // Gathered, not scattered: no atomics, and windows add in row-major order in every run. With windows side by
        // side the two loops make one round; neighbours then read the same index.
        if (indices[window] == own) sum += grad[window];
      }
    }
    grad_x[i] = sum;
  }
}

// Such indices may name one element from anywhere in the plane, and one thread adds in one order. Atomics would not.
template <class T, class I>
__global__ void __launch_bounds__(kBlock)
    add_in_order(const T* grad, const I* indices, T* grad_x, int64_t planes, int64_t out_size, int64_t in_size,
                 FailureReport foreign, FailureReport bad) {
  if (*foreign.word == 0 || *bad.word) return;
  const int64_t plane = global_thread();
  if (plane >= planes) return;
  T* to = grad_x + plane * in_size;
  for (int64_t i = 0; i < in_size; ++i) to[i] = 0;
  for (int64_t i = plane * out_size; i < (plane + 1) * out_size; ++i) to[indices[i]] += grad[i];
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T, bool kIndices, class I>
void forward(const MaxPool2dFwdArgs& p, Stream stream) {
  const int64_t n = p.g.planes * p.g.out_h * p.g.out_w;
  if (n == 0) return;
  launch(pool_windows<T, kIndices, I>, blocks_for(n, kBlock), kBlock, 0, stream, static_cast<const T*>(p.x),
         static_cast<T*>(p.out), static_cast<I*>(p.indices), n, p.g, planes_of(p.g.out_h, p.g.out_w));
}

template <class T, class I>
void backward(const MaxPool2dBwdArgs& p, Stream stream) {
  const PoolGeometry& g = p.g;
  const int64_t in_size = g.in_h * g.in_w, out_size = g.out_h * g.out_w;
  const T* grad = static_cast<const T*>(p.grad);
  const I* indices = static_cast<const I*>(p.indices);
  T* grad_x = static_cast<T*>(p.grad_x);
  const OutsideWindow<I> outside = {indices, g, planes_of(g.out_h, g.out_w)};
  // Both ways are launched and the device chooses, so that nobody waits for the answer; the other way returns at once.
  const Failures foreign(stream);
  const FailureReport bad = report_to(p.bad_index);
  report_failures(outside, g.planes * out_size, foreign.report(), stream);
  report_failures(OutsidePlane<I>{{indices, in_size}, foreign.report()}, g.planes * out_size, bad, stream);
  const WindowAxis rows = window_rows(g), columns = window_columns(g);
  const int64_t n = g.planes * in_size;
  launch(gather_gradients<T, I>, blocks_for(n, kBlock), kBlock, 0, stream, grad, indices, grad_x, n,
         planes_of(g.in_h, g.in_w), rows, columns, foreign.report());
  launch(add_in_order<T, I>, blocks_for(g.planes, kBlock), kBlock, 0, stream, grad, indices, grad_x,
         in_size ? g.planes : 0, out_size, in_size, foreign.report(), bad);
}

}  // namespace

void max_pool2d_fwd(const MaxPool2dFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (!p.indices)
      forward<T, false, int32_t>(p, stream);
    else if (p.index_dtype == DType::kInt64)
      forward<T, true, int64_t>(p, stream);
    else
      forward<T, true, int32_t>(p, stream);
  });
}

void max_pool2d_bwd(const MaxPool2dBwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (p.index_dtype == DType::kInt64)
      backward<T, int64_t>(p, stream);
    else
      backward<T, int32_t>(p, stream);
  });
}

}  // namespace fastdl
