// Places of maxima (y * width + x within a plane): int32 or int64 in memory, lanes as wide as the numbers in registers.
#pragma once
#include "cpu/out_rows-inl.h"
#include "cpu/pool-inl.h"

namespace fastdl::FASTDL_ISA {

template <class T>
using Lane = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;

typedef int32_t HalfIndices __attribute__((vector_size(kVecBytes / 2)));
typedef Vec<int64_t> WideIndices;

template <int kFirst, size_t... I>
FASTDL_INLINE HalfIndices half_of(Vec<int32_t> v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, (kFirst + static_cast<int>(I))...);
}
template <size_t... I>
FASTDL_INLINE Vec<int32_t> joined(HalfIndices a, HalfIndices b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, static_cast<int>(I)...);
}

// Stores the first n lanes; kStreams: a whole vector, past the caches.
template <bool kStreams, class T>
FASTDL_INLINE void put_lanes(T* p, Vec<T> v, int64_t n) {
  if constexpr (kStreams)
    stream<T>(p, v);
  else
    store_some<T>(p, v, n);
}
template <class T, bool kStreams = false>
FASTDL_INLINE void store_indices(int64_t* p, Mask<T> v, int64_t n) {
  constexpr int kWide = kLanes<int64_t>;
  if constexpr (sizeof(T) == 8) {
    put_lanes<kStreams, int64_t>(p, v, n);
  } else {
    using Half = std::make_index_sequence<kWide>;
    put_lanes<kStreams, int64_t>(p, __builtin_convertvector(half_of<0>(v, Half{}), WideIndices), n);
    put_lanes<kStreams, int64_t>(p + kWide, __builtin_convertvector(half_of<kWide>(v, Half{}), WideIndices), n - kWide);
  }
}
template <class T, bool kStreams = false>
FASTDL_INLINE void store_indices(int32_t* p, Mask<T> v, int64_t n) {
  if constexpr (sizeof(T) == 4) {
    put_lanes<kStreams, int32_t>(p, v, n);
  } else {
    const HalfIndices h = __builtin_convertvector(v, HalfIndices);
    __builtin_memcpy(p, &h, static_cast<size_t>(n) * sizeof(int32_t));
  }
}

// int64 indices beyond int32 come back as -1, which is outside every plane as well.
FASTDL_INLINE HalfIndices narrowed(WideIndices w) {
  const WideIndices fits = (w >= 0) & (w <= 0x7fffffff);
  return __builtin_convertvector(w | ~fits, HalfIndices);
}
template <class T>
FASTDL_INLINE Mask<T> load_indices(const int64_t* p, int64_t n) {
  constexpr int kWide = kLanes<int64_t>;
  if constexpr (sizeof(T) == 8) {
    return load_some<int64_t>(p, n);
  } else {
    const HalfIndices low = narrowed(load_some<int64_t>(p, n));
    const HalfIndices high = narrowed(load_some<int64_t>(p + kWide, n - kWide));
    return joined(low, high, std::make_index_sequence<2 * kWide>{});
  }
}
template <class T>
FASTDL_INLINE Mask<T> load_indices(const int32_t* p, int64_t n) {
  if constexpr (sizeof(T) == 4) {
    return load_some<int32_t>(p, n);
  } else {
    HalfIndices h{};
    __builtin_memcpy(&h, p, static_cast<size_t>(n) * sizeof(int32_t));
    return __builtin_convertvector(h, Mask<T>);
  }
}

// ---- pieces of 16 bytes ---------------------------------------------------------------------------------------------

// Neighbours part within pieces of 16 bytes in one instruction, where whole vectors take two. What came of it is put in
// order at the end, or when indices become twice as wide, which costs nothing more:
//
//   a, b    a0 a1 a2 a3 | a4 a5 a6 a7    b0 b1 b2 b3 | b4 b5 b6 b7
//   even    a0 a2 b0 b2 | a4 a6 b4 b6    widened, low: a0 a2 | a4 a6   high: b0 b2 | b4 b6

// Lane I of vectors in pieces is this lane of vectors in order.
template <class T>
constexpr int lane_in_order(int lane) {
  constexpr int kPiece = 16 / static_cast<int>(sizeof(T)), kHalf = kPiece / 2;
  const int piece = lane / kPiece, at = lane % kPiece;
  return piece * kHalf + at % kHalf + (at < kHalf ? 0 : kLanes<T> / 2);
}
template <class T>
constexpr int lane_in_pieces(int lane) {
  int i = 0;
  while (lane_in_order<T>(i) != lane) ++i;
  return i;
}
template <class T, int kFirst, size_t... I>
FASTDL_INLINE Vec<T> pick_in_pieces(Vec<T> a, Vec<T> b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (2 * lane_in_order<T>(static_cast<int>(I)) + kFirst)...);
}
template <class T, class V, size_t... I>
FASTDL_INLINE V ordered(V v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, lane_in_pieces<T>(static_cast<int>(I))...);
}
// V: numbers of T, or lanes as wide.
template <class T, class V>
FASTDL_INLINE V in_order(V v) {
  return ordered<T>(v, LaneIndices<T>{});
}
template <class T, size_t... I>
FASTDL_INLINE Mask<T> count_lanes_in_pieces(std::index_sequence<I...>) {
  return Mask<T>{static_cast<Lane<T>>(lane_in_order<T>(static_cast<int>(I)))...};
}
// Half of the places, none negative, as int64.
template <int kHalf, size_t... I>
FASTDL_INLINE WideIndices widened(Vec<int32_t> v, std::index_sequence<I...>) {
  constexpr int kZero = kLanes<int32_t>;
  const auto source = [](int i) constexpr { return i % 2 ? kZero : i / 4 * 4 + kHalf * 2 + i % 4 / 2; };
  return (WideIndices)__builtin_shufflevector(v, Vec<int32_t>{}, source(static_cast<int>(I))...);
}
// store_indices for places in pieces.
template <class T, bool kStreams, class I>
FASTDL_INLINE void store_indices_in_pieces(I* p, Mask<T> v, int64_t n) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  if constexpr (sizeof(T) == 4 && sizeof(I) == 8) {
    constexpr int kWide = kLanes<int64_t>;
    put_lanes<kStreams, int64_t>(p, widened<0>(v, LaneIndices<T>{}), n);
    return put_lanes<kStreams, int64_t>(p + kWide, widened<1>(v, LaneIndices<T>{}), n - kWide);
  }
#endif
  store_indices<T, kStreams>(p, in_order<T>(v), n);
}

// Calls f with a zero of the type that indices have.
template <class F>
static inline void visit_index(DType t, F&& f) {
  t == DType::kInt64 ? f(int64_t{}) : f(int32_t{});
}

// ---- windows of 2x2 side by side ------------------------------------------------------------------------------------

// Values (rows x columns, at most half of height x width) to the places that their indices name, zeros elsewhere: every
// pair of elements of the plane is written once, with the value where the index says so. False, and a plane that is
// part written, if an index lies outside its window.
template <class T, class I>
static bool spread_2x2(int64_t height, int64_t width, int64_t rows, int64_t columns, const T* values, const I* indices,
                       OutRows<T>& out) {
  using L = Lane<T>;
  constexpr int kWidth = kLanes<T>;
  const Mask<T> lane = lane_numbers<T>();
  const L below = static_cast<L>(width);
  for (int64_t oy = 0; oy < rows; ++oy) {
    T* const top = out.next();
    Mask<T> stray{};
    for_blocks<T>(columns, [&](int64_t at, auto n) __attribute__((always_inline)) {
      const Vec<T> v = load_some<T>(values + oy * columns + at, n);
      const Mask<T> corner = (lane + static_cast<L>(at + oy * width)) * 2;
      const Mask<T> offset = load_indices<T>(indices + oy * columns + at, n) - corner;
      stray |= (offset != 0) & (offset != 1) & (offset != below) & (offset != below + 1) & (lane < static_cast<L>(n));
      for (int row = 0; row < 2; ++row) {
        const Vec<T> left = select<T>(offset == row * below, v, Vec<T>{});
        const Vec<T> right = select<T>(offset == row * below + 1, v, Vec<T>{});
        T* const p = top + row * width + 2 * at;
        store_some<T>(p, zip_low<T>(left, right), 2 * n);
        store_some<T>(p + kWidth, zip_high<T>(left, right), 2 * n - kWidth);
      }
    });
    for (int i = 0; i < kWidth; ++i)
      if (stray[i]) return false;
    for (int64_t x = 2 * columns; x < width; ++x) top[x] = top[width + x] = T{0};
    out.done(2 * width);
  }
  for (int64_t y = 2 * rows; y < height; ++y) {
    __builtin_memset(out.next(), 0, static_cast<size_t>(width) * sizeof(T));
    out.done(width);
  }
  return true;
}

// ---- any windows ----------------------------------------------------------------------------------------------------

// Values to the places that their indices name, in order, onto zeros; kAdds: values that meet are added, else the last
// one stays. Returns the first position whose index is outside the plane, or -1.
template <class T, bool kAdds, class I>
static int64_t scatter_plane(int64_t plane_size, int64_t n, const T* values, const I* indices, T* plane) {
  __builtin_memset(plane, 0, static_cast<size_t>(plane_size) * sizeof(T));
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = indices[i];
    if (at < 0 || at >= plane_size) return i;
    plane[at] = kAdds ? plane[at] + values[i] : values[i];
  }
  return -1;
}

// Keeps the smallest position, whichever chunk finds its own first.
static inline void report_index(int64_t position, int64_t* bad) {
  int64_t seen = __atomic_load_n(bad, __ATOMIC_RELAXED);
  while ((seen == 0 || position + 1 < seen) &&
         !__atomic_compare_exchange_n(bad, &seen, position + 1, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
}

// Planes of values to planes of height x width. `pairs`: windows of 2x2 side by side are likely, and tried first.
template <class T, bool kAdds, class I>
static void scatter_planes(int64_t planes, int64_t height, int64_t width, int64_t rows, int64_t columns, bool pairs,
                           const T* values, const I* indices, T* out, int64_t* bad) {
  const int64_t size = height * width, n = rows * columns;
  const int64_t bytes = planes * size * static_cast<int64_t>(sizeof(T));
  pairs = pairs && 2 * rows <= height && 2 * columns <= width;
  parallel_for(planes, larger(1, kBandInputs / larger(size, 1)), [&](int64_t plane, int64_t last) {
    OutRows<T> sink(pairs ? bytes : 0, 2 * width);
    for (; plane < last; ++plane) {
      const T* const from = values + plane * n;
      const I* const places = indices + plane * n;
      sink.start(out + plane * size);
      const bool done = pairs && spread_2x2<T>(height, width, rows, columns, from, places, sink);
      sink.finish();
      if (done) continue;
      const int64_t at = scatter_plane<T, kAdds>(size, n, from, places, out + plane * size);
      if (at >= 0) report_index(plane * n + at, bad);
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
