// Products of float32 on the tile unit of Xeons (AMX), which multiplies bfloat16 sixteen times as fast as vectors
// multiply float32. A float32 is the exact sum of three bfloat16, of 8 bits each:
//
//   x = high + middle + low          high = x rounded, middle = (x - high) rounded, low = what is left
//
//   x y = high high + (high middle + middle high) + (high low + middle middle + low high) + 2^-24 and less
//
// So six products of bfloat16 stand for one of float32, with float32's accuracy: sums are float32 in either case, and
// what is left out is below half a unit of the last place of each product. Six of sixteen leaves 2.7 times the rate of
// vectors.
//
// Tiles are registers of 16 rows of 64 bytes. C += A B takes 16 rows of A with 32 numbers of k and 16 columns of B, and
// wants numbers of k in pairs. Which k stand together is free as long as A and B agree: here k and k + 16 of a step of
// 32, since both then come from two vectors that are loaded as they lie.
//
//   A   [step][part][row tile 2][16 rows][16 pairs]          part: high, middle, low
//   B   [step][part][column tile 2][16 pairs][16 columns]
//
// A block of 32 x 32 of C is four tiles, two of A and two of B are loaded for four products. Rows, columns and steps
// that are not there are zeros.
//
// An infinity or a NaN would spoil a sum where the other parts are zero (infinity times zero). Such numbers, and what
// overflows on the way, make C infinite or NaN; such numbers of C are made once more, in float32 by vectors.
#pragma once
#include "cpu/packing-inl.h"
#include "cpu/shuffle-inl.h"

#if defined(FASTDL_ISA_amx)
namespace fastdl::FASTDL_ISA {

using Bf16 = uint16_t;
constexpr int64_t kAmxSide = 32;                            // rows and columns of a block of C
constexpr int64_t kAmxSteps = 32;                           // numbers of k in a step
constexpr int64_t kAmxTile = 512, kAmxPart = 2 * kAmxTile;  // numbers of a tile, and of a part of a step
constexpr int64_t kAmxStep = 3 * kAmxPart, kAmxBlock = kAmxSide * kAmxSide;

FASTDL_INLINE bool amx_in_use() {
  return active_isa == Isa::kAmx;
}
FASTDL_INLINE int64_t amx_steps(int64_t k) {
  return ceil_div(k, kAmxSteps);
}

// ---- instructions ---------------------------------------------------------------------------------------------------

#if defined(FASTDL_AVX512_ON_AVX2)
using on_avx2::tile_begin, on_avx2::tile_end, on_avx2::tile_load, on_avx2::tile_multiply, on_avx2::tile_store,
    on_avx2::tile_zero, on_avx2::to_bf16;
#else
// Tiles belong to the thread, and begin as zeros; the system saves them with its registers until tile_end.
FASTDL_INLINE void tile_begin() {
  alignas(64) static constexpr struct {
    uint8_t palette = 1, first_row = 0, none[14]{};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } kAllWhole{};
  asm volatile("ldtilecfg %0" ::"m"(kAllWhole));
}
FASTDL_INLINE void tile_end() {
  asm volatile("tilerelease");
}
template <int kT>
FASTDL_INLINE void tile_zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(kT));
}
template <int kT>
FASTDL_INLINE void tile_load(const Bf16* p) {
  struct Tile {
    Bf16 numbers[kAmxTile];
  };
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(int64_t{64}), "i"(kT),
               "m"(*reinterpret_cast<const Tile*>(p)));
}
template <int kT>
FASTDL_INLINE void tile_store(float* p, int64_t ld) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(ld * 4), "i"(kT) : "memory");
}
template <int kC, int kA, int kB>
FASTDL_INLINE void tile_multiply() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
}
// Both rounded to bfloat16: those of `low`, then those of `high`.
FASTDL_INLINE Vec<int32_t> to_bf16(Vec<float> high, Vec<float> low) {
  Vec<int32_t> v;
  asm("vcvtne2ps2bf16 %2, %1, %0" : "=v"(v) : "v"(high), "v"(low));
  return v;
}
#endif

// ---- splitting ------------------------------------------------------------------------------------------------------

// Pairs of bfloat16: number i of a, then number i of b.
struct SplitPairs {
  Vec<int32_t> part[3];
};

template <int... I>
FASTDL_INLINE Vec<int32_t> interleave_halves(Vec<int32_t> v, std::integer_sequence<int, I...>) {
  typedef Bf16 Numbers __attribute__((vector_size(kVecBytes)));
  return (Vec<int32_t>)__builtin_shufflevector((Numbers)v, (Numbers)v, (I / 2 + I % 2 * kLanes<float>)...);
}

FASTDL_INLINE SplitPairs split_rounded(Vec<float> a, Vec<float> b) {
  constexpr auto numbers = std::make_integer_sequence<int, 2 * kLanes<float>>{};
  SplitPairs s;
#pragma GCC unroll 3
  for (int part = 0; part < 3; ++part) {
    s.part[part] = interleave_halves(to_bf16(b, a), numbers);
    if (part == 2) break;
    a -= (Vec<float>)(s.part[part] << 16);
    b -= (Vec<float>)(s.part[part] & static_cast<int32_t>(0xffff0000));
  }
  return s;
}

// Numbers that round to infinity are cut off instead; infinities and NaN have no other parts.
FASTDL_INLINE Mask<float> rounds_to_infinity(Vec<float> v) {
  return ((Mask<float>)v & 0x7fffffff) > 0x7f7f7fff;
}
static __attribute__((noinline)) SplitPairs split_large(Vec<float> a, Vec<float> b) {
  const Mask<float> large_a = rounds_to_infinity(a), large_b = rounds_to_infinity(b);
  SplitPairs s = split_rounded(select<float>(large_a, Vec<float>{}, a), select<float>(large_b, Vec<float>{}, b));
  for (int i = 0; i < 2 * kLanes<float>; ++i) {
    const int lane = i / 2, shift = i % 2 * 16;
    if (!(i % 2 ? large_b : large_a)[lane]) continue;
    const float x = (i % 2 ? b : a)[lane];
    float rest = x;
    for (int part = 0; part < (x - x == 0.0f ? 3 : 1); ++part) {
      uint32_t bits;
      __builtin_memcpy(&bits, &rest, sizeof bits);
      if (rest != rest) bits |= 1 << 22;  // the first half of a NaN may be that of an infinity
      bits &= 0xffff0000;
      s.part[part][lane] |= static_cast<int32_t>(bits >> 16 << shift);
      float cut;
      __builtin_memcpy(&cut, &bits, sizeof cut);
      rest -= cut;
    }
  }
  return s;
}

FASTDL_INLINE SplitPairs split_pairs(Vec<float> a, Vec<float> b) {
  if (__builtin_expect(any_lane<float>(rounds_to_infinity(a) | rounds_to_infinity(b)), 0)) return split_large(a, b);
  return split_rounded(a, b);
}

// What three parts make together: the first numbers of pairs, or the second ones.
template <bool kSecond>
FASTDL_INLINE Vec<float> joined(const Bf16* p) {
  Vec<float> sum{};
#pragma GCC unroll 3
  for (int part = 0; part < 3; ++part) {
    const Vec<int32_t> pairs = load<int32_t>(reinterpret_cast<const int32_t*>(p + part * kAmxPart));
    sum += (Vec<float>)(kSecond ? pairs & static_cast<int32_t>(0xffff0000) : pairs << 16);
  }
  return sum;
}

// ---- packing --------------------------------------------------------------------------------------------------------

FASTDL_INLINE void store_parts(Bf16* to, const SplitPairs& s) {
#pragma GCC unroll 3
  for (int part = 0; part < 3; ++part) store<int32_t>(reinterpret_cast<int32_t*>(to + part * kAmxPart), s.part[part]);
}

// A line of A, or of anything whose numbers of k follow each other: steps of 32 numbers, the last one filled up with
// zeros.
FASTDL_INLINE void split_line(Bf16* to, const float* line, int64_t k) {
  constexpr int L = kLanes<float>;
  for (; k >= kAmxSteps; k -= kAmxSteps, line += kAmxSteps, to += kAmxStep)
    store_parts(to, split_pairs(load<float>(line), load<float>(line + L)));
  if (k > 0) store_parts(to, split_pairs(load_some<float>(line, k), load_some<float>(line + L, k - L)));
}

// Up to 32 lines of A, `ld` apart, filled up with zeros to a whole tile of rows.
[[maybe_unused]] static void amx_pack_lines(Bf16* to, const float* lines, int64_t ld, int64_t rows, int64_t k) {
  // A few steps of all lines at a time: what is stored of them is close together.
  constexpr int64_t kRun = 2 * kAmxSteps;
  const int64_t whole = rows <= kAmxSide / 2 ? kAmxSide / 2 : kAmxSide;
  for (int64_t p = 0; p < k; p += kRun, to += kRun / kAmxSteps * kAmxStep) {
    const int64_t some = min64(kRun, k - p);
    for (int64_t i = 0; i < rows; ++i) split_line(to + i * kAmxSteps, lines + i * ld + p, some);
    for (int64_t i = rows; i < whole; ++i)
      for (int64_t s = 0; s < amx_steps(some); ++s) store_parts(to + s * kAmxStep + i * kAmxSteps, SplitPairs{});
  }
}

// One step of up to 32 columns of B: `k` <= 32 rows, `ld` apart. Zeros beyond.
FASTDL_INLINE void split_rows(Bf16* to, const float* rows, int64_t ld, int64_t columns, int64_t k) {
  constexpr int L = kLanes<float>;
  for (int64_t j = 0; j < columns; j += L, to += kAmxTile)
    for (int64_t p = 0; p < L; ++p)
      store_parts(to + p * kAmxSteps,
                  split_pairs(p < k ? load_some<float>(rows + p * ld + j, columns - j) : Vec<float>{},
                              p + L < k ? load_some<float>(rows + (p + L) * ld + j, columns - j) : Vec<float>{}));
}
// `lines` <= 32 lines of an operand from its step p0 on, as A or as B wants them. Those that lie the other way are
// turned first, a square at a time.
[[maybe_unused]] static void amx_pack_a(Bf16* to, const Operand<float>& a, int64_t line, int64_t lines, int64_t p0,
                                        int64_t k) {
  if (a.along_k) return amx_pack_lines(to, operand_at(a, line, p0), a.ld, lines, k);
  alignas(64) float square[kAmxBlock];
  for (int64_t p = 0; p < k; p += kAmxSteps, to += kAmxStep) {
    const int64_t some = min64(kAmxSteps, k - p);
    transpose_matrix<float>(operand_at(a, line, p0 + p), a.ld, some, lines, square, kAmxSteps);
    amx_pack_lines(to, square, kAmxSteps, lines, some);
  }
}
// B in slivers of 32 columns, one after the other, `size` numbers each.
[[maybe_unused]] static void amx_pack_b(Bf16* to, int64_t size, const Operand<float>& b, int64_t column,
                                        int64_t columns, int64_t p0, int64_t k) {
  alignas(64) float square[kAmxBlock];
  // Lines across k are read as far as the columns go: short pieces of far lines come slowly from memory.
  const int64_t inner = b.along_k ? kAmxSide : columns;
  for (int64_t from = 0; from < columns; from += inner)
    for (int64_t p = 0; p < k; p += kAmxSteps)
      for (int64_t j = from; j < min64(from + inner, columns); j += kAmxSide) {
        const int64_t steps = min64(kAmxSteps, k - p), some = min64(kAmxSide, columns - j);
        Bf16* const step = to + j / kAmxSide * size + p / kAmxSteps * kAmxStep;
        const float* const at = operand_at(b, column + j, p0 + p);
        if (b.along_k) transpose_matrix<float>(at, b.ld, some, steps, square, kAmxSide);
        split_rows(step, b.along_k ? square : at, b.along_k ? kAmxSide : b.ld, some, steps);
      }
}

// ---- products -------------------------------------------------------------------------------------------------------

// A product of a block: A of up to 32 rows, B of up to 32 columns.
struct AmxProduct {
  int64_t steps;
  const Bf16 *a, *b;
};

// The work of vectors on blocks that are complete, done beside the next product, since the tile unit needs few of the
// processor's instructions and what has just been stored is waited for: run(what, piece) for each piece.
struct AmxBeside {
  void (*run)(const void* what, int64_t piece);
  const void* what;
  int64_t next, count, at_once;  // pieces; at_once: twice a step
};
FASTDL_INLINE AmxBeside beside(void (*run)(const void*, int64_t), const void* what, int64_t pieces, int64_t steps) {
  return {run, what, 0, pieces, ceil_div(pieces, 2 * (steps > 0 ? steps : 1))};
}
FASTDL_INLINE void go_on(AmxBeside& work) {
  for (int64_t n = work.at_once; n > 0 && work.next < work.count; --n) work.run(work.what, work.next++);
}
FASTDL_INLINE void finish_all(AmxBeside& work) {
  for (; work.next < work.count; ++work.next) work.run(work.what, work.next);
}

// Memory that is wanted soon: in each step `lines` lines of 64 bytes from `at` on, and two rows of c, where the block
// will go. (A and B are best left to the processor's own prefetchers.)
struct AmxAhead {
  const float* at;
  int64_t lines;
  float* c;
  int64_t ldc;
};
FASTDL_INLINE void fetch_step(AmxAhead& ahead) {
  for (int64_t i = 0; i < ahead.lines; ++i, ahead.at += 16) __builtin_prefetch(ahead.at, 0, 2);
  for (int i = 0; i < 2; ++i, ahead.c += ahead.ldc) __builtin_prefetch(ahead.c, 1), __builtin_prefetch(ahead.c + 16, 1);
}

// Tiles 0 to 3 are C, 4 and 5 A, 6 and 7 B. kRows, kColumns: tiles of a block that there are.
template <int kRows, int kColumns>
FASTDL_INLINE void multiply_parts() {
  tile_multiply<0, 4, 6>();
  if constexpr (kColumns == 2) tile_multiply<1, 4, 7>();
  if constexpr (kRows == 2) tile_multiply<2, 5, 6>();
  if constexpr (kRows == 2 && kColumns == 2) tile_multiply<3, 5, 7>();
}
template <int kRows>
FASTDL_INLINE void load_a(const Bf16* part) {
  tile_load<4>(part);
  if constexpr (kRows == 2) tile_load<5>(part + kAmxTile);
}
template <int kColumns>
FASTDL_INLINE void load_b(const Bf16* part) {
  tile_load<6>(part);
  if constexpr (kColumns == 2) tile_load<7>(part + kAmxTile);
}

// block[32][32] = A B; the products of small parts first.
template <int kRows, int kColumns>
static __attribute__((noinline)) void amx_block(AmxProduct p, AmxAhead ahead, AmxBeside& work, float* block) {
  tile_zero<0>(), tile_zero<1>(), tile_zero<2>(), tile_zero<3>();
  const auto multiply = [] FASTDL_BODY { multiply_parts<kRows, kColumns>(); };
  for (; p.steps > 0; --p.steps, p.a += kAmxStep, p.b += kAmxStep) {
    load_a<kRows>(p.a + 2 * kAmxPart), load_b<kColumns>(p.b), multiply();  // low high
    load_a<kRows>(p.a + kAmxPart), multiply();                             // middle high
    fetch_step(ahead), go_on(work);
    load_b<kColumns>(p.b + kAmxPart), multiply();      // middle middle
    load_a<kRows>(p.a), multiply();                    // high middle
    load_b<kColumns>(p.b + 2 * kAmxPart), multiply();  // high low
    go_on(work);
    load_b<kColumns>(p.b), multiply();  // high high
  }
  tile_store<0>(block, kAmxSide);
  if constexpr (kColumns == 2) tile_store<1>(block + 16, kAmxSide);
  if constexpr (kRows == 2) tile_store<2>(block + 16 * kAmxSide, kAmxSide);
  if constexpr (kRows == 2 && kColumns == 2) tile_store<3>(block + 16 * kAmxSide + 16, kAmxSide);
}

// The same by vectors, from the numbers that the parts make together.
static __attribute__((noinline)) void amx_block_by_vectors(int64_t steps, const Bf16* a, const Bf16* b, int64_t rows,
                                                           int64_t columns, float* block) {
  constexpr int L = kLanes<float>;
  __builtin_memset(block, 0, kAmxBlock * sizeof(float));
  for (; steps > 0; --steps, a += kAmxStep, b += kAmxStep) {
    for (int64_t i = 0; i < rows; ++i) {
      alignas(64) float factors[2 * L];
      store<float>(factors, joined<false>(a + i * kAmxSteps)),
          store<float>(factors + L, joined<true>(a + i * kAmxSteps));
      for (int64_t j = 0; j < columns; j += L) {
        const Bf16* pairs = b + j / L * kAmxTile;
        Vec<float> sum = load<float>(block + i * kAmxSide + j);
        for (int p = 0; p < L; ++p, pairs += kAmxSteps)
          sum += factors[p] * joined<false>(pairs), sum += factors[p + L] * joined<true>(pairs);
        store<float>(block + i * kAmxSide + j, sum);
      }
    }
  }
}

using AmxBlock = void (*)(AmxProduct, AmxAhead, AmxBeside&, float*);
[[maybe_unused]] static AmxBlock amx_block_for(int64_t rows, int64_t columns) {
  constexpr int64_t kHalf = kAmxSide / 2;
  if (rows <= kHalf) return columns <= kHalf ? amx_block<1, 1> : amx_block<1, 2>;
  return columns <= kHalf ? amx_block<2, 1> : amx_block<2, 2>;
}

// A vector of 16 numbers of a block: those that are not finite are made again by vectors.
static __attribute__((noinline)) Vec<float> made_again(const AmxProduct& p, int64_t row, int64_t column, Vec<float> v) {
  alignas(64) float made[kAmxBlock];
  constexpr int L = kLanes<float>;
  amx_block_by_vectors(p.steps, p.a + row * kAmxSteps, p.b + column / L * kAmxTile, 1, L, made);
  return select<float>(v * 0.0f == 0.0f, v, load<float>(made));
}
FASTDL_INLINE Vec<float> result_of(const AmxProduct& p, const float* block, int64_t row, int64_t column) {
  const Vec<float> v = load<float>(block + row * kAmxSide + column);
  if (__builtin_expect(any_lane<float>(v * 0.0f != 0.0f), 0)) return made_again(p, row, column, v);
  return v;
}

// What becomes of a block: c = A B, or is added to, row by row.
struct AmxTarget {
  AmxProduct product;
  const float* block;
  int64_t columns;
  float* c;
  int64_t ldc;
  bool accumulate;
};
FASTDL_INLINE void store_row(const AmxTarget& t, int64_t row) {
  for (int64_t j = 0; j < t.columns; j += kLanes<float>) {
    float* const to = t.c + row * t.ldc + j;
    Vec<float> v = result_of(t.product, t.block, row, j);
    if (t.accumulate) v += load_some<float>(to, t.columns - j);
    store_some<float>(to, v, t.columns - j);
  }
}

}  // namespace fastdl::FASTDL_ISA
#endif
