// What the two walks over time share: the tile of a step's product, the places of the sequences in the states, and the
// products over all steps.
#pragma once
#include "cuda/access.cuh"
#include "cuda/gemm.cuh"
#include "ops/matmul/matmul.h"
#include "ops/recurrent/recurrent.h"

namespace fastdl {
namespace {

// A step is a small product that waits for the one before, so tiles are small, and many multiprocessors share one: an
// LSTM of 256 units and 32 sequences has 32 blocks, of 64 threads with 16 sums each.
template <class T>
struct StepTiles {
  using Tile = GemmTile<float, 32, 32, 16, 4, 4>;
};
template <>
struct StepTiles<double> {
  using Tile = GemmTile<double, 32, 32, 8, 4, 4>;
};
template <class T>
using StepTile = typename StepTiles<T>::Tile;

// Both directions walk in one launch, a row of blocks each: what one does at step s does not wait for the other.
constexpr int kDirections = 2;

// Numbers of the host that a kernel needs: places of the sequences in the states. Null where each has its own.
class DeviceOrder {
 public:
  explicit DeviceOrder(const RecurrentShape& s) : moved_(!is_identity(s)), order_(moved_ ? s.batch : 0) {
    if (moved_) copy_from_host(order_.get(), s.order, static_cast<size_t>(s.batch) * sizeof(int64_t));
  }
  const int64_t* get() const { return moved_ ? order_.get() : nullptr; }

 private:
  static bool is_identity(const RecurrentShape& s) {
    for (int64_t j = 0; j < s.batch; ++j)
      if (s.order[j] != j) return false;
    return true;
  }
  bool moved_;
  DeviceScratch<int64_t> order_;
};

__device__ __forceinline__ int64_t place_of(const int64_t* order, int64_t sequence) {
  return order ? order[sequence] : sequence;
}

// The time of step `s` of a direction's walk forward.
inline int64_t time_of(const RecurrentShape& shape, int direction, int64_t s) {
  return direction ? shape.steps - 1 - s : s;
}

// a (or zeros) into `to`, on the device.
inline void copy_or_zero(void* to, const void* from, size_t bytes, Stream stream) {
  if (from)
    copy_on_device(to, from, bytes);
  else
    set_zero(to, bytes, stream);
}

// out (m x n) = op(a) op(b) + bias
inline void multiply_matrices(DType dtype, const void* a, bool trans_a, const void* b, bool trans_b, const void* bias,
                              void* out, int64_t m, int64_t n, int64_t k, Stream stream) {
  matmul({dtype, m, n, k, trans_a, trans_b, {}, {}, {}, a, b, bias, Activation::kNone, out}, stream);
}

template <class T>
__device__ __forceinline__ T gate_sigmoid(T x) {
  return T{1} / (T{1} + exp(-x));
}

}  // namespace
}  // namespace fastdl
