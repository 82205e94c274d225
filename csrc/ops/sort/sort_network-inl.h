// Short lines by a sorting network, as many at once as a vector has lanes: every step is a minimum and a maximum of two
// vectors, whatever the numbers are. Batcher's merge exchange (Knuth, The Art of Computer Programming 3, 5.2.2M) works
// for any length; it is not stable, so the place of a number is the lower part of its key.
#pragma once
#include "ops/sort/sort_lines-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kNetworkLanes = kLanes<int64_t>;

// Exchanges vectors i and i + d where the first is larger, up to i = end. One vector an item: key and index in one
// number. Two: n vectors of keys, then their indices.
template <int kVectors>
FASTDL_INLINE void exchange_run(int64_t* items, int64_t n, int64_t i, int64_t end, int64_t d) {
  constexpr int L = kNetworkLanes;
  for (; i < end; ++i) {
    int64_t* const low = items + i * L;
    int64_t* const high = low + d * L;
    const Vec<int64_t> a = load<int64_t>(low), b = load<int64_t>(high);
    if constexpr (kVectors == 1) {
      store<int64_t>(low, a < b ? a : b);
      store<int64_t>(high, a < b ? b : a);
    } else {
      const Vec<int64_t> at = load<int64_t>(low + n * L), bt = load<int64_t>(high + n * L);
      const Mask<int64_t> larger = (a > b) | ((a == b) & (at > bt));
      store<int64_t>(low, select<int64_t>(larger, b, a));
      store<int64_t>(high, select<int64_t>(larger, a, b));
      store<int64_t>(low + n * L, select<int64_t>(larger, bt, at));
      store<int64_t>(high + n * L, select<int64_t>(larger, at, bt));
    }
  }
}
template <int kVectors>
static void sort_network(int64_t* items, int64_t n) {
  int64_t top = 1;
  while (2 * top < n) top *= 2;
  for (int64_t p = top; p > 0 && n > 1; p /= 2) {
    int64_t q = top, r = 0, d = p;
    while (true) {
      for (int64_t i = r; i < n - d; i += 2 * p) exchange_run<kVectors>(items, n, i, i + p < n - d ? i + p : n - d, d);
      if (q == p) break;
      d = q - p, q /= 2, r = p;
    }
  }
}

}  // namespace fastdl::FASTDL_ISA
