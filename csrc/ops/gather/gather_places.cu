// Indices from indices, and coordinates of what is not 0.
//
// Who owns what: a thread an index of the result. Coordinates: a block counts its share of the numbers, then writes
// those that are not 0 where the counts of the blocks before it end (cuda/scan.cuh). The limit is memory bandwidth.
#include "cuda/first_failure.cuh"
#include "cuda/scan.cuh"
#include "ops/gather/gather.h"

namespace fastdl {
namespace {

struct IndexAxes {
  int axes;
  int64_t size[kMaxDims];
  const int64_t* index[kMaxDims];
};

// Number i of all axes' indices, one axis after another: the first bad one is the first of the first axis.
struct OutsideAxis {
  IndexAxes a;
  Divider count;

  __device__ bool operator()(int64_t i) const {
    const int64_t axis = count.divide(i), at = a.index[axis][i - axis * count.divisor];
    return at < -a.size[axis] || at >= a.size[axis];
  }
};

__global__ void __launch_bounds__(kBlock) merge_indices(IndexAxes a, int64_t* out, int64_t n) {
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t merged = 0;
  for (int axis = 0; axis < a.axes; ++axis) {
    const int64_t at = a.index[axis][i];
    merged = merged * a.size[axis] + (at < 0 ? at + a.size[axis] : at);
  }
  out[i] = merged;
}

template <class T>
struct IsNonzero {
  const T* x;

  __device__ bool operator()(int64_t i) const { return x[i] != T{0}; }
};

struct WriteCoordinates {
  int rank;
  Divider size[kMaxDims];
  int64_t* out;

  __device__ void operator()(int64_t i, bool chosen, int64_t upto) const {
    if (!chosen) return;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const int64_t rest = size[axis].divide(i);
      out[(upto - 1) * rank + axis] = i - rest * size[axis].divisor;
      i = rest;
    }
  }
};

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void linear_index(const LinearIndexArgs& a, Stream stream) {
  IndexAxes axes = {a.axes, {}, {}};
  for (int k = 0; k < a.axes; ++k) axes.size[k] = a.sizes[k], axes.index[k] = a.index[k];
  const int64_t bad = first_failure(OutsideAxis{axes, divide_by(a.count)}, a.axes * a.count, stream);
  a.bad[0] = bad ? 1 + (bad - 1) / a.count : 0;
  a.bad[1] = bad ? (bad - 1) % a.count : 0;
  if (!bad) launch(merge_indices, blocks_for(a.count, kBlock), kBlock, 0, stream, axes, a.out, a.count);
}

void find_nonzero(const NonzeroArgs& a, Stream stream) {
  visit_any(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Chosen<IsNonzero<T>> found({static_cast<const T*>(a.x)}, a.shape.product(), stream);
    if (!a.out) return void(*a.count = found.count());
    WriteCoordinates write = {a.shape.n, {}, a.out};
    for (int axis = 0; axis < a.shape.n; ++axis) write.size[axis] = divide_by(a.shape[axis]);
    found.visit(write, stream);
  });
}

}  // namespace fastdl
