// RoIAlign on the CPU, separable: the weight of a cell in a bin is the product of one weight along y and one along x
// (roi_align_taps-inl.h), so each RoI is two passes, and both are weighted sums of rows of kBlock channels:
//
//   forward    rows[x] = sum of wy * map[y][x] over the cells y of a row of bins       (whole rows of the RoI)
//              bin     = sum of wx * rows[x]   over the cells x of the bin
//   backward   columns[row of bins][x] = sum of wx * grad[bin] over the bins that read column x
//              map[y][x]              += sum of wy * columns   over the rows of bins that read row y
//
// Backward, each cell of a RoI is added to once, in registers: lists by cell say which bins read it. Nothing scatters.
// Maps have channels innermost (cpu/roi-inl.h); a task owns kBlock channels of one image.
#include "cpu/roi-inl.h"
#include "ops/roi_align/roi_align.h"
#include "ops/roi_align/roi_align_taps-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kTapRois = 64;  // RoIs of a chunk when lists are made

// ---- the lists of all RoIs ------------------------------------------------------------------------------------------

namespace {

// Lists along one axis for every RoI: one a bin, or (for gradients) one a cell.
template <class T>
class AxisTable {
 public:
  AxisTable(const RoiAlignGeometry& g, const T* rois, int64_t column, int64_t bins, int64_t size, bool by_cell)
      : g_(g),
        rois_(rois),
        column_(column),
        bins_(bins),
        size_(size),
        by_cell_(by_cell),
        room_(bins * most_taps()),
        groups_(by_cell ? size : bins),
        taps_(g.rois * room_),
        starts_(g.rois * (groups_ + 1)),
        cells_(2 * g.rois) {}

  void fill(int64_t begin, int64_t end) {
    Scratch<Tap<T>> taps(by_cell_ ? room_ : 0);
    Scratch<int32_t> starts(by_cell_ ? bins_ + 1 : 0);
    for (int64_t k = begin; k < end; ++k) {
      const RoiAxis<T> a = axis(k);
      Tap<T>* const out = taps_ + k * room_;
      int32_t *const out_starts = starts_ + k * (groups_ + 1), *const cells = cells_ + 2 * k;
      Tap<T>* const by_bin = by_cell_ ? taps.get() : out;
      int32_t* const bin_starts = by_cell_ ? starts.get() : out_starts;
      const int32_t count = fill_bins<T>(a, bins_, size_, 1 / a.samples, bin_starts, by_bin);
      find_cells<T>(by_bin, count, cells[0], cells[1]);
      if (by_cell_) list_by_cell<T>(bin_starts, by_bin, bins_, cells[0], cells[1], out_starts, out);
    }
  }

  TapLists<T> operator[](int64_t k) const {
    return {starts_ + k * (groups_ + 1), taps_ + k * room_, cells_[2 * k], cells_[2 * k + 1]};
  }

 private:
  RoiAxis<T> axis(int64_t k) const {
    return roi_axis<T>(g_, rois_[5 * k + column_], rois_[5 * k + column_ + 2], bins_, RoundedProduct{});
  }
  // Of a bin: two a sample, and no more than there are cells.
  int64_t most_taps() const {
    T samples = 0;
    for (int64_t k = 0; k < g_.rois; ++k) samples = axis(k).samples > samples ? axis(k).samples : samples;
    return 2 * samples < static_cast<T>(size_) ? static_cast<int64_t>(2 * samples) : size_;
  }

  const RoiAlignGeometry& g_;
  const T* rois_;
  const int64_t column_, bins_, size_;
  const bool by_cell_;
  const int64_t room_, groups_;  // taps and lists of a RoI
  Scratch<Tap<T>> taps_;
  Scratch<int32_t> starts_, cells_;
};

// Everything that does not depend on channels.
template <class T>
class Plan {
 public:
  Plan(const RoiAlignGeometry& g, const T* rois, bool by_cell)
      : g_(g),
        y(g, rois, 2, g.out_h, g.h, by_cell),
        x(g, rois, 1, g.out_w, g.w, by_cell),
        first_(g.images + 1),
        order_(g.rois),
        touched_(g.images * g.h) {
    parallel_for(g.rois, kTapRois, [&](int64_t begin, int64_t end) { y.fill(begin, end), x.fill(begin, end); });
    sort_by_image<T>(rois, g.rois, g.images, {first_, order_});
    for (int64_t i = 0; i < g.images * g.h; ++i) touched_[i] = {0, 0};
    for (int64_t image = 0; image < g.images; ++image)
      for_each_roi(image, [&](int64_t k, int64_t) {
        for (int32_t row = y[k].begin; row < y[k].end; ++row) touched_[image * g.h + row].add(x[k].begin, x[k].end);
      });
  }

  // body(RoI, the one after it)
  template <class Body>
  void for_each_roi(int64_t image, Body body) const {
    const int64_t last = first_[image + 1] - 1;
    for (int64_t i = first_[image]; i <= last; ++i) body(order_[i], order_[i < last ? i + 1 : i]);
  }
  // Those from `channel` on, at most `most`.
  Planes<T> planes(int64_t image, int64_t channel, int64_t most) const {
    const int64_t left = g_.channels - channel;
    return {left < most ? left : most, g_.h, g_.w, touched_ + image * g_.h};
  }

 private:
  const RoiAlignGeometry& g_;

 public:
  AxisTable<T> y, x;

 private:
  Scratch<int64_t> first_;
  Scratch<int32_t> order_;
  Scratch<Span> touched_;
};

}  // namespace

// ---- weighted sums of rows ------------------------------------------------------------------------------------------

template <class T, int V, int kTaps>
FASTDL_INLINE void combine_few(const Tap<T>* taps, const T* from, int64_t stride, int64_t n, bool add, T* out) {
  constexpr int L = kLanes<T>;
  Vec<T> weight[kTaps];
  const T* row[kTaps];
#pragma GCC unroll 4
  for (int t = 0; t < kTaps; ++t) weight[t] = broadcast<T>(taps[t].weight), row[t] = from + taps[t].at * stride;
  for (int64_t i = 0; i < n; i += kBlock<T, V>) {
    Vec<T> sum[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[v] = add ? load<T>(out + i + v * L) : Vec<T>{};
#pragma GCC unroll 4
    for (int t = 0; t < kTaps; ++t)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[v] += weight[t] * load<T>(row[t] + i + v * L);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store<T>(out + i + v * L, sum[v]);
  }
}

// out[i] = (out[i] if add) + sum over the taps of list `at` of weight * from[tap * stride + i], for i < n, which is a
// multiple of kBlock.
template <class T, int V>
FASTDL_INLINE void combine(const TapLists<T>& lists, int64_t at, const T* from, int64_t stride, int64_t n, bool add,
                           T* out) {
  const Tap<T>* taps = lists.list(at);
  int count = lists.count(at);
  if (count == 0 && !add) __builtin_memset(out, 0, static_cast<size_t>(n) * sizeof(T));
  for (; count > 0; count -= 4, taps += 4, add = true) {
    if (count == 1)
      combine_few<T, V, 1>(taps, from, stride, n, add, out);
    else if (count == 2)
      combine_few<T, V, 2>(taps, from, stride, n, add, out);
    else if (count == 3)
      combine_few<T, V, 3>(taps, from, stride, n, add, out);
    else
      combine_few<T, V, 4>(taps, from, stride, n, add, out);
  }
}

// ---- one RoI --------------------------------------------------------------------------------------------------------

template <class T, int V>
static void pool_roi(const RoiAlignGeometry& g, const TapLists<T>& y, const TapLists<T>& x, const T* block, T* rows,
                     T* tile) {
  constexpr int64_t B = kBlock<T, V>;
  for (int64_t oy = 0; oy < g.out_h; ++oy) {
    combine<T, V>(y, oy, block + x.begin * B, g.w * B, (x.end - x.begin) * B, false, rows);
    for (int64_t ox = 0; ox < g.out_w; ++ox)
      combine<T, V>(x, ox, rows - x.begin * B, B, B, false, tile + (oy * g.out_w + ox) * B);
  }
}

// What the next RoI reads from memory. Transposition jumps through it, which no hardware prefetch follows.
struct Ahead {
  const void* data;
  int64_t bytes;
};
FASTDL_INLINE void fetch_part(const Ahead& a, int64_t part, int64_t parts) {
  const char* p = static_cast<const char*>(a.data);
  for (int64_t at = a.bytes * part / parts; at < a.bytes * (part + 1) / parts; at += 64)
    __builtin_prefetch(p + at, 0, 2);
}

template <class T, int V>
static void unpool_roi(const RoiAlignGeometry& g, const TapLists<T>& y, const TapLists<T>& x, const T* tile,
                       const Ahead& ahead, T* columns, T* block) {
  constexpr int64_t B = kBlock<T, V>;
  const int64_t width = x.end - x.begin;
  for (int64_t oy = 0; oy < g.out_h; ++oy) {
    fetch_part(ahead, oy, g.out_h);
    for (int64_t i = 0; i < width; ++i)
      combine<T, V>(x, i, tile + oy * g.out_w * B, B, B, false, columns + (oy * width + i) * B);
  }
  for (int64_t row = y.begin; row < y.end; ++row)
    combine<T, V>(y, row - y.begin, columns, width * B, width * B, true, block + (row * g.w + x.begin) * B);
}

// ---- all RoIs -------------------------------------------------------------------------------------------------------

template <class T, int V>
static void forward(const RoiAlignFwdArgs& a) {
  const RoiAlignGeometry& g = a.g;
  const int64_t bins = g.out_h * g.out_w, plane = g.h * g.w;
  const bool streams = g.rois * g.channels * bins * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  const Plan<T> plan(g, static_cast<const T*>(a.rois), false);
  for_each_block<T, V>(g.images, g.channels, [&](int64_t image, int64_t channel) {
    const Planes<T> planes = plan.planes(image, channel, kBlock<T, V>);
    Scratch<T> block(plane * kBlock<T, V>), rows(g.w * kBlock<T, V>), tile(bins * kBlock<T, V>),
        buffer(bins * kBlock<T, V>);
    block_planes<T, V>(planes, static_cast<const T*>(a.x) + (image * g.channels + channel) * plane, block);
    plan.for_each_roi(image, [&](int64_t k, int64_t) {
      pool_roi<T, V>(g, plan.y[k], plan.x[k], block, rows, tile);
      T* const out = static_cast<T*>(a.out) + (k * g.channels + channel) * bins;
      store_bins<T, V>(tile, bins, planes.channels, streams, buffer, out);
    });
    if (streams) store_fence();
  });
}

template <class T, int V>
static void backward(const RoiAlignBwdArgs& a) {
  const RoiAlignGeometry& g = a.g;
  const int64_t bins = g.out_h * g.out_w, plane = g.h * g.w;
  const Plan<T> plan(g, static_cast<const T*>(a.rois), true);
  for_each_block<T, V>(g.images, g.channels, [&](int64_t image, int64_t channel) {
    const Planes<T> planes = plan.planes(image, channel, kBlock<T, V>);
    Scratch<T> block(plane * kBlock<T, V>), columns(g.out_h * g.w * kBlock<T, V>), tile(bins * kBlock<T, V>);
    clear_block<T, V>(planes, block);
    const auto grad = [&](int64_t k) { return static_cast<const T*>(a.grad) + (k * g.channels + channel) * bins; };
    plan.for_each_roi(image, [&](int64_t k, int64_t next) {
      transpose_matrix<T>(grad(k), bins, planes.channels, bins, tile, kBlock<T, V>);
      unpool_roi<T, V>(g, plan.y[k], plan.x[k], tile,
                       Ahead{grad(next), bins * planes.channels * static_cast<int64_t>(sizeof(T))}, columns, block);
    });
    unblock_planes<T, V>(planes, block, static_cast<T*>(a.grad_x) + (image * g.channels + channel) * plane);
  });
}

// Images are checked before anything is read through them.
template <class T>
static bool images_exist(const RoiAlignGeometry& g, const void* rois, int64_t* bad_roi) {
  Scratch<int64_t> first(g.images + 1);
  Scratch<int32_t> order(g.rois);
  *bad_roi = sort_by_image<T>(static_cast<const T*>(rois), g.rois, g.images, {first, order});
  return *bad_roi == 0;
}

void roi_align_fwd(const RoiAlignFwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (!images_exist<T>(a.g, a.rois, a.bad_roi)) return;
    with_block_vectors<T>(a.g.channels, [&](auto v) { forward<T, v>(a); });
  });
}

void roi_align_bwd(const RoiAlignBwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (!images_exist<T>(a.g, a.rois, a.bad_roi)) return;
    with_block_vectors<T>(a.g.channels, [&](auto v) { backward<T, v>(a); });
  });
}

}  // namespace fastdl::FASTDL_ISA
