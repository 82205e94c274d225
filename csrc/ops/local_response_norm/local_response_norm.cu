// Local response normalisation over channels on CUDA.
//
// Who owns what: a thread owns a number, its neighbours the next pixels, so that every read is coalesced; the `size`
// channels around it lie a plane apart, and threads of the same block column find them in the L2 cache. Backward has
// two kernels: the first makes t = grad * x * d^(-beta - 1), of which the second adds a window. The limit is memory:
// one read and one write forward, and the windows' reads from L2.
#include "cuda/planes.cuh"
#include "ops/local_response_norm/local_response_norm.h"

namespace fastdl {
namespace {

template <class T>
struct Lrn {
  int64_t channels, plane, size;
  Divider by_plane, by_channels;
  T alpha, beta, k;  // alpha: divided by the size

  __device__ int64_t channel(int64_t i) const {
    const int64_t c = by_plane.divide(i);
    return c - by_channels.divide(c) * channels;
  }
  // Sum of f over `before` channels before number i, its own and `after` after it.
  template <class F>
  __device__ T window(int64_t i, int64_t before, int64_t after, F f) const {
    const int64_t c = channel(i), first = max(c - before, int64_t{0}), end = min(c + after + 1, channels);
    T sum = 0;
    for (int64_t j = first; j < end; ++j) sum += f(i + (j - c) * plane);
    return sum;
  }
  __device__ T divisor(const T* x, int64_t i) const {
    return k + alpha * window(i, size / 2, (size - 1) / 2, [=](int64_t at) { return x[at] * x[at]; });
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock) forward_kernel(int64_t n, Lrn<T> lrn, const T* x, T* out) {
  const int64_t i = global_thread();
  if (i < n) out[i] = x[i] * pow(lrn.divisor(x, i), -lrn.beta);
}

template <class T>
__global__ void __launch_bounds__(kBlock) terms_kernel(int64_t n, Lrn<T> lrn, const T* grad, const T* x, T* terms) {
  const int64_t i = global_thread();
  if (i < n) terms[i] = grad[i] * x[i] * pow(lrn.divisor(x, i), -lrn.beta - T{1});
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    gradient_kernel(int64_t n, Lrn<T> lrn, const T* grad, const T* x, const T* terms, T* grad_x) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const T around = lrn.window(i, (lrn.size - 1) / 2, lrn.size / 2, [=](int64_t at) { return terms[at]; });
  grad_x[i] = grad[i] * pow(lrn.divisor(x, i), -lrn.beta) - T{2} * lrn.alpha * lrn.beta * x[i] * around;
}

template <class T, class Args>
Lrn<T> lrn_of(const Args& p) {
  return {p.channels,
          p.plane,
          p.size,
          divide_by(p.plane),
          divide_by(p.channels),
          static_cast<T>(p.alpha / static_cast<double>(p.size)),
          static_cast<T>(p.beta),
          static_cast<T>(p.k)};
}

}  // namespace

void local_response_norm_fwd(const LocalResponseNormFwdArgs& p, Stream stream) {
  const int64_t n = p.batch * p.channels * p.plane;
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(forward_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, lrn_of<T>(p), static_cast<const T*>(p.x),
           static_cast<T*>(p.out));
  });
}

void local_response_norm_bwd(const LocalResponseNormBwdArgs& p, Stream stream) {
  const int64_t n = p.batch * p.channels * p.plane;
  if (n == 0) return;
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Lrn<T> lrn = lrn_of<T>(p);
    const T *grad = static_cast<const T*>(p.grad), *x = static_cast<const T*>(p.x);
    const DeviceScratch<T> terms(n);
    launch(terms_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, lrn, grad, x, terms.get());
    launch(gradient_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, lrn, grad, x, terms.get(),
           static_cast<T*>(p.grad_x));
  });
}

}  // namespace fastdl
