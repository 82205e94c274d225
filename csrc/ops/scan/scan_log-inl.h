// States of running logarithms and of their gradients: weighted exponentials.
#pragma once
#include "cpu/math-inl.h"
#include "ops/scan/scan-inl.h"

namespace fastdl::FASTDL_ISA {

// What is below e^-kRange of the largest term of a sum that begins with it changes no bit; e^kSlack times the number of
// terms does not overflow.
template <class T>
constexpr T kRange = sizeof(T) == 4 ? T{60} : T{600};
template <class T>
constexpr T kSlack = sizeof(T) == 4 ? T{20} : T{200};

template <class T>
struct Plus {
  using Number = T;
  using State = States<T, 1>;
  static constexpr int kParts = 1;
  FASTDL_INLINE State identity() { return {{Vec<T>{}}}; }
  FASTDL_INLINE State combine(State a, State b) { return {{a.v[0] + b.v[0]}}; }
};

// Stands for the sum of w_j e^x_j over some elements: `top`, near the largest x_j, and the sum of w_j e^(x_j - top).
// Equal tops are not subtracted, of infinities that would be NaN. NaN is no top and in the sum alone.
template <class T>
struct Exponentials {
  using Number = T;
  using State = States<T, 2>;
  static constexpr int kParts = 2;
  static constexpr bool kPlain = false;
  static constexpr T kInfinity = Ieee<T>::kInfinity;

  FASTDL_INLINE State identity() { return {{broadcast<T>(-kInfinity), Vec<T>{}}}; }
  FASTDL_INLINE State combine(State a, State b) {
    const Mask<T> rises = b.v[0] > a.v[0];
    const Vec<T> top = select<T>(rises, b.v[0], a.v[0]), low = select<T>(rises, a.v[0], b.v[0]);
    const Vec<T> of_top = select<T>(rises, b.v[1], a.v[1]), of_low = select<T>(rises, a.v[1], b.v[1]);
    const Vec<T> factor = select<T>(low == top, broadcast<T>(1), vexp<T>(low - top));
    return {{top, of_top + of_low * factor}};
  }
  FASTDL_INLINE State of(Vec<T> x, Vec<T> weight) {
    const Mask<T> nan = x != x;
    return {{select<T>(nan, broadcast<T>(-kInfinity), x), select<T>(nan, x, weight)}};
  }
  // With one top for the whole vector, as long as it may be that of the carry: an exponential a number. Where that
  // would lose small numbers before a large one, or a top is infinite, lanes are combined as states.
  template <bool kReverse>
  FASTDL_INLINE State advance(State own, State& carry) {
    const Vec<T> top = carry.v[0];
    if (__builtin_expect(any_lane<T>((own.v[0] > top + kSlack<T>) | (vabs<T>(top) == kInfinity)), 0)) {
      const T highest = tree_max<T>(own.v[0]), start = own.v[0][kReverse ? kLanes<T> - 1 : 0];
      if (!(highest - (top[0] > start ? top[0] : start) <= kRange<T>))
        return advance_lanes<Exponentials, kReverse>(own, carry);
      carry = combine(State{{broadcast<T>(highest), Vec<T>{}}}, carry);
    }
    States<T, 1> sum = {{carry.v[1]}};
    const Vec<T> terms = own.v[1] * vexp<T>(own.v[0] - carry.v[0]);
    const States<T, 1> sums = advance_lanes<Plus<T>, kReverse>({{terms}}, sum);
    carry.v[1] = sum.v[0];
    return {{carry.v[0], sums.v[0]}};
  }
};

}  // namespace fastdl::FASTDL_ISA
