// Optimizer steps on CUDA: one pass over parameters, gradients and states, all parameters of a group in as few launches
// as possible. A network has hundreds of small tensors; a launch for each would cost more than the work. The update
// rules are PyTorch's; each element needs a dozen operations, so memory is the limit.
//
// Layout. The pointers of up to kTensors tensors travel by value in the kernel's arguments, which lie in constant
// memory: no table is copied to the device, and no host memory has to outlive the call.
//
//        tensors     | A: 10000 elements  | B: 3 | C: 5000       |
//        blocks      |  0  |  1  |  2     |  3   |  4  |  5      |      first_block = 0, 3, 4, 6
//
// Who owns what. A block owns a chunk of kChunk elements of one tensor, which it finds by bisection of first_block; a
// thread owns packs of it.
#include <cmath>

#include "cuda/access.cuh"
#include "ops/optimizer/optimizer.h"

namespace fastdl {
namespace {

// 48 tensors of a size and five pointers, with their first blocks, take 2.7 of the 4 KB that a kernel's arguments may
// have.
constexpr int kTensors = 48;
constexpr int kPacksPerThread = 4;

// The work of a block is large enough to pay for finding its tensor, small enough to spread a layer over the device.
template <class T>
constexpr int64_t kChunk = int64_t{kBlock} * kPacksPerThread * kPack<T>;

template <class Tensor>
struct Batch {
  int count;
  int64_t first_block[kTensors + 1];
  Tensor tensor[kTensors];
};

// The coefficients in the dtype of the parameters; the powers of the betas are taken in double, on the host. They
// travel as the tensors do, and all threads read them alike from constant memory.
template <class T>
struct Sgd {
  using Tensor = SgdTensor;
  T sign, lr, momentum, undamped, weight_decay;
  bool nesterov, first;
};
template <class T>
struct Adam {
  using Tensor = AdamTensor;
  T sign, keep, weight_decay;  // keep: what decoupled decay leaves of a parameter
  T beta1, new1, beta2, new2;  // new = 1 - beta, rounded once
  T step_size, root_correction, eps;
};

// Without decay an infinite parameter must not turn its gradient into NaN.
template <class T>
__device__ inline T decayed(T grad, T weight_decay, T param) {
  return weight_decay != T{0} ? grad + weight_decay * param : grad;
}

// ---- one pack -------------------------------------------------------------------------------------------------------

template <int N, class T>
__device__ inline void update(const Sgd<T>& s, const SgdTensor& t, int64_t i, int64_t count) {
  T* param = static_cast<T*>(t.param) + i;
  T* buffer = t.momentum_buffer ? static_cast<T*>(t.momentum_buffer) + i : nullptr;
  Pack<T, N> p = load_pack<N>(param, count), g = load_pack<N>(static_cast<const T*>(t.grad) + i, count);
  // What an empty buffer holds is never read: it may be NaN.
  Pack<T, N> b = buffer && !s.first ? load_pack<N>(buffer, count) : splat<N>(T{0});
#pragma unroll
  for (int k = 0; k < N; ++k) {
    g[k] = decayed(s.sign * g[k], s.weight_decay, p[k]);
    if (buffer) {
      b[k] = s.first ? g[k] : s.momentum * b[k] + s.undamped * g[k];
      g[k] = s.nesterov ? g[k] + s.momentum * b[k] : b[k];
    }
    p[k] -= s.lr * g[k];
  }
  if (buffer) store_pack(buffer, b, count);
  store_pack(param, p, count);
}

template <int N, class T>
__device__ inline void update(const Adam<T>& a, const AdamTensor& t, int64_t i, int64_t count) {
  T* param = static_cast<T*>(t.param) + i;
  T* exp_avg = static_cast<T*>(t.exp_avg) + i;
  T* exp_avg_sq = static_cast<T*>(t.exp_avg_sq) + i;
  T* largest = t.max_exp_avg_sq ? static_cast<T*>(t.max_exp_avg_sq) + i : nullptr;
  Pack<T, N> p = load_pack<N>(param, count), g = load_pack<N>(static_cast<const T*>(t.grad) + i, count);
  Pack<T, N> m = load_pack<N>(exp_avg, count), v = load_pack<N>(exp_avg_sq, count);
  Pack<T, N> w = largest ? load_pack<N>(largest, count) : v;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    g[k] = decayed(a.sign * g[k], a.weight_decay, p[k]);
    m[k] = a.beta1 * m[k] + a.new1 * g[k];
    v[k] = a.beta2 * v[k] + a.new2 * g[k] * g[k];
    // The largest keeps NaN, from either side.
    w[k] = !largest || v[k] > w[k] || v[k] != v[k] ? v[k] : w[k];
    p[k] = a.keep * p[k] - a.step_size * m[k] / (static_cast<T>(sqrt(w[k])) / a.root_correction + a.eps);
  }
  store_pack(param, p, count);
  store_pack(exp_avg, m, count);
  store_pack(exp_avg_sq, v, count);
  if (largest) store_pack(largest, w, count);
}

// ---- kernel ---------------------------------------------------------------------------------------------------------

// A null pointer is aligned. The whole block goes one way.
__device__ inline bool all_aligned(const SgdTensor& t) {
  const auto bits = reinterpret_cast<uintptr_t>(t.param) | reinterpret_cast<uintptr_t>(t.grad) |
                    reinterpret_cast<uintptr_t>(t.momentum_buffer);
  return bits % kPackBytes == 0;
}
__device__ inline bool all_aligned(const AdamTensor& t) {
  const auto bits = reinterpret_cast<uintptr_t>(t.param) | reinterpret_cast<uintptr_t>(t.grad) |
                    reinterpret_cast<uintptr_t>(t.exp_avg) | reinterpret_cast<uintptr_t>(t.exp_avg_sq) |
                    reinterpret_cast<uintptr_t>(t.max_exp_avg_sq);
  return bits % kPackBytes == 0;
}

// The loop is short and its rounds are independent; neighbouring threads take neighbouring packs.
template <int N, class T, class Rule>
__device__ inline void update_chunk(const Rule& rule, const typename Rule::Tensor& tensor, int64_t begin, int64_t end) {
  for (int64_t i = begin + static_cast<int64_t>(threadIdx.x) * N; i < end; i += int64_t{kBlock} * N)
    update<N, T>(rule, tensor, i, end - i);
}

// __grid_constant__: `tensor` is a reference into the arguments with an index that is known only then; without the word
// each thread would copy the whole batch to its stack first.
template <class T, class Rule>
__global__ void __launch_bounds__(kBlock)
    step_kernel(Rule rule, const __grid_constant__ Batch<typename Rule::Tensor> batch) {
  // The last tensor whose first block is not after this one; tensors without elements have no blocks.
  int low = 0, high = batch.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (batch.first_block[middle] <= blockIdx.x ? low : high) = middle;
  }
  const typename Rule::Tensor& tensor = batch.tensor[low];
  const int64_t begin = (blockIdx.x - batch.first_block[low]) * kChunk<T>;
  const int64_t end = min(begin + kChunk<T>, tensor.n);
  if (all_aligned(tensor))
    update_chunk<kPack<T>, T>(rule, tensor, begin, end);
  else
    update_chunk<1, T>(rule, tensor, begin, end);
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T, class Rule>
void launch_step(const Rule& rule, const typename Rule::Tensor* tensors, int64_t count, Stream stream) {
  for (int64_t from = 0; from < count; from += kTensors) {
    // The launch copies its arguments, so the next round may fill in the same variable.
    Batch<typename Rule::Tensor> batch{};
    batch.count = static_cast<int>(count - from < kTensors ? count - from : kTensors);
    for (int i = 0; i < batch.count; ++i) {
      batch.tensor[i] = tensors[from + i];
      batch.first_block[i + 1] = batch.first_block[i] + ceil_div(batch.tensor[i].n, kChunk<T>);
    }
    launch(step_kernel<T, Rule>, blocks_for(batch.first_block[batch.count], 1), kBlock, 0, stream, rule, batch);
  }
}

template <class T>
Sgd<T> rule_of(const SgdArgs& args) {
  return {static_cast<T>(args.maximize ? -1 : 1),
          static_cast<T>(args.lr),
          static_cast<T>(args.momentum),
          static_cast<T>(1 - args.dampening),
          static_cast<T>(args.weight_decay),
          args.nesterov,
          args.first};
}

template <class T>
Adam<T> rule_of(const AdamArgs& args) {
  const double step = static_cast<double>(args.step);
  const double correction1 = 1 - std::pow(args.beta1, step), correction2 = 1 - std::pow(args.beta2, step);
  return {static_cast<T>(args.maximize ? -1 : 1),
          static_cast<T>(args.decoupled ? 1 - args.lr * args.weight_decay : 1),
          static_cast<T>(args.decoupled ? 0 : args.weight_decay),
          static_cast<T>(args.beta1),
          static_cast<T>(1 - args.beta1),
          static_cast<T>(args.beta2),
          static_cast<T>(1 - args.beta2),
          static_cast<T>(args.lr / correction1),
          static_cast<T>(std::sqrt(correction2)),
          static_cast<T>(args.eps)};
}

}  // namespace

void sgd_step(const SgdArgs& args, Stream stream) {
  visit_float(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_step<T>(rule_of<T>(args), args.tensors, args.count, stream);
  });
}

void adam_step(const AdamArgs& args, Stream stream) {
  visit_float(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch_step<T>(rule_of<T>(args), args.tensors, args.count, stream);
  });
}

}  // namespace fastdl
