// Group normalisation on the CPU: memory is read once and written once.
//
//   x (N, C, S), two groups   [c0 c1 c2 c3] [c0 c1 c2 c3] ...     planes of S numbers
//                             [row 0|row 1] [row 2|row 3] ...     rows of C / groups planes
//
// A row is to its statistics what a channel is in batch normalisation (cpu/moments-inl.h): summed in pieces, it is then
// still in L2, from where the output is made, plane by plane with that channel's weight and bias. The gradient sums
// each plane, from which come both the means of the row and the parameters' gradients, and writes from the last plane
// back, because the last ones are what L2 still holds of two operands.
//
// A chunk owns rows. Few rows are cut into parts (forward) or planes (backward), by shape alone.
#include "cpu/moments-inl.h"
#include "ops/group_norm/group_norm.h"

namespace fastdl::FASTDL_ISA {

// Rows as the channels of one image.
struct RowShape {
  int64_t batch, channels, plane;
};
template <class Args>
static RowShape rows_of(const Args& a) {
  return {1, a.batch * a.groups, a.channels / a.groups * a.plane};
}
template <class T, class Args>
static bool streams_of(const Args& a) {
  return a.batch * a.channels * a.plane * static_cast<int64_t>(sizeof(T)) >= kStreamBytes && a.plane >= kStreamedPlane;
}

// ---- forward --------------------------------------------------------------------------------------------------------

// Numbers [begin, end) of a row. `ahead`: how far away the numbers are that will be wanted next, 0 for none.
template <class T>
static void normalise(const GroupNormFwdArgs& a, int64_t row, int64_t begin, int64_t end, bool streams, int64_t ahead) {
  const int64_t channels = a.channels / a.groups;
  const T mean = as<T>(a.mean)[row], rstd = as<T>(a.rstd)[row];
  int64_t channel = row % a.groups * channels + begin / a.plane, size = a.plane - begin % a.plane;
  for (int64_t i = begin; i < end; i += size, size = a.plane, ++channel) {
    size = smaller(size, end - i);
    const T* const x = as<T>(a.x) + row * channels * a.plane + i;
    T* const out = as<T>(a.out) + row * channels * a.plane + i;
    const T scale = a.weight ? rstd * as<T>(a.weight)[channel] : rstd, bias = a.bias ? as<T>(a.bias)[channel] : T{0};
    map_run<T>(out, size, streams, [=](int64_t k, auto left) FASTDL_BODY {
      if (ahead) ask_for_next(x + k + ahead);
      return (load_some<T>(x + k, left) - mean) * scale + bias;
    });
  }
}

template <class T>
static void forward(const GroupNormFwdArgs& a) {
  const RowShape rows = rows_of(a);
  const bool streams = streams_of<T>(a), two_fit = rows.plane * static_cast<int64_t>(sizeof(T)) <= kAheadBytes;
  for_channels<Moments>(
      rows,
      [&](int64_t row, int64_t begin, int64_t end, const Moments* before)
          FASTDL_BODY { return piece_moments<T>(as<T>(a.x), channel_of(rows, row), begin, end, before); },
      [&](int64_t row, const Moments& m) FASTDL_BODY {
        as<T>(a.mean)[row] = static_cast<T>(m.mean);
        as<T>(a.rstd)[row] = static_cast<T>(1 / __builtin_sqrt(m.m2 / m.count + a.eps));
      },
      [&](int64_t row, int64_t begin, int64_t end) FASTDL_BODY {
        normalise<T>(a, row, begin, end, streams, streams && two_fit && row + 1 < rows.channels ? rows.plane : 0);
      });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// grad_x of a plane = rstd * (weight * grad - mean_h - slope * (x - mean)).
template <class T>
struct RowLine {
  T mean_h, slope;
};

template <class T>
static GradSums plane_sums(const GroupNormBwdArgs& a, int64_t plane, T mean) {
  const Channel run{plane * a.plane, a.plane, a.plane, a.plane};
  GradSums sums{0, 0};
  for (int64_t i = 0; i < a.plane; i += kPiece)
    sums = merge(sums, piece_grad_sums<T>(as<T>(a.grad), as<T>(a.x), run, mean, i, smaller(i + kPiece, a.plane)));
  return sums;
}

template <class T>
static RowLine<T> row_line(const GroupNormBwdArgs& a, int64_t row, const GradSums* planes) {
  const int64_t channels = a.channels / a.groups;
  GradSums all{0, 0};
  for (int64_t k = 0; k < channels; ++k) {
    const double weight = a.weight ? as<T>(a.weight)[row % a.groups * channels + k] : T{1};
    all = merge(all, {weight * planes[k].grad, weight * planes[k].moment});
  }
  const double rstd = as<T>(a.rstd)[row], n = static_cast<double>(channels * a.plane);
  return {static_cast<T>(all.grad / n), static_cast<T>(rstd * rstd * all.moment / n)};
}

template <class T>
static void write_plane(const GroupNormBwdArgs& a, int64_t plane, int64_t row, RowLine<T> line, bool streams) {
  const T *const g = as<T>(a.grad) + plane * a.plane, *const x = as<T>(a.x) + plane * a.plane;
  const T mean = as<T>(a.mean)[row], rstd = as<T>(a.rstd)[row];
  const T weight = a.weight ? as<T>(a.weight)[plane % a.channels] : T{1};
  map_run<T>(as<T>(a.grad_x) + plane * a.plane, a.plane, streams, [=](int64_t i, auto left) FASTDL_BODY {
    return rstd *
           ((weight * load_some<T>(g + i, left) - line.mean_h) - line.slope * (load_some<T>(x + i, left) - mean));
  });
}

template <class T>
static void add_parameters(const GroupNormBwdArgs& a, const GradSums* sums) {
  const int64_t channels = a.channels / a.groups;
  for (int64_t c = 0; c < a.channels; ++c) {
    GradSums all{0, 0};
    for (int64_t n = 0; n < a.batch; ++n) {
      const GradSums& s = sums[n * a.channels + c];
      all = merge(all, {s.grad, s.moment * static_cast<double>(as<T>(a.rstd)[n * a.groups + c / channels])});
    }
    as<T>(a.grad_weight)[c] = static_cast<T>(all.moment);
    as<T>(a.grad_bias)[c] = static_cast<T>(all.grad);
  }
}

template <class T>
static void backward(const GroupNormBwdArgs& a) {
  const int64_t channels = a.channels / a.groups, rows = a.batch * a.groups, planes = rows * channels;
  const bool streams = streams_of<T>(a);
  const Scratch<GradSums> sums(planes);
  const auto sum = [&](int64_t plane, int64_t row) { sums[plane] = plane_sums<T>(a, plane, as<T>(a.mean)[row]); };
  if (rows >= kManyChannels || channels == 1) {
    parallel_for(rows, kGrain / (channels * a.plane) + 1, [&](int64_t row, int64_t end) {
      for (; row < end; ++row) {
        const int64_t first = row * channels;
        for (int64_t k = 0; k < channels; ++k) sum(first + k, row);
        if (!a.grad_x) continue;
        const RowLine<T> line = row_line<T>(a, row, sums + first);
        for (int64_t k = channels - 1; k >= 0; --k) write_plane<T>(a, first + k, row, line, streams);
      }
      store_fence();
    });
  } else {
    const int64_t grain = kGrain / a.plane + 1;
    parallel_for(planes, grain, [&](int64_t plane, int64_t end) {
      for (; plane < end; ++plane) sum(plane, plane / channels);
    });
    const Scratch<RowLine<T>> lines(rows);
    for (int64_t row = 0; row < rows; ++row) lines[row] = row_line<T>(a, row, sums + row * channels);
    parallel_for(a.grad_x ? planes : 0, grain, [&](int64_t plane, int64_t end) {
      for (; plane < end; ++plane) write_plane<T>(a, plane, plane / channels, lines[plane / channels], streams);
      store_fence();
    });
  }
  add_parameters<T>(a, sums);
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T>
static void set_zero(void* p, int64_t n) {
  for (int64_t i = 0; i < n; ++i) as<T>(p)[i] = T{0};
}

void group_norm_fwd(const GroupNormFwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.batch * a.channels * a.plane > 0) return forward<T>(a);
    set_zero<T>(a.mean, a.batch * a.groups), set_zero<T>(a.rstd, a.batch * a.groups);
  });
}

void group_norm_bwd(const GroupNormBwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.batch * a.channels * a.plane > 0) return backward<T>(a);
    set_zero<T>(a.grad_weight, a.channels), set_zero<T>(a.grad_bias, a.channels);
  });
}

}  // namespace fastdl::FASTDL_ISA
