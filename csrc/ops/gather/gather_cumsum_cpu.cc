// Running sums on the CPU. Along the last axis a vector is summed up in log2(lanes) steps, each of which adds the
// vector moved by 1, 2, 4, ... lanes, and the sum so far is added to all lanes; along other axes a chunk owns columns.
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"
#include "ops/gather/gather.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kSumColumns = 1024;
constexpr int64_t kSumNumbers = 32 * 1024;  // of a chunk of rows

// Lane i becomes the sum of lanes 0 to i (reverse: i to the last).
template <class T, bool kReverse, int kDistance = 1>
FASTDL_INLINE Vec<T> sum_up(Vec<T> v) {
  constexpr int L = kLanes<T>;
  if constexpr (kDistance >= L) {
    return v;
  } else {
    const Vec<T> moved = kReverse ? pick<T, kDistance, 1>(v, Vec<T>{}, LaneIndices<T>{})
                                  : pick<T, L - kDistance, 1>(Vec<T>{}, v, LaneIndices<T>{});
    return sum_up<T, kReverse, kDistance * 2>(v + moved);
  }
}

template <class T, bool kReverse>
static void sum_row(const T* x, int64_t n, T* out) {
  constexpr int L = kLanes<T>;
  T so_far{};
  const int64_t whole = n / L * L;
  if (!kReverse) {
    for (int64_t j = 0; j < whole; j += L) {
      const Vec<T> v = sum_up<T, false>(load<T>(x + j)) + so_far;
      store<T>(out + j, v);
      so_far = v[L - 1];
    }
    for (int64_t j = whole; j < n; ++j) out[j] = so_far += x[j];
  } else {
    for (int64_t j = n - 1; j >= whole; --j) out[j] = so_far += x[j];
    for (int64_t j = whole - L; j >= 0; j -= L) {
      const Vec<T> v = sum_up<T, true>(load<T>(x + j)) + so_far;
      store<T>(out + j, v);
      so_far = v[0];
    }
  }
}

template <class T>
static void sum_columns(const CumsumArgs& a) {
  const T* const x = static_cast<const T*>(a.x);
  T* const out = static_cast<T*>(a.out);
  const int64_t piece = a.inner < kSumColumns ? a.inner : kSumColumns, pieces = (a.inner + piece - 1) / piece;
  parallel_for(a.outer * pieces, kSumNumbers / (a.n * piece) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % pieces * piece, last = first + piece < a.inner ? first + piece : a.inner;
      const int64_t plane = i / pieces * a.n * a.inner, step = a.reverse ? -a.inner : a.inner;
      int64_t row = plane + (a.reverse ? (a.n - 1) * a.inner : 0);
      for (int64_t k = first; k < last; ++k) out[row + k] = x[row + k];
      for (int64_t j = 1; j < a.n; ++j, row += step)
        for (int64_t k = first; k < last; ++k) out[row + step + k] = out[row + k] + x[row + step + k];
    }
  });
}

void cumsum(const CumsumArgs& a) {
  if (a.outer * a.n * a.inner == 0) return;
  visit_number(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.inner > 1) return sum_columns<T>(a);
    parallel_for(a.outer, kSumNumbers / a.n + 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const T* const x = static_cast<const T*>(a.x) + o * a.n;
        T* const out = static_cast<T*>(a.out) + o * a.n;
        a.reverse ? sum_row<T, true>(x, a.n, out) : sum_row<T, false>(x, a.n, out);
      }
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
