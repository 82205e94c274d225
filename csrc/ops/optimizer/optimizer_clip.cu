// Clipping of gradients on CUDA: the norm of all gradients as one vector, and their scaling, without a word to the host
// in between.
//
// Every block writes the sum (or maximum) over its chunk to a place of its own; one block then adds these in double, a
// thread every kBlock-th, the threads as a tree: the bits are the same in each run.
#include <cmath>

#include "cuda/reduce.cuh"
#include "ops/optimizer/optimizer_step.cuh"

namespace fastdl {
namespace {

// ---- norm -----------------------------------------------------------------------------------------------------------

enum class Norm { kOne, kTwo, kLargest, kPower };

template <class T, Norm kNorm>
__device__ inline double term(T x, double p) {
  const double a = static_cast<double>(x < T{0} ? -x : x);
  return kNorm == Norm::kTwo ? a * a : kNorm == Norm::kPower ? pow(a, p) : a;
}
template <Norm kNorm>
__device__ inline double join(double a, double b) {
  return kNorm == Norm::kLargest ? Max{}(a, b) : a + b;
}
template <Norm kNorm>
__device__ inline double join_block(double v) {
  if constexpr (kNorm == Norm::kLargest)
    return block_max(v, 0.0);
  else
    return block_sum(v);
}

template <class T, Norm kNorm>
__global__ void __launch_bounds__(kBlock)
    norm_of_chunks(const __grid_constant__ Batch<GradTensor> batch, double p, double* partial) {
  const int low = tensor_of_block(batch);
  const T* const grad = static_cast<const T*>(batch.tensor[low].grad);
  const int64_t begin = (blockIdx.x - batch.first_block[low]) * kChunk<T>;
  const int64_t end = min(begin + kChunk<T>, batch.tensor[low].n);
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) sum = join<kNorm>(sum, term<T, kNorm>(grad[i], p));
  sum = join_block<kNorm>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class T, Norm kNorm>
__global__ void __launch_bounds__(kBlock) norm_of_partials(const double* partial, int64_t n, double p, T* norm) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) sum = join<kNorm>(sum, partial[i]);
  sum = join_block<kNorm>(sum);
  if (threadIdx.x > 0) return;
  *norm = static_cast<T>(kNorm == Norm::kTwo ? sqrt(sum) : kNorm == Norm::kPower ? pow(sum, 1 / p) : sum);
}

template <class T, Norm kNorm>
void launch_norm(const GradNormArgs& a, Stream stream) {
  int64_t blocks = 0;
  for_each_batch<T>(a.tensors, a.count,
                    [&](const Batch<GradTensor>& batch) { blocks += batch.first_block[batch.count]; });
  const DeviceScratch<double> partial(blocks + 1);
  int64_t done = 0;
  for_each_batch<T>(a.tensors, a.count, [&](const Batch<GradTensor>& batch) {
    const int64_t n = batch.first_block[batch.count];
    launch(norm_of_chunks<T, kNorm>, blocks_for(n, 1), kBlock, 0, stream, batch, a.p, partial.get() + done);
    done += n;
  });
  const double* const sums = partial.get();
  launch(norm_of_partials<T, kNorm>, 1, kBlock, 0, stream, sums, blocks, a.p, static_cast<T*>(a.norm));
}

// ---- clipping -------------------------------------------------------------------------------------------------------

template <class T>
struct ScaleToNorm {
  using Tensor = GradTensor;
  const T* norm;
  T max_norm, eps;

  __device__ static uintptr_t addresses(const GradTensor& t) { return address(t.grad); }

  template <int N>
  __device__ void update(const GradTensor& t, int64_t i, int64_t count) const {
    const T scale = max_norm / (*norm + eps);
    if (scale >= T{1}) return;  // false for NaN
    T* const grad = static_cast<T*>(t.grad) + i;
    Pack<T, N> g = load_pack<N>(grad, count);
#pragma unroll
    for (int k = 0; k < N; ++k) g[k] *= scale;
    store_pack(grad, g, count);
  }
};

template <class T>
struct Limit {
  using Tensor = GradTensor;
  T limit;

  __device__ static uintptr_t addresses(const GradTensor& t) { return address(t.grad); }

  template <int N>
  __device__ void update(const GradTensor& t, int64_t i, int64_t count) const {
    T* const grad = static_cast<T*>(t.grad) + i;
    Pack<T, N> g = load_pack<N>(grad, count);
#pragma unroll
    for (int k = 0; k < N; ++k) g[k] = g[k] > limit ? limit : g[k] < -limit ? -limit : g[k];
    store_pack(grad, g, count);
  }
};

}  // namespace

void grad_norm(const GradNormArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.p == 2)
      launch_norm<T, Norm::kTwo>(a, stream);
    else if (a.p == 1)
      launch_norm<T, Norm::kOne>(a, stream);
    else if (std::isinf(a.p))
      launch_norm<T, Norm::kLargest>(a, stream);
    else
      launch_norm<T, Norm::kPower>(a, stream);
  });
}

void clip_norm(const ClipNormArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const ScaleToNorm<T> rule{static_cast<const T*>(a.norm), static_cast<T>(a.max_norm), static_cast<T>(kClipEps)};
    launch_step<T>(rule, a.tensors, a.count, stream);
  });
}

void clip_value(const ClipValueArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_step<T>(Limit<T>{static_cast<T>(a.limit)}, a.tensors, a.count, stream);
  });
}

}  // namespace fastdl
