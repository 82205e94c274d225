// Direct convolution of groups with few input channels, depthwise above all: there is nothing to gain from a panel that
// a product would read many times, so output rows are computed from padded copies of the planes (conv2d_planes-inl.h),
// a vector of pixels at a time. A tile of kOuts channels x kRows rows stays in registers:
//
//   for each input channel and tap:  load kRows vectors, multiply each by kOuts weights
//
// A chunk of work owns one band of rows of one group of one image.
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_planes-inl.h"
#include "ops/conv2d/conv2d_shifts-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kOuts = 4;
#if defined(FASTDL_ISA_avx512)
constexpr int kRows = 4;
#else
constexpr int kRows = 2;
#endif
constexpr double kChunkFlops = 1e6;
// Where this form wins: a panel's packing is paid back by some 16 output channels or more, and half a vector of them
// leaves half of the other forms' lanes idle.
constexpr int64_t kMaxPanelSteps = 48, kFewOutputs = 4;

template <class T>
struct Work {
  View v;
  Bands bands;
  const int64_t* offsets;  // of each tap in a copy
  const T* weights;        // [group][input channel][tap][output channel]
};

// OUTS output channels x ROWS rows x one vector of pixels.
template <class T, int OUTS, int ROWS>
FASTDL_INLINE void make_tile(const Work<T>& w, const T* copies, const T* weights, const T* bias, T* out,
                             int64_t out_plane, int64_t out_row, int n) {
  const View& v = w.v;
  Vec<T> acc[OUTS][ROWS];
#pragma GCC unroll 8
  for (int m = 0; m < OUTS; ++m)
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) acc[m][r] = bias ? broadcast<T>(bias[m]) : Vec<T>{};
  for (int64_t k = 0; k < v.k_channels; ++k, copies += w.bands.plane) {
    for (int64_t t = 0; t < v.num_taps; ++t, weights += v.m_channels) {
      const T* src = copies + w.offsets[t];
      Vec<T> x[ROWS];
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r) x[r] = load<T>(src + r * w.bands.row);
#pragma GCC unroll 8
      for (int m = 0; m < OUTS; ++m)
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; ++r) acc[m][r] += weights[m] * x[r];
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < OUTS; ++m) {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      Vec<T> y = acc[m][r];
      T* to = out + m * out_plane + r * out_row;
      if (v.residual) y += load_n<T>(v.residual_at(to), n);
      if (only_limits(v.activation)) y = limit<T>(v.activation, y);
      if (v.out_x != 1) {
        for (int i = 0; i < n; ++i) to[i * v.out_x] = y[i];
      } else if (n == kLanes<T>) {
        store<T>(to, y);
      } else {
        store_n<T>(to, y, n);
      }
    }
  }
}

// Rows [0, ROWS) of a band at `copies`, for OUTS channels. The last vector of a row overlaps the one before it.
template <class T, int OUTS, int ROWS>
__attribute__((noinline)) void make_rows(const Work<T>& w, const T* copies, const T* weights, const T* bias, T* out) {
  constexpr int L = kLanes<T>;
  const View& v = w.v;
  for (int64_t x = 0; x < v.cols; x += L) {
    if (v.cols - x < L && v.cols > L) x = v.cols - L;
    make_tile<T, OUTS, ROWS>(w, copies + x, weights, bias, out + x * v.out_x, v.out_plane, v.out_y,
                             static_cast<int>(v.cols - x < L ? v.cols - x : L));
  }
}

template <class T, int OUTS>
void make_band(const Work<T>& w, int64_t rows, const T* copies, const T* weights, const T* bias, T* out) {
  const View& v = w.v;
  const int64_t line = w.bands.row;
  if (rows < kRows) {
    for (int64_t y = 0; y < rows; ++y) make_rows<T, OUTS, 1>(w, copies + y * line, weights, bias, out + y * v.out_y);
    return;
  }
  for (int64_t y = 0; y < rows; y += kRows) {
    if (rows - y < kRows) y = rows - kRows;  // overlaps the rows before
    make_rows<T, OUTS, kRows>(w, copies + y * line, weights, bias, out + y * v.out_y);
  }
}

template <class T>
void make_group(const Work<T>& w, int64_t image, int64_t group, int64_t band, T* copies, bool zeros) {
  const View& v = w.v;
  const int64_t row0 = band * w.bands.rows;
  const int64_t rows = v.rows - row0 < w.bands.rows ? v.rows - row0 : w.bands.rows;
  for (int64_t k = 0; k < v.k_channels; ++k)
    copy_plane(v, w.bands, image, group * v.k_channels + k, row0, rows, copies + k * w.bands.plane, zeros);
  const T* weights = w.weights + group * v.taps_and_channels() * v.m_channels;
  for (int64_t m = 0; m < v.m_channels;) {
    const int64_t channel = group * v.m_channels + m, left = v.m_channels - m;
    const T* bias = v.bias ? static_cast<const T*>(v.bias) + channel : nullptr;
    T* out = static_cast<T*>(v.out) + (image * v.groups * v.m_channels + channel) * v.out_plane + v.out_start +
             row0 * v.out_y;
    if (left >= kOuts) {
      make_band<T, kOuts>(w, rows, copies, weights + m, bias, out), m += kOuts;
    } else if (left >= 2) {
      make_band<T, 2>(w, rows, copies, weights + m, bias, out), m += 2;
    } else {
      make_band<T, 1>(w, rows, copies, weights + m, bias, out), m += 1;
    }
  }
  const int64_t first = (image * v.groups + group) * v.m_channels;
  if (only_limits(v.activation)) return;
  // Only the forward pass has an activation, and there a band is contiguous. Overlapping rows forbid doing it earlier.
  for (int64_t m = 0; m < v.m_channels; ++m)
    activate_row(v.activation, static_cast<T*>(v.out) + (first + m) * v.out_plane + row0 * v.out_y, rows * v.out_y);
}

template <class T>
void planes_of(const View& v) {
  const Bands bands = bands_of(v, kLanes<T>, sizeof(T));
  const int64_t steps = v.taps_and_channels();
  Scratch<int64_t> offsets(v.num_taps);
  for (int64_t t = 0; t < v.num_taps; ++t) offsets[t] = tap_offset(v, bands, t);
  Scratch<T> weights(v.groups * steps * v.m_channels);
  T* to = weights;
  for (int64_t group = 0; group < v.groups; ++group)
    for (int64_t k = 0; k < v.k_channels; ++k)
      for (int64_t t = 0; t < v.num_taps; ++t)
        for (int64_t m = 0; m < v.m_channels; ++m)
          *to++ = static_cast<const T*>(
              v.weight)[group * v.weight_group + m * v.weight_m + k * v.weight_k + v.taps[t].weight];
  const Work<T> work{v, bands, offsets, weights};
  const double flops = 2.0 * bands.rows * v.cols * steps * v.m_channels;
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / flops) + 1 : 1;
  parallel_for(v.batch * v.groups * bands.count, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> copies(v.k_channels * bands.plane);
    // Whole planes have their zeros in the same places.
    for (int64_t i = begin; i < end; ++i)
      make_group<T>(work, i / bands.count / v.groups, i / bands.count % v.groups, i % bands.count, copies,
                    i == begin || bands.count > 1);
  });
}

}  // namespace

bool planes_serve(const View& v) {
  const int64_t steps = v.taps_and_channels(), half = kVecBytes / static_cast<int64_t>(itemsize(v.dtype)) / 2;
  const int64_t few = half > kFewOutputs ? half : kFewOutputs;
  return v.num_taps > 1 && (v.m_channels <= few ? v.k_channels <= few : steps <= kMaxPanelSteps);
}

void conv_planes(const View& v) {
  if (shifts_serve(v)) return conv_shifts(v);
  visit_float(v.dtype, [&](auto zero) { planes_of<decltype(zero)>(v); });
}

}  // namespace fastdl::FASTDL_ISA
