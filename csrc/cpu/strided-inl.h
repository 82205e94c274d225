// Walks the offsets of N operands over some axes in row-major order, for kernels whose operands have different strides.
#pragma once
#include "core/array.h"
#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

template <int N>
struct Walk {
  int n = 0;
  int64_t shape[kMaxDims];
  int64_t stride[N][kMaxDims];
  int64_t at[kMaxDims];  // coordinates
  int64_t offset[N];     // of each operand, in elements
};

template <int N>
FASTDL_INLINE void add_axis(Walk<N>& w, int64_t size, const int64_t (&stride)[N]) {
  w.shape[w.n] = size;
  for (int k = 0; k < N; ++k) w.stride[k][w.n] = stride[k];
  ++w.n;
}

// To position `index` of the row-major order.
template <int N>
FASTDL_INLINE void seek(Walk<N>& w, int64_t index) {
  for (int k = 0; k < N; ++k) w.offset[k] = 0;
  for (int i = w.n - 1; i >= 0; --i) {
    w.at[i] = i == 0 ? index : index % w.shape[i];
    index = i == 0 ? 0 : index / w.shape[i];
    for (int k = 0; k < N; ++k) w.offset[k] += w.at[i] * w.stride[k][i];
  }
}

template <int N>
FASTDL_INLINE void step(Walk<N>& w) {
  for (int i = w.n - 1; i >= 0; --i) {
    for (int k = 0; k < N; ++k) w.offset[k] += w.stride[k][i];
    if (++w.at[i] < w.shape[i]) return;
    for (int k = 0; k < N; ++k) w.offset[k] -= w.shape[i] * w.stride[k][i];
    w.at[i] = 0;
  }
}

}  // namespace fastdl::FASTDL_ISA
