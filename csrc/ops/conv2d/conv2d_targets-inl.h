// Where a sliver of pixels, which runs through rows and images, goes in the output.
#pragma once
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

// Where the lanes of a sliver go: stretches that are contiguous in the output (or steps of out_x apart).
struct Target {
  int lane, len;
  int64_t offset;  // of channel 0 of the group
};

static inline int merge_targets(const View& v, const Run* runs, int count, Target* targets) {
  int merged = 0;
  for (int r = 0; r < count; ++r) {
    const Run run = runs[r];
    const int64_t offset =
        run.image * v.groups * v.m_channels * v.out_plane + v.out_start + run.y * v.out_y + run.x * v.out_x;
    if (merged > 0 && v.out_x == 1) {
      Target& last = targets[merged - 1];
      if (last.offset + last.len == offset) {
        last.len += run.len;
        continue;
      }
    }
    targets[merged++] = {run.lane, run.len, offset};
  }
  return merged;
}

// Rows of a tile, `pitch` apart, to the output, with the residual and the activation.
template <class T>
static void scatter(const View& v, const T* tile, int64_t pitch, int rows, const Target* targets, int count, T* out) {
  for (int m = 0; m < rows; ++m, tile += pitch, out += v.out_plane) {
    for (int i = 0; i < count; ++i) {
      const Target target = targets[i];
      T* to = out + target.offset;
      if (v.out_x == 1) {
        finish_row(v.activation, tile + target.lane, v.residual_at(to), to, target.len);
      } else {
        for (int j = 0; j < target.len; ++j) to[j * v.out_x] = tile[target.lane + j];
      }
    }
  }
}

}  // namespace fastdl::FASTDL_ISA
