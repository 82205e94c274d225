// Images whose channels lie innermost in blocks of a vector, [image][channels / kL][pixel][kL]: NCHWc, of float32. Each
// pixel of a block is one vector of output channels and kL numbers of input channels to broadcast, so that kernels need
// neither packed panels nor transposed sums, and a thread's share of a plane is one stretch of whole cache lines.
//
// What conv2d_nchwc_cpu.cc and conv2d_nchwc_strassen_cpu.cc share: how they cut the work, and how they read pixels that
// do not lie as the products want them.
#pragma once
#include "cpu/gemm-inl.h"
#include "ops/conv2d/conv2d_lanes-inl.h"
#include "ops/conv2d/conv2d_winograd_product-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kSliver = kSliverVecs * kL;

// Whether channels come in whole blocks.
FASTDL_INLINE bool in_blocks(const View& v) {
  return v.dtype == DType::kFloat32 && v.k_channels > 0 && v.k_channels % kL == 0 && v.m_channels % kL == 0;
}

// The pixels of an image in blocks of at most `most`: an even number of blocks, as pairs of threads share them, unless
// the image is so small that weights take the time, which every block reads.
constexpr int64_t kLeastHalf = 56;
FASTDL_INLINE Split split_pixels(int64_t pixels, int64_t most) {
  const Split s = split_evenly(pixels, most);
  const int64_t count = s.count + s.count % 2;
  if (count == s.count || pixels < count * kLeastHalf) return s;
  return {pixels, count, pixels / count, pixels % count};
}

// A chunk of work: a block of pixels of an image and a group, and a range of slivers (or pairs of them).
struct NchwcChunk {
  int64_t group, image, first, count;  // pixels
  int64_t begin, end;                  // slivers
};

// body(chunk) for all chunks, where a block's slivers are cut into parts if the blocks are too few for all threads.
template <class Body>
static void for_chunks(const View& v, const Split& blocks, int64_t slivers, Body&& body) {
  const int64_t all = v.batch * v.groups * blocks.count, parts = channel_parts(all, slivers);
  parallel_for(all * parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t part = i % parts, block = i / parts % blocks.count, of = i / parts / blocks.count;
      body(NchwcChunk{of % v.groups, of / v.groups, part_begin(blocks, block), part_size(blocks, block),
                      slivers * part / parts, slivers * (part + 1) / parts});
    }
  });
}

// ---- pixels ---------------------------------------------------------------------------------------------------------

// Where the pixels of a chunk read each tap: offsets[tap * count + i] in a block of channels, below 0 in the padding.
struct PixelSources {
  bool in_place;     // pixel i reads pixel i
  int64_t* offsets;  // else

  static bool reads_in_place(const View& v) {
    return v.num_taps == 1 && v.taps[0].dy == 0 && v.taps[0].dx == 0 && v.step_y == 1 && v.step_x == 1 &&
           v.src_h == v.rows && v.src_w == v.cols;
  }
  static int64_t room(const View& v, int64_t pixels) { return reads_in_place(v) ? 1 : v.num_taps * pixels; }

  PixelSources(const View& v, int64_t first, int64_t count, int64_t* memory)
      : in_place(reads_in_place(v)), offsets(memory) {
    if (in_place) return;
    for (int64_t t = 0; t < v.num_taps; ++t) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t y = (first + i) / v.cols * v.step_y + v.taps[t].dy;
        const int64_t x = (first + i) % v.cols * v.step_x + v.taps[t].dx;
        const bool inside = y >= 0 && y < v.src_h && x >= 0 && x < v.src_w;
        memory[t * count + i] = inside ? (y * v.src_w + x) * kL : -1;
      }
    }
  }
};

FASTDL_INLINE V load_pixel(const float* block, int64_t offset) {
  return offset < 0 ? V{} : load<float>(block + offset);
}

// The first block of channels of a group and image.
FASTDL_INLINE const float* nchwc_source(const View& v, const NchwcChunk& c) {
  return static_cast<const float*>(v.src) + (c.image * v.groups + c.group) * v.k_channels * v.src_h * v.src_w;
}

// ---- weights --------------------------------------------------------------------------------------------------------

// A sliver in the order in which these kernels take the steps of a sum, [block of channels][tap][kL]; `memory` has room
// for as many numbers.
[[maybe_unused]] static void pack_nchwc_sliver(const View& v, const LaneSlivers<float>& s, int64_t group,
                                               int64_t sliver, float* packed, float* memory) {
  const int64_t width = s.vecs_of(sliver) * kL, taps = v.num_taps;
  pack_lane_sliver(v, s, group, sliver, 0, v.k_channels, taps == 1 ? packed : memory);
  if (taps == 1) return;
  for (int64_t k = 0; k < v.k_channels; ++k)
    for (int64_t t = 0; t < taps; ++t) {
      const float* from = memory + (k * taps + t) * width;
      float* to = packed + ((k / kL * taps + t) * kL + k % kL) * width;
      for (int64_t i = 0; i < width; i += kL) store<float>(to + i, load<float>(from + i));
    }
}

}  // namespace fastdl::FASTDL_ISA
