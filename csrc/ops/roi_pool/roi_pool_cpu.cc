// RoI pooling on the CPU.
//
//   out[roi][c][bin] = max over the cells of the bin of x[image][c][cell]
//
// Lanes are channels: maps are copied with kBlock channels innermost (cpu/roi-inl.h), a bin's maxima are registers, and
// every cell is one load, one comparison and, where indices are wanted, one more selection. A task owns kBlock channels
// of one image forward, and a few planes of it backward.
//
// Backward, each plane receives its gradients RoI by RoI, one number at a time: indices of neighbouring channels
// differ. An addition that meets the cell of the one before waits for it; those to other planes do not, so the planes
// of a task take turns.
#include "cpu/roi-inl.h"
#include "ops/roi_pool/roi_pool.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kScatterPlanes = 8;  // planes of a task: together within L2, and long enough reads of each RoI
constexpr double kLeast = -static_cast<double>(__FLT_MAX__);  // as in PyTorch also for float64

template <class T>
using Index = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;

// ---- bins -----------------------------------------------------------------------------------------------------------

namespace {

// The bins of all RoIs, rows and columns, and which columns of each row of an image they touch.
template <class T>
class Plan {
 public:
  Plan(const RoiPoolGeometry& g, const T* rois)
      : g_(g), first_(g.images + 1), order_(g.rois), bins_(g.rois * (g.out_h + g.out_w)), touched_(g.images * g.h) {
    sort_by_image<T>(rois, g.rois, g.images, {first_, order_});
    const T scale = static_cast<T>(g.spatial_scale);
    for (int64_t i = 0; i < g.images * g.h; ++i) touched_[i] = {0, 0};
    for (int64_t k = 0; k < g.rois; ++k) {
      const T* r = rois + 5 * k;
      RoiBin *const y = rows(k), *const x = columns(k);
      for (int64_t i = 0; i < g.out_h; ++i) y[i] = roi_bin<T>(r[2], r[4], scale, i, g.out_h, g.h);
      for (int64_t i = 0; i < g.out_w; ++i) x[i] = roi_bin<T>(r[1], r[3], scale, i, g.out_w, g.w);
      Span* const touched = touched_ + static_cast<int64_t>(r[0]) * g.h;
      for (int64_t row = y[0].begin; row < y[g.out_h - 1].end; ++row) touched[row].add(x[0].begin, x[g.out_w - 1].end);
    }
  }

  RoiBin* rows(int64_t k) const { return bins_ + k * (g_.out_h + g_.out_w); }
  RoiBin* columns(int64_t k) const { return rows(k) + g_.out_h; }

  template <class Body>
  void for_each_roi(int64_t image, Body body) const {
    for (int64_t i = first_[image]; i < first_[image + 1]; ++i) body(order_[i]);
  }
  // Those from `channel` on, at most `most`.
  Planes<T> planes(int64_t image, int64_t channel, int64_t most) const {
    const int64_t left = g_.channels - channel;
    return {left < most ? left : most, g_.h, g_.w, touched_ + image * g_.h};
  }

 private:
  const RoiPoolGeometry& g_;
  Scratch<int64_t> first_;
  Scratch<int32_t> order_;
  Scratch<RoiBin> bins_;
  Scratch<Span> touched_;
};

}  // namespace

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T, int V, bool kIndices>
FASTDL_INLINE void pool_bin(const T* block, int64_t w, RoiBin y, RoiBin x, T* out, Index<T>* indices) {
  constexpr int L = kLanes<T>;
  const bool empty = y.begin >= y.end || x.begin >= x.end;
  Vec<T> best[V];
  Mask<T> where[V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    best[v] = broadcast<T>(empty ? T{0} : static_cast<T>(kLeast));
    where[v] = ~Mask<T>{};
  }
  for (int64_t row = y.begin; row < y.end; ++row)
    for (int64_t column = x.begin; column < x.end; ++column) {
      const int64_t cell = row * w + column;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const Vec<T> value = load<T>(block + cell * kBlock<T, V> + v * L);
        if constexpr (kIndices) where[v] = best[v] < value ? Mask<T>{} + static_cast<Index<T>>(cell) : where[v];
        best[v] = best[v] < value ? value : best[v];
      }
    }
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    store<T>(out + v * L, best[v]);
    if constexpr (kIndices) store<Index<T>>(indices + v * L, where[v]);
  }
}

// Indices travel as wide as T and, for shuffles and stores, as bits of T.
template <class T, int V>
static void store_indices(const Index<T>* tile, int64_t bins, int64_t channels, bool streams, T* buffer, int32_t* out) {
  const T* bits = reinterpret_cast<const T*>(tile);
  if constexpr (sizeof(T) == 4) {
    store_bins<T, V>(bits, bins, channels, streams, buffer, reinterpret_cast<T*>(out));
  } else {
    transpose_matrix<T>(bits, kBlock<T, V>, bins, channels, buffer, bins);
    for (int64_t i = 0; i < bins * channels; ++i) {
      int64_t wide;
      __builtin_memcpy(&wide, buffer + i, sizeof wide);
      out[i] = static_cast<int32_t>(wide);
    }
  }
}

template <class T, int V, bool kIndices>
static void forward(const RoiPoolFwdArgs& a) {
  const RoiPoolGeometry& g = a.g;
  const int64_t bins = g.out_h * g.out_w, plane = g.h * g.w, tile_size = bins * kBlock<T, V>;
  const bool streams = g.rois * g.channels * bins * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  const Plan<T> plan(g, static_cast<const T*>(a.rois));
  for_each_block<T, V>(g.images, g.channels, [&](int64_t image, int64_t channel) {
    const Planes<T> planes = plan.planes(image, channel, kBlock<T, V>);
    Scratch<T> block(plane * kBlock<T, V>), tile(tile_size), buffer(tile_size);
    Scratch<Index<T>> where(kIndices ? tile_size : 0);
    block_planes<T, V>(planes, static_cast<const T*>(a.x) + (image * g.channels + channel) * plane, block);
    plan.for_each_roi(image, [&](int64_t k) {
      const RoiBin *const y = plan.rows(k), *const x = plan.columns(k);
      for (int64_t oy = 0; oy < g.out_h; ++oy)
        for (int64_t ox = 0; ox < g.out_w; ++ox) {
          const int64_t at = (oy * g.out_w + ox) * kBlock<T, V>;
          pool_bin<T, V, kIndices>(block, g.w, y[oy], x[ox], tile + at, where + at);
        }
      const int64_t out = (k * g.channels + channel) * bins;
      store_bins<T, V>(tile, bins, planes.channels, streams, buffer, static_cast<T*>(a.out) + out);
      if constexpr (kIndices) store_indices<T, V>(where, bins, planes.channels, streams, buffer, a.indices + out);
    });
    if (streams) store_fence();
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// Keeps the smallest position, whichever task finds its own first.
static void report(int64_t position, int64_t* bad) {
  int64_t seen = __atomic_load_n(bad, __ATOMIC_RELAXED);
  while ((seen == 0 || position + 1 < seen) &&
         !__atomic_compare_exchange_n(bad, &seen, position + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

// Returns the first position whose index is neither -1 nor in the plane, or -1.
template <class T>
static int64_t scatter(const T* grad, const int32_t* indices, int64_t bins, int64_t plane, T* grad_x) {
  for (int64_t i = 0; i < bins; ++i) {
    const int32_t at = indices[i];
    if (at < -1 || at >= plane) return i;
    if (at >= 0) grad_x[at] += grad[i];
  }
  return -1;
}

// The same for kScatterPlanes planes, whose indices all lie in the plane.
template <class T>
static void scatter_in_turns(const T* grad, const int32_t* indices, int64_t bins, int64_t plane, T* grad_x) {
  for (int64_t i = 0; i < bins; ++i)
#pragma GCC unroll 8
    for (int c = 0; c < kScatterPlanes; ++c) grad_x[c * plane + indices[c * bins + i]] += grad[c * bins + i];
}

static bool all_inside(const int32_t* indices, int64_t n, int64_t plane) {
  uint32_t most = 0;  // -1 is the greatest
  for (int64_t i = 0; i < n; ++i) {
    const uint32_t at = static_cast<uint32_t>(indices[i]);
    most = at > most ? at : most;
  }
  return most < plane;
}

// One RoI's gradients to `channels` planes; position `at` of grad and indices is the first.
template <class T>
static void scatter_roi(const RoiPoolBwdArgs& a, int64_t at, int64_t channels, T* grad_x) {
  const int64_t bins = a.g.out_h * a.g.out_w, plane = a.g.h * a.g.w;
  const T* const grad = static_cast<const T*>(a.grad) + at;
  const int32_t* const indices = a.indices + at;
  if (channels == kScatterPlanes && all_inside(indices, channels * bins, plane))
    return scatter_in_turns<T>(grad, indices, bins, plane, grad_x);
  for (int64_t c = 0; c < channels; ++c) {
    const int64_t bad = scatter<T>(grad + c * bins, indices + c * bins, bins, plane, grad_x + c * plane);
    if (bad >= 0) report(at + c * bins + bad, a.bad_index);
  }
}

template <class T>
FASTDL_INLINE void ask_for(const T* p, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / static_cast<int>(sizeof(T))) __builtin_prefetch(p + i, 0, 2);
}

template <class T>
static void backward(const RoiPoolBwdArgs& a, const RoisByImage& rois) {
  const RoiPoolGeometry& g = a.g;
  const int64_t bins = g.out_h * g.out_w, plane = g.h * g.w;
  const int64_t groups = (g.channels + kScatterPlanes - 1) / kScatterPlanes;
  parallel_for(g.images * groups, 1, [&](int64_t item, int64_t end) {
    for (; item < end; ++item) {
      const int64_t image = item / groups, channel = item % groups * kScatterPlanes, left = g.channels - channel;
      const int64_t channels = left < kScatterPlanes ? left : kScatterPlanes;
      T* const planes = static_cast<T*>(a.grad_x) + (image * g.channels + channel) * plane;
      __builtin_memset(planes, 0, static_cast<size_t>(channels * plane) * sizeof(T));
      const auto place = [&](int64_t i) { return (rois.order[i] * g.channels + channel) * bins; };
      for (int64_t i = rois.first[image]; i < rois.first[image + 1]; ++i) {
        if (i + 1 < rois.first[image + 1]) {  // each RoI lies on another page
          ask_for(static_cast<const T*>(a.grad) + place(i + 1), channels * bins);
          ask_for(a.indices + place(i + 1), channels * bins);
        }
        scatter_roi<T>(a, place(i), channels, planes);
      }
    }
  });
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// Images are checked before anything is read through them.
void roi_pool_fwd(const RoiPoolFwdArgs& a) {
  Scratch<int64_t> first(a.g.images + 1);
  Scratch<int32_t> order(a.g.rois);
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    *a.bad_roi = sort_by_image<T>(static_cast<const T*>(a.rois), a.g.rois, a.g.images, {first, order});
    if (*a.bad_roi) return;
    with_block_vectors<T>(a.g.channels, [&](auto v) { a.indices ? forward<T, v, true>(a) : forward<T, v, false>(a); });
  });
}

void roi_pool_bwd(const RoiPoolBwdArgs& a) {
  *a.bad_index = 0;
  Scratch<int64_t> first(a.g.images + 1);
  Scratch<int32_t> order(a.g.rois);
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    *a.bad_roi = sort_by_image<T>(static_cast<const T*>(a.rois), a.g.rois, a.g.images, {first, order});
    if (*a.bad_roi == 0) backward<T>(a, {first, order});
  });
}

}  // namespace fastdl::FASTDL_ISA
