// Interpolation on the CPU, one pass over memory; both directions are separable.
//
//   forward:   a source row is stretched along its columns once, into a row of the output's width in L1; rows of the
//              output are copies (nearest) or blends of two of these (bilinear)
//   backward:  the rows of gradients that reach a source row are added column by column with their weights, and then
//              the columns of that one row that reach each source column. Gathered: every run adds in one order.
//
// Sources of neighbouring outputs are neighbours, and never decrease. Where planes grow, the sources of a vector of
// outputs lie in one vector, from which a permutation of lanes picks them:
//
//   outputs   0 1 2 3 4 5 6 7      low  0 0 0 1 1 2 2 3      row  x0 x1 x2 x3 x4 x5 x6 x7
//   lanes     0 0 0 1 1 2 2 3      x[low] = permute(load(row)), x[low + 1] = permute(load(row + 1))
//
// A chunk owns bands of rows of what it writes.
#include "cpu/out_rows-inl.h"
#include "cpu/pool_indices-inl.h"
#include "ops/upsample/upsample_doubled-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// ---- tables ---------------------------------------------------------------------------------------------------------

// Where the outputs along one axis come from: source `low` and the one after it, at `weight` of the way (nearest: 0).
template <class T>
class Axis {
 public:
  template <class F>
  Axis(int64_t in, int64_t out, F source)
      : in_(in), out_(out), low_(out), first_(in + 2), weight_(out + kLanes<T>), shares_(2 * out) {
    for (int64_t o = 0; o < out; ++o) {
      const LinearSource s = source(o);
      low_[o] = s.low;
      weight_[o] = static_cast<T>(s.weight);
    }
    int64_t o = 0;
    for (int64_t i = 0; i <= in + 1; ++i) {
      while (o < out && low_[o] < i) ++o;
      first_[i] = o;
    }
    for (int64_t i = 0; i < in; ++i) {
      T* const shares = shares_ + first(i - 1) + first(i);
      for (int64_t p = first(i - 1); p < first(i + 1); ++p) shares[p - first(i - 1)] = share(p, i);
    }
  }
  int64_t low(int64_t o) const { return low_[o]; }
  int64_t high(int64_t o) const { return smaller(low_[o] + 1, in_ - 1); }
  T weight(int64_t o) const { return weight_[o]; }
  const T* weights() const { return weight_; }

  // The outputs that take from source i: [first(i - 1), first(i + 1)), as much as shares(i) says for each.
  int64_t first(int64_t i) const { return i < 0 ? 0 : first_[i]; }
  const T* shares(int64_t i) const { return shares_ + first(i - 1) + first(i); }
  T share(int64_t o, int64_t i) const { return (low(o) == i ? 1 - weight(o) : 0) + (high(o) == i ? weight(o) : 0); }

 private:
  int64_t in_, out_;
  Scratch<int64_t> low_, first_;
  Scratch<T> weight_, shares_;
};

// Stretches a row to the width of the output.
template <class T>
class Stretch {
 public:
  Stretch(const Axis<T>& columns, int64_t in, int64_t out)
      : columns_(columns), in_(in), out_(out), lanes_(out + kLanes<T>), permutes_(true) {
    for (int64_t ox = 0; ox < out; ++ox) {
      const int64_t lane = columns.low(ox) - columns.low(ox / kLanes<T> * kLanes<T>);
      lanes_[ox] = static_cast<Lane<T>>(lane);
      permutes_ = permutes_ && lane < kLanes<T>;
    }
    for (int64_t ox = out; ox < out + kLanes<T>; ++ox) lanes_[ox] = 0;
  }

  // A stretched row needs room for the rest of its last vector.
  static int64_t padded(int64_t n) { return n + kLanes<T>; }

  // kBlends: between both sources, else the low one. Beyond the row are zeros, which only a weight of 0 meets.
  template <bool kBlends>
  void operator()(const T* x, T* to) const {
    if (!permutes_) return one_by_one<kBlends>(x, to);
    for (int64_t ox = 0; ox < out_; ox += kLanes<T>) {
      const int64_t low = columns_.low(ox);
      const Mask<T> lanes = load<Lane<T>>(lanes_ + ox);
      Vec<T> v = permute_lanes<T>(load_some<T>(x + low, in_ - low), lanes);
      if constexpr (kBlends) {
        const Vec<T> w = load<T>(columns_.weights() + ox);
        v = v * (1 - w) + permute_lanes<T>(load_some<T>(x + low + 1, in_ - low - 1), lanes) * w;
      }
      store<T>(to + ox, v);
    }
  }

 private:
  template <bool kBlends>
  void one_by_one(const T* x, T* to) const {
    for (int64_t ox = 0; ox < out_; ++ox) {
      const T low = x[columns_.low(ox)], w = columns_.weight(ox);
      to[ox] = kBlends ? low * (1 - w) + x[columns_.high(ox)] * w : low;
    }
  }

  const Axis<T>& columns_;
  int64_t in_, out_;
  Scratch<Lane<T>> lanes_;
  bool permutes_;
};

template <class T>
Axis<T> nearest_axis(int64_t in, int64_t out, double scale) {
  return Axis<T>(in, out, [=](int64_t o) { return LinearSource{nearest_source(o, in, out, scale), 0}; });
}
template <class T>
Axis<T> linear_axis(int64_t in, int64_t out, bool align, double scale) {
  return Axis<T>(in, out, [=](int64_t o) { return linear_source(o, in, out, align, scale); });
}

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T>
struct ForwardRows {
  Scratch<T> even, odd;  // stretched rows lie in the buffer of their parity
  OutRows<T> out;
  int64_t held[2] = {-1, -1};  // which source rows they are
};

template <class T, bool kBlends>
void interpolate(const UpsampleArgs& a, const Axis<T>& rows, const Axis<T>& columns) {
  const Stretch<T> stretch(columns, a.in_w, a.out_w);
  const int64_t bytes = a.planes * a.out_h * a.out_w * static_cast<int64_t>(sizeof(T));
  const int64_t width = stretch.padded(a.out_w);
  for_bands(
      a.planes, a.out_h * a.out_w, a.out_h,
      [&] { return ForwardRows<T>{Scratch<T>(width), Scratch<T>(width), OutRows<T>(bytes, a.out_w)}; },
      [&](ForwardRows<T>& b, int64_t plane, int64_t begin, int64_t end) {
        const T* x = static_cast<const T*>(a.x) + plane * a.in_h * a.in_w;
        b.held[0] = b.held[1] = -1;
        const auto stretched = [&](int64_t y) __attribute__((always_inline)) {
          T* const to = y % 2 ? b.odd : b.even;
          if (b.held[y % 2] != y) stretch.template operator()<kBlends>(x + y * a.in_w, to);
          b.held[y % 2] = y;
          return to;
        };
        b.out.start(static_cast<T*>(a.out) + (plane * a.out_h + begin) * a.out_w);
        for (int64_t oy = begin; oy < end; ++oy) {
          const T *const low = stretched(rows.low(oy)), w = rows.weight(oy);
          if (kBlends && w != 0) {
            const T *const high = stretched(rows.high(oy)), rest = 1 - w;
            b.out.build(a.out_w, [=](int64_t at) __attribute__((always_inline)) {
              return load<T>(low + at) * rest + load<T>(high + at) * w;
            });
          } else {
            b.out.build(a.out_w, [=](int64_t at) __attribute__((always_inline)) { return load<T>(low + at); });
          }
        }
        b.out.finish();
      });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// The sum over the outputs of each source column, for the row of sums of one source row.
template <class T>
class Gather {
 public:
  Gather(const Axis<T>& columns, int64_t in, int64_t out)
      : columns_(columns), in_(in), doubles_(out == 2 * in), shares_(doubles_ ? 4 * padded(in) : 0) {
    if (!doubles_) return;
    for (int64_t ix = 0; ix < padded(in); ++ix)
      for (int64_t t = 0; t < 4; ++t) {
        const int64_t ox = 2 * ix - 1 + t;
        shares_[t * padded(in) + ix] = ix < in && ox >= 0 && ox < out ? columns.share(ox, ix) : 0;
      }
  }
  static int64_t padded(int64_t n) { return n + 4 * kLanes<T>; }

  // sums[-1] and the two vectors after the last are zero.
  void operator()(const T* sums, T* to) const {
    if (!doubles_) return one_by_one(sums, to);
    for (int64_t i = 0; i < in_; i += kLanes<T>) {
      const auto [at, n] = block_at<T>(i, in_);
      Vec<T> v{};
      for (int64_t t = 0; t < 4; t += 2) {  // outputs 2 * ix - 1 + t and 2 * ix + t
        const Vec<T> low = load<T>(sums + 2 * at - 1 + t), high = load<T>(sums + 2 * at - 1 + t + kLanes<T>);
        v += even_lanes<T>(low, high) * load<T>(shares_ + t * padded(in_) + at);
        v += odd_lanes<T>(low, high) * load<T>(shares_ + (t + 1) * padded(in_) + at);
      }
      store_some<T>(to + at, v, n);
    }
  }

 private:
  void one_by_one(const T* sums, T* to) const {
    for (int64_t ix = 0; ix < in_; ++ix) {
      T v = 0;
      const T* const shares = columns_.shares(ix);
      const int64_t first = columns_.first(ix - 1), n = columns_.first(ix + 1) - first;
      for (int64_t t = 0; t < n; ++t) v += sums[first + t] * shares[t];
      to[ix] = v;
    }
  }

  const Axis<T>& columns_;
  int64_t in_;
  bool doubles_;
  Scratch<T> shares_;
};

template <class T>
struct Zeros {
  Scratch<T> data;
  explicit Zeros(int64_t n) : data(n) {
    for (int64_t i = 0; i < n; ++i) data[i] = 0;
  }
};

template <class T>
void gather_gradients(const UpsampleArgs& a, const Axis<T>& rows, const Axis<T>& columns) {
  constexpr int kWidth = kLanes<T>;
  const Gather<T> gather(columns, a.in_w, a.out_w);
  const int64_t width = gather.padded(a.out_w);
  for_bands(
      a.planes, a.out_h * a.out_w, a.in_h, [&] { return Zeros<T>(width); },
      [&](Zeros<T>& buffer, int64_t plane, int64_t begin, int64_t end) {
        T* const sums = buffer.data + kWidth;
        const T* grad = static_cast<const T*>(a.x) + plane * a.out_h * a.out_w;
        for (int64_t iy = begin; iy < end; ++iy) {
          const int64_t first = rows.first(iy - 1), count = rows.first(iy + 1) - first;
          const T *const shares = rows.shares(iy), *const top = grad + first * a.out_w;
          for (int64_t ox = 0; ox < a.out_w; ox += kWidth) {
            const auto [at, n] = block_at<T>(ox, a.out_w);
            Vec<T> v{};
            for (int64_t t = 0; t < count; ++t) v += load_some<T>(top + t * a.out_w + at, n) * shares[t];
            store_some<T>(sums + at, v, n);
          }
          gather(sums, static_cast<T*>(a.out) + (plane * a.in_h + iy) * a.in_w);
        }
      });
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class F>
static void with_axes(const UpsampleArgs& a, bool blends, F&& f) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (blends)
      f(linear_axis<T>(a.in_h, a.out_h, a.align_corners, a.scale_h),
        linear_axis<T>(a.in_w, a.out_w, a.align_corners, a.scale_w), zero);
    else
      f(nearest_axis<T>(a.in_h, a.out_h, a.scale_h), nearest_axis<T>(a.in_w, a.out_w, a.scale_w), zero);
  });
}

void upsample_nearest2d_fwd(const UpsampleArgs& a) {
  if (a.planes == 0) return;
  if (doubles(a)) return visit_float(a.dtype, [&](auto zero) { double_planes<decltype(zero), false>(a); });
  with_axes(a, false, [&](const auto& rows, const auto& columns, auto zero) {
    interpolate<decltype(zero), false>(a, rows, columns);
  });
}
void upsample_nearest2d_bwd(const UpsampleArgs& a) {
  if (a.planes == 0) return;
  if (doubles(a)) {  // sums of windows of 2x2
    const PoolGeometry g{a.planes, a.out_h, a.out_w, a.in_h, a.in_w, 2, 2, 2, 2, 0, 0, 1, 1};
    return visit_float(a.dtype, [&](auto zero) {
      using T = decltype(zero);
      fold_split<T>(g, static_cast<const T*>(a.x), SumFold<T>{}, static_cast<T*>(a.out));
    });
  }
  with_axes(a, false, [&](const auto& rows, const auto& columns, auto zero) {
    gather_gradients<decltype(zero)>(a, rows, columns);
  });
}
void upsample_bilinear2d_fwd(const UpsampleArgs& a) {
  if (a.planes == 0) return;
  if (doubles_evenly(a)) return visit_float(a.dtype, [&](auto zero) { double_planes<decltype(zero), true>(a); });
  with_axes(a, true, [&](const auto& rows, const auto& columns, auto zero) {
    interpolate<decltype(zero), true>(a, rows, columns);
  });
}
void upsample_bilinear2d_bwd(const UpsampleArgs& a) {
  if (a.planes == 0) return;
  with_axes(a, true, [&](const auto& rows, const auto& columns, auto zero) {
    gather_gradients<decltype(zero)>(a, rows, columns);
  });
}

}  // namespace fastdl::FASTDL_ISA
