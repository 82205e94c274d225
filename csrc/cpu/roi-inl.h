// What pooling over regions of interest (RoIs) shares: which RoIs belong to which image, and feature maps whose
// channels lie innermost, so that kBlock channels of one place are a few vectors side by side:
//
//   x (C, H, W)        block b of one image: [H * W][kBlock], channels b * kBlock ...
//
// A task owns one block of one image and walks over all RoIs of that image in their order, forward and backward, so the
// bits do not depend on threads. Only columns that RoIs touch are copied; lanes beyond the last channel hold leftovers,
// and what is computed from them is never stored.
#pragma once
#include "cpu/parallel.h"
#include "cpu/transpose-inl.h"

namespace fastdl::FASTDL_ISA {

// Vectors in a block, V below: enough to keep the FMA units busy, few enough for a block of a map to stay in L2. Maps
// of no more channels than lanes have blocks of one vector.
constexpr int kBlockVectors = 4;
template <class T, int V>
constexpr int64_t kBlock = V * kLanes<T>;

// body(std::integral_constant<int, V>) with the V for a number of channels.
template <class T, class Body>
FASTDL_INLINE void with_block_vectors(int64_t channels, Body body) {
  if (channels <= kLanes<T>) return body(std::integral_constant<int, 1>{});
  body(std::integral_constant<int, kBlockVectors>{});
}

// RoIs (image, x1, y1, x2, y2) of image i are order[first[i]] ... order[first[i + 1] - 1], in their order.
struct RoisByImage {
  int64_t* first;  // images + 1
  int32_t* order;
};
// Returns 1 + the first RoI whose image is not one of `images`, or 0.
template <class T>
static int64_t sort_by_image(const T* rois, int64_t count, int64_t images, const RoisByImage& out) {
  for (int64_t i = 0; i <= images; ++i) out.first[i] = 0;
  for (int64_t k = 0; k < count; ++k) {
    const T image = rois[5 * k];
    if (!(image > T{-1} && image < static_cast<T>(images))) return k + 1;
    ++out.first[static_cast<int64_t>(image) + 1];
  }
  for (int64_t i = 0; i < images; ++i) out.first[i + 1] += out.first[i];
  for (int64_t k = 0; k < count; ++k)
    out.order[out.first[static_cast<int64_t>(rois[5 * k])]++] = static_cast<int32_t>(k);
  for (int64_t i = images; i > 0; --i) out.first[i] = out.first[i - 1];
  out.first[0] = 0;
  return 0;
}

// ---- maps with channels innermost -----------------------------------------------------------------------------------

struct Span {  // [begin, end)
  int32_t begin, end;
  void add(int32_t from, int32_t to) {
    if (from >= to) return;
    if (begin >= end) begin = from, end = to;
    begin = from < begin ? from : begin, end = to > end ? to : end;
  }
};

// The planes of up to kBlock channels of one image, and the columns of each row that RoIs touch.
template <class T>
struct Planes {
  int64_t channels, h, w;
  const Span* touched;
};

template <class T, int V>
static void block_planes(const Planes<T>& p, const T* x, T* block) {
  for (int64_t y = 0; y < p.h; ++y) {
    const int64_t at = y * p.w + p.touched[y].begin, n = p.touched[y].end - p.touched[y].begin;
    if (n > 0) transpose_matrix<T>(x + at, p.h * p.w, p.channels, n, block + at * kBlock<T, V>, kBlock<T, V>);
  }
}

template <class T, int V>
static void clear_block(const Planes<T>& p, T* block) {
  for (int64_t y = 0; y < p.h; ++y) {
    const int64_t at = y * p.w + p.touched[y].begin, n = p.touched[y].end - p.touched[y].begin;
    if (n > 0) __builtin_memset(block + at * kBlock<T, V>, 0, static_cast<size_t>(n * kBlock<T, V>) * sizeof(T));
  }
}

// Back to planes; what no RoI touches is zero.
template <class T, int V>
static void unblock_planes(const Planes<T>& p, const T* block, T* x) {
  for (int64_t c = 0; c < p.channels; ++c)
    for (int64_t y = 0; y < p.h; ++y) {
      T* const row = x + (c * p.h + y) * p.w;
      const Span s = p.touched[y];
      const int64_t left = s.end > s.begin ? s.begin : p.w;
      __builtin_memset(row, 0, static_cast<size_t>(left) * sizeof(T));
      if (left < p.w) __builtin_memset(row + s.end, 0, static_cast<size_t>(p.w - s.end) * sizeof(T));
    }
  for (int64_t y = 0; y < p.h; ++y) {
    const int64_t at = y * p.w + p.touched[y].begin, n = p.touched[y].end - p.touched[y].begin;
    if (n > 0) transpose_matrix<T>(block + at * kBlock<T, V>, kBlock<T, V>, n, p.channels, x + at, p.h * p.w);
  }
}

// ---- the bins of one RoI --------------------------------------------------------------------------------------------

// A tile [bins][kBlock] as out [channels][bins], through a buffer of the same size: whole lines leave it past the
// caches when the output is large.
template <class T, int V>
static void store_bins(const T* tile, int64_t bins, int64_t channels, bool streams, T* buffer, T* out) {
  const int64_t n = bins * channels;
  if (!streams || reinterpret_cast<uintptr_t>(out) % kVecBytes || n % kLanes<T>)
    return transpose_matrix<T>(tile, kBlock<T, V>, bins, channels, out, bins);
  transpose_matrix<T>(tile, kBlock<T, V>, bins, channels, buffer, bins);
  for (int64_t i = 0; i < n; i += kLanes<T>) stream<T>(out + i, load<T>(buffer + i));
}

// body(image, block) for every block of kBlock channels of every image, each a task.
template <class T, int V, class Body>
FASTDL_INLINE void for_each_block(int64_t images, int64_t channels, Body body) {
  const int64_t blocks = (channels + kBlock<T, V> - 1) / kBlock<T, V>;
  parallel_for(images * blocks, 1, [&](int64_t item, int64_t end) {
    for (; item < end; ++item) body(item / blocks, item % blocks * kBlock<T, V>);
  });
}

}  // namespace fastdl::FASTDL_ISA
