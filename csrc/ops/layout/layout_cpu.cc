// Moving elements on the CPU: copies between a contiguous block and a strided view of another, in either direction.
//
// Both kernels pick the plane of two axes that memory likes best:
//
//     runs        the last axis has stride 1 on both sides         long vectors, row by row
//     fills       ... or 0 in the source (broadcast_to)
//     reversals   ... or -1 in the source (flip)
//     transposes  the sides have stride 1 along different axes     squares of kLanes x kLanes through registers,
//                                                                  so that both sides move in whole vectors
//     elements    anything else (steps, one-byte transposes)       one by one
//
// Threads own ranges of whole planes' parts. Large outputs bypass the caches where they are contiguous.
#include "ops/layout/layout.h"
#include "ops/layout/layout_rows-inl.h"
#include "ops/layout/layout_transpose-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// ---- rows -----------------------------------------------------------------------------------------------------------

// Rows of a contiguous output: runs, fills, reversals, or elements some steps apart.
template <class T>
class GatheredRows {
 public:
  GatheredRows(const Copy& c, const T* x) : x_(x), stride_(c.from[c.n - 1]) {
    for (int i = 0; i + 1 < c.n; ++i) add_axis<1>(rows_, c.shape[i], {c.from[i]});
  }
  void seek(int64_t row) { fastdl::FASTDL_ISA::seek<1>(rows_, row); }
  void step() { fastdl::FASTDL_ISA::step<1>(rows_); }

  FASTDL_BODY void write(int64_t column, int64_t n, T* to) const {
    const T* const source = x_ + rows_.offset[0] + column * stride_;
    if (stride_ == 1) return copy_run(source, to, n);
    if (stride_ == -1) return reverse_run(source, to, n);
    if (stride_ == 0) return fill_run(*source, to, n);
    for (int64_t i = 0; i < n; ++i) to[i] = source[i * stride_];
  }

 private:
  const T* x_;
  int64_t stride_;
  Walk<1> rows_;
};

template <class T>
static void gather_rows(const Copy& c, const T* x, T* out) {
  int64_t rows = 1;
  for (int i = 0; i + 1 < c.n; ++i) rows *= c.shape[i];
  write_rows(out, rows, c.shape[c.n - 1], GatheredRows<T>(c, x));
}

template <class T>
FASTDL_INLINE void stream_run(const T* x, T* out, int64_t n) {
  constexpr int kStep = kLanes<T>;
  if (n < 4 * kStep || reinterpret_cast<uintptr_t>(out) % sizeof(T)) return copy_run(x, out, n);
  int64_t i = 0;
  for (; reinterpret_cast<uintptr_t>(out + i) % kVecBytes; ++i) out[i] = x[i];
  for (; i + kStep <= n; i += kStep) stream<T>(out + i, load<T>(x + i));
  for (; i < n; ++i) out[i] = x[i];
}

// Rows are cut at kGrain elements, so that threads share a single long one as well.
template <class T>
static void scatter_rows(const Copy& c, const T* x, T* out) {
  const int last = c.n - 1;
  const bool streams = c.bytes >= kStreamBytes;
  const int64_t size = c.shape[last], pieces = (size + kGrain - 1) / kGrain, to = c.to[last];
  int64_t outer = 1;
  for (int i = 0; i < last; ++i) outer *= c.shape[i];
  parallel_for(outer * pieces, kGrain / size + 1, [&](int64_t begin, int64_t end) {
    Walk<2> rows;
    for (int i = 0; i < last; ++i) add_axis<2>(rows, c.shape[i], {c.from[i], c.to[i]});
    seek<2>(rows, begin / pieces);
    int64_t piece = begin % pieces;
    for (int64_t item = begin; item < end; ++item) {
      const int64_t column = piece * kGrain, n = size - column < kGrain ? size - column : kGrain;
      const T* source = x + rows.offset[0] + column;
      T* target = out + rows.offset[1] + column * to;
      if (to == 1 && streams)
        stream_run(source, target, n);
      else if (to == 1)
        copy_run(source, target, n);
      else
        for (int64_t i = 0; i < n; ++i) target[i * to] = source[i];
      if (++piece == pieces) piece = 0, step<2>(rows);
    }
    if (streams) store_fence();
  });
}

// ---- the choice -----------------------------------------------------------------------------------------------------

// An axis that x is read backwards along becomes one that the output is written backwards along: then rows of a turned
// plane are those of a transposed one, from the last to the first.
template <class T>
static void turn_axis(Copy& c, const T*& x, T*& out) {
  int backwards = -1;
  for (int i = 0; i < c.n; ++i) {
    if (c.from[i] == 1 && c.shape[i] > 1) return;
    if (c.from[i] == -1) backwards = i;
  }
  if (backwards < 0 || backwards == c.n - 1) return;
  x -= c.shape[backwards] - 1;
  out += (c.shape[backwards] - 1) * c.to[backwards];
  c.from[backwards] = 1, c.to[backwards] = -c.to[backwards];
}

template <bool kGather, class T>
static void copy_strided(Copy& c, const T* x, T* out) {
  if constexpr (kGather) turn_axis(c, x, out);
  const int64_t* const strides = kGather ? c.from : c.to;
  const int last = c.n - 1;
  int across = -1;  // the axis that is contiguous on the strided side
  for (int i = 0; i < c.n; ++i)
    if (strides[i] == 1) across = i;
  const bool run = strides[last] == 1 || (kGather && (strides[last] == 0 || strides[last] == -1));
  if (!run && across >= 0) return copy_transposed(c, kGather ? last : across, kGather ? across : last, x, out);
  if constexpr (kGather)
    gather_rows(c, x, out);
  else
    scatter_rows(c, x, out);
}

template <bool kGather>
static void copy_any(Copy& c, int itemsize, const void* x, int64_t from, void* out, int64_t to) {
  c.bytes = itemsize;
  for (int i = 0; i < c.n; ++i) c.bytes *= c.shape[i];
  if (c.bytes == 0) return;
  visit_itemsize(itemsize, [&](auto zero) FASTDL_BODY {
    using T = decltype(zero);
    copy_strided<kGather>(c, static_cast<const T*>(x) + from, static_cast<T*>(out) + to);
  });
}

// The axes of `shape`, with a contiguous side and one that has `stride`.
static void set_axes(Copy& c, const Dims& shape, const Dims& stride, int64_t (&contiguous)[kMaxDims],
                     int64_t (&strided)[kMaxDims]) {
  c.n = shape.n;
  int64_t step_size = 1;
  for (int i = shape.n - 1; i >= 0; --i) {
    c.shape[i] = shape.d[i];
    contiguous[i] = step_size;
    strided[i] = stride.d[i];
    step_size *= shape.d[i];
  }
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void gather_strided(const GatherStridedArgs& p) {
  Copy c{};
  set_axes(c, p.shape, p.stride, c.to, c.from);
  copy_any<true>(c, p.itemsize, p.x, p.offset, p.out, 0);
}

void scatter_strided(const ScatterStridedArgs& p) {
  Copy c{};
  set_axes(c, p.shape, p.stride, c.from, c.to);
  copy_any<false>(c, p.itemsize, p.x, 0, p.out, p.offset);
}

}  // namespace fastdl::FASTDL_ISA
