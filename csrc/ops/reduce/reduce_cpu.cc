// Reductions on the CPU: one read of memory, with enough accumulators to keep up with it.
//
// x is walked in one of two ways, by what happens to its last merged axis:
//
//     reduced   [N, C, HW] over 0, 2   pieces of a row shrink to one number       (rows)
//     kept      [R, K] over 0          blocks of kBlockRows rows shrink to a row  (columns)
//
// What the pieces or blocks give is combined as a binary tree in order of their position (Pairwise), so the error of a
// sum grows with the logarithm of its length. Threads own outputs; where those are too few, the pieces of an output are
// split into parts, whose number depends on the shape alone, and a second reduction adds the parts.
#include "core/wrapping.h"
#include "cpu/parallel.h"
#include "cpu/runs-inl.h"
#include "cpu/strided-inl.h"
#include "ops/reduce/reduce.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kGrain = 64 * 1024;     // elements a chunk or part
constexpr int64_t kPiece = 16384;         // elements that a set of accumulators takes
constexpr int64_t kLongestBeside = 8192;  // elements of rows that are summed side by side
constexpr int64_t kLongRow = 512;         // elements of rows that are read in the order of memory, or side by side
constexpr int64_t kReadBeside = kRunParts > 1 ? kLongRow : kLongestBeside + 1;  // side by side: where runs are in parts
constexpr int kAccumulators = 8;   // hide the latency of an addition: 4 cycles, 2 a cycle
constexpr int kBlockRows = 16;     // rows read side by side; more streams than that outrun the prefetcher
constexpr int64_t kStrip = 512;    // columns whose tree stays in the L1 and L2 caches
constexpr int kColumnVectors = 4;  // a quarter of a kilobyte of each row at a time

// ---- the operations: combine(a, b), with a before b -----------------------------------------------------------------

// What numbers are when they are read, beside the center of their output: themselves. Merge combines what was combined.
template <class T>
struct Plain {
  static constexpr bool kCentered = false;
  FASTDL_INLINE Vec<T> read(Vec<T> x, Vec<T>) { return x; }
};

template <class T>
struct Sum : Plain<T> {
  using Merge = Sum;
  using Wrap = typename WrappingOf<T>::type;  // integers wrap around
  FASTDL_INLINE T identity() { return T{0}; }
  FASTDL_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return (Vec<T>)((Vec<Wrap>)a + (Vec<Wrap>)b); }
  FASTDL_INLINE T combine(T a, T b) { return static_cast<T>(static_cast<Wrap>(a) + static_cast<Wrap>(b)); }
};

template <class T>
struct Product : Plain<T> {
  using Merge = Product;
  using Wrap = typename WrappingOf<T>::type;
  FASTDL_INLINE T identity() { return T{1}; }
  FASTDL_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return (Vec<T>)((Vec<Wrap>)a * (Vec<Wrap>)b); }
  FASTDL_INLINE T combine(T a, T b) { return static_cast<T>(static_cast<Wrap>(a) * static_cast<Wrap>(b)); }
};

template <class T>
FASTDL_INLINE T lowest() {
  if constexpr (std::is_floating_point_v<T>)
    return -static_cast<T>(__builtin_inf());
  else
    return static_cast<T>(typename WrappingOf<T>::type{1} << (8 * sizeof(T) - 1));
}
template <class T>
FASTDL_INLINE T highest() {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(__builtin_inf());
  else
    return static_cast<T>(~lowest<T>());
}

// x86 has a maximum that gives b where either is NaN. The compiler would turn it and the test of a into two
// comparisons.
template <class T>
FASTDL_INLINE Vec<T> unless_nan(Vec<T> a, Vec<T> chosen) {
  if constexpr (std::is_floating_point_v<T>) return select<T>(a != a, a, in_place<T>(chosen));
  return chosen;
}

template <class T>
struct Max : Plain<T> {
  using Merge = Max;
  FASTDL_INLINE T identity() { return lowest<T>(); }
  FASTDL_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return unless_nan<T>(a, a > b ? a : b); }
  FASTDL_INLINE T combine(T a, T b) { return a > b || a != a ? a : b; }
};
template <class T>
struct Min : Plain<T> {
  using Merge = Min;
  FASTDL_INLINE T identity() { return highest<T>(); }
  FASTDL_INLINE Vec<T> combine(Vec<T> a, Vec<T> b) { return unless_nan<T>(a, a < b ? a : b); }
  FASTDL_INLINE T combine(T a, T b) { return a < b || a != a ? a : b; }
};

template <class T>
struct SquaredDeviations : Sum<T> {
  static constexpr bool kCentered = true;
  FASTDL_INLINE Vec<T> read(Vec<T> x, Vec<T> center) { return (x - center) * (x - center); }
};
// Of one output.
template <class Op, class T>
FASTDL_INLINE Vec<T> center_of(const T* centers, int64_t output) {
  return Op::kCentered && centers ? broadcast<T>(centers[output]) : Vec<T>{};
}

// The binary tree, built as values arrive: level k holds the combination of 2^k of them while bit k of count is set.
// Its values are vectors: lanes meet at its end, once.
template <class T>
struct Pairwise {
  uint64_t count = 0;
  Vec<T> level[48];
};
template <class Op, class T>
FASTDL_INLINE void push(Pairwise<T>& tree, Vec<T> x) {
  int k = 0;
  for (; tree.count >> k & 1; ++k) x = Op::combine(tree.level[k], x);
  tree.level[k] = x;
  ++tree.count;
}
template <class Op, class T>
FASTDL_INLINE Vec<T> total(const Pairwise<T>& tree) {
  Vec<T> x = broadcast<T>(Op::identity());
  for (int k = 0; tree.count >> k; ++k)
    if (tree.count >> k & 1) x = Op::combine(tree.level[k], x);
  return x;
}

// ---- rows -----------------------------------------------------------------------------------------------------------

// Halves meet in registers: through memory each round would wait for a store.
template <class Op, class T>
FASTDL_INLINE T fold_lanes(Vec<T> v) {
#pragma GCC unroll 4
  for (int w = kLanes<T> / 2; w > 0; w /= 2) {
    Mask<T> rotated;
#pragma GCC unroll 16
    for (int k = 0; k < kLanes<T>; ++k) rotated[k] = (k + w) % kLanes<T>;
    v = Op::combine(v, __builtin_shuffle(v, rotated));
  }
  return v[0];
}

// Adds n numbers to the accumulators. Each vector in its place: loads that the compiler puts out of order cost a fifth.
template <class Op, class T>
FASTDL_INLINE void accumulate_row(const T* row, int64_t n, Vec<T> center, Vec<T> (&sum)[kAccumulators]) {
  accumulate_run<T, kAccumulators>(n, [&](int k, int64_t i, auto left) FASTDL_BODY {
    const Vec<T> v = first_lanes<T>(Op::read(load_some<T>(row + i, left), center), left, Op::identity());
    sum[k] = in_place<T>(Op::combine(sum[k], v));
  });
}
template <class Op, class T>
FASTDL_INLINE Vec<T> meet(Vec<T> (&sum)[kAccumulators]) {
#pragma GCC unroll 3
  for (int w = kAccumulators / 2; w > 0; w /= 2)
#pragma GCC unroll 4
    for (int k = 0; k < w; ++k) sum[k] = Op::combine(sum[k], sum[k + w]);
  return sum[0];
}

// The first n columns of `count` rows, which the walk leads to.
template <class Op, class T>
FASTDL_INLINE Vec<T> reduce_piece(const T* x, Walk<1>& reduced, int64_t count, int64_t n, Vec<T> center) {
  const Vec<T> identity = broadcast<T>(Op::identity());
  Vec<T> sum[kAccumulators] = {identity, identity, identity, identity, identity, identity, identity, identity};
  accumulate_row<Op, T>(x + reduced.offset[0], n, center, sum);
  for (int64_t r = 1; r < count; ++r) {
    step<1>(reduced);
    accumulate_row<Op, T>(x + reduced.offset[0], n, center, sum);
  }
  return meet<Op, T>(sum);
}

// x as kept outer axes, reduced outer axes, and the last axis of `width` elements.
struct Plan {
  Walk<1> kept, reduced;
  int64_t outer = 1;  // positions of the kept outer axes
  int64_t rows = 1;   // positions of the reduced outer axes
  int64_t width = 1;
};

static Plan plan_of(const ReduceArgs& p) {
  Plan plan;
  int64_t stride[kMaxDims], step_size = 1;
  for (int i = p.shape.n - 1; i >= 0; --i) {
    stride[i] = step_size;
    step_size *= p.shape.d[i];
  }
  for (int i = 0; i < p.shape.n - 1; ++i) {
    add_axis<1>(p.reduced[i] ? plan.reduced : plan.kept, p.shape.d[i], {stride[i]});
    (p.reduced[i] ? plan.rows : plan.outer) *= p.shape.d[i];
  }
  plan.width = p.shape.d[p.shape.n - 1];
  return plan;
}

// How many of the `units` of one output make a part, when `items` outputs of `work` elements are to be computed.
static int64_t units_a_part(int64_t items, int64_t units, int64_t work) {
  const int64_t parts = items >= 64 ? 1 : work / kGrain;
  return parts <= 1 ? units : (units + parts - 1) / parts;
}

template <class Op, class T>
static void columns(const Plan& plan, const T* x, const T* centers, T* out, T divisor);

template <class Op, class T>
static void rows(const Plan& plan, const T* x, const T* centers, T* out, T divisor) {
  // Pieces of a long row, or several short rows to a piece.
  const int64_t pieces_a_row = (plan.width + kPiece - 1) / kPiece;
  const bool in_order = plan.rows > 1 && plan.outer > 1 && plan.width >= kLongRow;
  const int64_t rows_a_piece = in_order || pieces_a_row > 1 ? 1 : kPiece / plan.width;
  const int64_t pieces = (plan.rows + rows_a_piece - 1) / rows_a_piece * pieces_a_row;
  const int64_t work = plan.rows * plan.width;
  const int64_t per_part = in_order ? pieces_a_row : units_a_part(plan.outer, pieces, work);
  const int64_t parts = (pieces + per_part - 1) / per_part;
  auto reduce_all = [&](T* to, T divide_by) {
    const int64_t grain = kGrain * parts / work + 1;
    parallel_for(plan.outer * parts, grain, [&](int64_t begin, int64_t end) {
      Walk<1> kept = plan.kept, reduced = plan.reduced;
      int64_t part = begin / plan.outer, output = begin % plan.outer;
      seek<1>(kept, output);
      for (int64_t item = begin; item < end; ++item) {
        const int64_t first = part * per_part, last = first + per_part < pieces ? first + per_part : pieces;
        const Vec<T> center = center_of<Op, T>(centers, output);
        Pairwise<T> tree;
        int64_t row = first / pieces_a_row * rows_a_piece, column = first % pieces_a_row * kPiece;
        seek<1>(reduced, row);
        for (int64_t i = first; i < last; ++i) {
          const int64_t n = plan.width - column < kPiece ? plan.width - column : kPiece;
          const int64_t count = plan.rows - row < rows_a_piece ? plan.rows - row : rows_a_piece;
          push<Op, T>(tree, reduce_piece<Op, T>(x + kept.offset[0] + column, reduced, count, n, center));
          if ((column += kPiece) < plan.width) continue;
          column = 0, row += count;
          step<1>(reduced);
        }
        const T result = fold_lanes<Op, T>(total<Op, T>(tree));
        to[part * plan.outer + output] = divide_by != T{1} ? result / divide_by : result;
        step<1>(kept);
        if (++output == plan.outer) output = 0, ++part;
      }
    });
  };
  if (parts == 1) return reduce_all(out, divisor);
  Scratch<T> partial(parts * plan.outer);
  reduce_all(partial, T{1});
  Plan second;
  second.rows = parts, second.width = plan.outer;
  add_axis<1>(second.reduced, parts, {plan.outer});
  columns<typename Op::Merge, T>(second, partial, nullptr, out, divisor);
}

// ---- columns --------------------------------------------------------------------------------------------------------

// Pushes kVectors vectors of the combination of n rows into the trees of their columns; `lanes` of the last are real.
template <class Op, class T, int kVectors>
FASTDL_INLINE void push_block(const T* x, const int64_t* offset, int n, const T* centers, T* level, uint64_t count,
                              int lanes) {
  constexpr int kStep = kLanes<T>;
  const auto some = [&](const T* p)
                        FASTDL_BODY { return kVectors > 1 || lanes == kStep ? load<T>(p) : load_n<T>(p, lanes); };
  Vec<T> sum[kVectors], center[kVectors]{};
  for (int v = 0; Op::kCentered && centers && v < kVectors; ++v) center[v] = some(centers + v * kStep);
  for (int v = 0; v < kVectors; ++v) sum[v] = Op::read(some(x + offset[0] + v * kStep), center[v]);
  for (int r = 1; r < n; ++r)
    for (int v = 0; v < kVectors; ++v)
      sum[v] = Op::combine(sum[v], Op::read(some(x + offset[r] + v * kStep), center[v]));
  for (; count & 1; count >>= 1, level += kStrip)
    for (int v = 0; v < kVectors; ++v) sum[v] = Op::combine(load<T>(level + v * kStep), sum[v]);
  for (int v = 0; v < kVectors; ++v) store<T>(level + v * kStep, sum[v]);
}

template <class Op, class T>
static void push_strip(const T* x, const int64_t* offset, int n, const T* centers, T* level, uint64_t count,
                       int64_t width) {
  constexpr int kStep = kLanes<T>;
  const auto push = [&](auto vectors, int64_t j, int lanes) FASTDL_BODY {
    const T* const own = centers ? centers + j : nullptr;
    push_block<Op, T, decltype(vectors)::value>(x + j, offset, n, own, level + j, count, lanes);
  };
  constexpr std::integral_constant<int, kColumnVectors> kMany{};
  constexpr std::integral_constant<int, 1> kOne{};
  int64_t j = 0;
  for (; j + kColumnVectors * kStep <= width; j += kColumnVectors * kStep) push(kMany, j, kStep);
  for (; j + kStep <= width; j += kStep) push(kOne, j, kStep);
  if (j < width) push(kOne, j, static_cast<int>(width - j));
}

// Rows [first, last) of one strip of columns, from x on, to out.
template <class Op, class T>
static void reduce_strip(Walk<1>& reduced, int64_t first, int64_t last, const T* x, const T* centers, T* out,
                         int64_t width, T* level, T divisor) {
  uint64_t count = 0;
  seek<1>(reduced, first);
  for (int64_t r = first; r < last; ++count) {
    int64_t offset[kBlockRows];
    int n = 0;
    for (; n < kBlockRows && r < last; ++n, ++r, step<1>(reduced)) offset[n] = reduced.offset[0];
    push_strip<Op, T>(x, offset, n, centers, level, count, width);
  }
  int low = 0;
  while (!(count >> low & 1)) ++low;
  T* sum = level + low * kStrip;
  for (int k = low + 1; count >> k; ++k)
    if (count >> k & 1)
      for (int64_t j = 0; j < width; ++j) sum[j] = Op::combine(level[k * kStrip + j], sum[j]);
  if (divisor != T{1})
    for (int64_t j = 0; j < width; ++j) sum[j] /= divisor;
  __builtin_memcpy(out, sum, static_cast<size_t>(width) * sizeof(T));
}

template <class Op, class T>
static void columns(const Plan& plan, const T* x, const T* centers, T* out, T divisor) {
  const int64_t strips = (plan.width + kStrip - 1) / kStrip, items = plan.outer * strips;
  const int64_t strip_width = plan.width < kStrip ? plan.width : kStrip;
  const int64_t blocks = (plan.rows + kBlockRows - 1) / kBlockRows;
  const int64_t rows_a_part = units_a_part(items, blocks, plan.rows * strip_width) * kBlockRows;
  const int64_t parts = (plan.rows + rows_a_part - 1) / rows_a_part;
  auto reduce_all = [&](T* to, T divide_by) {
    const int64_t grain = kGrain / (strip_width * (rows_a_part < plan.rows ? rows_a_part : plan.rows)) + 1;
    parallel_for(items * parts, grain, [&](int64_t begin, int64_t end) {
      int levels = 1;
      while (blocks >> levels) ++levels;
      Scratch<T> level(levels * kStrip);
      Walk<1> kept = plan.kept, reduced = plan.reduced;
      for (int64_t item = begin; item < end; ++item) {
        const int64_t part = item / items, strip = item % items % strips, output = item % items / strips;
        const int64_t first = part * rows_a_part, column = strip * kStrip;
        const int64_t last = first + rows_a_part < plan.rows ? first + rows_a_part : plan.rows;
        const int64_t width = plan.width - column < kStrip ? plan.width - column : kStrip;
        seek<1>(kept, output);
        const int64_t at = output * plan.width + column;
        reduce_strip<Op, T>(reduced, first, last, x + kept.offset[0] + column, centers ? centers + at : nullptr,
                            to + part * plan.outer * plan.width + at, width, level, divide_by);
      }
    });
  };
  if (parts == 1) return reduce_all(out, divisor);
  Scratch<T> partial(parts * plan.outer * plan.width);
  reduce_all(partial, T{1});
  Plan second;
  second.rows = parts, second.width = plan.outer * plan.width;
  add_axis<1>(second.reduced, parts, {second.width});
  columns<typename Op::Merge, T>(second, partial, nullptr, out, divisor);
}

// ---- rows side by side ----------------------------------------------------------------------------------------------

// kLanes rows of at most kPiece numbers, each summed into the lanes of one vector, meet all at once: a vector of
// results.
//
//   a0 a1 a2 a3        a01 a23 b01 b23        a b c d      neighbouring lanes are combined in each step:
//   b0 b1 b2 b3   ->                      ->               kLanes - 1 steps for kLanes rows, where rows one by one
//   c0 c1 ...          c01 c23 d01 d23                     would take kLanes * log2(kLanes)

constexpr int kRowSums = 4;  // accumulators of a row: its neighbours' chains run beside it

template <class Op, class T>
FASTDL_INLINE Vec<T> row_lanes(const T* x, int64_t n, Vec<T> center) {
  constexpr int kStep = kLanes<T>;
  const auto whole = [&](int64_t i) FASTDL_BODY { return Op::read(load<T>(x + i), center); };
  const auto rest = [&](int64_t i) FASTDL_BODY {
    const Vec<T> v = Op::read(load_n<T>(x + i, static_cast<int>(n - i)), center);
    return select<T>(lanes_below<T>(n - i), v, broadcast<T>(Op::identity()));
  };
  if (n < kStep) return rest(0);
  Vec<T> all = whole(0);
  int64_t i = kStep;
  if (n >= kRowSums * kStep) {
    Vec<T> sum[kRowSums] = {all, whole(kStep), whole(2 * kStep), whole(3 * kStep)};
    for (i = kRowSums * kStep; i + kRowSums * kStep <= n; i += kRowSums * kStep)
#pragma GCC unroll 4
      for (int k = 0; k < kRowSums; ++k) sum[k] = in_place<T>(Op::combine(sum[k], whole(i + k * kStep)));
    all = Op::combine(Op::combine(sum[0], sum[1]), Op::combine(sum[2], sum[3]));
  }
  for (; i + kStep <= n; i += kStep) all = Op::combine(all, whole(i));
  return i < n ? Op::combine(all, rest(i)) : all;
}

// Lane i of the result is what the lanes of v[i] combine to.
template <class Op, class T, int kVectors>
FASTDL_INLINE Vec<T> combine_pairs(const Vec<T>* v) {
  if constexpr (kVectors == 1) {
    return v[0];
  } else {
    Vec<T> pairs[kVectors / 2];
#pragma GCC unroll 8
    for (int i = 0; i < kVectors / 2; ++i)
      pairs[i] = Op::combine(even_lanes<T>(v[2 * i], v[2 * i + 1]), odd_lanes<T>(v[2 * i], v[2 * i + 1]));
    return combine_pairs<Op, T, kVectors / 2>(pairs);
  }
}

// Of kLanes long rows, read side by side as the parts of a run are.
template <class Op, class T>
FASTDL_INLINE void lanes_of_rows(const T* x, int64_t width, const T* centers, Vec<T> (&lanes)[kLanes<T>]) {
  constexpr int kStep = kLanes<T>;
  constexpr int64_t kLine = 64 / static_cast<int>(sizeof(T));
  for (int r = 0; r < kStep; ++r) lanes[r] = broadcast<T>(Op::identity());
  int64_t i = 0;
  for (; i + kLine <= width; i += kLine)
#pragma GCC unroll 16
    for (int r = 0; r < kStep; ++r)
#pragma GCC unroll 4
      for (int64_t v = 0; v < kLine; v += kStep)
        lanes[r] =
            in_place<T>(Op::combine(lanes[r], Op::read(load<T>(x + r * width + i + v), center_of<Op, T>(centers, r))));
  for (; i < width; i += kStep)
    for (int r = 0; r < kStep; ++r) {
      const Vec<T> v = Op::read(load_some<T>(x + r * width + i, width - i), center_of<Op, T>(centers, r));
      lanes[r] = Op::combine(lanes[r], first_lanes<T>(v, width - i, Op::identity()));
    }
}

template <class Op, class T>
static void rows_side_by_side(int64_t outputs, int64_t width, const T* x, const T* centers, T* out, T divisor) {
  constexpr int kStep = kLanes<T>;
  const int64_t groups = (outputs + kStep - 1) / kStep;
  parallel_for(groups, kGrain / (kStep * width) + 1, [&](int64_t group, int64_t end) {
    for (; group < end; ++group) {
      const int64_t first = group * kStep;
      const int n = static_cast<int>(outputs - first < kStep ? outputs - first : kStep);
      const T* const own = centers ? centers + first : nullptr;
      Vec<T> lanes[kStep];
      if (width >= kReadBeside && n == kStep)
        lanes_of_rows<Op, T>(x + first * width, width, own, lanes);
      else
        for (int r = 0; r < kStep; ++r)
          lanes[r] = r < n ? row_lanes<Op, T>(x + (first + r) * width, width, center_of<Op, T>(own, r))
                           : broadcast<T>(Op::identity());
      Vec<T> result = combine_pairs<Op, T, kStep>(lanes);
      if (divisor != T{1}) result /= divisor;
      store_some<T>(out + first, result, n);
    }
  });
}

template <class Op, class T>
static void run_reduce(const ReduceArgs& p) {
  const T *x = static_cast<const T*>(p.x), *centers = static_cast<const T*>(p.center);
  T* out = static_cast<T*>(p.out);
  int64_t n = 1;
  for (int i = 0; i < p.shape.n; ++i)
    if (p.reduced[i]) n *= p.shape.d[i];
  const T divisor = p.op == Reduce::k_mean ? static_cast<T>(n) : T{1};
  if (n == 0) {
    for (int64_t i = 0; i < p.out_size; ++i) out[i] = divisor != T{1} ? Op::identity() / divisor : Op::identity();
    return;
  }
  const Plan plan = plan_of(p);
  if (p.shape.n == 2 && p.reduced[1] && plan.width <= kLongestBeside)
    rows_side_by_side<Op, T>(plan.outer, plan.width, x, centers, out, divisor);
  else if (p.reduced[p.shape.n - 1])
    rows<Op, T>(plan, x, centers, out, divisor);
  else
    columns<Op, T>(plan, x, centers, out, divisor);
}

// ---- the place of the largest element -------------------------------------------------------------------------------

// Whether x takes the place of the best so far, which comes before it.
template <bool kLargest, class T>
FASTDL_INLINE Mask<T> better(Vec<T> x, Vec<T> best) {
  return (kLargest ? x > best : x < best) | ((x != x) & (best == best));
}
template <bool kLargest, class T>
FASTDL_INLINE bool better(T x, T best) {
  return (kLargest ? x > best : x < best) || (x != x && best == best);
}

template <class T>
struct Found {
  T value;
  int64_t index;
};

// Each lane keeps its own best and its index; the lanes meet at the end. n stays below 2^31, the range of a lane.
template <bool kLargest, class T>
static Found<T> find_in_piece(const T* x, int64_t n) {
  constexpr int kStep = kLanes<T>;
  using Index = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  Found<T> found{x[0], 0};
  int64_t i = 0;
  if (n >= kStep) {
    Mask<T> at;
    for (int k = 0; k < kStep; ++k) at[k] = k;
    Vec<T> best = load<T>(x);
    Mask<T> index = at;
    for (i = kStep; i + kStep <= n; i += kStep) {
      at += static_cast<Index>(kStep);
      const Vec<T> v = load<T>(x + i);
      const Mask<T> wins = better<kLargest, T>(v, best);
      best = select<T>(wins, v, best);
      index = wins ? at : index;
    }
    found = {best[0], index[0]};
    for (int k = 1; k < kStep; ++k) {
      const T v = best[k];
      const bool equal = v == found.value || (v != v && found.value != found.value);
      if (better<kLargest, T>(v, found.value) || (equal && index[k] < found.index)) found = {v, index[k]};
    }
  }
  for (; i < n; ++i)
    if (better<kLargest, T>(x[i], found.value)) found = {x[i], i};
  return found;
}

template <bool kLargest, class T>
static void find_in_rows(const ArgReduceArgs& p) {
  constexpr int64_t kLongest = int64_t{1} << 30;
  parallel_for(p.outer, kGrain / p.n + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* x = static_cast<const T*>(p.x) + row * p.n;
      Found<T> found{x[0], 0};
      for (int64_t first = 0; first < p.n; first += kLongest) {
        const Found<T> piece = find_in_piece<kLargest, T>(x + first, p.n - first < kLongest ? p.n - first : kLongest);
        if (first == 0 || better<kLargest, T>(piece.value, found.value)) found = {piece.value, first + piece.index};
      }
      p.out[row] = found.index;
    }
  });
}

template <bool kLargest, class T>
static void find_in_columns(const ArgReduceArgs& p) {
  constexpr int kStep = kLanes<T>;
  using Index = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  const int64_t vectors = (p.inner + kStep - 1) / kStep;
  parallel_for(p.outer * vectors, kGrain / (p.n * kStep) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t row = item / vectors, column = item % vectors * kStep;
      const int lanes = static_cast<int>(p.inner - column < kStep ? p.inner - column : kStep);
      const T* x = static_cast<const T*>(p.x) + row * p.n * p.inner + column;
      Vec<T> best = load_n<T>(x, lanes);
      Mask<T> index{};
      for (int64_t i = 1; i < p.n; ++i) {
        const Vec<T> v = lanes == kStep ? load<T>(x + i * p.inner) : load_n<T>(x + i * p.inner, lanes);
        const Mask<T> wins = better<kLargest, T>(v, best);
        best = select<T>(wins, v, best);
        index = wins ? Mask<T>{} + static_cast<Index>(i) : index;
      }
      for (int k = 0; k < lanes; ++k) p.out[row * p.inner + column + k] = index[k];
    }
  });
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void reduce(const ReduceArgs& p) {
  if (p.out_size == 0) return;
  visit_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (p.op == Reduce::k_amax) return run_reduce<Max<T>, T>(p);
    if (p.op == Reduce::k_amin) return run_reduce<Min<T>, T>(p);
    if (p.op == Reduce::k_prod) return run_reduce<Product<T>, T>(p);
    if constexpr (std::is_floating_point_v<T>)
      if (p.op == Reduce::k_squared_deviations) return run_reduce<SquaredDeviations<T>, T>(p);
    run_reduce<Sum<T>, T>(p);
  });
}

void arg_reduce(const ArgReduceArgs& p) {
  if (p.outer * p.inner == 0) return;
  visit_number(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (p.inner == 1) return p.largest ? find_in_rows<true, T>(p) : find_in_rows<false, T>(p);
    p.largest ? find_in_columns<true, T>(p) : find_in_columns<false, T>(p);
  });
}

}  // namespace fastdl::FASTDL_ISA
