// Group normalisation on CUDA, and its gradients.
//
// Who owns what: forward, a block owns a row (the channels of a group in an image, which lie side by side) and reads it
// twice, the second time from the caches. Backward, a warp owns a plane and sums grad and grad * xhat over it; these
// few numbers give the means of a row (a thread a row) and the gradients of the parameters (a thread a channel, images
// in order); then a thread owns a number of grad_x. The limit is memory: x is read twice forward, x and grad twice
// backward.
#include "cuda/moments.cuh"
#include "cuda/planes.cuh"
#include "ops/group_norm/group_norm.h"

namespace fastdl {
namespace {

template <class T>
struct Affine {
  const T *weight, *bias;  // or null

  __device__ T scale(int64_t channel) const { return weight ? weight[channel] : T{1}; }
  __device__ T shift(int64_t channel) const { return bias ? bias[channel] : T{0}; }
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    forward_kernel(int64_t size, int64_t groups, int64_t channels, Divider plane, T eps, const T* x, Affine<T> affine,
                   T* out, T* mean, T* rstd) {
  const int64_t row = blockIdx.x, first_channel = row % groups * channels;  // channels of a group
  x += row * size, out += row * size;
  Moments<T> own = Moments<T>::none();
  for (int64_t i = threadIdx.x; i < size; i += kBlock) own.add(x[i]);
  own = block_reduce(own, MergeMoments{}, Moments<T>::none());
  const T scale = T{1} / sqrt(own.variance() + eps);
  for (int64_t i = threadIdx.x; i < size; i += kBlock) {
    const int64_t channel = first_channel + plane.divide(i);
    out[i] = (x[i] - own.mean) * scale * affine.scale(channel) + affine.shift(channel);
  }
  if (threadIdx.x == 0) {
    mean[row] = own.mean;
    rstd[row] = scale;
  }
}

// sums[i] of plane i: of grad, and of grad * xhat. `channels` of a group.
template <class T>
__global__ void __launch_bounds__(kBlock)
    plane_sums_kernel(int64_t planes, int64_t size, Divider channels, const T* grad, const T* x, const T* mean,
                      const T* rstd, Pair<T>* sums) {
  const int64_t i = global_thread() / kWarp;
  if (i >= planes) return;  // the whole warp
  const int64_t row = channels.divide(i);
  const T middle = mean[row], scale = rstd[row];
  Pair<T> own = {T{0}, T{0}};
  for (int64_t k = threadIdx.x % kWarp; k < size; k += kWarp) {
    const T g = grad[i * size + k];
    own = AddPairs{}(own, Pair<T>{g, g * ((x[i * size + k] - middle) * scale)});
  }
  own = warp_reduce(own, AddPairs{});
  if (threadIdx.x % kWarp == 0) {
    Pair<T>& sum = sums[i];
    sum.a = own.a, sum.b = own.b;
  }
}

// means[row]: of h = grad * weight, and of h * xhat, over the `channels` planes of a row.
template <class T>
__global__ void __launch_bounds__(kBlock) row_means_kernel(int64_t rows, int64_t groups, int64_t channels, T size,
                                                           const Pair<T>* sums, Affine<T> affine, Pair<T>* means) {
  const int64_t row = global_thread();
  if (row >= rows) return;
  Pair<T> all = {T{0}, T{0}};
  for (int64_t c = 0; c < channels; ++c) {
    const T weight = affine.scale(row % groups * channels + c);
    const Pair<T>& sum = sums[row * channels + c];
    all.a += weight * sum.a, all.b += weight * sum.b;
  }
  Pair<T>& mean = means[row];
  mean.a = all.a / size, mean.b = all.b / size;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    parameters_kernel(int64_t channels, int64_t batch, const Pair<T>* sums, T* grad_bias, T* grad_weight) {
  const int64_t c = global_thread();
  if (c >= channels) return;
  Pair<T> all = {T{0}, T{0}};
  for (int64_t n = 0; n < batch; ++n) all.a += sums[n * channels + c].a, all.b += sums[n * channels + c].b;
  grad_bias[c] = all.a;
  grad_weight[c] = all.b;
}

// The plane, row and channel of a number.
struct Where {
  Divider plane, group, channels;  // group: channels of a group
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    gradient_kernel(int64_t n, Where where, const T* grad, const T* x, const T* mean, const T* rstd,
                    const Pair<T>* means, Affine<T> affine, T* grad_x) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t plane = where.plane.divide(i), row = where.group.divide(plane);
  const int64_t channel = plane - where.channels.divide(plane) * where.channels.divisor;
  const T scale = rstd[row], xhat = (x[i] - mean[row]) * scale;
  grad_x[i] = scale * (grad[i] * affine.scale(channel) - means[row].a - xhat * means[row].b);
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T>
void forward(const GroupNormFwdArgs& p, Stream stream) {
  const int64_t rows = p.batch * p.groups, channels = p.channels / p.groups;
  launch(forward_kernel<T>, blocks_for(rows, 1), kBlock, 0, stream, channels * p.plane, p.groups, channels,
         divide_by(p.plane), static_cast<T>(p.eps), static_cast<const T*>(p.x),
         Affine<T>{static_cast<const T*>(p.weight), static_cast<const T*>(p.bias)}, static_cast<T*>(p.out),
         static_cast<T*>(p.mean), static_cast<T*>(p.rstd));
}

template <class T>
void backward(const GroupNormBwdArgs& p, Stream stream) {
  const int64_t rows = p.batch * p.groups, channels = p.channels / p.groups, planes = p.batch * p.channels;
  const int64_t n = planes * p.plane;
  const T *grad = static_cast<const T*>(p.grad), *x = static_cast<const T*>(p.x);
  const T *mean = static_cast<const T*>(p.mean), *rstd = static_cast<const T*>(p.rstd);
  const Affine<T> affine{static_cast<const T*>(p.weight), nullptr};
  const DeviceScratch<Pair<T>> sums(planes), means(rows);
  launch(plane_sums_kernel<T>, blocks_for(planes, kBlock / kWarp), kBlock, 0, stream, planes, p.plane,
         divide_by(channels), grad, x, mean, rstd, sums.get());
  launch(parameters_kernel<T>, blocks_for(p.channels, kBlock), kBlock, 0, stream, p.channels, p.batch, sums.get(),
         static_cast<T*>(p.grad_bias), static_cast<T*>(p.grad_weight));
  if (!p.grad_x || n == 0) return;
  launch(row_means_kernel<T>, blocks_for(rows, kBlock), kBlock, 0, stream, rows, p.groups, channels,
         static_cast<T>(channels * p.plane), sums.get(), affine, means.get());
  launch(gradient_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n,
         Where{divide_by(p.plane), divide_by(channels), divide_by(p.channels)}, grad, x, mean, rstd, means.get(),
         affine, static_cast<T*>(p.grad_x));
}

}  // namespace

void group_norm_fwd(const GroupNormFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { forward<decltype(zero)>(p, stream); });
}

void group_norm_bwd(const GroupNormBwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { backward<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
