// Windows over images whose channels lie innermost in blocks, [image][channels / block][pixel][block]. The rows of a
// window are folded into one row first, as everywhere (cpu/pool-inl.h); the columns of that are whole vectors, whatever
// the windows are like. (Blocks are those of the convolutions around, conv2d_nchwc-inl.h; any size is right, that of a
// vector is fast.)
#pragma once
#include "cpu/pool_turned-inl.h"

namespace fastdl::FASTDL_ISA {

// One row of outputs from a folded row of inputs.
template <class F>
static void fold_nchwc_line(const PoolGeometry& g, int64_t block, const float* line, int64_t oy, F f, float* to) {
  for (int64_t ox = 0; ox < g.out_w; ++ox) {
    const Segment s = segment_of(g, ox);
    const int64_t end = smaller(s.end, g.in_w), count = s.step == 1 ? end - s.first : 0;
    for (int64_t lane = 0; lane < block; lane += kLanes<float>) {
      const int64_t n = block - lane;
      const auto column = [&](int64_t ix) FASTDL_BODY { return load_some<float>(line + ix * block + lane, n); };
      Vec<float> v;
      if (count == 3) {
        v = f.join(f.join(column(s.first), column(s.first + 1)), column(s.first + 2));
      } else if (count == 2) {
        v = f.join(column(s.first), column(s.first + 1));
      } else {
        v = broadcast<float>(F::kStart);
        for (int64_t ix = s.first; ix < end; ix += s.step) v = f.join(v, column(ix));
      }
      store_some<float>(to + ox * block + lane, f.finish(v, ox, oy), n);
    }
  }
}

// out[oy][ox] = f.finish(fold of the window, ox, oy), for each of g.planes = images times blocks. Planes are cut in
// halves and no further: threads then share rows as they do in the convolutions around, and memory, from where the
// input of most pools comes, is read in order.
template <class F>
static void fold_nchwc(const PoolGeometry& g, int64_t block, const float* x, F f, float* out) {
  PoolGeometry wide = g;  // rows as lines of numbers
  wide.in_w *= block;
  const int64_t halves = smaller(2, g.out_h), inputs = wide.in_w * g.in_h / halves;
  const int64_t grain = smaller(g.planes, larger(1, kBandInputs / larger(1, inputs)));
  parallel_for(halves * g.planes, grain, [&](int64_t begin, int64_t end) {
    Scratch<float> line(wide.in_w + kLanes<float>);  // whole vectors are stored
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i % g.planes, half = i / g.planes;
      for (int64_t oy = g.out_h * half / halves; oy < g.out_h * (half + 1) / halves; ++oy) {
        fold_columns<float, true>(window_rows(wide, x + plane * g.in_h * wide.in_w, oy), wide.in_w, f, line.get());
        fold_nchwc_line(g, block, line, oy, f, out + (plane * g.out_h + oy) * g.out_w * block);
      }
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
