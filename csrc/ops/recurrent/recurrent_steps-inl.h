// What the forward and the backward walk through time share: packed weights, the product of a step, and how the work of
// a step is divided.
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
#include "ops/recurrent/recurrent.h"
#include "ops/recurrent/recurrent_gates-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kStepVecs = 4;  // accumulators of a row
#if defined(FASTDL_ISA_avx512)
constexpr int kStepRows = 6;
#elif defined(FASTDL_ISA_avx2)
constexpr int kStepRows = 3;
#else
constexpr int kStepRows = 2;
#endif
// Fewer sequences than this: the input product is made for several steps together, kInputRows rows at a time, so that
// its weights are not read again at every step.
constexpr int64_t kFusedBatch = 12, kInputRows = 24;
constexpr int64_t kChunkSteps = 128;       // of a panel: 32 KB with four vectors, in L1
constexpr int64_t kOwnSequences = 8;       // sequences for which a thread reads all weights by itself
constexpr int64_t kMemberFlops = 100'000;  // of a step: some two microseconds, ten times what waiting costs

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
  int64_t start_step;
  T* tile;
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

template <class T, int MR, int NW, int kLast>
FASTDL_INLINE const T* multiply_steps(Vec<T> (&sum)[MR][kStepVecs], int64_t k, const T* const* rows, int64_t at,
                                      const T* panel, const T* ahead, int64_t ahead_step) {
  constexpr int L = kLanes<T>;
  const T* row[MR];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) row[i] = rows[i] + at;
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

// ---- walking through time -------------------------------------------------------------------------------------------

// The walk of a direction in the forward pass: the i-th step is step_at(i); the backward pass takes it from its end.
FASTDL_INLINE int64_t step_at(const RecurrentShape& s, int direction, int64_t i) {
  return direction ? s.steps - 1 - i : i;
}
FASTDL_INLINE int64_t row_at(const RecurrentShape& s, int64_t t, int64_t j) {
  return s.first[t] + j * s.stride;
}
// What a call keeps for itself lies step after step, whatever the rows of x do: so a step's rows are one run.
FASTDL_INLINE int64_t kept_at(const RecurrentShape& s, int64_t t, int64_t j) {
  return s.stride == 1 ? s.first[t] + j : t * s.batch + j;
}
// Sequences of step t that had a step before it in the walk, and those that have one after it. They come first.
FASTDL_INLINE int64_t with_previous(const RecurrentShape& s, int direction, int64_t t) {
  if (direction) return t + 1 < s.steps ? s.active[t + 1] : 0;
  return t > 0 ? s.active[t] : 0;
}
FASTDL_INLINE int64_t with_next(const RecurrentShape& s, int direction, int64_t t) {
  if (direction) return t > 0 ? s.active[t] : 0;
  return t + 1 < s.steps ? s.active[t + 1] : 0;
}

// ---- dividing the work ----------------------------------------------------------------------------------------------

// Threads walk by themselves where each has a direction or enough sequences; else a team shares the panels of each
// step, and waits at its end.
struct Division {
  int64_t groups;   // of sequences
  int64_t members;  // of the team; 1: each direction and group is a task
};
static Division divide_steps(const RecurrentShape& s, int64_t panels, int64_t flops_a_sequence) {
  const int64_t threads = get_num_threads();
  const int64_t wanted = ceil_div(threads, s.directions);
  if (wanted == 1) return {1, 1};
  if (s.batch >= wanted * kOwnSequences) return {wanted, 1};
  const int64_t worth = s.batch * flops_a_sequence / kMemberFlops;
  const int64_t members = min64(min64(threads, panels), worth);
  return {1, members > 1 ? members : 1};
}

// Sequences, panels and the place in the team of one walker.
struct Walker {
  int direction;
  int64_t first, last;              // sequences
  int64_t first_panel, last_panel;  // those that it computes
};

// walk(walker, slot, team) for every direction, group and member; slots below the number returned are in use at a time.
template <class Walk>
static void walk_all(const RecurrentShape& s, const Division& d, int64_t panels, const Walk& walk) {
  const Split sequences = split_evenly(s.batch, ceil_div(s.batch, d.groups));
  if (d.members > 1) {
    run_team(d.members, [&](Team& team) {
      const int64_t begin = panels * team.rank / team.size, end = panels * (team.rank + 1) / team.size;
      for (int direction = 0; direction < s.directions; ++direction)
        walk(Walker{direction, 0, s.batch, begin, end}, team.rank, team);
    });
    return;
  }
  parallel_for(s.directions * sequences.count, 1, [&](int64_t task, int64_t last) {
    for (; task < last; ++task) {
      Team alone(0, 1, nullptr);
      const int64_t g = task % sequences.count, begin = part_begin(sequences, g);
      const int direction = static_cast<int>(task / sequences.count);
      walk(Walker{direction, begin, begin + part_size(sequences, g), 0, panels}, task, alone);
    }
  });
}
// Memory of walkers is taken before they start, since members of a team must not throw.
FASTDL_INLINE int64_t slots(const RecurrentShape& s, const Division& d) {
  return d.members > 1 ? d.members : s.directions * d.groups;
}

// Panels are walked to and fro: what the last step left in L2 is read first.
FASTDL_INLINE int64_t panel_at(const Walker& w, int64_t step, int64_t i) {
  return step % 2 ? w.last_panel - 1 - i : w.first_panel + i;
}

}  // namespace fastdl::FASTDL_ISA
