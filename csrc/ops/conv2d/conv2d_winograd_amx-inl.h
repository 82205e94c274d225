// The products of Winograd convolution on the tile unit (cpu/amx-inl.h): what the images
// (conv2d_winograd_amx_conv-inl.h) and the gradient of the weights share. Splitting numbers costs vectors what the tile
// unit leaves idle, so those of the next block are split between the products of this one.
#pragma once
#include "cpu/amx-inl.h"
#include "cpu/parallel.h"

namespace fastdl::FASTDL_ISA {
#if defined(FASTDL_ISA_amx)

// As split_pairs, but parts are cut off and not rounded, which takes half as long: 8 bits, the next 8, and the last 8.
// What products leave out is still 2^-24 of them on average. An infinity leaves NaN behind it.
FASTDL_INLINE SplitPairs cut_pairs(Vec<float> a, Vec<float> b) {
  typedef uint32_t Bits __attribute__((vector_size(kVecBytes)));
  constexpr int32_t kHigh = static_cast<int32_t>(0xffff0000);
  SplitPairs s;
#pragma GCC unroll 3
  for (int part = 0; part < 3; ++part) {
    const Vec<int32_t> high_b = (Vec<int32_t>)b & kHigh;
    s.part[part] = (Vec<int32_t>)((Bits)a >> 16) | high_b;
    if (part == 2) break;
    a -= (Vec<float>)((Vec<int32_t>)a & kHigh);
    b -= (Vec<float>)high_b;
  }
  return s;
}

// What three parts make together, as `joined` does; an infinity is one still.
template <bool kSecond>
FASTDL_INLINE Vec<float> uncut(const Bf16* p) {
  const Vec<int32_t> pairs = load<int32_t>(reinterpret_cast<const int32_t*>(p));
  const Vec<float> high = (Vec<float>)(kSecond ? pairs & static_cast<int32_t>(0xffff0000) : pairs << 16);
  return high * 0.0f == 0.0f ? joined<kSecond>(p) : high;
}

FASTDL_INLINE bool all_finite(const float* numbers, int64_t count) {
  Vec<float> zeros{};
  for (int64_t i = 0; i < count; i += kLanes<float>) zeros += load<float>(numbers + i) * 0.0f;
  return !any_lane<float>(zeros != 0.0f);
}

// Rows of pairs of vectors, up to 32 in each step.
struct Splitting {
  const float* in = nullptr;
  int64_t second = 0, skip = 0;  // from the first vector of a pair to the second, from the last row to the next step
  int64_t rows = 0;              // of a step
  Bf16* to = nullptr;
  int64_t left = 0;     // rows of all steps
  int64_t of_step = 0;  // rows left of this one
};
// Rows lie one after another; from a step to the next are two blocks.
static inline Splitting splitting_of(const float* in, int64_t block, int64_t rows, int64_t steps, Bf16* to) {
  return {in, block, 2 * block - rows * kLanes<float>, rows, to, rows * steps, rows};
}
FASTDL_INLINE void split_some(Splitting& s, int64_t count) {
  for (; count > 0 && s.left > 0; --count) {
    store_parts(s.to, cut_pairs(load<float>(s.in), load<float>(s.in + s.second)));
    s.in += kLanes<float>, s.to += kAmxSteps, --s.left;
    if (--s.of_step == 0) s.of_step = s.rows, s.in += s.skip, s.to += kAmxStep - s.rows * kAmxSteps;
  }
}

// A block of C in two columns of 16, `column` numbers apart, each in lines of 16.
struct AmxColumns {
  float* at;
  int64_t column;
};

// c = A B, or is added to; `later` is split meanwhile, kSplits rows after every 4 products.
template <int kRows, int kColumns, int kSplits>
static __attribute__((noinline)) void multiply_and_split(int64_t steps, const Bf16* a, const Bf16* b, Splitting& later,
                                                         const AmxColumns& c, bool accumulate) {
  constexpr int64_t kHalf = kAmxTile / 2;
  Splitting next = later;  // in registers
  const auto multiply = [&] FASTDL_BODY {
    multiply_parts<kRows, kColumns>();
    if constexpr (kSplits > 0) split_some(next, kSplits);
  };
  if (accumulate) {
    const auto load_c = [](float* p) FASTDL_BODY { return reinterpret_cast<const Bf16*>(p); };
    tile_load<0>(load_c(c.at));
    if constexpr (kColumns == 2) tile_load<1>(load_c(c.at + c.column));
    if constexpr (kRows == 2) tile_load<2>(load_c(c.at + kHalf));
    if constexpr (kRows == 2 && kColumns == 2) tile_load<3>(load_c(c.at + c.column + kHalf));
  } else {
    tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
  }
  for (; steps > 0; --steps, a += kAmxStep, b += kAmxStep) {
    load_a<kRows>(a + 2 * kAmxPart), load_b<kColumns>(b), multiply();  // low high
    load_a<kRows>(a + kAmxPart), multiply();                           // middle high
    load_b<kColumns>(b + kAmxPart), multiply();                        // middle middle
    load_a<kRows>(a), multiply();                                      // high middle
    load_b<kColumns>(b + 2 * kAmxPart), multiply();                    // high low
    load_b<kColumns>(b), multiply();                                   // high high
  }
  later = next;
  constexpr int64_t kLine = kAmxSide / 2;
  tile_store<0>(c.at, kLine);
  if constexpr (kColumns == 2) tile_store<1>(c.at + c.column, kLine);
  if constexpr (kRows == 2) tile_store<2>(c.at + kHalf, kLine);
  if constexpr (kRows == 2 && kColumns == 2) tile_store<3>(c.at + c.column + kHalf, kLine);
}

using MultiplyAndSplit = void (*)(int64_t, const Bf16*, const Bf16*, Splitting&, const AmxColumns&, bool);
template <int kSplits>
static MultiplyAndSplit multiply_and_split_of(int64_t rows, int64_t columns) {
  constexpr int64_t kHalf = kAmxSide / 2;
  if (rows <= kHalf) return columns <= kHalf ? multiply_and_split<1, 1, kSplits> : multiply_and_split<1, 2, kSplits>;
  return columns <= kHalf ? multiply_and_split<2, 1, kSplits> : multiply_and_split<2, 2, kSplits>;
}
static inline MultiplyAndSplit multiply_and_split_for(int64_t rows, int64_t columns, int64_t splits) {
  if (splits == 1) return multiply_and_split_of<1>(rows, columns);
  return splits == 2 ? multiply_and_split_of<2>(rows, columns) : multiply_and_split_of<3>(rows, columns);
}
// How many rows of 32 are to be split after 4 products, if that is to be done in `blocks` blocks; 6 times a step.
FASTDL_INLINE int64_t splits_for(int64_t blocks) {
  return min64(ceil_div(kAmxSide, 6 * blocks), 3);
}

// The same by vectors, of one row and 16 columns of B.
static inline Vec<float> row_by_vectors(int64_t steps, const Bf16* a, const Bf16* b) {
  constexpr int L = kLanes<float>;
  Vec<float> sum{};
  for (; steps > 0; --steps, a += kAmxStep, b += kAmxStep) {
    const Vec<float> first = uncut<false>(a), second = uncut<true>(a);
    for (int i = 0; i < L; ++i)
      sum += first[i] * uncut<false>(b + i * kAmxSteps), sum += second[i] * uncut<true>(b + i * kAmxSteps);
  }
  return sum;
}

#endif
}  // namespace fastdl::FASTDL_ISA
