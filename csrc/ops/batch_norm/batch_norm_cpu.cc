// Batch normalisation on the CPU: memory is read once and written once in training too.
//
// A channel's moments are summed in pieces (cpu/moments-inl.h). The channel as a whole (some hundred KB) is then still
// in L2, from where the output pass reads it. The gradient has the same two steps: sums, then grad_x, from the last
// piece back to the first, because the last ones are what L2 still holds of two operands.
//
// A chunk owns whole channels. Few channels with many numbers are cut into parts by shape: all parts are summed, then
// all are written. Planes of one number (inputs of two dimensions) are columns of a matrix: lanes are channels there.
#include "cpu/map-inl.h"
#include "cpu/moments-inl.h"
#include "cpu/parallel.h"
#include "ops/batch_norm/batch_norm.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kRowBlock = 64;  // rows that columns add up before they add to the total

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T>
struct Line {
  T mean, scale, bias;
  __attribute__((always_inline)) Vec<T> operator()(Vec<T> x) const { return (x - mean) * scale + bias; }
};
template <class T>
static Line<T> line_of(const BatchNormFwdArgs& a, int64_t channel) {
  const T rstd = as<T>(a.rstd)[channel];
  return {as<T>(a.mean)[channel], a.weight ? rstd * as<T>(a.weight)[channel] : rstd,
          a.bias ? as<T>(a.bias)[channel] : T{0}};
}

// `next`: how far away the numbers of the next channel are, which are asked for; 0 for none.
template <class T>
static void normalise(const BatchNormFwdArgs& a, int64_t channel, int64_t begin, int64_t end, bool streams,
                      int64_t next) {
  const Line<T> line = line_of<T>(a, channel);
  for_runs(channel_of(a, channel), begin, end, [=](int64_t at, int64_t size) FASTDL_BODY {
    const T* const x = as<T>(a.x) + at;
    map_run<T>(as<T>(a.out) + at, size, streams, [=](int64_t i, auto left) FASTDL_BODY {
      if (next) ask_for_next(x + i + next);
      return line(load_some<T>(x + i, left));
    });
  });
}

template <class T>
static void move_towards(void* running, int64_t channel, double momentum, double value) {
  T& r = as<T>(running)[channel];
  r = static_cast<T>((1 - momentum) * static_cast<double>(r) + momentum * value);
}

template <class T>
static void set_statistics(const BatchNormFwdArgs& a, int64_t channel, const Moments& m) {
  const double var = m.m2 / m.count;
  as<T>(a.mean)[channel] = static_cast<T>(m.mean);
  as<T>(a.rstd)[channel] = static_cast<T>(1 / __builtin_sqrt(var + a.eps));
  if (a.running_mean) move_towards<T>(a.running_mean, channel, a.momentum, m.mean);
  if (a.running_var) move_towards<T>(a.running_var, channel, a.momentum, m.m2 / (m.count - 1));
}

template <class Args>
static bool streams_of(const Args& a) {
  return a.batch * a.channels * a.plane * static_cast<int64_t>(itemsize(a.dtype)) >= kStreamBytes &&
         a.plane >= kStreamedPlane;
}

template <class T>
static void train_planes(const BatchNormFwdArgs& a) {
  const bool streams = streams_of(a), whole = a.channels >= kManyChannels;
  const bool two_fit = a.batch * a.plane * static_cast<int64_t>(sizeof(T)) <= kAheadBytes;
  const bool asks = kAsksForNext && streams && whole && two_fit;
  for_channels<Moments>(
      a,
      [&](int64_t c, int64_t begin, int64_t end, const Moments* before)
          FASTDL_BODY { return piece_moments<T>(as<T>(a.x), channel_of(a, c), begin, end, before); },
      [&](int64_t c, const Moments& m) FASTDL_BODY { set_statistics<T>(a, c, m); },
      [&](int64_t c, int64_t begin, int64_t end)
          FASTDL_BODY { normalise<T>(a, c, begin, end, streams, asks && c + 1 < a.channels ? a.plane : 0); });
}

// Planes in the order of memory.
template <class T>
static void evaluate_planes(const BatchNormFwdArgs& a) {
  const bool streams = streams_of(a);
  parallel_for(a.batch * a.channels, kGrain / a.plane + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Line<T> line = line_of<T>(a, i % a.channels);
      map<T>(
          as<T>(a.out) + i * a.plane, a.plane, streams, [=](Vec<T> x) FASTDL_BODY { return line(x); },
          Elements<T>{as<T>(a.x) + i * a.plane});
    }
    store_fence();
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// grad_x = scale * (grad - mean_grad) - slope * (x - mean); mean_grad and slope are 0 outside training.
template <class T>
struct GradLine {
  T scale, mean_grad, slope, mean;
};
template <class T>
static GradLine<T> grad_line(const BatchNormBwdArgs& a, int64_t channel) {
  const T rstd = as<T>(a.rstd)[channel], scale = a.weight ? rstd * as<T>(a.weight)[channel] : rstd;
  const T count = static_cast<T>(a.batch * a.plane);
  return {scale, as<T>(a.grad_bias)[channel] / count, scale * rstd * (as<T>(a.grad_weight)[channel] / count),
          as<T>(a.mean)[channel]};
}

template <class T>
static void grad_input(const BatchNormBwdArgs& a, int64_t channel, int64_t begin, int64_t end, bool streams) {
  const T *const g = as<T>(a.grad), *const x = as<T>(a.x);
  T* const grad_x = as<T>(a.grad_x);
  const GradLine<T> line = grad_line<T>(a, channel);
  for_runs(channel_of(a, channel), begin, end, [=](int64_t at, int64_t size) FASTDL_BODY {
    if (a.train)
      map_run<T>(grad_x + at, size, streams, [=](int64_t i, auto left) FASTDL_BODY {
        const Vec<T> deviation = load_some<T>(x + at + i, left) - line.mean;
        return line.scale * (load_some<T>(g + at + i, left) - line.mean_grad) - line.slope * deviation;
      });
    else
      map_run<T>(grad_x + at, size, streams,
                 [=](int64_t i, auto left) FASTDL_BODY { return line.scale * load_some<T>(g + at + i, left); });
  });
}

template <class T>
static void backward_planes(const BatchNormBwdArgs& a) {
  const bool streams = streams_of(a);
  for_channels<GradSums>(
      a,
      [&](int64_t c, int64_t begin, int64_t end, const GradSums*) FASTDL_BODY {
        return piece_grad_sums<T>(as<T>(a.grad), as<T>(a.x), channel_of(a, c), as<T>(a.mean)[c], begin, end);
      },
      [&](int64_t c, const GradSums& s) FASTDL_BODY {
        as<T>(a.grad_bias)[c] = static_cast<T>(s.grad);
        as<T>(a.grad_weight)[c] = static_cast<T>(s.moment * static_cast<double>(as<T>(a.rstd)[c]));
      },
      [&](int64_t c, int64_t begin, int64_t end) FASTDL_BODY {
        if (a.grad_x) grad_input<T>(a, c, begin, end, streams);
      });
}

// ---- planes of one number: columns of a matrix ----------------------------------------------------------------------

// sums[q][v] = sums down the columns of what add(v, p, lanes, block) adds to block[q][v]; p: distance from x[0][first].
template <class T, int kSums, int kVectors, class F>
FASTDL_INLINE void sum_columns(int64_t rows, int64_t stride, int64_t left, Vec<T> (&sums)[kSums][kVectors], F add) {
  for (int64_t r = 0; r < rows; r += kRowBlock) {
    Vec<T> block[kSums][kVectors]{};
    for_tile<T, kVectors>(smaller(kRowBlock, rows - r), stride, left,
                          [&](int v, int64_t p, int64_t lanes, int64_t)
                              FASTDL_BODY { add(v, r * stride + p, lanes, block); });
    for (int q = 0; q < kSums; ++q)
      for (int v = 0; v < kVectors; ++v) sums[q][v] += block[q][v];
  }
}

// Of (C,) parameters: kVectors vectors from `first` on, or `otherwise` where there are none.
template <class T, int kVectors>
FASTDL_INLINE void load_columns(const void* p, int64_t first, int64_t left, T otherwise, Vec<T> (&to)[kVectors]) {
  for (int v = 0; v < kVectors; ++v)
    to[v] = p ? load_some<T>(as<T>(p) + first + v * kLanes<T>, left - v * kLanes<T>) : broadcast<T>(otherwise);
}
template <class T, int kVectors>
FASTDL_INLINE void store_columns(void* p, int64_t first, int64_t left, const Vec<T> (&from)[kVectors]) {
  for (int v = 0; v < kVectors; ++v) store_some<T>(as<T>(p) + first + v * kLanes<T>, from[v], left - v * kLanes<T>);
}
template <class T, int kVectors>
FASTDL_INLINE void move_columns(void* running, int64_t first, int64_t left, double momentum,
                                const Vec<T> (&value)[kVectors]) {
  if (!running) return;
  Vec<T> r[kVectors];
  load_columns<T>(running, first, left, T{0}, r);
  for (int v = 0; v < kVectors; ++v) r[v] = static_cast<T>(1 - momentum) * r[v] + static_cast<T>(momentum) * value[v];
  store_columns<T>(running, first, left, r);
}

template <class T, int kVectors>
static void train_statistics(const BatchNormFwdArgs& a, int64_t first, int64_t left) {
  const T *const x = as<T>(a.x) + first, n = static_cast<T>(a.batch);
  Vec<T> sum[1][kVectors]{}, deviations[2][kVectors]{}, mean[kVectors], rstd[kVectors], unbiased[kVectors];
  sum_columns<T>(a.batch, a.channels, left, sum, [&](int v, int64_t p, int64_t lanes, auto& block) FASTDL_BODY {
    block[0][v] += load_some<T>(x + p, lanes);
  });
  for (int v = 0; v < kVectors; ++v) mean[v] = sum[0][v] / n;
  sum_columns<T>(a.batch, a.channels, left, deviations, [&](int v, int64_t p, int64_t lanes, auto& block) FASTDL_BODY {
    const Vec<T> d = load_some<T>(x + p, lanes) - mean[v];
    block[0][v] += d;
    block[1][v] += d * d;
  });
  for (int v = 0; v < kVectors; ++v) {
    const Vec<T> off = deviations[0][v] / n;
    const Vec<T> m2 = max_number<T>(deviations[1][v] - deviations[0][v] * off, Vec<T>{});
    mean[v] += off;
    rstd[v] = T{1} / vsqrt<T>(m2 / n + static_cast<T>(a.eps));
    unbiased[v] = m2 / (n - 1);
  }
  store_columns<T>(a.mean, first, left, mean);
  store_columns<T>(a.rstd, first, left, rstd);
  move_columns<T>(a.running_mean, first, left, a.momentum, mean);
  move_columns<T>(a.running_var, first, left, a.momentum, unbiased);
}

template <class T, int kVectors>
static void forward_tile(const BatchNormFwdArgs& a, int64_t first, int64_t left) {
  if (a.train) train_statistics<T, kVectors>(a, first, left);
  const T* const x = as<T>(a.x) + first;
  T* const out = as<T>(a.out) + first;
  Vec<T> mean[kVectors], scale[kVectors], weight[kVectors], bias[kVectors];
  load_columns<T>(a.mean, first, left, T{0}, mean);
  load_columns<T>(a.rstd, first, left, T{1}, scale);
  load_columns<T>(a.weight, first, left, T{1}, weight);
  load_columns<T>(a.bias, first, left, T{0}, bias);
  for (int v = 0; v < kVectors; ++v) scale[v] *= weight[v];
  for_tile<T, kVectors>(a.batch, a.channels, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    store_some<T>(out + p, (load_some<T>(x + p, lanes) - mean[v]) * scale[v] + bias[v], lanes);
  });
}

template <class T, int kVectors>
static void backward_tile(const BatchNormBwdArgs& a, int64_t first, int64_t left) {
  const T *const g = as<T>(a.grad) + first, *const x = as<T>(a.x) + first;
  const T n = static_cast<T>(a.batch);
  Vec<T> sums[2][kVectors]{}, mean[kVectors], rstd[kVectors], scale[kVectors];
  load_columns<T>(a.mean, first, left, T{0}, mean);
  load_columns<T>(a.rstd, first, left, T{1}, rstd);
  load_columns<T>(a.weight, first, left, T{1}, scale);
  sum_columns<T>(a.batch, a.channels, left, sums, [&](int v, int64_t p, int64_t lanes, auto& block) FASTDL_BODY {
    const Vec<T> grad = load_some<T>(g + p, lanes);
    block[0][v] += grad;
    block[1][v] += grad * (load_some<T>(x + p, lanes) - mean[v]);
  });
  for (int v = 0; v < kVectors; ++v) sums[1][v] *= rstd[v], scale[v] *= rstd[v];
  store_columns<T>(a.grad_bias, first, left, sums[0]);
  store_columns<T>(a.grad_weight, first, left, sums[1]);
  if (!a.grad_x) return;
  Vec<T> mean_grad[kVectors]{}, slope[kVectors]{};
  if (a.train)
    for (int v = 0; v < kVectors; ++v) mean_grad[v] = sums[0][v] / n, slope[v] = scale[v] * rstd[v] * (sums[1][v] / n);
  T* const grad_x = as<T>(a.grad_x) + first;
  for_tile<T, kVectors>(a.batch, a.channels, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    const Vec<T> grad = load_some<T>(g + p, lanes) - mean_grad[v];
    store_some<T>(grad_x + p, scale[v] * grad - slope[v] * (load_some<T>(x + p, lanes) - mean[v]), lanes);
  });
}

// tile(vectors, first, left) over the columns.
template <class T, class Args, class Tile>
FASTDL_INLINE void for_columns(const Args& a, Tile tile) {
  constexpr int64_t kTile = kTileVectors * kLanes<T>;
  const int64_t tiles = (a.channels + kTile - 1) / kTile;
  parallel_for(tiles, kGrain / (a.batch * kTile) + 1, [&](int64_t begin, int64_t end) {
    for_column_tiles<T>(begin * kTile, smaller(end * kTile, a.channels), tile);
  });
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T>
static void copy_statistics(const BatchNormFwdArgs& a) {
  for (int64_t c = 0; c < a.channels; ++c) {
    as<T>(a.mean)[c] = as<T>(a.running_mean)[c];
    as<T>(a.rstd)[c] = static_cast<T>(1 / __builtin_sqrt(static_cast<double>(as<T>(a.running_var)[c]) + a.eps));
  }
}

// What a batch without elements leaves.
template <class T>
static void set_zero(void* p, int64_t n) {
  for (int64_t i = 0; i < n; ++i) as<T>(p)[i] = T{0};
}

void batch_norm_fwd(const BatchNormFwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (!a.train) copy_statistics<T>(a);
    if (a.batch * a.plane == 0 && a.train) set_zero<T>(a.mean, a.channels), set_zero<T>(a.rstd, a.channels);
    if (a.batch * a.channels * a.plane == 0) return;
    if (a.plane == 1)
      for_columns<T>(a, [&](auto vectors, int64_t first, int64_t left) {
        forward_tile<T, decltype(vectors)::value>(a, first, left);
      });
    else
      a.train ? train_planes<T>(a) : evaluate_planes<T>(a);
  });
}

void batch_norm_bwd(const BatchNormBwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.batch * a.plane == 0) set_zero<T>(a.grad_weight, a.channels), set_zero<T>(a.grad_bias, a.channels);
    if (a.batch * a.channels * a.plane == 0) return;
    if (a.plane == 1)
      for_columns<T>(a, [&](auto vectors, int64_t first, int64_t left) {
        backward_tile<T, decltype(vectors)::value>(a, first, left);
      });
    else
      backward_planes<T>(a);
  });
}

}  // namespace fastdl::FASTDL_ISA
