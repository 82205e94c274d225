// Layer normalisation of the rows of x (R, n) on CUDA, and its gradients.
//
// Who owns what: a warp owns a row of up to kWarpRow numbers, a block a longer one; a row is read twice, the second
// time from the caches. Gradients of weight and bias are sums down columns: a thread owns a column of a share of the
// rows, its neighbours the next columns, and a second kernel adds the shares in order. The limit is memory bandwidth.
#include "cuda/access.cuh"
#include "cuda/moments.cuh"
#include "ops/layer_norm/layer_norm.h"

namespace fastdl {
namespace {

constexpr int64_t kWarpRow = 1024;
constexpr int64_t kShareRows = 128;  // rows that one thread adds up
constexpr int64_t kMostShares = 256;

// The threads that share a row: a warp, or the block.
template <bool kBlockRow>
struct Team {
  static constexpr int kThreads = kBlockRow ? kBlock : kWarp;

  __device__ static int64_t row() { return kBlockRow ? blockIdx.x : global_thread() / kWarp; }
  __device__ static int thread() { return static_cast<int>(threadIdx.x) % kThreads; }
  template <class V, class Op>
  __device__ static V reduce(V v, Op op, V identity) {
    if constexpr (kBlockRow)
      return block_reduce(v, op, identity);
    else
      return warp_reduce(v, op);
  }
  static unsigned grid(int64_t rows) { return blocks_for(rows, kBlock / kThreads); }
};

template <bool kBlockRow, class T>
__global__ void __launch_bounds__(kBlock) forward_kernel(int64_t rows, int64_t n, T eps, const T* x, const T* weight,
                                                         const T* bias, T* out, T* mean, T* rstd) {
  using Row = Team<kBlockRow>;
  const int64_t row = Row::row();
  if (row >= rows) return;  // the whole team
  const int thread = Row::thread();
  x += row * n, out += row * n;
  Moments<T> own = Moments<T>::none();
  for (int64_t i = thread; i < n; i += Row::kThreads) own.add(x[i]);
  own = Row::reduce(own, MergeMoments{}, Moments<T>::none());
  const T scale = T{1} / sqrt(own.variance() + eps);
  for (int64_t i = thread; i < n; i += Row::kThreads)
    out[i] = (x[i] - own.mean) * scale * (weight ? weight[i] : T{1}) + (bias ? bias[i] : T{0});
  if (thread == 0) {
    mean[row] = own.mean;
    rstd[row] = scale;
  }
}

template <bool kBlockRow, class T>
__global__ void __launch_bounds__(kBlock) gradient_kernel(int64_t rows, int64_t n, const T* grad, const T* x,
                                                          const T* weight, const T* mean, const T* rstd, T* grad_x) {
  using Row = Team<kBlockRow>;
  const int64_t row = Row::row();
  if (row >= rows) return;  // the whole team
  const int thread = Row::thread();
  grad += row * n, x += row * n, grad_x += row * n;
  const T middle = mean[row], scale = rstd[row];
  Pair<T> sums = {T{0}, T{0}};  // of h and of h * xhat, h = grad * weight
  for (int64_t i = thread; i < n; i += Row::kThreads) {
    const T h = grad[i] * (weight ? weight[i] : T{1});
    sums = AddPairs{}(sums, Pair<T>{h, h * ((x[i] - middle) * scale)});
  }
  sums = Row::reduce(sums, AddPairs{}, Pair<T>{T{0}, T{0}});
  const T mean_h = sums.a / static_cast<T>(n), mean_hx = sums.b / static_cast<T>(n);
  for (int64_t i = thread; i < n; i += Row::kThreads) {
    const T h = grad[i] * (weight ? weight[i] : T{1}), xhat = (x[i] - middle) * scale;
    grad_x[i] = scale * (h - mean_h - xhat * mean_hx);
  }
}

// shares[k][column] of grad_bias, and after all of them of grad_weight.
template <class T>
__global__ void __launch_bounds__(kBlock)
    column_sums_kernel(int64_t rows, int64_t n, const T* grad, const T* x, const T* mean, const T* rstd, T* shares) {
  const int64_t column = global_thread(), splits = gridDim.y, share = blockIdx.y;
  if (column >= n) return;
  T bias = 0, weight = 0;
  for (int64_t row = rows * share / splits; row < rows * (share + 1) / splits; ++row) {
    const T g = grad[row * n + column];
    bias += g;
    weight += g * ((x[row * n + column] - mean[row]) * rstd[row]);
  }
  shares[share * n + column] = bias;
  shares[(splits + share) * n + column] = weight;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    add_shares_kernel(int64_t n, int64_t splits, const T* shares, T* grad_bias, T* grad_weight) {
  const int64_t column = global_thread();
  if (column >= n) return;
  T bias = 0, weight = 0;
  for (int64_t k = 0; k < splits; ++k) {
    bias += shares[k * n + column];
    weight += shares[(splits + k) * n + column];
  }
  grad_bias[column] = bias;
  grad_weight[column] = weight;
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <bool kBlockRow, class T>
void forward(const LayerNormFwdArgs& p, Stream stream) {
  launch(forward_kernel<kBlockRow, T>, Team<kBlockRow>::grid(p.rows), kBlock, 0, stream, p.rows, p.n,
         static_cast<T>(p.eps), static_cast<const T*>(p.x), static_cast<const T*>(p.weight),
         static_cast<const T*>(p.bias), static_cast<T*>(p.out), static_cast<T*>(p.mean), static_cast<T*>(p.rstd));
}

template <bool kBlockRow, class T>
void backward_rows(const LayerNormBwdArgs& p, Stream stream) {
  launch(gradient_kernel<kBlockRow, T>, Team<kBlockRow>::grid(p.rows), kBlock, 0, stream, p.rows, p.n,
         static_cast<const T*>(p.grad), static_cast<const T*>(p.x), static_cast<const T*>(p.weight),
         static_cast<const T*>(p.mean), static_cast<const T*>(p.rstd), static_cast<T*>(p.grad_x));
}

template <class T>
void backward_columns(const LayerNormBwdArgs& p, Stream stream) {
  const int64_t wanted = ceil_div(p.rows, kShareRows);
  const int64_t splits = wanted < 1 ? 1 : wanted < kMostShares ? wanted : kMostShares;
  const DeviceScratch<T> shares(2 * splits * p.n);
  const unsigned columns = blocks_for(p.n, kBlock);
  launch(column_sums_kernel<T>, dim3(columns, static_cast<unsigned>(splits)), kBlock, 0, stream, p.rows, p.n,
         static_cast<const T*>(p.grad), static_cast<const T*>(p.x), static_cast<const T*>(p.mean),
         static_cast<const T*>(p.rstd), shares.get());
  launch(add_shares_kernel<T>, columns, kBlock, 0, stream, p.n, splits, shares.get(), static_cast<T*>(p.grad_bias),
         static_cast<T*>(p.grad_weight));
}

}  // namespace

void layer_norm_fwd(const LayerNormFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    p.n > kWarpRow ? forward<true, T>(p, stream) : forward<false, T>(p, stream);
  });
}

void layer_norm_bwd(const LayerNormBwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (p.grad_x) p.n > kWarpRow ? backward_rows<true, T>(p, stream) : backward_rows<false, T>(p, stream);
    if (p.grad_weight) backward_columns<T>(p, stream);
  });
}

}  // namespace fastdl
