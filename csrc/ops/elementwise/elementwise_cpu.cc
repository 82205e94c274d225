// Choice, limits, conversion, constants, and functions of three numbers. elementwise-inl.h says who owns what.
#include "cpu/math-inl.h"
#include "ops/elementwise/elementwise-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// ---- three operands -------------------------------------------------------------------------------------------------

#define FASTDL_BLEND(name, expression)                                               \
  struct name##_op {                                                                 \
    template <class T>                                                               \
    FASTDL_INLINE Vec<T> apply(Vec<T> a, Vec<T> b, Vec<T> c, [[maybe_unused]] T s) { \
      return expression;                                                             \
    }                                                                                \
  };
template <class T>
FASTDL_INLINE Vec<T> lerped(Vec<T> a, Vec<T> b, Vec<T> weight, Mask<T> near_a) {
  return select<T>(near_a, a, b) + select<T>(near_a, weight, weight - T{1}) * (b - a);
}
FASTDL_BLEND(addcmul, a + (b * c) * s)
FASTDL_BLEND(addcdiv, a + (b / c) * s)
// From the nearer end, so that a weight of 1 gives b.
FASTDL_BLEND(lerp, lerped<T>(a, b, c, vabs<T>(c) < T(0.5)))

// Operands that are not dense are written out block by block; a number is the same for all.
template <class Op, class T>
static void run_blend(const BlendArgs& p) {
  int64_t total = 1;
  for (int i = 0; i < p.shape.n; ++i) total *= p.shape.d[i];
  const T s = static_cast<T>(p.s);
  Operand<T> a, b, c;
  set_operand(a, p.a, &s, p.stride_a, p.shape.n);
  set_operand(b, p.b, &s, p.stride_b, p.shape.n);
  set_operand(c, p.c, &s, p.stride_c, p.shape.n);
  T* const out = static_cast<T*>(p.out);
  const bool streams = total * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(total, kGrain, [&](int64_t begin, int64_t end) {
    T buffers[3][kBlock];
    const auto f = [s](Vec<T> x, Vec<T> y, Vec<T> z) FASTDL_BODY { return Op::template apply<T>(x, y, z, s); };
    for (int64_t at = begin; at < end; at += kBlock) {
      const int64_t n = end - at < kBlock ? end - at : kBlock;
      const Elements<T> x{written_out(a, p.shape, at, n, buffers[0])}, y{written_out(b, p.shape, at, n, buffers[1])};
      if (p.c)
        map<T>(out + at, n, streams, f, x, y, Elements<T>{written_out(c, p.shape, at, n, buffers[2])});
      else
        map<T>(out + at, n, streams, f, x, y, Repeated<T>{broadcast<T>(s)});
    }
    if (streams) store_fence();
  });
}

// ---- clamp, nan_to_num ----------------------------------------------------------------------------------------------

template <class T>
static void run_clamp(const ClampArgs& p) {
  const Vec<T> low = broadcast<T>(std::is_floating_point_v<T> ? static_cast<T>(p.low) : static_cast<T>(p.integer_low));
  const Vec<T> high =
      broadcast<T>(std::is_floating_point_v<T> ? static_cast<T>(p.high) : static_cast<T>(p.integer_high));
  const T* const x = static_cast<const T*>(p.x);
  T* const out = static_cast<T*>(p.out);
  const bool streams = p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(p.n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        out + begin, end - begin, streams,
        [&](Vec<T> v) FASTDL_BODY {
          v = (v > low) | (v != v) ? v : low;  // NaN stays
          return (v < high) | (v != v) ? v : high;
        },
        Elements<T>{x + begin});
    if (streams) store_fence();
  });
}

template <class T>
static void run_nan_to_num(const NanToNumArgs& p) {
  const T nan = static_cast<T>(p.nan), posinf = static_cast<T>(p.posinf), neginf = static_cast<T>(p.neginf);
  const T* const x = static_cast<const T*>(p.x);
  T* const out = static_cast<T*>(p.out);
  const bool streams = p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(p.n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        out + begin, end - begin, streams,
        [=](Vec<T> v) FASTDL_BODY {
          constexpr T kInfinity = Ieee<T>::kInfinity;
          const Vec<T> number =
              select<T>(v == kInfinity, broadcast<T>(posinf), select<T>(v == -kInfinity, broadcast<T>(neginf), v));
          return select<T>(v == v, number, broadcast<T>(nan));
        },
        Elements<T>{x + begin});
    if (streams) store_fence();
  });
}

// ---- where, cast, fill ----------------------------------------------------------------------------------------------

template <class T>
static void run_where(const WhereArgs& p) {
  const int last = p.shape.n - 1;
  int64_t outer = 1;
  for (int i = 0; i < last; ++i) outer *= p.shape.d[i];
  const int64_t size = p.shape.d[last];
  const int64_t sc = p.stride_condition.d[last], sa = p.stride_a.d[last], sb = p.stride_b.d[last];
  if (outer * size == 0) return;
  parallel_for(outer * size, kGrain, [&](int64_t begin, int64_t end) {
    Walk<3> rows;
    for (int i = 0; i < last; ++i)
      add_axis<3>(rows, p.shape.d[i], {p.stride_condition.d[i], p.stride_a.d[i], p.stride_b.d[i]});
    seek<3>(rows, begin / size);
    for (int64_t at = begin, column = begin % size; at < end; column = 0, step<3>(rows)) {
      const int64_t n = size - column < end - at ? size - column : end - at;
      const uint8_t* condition = static_cast<const uint8_t*>(p.condition) + rows.offset[0] + column * sc;
      const T* a = static_cast<const T*>(p.a) + rows.offset[1] + column * sa;
      const T* b = static_cast<const T*>(p.b) + rows.offset[2] + column * sb;
      T* __restrict out = static_cast<T*>(p.out) + at;
      // Both are read before one is chosen: a branch on conditions that change would cost more.
      const auto choose = [&](auto first, auto second) FASTDL_BODY {
        for (int64_t i = 0; i < n; ++i) {
          const T x = first(i), y = second(i);
          out[i] = condition[i] ? x : y;
        }
      };
      const auto of_a = [&](int64_t i) FASTDL_BODY { return a[i]; };
      const auto of_b = [&](int64_t i) FASTDL_BODY { return b[i]; };
      const auto same_a = [x = *a](int64_t) FASTDL_BODY { return x; };
      const auto same_b = [y = *b](int64_t) FASTDL_BODY { return y; };
      if (sc && sa)
        sb ? choose(of_a, of_b) : choose(of_a, same_b);
      else if (sc)
        sb ? choose(same_a, of_b) : choose(same_a, same_b);
      else
        for (int64_t i = 0; i < n; ++i) out[i] = *condition ? a[i * sa] : b[i * sb];
      at += n;
    }
  });
}

template <class From, class To>
FASTDL_INLINE To convert(From x) {
  if constexpr (std::is_same_v<To, bool>)
    return x != From{0};
  else if constexpr (std::is_same_v<To, uint8_t> && std::is_floating_point_v<From>)
    return static_cast<uint8_t>(static_cast<int32_t>(x));  // -1 becomes 255, as for integers
  else
    return static_cast<To>(x);
}

template <class From, class To>
static void run_cast(const CastArgs& p) {
  parallel_for(p.n, kGrain, [&](int64_t begin, int64_t end) {
    const From* x = static_cast<const From*>(p.x);
    To* __restrict out = static_cast<To*>(p.out);
    for (int64_t i = begin; i < end; ++i) out[i] = convert<From, To>(x[i]);
  });
}

template <class T>
static void run_fill(void* out, int64_t n, T value) {
  const bool streams = n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        static_cast<T*>(out) + begin, end - begin, streams, [](Vec<T> v) FASTDL_BODY { return v; },
        Repeated<T>{broadcast<T>(value)});
    if (streams) store_fence();
  });
}

// An operand of map: start + (first + i) step.
template <class T>
struct Ramp {
  static constexpr bool kInMemory = false;
  using Number = std::conditional_t<std::is_floating_point_v<T>, double, typename WrappingOf<T>::type>;
  Number start, step;
  int64_t first;

  FASTDL_INLINE Vec<double> in_double(const Ramp& r, int64_t i) {
    const Vec<double> lane = __builtin_convertvector(lane_numbers<double>(), Vec<double>);
    return (static_cast<double>(r.first + i) + lane) * r.step + r.start;
  }
  FASTDL_INLINE Vec<T> get(const Ramp& r, int64_t i) {
    if constexpr (std::is_same_v<T, double>) {
      return in_double(r, i);
    } else if constexpr (std::is_same_v<T, float>) {
      return join_halves(in_double(r, i), in_double(r, i + kLanes<double>));
    } else {
      const Wrapping<T> lane = (Wrapping<T>)lane_numbers<T>();
      return (Vec<T>)(lane * r.step + static_cast<Number>(r.start + static_cast<Number>(r.first + i) * r.step));
    }
  }
  FASTDL_INLINE Vec<T> get(const Ramp& r, int64_t i, int) { return get(r, i); }
  FASTDL_INLINE void ask_ahead(const Ramp&, int64_t) {}
};

template <class T>
static void run_ramp(const RampArgs& p) {
  using Number = typename Ramp<T>::Number;
  constexpr bool kFloat = std::is_floating_point_v<T>;
  const Number start = kFloat ? static_cast<Number>(p.start) : static_cast<Number>(p.integer_start);
  const Number step = kFloat ? static_cast<Number>(p.step) : static_cast<Number>(p.integer_step);
  const bool streams = p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_for(p.n, kGrain, [=](int64_t begin, int64_t end) {
    T* const out = static_cast<T*>(p.out);
    const int64_t turn = p.forward < begin ? begin : p.forward < end ? p.forward : end;
    const auto same = [](Vec<T> v) FASTDL_BODY { return v; };
    map<T>(out + begin, turn - begin, streams, same, Ramp<T>{start, step, begin});
    map<T>(out + turn, end - turn, streams, same, Ramp<T>{static_cast<Number>(p.last), step, turn - (p.n - 1)});
    if (streams) store_fence();
  });
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void blend(const BlendArgs& p) {
  switch (p.op) {
#define FASTDL_CASE(name) \
  case Blend::k_##name:   \
    return visit_float(p.dtype, [&](auto zero) { run_blend<name##_op, decltype(zero)>(p); });
    FASTDL_BLEND_OPS(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

void nan_to_num(const NanToNumArgs& p) {
  visit_float(p.dtype, [&](auto zero) { run_nan_to_num<decltype(zero)>(p); });
}

void where(const WhereArgs& p) {
  switch (itemsize(p.dtype)) {
    case 1:
      return run_where<uint8_t>(p);
    case 4:
      return run_where<uint32_t>(p);
    case 8:
      return run_where<uint64_t>(p);
  }
}

void cast(const CastArgs& p) {
  visit_any(p.from, [&](auto from) { visit_any(p.to, [&](auto to) { run_cast<decltype(from), decltype(to)>(p); }); });
}

void clamp(const ClampArgs& p) {
  const auto run = [&](auto zero) { run_clamp<decltype(zero)>(p); };
  visit_float(p.dtype, run);
  visit_integer(p.dtype, run);
}

void fill(const FillArgs& p) {
  if (itemsize(p.dtype) == 1) {
    __builtin_memset(p.out, static_cast<int>(p.integer), static_cast<size_t>(p.n));
    return;
  }
  visit_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    run_fill<T>(p.out, p.n, std::is_floating_point_v<T> ? static_cast<T>(p.value) : static_cast<T>(p.integer));
  });
}

void ramp(const RampArgs& p) {
  visit_number(p.dtype, [&](auto zero) { run_ramp<decltype(zero)>(p); });
}

}  // namespace fastdl::FASTDL_ISA
