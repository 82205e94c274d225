// How steps and clipping meet all parameters of a group on CUDA: in as few launches as possible. A network has hundreds
// of small tensors; a launch for each would cost more than the work.
//
// Layout. The pointers of up to kTensors tensors travel by value in the kernel's arguments, which lie in constant
// memory: no table is copied to the device, and no host memory has to outlive the call.
//
//        tensors     | A: 10000 elements  | B: 3 | C: 5000       |
//        blocks      |  0  |  1  |  2     |  3   |  4  |  5      |      first_block = 0, 3, 4, 6
//
// Who owns what. A block owns a chunk of kChunk elements of one tensor, which it finds by bisection of first_block; a
// thread owns packs of it.
//
// A Rule has the type Tensor of its pointers, addresses(tensor), all of them or'ed, and update<N>(tensor, i, count) for
// a pack of N elements from i on, of which `count` are there.
#pragma once
#include <limits>

#include "cuda/access.cuh"
#include "cuda/replayed.h"
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

// Without decay an infinite parameter must not turn its gradient into NaN.
template <class T>
__device__ inline T decayed(T grad, T weight_decay, T param) {
  return weight_decay != T{0} ? grad + weight_decay * param : grad;
}
__device__ inline uintptr_t address(const void* p) {
  return reinterpret_cast<uintptr_t>(p);
}

// The last tensor whose first block is not after this one; tensors without elements have no blocks.
template <class Tensor>
__device__ inline int tensor_of_block(const Batch<Tensor>& batch) {
  int low = 0, high = batch.count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (batch.first_block[middle] <= blockIdx.x ? low : high) = middle;
  }
  return low;
}

// The loop is short and its rounds are independent; neighbouring threads take neighbouring packs.
template <int N, class T, class Rule>
__device__ inline void update_chunk(const Rule& rule, const typename Rule::Tensor& tensor, int64_t begin, int64_t end) {
  for (int64_t i = begin + static_cast<int64_t>(threadIdx.x) * N; i < end; i += int64_t{kBlock} * N)
    rule.template update<N>(tensor, i, end - i);
}

// __grid_constant__: `tensor` is a reference into the arguments with an index that is known only then; without the word
// each thread would copy the whole batch to its stack first.
template <class T, class Rule>
__device__ inline void update_block(const Rule& rule, const Batch<typename Rule::Tensor>& batch) {
  const int low = tensor_of_block(batch);
  const typename Rule::Tensor& tensor = batch.tensor[low];
  // A null pointer is aligned. The whole block goes one way.
  const int64_t begin = (blockIdx.x - batch.first_block[low]) * kChunk<T>;
  const int64_t end = min(begin + kChunk<T>, tensor.n);
  if (Rule::addresses(tensor) % kPackBytes == 0)
    update_chunk<kPack<T>, T>(rule, tensor, begin, end);
  else
    update_chunk<1, T>(rule, tensor, begin, end);
}

template <class T, class Rule>
__global__ void __launch_bounds__(kBlock)
    step_kernel(Rule rule, const __grid_constant__ Batch<typename Rule::Tensor> batch) {
  update_block<T>(rule, batch);
}

// In a graph: the rule lies where each replay writes its coefficients, and the largest gradient, which an overflow
// makes infinite or NaN, where a kernel before left it.
template <class T, class Rule>
__global__ void __launch_bounds__(kBlock)
    replayed_step_kernel(const Rule* rule, const double* largest,
                         const __grid_constant__ Batch<typename Rule::Tensor> batch) {
  if (largest && !(*largest <= std::numeric_limits<double>::max())) return;
  update_block<T>(*rule, batch);
}

// start(batch) for the tensors, up to kTensors at a time.
template <class T, class Tensor, class Start>
void for_each_batch(const Tensor* tensors, int64_t count, const Start& start) {
  for (int64_t from = 0; from < count; from += kTensors) {
    Batch<Tensor> batch{};
    batch.count = static_cast<int>(count - from < kTensors ? count - from : kTensors);
    for (int i = 0; i < batch.count; ++i) {
      batch.tensor[i] = tensors[from + i];
      batch.first_block[i + 1] = batch.first_block[i] + ceil_div(batch.tensor[i].n, kChunk<T>);
    }
    if (batch.first_block[batch.count] > 0) start(batch);
  }
}

template <class T, class Rule>
void launch_step(const Rule& rule, const typename Rule::Tensor* tensors, int64_t count, Stream stream) {
  for_each_batch<T>(tensors, count, [&](const Batch<typename Rule::Tensor>& batch) {
    launch(step_kernel<T, Rule>, blocks_for(batch.first_block[batch.count], 1), kBlock, 0, stream, rule, batch);
  });
}

// The same for rules that change from call to call, also in a graph.
template <class T, class Rule>
void launch_replayable_step(const Rule& rule, const typename Rule::Tensor* tensors, int64_t count, Stream stream) {
  const Replayed at = replayed(&rule, sizeof rule);
  if (!at.launch) return;
  if (!at.place) return launch_step<T>(rule, tensors, count, stream);
  for_each_batch<T>(tensors, count, [&](const Batch<typename Rule::Tensor>& batch) {
    launch(replayed_step_kernel<T, Rule>, blocks_for(batch.first_block[batch.count], 1), kBlock, 0, stream,
           static_cast<const Rule*>(at.place), at.largest, batch);
  });
}

}  // namespace
}  // namespace fastdl
