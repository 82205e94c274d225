// Checks of indices at the speed of reading them, before memory is read through them.
#pragma once
#include "core/dtype.h"
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

// Whether all of n indices lie in [0, rows): neither an index nor what is left of the range above it is negative.
// Memory is asked for the `ahead` indices that follow.
template <class Index>
FASTDL_INLINE bool all_inside(const Index* index, int64_t n, int64_t rows, int64_t ahead) {
  using Bits = std::make_unsigned_t<Index>;
  constexpr int64_t kMost = static_cast<int64_t>(~Bits{0} >> 1);
  const Vec<Bits> last = broadcast<Bits>(static_cast<Bits>(rows - 1 < kMost ? rows - 1 : kMost));
  Vec<Bits> signs{};
  for (int64_t i = 0; i < n; i += kLanes<Bits>) {
    if (i < ahead) __builtin_prefetch(index + n + i);
    const Bits* const p = reinterpret_cast<const Bits*>(index) + i;
    const int64_t rest = n - i;
    const Vec<Bits> x = rest >= kLanes<Bits> ? load<Bits>(p) : load_n<Bits>(p, static_cast<int>(rest));
    signs |= x | (last - x);
  }
  return !any_lane<Index>((Vec<Index>)signs < Index{0});
}

// 1 + the position of the first index outside [0, rows), or 0.
template <class Index>
static int64_t first_outside(const Index* index, int64_t n, int64_t rows) {
  constexpr int64_t kBlock = 1024;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = begin + kBlock < n ? begin + kBlock : n;
    if (all_inside(index + begin, end - begin, rows, 0)) continue;
    for (int64_t i = begin; i < end; ++i)
      if (static_cast<uint64_t>(index[i]) >= static_cast<uint64_t>(rows)) return i + 1;
  }
  return 0;
}

template <class F>
static inline void visit_index(DType t, F&& f) {
  if (t == DType::kInt32) return f(int32_t{});
  if (t == DType::kInt64) return f(int64_t{});
}

}  // namespace fastdl::FASTDL_ISA
