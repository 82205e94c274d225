// The two walks of every running operation on the CPU. An operation `Op` says what it is:
//
//   Number, kParts            a state is kParts vectors of Number: what is known of the elements up to a lane
//   identity(), combine(a, b) of states, with the elements of a before those of b
//   read<kRow>(at, i, left)   the states of the elements at `at`, number i along the axis, `left` lanes of them; the
//                             other lanes are the identity. kRow: lanes are neighbours along the axis, else columns
//   write<kRow>(at, i, state, left)
//   advance<kReverse>(own, carry)   the states of a vector behind all before it, which are moved on
//   kPlain                    whether a state is one vector, the result, and made of `x`: what is left of a line then
//                             goes one by one, and columns go on from `out`
//
// Along the last axis a vector is combined in log2(lanes) steps, each with the vector moved by 1, 2, 4, ... lanes:
//
//   a b c d  ->  a ab bc cd  ->  a ab abc abcd  ->  all before them in front of each
//
// Long lines have parts of kPartOfLine numbers. Each starts anew, and what the parts before it come to is combined with
// its results: by one thread on its way, by several in two rounds, with the same bits. Along other axes a chunk owns
// columns, whose states lie in the L1 cache.
#pragma once
#include "core/wrapping.h"
#include "cpu/parallel.h"
#include "cpu/runs-inl.h"
#include "ops/scan/scan.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kPartOfLine = 32 * 1024;
constexpr int64_t kManyLines = 16;           // from so many on each is the work of one thread
constexpr int64_t kPieceColumns = 1024;      // of a chunk: rows are read as they lie, and states fit the L1 cache
constexpr int64_t kScanNumbers = 32 * 1024;  // of a chunk

struct Lines {
  int64_t outer, n, inner;
};

template <class T, int K>
struct States {
  Vec<T> v[K];
};

// ---- lanes ----------------------------------------------------------------------------------------------------------

template <class Op>
using StateOf = States<typename Op::Number, Op::kParts>;

// Lane i becomes the combination of lanes 0 to i (reverse: of the last down to i).
template <class Op, bool kReverse, int kDistance = 1>
FASTDL_INLINE StateOf<Op> scan_lanes(StateOf<Op> s) {
  using T = typename Op::Number;
  constexpr int L = kLanes<T>;
  if constexpr (kDistance >= L) {
    return s;
  } else {
    const StateOf<Op> none = Op::identity();
    StateOf<Op> moved;
    for (int k = 0; k < Op::kParts; ++k)
      moved.v[k] = kReverse ? pick<T, kDistance, 1>(s.v[k], none.v[k], LaneIndices<T>{})
                            : pick<T, L - kDistance, 1>(none.v[k], s.v[k], LaneIndices<T>{});
    return scan_lanes<Op, kReverse, kDistance * 2>(Op::combine(moved, s));
  }
}

// The state of the whole vector in every lane.
template <class Op, bool kReverse>
FASTDL_INLINE StateOf<Op> last_lane(StateOf<Op> s) {
  using T = typename Op::Number;
  for (int k = 0; k < Op::kParts; ++k)
    s.v[k] = pick<T, kReverse ? 0 : kLanes<T> - 1, 0>(s.v[k], s.v[k], LaneIndices<T>{});
  return s;
}

// The carry waits for one combination alone, not for the lanes.
template <class Op, bool kReverse>
FASTDL_INLINE StateOf<Op> advance_lanes(StateOf<Op> own, StateOf<Op>& carry) {
  const StateOf<Op> s = scan_lanes<Op, kReverse>(own), out = Op::combine(carry, s);
  carry = Op::combine(carry, last_lane<Op, kReverse>(s));
  return out;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// Numbers [first, last) of the line that begins at `line`; gives what they come to. base: what is before them.
template <class Op, bool kReverse, bool kWrites, bool kBased>
FASTDL_INLINE StateOf<Op> walk_numbers(const Op& op, int64_t line, int64_t first, int64_t last,
                                       const StateOf<Op>& base) {
  constexpr int L = kLanes<typename Op::Number>;
  StateOf<Op> carry = Op::identity();
  const auto visit = [&](int64_t i, auto left) FASTDL_BODY {
    const StateOf<Op> s = Op::template advance<kReverse>(op.template read<true>(line + i, i, left), carry);
    if (kWrites) op.template write<true>(line + i, i, kBased ? Op::combine(base, s) : s, left);
  };
  const int64_t whole = first + (last - first) / L * L;
  const auto vectors = [&]() FASTDL_BODY {
    constexpr std::integral_constant<int, L> kFull{};
    for (int64_t i = kReverse ? whole - L : first; first <= i && i < whole; i += kReverse ? -L : L) visit(i, kFull);
  };
  const auto rest = [&]() FASTDL_BODY {
    if constexpr (!Op::kPlain) {
      if (whole < last) visit(whole, last - whole);
    } else {
      auto one = carry.v[0][0];
      for (int64_t j = 0; j < last - whole; ++j) {
        const int64_t at = line + (kReverse ? last - 1 - j : whole + j);
        one = Op::combine(one, op.x[at]);
        if (kWrites) op.out[at] = kBased ? Op::combine(base.v[0][0], one) : one;
      }
      carry.v[0] = broadcast<typename Op::Number>(one);
    }
  };
  if (kReverse) {
    rest();
    vectors();
  } else {
    vectors();
    rest();
  }
  return carry;
}

template <class Op, bool kReverse, bool kWrites, bool kBased>
static StateOf<Op> walk_part(const Op& given, int64_t line, int64_t first, int64_t last, const StateOf<Op>& base) {
  const Op op = given;  // a copy, which no store may change
  return walk_numbers<Op, kReverse, kWrites, kBased>(op, line, first, last, base);
}

struct PartsOfLine {
  int64_t n, count;
};
// Where part p in the order of the walk begins and ends.
template <bool kReverse>
FASTDL_INLINE int64_t part_begin(const PartsOfLine& parts, int64_t p) {
  return (kReverse ? parts.count - 1 - p : p) * kPartOfLine;
}
FASTDL_INLINE int64_t part_end(const PartsOfLine& parts, int64_t begin) {
  return parts.n - begin < kPartOfLine ? parts.n : begin + kPartOfLine;
}

template <class Op, bool kReverse>
static void walk_line(const Op& op, int64_t line, const PartsOfLine& parts) {
  StateOf<Op> before = Op::identity();
  for (int64_t p = 0; p < parts.count; ++p) {
    const int64_t first = part_begin<kReverse>(parts, p), last = part_end(parts, first);
    if (p == 0)
      before = walk_part<Op, kReverse, true, false>(op, line, first, last, before);
    else
      before = Op::combine(before, walk_part<Op, kReverse, true, true>(op, line, first, last, before));
  }
}

// What each part comes to, then what is before each, then the results: what walk_line does, on several threads.
template <class Op, bool kReverse>
static void walk_parts(const Op& op, const Lines& g, const PartsOfLine& parts) {
  using T = typename Op::Number;
  constexpr int K = Op::kParts;
  const int64_t all = g.outer * parts.count;
  Scratch<T> scratch(all * K);
  T* const states = scratch;
  const auto state_at = [&](int64_t i) FASTDL_BODY {
    StateOf<Op> s;
    for (int k = 0; k < K; ++k) s.v[k] = broadcast<T>(states[i * K + k]);
    return s;
  };
  const auto put = [&](int64_t i, const StateOf<Op>& s) FASTDL_BODY {
    for (int k = 0; k < K; ++k) states[i * K + k] = s.v[k][0];
  };
  parallel_for(all, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = part_begin<kReverse>(parts, i % parts.count);
      const int64_t line = i / parts.count * g.n;
      put(i, walk_part<Op, kReverse, false, false>(op, line, first, part_end(parts, first), Op::identity()));
    }
  });
  for (int64_t o = 0; o < g.outer; ++o) {
    StateOf<Op> before = Op::identity();
    for (int64_t p = 0; p < parts.count; ++p) {
      const StateOf<Op> own = state_at(o * parts.count + p);
      put(o * parts.count + p, before);
      before = p == 0 ? own : Op::combine(before, own);
    }
  }
  parallel_for(all, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t p = i % parts.count, first = part_begin<kReverse>(parts, p);
      const int64_t line = i / parts.count * g.n, last = part_end(parts, first);
      if (p == 0)
        walk_part<Op, kReverse, true, false>(op, line, first, last, Op::identity());
      else
        walk_part<Op, kReverse, true, true>(op, line, first, last, state_at(i));
    }
  });
}

template <class Op, bool kReverse>
static void along_rows(const Op& op, const Lines& g) {
  const PartsOfLine parts = {g.n, (g.n + kPartOfLine - 1) / kPartOfLine};
  // Both ways give the same bits.
  if (parts.count > 1 && g.outer < kManyLines && get_num_threads() > 1) return walk_parts<Op, kReverse>(op, g, parts);
  parallel_for(g.outer, kScanNumbers / g.n + 1, [&](int64_t begin, int64_t end) {
    const Op own = op;
    for (int64_t o = begin; o < end; ++o)
      if (parts.count > 1)
        walk_line<Op, kReverse>(op, o * g.n, parts);
      else
        walk_numbers<Op, kReverse, true, false>(own, o * parts.n, 0, parts.n, Op::identity());
  });
}

// ---- columns --------------------------------------------------------------------------------------------------------

// `left` columns of a row, number i along the axis and at `place`. states: of all columns so far, kPieceColumns apart.
// Plain ones are the results of the row before, `step` from this one, but for part of a vector: what was stored under a
// mask is not there at once.
template <class Op, class N>
FASTDL_INLINE void walk_row(const Op& op, bool begins, int64_t i, int64_t place, int64_t step,
                            typename Op::Number* states, N left) {
  using T = typename Op::Number;
  constexpr bool kResults = Op::kPlain && std::is_same_v<N, std::integral_constant<int, kLanes<T>>>;
  StateOf<Op> s = op.template read<false>(place, i, left);
  if (!begins) {
    StateOf<Op> before;
    if constexpr (kResults)
      before.v[0] = load<T>(op.out + place - step);
    else
      for (int k = 0; k < Op::kParts; ++k) before.v[k] = load<T>(states + k * kPieceColumns);
    s = Op::combine(before, s);
  }
  for (int k = 0; k < Op::kParts && !kResults; ++k) store<T>(states + k * kPieceColumns, s.v[k]);
  op.template write<false>(place, i, s, left);
}

template <class Op, bool kReverse>
static void walk_columns(const Op& given, int64_t n, int64_t inner, int64_t at, int64_t width) {
  constexpr int L = kLanes<typename Op::Number>;
  const Op op = given;  // a copy, which no store may change
  alignas(64) typename Op::Number states[Op::kParts * kPieceColumns];
  const int64_t step = kReverse ? -inner : inner;
  const auto row = [&](bool begins, int64_t i, int64_t place) FASTDL_BODY {
    int64_t c = 0;
    for (; c + L <= width; c += L)
      walk_row(op, begins, i, place + c, step, states + c, std::integral_constant<int, L>{});
    if (c < width) walk_row(op, begins, i, place + c, step, states + c, width - c);
  };
  int64_t i = kReverse ? n - 1 : 0, place = at + i * inner;
  row(true, i, place);
  for (int64_t r = 1; r < n; ++r) row(false, i += kReverse ? -1 : 1, place += step);
}

template <class Op, bool kReverse>
static void along_columns(const Op& op, const Lines& g) {
  // Columns are apart from each other: how they are cut changes no bit. Threads that share rows write to the same lines
  // at their borders, which pays where there is more to do than to add.
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(typename Op::Number));
  const int64_t share = (g.outer * g.inner / (Op::kPlain ? 1 : get_num_threads()) + kLine) / kLine * kLine;
  const int64_t most = share < kPieceColumns ? share : kPieceColumns, piece = g.inner < most ? g.inner : most;
  const int64_t pieces = (g.inner + piece - 1) / piece;
  parallel_for(g.outer * pieces, kScanNumbers / (g.n * piece) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t column = item % pieces * piece, at = item / pieces * g.n * g.inner + column;
      walk_columns<Op, kReverse>(op, g.n, g.inner, at, g.inner - column < piece ? g.inner - column : piece);
    }
  });
}

template <bool kReverse, class Op>
static void walk(const Op& op, const Lines& g) {
  g.inner == 1 ? along_rows<Op, kReverse>(op, g) : along_columns<Op, kReverse>(op, g);
}

}  // namespace fastdl::FASTDL_ISA
