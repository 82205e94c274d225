// softmax and log_softmax on the CPU, over the middle axis of (outer, n, inner).
//
//   m = max x,  s = sum exp(x - m);  softmax = exp(x - m) / s,  log_softmax = (x - m) - log s
//
// Three walks over a row that the caches still hold, so memory is read once and written once. The exponentials are
// stored by the second walk and scaled by the third. A row of nothing but -inf gives NaN (-inf - -inf), as in PyTorch.
//
// A chunk owns whole rows (inner = 1), or blocks of kColumnBlock columns of one outer index.
#include "cpu/parallel.h"
#include "cpu/row_exp-inl.h"
#include "ops/softmax/softmax.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kShortRow = 256;  // numbers: kLanes rows stay in L1

// ---- rows -----------------------------------------------------------------------------------------------------------

template <class T, bool kLog>
static void forward_row(const T* x, T* out, int64_t n) {
  const T m = row_max<T>(x, n);
  if constexpr (kLog) {
    const T s = row_sum<T>(n, [=](int64_t i, auto left) FASTDL_BODY { return vexp<T>(load_some<T>(x + i, left) - m); });
    const T log_s = vlog<T>(broadcast<T>(s))[0];
    for_row<T>(n, [=](int64_t i, auto left)
                      FASTDL_BODY { store_some<T>(out + i, (load_some<T>(x + i, left) - m) - log_s, left); });
  } else {
    const T s = row_sum<T>(n, [=](int64_t i, auto left) FASTDL_BODY {
      const Vec<T> e = vexp<T>(load_some<T>(x + i, left) - m);
      store_some<T>(out + i, e, left);
      return e;
    });
    const T scale = 1 / s;
    for_row<T>(n, [=](int64_t i, auto left)
                      FASTDL_BODY { store_some<T>(out + i, load_some<T>(out + i, left) * scale, left); });
  }
}

// Rows [begin, end). The logarithms of short rows' sums are taken kLanes at a time: one of them costs as much as a row.
template <class T, bool kLog>
static void forward_rows(const T* x, T* out, int64_t begin, int64_t end, int64_t n) {
  int64_t row = begin;
  if constexpr (kLog) {
    constexpr int kWidth = kLanes<T>;
    for (; n <= kShortRow && row + kWidth <= end; row += kWidth) {
      T m[kWidth], s[kWidth];
      for (int r = 0; r < kWidth; ++r) {
        const T* const p = x + (row + r) * n;
        const T max = m[r] = row_max<T>(p, n);
        s[r] =
            row_sum<T>(n, [=](int64_t i, auto left) FASTDL_BODY { return vexp<T>(load_some<T>(p + i, left) - max); });
      }
      store<T>(s, vlog<T>(load<T>(s)));
      for (int r = 0; r < kWidth; ++r) {
        const T *const p = x + (row + r) * n, max = m[r], log_s = s[r];
        T* const to = out + (row + r) * n;
        for_row<T>(n, [=](int64_t i, auto left)
                          FASTDL_BODY { store_some<T>(to + i, (load_some<T>(p + i, left) - max) - log_s, left); });
      }
    }
  }
  for (; row < end; ++row) forward_row<T, kLog>(x + row * n, out + row * n, n);
}

// What is added up over a row: grad * out for softmax, grad for its logarithm.
template <class T, bool kLog>
FASTDL_INLINE Vec<T> bwd_term(Vec<T> grad, Vec<T> y) {
  return kLog ? grad : grad * y;
}
template <class T, bool kLog>
FASTDL_INLINE Vec<T> bwd_result(Vec<T> grad, Vec<T> y, Vec<T> sum) {
  if constexpr (kLog)
    return grad - vexp<T>(y) * sum;
  else
    return y * (grad - sum);
}

template <class T, bool kLog>
static void backward_row(const T* grad, const T* y, T* grad_x, int64_t n) {
  const T sum = row_sum<T>(n, [=](int64_t i, auto left) FASTDL_BODY {
    return bwd_term<T, kLog>(load_some<T>(grad + i, left), load_some<T>(y + i, left));
  });
  for_row<T>(n, [=](int64_t i, auto left) FASTDL_BODY {
    const Vec<T> g = load_some<T>(grad + i, left), v = load_some<T>(y + i, left);
    store_some<T>(grad_x + i, bwd_result<T, kLog>(g, v, broadcast<T>(sum)), left);
  });
}

// ---- columns --------------------------------------------------------------------------------------------------------

template <class T, bool kLog, int kVectors>
static void forward_tile(const T* x, T* out, int64_t n, int64_t inner, int64_t left) {
  Vec<T> m[kVectors], s[kVectors]{};
  for (auto& v : m) v = broadcast<T>(kMinusInfinity<T>);
  for_tile<T, kVectors>(n, inner, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    m[v] = max_number<T>(load_some<T>(x + p, lanes), m[v]);
  });
  for_tile<T, kVectors>(n, inner, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    const Vec<T> e = vexp<T>(load_some<T>(x + p, lanes) - m[v]);
    if constexpr (!kLog) store_some<T>(out + p, e, lanes);
    s[v] += e;
  });
  for (auto& v : s) v = kLog ? vlog<T>(v) : T{1} / v;
  for_tile<T, kVectors>(n, inner, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    const Vec<T> y = kLog ? (load_some<T>(x + p, lanes) - m[v]) - s[v] : load_some<T>(out + p, lanes) * s[v];
    store_some<T>(out + p, y, lanes);
  });
}

template <class T, bool kLog, int kVectors>
static void backward_tile(const T* grad, const T* y, T* grad_x, int64_t n, int64_t inner, int64_t left) {
  Vec<T> s[kVectors]{};
  for_tile<T, kVectors>(n, inner, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    s[v] += bwd_term<T, kLog>(load_some<T>(grad + p, lanes), load_some<T>(y + p, lanes));
  });
  for_tile<T, kVectors>(n, inner, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    const Vec<T> g = load_some<T>(grad + p, lanes);
    store_some<T>(grad_x + p, bwd_result<T, kLog>(g, load_some<T>(y + p, lanes), s[v]), lanes);
  });
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// rows(begin, end) over all rows, or tile(offset, vectors, left) over all tiles of columns; offsets are in elements.
template <class T, class Rows, class Tile>
static void for_all(int64_t outer, int64_t n, int64_t inner, Rows rows, Tile tile) {
  if (outer * n * inner == 0) return;
  if (inner == 1) {
    parallel_for(outer, (kRowChunk / n + kLanes<T>) / kLanes<T> * kLanes<T>, rows);
    return;
  }
  const int64_t blocks = (inner + kColumnBlock - 1) / kColumnBlock;
  const int64_t block_numbers = n * (inner < kColumnBlock ? inner : kColumnBlock);
  parallel_for(outer * blocks, kRowChunk / block_numbers + 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t from = item % blocks * kColumnBlock, to = from + kColumnBlock < inner ? from + kColumnBlock : inner;
      for_column_tiles<T>(from, to, [&](auto vectors, int64_t first, int64_t left) FASTDL_BODY {
        tile(item / blocks * n * inner + first, vectors, left);
      });
    }
  });
}

template <class T, bool kLog>
static void forward(const SoftmaxFwdArgs& a) {
  const T* const x = static_cast<const T*>(a.x);
  T* const out = static_cast<T*>(a.out);
  for_all<T>(
      a.outer, a.n, a.inner, [&](int64_t begin, int64_t end) { forward_rows<T, kLog>(x, out, begin, end, a.n); },
      [&](int64_t at, auto vectors, int64_t left) {
        forward_tile<T, kLog, decltype(vectors)::value>(x + at, out + at, a.n, a.inner, left);
      });
}

template <class T, bool kLog>
static void backward(const SoftmaxBwdArgs& a) {
  const T *const grad = static_cast<const T*>(a.grad), *const y = static_cast<const T*>(a.y);
  T* const grad_x = static_cast<T*>(a.grad_x);
  for_all<T>(
      a.outer, a.n, a.inner,
      [&](int64_t begin, int64_t end) {
        for (int64_t at = begin * a.n; at < end * a.n; at += a.n)
          backward_row<T, kLog>(grad + at, y + at, grad_x + at, a.n);
      },
      [&](int64_t at, auto vectors, int64_t left) {
        backward_tile<T, kLog, decltype(vectors)::value>(grad + at, y + at, grad_x + at, a.n, a.inner, left);
      });
}

void softmax_fwd(const SoftmaxFwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    a.log ? forward<T, true>(a) : forward<T, false>(a);
  });
}

void softmax_bwd(const SoftmaxBwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    a.log ? backward<T, true>(a) : backward<T, false>(a);
  });
}

}  // namespace fastdl::FASTDL_ISA
