// Losses on the CPU: one pass over input and target forward, whatever the reduction, and one backward.
//
// Each loss is a struct of its value, its derivatives by x and by t, and the x and t that it takes. Nothing but the
// losses themselves (reduction "none") or one number is written forward; the backward pass computes from x and t again,
// which costs less than keeping an array.
//
// A chunk owns a range of elements and goes through it in blocks that stay in the L1 cache: first a look at what is
// illegal, where a loss refuses anything, then the losses. Sums are made in blocks of a few thousand numbers and added
// up in double, in chunk order.
#include "cpu/map-inl.h"
#include "cpu/parallel.h"
#include "cpu/row_exp-inl.h"
#include "cpu/special-inl.h"
#include "ops/loss/loss.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kGrain = 32 * 1024;  // elements a chunk
constexpr int64_t kLookAhead = 2048;   // elements looked at before their losses are computed: 16 KB of floats

// ---- the losses -----------------------------------------------------------------------------------------------------

template <class T>
FASTDL_INLINE Vec<T> sign_of(Vec<T> x) {
  return select<T>(x > T{0}, broadcast<T>(1), select<T>(x < T{0}, broadcast<T>(-1), Vec<T>{}));
}
template <class T>
FASTDL_INLINE Vec<T> at_least(Vec<T> x, Vec<T> low) {
  return select<T>(x < low, low, x);  // NaN stays
}

// Of every element: the attribute, and the weight of positive targets.
template <class T>
struct With {
  Vec<T> a, pos;
};

// What most losses share: they take every number.
struct TakesAll {
  static constexpr bool kRefuses = false;
  template <class T>
  FASTDL_INLINE Mask<T> takes(Vec<T>, Vec<T>) {
    return ~Mask<T>{};
  }
};
// Losses of the difference alone: the derivative by t is that by x, negated.
template <class Self>
struct OfDifference : TakesAll {
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>& w) {
    return Self::template of<T>(x - t, w.a);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T> x, Vec<T> t, const With<T>& w) {
    return Self::template slope<T>(x - t, w.a);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T> t, const With<T>& w) {
    return -Self::template slope<T>(x - t, w.a);
  }
};
#define FASTDL_OF_DIFFERENCE(name, value_of_d, slope_of_d) \
  struct name##_op : OfDifference<name##_op> {             \
    template <class T>                                     \
    FASTDL_INLINE Vec<T> of(Vec<T> d, Vec<T> a) {          \
      (void)a;                                             \
      return value_of_d;                                   \
    }                                                      \
    template <class T>                                     \
    FASTDL_INLINE Vec<T> slope(Vec<T> d, Vec<T> a) {       \
      (void)a;                                             \
      return slope_of_d;                                   \
    }                                                      \
  };

FASTDL_OF_DIFFERENCE(mse_loss, d* d, d + d)
FASTDL_OF_DIFFERENCE(l1_loss, vabs<T>(d), sign_of<T>(d))
// a = 0 makes it l1_loss: nothing is below 0, and the quotient is not chosen.
FASTDL_OF_DIFFERENCE(smooth_l1_loss, select<T>(vabs<T>(d) < a, d* d / (a + a), vabs<T>(d) - a * T(0.5)),
                     select<T>(vabs<T>(d) < a, d / a, sign_of<T>(d)))
FASTDL_OF_DIFFERENCE(huber_loss, select<T>(vabs<T>(d) < a, d * d * T(0.5), a*(vabs<T>(d) - a * T(0.5))),
                     select<T>(vabs<T>(d) < a, d, a* sign_of<T>(d)))

// log(1 + x) - log(1 + t) as the difference.
struct msle_loss_op {
  static constexpr bool kRefuses = true;
  template <class T>
  FASTDL_INLINE Mask<T> takes(Vec<T> x, Vec<T> t) {
    return ~((x <= T{-1}) | (t <= T{-1}));
  }
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>&) {
    const Vec<T> d = vlog1p<T>(x) - vlog1p<T>(t);
    return d * d;
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T> x, Vec<T> t, const With<T>&) {
    return T{2} * (vlog1p<T>(x) - vlog1p<T>(t)) / (x + T{1});
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T> t, const With<T>&) {
    return T{-2} * (vlog1p<T>(x) - vlog1p<T>(t)) / (t + T{1});
  }
};

struct mape_loss_op : TakesAll {
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>& w) {
    return vabs<T>(x - t) / at_least<T>(vabs<T>(t), w.a);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T> x, Vec<T> t, const With<T>& w) {
    return sign_of<T>(x - t) / at_least<T>(vabs<T>(t), w.a);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T> t, const With<T>& w) {
    const Vec<T> size = at_least<T>(vabs<T>(t), w.a), direct = -sign_of<T>(x - t) / size;
    return select<T>(vabs<T>(t) > w.a, direct - vabs<T>(x - t) * sign_of<T>(t) / (size * size), direct);
  }
};

struct binary_cross_entropy_op {
  static constexpr bool kRefuses = true;
  template <class T>
  FASTDL_INLINE Mask<T> takes(Vec<T> x, Vec<T>) {
    return (x >= T{0}) & (x <= T{1});
  }
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>&) {
    const Vec<T> least = broadcast<T>(-100);
    return (t - T{1}) * at_least<T>(vlog1p<T>(-x), least) - t * at_least<T>(vlog<T>(x), least);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T> x, Vec<T> t, const With<T>&) {
    return (x - t) / at_least<T>((T{1} - x) * x, broadcast<T>(T(1e-12)));
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T>, const With<T>&) {
    const Vec<T> least = broadcast<T>(-100);
    return at_least<T>(vlog1p<T>(-x), least) - at_least<T>(vlog<T>(x), least);
  }
};

struct binary_cross_entropy_with_logits_op : TakesAll {
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>& w) {
    return (T{1} - t) * x + ((w.pos - T{1}) * t + T{1}) * vsoftplus<T>(-x);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T> x, Vec<T> t, const With<T>& w) {
    return (T{1} - t) - ((w.pos - T{1}) * t + T{1}) * vsigmoid<T>(-x);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T>, const With<T>& w) {
    return (w.pos - T{1}) * vsoftplus<T>(-x) - x;
  }
};

struct hinge_loss_op {
  static constexpr bool kRefuses = true;
  template <class T>
  FASTDL_INLINE Mask<T> takes(Vec<T>, Vec<T> t) {
    return vabs<T>(t) == T{1};
  }
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>& w) {
    return at_least<T>(w.a - t * x, Vec<T>{});
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T> x, Vec<T> t, const With<T>& w) {
    return select<T>(w.a - t * x > T{0}, -t, Vec<T>{});
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T> t, const With<T>& w) {
    return select<T>(w.a - t * x > T{0}, -x, Vec<T>{});
  }
};

struct kl_div_op : TakesAll {
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>&) {
    const Vec<T> entropy = select<T>(t == T{0}, Vec<T>{}, t * vlog<T>(t));
    return entropy - t * x;
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T>, Vec<T> t, const With<T>&) {
    return -t;
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T> t, const With<T>&) {
    return vlog<T>(t) + T{1} - x;
  }
};
struct kl_div_log_target_op : TakesAll {
  template <class T>
  FASTDL_INLINE Vec<T> value(Vec<T> x, Vec<T> t, const With<T>&) {
    return vexp<T>(t) * (t - x);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_x(Vec<T>, Vec<T> t, const With<T>&) {
    return -vexp<T>(t);
  }
  template <class T>
  FASTDL_INLINE Vec<T> by_t(Vec<T> x, Vec<T> t, const With<T>&) {
    return vexp<T>(t) * (t - x + T{1});
  }
};

// ---- helpers --------------------------------------------------------------------------------------------------------

// An array, or 1 for all elements. The branch is the same for all of a kernel, and the compiler takes it out of loops.
template <class T>
struct Factors {
  static constexpr bool kInMemory = true;
  const T* p;
  FASTDL_INLINE Vec<T> get(const Factors& f, int64_t i) { return f.p ? load<T>(f.p + i) : broadcast<T>(1); }
  FASTDL_INLINE Vec<T> get(const Factors& f, int64_t i, int n) { return f.p ? load_n<T>(f.p + i, n) : broadcast<T>(1); }
  FASTDL_INLINE void ask_ahead(const Factors&, int64_t) {}
};
template <class T>
FASTDL_INLINE Factors<T> factors(const void* p, int64_t at) {
  return {p ? static_cast<const T*>(p) + at : nullptr};
}

// The position of the first element that the loss does not take, or -1.
template <class Op, class T>
static int64_t first_refused(const T* x, const T* t, int64_t n) {
  Mask<T> refused{};
  for_row<T>(n, [&](int64_t i, auto left) FASTDL_BODY {
    refused |= ~Op::template takes<T>(load_some<T>(x + i, left), load_some<T>(t + i, left)) & lanes_below<T>(left);
  });
  if (!any_lane<T>(refused)) return -1;
  int64_t i = 0;
  while (Op::template takes<T>(broadcast<T>(x[i]), broadcast<T>(t[i]))[0]) ++i;
  return i;
}

// ---- forward --------------------------------------------------------------------------------------------------------

// Elements [at, at + n): their losses to `out` if there is one, else their sum as the result.
template <class Op, class T>
static double losses(const LossFwdArgs& p, int64_t at, int64_t n, bool streams) {
  const T *const x = static_cast<const T*>(p.x) + at, *const t = static_cast<const T*>(p.target) + at;
  const Factors<T> weight = factors<T>(p.weight, at), pos = factors<T>(p.pos_weight, at);
  const Vec<T> a = broadcast<T>(static_cast<T>(p.a));
  if (p.reduction == Reduction::kNone) {
    map<T>(
        static_cast<T*>(p.out) + at, n, streams,
        [=](Vec<T> x, Vec<T> t, Vec<T> weight, Vec<T> pos)
            FASTDL_BODY { return weight * Op::template value<T>(x, t, With<T>{a, pos}); },
        Elements<T>{x}, Elements<T>{t}, weight, pos);
    return 0;
  }
  return static_cast<double>(row_sum<T>(n, [=](int64_t i, auto left) FASTDL_BODY {
    const int lanes = static_cast<int>(left < kLanes<T> ? left : kLanes<T>);
    const bool whole = lanes == kLanes<T>;
    const With<T> with{a, whole ? Factors<T>::get(pos, i) : Factors<T>::get(pos, i, lanes)};
    const Vec<T> value = Op::template value<T>(load_some<T>(x + i, left), load_some<T>(t + i, left), with);
    return value * (whole ? Factors<T>::get(weight, i) : Factors<T>::get(weight, i, lanes));
  }));
}

template <class Op, class T>
static void forward(const LossFwdArgs& p) {
  const int64_t chunks = (p.n + kGrain - 1) / kGrain;
  const bool streams = p.reduction == Reduction::kNone && p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  constexpr int64_t kStep = Op::kRefuses ? kLookAhead : kGrain;
  Scratch<double> sums(chunks);
  Scratch<int64_t> refused(chunks);
  parallel_for(p.n, kGrain, [&](int64_t begin, int64_t end) {
    double sum = 0;
    int64_t bad = 0;
    for (int64_t at = begin; at < end && !bad; at += kStep) {
      const int64_t n = end - at < kStep ? end - at : kStep;
      if constexpr (Op::kRefuses) {
        const int64_t i =
            first_refused<Op, T>(static_cast<const T*>(p.x) + at, static_cast<const T*>(p.target) + at, n);
        bad = i < 0 ? 0 : at + i + 1;
      }
      sum += losses<Op, T>(p, at, n, streams);
    }
    sums[begin / kGrain] = sum, refused[begin / kGrain] = bad;
    if (streams) store_fence();
  });
  double sum = 0;
  *p.illegal = 0;
  for (int64_t i = 0; i < chunks; ++i) {
    sum += sums[i];
    if (*p.illegal == 0) *p.illegal = refused[i];
  }
  if (p.reduction == Reduction::kSum) *static_cast<T*>(p.out) = static_cast<T>(sum);
  // Of no elements: 0 / 0 is NaN, as in PyTorch.
  if (p.reduction == Reduction::kMean) *static_cast<T*>(p.out) = static_cast<T>(sum / static_cast<double>(p.n));
}

// ---- backward -------------------------------------------------------------------------------------------------------

template <class Op, class T, bool kByTarget, class Scale>
static void gradient_chunk(const LossBwdArgs& p, int64_t at, int64_t n, bool streams, const Scale& scale) {
  const Vec<T> a = broadcast<T>(static_cast<T>(p.a));
  map<T>(
      static_cast<T*>(p.out) + at, n, streams,
      [=](Vec<T> x, Vec<T> t, Vec<T> weight, Vec<T> pos, Vec<T> grad) FASTDL_BODY {
        const With<T> with{a, pos};
        if constexpr (kByTarget)
          return grad * (weight * Op::template by_t<T>(x, t, with));
        else
          return grad * (weight * Op::template by_x<T>(x, t, with));
      },
      Elements<T>{static_cast<const T*>(p.x) + at}, Elements<T>{static_cast<const T*>(p.target) + at},
      factors<T>(p.weight, at), factors<T>(p.pos_weight, at), scale);
}

template <class Op, class T, bool kByTarget>
static void backward(const LossBwdArgs& p) {
  const bool streams = p.n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  const T* const grad = static_cast<const T*>(p.grad);
  const T one = p.reduction == Reduction::kNone   ? T{0}
                : p.reduction == Reduction::kMean ? static_cast<T>(*grad / static_cast<double>(p.n))
                                                  : *grad;
  parallel_for(p.n, kGrain, [&](int64_t begin, int64_t end) {
    if (p.reduction == Reduction::kNone)
      gradient_chunk<Op, T, kByTarget>(p, begin, end - begin, streams, Elements<T>{grad + begin});
    else
      gradient_chunk<Op, T, kByTarget>(p, begin, end - begin, streams, Repeated<T>{broadcast<T>(one)});
    if (streams) store_fence();
  });
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void loss_fwd(const LossFwdArgs& p) {
  switch (p.op) {
#define FASTDL_CASE(name) \
  case Loss::k_##name:    \
    return visit_float(p.dtype, [&](auto zero) { forward<name##_op, decltype(zero)>(p); });
    FASTDL_LOSSES(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

void loss_bwd(const LossBwdArgs& p) {
  if (p.n == 0) return;
  switch (p.op) {
#define FASTDL_CASE(name)                                                               \
  case Loss::k_##name:                                                                  \
    return visit_float(p.dtype, [&](auto zero) {                                        \
      using T = decltype(zero);                                                         \
      p.by_target ? backward<name##_op, T, true>(p) : backward<name##_op, T, false>(p); \
    });
    FASTDL_LOSSES(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

}  // namespace fastdl::FASTDL_ISA
