// Outputs that are written row by row, and what rows consist of: runs copied, reversed, filled and added.
#pragma once
#include "cpu/out_rows-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kGrain = 64 * 1024;       // elements a chunk
constexpr int64_t kBlockBytes = 16 * 1024;  // rows past the caches are built by blocks that stay in L1

// ---- runs -----------------------------------------------------------------------------------------------------------

// Edges of a few elements are the most frequent ones: written out, where a loop would be made ready for vectors.
constexpr int kFew = 4;
template <class T, class One>
FASTDL_INLINE void make_few(T* out, int64_t n, One one) {
#pragma GCC unroll 4
  for (int i = 0; i < kFew; ++i) {
    if (i >= n) return;
    out[i] = one(i);
  }
}

// at(i): the vector of the elements from i on; part(n): the first n < kLanes; one(i): a single element. Runs of at
// least a vector end with one that overlaps the one before.
template <class T, class At, class Part, class One>
FASTDL_INLINE void make_run(T* out, int64_t n, At at, Part part, One one) {
  constexpr int kWidth = kLanes<T>;
  if (n <= kFew) return make_few(out, n, one);
  if (n < kWidth) {
    if constexpr (sizeof(T) >= 4)
      store_n<T>(out, part(static_cast<int>(n)), static_cast<int>(n));
    else
      for (int64_t i = 0; i < n; ++i) out[i] = one(i);
    return;
  }
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store<T>(out + i, at(i));
  if (i < n) store<T>(out + n - kWidth, at(n - kWidth));
}

template <class T>
FASTDL_INLINE void copy_run(const T* x, T* out, int64_t n) {
  const auto part = [x](int count) FASTDL_BODY {
    if constexpr (sizeof(T) >= 4)
      return load_n<T>(x, count);
    else
      return Vec<T>{};
  };
  make_run(
      out, n, [x](int64_t i) FASTDL_BODY { return load<T>(x + i); }, part, [x](int64_t i) FASTDL_BODY { return x[i]; });
}

template <class T>
FASTDL_INLINE Vec<T> load_n_reversed(const T* last, int count) {
  if constexpr (sizeof(T) >= 4) {
    using Lane = decltype(Mask<T>{}[0] + 0);
    const Mask<T> lanes = broadcast(static_cast<Lane>(count - 1)) - lane_numbers<T>();
    return permute_lanes<T>(load_n<T>(last, count), lanes);
  }
  return Vec<T>{};
}

// out[i] = x[-i].
template <class T>
FASTDL_INLINE void reverse_run(const T* x, T* out, int64_t n) {
  constexpr int kWidth = kLanes<T>;
  make_run(
      out, n,
      [x](int64_t i) FASTDL_BODY {
        const Vec<T> v = load<T>(x - i - (kWidth - 1));
        return pick<T, kWidth - 1, -1>(v, v, LaneIndices<T>{});
      },
      [x](int count) FASTDL_BODY { return load_n_reversed(x - (count - 1), count); },
      [x](int64_t i) FASTDL_BODY { return x[-i]; });
}

template <class T>
FASTDL_INLINE void fill_run(T value, T* out, int64_t n) {
  const Vec<T> all = broadcast(value);
  make_run(
      out, n, [all](int64_t) FASTDL_BODY { return all; }, [all](int) FASTDL_BODY { return all; },
      [value](int64_t) FASTDL_BODY { return value; });
}

// out[i] += x[i], or x[-i]. Every element is added once: no vector may overlap another one.
template <class T>
FASTDL_INLINE void add_run(const T* x, T* out, int64_t n) {
  constexpr int kWidth = kLanes<T>;
  if (n <= kFew) return make_few(out, n, [x, out](int64_t i) FASTDL_BODY { return out[i] + x[i]; });
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) store<T>(out + i, load<T>(out + i) + load<T>(x + i));
  for (; i < n; ++i) out[i] += x[i];
}
template <class T>
FASTDL_INLINE void add_reversed_run(const T* x, T* out, int64_t n) {
  if (n <= kFew) return make_few(out, n, [x, out](int64_t i) FASTDL_BODY { return out[i] + x[-i]; });
  for (int64_t i = 0; i < n; ++i) out[i] += x[-i];
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// out is `count` rows of `size` elements. A copy of `rows` for each chunk makes them:
//   rows.seek(row)            goes to a row
//   rows.write(column, n, to) n of its elements from `column` on
//   rows.step()               to the next row
template <class T, class Rows>
static void write_rows(T* out, int64_t count, int64_t size, const Rows& rows) {
  constexpr int64_t kBlock = kBlockBytes / static_cast<int64_t>(sizeof(T));
  // Long rows are cut, so that threads share a single one as well.
  const int64_t piece = size < kBlock ? size : kBlock, pieces = (size + piece - 1) / piece;
  const int64_t bytes = count * size * static_cast<int64_t>(sizeof(T));
  parallel_for(count * pieces, kGrain / piece + 1, [&](int64_t begin, int64_t end) {
    Rows own = rows;
    const int64_t row = begin / pieces;
    int64_t column = begin % pieces * piece, filled = 0;
    own.seek(row);
    OutRows<T> to(bytes, kBlock);
    to.start(out + row * size + column);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t n = size - column < piece ? size - column : piece;
      // Several short rows are written before any is read again: loads of what was just stored in other vectors wait.
      if (filled + n > kBlock) to.done(filled), filled = 0;
      own.write(column, n, to.next() + filled);
      filled += n, column += n;
      if (column == size) column = 0, own.step();
    }
    to.done(filled);
    to.finish();
  });
}

// Calls run with a value of the unsigned type of so many bytes.
template <class F>
FASTDL_INLINE void visit_itemsize(int bytes, F run) {
  if (bytes == 1) run(uint8_t{});
  if (bytes == 4) run(uint32_t{});
  if (bytes == 8) run(uint64_t{});
}

}  // namespace
}  // namespace fastdl::FASTDL_ISA
