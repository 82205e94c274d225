// Reductions on CUDA: sum, mean, prod, amax, amin and squared deviations over any axes, argmax and argmin along one.
// Each element is read once and used once, so the limit is memory; the work is to keep enough loads in flight whatever
// the shape.
//
// Layout. x is contiguous, and its axes alternate between kept and reduced ones, so the last axis decides:
//   rows      the last axis is reduced. The lanes of an output read neighbouring packs of its row.
//   columns   the last axis is kept. Neighbouring threads own neighbouring packs of outputs and walk down the columns.
//
//        rows: 4 lanes an output                  columns: 2 lanes (0, 1), packs a b c of outputs
//        out 0  <- [ 0 1 2 3 0 1 2 3 .. ]         [ a0 b0 c0 ]
//        out 1  <- [ 0 1 2 3 0 1 2 3 .. ]         [ a1 b1 c1 ]   lanes take rows in turn, and meet in shared memory
//                                                 [ a0 b0 c0 ]
//
// Who owns what. A block owns some outputs and a chunk of what is reduced into them. Where one chunk is not all, a
// second launch adds up the chunks' results in their order. Lanes, chunks and orders follow from the shape alone, so
// the bits of a sum do not depend on the device or on which block came first.
#include <limits>
#include <type_traits>

#include "cuda/access.cuh"
#include "cuda/reduce.cuh"
#include "ops/reduce/reduce.h"

namespace fastdl {
namespace {

// Loads in flight a thread. They are added in pairs before they reach the running sum, whose chain of roundings is then
// a quarter as long.
constexpr int kUnroll = 4;
constexpr int kBlockLog2 = 8, kWarpLog2 = 5;
static_assert(kBlock == 1 << kBlockLog2 && kWarp == 1 << kWarpLog2);
// What a thread adds up before a chunk ends: at least one round of loads, at most so much that rounding errors of the
// chain stay small. Between them, a chunk is as long as it may be with this many blocks in the grid.
constexpr int64_t kStepsMin = kUnroll, kStepsMax = 32, kFillBlocks = 1024;

// ---- the division of work -------------------------------------------------------------------------------------------

struct Tasks {
  int lanes_log2;   // threads that share an output
  int64_t outputs;  // in packs where packs of outputs are owned
  int64_t steps;    // what is reduced into each, in packs where packs are read
  int64_t chunk;    // steps that one block takes
  int64_t chunks;
  Divider tiles;  // blocks for all outputs; block = chunk * tiles + tile
  int64_t blocks() const { return tiles.divisor * chunks; }
};

// What a thread does: its lane's share of steps [begin, end) of one output.
struct Task {
  int lane;
  bool active;
  int64_t output, chunk, begin, end;
};

__device__ inline Task task_of(const Tasks& tasks, int lane, int slot) {
  const int64_t chunk = tasks.tiles.divide(blockIdx.x), tile = blockIdx.x - chunk * tasks.tiles.divisor;
  Task task;
  task.lane = lane;
  task.output = (tile << (kBlockLog2 - tasks.lanes_log2)) + slot;
  task.active = task.output < tasks.outputs;
  task.chunk = chunk;
  task.begin = chunk * tasks.chunk;
  task.end = min(task.begin + tasks.chunk, tasks.steps);
  return task;
}

// Neighbouring threads are lanes of one output, or the same lane of neighbouring outputs.
__device__ inline Task row_task(const Tasks& tasks) {
  const int thread = static_cast<int>(threadIdx.x);
  return task_of(tasks, thread & ((1 << tasks.lanes_log2) - 1), thread >> tasks.lanes_log2);
}
__device__ inline Task column_task(const Tasks& tasks) {
  const int thread = static_cast<int>(threadIdx.x), slots_log2 = kBlockLog2 - tasks.lanes_log2;
  return task_of(tasks, thread >> slots_log2, thread & ((1 << slots_log2) - 1));
}

int log2_ceil(int64_t n) {
  int bits = 0;
  while ((int64_t{1} << bits) < n) ++bits;
  return bits;
}

// At least 2^slots_log2 outputs share a block, so that a warp reads whole sectors.
Tasks divide_work(int64_t outputs, int64_t steps, int slots_log2, bool in_chunks) {
  Tasks tasks{};
  const int lanes_log2 = log2_ceil(ceil_div(steps, kUnroll));
  tasks.lanes_log2 = lanes_log2 < kBlockLog2 - slots_log2 ? lanes_log2 : kBlockLog2 - slots_log2;
  tasks.outputs = outputs;
  tasks.steps = steps;
  int64_t per_thread = outputs * steps / (kBlock * kFillBlocks);
  per_thread = per_thread < kStepsMin ? kStepsMin : per_thread > kStepsMax ? kStepsMax : per_thread;
  tasks.chunk = in_chunks ? per_thread << tasks.lanes_log2 : steps;
  tasks.chunks = steps > tasks.chunk ? ceil_div(steps, tasks.chunk) : 1;
  tasks.tiles = divide_by(ceil_div(outputs, int64_t{kBlock} >> tasks.lanes_log2));
  return tasks;
}

// ---- sum, prod, amax, amin ------------------------------------------------------------------------------------------

// A sum of squared deviations from the center of the output.
struct SquaredDeviations : Sum {};

template <class Op>
constexpr bool kCentered = std::is_same_v<Op, SquaredDeviations>;

// What a number is when it is read.
template <class Op, class T>
__device__ inline T seen(T x, T center) {
  if constexpr (kCentered<Op>) return (x - center) * (x - center);
  return x;
}

template <class T>
struct Reduction {
  Tasks tasks;
  Axes<1> kept, gone;  // strides in elements of x
  const T* x;
  const T* center;  // (outputs), or null: 0
  T* out;           // (chunks, outputs)
  T identity;       // of the operation
  int64_t tail;     // rows: elements behind the last pack of the only row
  bool mean;        // divide by count at the end
  T count;
};

// All steps of a lane into a pack of accumulators. Lanes take steps in turn, so that neighbours read neighbours; four
// loads are issued before the first is used.
template <int N, class T, class Op>
__device__ inline Pack<T, N> accumulate(const Axes<1>& gone, const T* x, const Pack<T, N>& center, const Task& task,
                                        int lanes, T identity, Op op) {
  Pack<T, N> sum = splat<N>(identity);
  int64_t step = task.begin + task.lane;
  for (; step + int64_t{kUnroll - 1} * lanes < task.end; step += int64_t{kUnroll} * lanes) {
    Pack<T, N> loaded[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) loaded[u] = load_pack<N>(x + locate(gone, step + int64_t{u} * lanes).at[0]);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const auto at = [&](int u) { return seen<Op>(loaded[u][k], center[k]); };
      sum[k] = op(sum[k], op(op(at(0), at(1)), op(at(2), at(3))));
    }
  }
  for (; step < task.end; step += lanes) {
    const Pack<T, N> loaded = load_pack<N>(x + locate(gone, step).at[0]);
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] = op(sum[k], seen<Op>(loaded[k], center[k]));
  }
  return sum;
}

// Over groups of 2^lanes_log2 neighbouring threads; the first thread of each gets the result.
template <class T, class Op>
__device__ inline T reduce_lanes(T v, int lanes_log2, Op op) {
  FASTDL_SHARED(T, of_warp, [kBlock / kWarp]);
  // Idle threads bring the identity, so every lane of every warp takes part.
  for (int bit = (lanes_log2 < kWarpLog2 ? lanes_log2 : kWarpLog2) - 1; bit >= 0; --bit)
    v = op(v, shuffle_xor(v, 1 << bit));
  if (lanes_log2 <= kWarpLog2) return v;  // the same for the whole block: no barrier is missed
  const int warp = static_cast<int>(threadIdx.x) / kWarp, warps = 1 << (lanes_log2 - kWarpLog2);
  if (threadIdx.x % kWarp == 0) of_warp[warp] = v;
  __syncthreads();
  if (threadIdx.x % (kWarp * warps) == 0)
    for (int w = 1; w < warps; ++w) v = op(v, of_warp[warp + w]);
  return v;
}

template <class Op, int N, class T>
__global__ void __launch_bounds__(kBlock) reduce_rows(Reduction<T> r) {
  const Op op;
  const Task task = row_task(r.tasks);
  T total = r.identity;
  if (task.active) {
    const T* row = r.x + locate(r.kept, task.output).at[0];
    const T center = kCentered<Op> && r.center ? r.center[task.output] : T{0};
    const Pack<T, N> sum = accumulate<N>(r.gone, row, splat<N>(center), task, 1 << r.tasks.lanes_log2, r.identity, op);
#pragma unroll
    for (int k = 0; k < N; ++k) total = op(total, sum[k]);
    if (task.end == r.tasks.steps)
      for (int64_t k = task.lane; k < r.tail; k += 1 << r.tasks.lanes_log2)
        total = op(total, seen<Op>(row[r.tasks.steps * N + k], center));
  }
  total = reduce_lanes(total, r.tasks.lanes_log2, op);
  if (task.active && task.lane == 0)
    r.out[task.chunk * r.tasks.outputs + task.output] = r.mean ? total / r.count : total;
}

template <class Op, int N, class T>
__global__ void __launch_bounds__(kBlock) reduce_columns(Reduction<T> r) {
  using Sums = Pack<T, N>;
  FASTDL_SHARED(Sums, of_thread, [kBlock]);
  const Op op;
  const Task task = column_task(r.tasks);
  const int thread = static_cast<int>(threadIdx.x), lanes = 1 << r.tasks.lanes_log2, slots = kBlock / lanes;
  Sums sum = splat<N>(r.identity);
  if (task.active) {
    const T* top = r.x + locate(r.kept, task.output * N).at[0];
    Pack<T, N> center = splat<N>(T{0});
    if (kCentered<Op> && r.center) center = load_pack<N>(r.center + task.output * N);
    sum = accumulate<N>(r.gone, top, center, task, lanes, r.identity, op);
  }
  // The upper half of the lanes hands its sums to the lower half, until one lane is left. A slot is written once, so
  // one barrier a round is enough.
  for (int half = lanes / 2; half > 0; half /= 2) {
    if (task.lane >= half && task.lane < 2 * half) of_thread[thread] = sum;
    __syncthreads();
    if (task.lane < half) {
      const Sums other = of_thread[thread + half * slots];
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] = op(sum[k], other[k]);
    }
  }
  if (!task.active || task.lane != 0) return;
#pragma unroll
  for (int k = 0; k < N; ++k) sum[k] = r.mean ? sum[k] / r.count : sum[k];
  store_pack(r.out + (task.chunk * r.tasks.outputs + task.output) * N, sum);
}

// ---- argmax, argmin -------------------------------------------------------------------------------------------------

// The first pass looks at all positions along the axis, the second at those that the chunks of the first have chosen.
template <class T>
struct ArgReduction {
  Tasks tasks;
  bool rows, largest;
  int64_t n;
  Divider inner;
  const T* x;             // (outer, n, inner)
  const int64_t* chosen;  // (steps, outputs), or null for all positions
  int64_t* out;           // (chunks, outputs)
};

// Value and position travel together: a tie of values is broken by position, whatever the order of comparison.
template <class T>
struct Candidate {
  T value;
  int64_t position;  // -1: none yet
};

// Whether a wins over b. NaN wins over numbers; of equals, and of several NaN, the first does.
template <class T>
__device__ inline bool wins(const Candidate<T>& a, const Candidate<T>& b, bool largest) {
  if (a.position < 0 || b.position < 0) return a.position >= 0;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return a_nan;
  if (a_nan || a.value == b.value) return a.position < b.position;
  return (a.value > b.value) == largest;
}

template <class T>
__global__ void __launch_bounds__(kBlock) reduce_arg(ArgReduction<T> r) {
  // Apart, since neighbours of 16 bytes lie in the same banks.
  FASTDL_SHARED(T, value_of_thread, [kBlock]);
  FASTDL_SHARED(int64_t, position_of_thread, [kBlock]);
  const Task task = r.rows ? row_task(r.tasks) : column_task(r.tasks);
  const int thread = static_cast<int>(threadIdx.x), lanes = 1 << r.tasks.lanes_log2;
  const int to_next_lane = r.rows ? 1 : kBlock / lanes;
  Candidate<T> best{T{}, -1};
  if (task.active) {
    const int64_t outer = r.inner.divide(task.output), i = task.output - outer * r.inner.divisor;
    const T* x = r.x + outer * r.n * r.inner.divisor + i;
#pragma unroll 4
    for (int64_t step = task.begin + task.lane; step < task.end; step += lanes) {
      const int64_t position = r.chosen ? r.chosen[step * r.tasks.outputs + task.output] : step;
      const Candidate<T> candidate{x[position * r.inner.divisor], position};
      if (wins(candidate, best, r.largest)) best = candidate;
    }
  }
  for (int half = lanes / 2; half > 0; half /= 2) {
    if (task.lane >= half && task.lane < 2 * half)
      value_of_thread[thread] = best.value, position_of_thread[thread] = best.position;
    __syncthreads();
    if (task.lane < half) {
      const int from = thread + half * to_next_lane;
      const Candidate<T> other{value_of_thread[from], position_of_thread[from]};
      if (wins(other, best, r.largest)) best = other;
    }
  }
  if (task.active && task.lane == 0) r.out[task.chunk * r.tasks.outputs + task.output] = best.position;
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// What changes no result: infinities where there are, since the largest finite number is not the largest.
template <class T>
constexpr T identity_of(Reduce op) {
  using Limits = std::numeric_limits<T>;
  constexpr T kLowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  constexpr T kHighest = Limits::has_infinity ? Limits::infinity() : Limits::max();
  return op == Reduce::k_amax ? kLowest : op == Reduce::k_amin ? kHighest : op == Reduce::k_prod ? T{1} : T{0};
}

template <int N, class T>
void launch_reduction(Reduce op, bool rows, const Reduction<T>& r, Stream stream) {
  const auto start = [&](auto* in_rows, auto* in_columns) {
    launch(rows ? in_rows : in_columns, blocks_for(r.tasks.blocks(), 1), kBlock, 0, stream, r);
  };
  if (op == Reduce::k_amax) return start(reduce_rows<Max, N, T>, reduce_columns<Max, N, T>);
  if (op == Reduce::k_amin) return start(reduce_rows<Min, N, T>, reduce_columns<Min, N, T>);
  if (op == Reduce::k_prod) return start(reduce_rows<Product, N, T>, reduce_columns<Product, N, T>);
  if constexpr (std::is_floating_point_v<T>)
    if (op == Reduce::k_squared_deviations)
      return start(reduce_rows<SquaredDeviations, N, T>, reduce_columns<SquaredDeviations, N, T>);
  start(reduce_rows<Sum, N, T>, reduce_columns<Sum, N, T>);
}

// Fills in axes and tasks for packs of N. `rows`: the last axis is reduced; it is then counted in packs.
template <int N, class T>
void plan(Reduction<T>& r, const ReduceArgs& args, bool rows, bool in_chunks) {
  const int last = args.shape.n - 1;
  int64_t steps = 1;
  for (int d = 0; d <= last; ++d) {
    const int64_t stride = args.shape.product(d + 1);
    if (!args.reduced[d]) {
      r.kept.push(args.shape[d], stride);
    } else {
      const bool packed = rows && d == last;
      r.gone.push(packed ? args.shape[d] / N : args.shape[d], packed ? stride * N : stride);
      steps *= r.gone.size[r.gone.rank - 1].divisor;
    }
  }
  r.tail = rows ? args.shape[last] % N : 0;
  // A short last axis leaves lanes to more rows of the column instead of to outputs that are not there.
  const int64_t neighbours = rows || last < 0 ? 1 : args.shape[last] / N;
  const int slots_log2 = neighbours < kWarp ? log2_ceil(neighbours) : kWarpLog2;
  r.tasks = divide_work(rows ? args.out_size : args.out_size / N, steps, rows ? 0 : slots_log2, in_chunks);
}

// `count`: what a mean divides by. The second pass, over the results of the chunks, is not divided into chunks again.
template <class T>
void reduce_typed(const ReduceArgs& args, int64_t count, bool in_chunks, Stream stream) {
  constexpr int kWide = kPack<T>;
  const int last = args.shape.n - 1;
  const bool rows = last >= 0 && args.reduced[last];
  const bool whole_packs = last >= 0 && args.shape[last] % kWide == 0;
  Reduction<T> r{};
  r.x = static_cast<const T*>(args.x);
  r.center = static_cast<const T*>(args.center);
  r.identity = identity_of<T>(args.op);
  // A single row may end in part of a pack, all others begin where the one before has ended.
  const bool wide = (whole_packs || (rows && last == 0)) && aligned<kWide>(r.x) &&
                    aligned<kWide>(static_cast<T*>(args.out)) && (rows || aligned<kWide>(r.center));
  wide ? plan<kWide>(r, args, rows, in_chunks) : plan<1>(r, args, rows, in_chunks);

  const auto start = [&] {
    wide ? launch_reduction<kWide>(args.op, rows, r, stream) : launch_reduction<1>(args.op, rows, r, stream);
  };
  if (r.tasks.chunks == 1) {
    r.out = static_cast<T*>(args.out);
    r.mean = args.op == Reduce::k_mean;
    r.count = static_cast<T>(count);
    return start();
  }
  DeviceScratch<T> partial(r.tasks.chunks * args.out_size);
  r.out = partial.get();
  start();
  ReduceArgs second = args;  // the sum of a mean is divided at its end
  if (args.op == Reduce::k_squared_deviations) second.op = Reduce::k_sum, second.center = nullptr;
  second.x = partial.get();
  second.shape = Dims{args.out_size > 1 ? 2 : 1, {r.tasks.chunks, args.out_size}};
  second.reduced[0] = true, second.reduced[1] = false;
  reduce_typed<T>(second, count, false, stream);
}

template <class T>
void arg_reduce_typed(const ArgReduceArgs& args, Stream stream) {
  ArgReduction<T> r{};
  r.rows = args.inner == 1;
  r.largest = args.largest;
  r.n = args.n;
  r.inner = divide_by(args.inner);
  r.x = static_cast<const T*>(args.x);
  const int64_t outputs = args.outer * args.inner;
  const int slots_log2 = args.inner < kWarp ? log2_ceil(args.inner) : kWarpLog2;
  r.tasks = divide_work(outputs, args.n, slots_log2, true);

  const auto start = [&](int64_t* out) {
    r.out = out;
    launch(reduce_arg<T>, blocks_for(r.tasks.blocks(), 1), kBlock, 0, stream, r);
  };
  if (r.tasks.chunks == 1) return start(args.out);
  DeviceScratch<int64_t> chosen(r.tasks.chunks * outputs);
  start(chosen.get());
  r.tasks = divide_work(outputs, r.tasks.chunks, slots_log2, false);
  r.chosen = chosen.get();
  start(args.out);
}

}  // namespace

void reduce(const ReduceArgs& args, Stream stream) {
  if (args.out_size == 0) return;
  int64_t count = 1;
  for (int d = 0; d < args.shape.n; ++d) count *= args.reduced[d] ? args.shape[d] : 1;
  visit_number(args.dtype, [&](auto zero) { reduce_typed<decltype(zero)>(args, count, true, stream); });
}

void arg_reduce(const ArgReduceArgs& args, Stream stream) {
  if (args.outer * args.inner == 0) return;
  visit_number(args.dtype, [&](auto zero) { arg_reduce_typed<decltype(zero)>(args, stream); });
}

}  // namespace fastdl
