// Boxes (x1, y1, x2, y2) on the device, and how much two of them overlap. The operations and their order are those of
// the CPU (cpu/boxes-inl.h), so that results are equal bit by bit.
#pragma once
#include "cuda/access.cuh"

namespace fastdl {

// Products that are rounded before they are added to anything: the compiler must not make a multiply-add of them.
__device__ __forceinline__ float rounded_product(float a, float b) {
  return __fmul_rn(a, b);
}
__device__ __forceinline__ double rounded_product(double a, double b) {
  return __dmul_rn(a, b);
}

// std::max and std::min: the first operand unless the second is greater or less, hence also if either is NaN. (Those of
// CUDA lose a NaN.)
template <class T>
__device__ __forceinline__ T first_max(T a, T b) {
  return a < b ? b : a;
}
template <class T>
__device__ __forceinline__ T first_min(T a, T b) {
  return b < a ? b : a;
}

template <class T>
struct Box {
  T x1, y1, x2, y2, area;
};

// Rows of four numbers from a multiple of 16 bytes on, as every array of our own has them. Those of others, which come
// through DLPack, may start anywhere, and are copied.
template <class T>
class AlignedBoxes {
 public:
  AlignedBoxes(const void* given, int64_t n)
      : given_(static_cast<const T*>(given)), copy_(aligned<4>(given_) ? 0 : 4 * n) {
    if (!aligned<4>(given_)) copy_on_device(copy_.get(), given, static_cast<size_t>(4 * n) * sizeof(T));
  }
  operator const T*() const { return aligned<4>(given_) ? given_ : copy_.get(); }

 private:
  const T* given_;
  DeviceScratch<T> copy_;
};

template <class T>
__device__ __forceinline__ Pack<T, 4> load_box(const T* boxes, int64_t i) {
  return load_pack<4>(boxes + 4 * i);
}
template <class T>
__device__ __forceinline__ Box<T> box_of(const Pack<T, 4>& b) {
  return {b[0], b[1], b[2], b[3], rounded_product(b[2] - b[0], b[3] - b[1])};
}

// Width times height; negative ones count as 0, NaN stays.
template <class T>
__device__ __forceinline__ T rectangle(T w, T h) {
  return rounded_product(first_max(w, T(0)), first_max(h, T(0)));
}

template <class T>
__device__ __forceinline__ T intersection(const Box<T>& a, const Box<T>& b) {
  return rectangle(first_min(a.x2, b.x2) - first_max(a.x1, b.x1), first_min(a.y2, b.y2) - first_max(a.y1, b.y1));
}

}  // namespace fastdl
