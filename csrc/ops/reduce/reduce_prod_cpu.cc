// The gradient of products on the CPU. Of each line first a share and how many of its factors are 0:
//
//     none   share = grad out, and a factor x gets share / x
//     one    share = grad times all other factors: what that factor gets, the others nothing
//     more   nobody gets anything
//
// Factors are read again for it only where the product is 0 or NaN: no other has a factor 0. Then one pass over x.
#include "cpu/parallel.h"
#include "cpu/runs-inl.h"
#include "ops/reduce/reduce.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kNumbers = 32 * 1024;  // of a chunk
constexpr int64_t kPieceColumns = 256;   // a quarter of a page of each row

template <class T>
struct Share {
  Vec<T> share, zeros;
};

template <class T>
FASTDL_INLINE bool tells_zeros(Vec<T> out) {
  return any_lane<T>((out == T{0}) | (out != out));
}
// Another factor of a line: into the product of those that are not 0, or the count of the others.
template <class T>
FASTDL_INLINE void add_factor(Share<T>& s, Vec<T> x) {
  const Mask<T> zero = x == T{0};
  s.share *= select<T>(zero, broadcast<T>(1), x);
  s.zeros += select<T>(zero, broadcast<T>(1), Vec<T>{});
}
template <class T>
FASTDL_INLINE Vec<T> gradient(const Share<T>& s, Vec<T> x) {
  const Mask<T> zero = x == T{0};
  const Vec<T> own = select<T>(zero, broadcast<T>(1), Vec<T>{});
  return select<T>(own == s.zeros, s.share / select<T>(zero, own, x), Vec<T>{});
}

template <class T>
static Share<T> share_of_row(const T* x, int64_t n, T out, T grad) {
  if (!tells_zeros<T>(broadcast<T>(out))) return {broadcast<T>(grad * out), Vec<T>{}};
  Share<T> s = {broadcast<T>(1), Vec<T>{}};
  for (int64_t i = 0; i < n; i += kLanes<T>) add_factor<T>(s, first_lanes<T>(load_some<T>(x + i, n - i), n - i, T{1}));
  const T zeros = tree_sum<T>(s.zeros);
  const T product = fold_lanes<T, kLanes<T> / 2>(s.share, [](Vec<T> a, Vec<T> b) FASTDL_BODY { return a * b; });
  // Without a zero the factors were too small for their product: the share is that of all other lines.
  return {broadcast<T>(grad * (zeros == T{0} ? out : product)), broadcast<T>(zeros)};
}

// One line, or chunks of a long one.
template <class T>
static void rows(const ProdBwdArgs& a, const T* grad, const T* x, const T* out, T* grad_x) {
  Scratch<T> shares(2 * a.outer);
  T* const of_line = shares;
  parallel_for(a.outer, kNumbers, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const Share<T> s = share_of_row<T>(x + o * a.n, a.n, out[o], grad[o]);
      of_line[2 * o] = s.share[0], of_line[2 * o + 1] = s.zeros[0];
    }
  });
  const int64_t chunk = a.n < kNumbers ? a.n : kNumbers, chunks = (a.n + chunk - 1) / chunk;
  parallel_for(a.outer * chunks, kNumbers / chunk, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t o = item / chunks, first = item % chunks * chunk, at = o * a.n + first;
      const Share<T> s = {broadcast<T>(of_line[2 * o]), broadcast<T>(of_line[2 * o + 1])};
      const int64_t size = a.n - first < chunk ? a.n - first : chunk;
      if (of_line[2 * o + 1] == T{0})
        map_run<T>(grad_x + at, size, false,
                   [&](int64_t i, auto left) FASTDL_BODY { return s.share / load_some<T>(x + at + i, left); });
      else
        map_run<T>(grad_x + at, size, false,
                   [&](int64_t i, auto left) FASTDL_BODY { return gradient<T>(s, load_some<T>(x + at + i, left)); });
    }
  });
}

// A piece of columns of one matrix: x and grad_x at its first number, grad and out at its first column.
template <class T>
static void piece_of_columns(const ProdBwdArgs& a, const T* grad, const T* x, const T* out, T* grad_x, int64_t width) {
  alignas(64) T share[kPieceColumns], zeros[kPieceColumns];
  for (int64_t c = 0; c < width; c += kLanes<T>) {
    const int64_t left = width - c;
    const Vec<T> g = load_some<T>(grad + c, left), product = first_lanes<T>(load_some<T>(out + c, left), left, T{1});
    Share<T> s = {broadcast<T>(1), Vec<T>{}};
    if (tells_zeros<T>(product))
      for (int64_t i = 0; i < a.n; ++i) add_factor<T>(s, load_some<T>(x + i * a.inner + c, left));
    store<T>(zeros + c, s.zeros);
    store<T>(share + c, g * select<T>(s.zeros == T{0}, product, s.share));
  }
  for (int64_t i = 0; i < a.n; ++i)
    for (int64_t c = 0; c < width; c += kLanes<T>) {
      const Share<T> s = {load<T>(share + c), load<T>(zeros + c)};
      const int64_t at = i * a.inner + c;
      store_some<T>(grad_x + at, gradient<T>(s, load_some<T>(x + at, width - c)), width - c);
    }
}

template <class T>
static void columns(const ProdBwdArgs& a, const T* grad, const T* x, const T* out, T* grad_x) {
  const int64_t piece = a.inner < kPieceColumns ? a.inner : kPieceColumns, pieces = (a.inner + piece - 1) / piece;
  parallel_for(a.outer * pieces, kNumbers / (a.n * piece) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t o = item / pieces, first = item % pieces * piece, line = o * a.inner + first;
      const int64_t at = o * a.n * a.inner + first, width = a.inner - first < piece ? a.inner - first : piece;
      piece_of_columns<T>(a, grad + line, x + at, out + line, grad_x + at, width);
    }
  });
}

}  // namespace

void prod_bwd(const ProdBwdArgs& a) {
  if (a.outer * a.n * a.inner == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *const grad = static_cast<const T*>(a.grad), *const x = static_cast<const T*>(a.x);
    const T* const out = static_cast<const T*>(a.out);
    T* const grad_x = static_cast<T*>(a.grad_x);
    a.inner == 1 ? rows<T>(a, grad, x, out, grad_x) : columns<T>(a, grad, x, out, grad_x);
  });
}

}  // namespace fastdl::FASTDL_ISA
