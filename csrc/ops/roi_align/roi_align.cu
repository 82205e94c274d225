// RoIAlign on the device, separable: the weight of a cell in a bin is one along y times one along x.
//
// First, lists: along each axis the cells that a bin reads and their weights, samples that share cells merged, so that
// 2x2 samples read 3x3 cells rather than 16; for gradients the same the other way round, the bins that read a cell.
//
//   taps of a list, list i of RoI k:   [k][tap][i], so that neighbouring lists lie side by side
//
// Who owns what. Lists: a warp an axis of a RoI, a lane a bin; the other way round a thread a cell. Forward, a thread
// owns a bin of kRoiChannels channels (cuda/roi.cuh). Backward, a thread owns a cell of kRoiChannels channels; its warp
// tests 32 RoIs at a time for whether they touch its cells, and those that do add to it in their order. Nothing
// scatters, and the bits are the same in every run.
// The limits are the loads of cells, from L1 for the most part, and of gradients. RoIs go in parts whose lists fit in
// kListBytes.
#include "cuda/boxes.cuh"
#include "cuda/reduce.cuh"
#include "cuda/roi.cuh"
#include "ops/roi_align/roi_align.h"

namespace fastdl {
namespace {

constexpr int64_t kListBytes = 64 << 20;

// As roi_align.h wants products.
struct RoundedProduct {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return rounded_product(a, b);
  }
};

// ---- lists ----------------------------------------------------------------------------------------------------------

template <class T>
using TapIndex = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;

// A cell, or in lists by cell a bin. As wide as its weight: one access reads both.
template <class T>
struct alignas(2 * sizeof(T)) Tap {
  T weight;
  TapIndex<T> at;
};

// Along one axis, for every RoI of a part.
template <class T>
struct Lists {
  Tap<T>* taps;
  int* counts;
  int lists, room;  // of a RoI; taps of a list at most

  __device__ int& count(int64_t roi, int list) const { return counts[roi * lists + list]; }
  __device__ Tap<T>* tap(int64_t roi, int list, int i) const { return taps + (roi * room + i) * lists + list; }
  __device__ Tap<T> read(int64_t roi, int list, int i) const { return load_vec<Tap<T>>(tap(roi, list, i)); }
  __device__ void write(int64_t roi, int list, int i, TapIndex<T> at, T weight) const {
    store_vec(tap(roi, list, i), Tap<T>{weight, at});
  }
};

// Cells [begin, end) that an axis of a RoI reads.
struct Span {
  int begin, end;
  __device__ bool meets(int low, int high) const { return begin <= high && low < end; }
};

// Where an axis of the RoIs lies: their corners' place in a RoI, its bins and the cells of the map.
struct AxisShape {
  int column, bins, size;
};

// Adds a weight to a cell of a list. A sample's cells are among the last three of the list: samples go along the axis,
// and from each to the one after it.
template <class T>
__device__ void add_tap(const Lists<T>& lists, int64_t roi, int bin, int& count, int cell, T weight) {
  for (int i = count - 1; i >= 0 && i >= count - 3; --i) {
    const Tap<T> tap = lists.read(roi, bin, i);
    if (tap.at == cell) return lists.write(roi, bin, i, cell, tap.weight + weight);
  }
  lists.write(roi, bin, count++, cell, weight);
}

// Returns the cells of the list.
template <class T>
__device__ Span fill_list(const Lists<T>& lists, const RoiAxis<T>& axis, int64_t roi, int bin, int size) {
  const RoiSamples<T> samples = roi_samples<T>(axis, bin, size, RoundedProduct{});
  const T scale = 1 / axis.samples;
  Span span = {size, 0};
  int count = 0;
  for (int64_t i = samples.begin; i < samples.end; ++i) {
    const RoiSample<T> at = roi_sample<T>(axis, samples.base, i, size, RoundedProduct{});
    const int cell = static_cast<int>(at.cell);
    if (cell < 0) continue;
    add_tap(lists, roi, bin, count, cell, (1 - at.fraction) * scale);
    if (cell < size - 1) add_tap(lists, roi, bin, count, cell + 1, at.fraction * scale);
    span = {min(span.begin, cell), max(span.end, min(cell + 2, size))};
  }
  lists.count(roi, bin) = count;
  return span;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    fill_lists(RoiAlignGeometry g, const T* rois, int64_t count, AxisShape axis, Lists<T> lists, Span* spans) {
  const int64_t roi = global_thread() / kWarp;
  if (roi >= count) return;
  const T* corners = rois + 5 * roi + axis.column;
  const RoiAxis<T> a = roi_axis<T>(g, corners[0], corners[2], axis.bins, RoundedProduct{});
  Span all = {axis.size, 0};
  for (int bin = threadIdx.x % kWarp; bin < axis.bins; bin += kWarp) {
    const Span own = fill_list(lists, a, roi, bin, axis.size);
    all = {min(all.begin, own.begin), max(all.end, own.end)};
  }
  all.begin = warp_reduce(all.begin, Min{});
  all.end = warp_reduce(all.end, Max{});
  if (threadIdx.x % kWarp == 0) {
    spans[roi].begin = all.begin;
    spans[roi].end = all.end;
  }
}

// The bins that read each cell, in order.
template <class T>
__global__ void __launch_bounds__(kBlock) turn_lists(Lists<T> by_bin, Lists<T> by_cell, int64_t count) {
  const int64_t i = global_thread();
  if (i >= count * by_cell.lists) return;
  const int64_t roi = i / by_cell.lists;
  const int cell = static_cast<int>(i - roi * by_cell.lists);
  int found = 0;
  for (int bin = 0; bin < by_bin.lists; ++bin) {
    const int taps = by_bin.count(roi, bin);
    for (int t = 0; t < taps; ++t) {
      const Tap<T> tap = by_bin.read(roi, bin, t);
      if (tap.at == cell) by_cell.write(roi, cell, found++, bin, tap.weight);
    }
  }
  by_cell.count(roi, cell) = found;
}

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(kBlock) average_bins(const T* x, const T* rois, T* out, int64_t n, RoiAlignGeometry g,
                                                       RoiThreads threads, Lists<T> y, Lists<T> columns) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const RoiPlace place = threads[i];
  const T* planes = x + (image_of(rois, place.roi) * g.channels + place.channel) * g.h * g.w;
  const ChannelOffsets plane(place.channel, g.channels, g.h * g.w);
  const int rows = y.count(place.roi, place.y), cells = columns.count(place.roi, place.x);
  T sum[kRoiChannels] = {};
  for (int r = 0; r < rows; ++r) {
    const Tap<T> row = y.read(place.roi, place.y, r);
    T along[kRoiChannels] = {};
    for (int t = 0; t < cells; ++t) {
      const Tap<T> cell = columns.read(place.roi, place.x, t);
#pragma unroll
      for (int c = 0; c < kRoiChannels; ++c) along[c] += cell.weight * planes[plane[c] + row.at * g.w + cell.at];
    }
#pragma unroll
    for (int c = 0; c < kRoiChannels; ++c) sum[c] += row.weight * along[c];
  }
  const int64_t bins = g.out_h * g.out_w;
  T* to = out + (place.roi * g.channels + place.channel) * bins + place.y * g.out_w + place.x;
#pragma unroll
  for (int c = 0; c < kRoiChannels; ++c)
    if (c < plane.count) to[c * bins] = sum[c];
}

// ---- backward -------------------------------------------------------------------------------------------------------

template <class T>
struct Gradient {
  const T *grad, *rois;  // of this part
  T* grad_x;
  RoiAlignGeometry g;
  int64_t count;  // RoIs of this part
  bool adds;      // to what earlier parts gave
  Lists<T> y, x;  // by cell
  const Span *spans_y, *spans_x;
};

// Block (images, groups of channels, cells); all threads of a block have the same image and channels. Two
// blocks a multiprocessor are asked for: left to itself, the compiler spills for the sake of more.
template <class T>
__global__ void __launch_bounds__(kBlock, 2) gather_gradients(Gradient<T> a, int64_t blocks_a_plane, Divider groups) {
  const RoiAlignGeometry& g = a.g;
  const int64_t plane = blockIdx.x / blocks_a_plane, image = groups.divide(plane);
  const int64_t channel = (plane - image * groups.divisor) * kRoiChannels, size = g.h * g.w, bins = g.out_h * g.out_w;
  const int64_t at = (blockIdx.x - plane * blocks_a_plane) * kBlock + threadIdx.x;
  const bool inside = at < size;
  const int cell = static_cast<int>(inside ? at : size - 1), lane = threadIdx.x % kWarp, w = static_cast<int>(g.w);
  const int y = cell / w, x = cell - y * w;
  // The warp's cells: from the first one's row to the last one's, and if that is one row, their columns.
  const int top = __shfl_sync(kFullWarp, y, 0), left = __shfl_sync(kFullWarp, x, 0);
  const int bottom = __shfl_sync(kFullWarp, y, kWarp - 1), right = __shfl_sync(kFullWarp, x, kWarp - 1);
  const ChannelOffsets to(channel, g.channels, size), from(channel, g.channels, bins);
  T* const own = a.grad_x + (image * g.channels + channel) * size + cell;
  T sum[kRoiChannels];
#pragma unroll
  for (int c = 0; c < kRoiChannels; ++c) sum[c] = a.adds && inside ? own[to[c]] : T(0);
  for (int64_t first = 0; first < a.count; first += kWarp) {
    const int64_t k = first + lane;
    const bool meets = k < a.count && image_of(a.rois, k) == image && a.spans_y[k].meets(top, bottom) &&
                       (top != bottom || a.spans_x[k].meets(left, right));
    unsigned members = __ballot_sync(kFullWarp, meets);
    for (; members; members &= members - 1) {
      const int64_t roi = first + __ffs(static_cast<int>(members)) - 1;
      const T* grad = a.grad + (roi * g.channels + channel) * bins;
      const int rows = a.y.count(roi, y), columns = a.x.count(roi, x);
      // One or two rounds each: unrolled they would only take registers.
#pragma unroll 1
      for (int r = 0; r < rows && columns; ++r) {
        const Tap<T> row = a.y.read(roi, y, r);
#pragma unroll 1
        for (int t = 0; t < columns; ++t) {
          const Tap<T> column = a.x.read(roi, x, t);
          const T weight = row.weight * column.weight;
#pragma unroll
          for (int c = 0; c < kRoiChannels; ++c) sum[c] += weight * grad[from[c] + row.at * g.out_w + column.at];
        }
      }
    }
  }
  if (!inside) return;
#pragma unroll
  for (int c = 0; c < kRoiChannels; ++c)
    if (c < to.count) own[to[c]] = sum[c];
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// The lists of an axis for so many RoIs at a time.
template <class T>
class AxisLists {
 public:
  // A bin reads two cells a sample, and none twice.
  AxisLists(const RoiAlignGeometry& g, AxisShape axis, int64_t rois, bool by_cell)
      : axis_(axis),
        room_(room(g, axis)),
        taps_(rois * axis.bins * room_),
        counts_(rois * axis.bins),
        cell_taps_(by_cell ? rois * axis.bins * axis.size : 0),
        cell_counts_(by_cell ? rois * axis.size : 0),
        spans_(rois) {}

  static int room(const RoiAlignGeometry& g, AxisShape axis) {
    const bool few = g.sampling_ratio > 0 && g.sampling_ratio < axis.size / 2;
    return few ? static_cast<int>(2 * g.sampling_ratio) : axis.size;
  }
  static int64_t bytes_a_roi(const RoiAlignGeometry& g, AxisShape axis) {
    return axis.bins * (int64_t{axis.size} + room(g, axis)) * static_cast<int64_t>(sizeof(Tap<T>));
  }

  Lists<T> by_bin() const { return {taps_, counts_, axis_.bins, room_}; }
  Lists<T> by_cell() const { return {cell_taps_, cell_counts_, axis_.size, axis_.bins}; }
  const Span* spans() const { return spans_; }

  void fill(const RoiAlignGeometry& g, const T* rois, int64_t count, Stream stream) const {
    launch(fill_lists<T>, checked_grid(ceil_div(count, kBlock / kWarp)), kBlock, 0, stream, g, rois, count, axis_,
           by_bin(), spans_.get());
  }
  void turn(int64_t count, Stream stream) const {
    launch(turn_lists<T>, checked_grid(ceil_div(count * axis_.size, kBlock)), kBlock, 0, stream, by_bin(), by_cell(),
           count);
  }

 private:
  AxisShape axis_;
  int room_;
  DeviceScratch<Tap<T>> taps_;
  DeviceScratch<int> counts_;
  DeviceScratch<Tap<T>> cell_taps_;
  DeviceScratch<int> cell_counts_;
  DeviceScratch<Span> spans_;
};

// run(first RoI, how many, lists along y, along x) for parts of the RoIs, one after another; at least once. Parts
// follow from the shapes alone.
template <class T, class Run>
void for_parts(const RoiAlignGeometry& g, const T* rois, bool by_cell, Stream stream, Run run) {
  const AxisShape along_y = {2, static_cast<int>(g.out_h), static_cast<int>(g.h)};
  const AxisShape along_x = {1, static_cast<int>(g.out_w), static_cast<int>(g.w)};
  const int64_t bytes = AxisLists<T>::bytes_a_roi(g, along_y) + AxisLists<T>::bytes_a_roi(g, along_x);
  const int64_t most = min(max(kListBytes / bytes, int64_t{1}), g.rois);
  const AxisLists<T> y(g, along_y, most, by_cell), x(g, along_x, most, by_cell);
  int64_t first = 0;
  do {
    const int64_t count = min(most, g.rois - first);
    y.fill(g, rois + 5 * first, count, stream);
    x.fill(g, rois + 5 * first, count, stream);
    run(first, count, y, x);
    first += count;
  } while (first < g.rois);
}

template <class T>
void forward(const RoiAlignFwdArgs& p, Stream stream) {
  const RoiAlignGeometry& g = p.g;
  const T* rois = static_cast<const T*>(p.rois);
  *p.bad_roi = first_foreign_image(rois, g.rois, g.images, stream);
  if (*p.bad_roi || g.rois * g.channels == 0) return;
  const int64_t bins = g.out_h * g.out_w;
  for_parts<T>(g, rois, false, stream, [&](int64_t first, int64_t count, const auto& y, const auto& x) {
    const int64_t n = count * channel_groups(g.channels) * bins;
    launch(average_bins<T>, checked_grid(ceil_div(n, kBlock)), kBlock, 0, stream, static_cast<const T*>(p.x),
           rois + 5 * first, static_cast<T*>(p.out) + first * g.channels * bins, n, g,
           roi_threads(g.channels, g.out_h, g.out_w), y.by_bin(), x.by_bin());
  });
}

template <class T>
void backward(const RoiAlignBwdArgs& p, Stream stream) {
  const RoiAlignGeometry& g = p.g;
  const T* rois = static_cast<const T*>(p.rois);
  *p.bad_roi = first_foreign_image(rois, g.rois, g.images, stream);
  if (*p.bad_roi || g.images * g.channels == 0) return;
  const int64_t groups = channel_groups(g.channels), blocks = ceil_div(g.h * g.w, kBlock);
  for_parts<T>(g, rois, true, stream, [&](int64_t first, int64_t count, const auto& y, const auto& x) {
    y.turn(count, stream);
    x.turn(count, stream);
    const Gradient<T> a = {static_cast<const T*>(p.grad) + first * g.channels * g.out_h * g.out_w,
                           rois + 5 * first,
                           static_cast<T*>(p.grad_x),
                           g,
                           count,
                           first > 0,
                           y.by_cell(),
                           x.by_cell(),
                           y.spans(),
                           x.spans()};
    launch(gather_gradients<T>, checked_grid(g.images * groups * blocks), kBlock, 0, stream, a, blocks,
           divide_by(groups));
  });
}

}  // namespace

void roi_align_fwd(const RoiAlignFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { forward<decltype(zero)>(p, stream); });
}

void roi_align_bwd(const RoiAlignBwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { backward<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
