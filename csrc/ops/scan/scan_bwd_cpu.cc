// Gradients of running products, extremes and logarithms on the CPU, walked from the end of a line as the operations
// themselves are from its beginning (scan-inl.h). With
//
//     s_i = g_i + f_i s_(i+1)
//
//   extremes     f_i = 0 where i + 1 is a place that was chosen, else 1; the gradient is s_i at chosen places, else 0
//   products     (sum of g out from i on) / x_i; where x_i is 0, out_(i-1) s_i with f_i = x_(i+1)
//   logarithms   e^x_i times the sum of g e^-out from i on, as weighted exponentials
#include "ops/scan/scan_log-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// The number behind each of a vector along the axis, and `otherwise` behind the last of the line.
template <bool kRow, class T, class N>
FASTDL_INLINE Vec<T> numbers_behind(const T* p, const Lines& g, int64_t at, int64_t i, N left, Vec<T> otherwise) {
  if (!kRow) return i + 1 < g.n ? load_some<T>(p + at + g.inner, left) : otherwise;
  const int64_t behind = g.n - 1 - i;
  if (behind >= kLanes<T>) return load<T>(p + at + 1);
  return select<T>(lanes_below<T>(behind), load_some<T>(p + at + 1, behind), otherwise);
}

// Where places[at] says number i, or i and its neighbours along a row. Lanes from `left` on are not set.
template <bool kRow, class T>
FASTDL_INLINE Mask<T> chosen_at(const int64_t* places, int64_t at, int64_t i, int64_t left) {
  const auto half = [&](int64_t first) FASTDL_BODY {
    const Vec<int64_t> own =
        Vec<int64_t>{} + (kRow ? i + first : i) + (kRow ? lane_numbers<int64_t>() : Vec<int64_t>{});
    return (load_some<int64_t>(places + at + first, left - first) == own) & lanes_below<int64_t>(left - first);
  };
  if constexpr (sizeof(T) == 8) {
    return half(0);
  } else {
    typedef int32_t Half __attribute__((vector_size(kVecBytes / 2)));
    const Half halves[2] = {__builtin_convertvector(half(0), Half), __builtin_convertvector(half(kLanes<T> / 2), Half)};
    Mask<T> m;
    __builtin_memcpy(&m, halves, sizeof m);
    return m;
  }
}

// s and f of an element, or of what some elements come to. Nothing, infinite or NaN, passes a factor of zero.
template <class T>
FASTDL_INLINE States<T, 2> chain(States<T, 2> a, States<T, 2> b) {
  const Vec<T> through = select<T>(b.v[1] == T{0}, Vec<T>{}, b.v[1] * a.v[0]);
  return {{b.v[0] + through, b.v[1] * a.v[1]}};
}

template <class T>
struct Chain {
  using Number = T;
  using State = States<T, 2>;
  static constexpr int kParts = 2;
  static constexpr bool kPlain = false;

  FASTDL_INLINE State identity() { return {{Vec<T>{}, broadcast<T>(1)}}; }
  FASTDL_INLINE State combine(State a, State b) { return chain<T>(a, b); }
  template <bool kReverse>
  FASTDL_INLINE State advance(State own, State& carry) {
    return advance_lanes<Chain, kReverse>(own, carry);
  }
};

template <class T>
struct ExtremeBwd : Chain<T> {
  using State = States<T, 2>;
  Lines g;
  const T* grad;
  const int64_t* places;
  T* grad_x;

  // Most vectors of a long line have no place that was chosen.
  template <bool kReverse>
  FASTDL_INLINE State advance(State own, State& carry) {
    if (any_lane<T>(own.v[1] == T{0})) return advance_lanes<Chain<T>, kReverse>(own, carry);
    States<T, 1> sum = {{carry.v[0]}};
    const States<T, 1> sums = advance_lanes<Plus<T>, kReverse>({{own.v[0]}}, sum);
    carry.v[0] = sum.v[0];
    return {{sums.v[0], carry.v[1]}};
  }
  // Of `left` places from number i of a row on, at least one: what the last of them shows was chosen, and is the last.
  __attribute__((always_inline)) bool any_chosen(int64_t at, int64_t i, int64_t left) const {
    return places[at + left - 1] >= i;
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) State read(int64_t at, int64_t i, N left) const {
    const int64_t behind = g.n - 1 - i, here = left;
    const Vec<T> d = load_some<T>(grad + at, left), one = broadcast<T>(1);
    if (kRow && (behind == 0 || !any_chosen(at + 1, i + 1, behind < here ? behind : here))) return {{d, one}};
    const Mask<T> next = chosen_at<kRow, T>(places, at + g.inner, i + 1, kRow ? behind : behind > 0 ? here : 0);
    return {{d, select<T>(next, Vec<T>{}, one)}};
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) void write(int64_t at, int64_t i, State s, N left) const {
    Vec<T> slope{};
    if (!kRow || any_chosen(at, i, left)) slope = select<T>(chosen_at<kRow, T>(places, at, i, left), s.v[0], slope);
    store_some<T>(grad_x + at, slope, left);
  }
};

template <class T>
struct LogSumBwd : Exponentials<T> {
  using State = States<T, 2>;
  const T *grad, *x, *out;
  T* grad_x;

  template <bool kRow, class N>
  __attribute__((always_inline)) State read(int64_t at, int64_t, N left) const {
    const State s = Exponentials<T>::of(-load_some<T>(out + at, left), load_some<T>(grad + at, left));
    return {{first_lanes<T>(s.v[0], left, -Ieee<T>::kInfinity), s.v[1]}};
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) void write(int64_t at, int64_t, State s, N left) const {
    store_some<T>(grad_x + at, vexp<T>(load_some<T>(x + at, left) + s.v[0]) * s.v[1], left);
  }
};

// Beside the chain the sum of g out.
template <class T>
struct ProductBwd {
  using Number = T;
  using State = States<T, 3>;
  static constexpr int kParts = 3;
  static constexpr bool kPlain = false;
  Lines g;
  const T *grad, *x, *out;
  T* grad_x;

  FASTDL_INLINE State identity() { return {{Vec<T>{}, broadcast<T>(1), Vec<T>{}}}; }
  FASTDL_INLINE State combine(State a, State b) {
    const States<T, 2> s = chain<T>({{a.v[0], a.v[1]}}, {{b.v[0], b.v[1]}});
    return {{s.v[0], s.v[1], a.v[2] + b.v[2]}};
  }
  template <bool kReverse>
  FASTDL_INLINE State advance(State own, State& carry) {
    return advance_lanes<ProductBwd, kReverse>(own, carry);
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) State read(int64_t at, int64_t i, N left) const {
    const Vec<T> d = load_some<T>(grad + at, left);
    const Vec<T> next = numbers_behind<kRow>(x, g, at, i, left, broadcast<T>(1));
    return {{d, first_lanes<T>(next, left, T{1}), d * load_some<T>(out + at, left)}};
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) void write(int64_t at, int64_t i, State s, N left) const {
    const Vec<T> own = load_some<T>(x + at, left);
    const Mask<T> zero = (own == T{0}) & (kLanes<T> == left ? ~Mask<T>{} : lanes_below<T>(left));
    Vec<T> slope = s.v[2] / own;
    if (__builtin_expect(any_lane<T>(zero), 0)) {
      const Vec<T> before = numbers_before<kRow>(at, i, left);
      slope = select<T>(zero, select<T>(before == T{0}, Vec<T>{}, before * s.v[0]), slope);
    }
    store_some<T>(grad_x + at, slope, left);
  }
  // The products before each, 1 before the first.
  template <bool kRow, class N>
  __attribute__((always_inline)) Vec<T> numbers_before(int64_t at, int64_t i, N left) const {
    if (!kRow) return i > 0 ? load_some<T>(out + at - g.inner, left) : broadcast<T>(1);
    if (i > 0) return load_some<T>(out + at - 1, left);
    const Vec<T> first = load_some<T>(out + at, left);
    return pick<T, kLanes<T> - 1, 1>(broadcast<T>(1), first, LaneIndices<T>{});
  }
};

}  // namespace

void scan_bwd(const ScanBwdArgs& a) {
  if (a.outer * a.n * a.inner == 0) return;
  const Lines g = {a.outer, a.n, a.inner};
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *const grad = static_cast<const T*>(a.grad), *const x = static_cast<const T*>(a.x);
    const T* const out = static_cast<const T*>(a.out);
    T* const grad_x = static_cast<T*>(a.grad_x);
    if (a.op == Scan::kProduct) return walk<true>(ProductBwd<T>{g, grad, x, out, grad_x}, g);
    if (a.op == Scan::kLogSumExp) return walk<true>(LogSumBwd<T>{{}, grad, x, out, grad_x}, g);
    walk<true>(ExtremeBwd<T>{{}, g, grad, a.places, grad_x}, g);
  });
}

}  // namespace fastdl::FASTDL_ISA
