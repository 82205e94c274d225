// The IoU matrix of two sets of boxes, and the choice of boxes by size.
//
//   out[i][j] = inter / (area_i + area_j - inter),   inter = max(0, w) * max(0, h) of the overlap
//
// Who owns what. A thread owns N neighbouring columns of the matrix, whose boxes and areas it keeps in registers, and
// walks down kRows rows; the boxes of the rows are the same for all threads of a warp. So a box of the second set is
// read once for kRows results, and a warp writes 128 or 512 bytes in a row. The limit is writing the matrix.
// Choice: a thread looks at a box, a warp makes a word of bits, and cuda/select.cuh lists the set ones.
#include "cuda/boxes.cuh"
#include "cuda/select.cuh"
#include "ops/boxes/boxes.h"

namespace fastdl {
namespace {

// ---- the matrix -----------------------------------------------------------------------------------------------------

constexpr int kColumnThreads = 128;  // sets of some hundred boxes are usual, and four columns are a thread's
constexpr int kRows = 16;

// Boxes of any format as corners and area.
template <class T>
__device__ __forceinline__ Box<T> corners(BoxFormat format, const Pack<T, 4>& b) {
  if (format == BoxFormat::kXyxy) return box_of(b);
  const T w = b[2] / 2, h = b[3] / 2;
  Box<T> c = format == BoxFormat::kXywh ? Box<T>{b[0], b[1], b[0] + b[2], b[1] + b[3], T(0)}
                                        : Box<T>{b[0] - w, b[1] - h, b[0] + w, b[1] + h, T(0)};
  // Comparisons lose a NaN, so that it has to be in the area.
  const bool placed = c.x1 == c.x1 && c.y1 == c.y1 && c.x2 == c.x2 && c.y2 == c.y2;
  c.area = placed ? rounded_product(b[2], b[3]) : static_cast<T>(__builtin_nan(""));
  return c;
}

template <bool kGeneralized, class T>
__device__ __forceinline__ T iou(const Box<T>& a, const Box<T>& b) {
  const T inter = intersection(a, b), joint = a.area + b.area - inter;
  if constexpr (!kGeneralized) return inter / joint;
  const T hull =
      rectangle(first_max(a.x2, b.x2) - first_min(a.x1, b.x1), first_max(a.y2, b.y2) - first_min(a.y1, b.y1));
  return inter / joint - (hull - joint) / hull;
}

// Blocks are numbered along one axis, columns first: grids are flat in y.
template <class T, bool kGeneralized, int N>
__global__ void __launch_bounds__(kColumnThreads)
    iou_matrix(const T* boxes1, const T* boxes2, T* out, int64_t n, int64_t m, BoxFormat format, Divider tiles) {
  const int64_t tile = tiles.divide(blockIdx.x), column_tile = blockIdx.x - tile * tiles.divisor;
  const int64_t column = (column_tile * kColumnThreads + threadIdx.x) * N;
  if (column >= m) return;
  Box<T> columns[N];
#pragma unroll
  for (int j = 0; j < N; ++j) columns[j] = corners(format, load_box(boxes2, column + j));
  const int64_t end = min(n, (tile + 1) * kRows);
  for (int64_t row = tile * kRows; row < end; ++row) {
    const Box<T> box = corners(format, load_box(boxes1, row));
    Pack<T, N> ious;
#pragma unroll
    for (int j = 0; j < N; ++j) ious[j] = iou<kGeneralized>(box, columns[j]);
    store_pack(out + row * m + column, ious);
  }
}

template <class T>
void box_iou(const BoxIouArgs& p, Stream stream) {
  const AlignedBoxes<T> boxes1(p.boxes1, p.n), boxes2(p.boxes2, p.m);
  // Rows that start on 16 bytes and end with a whole pack, or columns one by one.
  with_packs<kPack<T>>(p.m % kPack<T> == 0, [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    const auto kernel = p.generalized ? iou_matrix<T, true, N> : iou_matrix<T, false, N>;
    const int64_t tiles = ceil_div(p.m, int64_t{kColumnThreads} * N);
    launch(kernel, checked_grid(tiles * ceil_div(p.n, kRows)), kColumnThreads, 0, stream, static_cast<const T*>(boxes1),
           static_cast<const T*>(boxes2), static_cast<T*>(p.out), p.n, p.m, p.format, divide_by(tiles));
  });
}

// ---- choice by size -------------------------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(kBlock) mark_large(const T* boxes, int64_t n, T least, unsigned* words) {
  const int64_t i = global_thread();
  bool large = false;
  if (i < n) {
    const auto b = load_box(boxes, i);
    large = b[2] - b[0] >= least && b[3] - b[1] >= least;
  }
  const unsigned word = __ballot_sync(kFullWarp, large);
  if (threadIdx.x % kWarp == 0 && i < n) words[i / kWordBits] = word;
}

struct Itself {
  __device__ int64_t operator()(int64_t i) const { return i; }
};

template <class T>
int64_t large_boxes(const LargeBoxesArgs& p, Stream stream) {
  const AlignedBoxes<T> boxes(p.boxes, p.n);
  const DeviceScratch<unsigned> words(words_of(p.n));
  launch(mark_large<T>, checked_grid(ceil_div(p.n, kBlock)), kBlock, 0, stream, static_cast<const T*>(boxes), p.n,
         static_cast<T>(p.min_size), words.get());
  return select_bits(words, p.n, Itself{}, p.keep, stream);
}

}  // namespace

void box_iou_fwd(const BoxIouArgs& p, Stream stream) {
  if (p.n == 0 || p.m == 0) return;
  visit_float(p.dtype, [&](auto zero) { box_iou<decltype(zero)>(p, stream); });
}

void large_boxes_fwd(const LargeBoxesArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { *p.count = large_boxes<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
