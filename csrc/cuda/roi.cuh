// What pooling over regions of interest (RoIs) shares: the check of their images, and which thread owns which bins.
#pragma once
#include "cuda/first_failure.cuh"
#include "cuda/planes.cuh"

namespace fastdl {

// A thread owns one bin of so many channels: what does not depend on channels is found once for them, and their loads
// are under way together.
constexpr int kRoiChannels = 4;

// RoIs are (image, x1, y1, x2, y2); fractions of images are dropped.
template <class T>
__device__ __forceinline__ int64_t image_of(const T* rois, int64_t k) {
  return static_cast<int64_t>(rois[5 * k]);
}

template <class T>
struct ForeignImage {
  const T* rois;
  int64_t images;

  __device__ bool operator()(int64_t k) const { return !(rois[5 * k] > T(-1) && rois[5 * k] < static_cast<T>(images)); }
};

// 1 + the first RoI whose image does not exist, or 0: found before anything is read through it. Waits for the device.
template <class T>
int64_t first_foreign_image(const T* rois, int64_t count, int64_t images, Stream stream) {
  return first_failure(ForeignImage<T>{rois, images}, count, stream);
}

// Neighbouring threads have neighbouring bins, then the next channels: a warp writes a few runs of memory, and what its
// bins read lies close together.
struct RoiPlace {
  int64_t roi, channel;  // the first of kRoiChannels
  int y, x;
};
struct RoiThreads {
  Planes bins;
  Divider groups;  // of channels

  __device__ RoiPlace operator[](int64_t i) const {
    const Place at = bins[i];
    const int64_t roi = groups.divide(at.plane);
    return {roi, (at.plane - roi * groups.divisor) * kRoiChannels, at.y, at.x};
  }
};

inline int64_t channel_groups(int64_t channels) {
  return ceil_div(channels, kRoiChannels);
}
inline RoiThreads roi_threads(int64_t channels, int64_t out_h, int64_t out_w) {
  return {planes_of(out_h, out_w), divide_by(channel_groups(channels))};
}

// Where the planes of a thread's channels start, from the first on. The last group may have fewer: the others then
// repeat the last one, read like it and are not written.
struct ChannelOffsets {
  int count;
  int64_t stride;

  __device__ ChannelOffsets(int64_t channel, int64_t channels, int64_t stride)
      : count(static_cast<int>(min(channels - channel, int64_t{kRoiChannels}))), stride(stride) {}
  __device__ int64_t operator[](int c) const { return min(c, count - 1) * stride; }
};

}  // namespace fastdl
