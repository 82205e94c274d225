// Weights with lanes = output channels, as the kernels that broadcast pixels read them (conv2d_pixels_cpu.cc,
// conv2d_channels_cpu.cc):
//
//   [group][sliver of kSliverVecs vectors of outputs][input channel][tap][lanes]
#pragma once
#include "cpu/microkernel-inl.h"
#include "ops/conv2d/conv2d_shuffle-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kSliverVecs = kTallTile.vecs;
constexpr int64_t kLaneGrain = 1 << 16;  // weights that are worth a thread

// The slivers of a group.
template <class T>
struct LaneSlivers {
  int64_t vecs, count, steps;
  explicit LaneSlivers(const View& v)
      : vecs((v.m_channels + kLanes<T> - 1) / kLanes<T>),
        count((vecs + kSliverVecs - 1) / kSliverVecs),
        steps(v.taps_and_channels()) {}
  int64_t vecs_of(int64_t sliver) const {
    return vecs - sliver * kSliverVecs < kSliverVecs ? vecs - sliver * kSliverVecs : kSliverVecs;
  }
  int64_t offset(int64_t sliver) const { return sliver * kSliverVecs * kLanes<T> * steps; }
  int64_t of_group() const { return vecs * kLanes<T> * steps; }
};

// Input channels [k0, k1) of a sliver.
template <class T>
static void pack_lane_sliver(const View& v, const LaneSlivers<T>& s, int64_t group, int64_t sliver, int64_t k0,
                             int64_t k1, T* packed) {
  constexpr int L = kLanes<T>;
  const int64_t vecs = s.vecs_of(sliver), ld = vecs * L, taps = v.num_taps;
  bool in_order = true;
  for (int64_t t = 0; t < taps; ++t) in_order &= v.taps[t].weight == t;
  const bool joined = in_order && v.weight_k == taps;  // channels follow each other as well
  for (int64_t j = 0; j < vecs; ++j, packed += L) {
    const int64_t m0 = (sliver * kSliverVecs + j) * L, height = v.m_channels - m0 < L ? v.m_channels - m0 : L;
    const T* w = static_cast<const T*>(v.weight) + group * v.weight_group + m0 * v.weight_m + k0 * v.weight_k;
    if (joined) {
      pack_lanes(w, v.weight_m, (k1 - k0) * taps, height, packed, ld);
    } else if (in_order && taps > 1) {
      for (int64_t k = 0; k < k1 - k0; ++k)
        pack_lanes(w + k * v.weight_k, v.weight_m, taps, height, packed + k * taps * ld, ld);
    } else {
      for (int64_t i = 0; i < (k1 - k0) * taps; ++i)
        for (int64_t m = 0; m < L; ++m)
          packed[i * ld + m] = m < height ? w[m * v.weight_m + i / taps * v.weight_k + v.taps[i % taps].weight] : T{0};
    }
  }
}

template <class T>
static void pack_lane_weights(const View& v, T* packed) {
  const LaneSlivers<T> s(v);
  parallel_for(
      v.groups * s.count, 1 + kLaneGrain / (s.steps * kSliverVecs * kLanes<T>), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t group = i / s.count, sliver = i % s.count;
          pack_lane_sliver(v, s, group, sliver, 0, v.k_channels, packed + group * s.of_group() + s.offset(sliver));
        }
      });
}

}  // namespace fastdl::FASTDL_ISA
