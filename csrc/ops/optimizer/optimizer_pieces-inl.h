// Walks over the parameters of a group on the CPU, for steps and for clipping.
//
// All parameters are one range, laid end to end, cut into chunks of kChunk numbers; a chunk owns its piece of each
// parameter that it covers. The many biases of a network thus share chunks and a large matrix is spread over threads.
#pragma once
#include "cpu/math-inl.h"
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"
#include "ops/optimizer/optimizer.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kChunk = 16384;  // numbers: five streams of them fit in L2

// piece(tensor, first, n) for the pieces of tensors that chunks of the whole range cover, or piece(..., chunk).
template <bool kBackwards = false, class Tensor, class Piece>
static void for_each_piece(const Tensor* tensors, int64_t count, Piece piece) {
  int64_t total = 0;
  for (int64_t t = 0; t < count; ++t) total += tensors[t].n;
  const auto chunk = [&](int64_t begin, int64_t end) {
    int64_t start = 0;  // of tensor t in the range
    for (int64_t t = 0; start < end; start += tensors[t++].n) {
      const int64_t first = begin > start ? begin - start : 0;
      const int64_t last = end - start < tensors[t].n ? end - start : tensors[t].n;
      if (first >= last) continue;
      if constexpr (std::is_invocable_v<Piece, const Tensor&, int64_t, int64_t, int64_t>)
        piece(tensors[t], first, last - first, begin / kChunk);
      else
        piece(tensors[t], first, last - first);
    }
  };
  parallel_for(total, kChunk, chunk, kBackwards);
}

// update(i, lanes) for each vector of n numbers; `lanes` is a constant but for the last one.
template <class T, class Update>
FASTDL_INLINE void for_each_vector(int64_t n, Update update) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) update(i, std::integral_constant<int, kLanes<T>>{});
  if (i < n) update(i, n - i);
}

}  // namespace fastdl::FASTDL_ISA
