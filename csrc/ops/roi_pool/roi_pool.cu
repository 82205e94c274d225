// RoI pooling on the device: the maximum of each bin, and its gradient.
//
//   out[roi][c][bin] = max over the cells of the bin of x[image][c][cell]
//
// Who owns what. Forward, a thread owns a bin of kRoiChannels channels (cuda/roi.cuh). Backward, a warp owns a plane,
// in shared memory where it fits, and walks over the bins of the RoIs of its image in their order, 32 at a time. Lanes
// that name the same cell find each other, and the first of them adds the numbers of all in the order of the bins: no
// atomics, and the same bits as one addition after another. A gather, a thread a cell, would look at every index for
// every cell: indices alone say where a gradient goes.
// The limits are the reads of the bins forward, which neighbours share in L1; backward the latency of a step of 32
// bins.
#include "cuda/roi.cuh"
#include "ops/roi_pool/roi_pool.h"

namespace fastdl {
namespace {

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T>
constexpr T kLeast = -static_cast<T>(__FLT_MAX__);  // as in PyTorch also for float64

// Two blocks a multiprocessor are asked for: left to itself, the compiler spills for the sake of more.
template <class T, bool kIndices>
__global__ void __launch_bounds__(kBlock, 2)
    pool_bins(const T* x, const T* rois, T* out, int32_t* indices, int64_t n, RoiPoolGeometry g, RoiThreads threads) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const RoiPlace place = threads[i];
  const T* roi = rois + 5 * place.roi;
  const T scale = static_cast<T>(g.spatial_scale);
  const RoiBin rows = roi_bin<T>(roi[2], roi[4], scale, place.y, g.out_h, g.h);
  const RoiBin columns = roi_bin<T>(roi[1], roi[3], scale, place.x, g.out_w, g.w);
  const T* planes = x + (image_of(rois, place.roi) * g.channels + place.channel) * g.h * g.w;
  const ChannelOffsets plane(place.channel, g.channels, g.h * g.w);
  const bool empty = rows.begin >= rows.end || columns.begin >= columns.end;
  T best[kRoiChannels];
  int32_t where[kRoiChannels];
#pragma unroll
  for (int c = 0; c < kRoiChannels; ++c) {
    best[c] = empty ? T(0) : kLeast<T>;
    where[c] = -1;
  }
  for (int32_t row = rows.begin; row < rows.end; ++row) {
    for (int32_t column = columns.begin; column < columns.end; ++column) {
      const int64_t cell = row * g.w + column;
#pragma unroll
      for (int c = 0; c < kRoiChannels; ++c) {
        const T value = planes[plane[c] + cell];
        if (!(best[c] < value)) continue;  // the first of equal ones stays; NaN never wins
        best[c] = value;
        if constexpr (kIndices) where[c] = static_cast<int32_t>(cell);
      }
    }
  }
  const int64_t bins = g.out_h * g.out_w;
  const int64_t first = (place.roi * g.channels + place.channel) * bins + place.y * g.out_w + place.x;
#pragma unroll
  for (int c = 0; c < kRoiChannels; ++c) {
    if (c >= plane.count) continue;
    out[first + c * bins] = best[c];
    if constexpr (kIndices) indices[first + c * bins] = where[c];
  }
}

// ---- backward -------------------------------------------------------------------------------------------------------

// Planes up to here are added up in shared memory: six blocks, each a warp, share a multiprocessor then.
constexpr int64_t kSharedPlaneBytes = 32 * 1024;

struct OutsideMap {
  const int32_t* indices;
  int64_t plane;

  __device__ bool operator()(int64_t i) const { return indices[i] < -1 || indices[i] >= plane; }
};

// Adds each lane's value to its cell, lanes of one cell in their order. Negative cells get nothing.
template <class T>
__device__ __forceinline__ void add_lanes(T* sums, int cell, T value) {
  const unsigned alike = __match_any_sync(kFullWarp, cell);
  const int lane = threadIdx.x;
  const bool first = cell >= 0 && lane == __ffs(static_cast<int>(alike)) - 1;
  T sum = first ? sums[cell] : T(0);
  // Usually one or two rounds: a cell is the maximum of few bins of one RoI.
  unsigned rest = first ? alike : 0;
  while (__any_sync(kFullWarp, rest != 0)) {
    const int from = rest ? __ffs(static_cast<int>(rest)) - 1 : lane;
    const T other = __shfl_sync(kFullWarp, value, from);
    if (rest) sum += other;
    rest &= rest - 1;
  }
  if (first) sums[cell] = sum;
  __syncwarp();
}

template <class T, bool kShared>
__global__ void __launch_bounds__(kWarp)
    add_in_order(const T* grad, const T* rois, const int32_t* indices, T* grad_x, RoiPoolGeometry g) {
  FASTDL_DYNAMIC_SHARED(shared);
  const int lane = threadIdx.x;
  const int64_t plane = blockIdx.x, size = g.h * g.w, bins = g.out_h * g.out_w;
  const int64_t image = plane / g.channels, channel = plane - image * g.channels;
  T* const own = grad_x + plane * size;
  T* const sums = kShared ? reinterpret_cast<T*>(shared) : own;
  for (int64_t i = lane; i < size; i += kWarp) sums[i] = 0;
  __syncwarp();
  for (int64_t first = 0; first < g.rois; first += kWarp) {
    // RoIs of other images are passed over 32 at a time.
    unsigned members = __ballot_sync(kFullWarp, first + lane < g.rois && image_of(rois, first + lane) == image);
    for (; members; members &= members - 1) {
      const int64_t roi = first + __ffs(static_cast<int>(members)) - 1, at = (roi * g.channels + channel) * bins;
      for (int64_t bin = lane; bin - lane < bins; bin += kWarp) {
        const int cell = bin < bins ? indices[at + bin] : -1;
        add_lanes(sums, cell, cell >= 0 ? grad[at + bin] : T(0));
      }
    }
  }
  if constexpr (kShared)
    for (int64_t i = lane; i < size; i += kWarp) own[i] = sums[i];
}

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T>
void forward(const RoiPoolFwdArgs& p, Stream stream) {
  const RoiPoolGeometry& g = p.g;
  *p.bad_roi = first_foreign_image(static_cast<const T*>(p.rois), g.rois, g.images, stream);
  const int64_t n = g.rois * channel_groups(g.channels) * g.out_h * g.out_w;
  if (*p.bad_roi || n == 0) return;
  launch(p.indices ? pool_bins<T, true> : pool_bins<T, false>, checked_grid(ceil_div(n, kBlock)), kBlock, 0, stream,
         static_cast<const T*>(p.x), static_cast<const T*>(p.rois), static_cast<T*>(p.out), p.indices, n, g,
         roi_threads(g.channels, g.out_h, g.out_w));
}

template <class T>
void backward(const RoiPoolBwdArgs& p, Stream stream) {
  const RoiPoolGeometry& g = p.g;
  *p.bad_roi = first_foreign_image(static_cast<const T*>(p.rois), g.rois, g.images, stream);
  if (*p.bad_roi) return;
  *p.bad_index = first_failure(OutsideMap{p.indices, g.h * g.w}, g.rois * g.channels * g.out_h * g.out_w, stream);
  if (*p.bad_index) return;
  const int64_t bytes = g.h * g.w * static_cast<int64_t>(sizeof(T));
  const bool shared = bytes <= kSharedPlaneBytes;
  launch(shared ? add_in_order<T, true> : add_in_order<T, false>, checked_grid(g.images * g.channels), kWarp,
         shared ? static_cast<size_t>(bytes) : 0, stream, static_cast<const T*>(p.grad), static_cast<const T*>(p.rois),
         p.indices, static_cast<T*>(p.grad_x), g);
}

}  // namespace

void roi_pool_fwd(const RoiPoolFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { forward<decltype(zero)>(p, stream); });
}

void roi_pool_bwd(const RoiPoolBwdArgs& p, Stream stream) {
  *p.bad_index = 0;
  visit_float(p.dtype, [&](auto zero) { backward<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
