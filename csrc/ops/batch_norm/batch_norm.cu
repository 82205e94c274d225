// Batch normalisation of x (N, C, S) on CUDA, and its gradients.
//
// Three kernels each way: sums of shares of a channel, one thread a channel that adds the shares in order, and the pass
// that writes. A block owns a share: `splits` of a channel, enough for the device however few channels there are, cut
// by the sizes alone. Its threads walk the channel's N rows of S numbers side by side. The limit is memory: x is read
// twice forward (the second time from L2 where it fits), x and grad twice backward.
#include "cuda/moments.cuh"
#include "cuda/planes.cuh"
#include "ops/batch_norm/batch_norm.h"

namespace fastdl {
namespace {

constexpr int64_t kShare = 16 * kBlock;  // numbers of a channel that are worth a block
constexpr int64_t kMostShares = 64;

// The numbers of channels: number i of channel c lies at at(c, i).
struct Channels {
  int64_t channels, m;  // m = batch * plane
  Divider plane;

  __device__ int64_t at(int64_t c, int64_t i) const {
    const int64_t image = plane.divide(i);
    return (image * channels + c) * plane.divisor + i - image * plane.divisor;
  }
};

// visit(i) for the numbers of this block's share of its channel, every kBlock-th from the thread on.
template <class Visit>
__device__ inline void for_share(int64_t m, Visit visit) {
  const int64_t splits = gridDim.y, first = m * blockIdx.y / splits, end = m * (blockIdx.y + 1) / splits;
  for (int64_t i = first + threadIdx.x; i < end; i += kBlock) visit(i);
}

template <class T>
__global__ void __launch_bounds__(kBlock) moments_kernel(Channels all, const T* x, Moments<T>* shares) {
  const int64_t c = blockIdx.x;
  Moments<T> own = Moments<T>::none();
  for_share(all.m, [&](int64_t i) { own.add(x[all.at(c, i)]); });
  own = block_reduce(own, MergeMoments{}, Moments<T>::none());
  if (threadIdx.x == 0) {
    Moments<T>& share = shares[c * gridDim.y + blockIdx.y];
    share.count = own.count, share.mean = own.mean, share.squares = own.squares;
  }
}

template <class T>
struct Statistics {
  T *running_mean, *running_var, *mean, *rstd;
  T momentum, eps;
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    statistics_kernel(int64_t channels, int64_t splits, const Moments<T>* shares, Statistics<T> s) {
  const int64_t c = global_thread();
  if (c >= channels) return;
  Moments<T> all = Moments<T>::none();
  for (int64_t k = 0; k < splits; ++k) all = MergeMoments{}(all, shares[c * splits + k]);
  const T var = all.variance();
  s.mean[c] = all.mean;
  s.rstd[c] = T{1} / sqrt(var + s.eps);
  if (!s.running_mean) return;
  const T unbiased = all.count > T{1} ? all.squares / (all.count - T{1}) : var;
  s.running_mean[c] = (T{1} - s.momentum) * s.running_mean[c] + s.momentum * all.mean;
  s.running_var[c] = (T{1} - s.momentum) * s.running_var[c] + s.momentum * unbiased;
}

template <class T>
__global__ void __launch_bounds__(kBlock) given_kernel(int64_t channels, Statistics<T> s) {
  const int64_t c = global_thread();
  if (c >= channels) return;
  s.mean[c] = s.running_mean[c];
  s.rstd[c] = T{1} / sqrt(s.running_var[c] + s.eps);
}

// The channel of number i of x.
struct ChannelOf {
  Divider plane, channels;
  __device__ int64_t operator()(int64_t i) const {
    const int64_t c = plane.divide(i);
    return c - channels.divide(c) * channels.divisor;
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock) normalise_kernel(int64_t n, ChannelOf channel, const T* x, const T* mean,
                                                           const T* rstd, const T* weight, const T* bias, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t c = channel(i);
  const T xhat = (x[i] - mean[c]) * rstd[c];
  out[i] = xhat * (weight ? weight[c] : T{1}) + (bias ? bias[c] : T{0});
}

// Sums of grad and of grad * xhat.
template <class T>
__global__ void __launch_bounds__(kBlock)
    gradient_sums_kernel(Channels all, const T* grad, const T* x, const T* mean, const T* rstd, Pair<T>* shares) {
  const int64_t c = blockIdx.x;
  const T middle = mean[c], scale = rstd[c];
  Pair<T> own = {T{0}, T{0}};
  for_share(all.m, [&](int64_t i) {
    const int64_t at = all.at(c, i);
    own.a += grad[at];
    own.b += grad[at] * ((x[at] - middle) * scale);
  });
  own = block_reduce(own, AddPairs{}, Pair<T>{T{0}, T{0}});
  if (threadIdx.x == 0) {
    Pair<T>& share = shares[c * gridDim.y + blockIdx.y];
    share.a = own.a, share.b = own.b;
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    add_shares_kernel(int64_t channels, int64_t splits, const Pair<T>* shares, T* grad_bias, T* grad_weight) {
  const int64_t c = global_thread();
  if (c >= channels) return;
  Pair<T> all = {T{0}, T{0}};
  for (int64_t k = 0; k < splits; ++k) all = AddPairs{}(all, shares[c * splits + k]);
  grad_bias[c] = all.a;
  grad_weight[c] = all.b;
}

template <class T>
struct GradientArgs {
  const T *grad, *x, *weight, *mean, *rstd, *grad_bias, *grad_weight;
  T* grad_x;
  T share;  // 1 / m, or 0 where the statistics were given
};

template <class T>
__global__ void __launch_bounds__(kBlock) gradient_kernel(int64_t n, ChannelOf channel, GradientArgs<T> a) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t c = channel(i);
  const T scale = a.rstd[c], xhat = (a.x[i] - a.mean[c]) * scale;
  a.grad_x[i] =
      (a.weight ? a.weight[c] : T{1}) * scale * (a.grad[i] - a.share * (a.grad_bias[c] + xhat * a.grad_weight[c]));
}

// ---- launchers ------------------------------------------------------------------------------------------------------

int64_t splits_of(int64_t m) {
  const int64_t splits = ceil_div(m, kShare);
  return splits < 1 ? 1 : splits < kMostShares ? splits : kMostShares;
}

template <class T>
void forward(const BatchNormFwdArgs& p, Stream stream) {
  const int64_t m = p.batch * p.plane, n = p.channels * m, splits = splits_of(m);
  const T* x = static_cast<const T*>(p.x);
  const Statistics<T> s{static_cast<T*>(p.running_mean), static_cast<T*>(p.running_var), static_cast<T*>(p.mean),
                        static_cast<T*>(p.rstd),         static_cast<T>(p.momentum),     static_cast<T>(p.eps)};
  const unsigned grid = blocks_for(p.channels, kBlock);
  if (p.train) {
    const DeviceScratch<Moments<T>> shares(p.channels * splits);
    launch(moments_kernel<T>, dim3(static_cast<unsigned>(p.channels), static_cast<unsigned>(splits)), kBlock, 0, stream,
           Channels{p.channels, m, divide_by(p.plane)}, x, shares.get());
    launch(statistics_kernel<T>, grid, kBlock, 0, stream, p.channels, splits, shares.get(), s);
  } else {
    launch(given_kernel<T>, grid, kBlock, 0, stream, p.channels, s);
  }
  launch(normalise_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n,
         ChannelOf{divide_by(p.plane), divide_by(p.channels)}, x, s.mean, s.rstd, static_cast<const T*>(p.weight),
         static_cast<const T*>(p.bias), static_cast<T*>(p.out));
}

template <class T>
void backward(const BatchNormBwdArgs& p, Stream stream) {
  const int64_t m = p.batch * p.plane, n = p.channels * m, splits = splits_of(m);
  const GradientArgs<T> a{
      static_cast<const T*>(p.grad),        static_cast<const T*>(p.x),    static_cast<const T*>(p.weight),
      static_cast<const T*>(p.mean),        static_cast<const T*>(p.rstd), static_cast<const T*>(p.grad_bias),
      static_cast<const T*>(p.grad_weight), static_cast<T*>(p.grad_x),     p.train ? T{1} / static_cast<T>(m) : T{0}};
  const DeviceScratch<Pair<T>> shares(p.channels * splits);
  launch(gradient_sums_kernel<T>, dim3(static_cast<unsigned>(p.channels), static_cast<unsigned>(splits)), kBlock, 0,
         stream, Channels{p.channels, m, divide_by(p.plane)}, a.grad, a.x, a.mean, a.rstd, shares.get());
  launch(add_shares_kernel<T>, blocks_for(p.channels, kBlock), kBlock, 0, stream, p.channels, splits, shares.get(),
         static_cast<T*>(p.grad_bias), static_cast<T*>(p.grad_weight));
  if (p.grad_x)
    launch(gradient_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n,
           ChannelOf{divide_by(p.plane), divide_by(p.channels)}, a);
}

}  // namespace

void batch_norm_fwd(const BatchNormFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { forward<decltype(zero)>(p, stream); });
}

void batch_norm_bwd(const BatchNormBwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { backward<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
