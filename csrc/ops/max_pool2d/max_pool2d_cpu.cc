// Max pooling on the CPU, one pass over memory, vectorised over the columns of the output.
//
//   out[oy][ox] = max over ky, kx of x[oy * sh - ph + ky * dh][ox * sw - pw + kx * dw]
//
// Neighbouring outputs lie sw columns apart in the input. Input rows are therefore split by phase (column mod sw) into
// a buffer with padding of minus infinity, where the kLanes inputs of one tap are contiguous:
//
//   x (sw = 2, pw = 1)      x0 x1 x2 x3 x4 x5     phase 0:  -inf x1 x3 x5 -inf
//                                                 phase 1:  x0 x2 x4 -inf
//
// The buffer is a ring of as many rows as a window is high and stays in L1; each input row is split once. Windows of
// 2x2 with stride 2 and no padding are split in registers instead.
//
// A chunk owns bands of output rows (forward) or planes (backward, where windows of one plane may add to one element).
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"
#include "ops/max_pool2d/max_pool2d.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kBandInputs = 32 * 1024;  // input elements of one chunk: tens of microseconds

template <class T>
using Lane = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;

FASTDL_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
FASTDL_INLINE int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}
FASTDL_INLINE int64_t div_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// ---- blocks of kLanes outputs ---------------------------------------------------------------------------------------

// The last block of a row overlaps the one before it, so that only rows shorter than a vector need partial stores.
struct Block {
  int64_t at;
  int n;
};
template <class T>
FASTDL_INLINE Block block_at(int64_t i, int64_t n) {
  constexpr int64_t kWidth = kLanes<T>;
  if (i + kWidth <= n) return {i, kLanes<T>};
  return n >= kWidth ? Block{n - kWidth, kLanes<T>} : Block{i, static_cast<int>(n - i)};
}

// Indices are int32 in memory and as wide as T in registers.
typedef int32_t HalfIndices __attribute__((vector_size(kVecBytes / 2)));
template <class T>
FASTDL_INLINE void store_indices(int32_t* p, Mask<T> v, int n) {
  if constexpr (sizeof(T) == 4) {
    store_some<int32_t>(p, v, n);
  } else {
    const HalfIndices h = __builtin_convertvector(v, HalfIndices);
    __builtin_memcpy(p, &h, static_cast<size_t>(n) * sizeof(int32_t));
  }
}
template <class T>
FASTDL_INLINE Mask<T> load_indices(const int32_t* p, int n) {
  if constexpr (sizeof(T) == 4) {
    return load_some<int32_t>(p, n);
  } else {
    HalfIndices h{};
    __builtin_memcpy(&h, p, static_cast<size_t>(n) * sizeof(int32_t));
    return __builtin_convertvector(h, Mask<T>);
  }
}

// ---- forward: where the taps of a row of outputs are ----------------------------------------------------------------

// First column of each window: of the window itself (may be padding) and of its part inside the input. A window of
// nothing but padding (dilation can make one) is given the last column, so that every index names an element.
template <class T>
static void fill_columns(const MaxPool2dGeometry& g, int64_t n, Lane<T>* start, Lane<T>* first) {
  for (int64_t ox = 0; ox < n; ++ox) {
    const int64_t s = ox * g.stride_w - g.pad_w;
    start[ox] = static_cast<Lane<T>>(s);
    first[ox] = static_cast<Lane<T>>(smaller(s < 0 ? s + div_up(-s, g.dilation_w) * g.dilation_w : s, g.in_w - 1));
  }
}

template <class T>
struct TapRow {
  const T* data;
  int64_t index;  // of its column 0 in the plane
};

namespace {

// The split rows of one band. Row iy lies in slot iy % slots.
template <class T>
class RowRing {
 public:
  RowRing(const MaxPool2dGeometry& g, T* data) : g_(g), data_(data) {}

  // At least the rows of a window; a power of two, because a division a row costs as much as the row.
  static int64_t slots(const MaxPool2dGeometry& g) {
    int64_t n = 1;
    while (n < (g.kernel_h - 1) * g.dilation_h + 1) n *= 2;
    return n;
  }
  static int64_t phases(const MaxPool2dGeometry& g) { return smaller(g.stride_w, (g.kernel_w - 1) * g.dilation_w + 1); }
  // Long enough for whole vectors of outputs and the reach of the last tap.
  static int64_t phase_size(const MaxPool2dGeometry& g) {
    return larger(g.out_w, kLanes<T>) + (g.kernel_w - 1) * g.dilation_w / g.stride_w + 1;
  }
  static int64_t size(const MaxPool2dGeometry& g) { return slots(g) * phases(g) * phase_size(g); }
  static int64_t tap_offset(const MaxPool2dGeometry& g, int64_t kx) {
    const int64_t column = kx * g.dilation_w;
    return column % g.stride_w * phase_size(g) + column / g.stride_w;
  }

  void start_band() { next_ = 0; }

  // Splits the rows up to `last` that a window from `first` on has not met yet.
  void advance(const T* plane, int64_t first, int64_t last) {
    const int64_t end = smaller(last + 1, g_.in_h);
    for (int64_t iy = larger(next_, larger(first, 0)); iy < end; ++iy) split(plane + iy * g_.in_w, slot(iy));
    next_ = larger(next_, end);
  }

  T* slot(int64_t iy) const { return data_ + (iy & last_slot_) * slot_size_; }

 private:
  // The padding around the copied columns was set once and stays.
  void split(const T* x, T* row) const {
    const int64_t n = smaller(g_.in_w, phase_size_ * g_.stride_w - g_.pad_w);
    if (g_.stride_w == 1)
      __builtin_memcpy(row + g_.pad_w, x, static_cast<size_t>(n) * sizeof(T));
    else if (g_.stride_w == 2)
      split_in_two(x, n, row);
    else
      split_in_many(x, n, row);
  }
  void split_in_two(const T* x, int64_t n, T* row) const {
    constexpr int kWidth = kLanes<T>;
    for (int64_t i = 0; i < n; i += 2 * kWidth) {
      const int64_t at = i + 2 * kWidth > n && n >= 2 * kWidth ? n - 2 * kWidth : i;
      const int m = static_cast<int>(smaller(n - at, 2 * kWidth));
      const Vec<T> a = load_some<T>(x + at, m), b = load_some<T>(x + at + kWidth, m - kWidth);
      store_split(row, at + g_.pad_w, even_lanes<T>(a, b), (m + 1) / 2);
      store_split(row, at + g_.pad_w + 1, odd_lanes<T>(a, b), m / 2);
    }
  }
  void store_split(T* row, int64_t column, Vec<T> v, int n) const {
    if (column % 2 < phases_) store_some<T>(phase(row, column % 2) + column / 2, v, n);
  }
  void split_in_many(const T* x, int64_t n, T* row) const {
    const int64_t s = g_.stride_w;
    for (int64_t p = 0; p < phases_; ++p) {
      int64_t j = p < g_.pad_w ? div_up(g_.pad_w - p, s) : 0;
      for (int64_t ix = j * s + p - g_.pad_w; ix < n; ix += s) phase(row, p)[j++] = x[ix];
    }
  }
  T* phase(T* row, int64_t p) const { return row + p * phase_size_; }

  const MaxPool2dGeometry& g_;
  T* data_;
  int64_t next_ = 0;
  const int64_t last_slot_ = slots(g_) - 1, phases_ = phases(g_), phase_size_ = phase_size(g_);
  const int64_t slot_size_ = phases_ * phase_size_;
};

// The two ways to load one tap of a block of outputs.
template <class T>
struct FromRing {
  const int64_t* offsets;  // of each tap column in a split row
  Vec<T> operator()(const T* row, int64_t kx, int64_t at, int) const { return load<T>(row + offsets[kx] + at); }
};
template <class T>
struct FromPairs {  // 2x2 with stride 2: the compiler shares the loads of both taps
  Vec<T> operator()(const T* row, int64_t kx, int64_t at, int n) const {
    const Vec<T> a = load_some<T>(row + 2 * at, 2 * n), b = load_some<T>(row + 2 * at + kLanes<T>, 2 * n - kLanes<T>);
    return kx == 0 ? even_lanes<T>(a, b) : odd_lanes<T>(a, b);
  }
};

}  // namespace

// ---- forward --------------------------------------------------------------------------------------------------------

// One row of outputs from the valid rows of its windows. kColumns is kernel_w where known, else 0.
template <class T, bool kIndices, int kColumns, class Load>
static void pool_row(const MaxPool2dGeometry& g, const TapRow<T>* rows, int64_t count, Load tap, const Lane<T>* start,
                     const Lane<T>* first, T* out, int32_t* indices) {
  const int64_t columns = kColumns ? kColumns : g.kernel_w;
  const Lane<T> first_row = static_cast<Lane<T>>(count ? rows[0].index : 0);
  for (int64_t ox = 0; ox < g.out_w; ox += kLanes<T>) {
    const auto [at, n] = block_at<T>(ox, g.out_w);
    Vec<T> best = broadcast<T>(-static_cast<T>(__builtin_inf()));
    Mask<T> where{}, window{};
    if constexpr (kIndices) where = load<Lane<T>>(first + at) + first_row, window = load<Lane<T>>(start + at);
    for (int64_t r = 0; r < count; ++r) {
#pragma GCC unroll 4
      for (int64_t kx = 0; kx < columns; ++kx) {
        const Vec<T> x = tap(rows[r].data, kx, at, n);
        const Mask<T> better = (x > best) | (x != x);
        best = select<T>(better, x, best);
        if constexpr (kIndices)
          where = better ? window + static_cast<Lane<T>>(rows[r].index + kx * g.dilation_w) : where;
      }
    }
    store_some<T>(out + at, best, n);
    if constexpr (kIndices) store_indices<T>(indices + at, where, n);
  }
}

template <class T>
struct Columns {  // tables shared by all rows
  const Lane<T>*start, *first;
  const int64_t* tap_offsets;
};

// Rows [begin, end) of the outputs of one plane, through the ring.
template <class T, bool kIndices, int kColumns>
static void pool_band(const MaxPool2dGeometry& g, const T* x, int64_t begin, int64_t end, const Columns<T>& columns,
                      RowRing<T>& ring, TapRow<T>* rows, T* out, int32_t* indices) {
  ring.start_band();
  for (int64_t oy = begin; oy < end; ++oy) {
    const int64_t top = oy * g.stride_h - g.pad_h;
    ring.advance(x, top, top + (g.kernel_h - 1) * g.dilation_h);
    int64_t count = 0;
    for (int64_t ky = 0; ky < g.kernel_h; ++ky) {
      const int64_t iy = top + ky * g.dilation_h;
      if (iy >= 0 && iy < g.in_h) rows[count++] = {ring.slot(iy), iy * g.in_w};
    }
    pool_row<T, kIndices, kColumns>(g, rows, count, FromRing<T>{columns.tap_offsets}, columns.start, columns.first,
                                    out + oy * g.out_w, kIndices ? indices + oy * g.out_w : nullptr);
  }
}

template <class T, bool kIndices>
static void pool_band_2x2(const MaxPool2dGeometry& g, const T* x, int64_t begin, int64_t end, const Columns<T>& columns,
                          T* out, int32_t* indices) {
  for (int64_t oy = begin; oy < end; ++oy) {
    const int64_t top = 2 * oy * g.in_w;
    const TapRow<T> rows[2] = {{x + top, top}, {x + top + g.in_w, top + g.in_w}};
    pool_row<T, kIndices, 2>(g, rows, 2, FromPairs<T>{}, columns.start, columns.first, out + oy * g.out_w,
                             kIndices ? indices + oy * g.out_w : nullptr);
  }
}

// Windows side by side that lie in the input: each element belongs to at most one of them.
static bool is_plain_2x2(const MaxPool2dGeometry& g) {
  return g.kernel_h == 2 && g.kernel_w == 2 && g.stride_h == 2 && g.stride_w == 2 && g.pad_h == 0 && g.pad_w == 0 &&
         g.dilation_h == 1 && g.dilation_w == 1 && 2 * g.out_h <= g.in_h && 2 * g.out_w <= g.in_w;
}

template <class T, bool kIndices>
static void forward(const MaxPool2dFwdArgs& a) {
  const MaxPool2dGeometry g = a.g;
  const bool plain = is_plain_2x2(g);
  const int64_t padded = larger(g.out_w, kLanes<T>);
  Scratch<Lane<T>> start(padded), first(padded);
  fill_columns<T>(g, padded, start, first);
  Scratch<int64_t> tap_offsets(g.kernel_w);
  for (int64_t kx = 0; kx < g.kernel_w; ++kx) tap_offsets[kx] = RowRing<T>::tap_offset(g, kx);
  const Columns<T> columns{start, first, tap_offsets};

  const int64_t plane_inputs = larger(g.in_h * g.in_w, 1);
  const int64_t bands = smaller(g.out_h, div_up(plane_inputs, kBandInputs)), band = div_up(g.out_h, bands);
  parallel_for(g.planes * bands, larger(1, kBandInputs / plane_inputs), [&](int64_t item, int64_t last) {
    const int64_t ring_size = plain ? 0 : RowRing<T>::size(g);
    Scratch<T> memory(ring_size);
    for (int64_t i = 0; i < ring_size; ++i) memory[i] = -static_cast<T>(__builtin_inf());
    RowRing<T> ring(g, memory);
    Scratch<TapRow<T>> rows(g.kernel_h);
    for (; item < last; ++item) {
      const int64_t plane = item / bands, begin = item % bands * band, end = smaller(begin + band, g.out_h);
      const T* x = static_cast<const T*>(a.x) + plane * g.in_h * g.in_w;
      T* out = static_cast<T*>(a.out) + plane * g.out_h * g.out_w;
      int32_t* indices = kIndices ? a.indices + plane * g.out_h * g.out_w : nullptr;
      if (plain)
        pool_band_2x2<T, kIndices>(g, x, begin, end, columns, out, indices);
      else if (g.kernel_w == 2)
        pool_band<T, kIndices, 2>(g, x, begin, end, columns, ring, rows, out, indices);
      else if (g.kernel_w == 3)
        pool_band<T, kIndices, 3>(g, x, begin, end, columns, ring, rows, out, indices);
      else
        pool_band<T, kIndices, 0>(g, x, begin, end, columns, ring, rows, out, indices);
    }
  });
}

void max_pool2d_fwd(const MaxPool2dFwdArgs& a) {
  if (a.g.planes * a.g.out_h * a.g.out_w == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    a.indices ? forward<T, true>(a) : forward<T, false>(a);
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// Windows side by side: every pair of elements is written once, with the gradient where the index says so. False if an
// index lies outside its window.
template <class T>
static bool spread_2x2(const MaxPool2dGeometry& g, const T* grad, const int32_t* indices, T* grad_x) {
  using L = Lane<T>;
  constexpr int kWidth = kLanes<T>;
  const Mask<T> lane = lane_numbers<T>();
  Mask<T> stray{};
  for (int64_t oy = 0; oy < g.out_h; ++oy) {
    T* const top = grad_x + 2 * oy * g.in_w;
    for (int64_t ox = 0; ox < g.out_w; ox += kWidth) {
      const auto [at, n] = block_at<T>(ox, g.out_w);
      const Vec<T> v = load_some<T>(grad + oy * g.out_w + at, n);
      const Mask<T> corner = (lane + static_cast<L>(at + oy * g.in_w)) * 2;
      const Mask<T> offset = load_indices<T>(indices + oy * g.out_w + at, n) - corner;
      const L below = static_cast<L>(g.in_w);
      stray |= (offset != 0) & (offset != 1) & (offset != below) & (offset != below + 1) & (lane < static_cast<L>(n));
      for (int row = 0; row < 2; ++row) {
        const Vec<T> left = select<T>(offset == row * below, v, Vec<T>{});
        const Vec<T> right = select<T>(offset == row * below + 1, v, Vec<T>{});
        T* const p = top + row * g.in_w + 2 * at;
        store_some<T>(p, zip_low<T>(left, right), 2 * n);
        store_some<T>(p + kWidth, zip_high<T>(left, right), 2 * n - kWidth);
      }
    }
    for (int64_t x = 2 * g.out_w; x < g.in_w; ++x) top[x] = top[g.in_w + x] = T{0};
  }
  const int64_t rest = (g.in_h - 2 * g.out_h) * g.in_w;
  __builtin_memset(grad_x + 2 * g.out_h * g.in_w, 0, static_cast<size_t>(rest) * sizeof(T));
  for (int i = 0; i < kWidth; ++i)
    if (stray[i]) return false;
  return true;
}

// Overlapping windows, or indices of the caller's own: adds in the order of the outputs. Returns the first position
// whose index is outside the plane, or -1.
template <class T>
static int64_t scatter(const MaxPool2dGeometry& g, const T* grad, const int32_t* indices, T* grad_x) {
  const int64_t in_plane = g.in_h * g.in_w, out_plane = g.out_h * g.out_w;
  __builtin_memset(grad_x, 0, static_cast<size_t>(in_plane) * sizeof(T));
  for (int64_t i = 0; i < out_plane; ++i) {
    if (indices[i] < 0 || indices[i] >= in_plane) return i;
    grad_x[indices[i]] += grad[i];
  }
  return -1;
}

// Keeps the smallest position, whichever chunk finds its own first.
static void report(int64_t position, int64_t* bad) {
  int64_t seen = __atomic_load_n(bad, __ATOMIC_RELAXED);
  while ((seen == 0 || position + 1 < seen) &&
         !__atomic_compare_exchange_n(bad, &seen, position + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

template <class T>
static void backward(const MaxPool2dBwdArgs& a) {
  const MaxPool2dGeometry g = a.g;
  const bool plain = is_plain_2x2(g);
  const int64_t in_plane = g.in_h * g.in_w, out_plane = g.out_h * g.out_w;
  parallel_for(g.planes, larger(1, kBandInputs / larger(in_plane, 1)), [&](int64_t plane, int64_t last) {
    for (; plane < last; ++plane) {
      const T* grad = static_cast<const T*>(a.grad) + plane * out_plane;
      const int32_t* indices = a.indices + plane * out_plane;
      T* grad_x = static_cast<T*>(a.grad_x) + plane * in_plane;
      if (plain && spread_2x2<T>(g, grad, indices, grad_x)) continue;
      const int64_t bad = scatter<T>(g, grad, indices, grad_x);
      if (bad >= 0) report(plane * out_plane + bad, a.bad_index);
    }
  });
}

void max_pool2d_bwd(const MaxPool2dBwdArgs& a) {
  *a.bad_index = 0;
  visit_float(a.dtype, [&](auto zero) { backward<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
