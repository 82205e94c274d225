// What the forward and the backward walk through time share beside the product: the order of steps and rows, and how
// the work of a step is divided.
//
// Every number is the same sum in the same order whatever the tile: work may be cut by sequences or by units.
#pragma once
#include "ops/recurrent/recurrent.h"
#include "ops/recurrent/recurrent_gates-inl.h"
#include "ops/recurrent/recurrent_product-inl.h"

namespace fastdl::FASTDL_ISA {

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

constexpr int64_t kOwnSequences = 8;       // sequences for which a thread reads all weights by itself
constexpr int64_t kMemberFlops = 100'000;  // of a step: some two microseconds, ten times what waiting costs

// Threads walk by themselves where each has a direction or enough sequences; else a team shares the panels of each
// step, and waits at its end. So does one for a single step: a thread reads the panels that it packed, and those of
// another core would cost more than the step.
struct Division {
  int64_t groups;   // of sequences
  int64_t members;  // of the team; 1: each direction and group is a task
};
static Division divide_steps(const RecurrentShape& s, int64_t panels, int64_t flops_a_sequence,
                             int64_t own = kOwnSequences) {
  const int64_t threads = get_num_threads();
  const int64_t wanted = ceil_div(threads, s.directions);
  if (wanted == 1) return {1, 1};
  if (s.steps > 1 && s.batch >= wanted * own) return {wanted, 1};
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

// What a walker's panels add in its i-th step: product(panel) for all rows, and done(first row, rows, panel, tile) on
// each complete tile. Tiles of all rows lie one after another at `tiles`, two at least.
template <class T, class Make, class Done>
FASTDL_INLINE void multiply_panels(const Walker& w, int64_t i, int64_t rows, bool split_gate, T* tiles,
                                   Coming<T>& coming, const Make& product, const Done& done) {
  const int64_t panels = w.last_panel - w.first_panel;
  for (int64_t q = 0; q < panels; ++q) {
    const int64_t panel = panel_at(w, i, q), next = panel_at(w, i, q + 1 < panels ? q + 1 : q);
    Product<T> p = product(panel), other = product(next);
    p.tile = tiles, other.tile = tiles + kTileStep<T>;
    if (rows == 1 && next != panel) {
      split_gate ? product_pair<T, true>(p, other) : product_pair<T, false>(p, other);
      done(0, 1, panel, p.tile), done(0, 1, next, other.tile);
      ++q;
      continue;
    }
    multiply_rows<T>(p, rows, split_gate, other.panel, coming,
                     [&](int64_t first, int64_t count)
                         __attribute__((always_inline)) { done(first, count, panel, tiles + first * kTileStep<T>); });
  }
}

}  // namespace fastdl::FASTDL_ISA
