// The gradient of the input at strides above 1, all residues together, and how its kernels write their rows.
#pragma once
#include "cpu/shuffle-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

bool phases_serve(const Conv2dGeometry& g);
void make_phases(const Conv2dBwdInputArgs& p, const void* bias);  // bias: in_channels numbers, or null
bool blocks_serve(const Conv2dGeometry& g);
void make_blocks(const Conv2dBwdInputArgs& p, const void* bias);
void winograd_phases(const Conv2dBwdInputArgs& p, const float* bias);

// Pixels side by side in one output row.
struct Stretch {
  int64_t offset;  // in the image of channel 0
  int from, len;   // of the line of a sliver
};

// line = the numbers of `stride` tiles in turn, plus the bias.
template <class T>
FASTDL_INLINE void interleave(const T* tiles, int64_t tile_size, int64_t stride, T bias, int vecs, T* line) {
  constexpr int L = kLanes<T>;
  const Vec<T> b = broadcast<T>(bias);
  if (stride == 2) {
    for (int i = 0; i < vecs; ++i) {
      const Vec<T> even = load<T>(tiles + i * L) + b, odd = load<T>(tiles + tile_size + i * L) + b;
      store<T>(line + 2 * i * L, zip_low<T>(even, odd));
      store<T>(line + (2 * i + 1) * L, zip_high<T>(even, odd));
    }
    return;
  }
  if (stride == 1) {
    for (int i = 0; i < vecs; ++i) store<T>(line + i * L, load<T>(tiles + i * L) + b);
    return;
  }
  for (int64_t x = 0; x < stride; ++x)
    for (int i = 0; i < vecs * L; ++i) line[i * stride + x] = tiles[x * tile_size + i] + bias;
}

// The part of a stretch in one vector of a line: lanes [from, to), lane 0 at `offset`. Whole vectors are loaded again,
// as they were stored: any other load would wait for the stores.
struct LinePiece {
  int64_t offset;
  int vec, from, to;
};
template <class T>
static int cut_stretches(const Stretch* stretches, int n, LinePiece* pieces) {
  constexpr int L = kLanes<T>;
  int count = 0;
  for (int i = 0; i < n; ++i) {
    const int first = stretches[i].from, last = first + stretches[i].len;
    for (int vec = first / L; vec * L < last; ++vec)
      pieces[count++] = {stretches[i].offset + vec * L - first, vec, first > vec * L ? first - vec * L : 0,
                         last < (vec + 1) * L ? last - vec * L : L};
  }
  return count;
}
template <class T>
FASTDL_INLINE void store_between(T* p, Vec<T> v, int from, int to) {
#if defined(FASTDL_ISA_avx512)
  const unsigned lanes = (1u << to) - (1u << from);
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, static_cast<__mmask16>(lanes), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, static_cast<__mmask8>(lanes), (__m512d)v);
#else
  if (to - from == kLanes<T>) return store<T>(p, v);
  for (int i = from; i < to; ++i) p[i] = v[i];
#endif
}

}  // namespace fastdl::FASTDL_ISA
