// Running sums, products, extremes and logarithms of sums of exponentials on the CPU: what each operation is; the walks
// are in scan-inl.h.
#include "ops/scan/scan_log-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// ---- sums and products ----------------------------------------------------------------------------------------------

template <class T, bool kProduct>
struct Arithmetic {
  using Number = T;
  using Wrap = Vec<typename WrappingOf<T>::type>;  // integers wrap around
  using State = States<T, 1>;
  static constexpr int kParts = 1;
  static constexpr bool kPlain = true;
  const T* x;
  T* out;

  FASTDL_INLINE State identity() { return {{broadcast<T>(kProduct ? T{1} : T{0})}}; }
  FASTDL_INLINE State combine(State a, State b) {
    return {{kProduct ? (Vec<T>)((Wrap)a.v[0] * (Wrap)b.v[0]) : (Vec<T>)((Wrap)a.v[0] + (Wrap)b.v[0])}};
  }
  FASTDL_INLINE T combine(T a, T b) {
    using One = typename WrappingOf<T>::type;
    return static_cast<T>(kProduct ? static_cast<One>(a) * static_cast<One>(b)
                                   : static_cast<One>(a) + static_cast<One>(b));
  }
  template <bool kReverse>
  FASTDL_INLINE State advance(State own, State& carry) {
    return advance_lanes<Arithmetic, kReverse>(own, carry);
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) State read(int64_t at, int64_t, N left) const {
    const Vec<T> v = load_some<T>(x + at, left);  // zero in the other lanes
    return {{kProduct ? first_lanes<T>(v, left, T{1}) : v}};
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) void write(int64_t at, int64_t, State s, N left) const {
    store_some<T>(out + at, s.v[0], left);
  }
};

// ---- extremes -------------------------------------------------------------------------------------------------------

// The places of a vector's lanes as int64.
template <class T, class N>
FASTDL_INLINE void store_places(int64_t* p, Mask<T> places, N left) {
  if constexpr (sizeof(T) == 8) {
    store_some<int64_t>(p, places, left);
  } else {
    typedef int32_t Half __attribute__((vector_size(kVecBytes / 2)));
    Half half[2];
    __builtin_memcpy(half, &places, sizeof places);
    store_some<int64_t>(p, __builtin_convertvector(half[0], Vec<int64_t>), left);
    store_some<int64_t>(p + kLanes<T> / 2, __builtin_convertvector(half[1], Vec<int64_t>), left - kLanes<T> / 2);
  }
}

// A value and its place, whose bits move as those of a number. The last of equals wins; NaN wins over numbers.
template <class T, bool kLargest>
struct Extreme {
  using Number = T;
  using Place = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  using State = States<T, 2>;
  static constexpr int kParts = 2;
  static constexpr bool kPlain = false;
  const T* x;
  T* out;
  int64_t* places;

  FASTDL_INLINE T worst() {
    if constexpr (std::is_floating_point_v<T>) {
      return kLargest ? -static_cast<T>(__builtin_inf()) : static_cast<T>(__builtin_inf());
    } else {
      constexpr T kLowest = static_cast<T>(typename WrappingOf<T>::type{1} << (8 * sizeof(T) - 1));
      return kLargest ? kLowest : static_cast<T>(~kLowest);
    }
  }
  FASTDL_INLINE State identity() { return {{broadcast<T>(worst()), Vec<T>{}}}; }
  FASTDL_INLINE Mask<T> wins(Vec<T> x, Vec<T> before) {
    const Mask<T> m = kLargest ? x >= before : x <= before;
    if constexpr (std::is_floating_point_v<T>) return m | (x != x);
    return m;
  }
  FASTDL_INLINE State combine(State a, State b) {
    const Mask<T> m = wins(b.v[0], a.v[0]);
    return {{select<T>(m, b.v[0], a.v[0]), select<T>(m, b.v[1], a.v[1])}};
  }
  // Most vectors of a long line change nothing.
  template <bool kReverse>
  FASTDL_INLINE State advance(State own, State& carry) {
    if (!any_lane<T>(wins(own.v[0], carry.v[0]))) return carry;
    return advance_lanes<Extreme, kReverse>(own, carry);
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) State read(int64_t at, int64_t i, N left) const {
    const Mask<T> place = Mask<T>{} + static_cast<Place>(i) + (kRow ? lane_numbers<T>() : Mask<T>{});
    return {{first_lanes<T>(load_some<T>(x + at, left), left, worst()), (Vec<T>)place}};
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) void write(int64_t at, int64_t, State s, N left) const {
    store_some<T>(out + at, s.v[0], left);
    store_places<T>(places + at, (Mask<T>)s.v[1], left);
  }
};

// ---- logarithms of sums of exponentials -----------------------------------------------------------------------------

template <class T>
struct LogSum : Exponentials<T> {
  using State = States<T, 2>;
  const T* x;
  T* out;

  template <bool kRow, class N>
  __attribute__((always_inline)) State read(int64_t at, int64_t, N left) const {
    const State s = Exponentials<T>::of(load_some<T>(x + at, left), broadcast<T>(1));
    return {{first_lanes<T>(s.v[0], left, -Ieee<T>::kInfinity), first_lanes<T>(s.v[1], left, T{0})}};
  }
  template <bool kRow, class N>
  __attribute__((always_inline)) void write(int64_t at, int64_t, State s, N left) const {
    // Other lanes' logarithms are of no use, but those of zero would take longer.
    store_some<T>(out + at, s.v[0] + vlog<T>(first_lanes<T>(s.v[1], left, T{1})), left);
  }
};

}  // namespace

void scan_fwd(const ScanArgs& a) {
  if (a.outer * a.n * a.inner == 0) return;
  const Lines g = {a.outer, a.n, a.inner};
  visit_number(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = static_cast<const T*>(a.x);
    T* const out = static_cast<T*>(a.out);
    if (a.op == Scan::kProduct) return walk<false>(Arithmetic<T, true>{x, out}, g);
    if (a.op == Scan::kMax) return walk<false>(Extreme<T, true>{x, out, a.places}, g);
    if (a.op == Scan::kMin) return walk<false>(Extreme<T, false>{x, out, a.places}, g);
    if constexpr (std::is_floating_point_v<T>)
      if (a.op == Scan::kLogSumExp) return walk<false>(LogSum<T>{{}, x, out}, g);
    const Arithmetic<T, false> sum = {x, out};
    a.reverse ? walk<true>(sum, g) : walk<false>(sum, g);
  });
}

}  // namespace fastdl::FASTDL_ISA
