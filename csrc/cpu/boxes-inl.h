// Boxes (x1, y1, x2, y2) as vectors of each coordinate, and how much two of them overlap. The operations and their
// order are those of torchvision, so that results are equal bit by bit.
#pragma once
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

template <class T>
struct BoxVec {
  Vec<T> x1, y1, x2, y2, area;
};

// std::max and std::min: the first operand unless the second is greater or less, hence also if either is NaN.
template <class T>
FASTDL_INLINE Vec<T> first_max(Vec<T> a, Vec<T> b) {
  return a < b ? b : a;
}
template <class T>
FASTDL_INLINE Vec<T> first_min(Vec<T> a, Vec<T> b) {
  return b < a ? b : a;
}

// At least 0; NaN stays. (Of a zero that it knows, the compiler makes a comparison and a move instead of a maximum.)
template <class T>
FASTDL_INLINE Vec<T> not_negative(Vec<T> a) {
  return first_max<T>(a, rounded(Vec<T>{}));
}

template <class T>
FASTDL_INLINE Vec<T> intersection(const BoxVec<T>& a, const BoxVec<T>& b) {
  const Vec<T> w = first_min<T>(a.x2, b.x2) - first_max<T>(a.x1, b.x1);
  const Vec<T> h = first_min<T>(a.y2, b.y2) - first_max<T>(a.y1, b.y1);
  return rounded(not_negative<T>(w) * not_negative<T>(h));
}

template <class T>
FASTDL_INLINE T box_area(const T* box) {
  return rounded((box[2] - box[0]) * (box[3] - box[1]));
}

template <class T>
FASTDL_INLINE BoxVec<T> broadcast_box(T x1, T y1, T x2, T y2, T area) {
  return {broadcast<T>(x1), broadcast<T>(y1), broadcast<T>(x2), broadcast<T>(y2), broadcast<T>(area)};
}

}  // namespace fastdl::FASTDL_ISA
