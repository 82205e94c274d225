// The gradient of depthwise weights: a handful of inner products over the pixels of each plane, from the padded copies
// of conv2d_planes-inl.h. The sums of up to kTaps taps stay in registers over all rows of an image; a vector of
// gradients is loaded once for all of them. A chunk of work owns some groups and goes through the images in order.
#include "ops/conv2d/conv2d_planes-inl.h"
#include "ops/conv2d/conv2d_shuffle-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kTaps = 9;
constexpr double kChunkFlops = 1e6;
constexpr int64_t kFewProducts = 4;  // input x output channels of a group that this form serves

// sums[t] += inner product of the gradients of a band and the numbers that tap t reads, for TAPS taps.
template <class T, int TAPS>
__attribute__((noinline)) void add_band(const View& v, const Bands& b, const int64_t* offsets, int64_t rows,
                                        const T* copies, const T* grads, T* sums) {
  constexpr int L = kLanes<T>, kGroups = (TAPS + L - 1) / L;
  Vec<T> acc[kGroups * L];
#pragma GCC unroll 16
  for (int t = 0; t < kGroups * L; ++t) acc[t] = Vec<T>{};
  for (int64_t y = 0; y < rows; ++y, grads += v.cols, copies += b.row) {
    int64_t x = 0;
    for (; x + L <= v.cols; x += L) {
      const Vec<T> grad = load<T>(grads + x);
#pragma GCC unroll 16
      for (int t = 0; t < TAPS; ++t) acc[t] += grad * load<T>(copies + offsets[t] + x);
    }
    if (const int rest = static_cast<int>(v.cols - x); rest > 0) {
      // Both sides are cut off: a zero does not cancel an infinity.
      const Vec<T> grad = load_n<T>(grads + x, rest);
#pragma GCC unroll 16
      for (int t = 0; t < TAPS; ++t) acc[t] += grad * load_n<T>(copies + offsets[t] + x, rest);
    }
  }
  T total[kGroups * L];
#pragma GCC unroll 8
  for (int i = 0; i < kGroups; ++i) store<T>(total + i * L, lane_sums<T>(acc + i * L));
  for (int t = 0; t < TAPS; ++t) sums[t] += total[t];
}

template <class T, int TAPS = kTaps>
void add_taps(int64_t taps, const View& v, const Bands& b, const int64_t* offsets, int64_t rows, const T* copies,
              const T* grads, T* sums) {
  if (taps == TAPS) return add_band<T, TAPS>(v, b, offsets, rows, copies, grads, sums);
  if constexpr (TAPS > 1) add_taps<T, TAPS - 1>(taps, v, b, offsets, rows, copies, grads, sums);
}

template <class T>
void weight_planes_of(const Conv2dBwdWeightArgs& p) {
  Scratch<Tap> taps(p.g.kernel_h * p.g.kernel_w);
  View v = forward_view(p.g, p.dtype, taps);
  v.src = p.x;
  const Bands bands = bands_of(v, kLanes<T>, sizeof(T));
  Scratch<int64_t> offsets(v.num_taps);
  for (int64_t t = 0; t < v.num_taps; ++t) offsets[t] = tap_offset(v, bands, t);
  const int64_t tiles = (v.num_taps + kTaps - 1) / kTaps;
  const double flops = 2.0 * v.pixels() * v.weight_group;
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;

  // One band of one image: every weight of the group.
  const auto add_rows = [&](int64_t image, int64_t group, int64_t row0, T* copies, T* sums) {
    const int64_t rows = v.rows - row0 < bands.rows ? v.rows - row0 : bands.rows;
    for (int64_t k = 0; k < v.k_channels; ++k)
      copy_plane(v, bands, image, group * v.k_channels + k, row0, rows, copies + k * bands.plane);
    for (int64_t m = 0; m < v.m_channels; ++m) {
      const int64_t plane = (image * v.groups + group) * v.m_channels + m;
      const T* grads = static_cast<const T*>(p.grad) + (plane * v.rows + row0) * v.cols;
      for (int64_t k = 0; k < v.k_channels; ++k) {
        for (int64_t i = 0; i < tiles; ++i) {
          const int64_t t0 = v.num_taps * i / tiles, t1 = v.num_taps * (i + 1) / tiles;
          add_taps<T>(t1 - t0, v, bands, offsets + t0, rows, copies + k * bands.plane, grads,
                      sums + m * v.weight_m + k * v.weight_k + t0);
        }
      }
    }
  };
  parallel_for(v.groups, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> copies(v.k_channels * bands.plane);
    for (int64_t group = begin; group < end; ++group) {
      T* sums = static_cast<T*>(p.grad_weight) + group * v.weight_group;
      for (int64_t i = 0; i < v.weight_group; ++i) sums[i] = T{0};
      for (int64_t image = 0; image < v.batch; ++image)
        for (int64_t row0 = 0; row0 < v.rows; row0 += bands.rows) add_rows(image, group, row0, copies, sums);
    }
  });
}

}  // namespace

bool planes_serve_weights(const Conv2dGeometry& g) {
  return g.groups > 1 && g.in_channels / g.groups * (g.out_channels / g.groups) <= kFewProducts;
}

void weight_gradient_planes(const Conv2dBwdWeightArgs& p) {
  visit_float(p.dtype, [&](auto zero) { weight_planes_of<decltype(zero)>(p); });
}

}  // namespace fastdl::FASTDL_ISA
