// Running sums, products, extremes and logarithms of sums of exponentials on CUDA: what each operation is; who owns
// what is in scan_walk.cuh.
#include <limits>

#include "ops/scan/scan_log.cuh"
#include "ops/scan/scan_walk.cuh"

namespace fastdl {
namespace {

template <class T, bool kProduct>
struct Arithmetic {
  using State = T;
  static constexpr bool kCommutes = true;
  static constexpr int kPacks = kPack<T>;
  const T* x;
  T* out;

  __device__ static State identity() { return kProduct ? T{1} : T{0}; }
  __device__ static State combine(const State& a, const State& b) { return kProduct ? a * b : a + b; }
  template <int N>
  __device__ void read(State (&s)[N], int64_t at, int64_t, const Around&) const {
    const auto pack = load_pack<N>(x + at);
#pragma unroll
    for (int k = 0; k < N; ++k) s[k] = pack[k];
  }
  template <int N>
  __device__ void write(const State (&s)[N], int64_t at, int64_t, const Around&) const {
    Pack<T, N> pack;
#pragma unroll
    for (int k = 0; k < N; ++k) pack[k] = s[k];
    store_pack<N>(out + at, pack);
  }
};

template <class T>
struct ValueAtPlace {
  T value;
  int place;
};

// The last of equals wins; NaN wins over numbers.
template <class T, bool kLargest>
struct Extreme {
  using State = ValueAtPlace<T>;
  static constexpr bool kCommutes = false;
  static constexpr int kPacks = kPack<T>;
  const T* x;
  T* out;
  int64_t* places;

  __device__ static State identity() {
    using Limits = std::numeric_limits<T>;
    constexpr T kLowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    constexpr T kHighest = Limits::has_infinity ? Limits::infinity() : Limits::max();
    return {kLargest ? kLowest : kHighest, 0};
  }
  __device__ static State combine(const State& a, const State& b) {
    const bool wins = (kLargest ? b.value >= a.value : b.value <= a.value) || b.value != b.value;
    State s;
    s.value = wins ? b.value : a.value;
    s.place = wins ? b.place : a.place;
    return s;
  }
  template <int N>
  __device__ void read(State (&s)[N], int64_t at, int64_t i, const Around&) const {
    const auto pack = load_pack<N>(x + at);
#pragma unroll
    for (int k = 0; k < N; ++k) s[k].value = pack[k], s[k].place = static_cast<int>(i) + k;
  }
  template <int N>
  __device__ void write(const State (&s)[N], int64_t at, int64_t, const Around&) const {
    Pack<T, N> values;
    Pack<int64_t, N> found;
#pragma unroll
    for (int k = 0; k < N; ++k) values[k] = s[k].value, found[k] = s[k].place;
    store_pack<N>(out + at, values);
    store_pack<N>(places + at, found);
  }
};

template <class T>
struct LogSumExp : Exponentials<T> {
  using State = LogSum<T>;
  static constexpr int kPacks = kPack<T>;
  const T* x;
  T* out;

  template <int N>
  __device__ void read(State (&s)[N], int64_t at, int64_t, const Around&) const {
    const auto pack = load_pack<N>(x + at);
#pragma unroll
    for (int k = 0; k < N; ++k) s[k] = Exponentials<T>::of(pack[k], T(1));
  }
  template <int N>
  __device__ void write(const State (&s)[N], int64_t at, int64_t, const Around&) const {
    Pack<T, N> pack;
#pragma unroll
    for (int k = 0; k < N; ++k) pack[k] = s[k].top + log(s[k].sum);
    store_pack<N>(out + at, pack);
  }
};

template <class Op>
void walk_forward(const Op& op, const ScanArgs& a, bool packs, Stream stream) {
  walk(op, a.outer, a.n, a.inner, a.reverse, packs, stream);
}

}  // namespace

void scan_fwd(const ScanArgs& a, Stream stream) {
  if (a.outer * a.n * a.inner == 0) return;
  visit_number(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const x = static_cast<const T*>(a.x);
    T* const out = static_cast<T*>(a.out);
    const bool packs = aligned<kPack<T>>(x) && aligned<kPack<T>>(out) && (!a.places || aligned<kPack<T>>(a.places));
    if (a.op == Scan::kProduct) return walk_forward(Arithmetic<T, true>{x, out}, a, packs, stream);
    if (a.op == Scan::kMax) return walk_forward(Extreme<T, true>{x, out, a.places}, a, packs, stream);
    if (a.op == Scan::kMin) return walk_forward(Extreme<T, false>{x, out, a.places}, a, packs, stream);
    if constexpr (std::is_floating_point_v<T>)
      if (a.op == Scan::kLogSumExp) return walk_forward(LogSumExp<T>{{}, x, out}, a, packs, stream);
    walk_forward(Arithmetic<T, false>{x, out}, a, packs, stream);
  });
}

}  // namespace fastdl
