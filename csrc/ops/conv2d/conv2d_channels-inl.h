// What the kernels with lanes = output channels and packed pixels share (conv2d_channels_cpu.cc,
// conv2d_strassen_cpu.cc): products of panels of pixels with a sliver of weights, and sums on their way to NCHW.
#pragma once
#include "cpu/gemm-inl.h"
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_lanes-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kStepBytes = 16 << 10;  // of weights that all panels use in turn, in the level-1 cache
constexpr int64_t kRows = 16;             // of the source, cut into panels together while the next are fetched
constexpr int64_t kLineSteps = 64;        // or of copies, where a source row serves several taps

// Rows that lie too far apart for the hardware to follow.
template <class T>
FASTDL_INLINE void fetch_rows(const T* row, int64_t ld, int64_t rows, int64_t size) {
  for (; rows > 0; --rows, row += ld)
    for (int64_t i = 0; i < size + kLine<T>; i += kLine<T>) __builtin_prefetch(row + i);
}

// Pixels [first, first + size) as a kernel reads them: in runs, or where they lie.
template <class T, int64_t kMost>
struct PixelRuns {
  Run runs[kMost];
  int count;
  const T* in_place;  // channel 0 of them, if they are one stretch of a plane and one tap reads it; or null
  int64_t room;       // numbers from there to the end of the plane

  PixelRuns(const View& v, int64_t group, int64_t first, int64_t size)
      : count(cut_runs(v, first, size, runs)), in_place(nullptr), room(0) {
    if (v.num_taps != 1 || v.step_x != 1 || count != 1) return;
    const Reach reach = reach_of(v, runs[0], v.taps[0], 1);
    if (reach.hi - reach.lo != size) return;
    const int64_t plane = v.src_h * v.src_w;
    in_place = static_cast<const T*>(v.src) + group * v.k_channels * plane + reach.offset;
    room = plane - reach.offset % plane;
  }
};

// sums[pixel][lanes] (+)= panels times the steps of one sliver. The weights of the next steps, which may come from
// memory, are fetched meanwhile: each panel asks for its share of them.
template <class T>
static void multiply_panels(const Split& rows, int64_t steps, const T* panels, const T* weights, int64_t vecs, T* sums,
                            bool accumulate) {
  const int64_t width = vecs * kLanes<T>, most = kStepBytes / (vecs * kVecBytes);
  const int64_t share = ceil_div(width, rows.count);  // of a step
  for (int64_t k = 0; k < steps; k += most) {
    const int64_t n = min64(steps - k, most);
    const T* here = weights + k * width;
    for (int64_t j = 0; j < rows.count; ++j) {
      const int64_t p0 = part_begin(rows, j), height = part_size(rows, j);
      microkernel_for<T>(static_cast<int>(height), static_cast<int>(vecs))
          .run(n, panels + p0 * steps + k * height, here, width, sums + p0 * width, width, accumulate || k > 0,
               here + n * width + j * n * share, share);
    }
  }
}

// `n` pixels of one image and one vector of channels to their planes; `sum(i)` are those of pixel i, without bias.
template <class T, class Sum>
FASTDL_INLINE void store_planes(const View& v, Sum sum, int64_t n, int channels, Vec<T> bias, T* out) {
  constexpr int L = kLanes<T>;
  const Activation now = in_registers(v.activation);
  for (int64_t i = 0; i < n; i += L) {
    if (n - i < L && n >= L) i = n - L;  // the last vector overlaps the one before
    const int pixels = static_cast<int>(n - i < L ? n - i : L);
    Vec<T> r[L];
#pragma GCC unroll 16
    for (int j = 0; j < L; ++j) r[j] = j < pixels ? sum(i + j) + bias : Vec<T>{};
    transpose<T>(r);
#pragma GCC unroll 16
    for (int c = 0; c < L; ++c) {
      if (c >= channels) break;
      T* to = out + c * v.out_plane + i;
      if (v.residual) r[c] += load_some<T>(v.residual_at(to), pixels);
      store_some<T>(to, limit<T>(now, r[c]), pixels);
    }
  }
  for (int c = 0; now != v.activation && c < channels; ++c) activate_row(v.activation, out + c * v.out_plane, n);
}

}  // namespace fastdl::FASTDL_ISA
