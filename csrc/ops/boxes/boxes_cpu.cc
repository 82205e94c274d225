// The IoU matrix on the CPU.
//
//   out[i][j] = inter / (area_i + area_j - inter),   inter = max(0, w) * max(0, h) of the overlap
//
// The boxes of the second set are turned once into a row a coordinate, so that kLanes of them meet one box of the first
// set in one vector operation each. A chunk owns rows of the matrix and walks over their columns in tiles that stay in
// the L1 cache: the boxes of a tile are read once from memory for all its rows.
#include "cpu/boxes-inl.h"
#include "cpu/parallel.h"
#include "ops/boxes/boxes.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kTileColumns = 1024;     // five coordinates of float64: 40 KB, of float32 20 KB
constexpr int64_t kChunkElements = 65536;  // some 20 microseconds
// Bytes of a matrix from which on it is written past the caches: they would fetch its lines before.
constexpr int64_t kPastCaches = int64_t{8} << 20;

// ---- boxes of any format as corners and area ------------------------------------------------------------------------

template <class T>
struct Corners {
  T x1, y1, x2, y2, area;
};

template <class T>
FASTDL_INLINE Corners<T> corners(BoxFormat format, const T* b) {
  if (format == BoxFormat::kXyxy) return {b[0], b[1], b[2], b[3], box_area<T>(b)};
  const T w = rounded(b[2] / 2), h = rounded(b[3] / 2);  // the compiler may turn a division by 2 into a product
  Corners<T> c = format == BoxFormat::kXywh ? Corners<T>{b[0], b[1], b[0] + b[2], b[1] + b[3], T{}}
                                            : Corners<T>{b[0] - w, b[1] - h, b[0] + w, b[1] + h, T{}};
  // Comparisons lose a NaN, so that it has to be in the area.
  const bool placed = c.x1 == c.x1 && c.y1 == c.y1 && c.x2 == c.x2 && c.y2 == c.y2;
  c.area = placed ? rounded(b[2] * b[3]) : static_cast<T>(__builtin_nan(""));
  return c;
}

template <class T>
struct BoxRows {
  T *x1, *y1, *x2, *y2, *area;
  BoxVec<T> at(int64_t j) const {
    return {load<T>(x1 + j), load<T>(y1 + j), load<T>(x2 + j), load<T>(y2 + j), load<T>(area + j)};
  }
};

template <class T>
static void transpose_boxes(BoxFormat format, const T* boxes, int64_t n, const BoxRows<T>& out) {
  for (int64_t i = 0; i < n; ++i) {
    const Corners<T> c = corners<T>(format, boxes + 4 * i);
    out.x1[i] = c.x1, out.y1[i] = c.y1, out.x2[i] = c.x2, out.y2[i] = c.y2, out.area[i] = c.area;
  }
}

// ---- the matrix -----------------------------------------------------------------------------------------------------

template <class T, bool kGeneralized>
FASTDL_INLINE Vec<T> iou(const BoxVec<T>& a, const BoxVec<T>& b) {
  const Vec<T> inter = intersection<T>(a, b), joint = a.area + b.area - inter;
  if constexpr (!kGeneralized) return inter / joint;
  const Vec<T> w = first_max<T>(a.x2, b.x2) - first_min<T>(a.x1, b.x1);
  const Vec<T> h = first_max<T>(a.y2, b.y2) - first_min<T>(a.y1, b.y1);
  const Vec<T> hull = rounded(not_negative<T>(w) * not_negative<T>(h));
  return inter / joint - (hull - joint) / hull;
}

template <class T, bool kGeneralized, bool kStream>
static void iou_rows(const BoxIouArgs& a, int64_t begin, int64_t end, BoxRows<T> columns) {
  const T* boxes = static_cast<const T*>(a.boxes1);
  for (int64_t tile = 0; tile < a.m; tile += kTileColumns) {
    const int64_t last = tile + kTileColumns < a.m ? tile + kTileColumns : a.m;
    for (int64_t i = begin; i < end; ++i) {
      const Corners<T> c = corners<T>(a.format, boxes + 4 * i);
      const BoxVec<T> box = broadcast_box<T>(c.x1, c.y1, c.x2, c.y2, c.area);
      T* const out = static_cast<T*>(a.out) + i * a.m;
      int64_t j = tile;
      for (; j + kLanes<T> <= last; j += kLanes<T>) {
        const Vec<T> value = iou<T, kGeneralized>(box, columns.at(j));
        kStream ? stream<T>(out + j, value) : store<T>(out + j, value);
      }
      if (j < last) store_n<T>(out + j, iou<T, kGeneralized>(box, columns.at(j)), static_cast<int>(last - j));
    }
  }
  if (kStream) store_fence();
}

template <class T, bool kGeneralized>
static void iou_matrix(const BoxIouArgs& a, const BoxRows<T>& columns) {
  const int64_t grain = kChunkElements / a.m, bytes = a.n * a.m * static_cast<int64_t>(sizeof(T));
  const bool streams = bytes >= kPastCaches && a.m % kLanes<T> == 0;
  parallel_for(a.n, grain > 1 ? grain : 1, [&](int64_t begin, int64_t end) {
    streams ? iou_rows<T, kGeneralized, true>(a, begin, end, columns)
            : iou_rows<T, kGeneralized, false>(a, begin, end, columns);
  });
}

template <class T>
static void box_iou(const BoxIouArgs& a) {
  const int64_t padded = a.m + kLanes<T>;  // whole vectors may be read past the last box
  Scratch<T> memory(5 * padded);
  T* const p = memory;
  const BoxRows<T> columns{p, p + padded, p + 2 * padded, p + 3 * padded, p + 4 * padded};
  for (int64_t k = 0; k < 5; ++k)
    for (int64_t j = a.m; j < padded; ++j) p[k * padded + j] = T{0};
  transpose_boxes<T>(a.format, static_cast<const T*>(a.boxes2), a.m, columns);
  a.generalized ? iou_matrix<T, true>(a, columns) : iou_matrix<T, false>(a, columns);
}

void box_iou_fwd(const BoxIouArgs& a) {
  if (a.n == 0 || a.m == 0) return;
  visit_float(a.dtype, [&](auto zero) { box_iou<decltype(zero)>(a); });
}

// ---- choice by size -------------------------------------------------------------------------------------------------

template <class T>
static int64_t large_boxes(const LargeBoxesArgs& a) {
  const T* b = static_cast<const T*>(a.boxes);
  const T least = static_cast<T>(a.min_size);
  int64_t count = 0;
  for (int64_t i = 0; i < a.n; ++i, b += 4) {
    a.keep[count] = i;
    count += b[2] - b[0] >= least && b[3] - b[1] >= least;
  }
  return count;
}

void large_boxes_fwd(const LargeBoxesArgs& a) {
  visit_float(a.dtype, [&](auto zero) { *a.count = large_boxes<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
