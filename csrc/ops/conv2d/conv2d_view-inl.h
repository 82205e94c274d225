// What the direct kernels see of a convolution, and how they read it: every direction that makes an image is
//
//   out[n, m, y, x] = bias[m] + sum over k, t of src[n, k, y*step_y + dy[t], x*step_x + dx[t]] * weight[m, k, t]
//
// with zeros outside src. The forward pass is one such view. The gradient of the input is one view for each residue of
// (y, x) modulo the stride: there the taps that meet a gradient are the same for all pixels, and lie at unit steps.
#pragma once
#include <utility>

#include "core/dtype.h"
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"
#include "cpu/vec-inl.h"
#include "ops/conv2d/conv2d.h"

namespace fastdl::FASTDL_ISA {

struct Tap {
  int64_t dy, dx;
  int64_t weight;  // offset in the kernel's plane
};

struct View {
  DType dtype;
  int64_t batch, groups;
  int64_t m_channels, k_channels;  // made and summed, of one group
  int64_t src_h, src_w;
  int64_t rows, cols;  // the pixels made
  int64_t step_y, step_x;
  const Tap* taps;
  int64_t num_taps;
  // Pixel (y, x) of channel m lies at out[(image * groups * m_channels + m) * out_plane + out_start + y*out_y +
  // x*out_x].
  int64_t out_plane, out_start, out_y, out_x;
  int64_t weight_m, weight_k, weight_group;  // strides of m, k and the group
  const void* src;
  const void* weight;
  const void* prepared;  // the weights as the kernel packs them, or null: it packs them itself
  const void* bias;
  const void* residual;  // added before the activation, where the result lies in out; or null
  Activation activation;
  void* out;

  int64_t taps_and_channels() const { return k_channels * num_taps; }
  int64_t pixels() const { return batch * rows * cols; }
  template <class T>
  const T* residual_at(const T* place) const {
    return residual ? static_cast<const T*>(residual) + (place - static_cast<const T*>(out)) : nullptr;
  }
};

// Part of an output row inside a sliver of pixels.
struct Run {
  int lane, len;
  int64_t image, y, x;
};

// Cuts pixels [first, first + n) of the flat order (image, y, x) into runs; returns how many.
static inline int cut_runs(const View& v, int64_t first, int64_t n, Run* runs) {
  int count = 0;
  int64_t x = first % v.cols, y = first / v.cols % v.rows, image = first / (v.cols * v.rows);
  for (int64_t lane = 0; lane < n; ++count) {
    const int64_t len = n - lane < v.cols - x ? n - lane : v.cols - x;
    runs[count] = {static_cast<int>(lane), static_cast<int>(len), image, y, x};
    lane += len;
    x = 0;
    if (++y == v.rows) y = 0, ++image;
  }
  return count;
}

// Numbers 0, 2, 4, ... of 2 * kLanes - 1 side by side: a has the first of them, b the last.
template <class T, int... J>
FASTDL_INLINE Vec<T> even_numbers(Vec<T> a, Vec<T> b, std::integer_sequence<int, J...>) {
  return __builtin_shuffle(a, b, Mask<T>{(2 * J < kLanes<T> ? 2 * J : 2 * J + 1)...});
}

// dst[i] = src[i * step], i < n. Reads nothing past src[(n - 1) * step].
template <class T>
FASTDL_INLINE void copy_steps(T* dst, const T* src, int64_t step, int n) {
  constexpr int L = kLanes<T>;
  int i = 0;
#if defined(FASTDL_ISA_avx512)
  if (step == 1) {
    for (; i + L <= n; i += L) store<T>(dst + i, load<T>(src + i));
    if (i < n) store_n<T>(dst + i, load_n<T>(src + i, n - i), n - i);
    return;
  }
  if (step == 2) {
    for (; i + L < n; i += L)  // where a number follows, all of both vectors is there
      store<T>(dst + i, even_lanes<T>(load<T>(src + 2 * i), load<T>(src + 2 * i + L)));
    if (i < n) {
      const int last = 2 * (n - i < L ? n - i : L) - 1;  // numbers from the first to the last one wanted
      const Vec<T> low = load_n<T>(src + 2 * i, last < L ? last : L);
      const Vec<T> high = last > L ? load_n<T>(src + 2 * i + L, last - L) : Vec<T>{};
      store_n<T>(dst + i, even_lanes<T>(low, high), n - i);
    }
    return;
  }
#else
  // The last vector overlaps the one before it.
  if (step == 1 && n >= L) {
    for (; i + L <= n; i += L) store<T>(dst + i, load<T>(src + i));
    if (i < n) store<T>(dst + n - L, load<T>(src + n - L));
    return;
  }
  if (step == 2 && n >= L) {
    const auto pick = [&](int at) FASTDL_BODY {
      const T* from = src + 2 * at;
      store<T>(dst + at, even_numbers<T>(load<T>(from), load<T>(from + L - 1), std::make_integer_sequence<int, L>{}));
    };
    for (; i + L <= n; i += L) pick(i);
    if (i < n) pick(n - L);
    return;
  }
#endif
  for (; i < n; ++i) dst[i] = src[i * step];
}

template <class T>
FASTDL_INLINE void fill_zeros(T* dst, int n) {
  for (int i = 0; i < n; ++i) dst[i] = T{0};
}

// The lanes of run r that tap t reads inside the source, [lo, hi), and where lane 0 would be read (channel 0).
struct Reach {
  int64_t lo, hi, offset;
};
// (`step` is v.step_x, a constant where the caller knows it: divisions would cost more than the rest.)
FASTDL_INLINE Reach reach_of(const View& v, const Run& run, const Tap& tap, int64_t step) {
  const int64_t y = run.y * v.step_y + tap.dy, x = run.x * step + tap.dx;
  int64_t lo = x < 0 ? (-x + step - 1) / step : 0;
  int64_t hi = x < v.src_w ? (v.src_w - x + step - 1) / step : 0;
  if (y < 0 || y >= v.src_h) hi = 0;
  if (hi > run.len) hi = run.len;
  if (lo > hi) lo = hi;
  return {lo, hi, (run.image * v.groups * v.k_channels * v.src_h + y) * v.src_w + x};
}

#if defined(FASTDL_ISA_avx512)
// A vector of the panel is put together from the runs it meets: lane i of a piece is src[offset + i * step].
struct Piece {
  int64_t offset;
  unsigned lanes;  // bit mask
};
template <class T>
FASTDL_INLINE Vec<T> load_lanes(const T* p, unsigned lanes) {
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps(static_cast<__mmask16>(lanes), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd(static_cast<__mmask8>(lanes), p);
}
template <class T, int STEP, int... J>
FASTDL_INLINE Vec<T> load_piece(const T* p, unsigned lanes, std::integer_sequence<int, J...>) {
  if constexpr (STEP == 1) return load_lanes<T>(p, lanes);
  const unsigned even = _pdep_u32(lanes, 0x55555555u);
  return __builtin_shuffle(load_lanes<T>(p, even), load_lanes<T>(p + kLanes<T>, even >> kLanes<T>), Mask<T>{2 * J...});
}

template <class T, int STEP>
static void pack_pieces(const View& v, const T* src, const Run* runs, int count, int64_t width, T* panel, int64_t ld,
                        int64_t channels) {
  constexpr int L = kLanes<T>;
  constexpr auto numbers = std::make_integer_sequence<int, L>{};
  const int64_t plane = v.src_h * v.src_w;
  for (int64_t t = 0; t < v.num_taps; ++t) {
    int r = 0;
    for (int64_t first = 0; first < width; first += L) {
      Piece pieces[L];
      int n = 0;
      // Runs are in the order of their lanes; the last one of a vector may go on in the next.
      for (; r < count && runs[r].lane < first + L; ++r) {
        const Reach reach = reach_of(v, runs[r], v.taps[t], STEP);
        const int64_t shift = runs[r].lane - first, lo = shift + reach.lo < 0 ? 0 : shift + reach.lo;
        const int64_t hi = shift + reach.hi > L ? L : shift + reach.hi;
        if (hi > lo) pieces[n++] = {reach.offset - shift * STEP, (1u << hi) - (1u << lo)};
        if (runs[r].lane + runs[r].len > first + L) break;
      }
      T* to = panel + t * ld + first;
      const T* from = src;
      for (int64_t k = 0; k < channels; ++k, to += v.num_taps * ld, from += plane) {
        Vec<T> x = n > 0 ? load_piece<T, STEP>(from + pieces[0].offset, pieces[0].lanes, numbers) : Vec<T>{};
        for (int i = 1; i < n; ++i)  // lanes are disjoint, zero elsewhere
          x = (Vec<T>)((Mask<T>)x | (Mask<T>)load_piece<T, STEP>(from + pieces[i].offset, pieces[i].lanes, numbers));
        store<T>(to, x);
      }
    }
  }
}
#endif

// Packs channels [k0, k1) of the pixels in `runs`: panel[((k - k0) * num_taps + t) * ld + lane]. Lanes past the last
// pixel are zeroed up to a whole vector.
template <class T>
static void pack_runs(const View& v, int64_t group, const Run* runs, int count, T* panel, int64_t ld, int64_t k0,
                      int64_t k1) {
  const int64_t plane = v.src_h * v.src_w;
  const T* src = static_cast<const T*>(v.src) + (group * v.k_channels + k0) * plane;
  const int n = runs[count - 1].lane + runs[count - 1].len, width = (n + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
#if defined(FASTDL_ISA_avx512)
  if (v.step_x == 1) return pack_pieces<T, 1>(v, src, runs, count, width, panel, ld, k1 - k0);
  if (v.step_x == 2) return pack_pieces<T, 2>(v, src, runs, count, width, panel, ld, k1 - k0);
#endif
  for (int64_t t = 0; t < v.num_taps; ++t) {
    for (int r = 0; r < count; ++r) {
      const Run run = runs[r];
      const Reach reach = reach_of(v, run, v.taps[t], v.step_x);
      const int lo = static_cast<int>(reach.lo), hi = static_cast<int>(reach.hi);
      const int end = r == count - 1 ? width - run.lane : run.len;
      const T* from = src + reach.offset + lo * v.step_x;
      T* to = panel + t * ld + run.lane;
      for (int64_t k = k0; k < k1; ++k, from += plane, to += v.num_taps * ld) {
        if (lo > 0) fill_zeros(to, lo);
        if (hi > lo) copy_steps(to + lo, from, v.step_x, hi - lo);
        if (hi < end) fill_zeros(to + hi, end - hi);
      }
    }
  }
}

// The view of the forward pass; `taps` has room for kernel_h * kernel_w.
static inline View forward_view(const Conv2dGeometry& g, DType dtype, Tap* taps) {
  View v{};
  v.dtype = dtype;
  v.batch = g.batch, v.groups = g.groups;
  v.m_channels = g.out_channels / g.groups, v.k_channels = g.in_channels / g.groups;
  v.src_h = g.in_h, v.src_w = g.in_w, v.rows = g.out_h, v.cols = g.out_w;
  v.step_y = g.stride_h, v.step_x = g.stride_w;
  for (int64_t r = 0; r < g.kernel_h; ++r)
    for (int64_t s = 0; s < g.kernel_w; ++s)
      taps[v.num_taps++] = {r * g.dilation_h - g.pad_top, s * g.dilation_w - g.pad_left, r * g.kernel_w + s};
  v.taps = taps;
  v.out_plane = g.out_h * g.out_w, v.out_y = g.out_w, v.out_x = 1;
  const int64_t kernel = g.kernel_h * g.kernel_w;
  v.weight_m = v.k_channels * kernel, v.weight_k = kernel, v.weight_group = v.m_channels * v.weight_m;
  return v;
}

// The view of the input's gradient at pixels (y0 + i * stride_h, x0 + j * stride_w).
static inline View gradient_view(const Conv2dGeometry& g, DType dtype, int64_t y0, int64_t x0, Tap* taps) {
  View v{};
  v.dtype = dtype;
  v.batch = g.batch, v.groups = g.groups;
  v.m_channels = g.in_channels / g.groups, v.k_channels = g.out_channels / g.groups;
  v.src_h = g.out_h, v.src_w = g.out_w;
  v.rows = (g.in_h - y0 + g.stride_h - 1) / g.stride_h, v.cols = (g.in_w - x0 + g.stride_w - 1) / g.stride_w;
  v.step_y = v.step_x = 1;
  for (int64_t r = 0; r < g.kernel_h; ++r) {
    const int64_t y = y0 + g.pad_top - r * g.dilation_h;
    if (y % g.stride_h != 0) continue;
    for (int64_t s = 0; s < g.kernel_w; ++s) {
      const int64_t x = x0 + g.pad_left - s * g.dilation_w;
      if (x % g.stride_w == 0) taps[v.num_taps++] = {y / g.stride_h, x / g.stride_w, r * g.kernel_w + s};
    }
  }
  v.taps = taps;
  v.out_plane = g.in_h * g.in_w, v.out_start = y0 * g.in_w + x0;
  v.out_y = g.stride_h * g.in_w, v.out_x = g.stride_w;
  const int64_t kernel = g.kernel_h * g.kernel_w;
  v.weight_m = kernel, v.weight_k = v.m_channels * kernel, v.weight_group = v.k_channels * v.weight_k;
  return v;
}

// A 1x1 kernel that reads exactly the pixels it makes needs no rows: the whole plane is one run.
static inline void join_rows(View& v) {
  const bool same = v.num_taps == 1 && v.taps[0].dy == 0 && v.taps[0].dx == 0 && v.step_y == 1 && v.step_x == 1 &&
                    v.src_h == v.rows && v.src_w == v.cols && v.out_x == 1 && v.out_y == v.cols;
  if (!same) return;
  v.cols = v.src_w = v.rows * v.cols;
  v.rows = v.src_h = 1;
}

// Into how many parts the channels of a block are cut, `most` at most: 1 where the blocks are enough for all threads or
// come out even, since each part of a block packs its pixels. (No sum depends on it.)
constexpr int64_t kThreadChunks = 4;  // of a thread, to share out evenly what does not come out even
static inline int64_t channel_parts(int64_t blocks, int64_t most) {
  const int64_t threads = get_num_threads();
  if (blocks >= kThreadChunks * threads || blocks % threads == 0 || most < 1) return 1;
  return most < threads ? most : threads;
}

// The direct algorithms: `conv_direct` chooses. `conv_panels` serves every view, the others those that a function of
// theirs names. A kernel that packs weights in an order of its own has a function that does it beforehand, into memory
// for so many numbers: `View::prepared` then.
void conv_direct(View& v);
void conv_panels(const View& v);
int64_t panel_weights(const View& v);
void prepare_panels(const View& v, void* to);
int64_t lane_weights(const View& v);
void prepare_lanes(const View& v, void* to);
bool planes_serve(const View& v);
void conv_planes(const View& v);
bool raster_serves(const View& v);
void conv_raster(const View& v);
bool channels_serve(const View& v, bool kept);  // kept: where weights may be packed beforehand
void conv_channels(const View& v);
bool strassen_serves(const View& v);  // with prepared weights alone
int64_t strassen_weights(const View& v);
void prepare_strassen(const View& v, void* to);
void conv_strassen(const View& v);
bool amx_serves_view(const View& v, bool kept);  // on the tile unit
int64_t amx_weights(const View& v);
void prepare_amx(const View& v, void* to);
void conv_amx(const View& v);
// Images with channels innermost (conv2d_nchwc-inl.h):
void prepare_nchwc(const View& v, void* to);
void conv_nchwc(const View& v);
bool nchwc_amx_serves(const View& v, bool kept);
int64_t nchwc_amx_weights(const View& v);
void prepare_nchwc_amx(const View& v, void* to);
void conv_nchwc_amx(const View& v);
bool nchwc_strassen_serves(const View& v);  // with prepared weights alone
int64_t nchwc_strassen_weights(const View& v);
void prepare_nchwc_strassen(const View& v, void* to);
void conv_nchwc_strassen(const View& v);
bool nchwc_depthwise_serves(const View& v);
int64_t nchwc_depthwise_weights(const View& v);
void prepare_nchwc_depthwise(const View& v, void* to);
void conv_nchwc_depthwise(const View& v);
void conv_nchwc_few(const View& v);  // from NCHW; with prepare_lanes
bool pixels_serve(const View& v);
void conv_pixels(const View& v);
void weight_gradient_panels(const Conv2dBwdWeightArgs& p);
bool lanes_serve_weights(DType dtype, const Conv2dGeometry& g);
void weight_gradient_lanes(const Conv2dBwdWeightArgs& p);
bool planes_serve_weights(const Conv2dGeometry& g);
void weight_gradient_planes(const Conv2dBwdWeightArgs& p);

}  // namespace fastdl::FASTDL_ISA
