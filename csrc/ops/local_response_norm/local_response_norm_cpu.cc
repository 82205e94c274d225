// Local response normalisation on the CPU: one read and one write of memory, vectorised over the positions of a plane.
//
// A strip of kStrip positions is walked through all channels. The squares of the last channels lie in a ring that stays
// in the L1 cache; a window is complete (size - 1) / 2 channels after its own, and is added up directly, since a
// running sum would cancel:
//
//   channel read      c-4 c-3 c-2 c-1  c        size 5: their sum belongs to channel c - 2
//   ring of squares  [ s   s   s   s   s ]      before channel 0 and after the last one: zeros
//
// The gradient has a second ring behind the first: of grad * x * d^(-beta - 1), whose window lies the other way round.
// A chunk owns strips.
#include "cpu/math-inl.h"
#include "cpu/parallel.h"
#include "cpu/runs-inl.h"
#include "ops/local_response_norm/local_response_norm.h"

// Of a lambda that is the body of a loop here: as a function called for each vector it would spill all registers.
#define FASTDL_BODY __attribute__((always_inline))

namespace fastdl::FASTDL_ISA {

constexpr int64_t kStrip = 256;        // positions: whole pages of x would not leave room for the rings
constexpr int64_t kGrain = 32 * 1024;  // numbers of a chunk: some 20 microseconds

FASTDL_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// ---- d^-beta --------------------------------------------------------------------------------------------------------

enum class Beta { kThreeQuarters, kHalf, kOne, kOther };

static Beta kind_of(double beta) {
  return beta == 0.75 ? Beta::kThreeQuarters : beta == 0.5 ? Beta::kHalf : beta == 1 ? Beta::kOne : Beta::kOther;
}

// d^beta, by roots where they do: a logarithm costs three times as much.
template <class T, Beta kBeta>
FASTDL_INLINE Vec<T> power(Vec<T> d, T beta) {
  if constexpr (kBeta == Beta::kOne) return d;
  if constexpr (kBeta == Beta::kOther) return vexp<T>(beta * vlog<T>(d));
  const Vec<T> root = vsqrt<T>(d);
  return kBeta == Beta::kHalf ? root : root * vsqrt<T>(root);
}

// ---- rings of rows --------------------------------------------------------------------------------------------------

// Row c lies in slot c % slots, a power of two. Rows not written yet are zeros, so windows may begin before row 0.
template <class T>
struct Ring {
  T* data;
  int64_t mask;
  FASTDL_INLINE int64_t slots(int64_t size) {
    int64_t n = 1;
    while (n < size) n *= 2;
    return n;
  }
  FASTDL_INLINE T* row(const Ring& r, int64_t c) { return r.data + (c & r.mask) * kStrip; }
};

template <class T>
static void clear(const Ring<T>& ring) {
  __builtin_memset(ring.data, 0, static_cast<size_t>((ring.mask + 1) * kStrip) * sizeof(T));
}

// The sum of rows (last - size, last] at position i.
template <class T>
FASTDL_INLINE Vec<T> window_sum(const Ring<T>& ring, int64_t last, int64_t size, int64_t i) {
  Vec<T> sum = load<T>(Ring<T>::row(ring, last - size + 1) + i);
  for (int64_t c = last - size + 2; c <= last; ++c) sum += load<T>(Ring<T>::row(ring, c) + i);
  return sum;
}

// row[0, n) = f(i, left), and zeros up to the next whole vector.
template <class T, class F>
FASTDL_INLINE void fill_row(T* row, int64_t n, F f) {
  constexpr std::integral_constant<int, kLanes<T>> kFull{};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store<T>(row + i, f(i, kFull));
  if (i < n) store<T>(row + i, first_lanes<T>(f(i, n - i), n - i));
}
template <class T>
FASTDL_INLINE void fill_squares(T* row, const T* x, int64_t n) {
  fill_row<T>(row, n, [=](int64_t i, auto left) FASTDL_BODY {
    const Vec<T> v = load_some<T>(x + i, left);
    return v * v;
  });
}
template <class T>
FASTDL_INLINE void fill_zeros(T* row) {
  __builtin_memset(row, 0, kStrip * sizeof(T));
}

// ---- forward --------------------------------------------------------------------------------------------------------

// n positions from x on, through all channels. kSize is the window where known, else 0.
template <class T, Beta kBeta, int kSize>
static void forward_strip(const LocalResponseNormFwdArgs& a, const T* x, T* out, int64_t n, const Ring<T>& squares,
                          bool streams) {
  const int64_t size = kSize ? kSize : a.size, ahead = (size - 1) / 2;
  const T k = static_cast<T>(a.k), share = static_cast<T>(a.alpha / static_cast<double>(size));
  const T beta = static_cast<T>(a.beta);
  clear(squares);
  for (int64_t c = 0; c < a.channels + ahead; ++c) {
    T* const row = Ring<T>::row(squares, c);
    c < a.channels ? fill_squares(row, x + c * a.plane, n) : fill_zeros(row);
    if (c < ahead) continue;
    const int64_t at = (c - ahead) * a.plane;
    map_run<T>(out + at, n, streams, [=, &squares](int64_t i, auto left) FASTDL_BODY {
      const Vec<T> d = window_sum(squares, c, size, i) * share + k;
      return load_some<T>(x + at + i, left) / power<T, kBeta>(d, beta);
    });
  }
}

// ---- backward -------------------------------------------------------------------------------------------------------

template <class T>
struct Rings {
  Ring<T> squares, scaled, terms;  // x^2; grad * d^-beta; grad * x * d^(-beta - 1)
};

template <class T, Beta kBeta, int kSize>
static void backward_strip(const LocalResponseNormBwdArgs& a, const T* g, const T* x, T* grad_x, int64_t n,
                           const Rings<T>& r, bool streams) {
  const int64_t size = kSize ? kSize : a.size, ahead = (size - 1) / 2, behind = size / 2;
  const T k = static_cast<T>(a.k), share = static_cast<T>(a.alpha / static_cast<double>(size));
  const T beta = static_cast<T>(a.beta), slope = 2 * share * beta;
  clear(r.squares);
  clear(r.terms);
  for (int64_t last = 0; last < a.channels + ahead + behind; ++last) {
    T* const squares = Ring<T>::row(r.squares, last);
    last < a.channels ? fill_squares(squares, x + last * a.plane, n) : fill_zeros(squares);
    const int64_t c = last - ahead;  // its window of squares is complete
    if (c < 0) continue;
    T* const terms = Ring<T>::row(r.terms, c);
    if (c < a.channels) {
      const int64_t at = c * a.plane;
      T* const scaled = Ring<T>::row(r.scaled, c);
      fill_row<T>(terms, n, [=, &r](int64_t i, auto left) FASTDL_BODY {
        const Vec<T> d = window_sum(r.squares, last, size, i) * share + k;
        const Vec<T> p = load_some<T>(g + at + i, left) / power<T, kBeta>(d, beta);
        store<T>(scaled + i, p);
        return p * load_some<T>(x + at + i, left) / d;
      });
    } else {
      fill_zeros(terms);
    }
    const int64_t j = c - behind;  // its window of terms is complete
    if (j < 0) continue;
    const T* const scaled = Ring<T>::row(r.scaled, j);
    const int64_t at = j * a.plane;
    map_run<T>(grad_x + at, n, streams, [=, &r](int64_t i, auto left) FASTDL_BODY {
      const Vec<T> sum = window_sum(r.terms, c, size, i);
      return load<T>(scaled + i) - slope * load_some<T>(x + at + i, left) * sum;
    });
  }
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// strip(offset of its first number, positions, rings, streams) for each strip of each image.
template <class T, class Args, class F>
FASTDL_INLINE void for_strips(const Args& a, F strip) {
  const int64_t strips = (a.plane + kStrip - 1) / kStrip, total = a.batch * a.channels * a.plane;
  const bool streams = total * static_cast<int64_t>(sizeof(T)) >= kStreamBytes && a.plane >= kStrip;
  parallel_for(a.batch * strips, kGrain / (kStrip * a.channels) + 1, [&](int64_t begin, int64_t end) {
    const int64_t slots = Ring<T>::slots(a.size), ring = slots * kStrip;
    Scratch<T> memory(3 * ring);
    const Rings<T> rings{{memory, slots - 1}, {memory + ring, slots - 1}, {memory + 2 * ring, slots - 1}};
    for (int64_t item = begin; item < end; ++item) {
      const int64_t first = item % strips * kStrip;
      strip(item / strips * a.channels * a.plane + first, smaller(kStrip, a.plane - first), rings, streams);
    }
    store_fence();
  });
}

// run(kind of beta, window) with both as constants where they are usual.
template <class Args, class F>
static void with_constants(const Args& a, F run) {
  using Any = std::integral_constant<int, 0>;
  switch (kind_of(a.beta)) {
    case Beta::kThreeQuarters:
      if (a.size == 5)
        return run(std::integral_constant<Beta, Beta::kThreeQuarters>{}, std::integral_constant<int, 5>{});
      return run(std::integral_constant<Beta, Beta::kThreeQuarters>{}, Any{});
    case Beta::kHalf:
      return run(std::integral_constant<Beta, Beta::kHalf>{}, Any{});
    case Beta::kOne:
      return run(std::integral_constant<Beta, Beta::kOne>{}, Any{});
    case Beta::kOther:
      return run(std::integral_constant<Beta, Beta::kOther>{}, Any{});
  }
}

void local_response_norm_fwd(const LocalResponseNormFwdArgs& a) {
  if (a.batch * a.channels * a.plane == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_constants(a, [&](auto beta, auto size) {
      for_strips<T>(a, [&](int64_t at, int64_t n, const Rings<T>& rings, bool streams) {
        forward_strip<T, decltype(beta)::value, decltype(size)::value>(
            a, static_cast<const T*>(a.x) + at, static_cast<T*>(a.out) + at, n, rings.squares, streams);
      });
    });
  });
}

void local_response_norm_bwd(const LocalResponseNormBwdArgs& a) {
  if (a.batch * a.channels * a.plane == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    with_constants(a, [&](auto beta, auto size) {
      for_strips<T>(a, [&](int64_t at, int64_t n, const Rings<T>& rings, bool streams) {
        backward_strip<T, decltype(beta)::value, decltype(size)::value>(
            a, static_cast<const T*>(a.grad) + at, static_cast<const T*>(a.x) + at, static_cast<T*>(a.grad_x) + at, n,
            rings, streams);
      });
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
