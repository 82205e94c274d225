// Gradients of running products, extremes and logarithms on CUDA: the sums that scan_bwd_cpu.cc tells, walked from the
// end of a line as the operations themselves are from its beginning (scan_walk.cuh).
#include "ops/scan/scan_log.cuh"
#include "ops/scan/scan_walk.cuh"

namespace fastdl {
namespace {

// s and f of s_i = g_i + f_i s_(i+1): of an element, or of what some elements come to.
template <class T>
struct Link {
  T sum, factor;
};

// Nothing, infinite or NaN, passes a factor of zero.
template <class T>
struct Chain {
  using State = Link<T>;
  static constexpr bool kCommutes = false;
  static constexpr int kPacks = 1;

  __device__ static State identity() { return {T(0), T(1)}; }
  __device__ static State combine(const State& a, const State& b) {
    State s;
    s.sum = b.factor == T(0) ? b.sum : b.sum + b.factor * a.sum;
    s.factor = a.factor * b.factor;
    return s;
  }
};

template <class T>
struct ExtremeBwd : Chain<T> {
  using State = Link<T>;
  const T* grad;
  const int64_t* places;
  T* grad_x;

  template <int N>
  __device__ void read(State (&s)[N], int64_t at, int64_t i, const Around& g) const {
    s[0].sum = grad[at];
    s[0].factor = i + 1 < g.n && places[at + g.inner] == i + 1 ? T(0) : T(1);
  }
  template <int N>
  __device__ void write(const State (&s)[N], int64_t at, int64_t i, const Around&) const {
    grad_x[at] = places[at] == i ? s[0].sum : T(0);
  }
};

// e^x_i times the sum of g e^-out from i on.
template <class T>
struct LogSumBwd : Exponentials<T> {
  using State = LogSum<T>;
  static constexpr int kPacks = 1;
  const T *grad, *x, *out;
  T* grad_x;

  template <int N>
  __device__ void read(State (&s)[N], int64_t at, int64_t, const Around&) const {
    s[0] = Exponentials<T>::of(-out[at], grad[at]);
  }
  template <int N>
  __device__ void write(const State (&s)[N], int64_t at, int64_t, const Around&) const {
    grad_x[at] = exp(x[at] + s[0].top) * s[0].sum;
  }
};

// Beside the chain the sum of g out.
template <class T>
struct LinkAndSum {
  Link<T> link;
  T total;
};

template <class T>
struct ProductBwd {
  using State = LinkAndSum<T>;
  static constexpr bool kCommutes = false;
  static constexpr int kPacks = 1;
  const T *grad, *x, *out;
  T* grad_x;

  __device__ static State identity() { return {Chain<T>::identity(), T(0)}; }
  __device__ static State combine(const State& a, const State& b) {
    const Link<T> link = Chain<T>::combine(a.link, b.link);
    State s;
    s.link.sum = link.sum;
    s.link.factor = link.factor;
    s.total = a.total + b.total;
    return s;
  }
  template <int N>
  __device__ void read(State (&s)[N], int64_t at, int64_t i, const Around& g) const {
    s[0].link.sum = grad[at];
    s[0].link.factor = i + 1 < g.n ? x[at + g.inner] : T(1);
    s[0].total = grad[at] * out[at];
  }
  template <int N>
  __device__ void write(const State (&s)[N], int64_t at, int64_t i, const Around& g) const {
    const T own = x[at];
    if (own != T(0)) {
      grad_x[at] = s[0].total / own;
      return;
    }
    const T before = i > 0 ? out[at - g.inner] : T(1);
    grad_x[at] = before == T(0) ? T(0) : before * s[0].link.sum;
  }
};

}  // namespace

void scan_bwd(const ScanBwdArgs& a, Stream stream) {
  if (a.outer * a.n * a.inner == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *const grad = static_cast<const T*>(a.grad), *const x = static_cast<const T*>(a.x);
    const T* const out = static_cast<const T*>(a.out);
    T* const grad_x = static_cast<T*>(a.grad_x);
    const auto start = [&](const auto& op) { walk(op, a.outer, a.n, a.inner, true, false, stream); };
    if (a.op == Scan::kProduct) return start(ProductBwd<T>{grad, x, out, grad_x});
    if (a.op == Scan::kLogSumExp) return start(LogSumBwd<T>{{}, grad, x, out, grad_x});
    start(ExtremeBwd<T>{{}, grad, a.places, grad_x});
  });
}

}  // namespace fastdl
