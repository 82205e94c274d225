// The product of a step, which the forward and the backward walk share: packed weights, and tiles of sequences.
//
// A panel holds the weights of one vector of hidden units with all their gates (RNN and the backward pass: of four
// vectors of units), step after step of the inner product. One tile of the product, kStepRows sequences times a panel,
// then has every gate of its units, and nothing but the new state leaves the caches:
//
//   LSTM panel of units u .. u + lanes:          GRU panel:
//     k = 0      i f g o   of x[0]                 r z n   of x[0]        n of x and n of h are kept apart:
//     ...                                          ...                    r multiplies only the second
//     k = input  i f g o   of h[0]                 r z n   of h[0]
//     ...                                          ...
//
// Every number is the same sum in the same order whatever the tile: work may be cut by sequences or by units.
#pragma once
#include "cpu/gemm-inl.h"
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kStepVecs = 4;  // accumulators of a row
// Steps of a chunk of a panel, which L1 holds: 32 KB of four vectors with AVX-512, else at most 24 KB.
#if defined(FASTDL_ISA_avx512)
constexpr int kStepRows = 6;
constexpr int64_t kChunkSteps = 128;
#elif defined(FASTDL_ISA_avx2)
constexpr int kStepRows = 3;
constexpr int64_t kChunkSteps = 192;
#else
constexpr int kStepRows = 2;
constexpr int64_t kChunkSteps = 192;
#endif
// Fewer sequences than this: the input product is made for several steps together, kInputRows rows at a time, so that
// its weights are not read again at every step.
constexpr int64_t kFusedBatch = 12, kInputRows = 24;
template <class T>
constexpr int kTileStep = kStepVecs * kLanes<T>;

// ---- packing --------------------------------------------------------------------------------------------------------

// dst[p * step + i] = src[i * ld + p] for i < rows <= lanes and zero beyond, p < kc.
template <class T>
static void pack_units(T* dst, int64_t step, const T* src, int64_t ld, int64_t rows, int64_t kc) {
  constexpr int L = kLanes<T>;
  for (int64_t p = 0; p < kc; p += L) {
    const int some = static_cast<int>(min64(kc - p, L));
    Vec<T> v[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) v[i] = i < rows ? load_some<T>(src + i * ld + p, some) : Vec<T>{};
    transpose<T>(v);
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i)
      if (i < some) store<T>(dst + (p + i) * step, v[i]);
  }
}

// dst[p * step + i] = src[p * ld + i] for i < columns and zero up to `step`.
template <class T>
static void pack_columns(T* dst, int64_t step, const T* src, int64_t ld, int64_t columns, int64_t kc) {
  for (int64_t p = 0; p < kc; ++p)
    for (int64_t i = 0; i < step; i += kLanes<T>)
      store<T>(dst + p * step + i, load_some<T>(src + p * ld + i, columns - i));
}

// ---- the product of a step ------------------------------------------------------------------------------------------

// tile row i = start row i + x[i] from x0 times kx steps of the panel + h[i] from h0 times kh steps. kApart: panels of
// three vectors, the third of which goes to accumulator 2 for x and to 3 for h.
template <class T>
struct Product {
  int64_t kx, kh;
  const T* const* x;
  const T* const* h;
  const T* panel;
  const T* start;
  int64_t start_step = 0;
  T* tile = nullptr;
  int64_t x0 = 0, h0 = 0;
  const T* ahead = nullptr;  // fetched while multiplying: at each step what lies ahead_step further
  int64_t ahead_step = 0;
};

// Rows that the next step reads or writes: whole lines in up to four runs, fetched while this step multiplies. A step
// finds them in no cache near, and in pieces too short for the processor to see them coming.
template <class T>
struct Coming {
  const T* at[4];
  int64_t left[4];
  int count = 0;
};
template <class T>
FASTDL_INLINE void add_run(Coming<T>& c, const void* all, int64_t first, int64_t n) {
  if (!all || n <= 0) return;
  c.at[c.count] = static_cast<const T*>(all) + first;
  c.left[c.count++] = n;
}
// The place of the next n numbers, or null.
template <class T>
FASTDL_INLINE const T* take_run(Coming<T>& c, int64_t n) {
  if (c.count == 0) return nullptr;
  const int i = c.count - 1;
  const T* const at = c.at[i];
  c.at[i] += n, c.left[i] -= n;
  if (c.left[i] <= 0) c.count = i;
  return at;
}

constexpr int kStepsATurn = 2;  // of the loop
template <class T, int MR, int NW, int kLast>
FASTDL_INLINE const T* multiply_steps(Vec<T> (&sum)[MR][kStepVecs], int64_t k, const T* const* rows, int64_t at,
                                      const T* panel, const T* ahead, int64_t ahead_step) {
  constexpr int L = kLanes<T>;
  const T* row[MR];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) row[i] = rows[i] + at;
#pragma GCC unroll kStepsATurn
  for (int64_t p = 0; p < k; ++p, panel += NW * L, ahead += ahead_step) {
    __builtin_prefetch(ahead, 0, 2);  // into L2
    // The fewer ones wait in registers: three rows of four vectors leave four of sixteen.
    if constexpr (MR < NW) {
      Vec<T> x[MR];
#pragma GCC unroll 4
      for (int i = 0; i < MR; ++i) x[i] = broadcast<T>(row[i][p]);
#pragma GCC unroll 4
      for (int j = 0; j < NW; ++j) {
        const Vec<T> w = load<T>(panel + j * L);
#pragma GCC unroll 4
        for (int i = 0; i < MR; ++i) sum[i][j == NW - 1 ? kLast : j] += x[i] * w;
      }
    } else {
      Vec<T> w[NW];
#pragma GCC unroll 4
      for (int j = 0; j < NW; ++j) w[j] = load<T>(panel + j * L);
#pragma GCC unroll 8
      for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < NW; ++j) sum[i][j == NW - 1 ? kLast : j] += row[i][p] * w[j];
      }
    }
  }
  return panel;
}

template <class T, int MR, bool kApart>
static __attribute__((noinline)) void product(const Product<T>& a) {
  constexpr int L = kLanes<T>, NW = kApart ? 3 : 4;
  Vec<T> sum[MR][kStepVecs];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kStepVecs; ++j) sum[i][j] = load<T>(a.start + i * a.start_step + j * L);
  }
  const T* panel = a.panel;
  if (a.kx) panel = multiply_steps<T, MR, NW, kApart ? 2 : 3>(sum, a.kx, a.x, a.x0, panel, a.ahead, a.ahead_step);
  if (a.kh) multiply_steps<T, MR, NW, 3>(sum, a.kh, a.h, a.h0, panel, a.ahead + a.kx * a.ahead_step, a.ahead_step);
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kStepVecs; ++j) store<T>(a.tile + i * kTileStep<T> + j * L, sum[i][j]);
  }
}

template <class T>
using ProductKernel = void (*)(const Product<T>&);
template <class T, bool kApart, int... I>
FASTDL_INLINE ProductKernel<T> product_of_rows(int64_t rows, std::integer_sequence<int, I...>) {
  static constexpr ProductKernel<T> kInstances[] = {&product<T, I + 1, kApart>...};
  return kInstances[rows - 1];
}
template <class T>
FASTDL_INLINE ProductKernel<T> product_for(int64_t rows, bool apart) {
  using Rows = std::make_integer_sequence<int, kStepRows>;
  return apart ? product_of_rows<T, true>(rows, Rows{}) : product_of_rows<T, false>(rows, Rows{});
}

// One row through two panels at once: the sums of one panel alone would wait for each other, and its weights arrive
// slower than L2 could send them. a and b differ in their panel, start and tile.
template <class T, int NW, int kLast>
FASTDL_INLINE void multiply_pair_steps(Vec<T> (&sum)[2][kStepVecs], int64_t k, const T* row, const T* (&panel)[2]) {
  constexpr int L = kLanes<T>;
  for (int64_t p = 0; p < k; ++p) {
    const Vec<T> x = broadcast<T>(row[p]);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < NW; ++j) sum[i][j == NW - 1 ? kLast : j] += x * load<T>(panel[i] + j * L);
      panel[i] += NW * L;
    }
  }
}
template <class T, bool kApart>
static __attribute__((noinline)) void product_pair(const Product<T>& a, const Product<T>& b) {
  constexpr int L = kLanes<T>, NW = kApart ? 3 : 4;
  Vec<T> sum[2][kStepVecs];
#pragma GCC unroll 4
  for (int j = 0; j < kStepVecs; ++j) sum[0][j] = load<T>(a.start + j * L), sum[1][j] = load<T>(b.start + j * L);
  const T* panel[2] = {a.panel, b.panel};
  if (a.kx) multiply_pair_steps<T, NW, kApart ? 2 : 3>(sum, a.kx, a.x[0], panel);
  if (a.kh) multiply_pair_steps<T, NW, 3>(sum, a.kh, a.h[0], panel);
#pragma GCC unroll 4
  for (int j = 0; j < kStepVecs; ++j) store<T>(a.tile + j * L, sum[0][j]), store<T>(b.tile + j * L, sum[1][j]);
}

// All rows in tiles through one panel, a chunk of its steps after the other: the chunk comes from L2 or L3 for the
// first tile and from L1 for the others, whose sums wait in p.tile. done(first row, rows) on each complete tile.
// Meanwhile the next chunk is fetched, that of panel `next` at last, and what the next step needs.
template <class T, class Done>
FASTDL_INLINE void multiply_rows(const Product<T>& p, int64_t rows, bool split_gate, const T* next, Coming<T>& coming,
                                 const Done& done) {
  constexpr int L = kLanes<T>;
  const int64_t vecs = split_gate ? 3 : 4;
  const Split tiles = split_evenly(rows, kStepRows);
  Split chunks = split_evenly(p.kx + p.kh, tiles.count > 1 ? kChunkSteps : p.kx + p.kh);
  if (chunks.count == 0) chunks.count = 1;  // inputs of no numbers: the tiles are the biases
  for (int64_t c = 0; c < chunks.count; ++c) {
    const int64_t begin = part_begin(chunks, c), steps = part_size(chunks, c), end = begin + steps;
    const int64_t x0 = min64(begin, p.kx), x1 = min64(end, p.kx);
    const T* const next_chunk = c + 1 < chunks.count ? p.panel + end * vecs * L : next;
    for (int64_t i = 0; i < tiles.count; ++i) {
      const int64_t first = part_begin(tiles, i), count = part_size(tiles, i);
      Product<T> one = p;
      one.x += first, one.h += first, one.start += first * p.start_step, one.tile += first * kTileStep<T>;
      one.panel += begin * vecs * L;
      one.kx = x1 - x0, one.x0 = x0, one.kh = steps - one.kx, one.h0 = begin - x0;
      if (c > 0) one.start = one.tile, one.start_step = kTileStep<T>;
      const bool fetches_weights = i < vecs && i + 1 < tiles.count;
      const T* const run = fetches_weights ? next_chunk + i * steps * L : take_run<T>(coming, steps * L);
      one.ahead = run ? run : one.panel, one.ahead_step = run ? L : 0;
      product_for<T>(count, split_gate)(one);
      if (c + 1 == chunks.count) done(first, count);
    }
  }
}

}  // namespace fastdl::FASTDL_ISA
