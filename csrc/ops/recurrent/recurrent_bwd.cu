// The backward walk, steps in the other order. A launch a step multiplies the gradients of the last step's gates with
// W_hh, which gives the gradients of this step's h, and goes on to its gates at once:
//
//   dG of the step after --tile of dG W_hh--> dh + grad_out --> dG, dc
//
// All other gradients are products over the rows of all steps afterwards: dG W_ih, dG^T x, dG^T h_before, and sums of
// dG's columns. (For GRU the gates of x and of h differ in the third, so there are two dG.)
//
// Who owns what: a block owns 32 sequences and 32 units; sums go through shared memory, so that a warp then has 32
// neighbours of one sequence and all it reads and writes is coalesced. Sequences begin and end at different steps:
//
//   sequence j     < both                    has a product
//                  >= both, < sequences      begins here: dh is the gradient of its last state
//                  >= sequences, < both      has gone past its first step: dh is the gradient of its first state
#include "ops/recurrent/recurrent_steps.cuh"
#include "ops/reduce/reduce.h"

namespace fastdl {
namespace {

// Of one direction. Pointers at its part of row 0, or of state 0. Null: not given, not wanted.
template <class T>
struct BackwardStep {
  int64_t sequences, both;       // at this step; of these and those of the product, how many have one
  int64_t ending;                // sequences of the product, if those that are not at this step are wanted
  int64_t first, product_first;  // rows of sequence 0: of this step, of the product
  int64_t before_first, before;  // of the step before in time, and its sequences
  const T* w_hh;
  const T *grad_out, *grad_h, *grad_c, *h0, *c0;
  const T *out, *gates, *cells;
  T *dg_x, *dg_h;  // (rows, gates * hidden), the same but for GRU
  T* h_before;     // (rows, hidden)
  T* carry;        // (batch, hidden). LSTM: dc. GRU: what of dh goes past W_hh.
  T *grad_h0, *grad_c0;
};
template <class T>
struct BackwardSteps {
  int64_t hidden, stride, out_pitch;
  const int64_t* order;
  BackwardStep<T> of[kDirections];
};

// ---- cells ----------------------------------------------------------------------------------------------------------

// A unit of a sequence at this step: from the gradient of its new h to those of its gates.
template <class T, Cell cell>
struct UnitGradient {
  static constexpr int kGates = cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
  const BackwardSteps<T>& p;
  const BackwardStep<T>& s;
  int64_t sequence, unit, row;

  __device__ int64_t state() const { return place_of(p.order, sequence) * p.hidden + unit; }
  __device__ int64_t own() const { return sequence * p.hidden + unit; }
  // Of the step before in time, or the first state.
  __device__ T before(const T* rows, int64_t pitch, const T* first) const {
    if (sequence < s.before) return rows[(s.before_first + sequence * p.stride) * pitch + unit];
    return first ? first[state()] : T{0};
  }
  __device__ T gate(int k) const { return s.gates[(row * 4 + k) * p.hidden + unit]; }
  __device__ void store(T* dg, int k, T v) const { dg[(row * kGates + k) * p.hidden + unit] = v; }

  __device__ void lstm(T dh) const {
    const T i = gate(0), f = gate(1), n = gate(2), o = gate(3);
    const T shown = tanh(s.cells[row * p.hidden + unit]);
    const T later = sequence < s.both ? s.carry[own()] : s.grad_c ? s.grad_c[state()] : T{0};
    const T dc = later + dh * o * (T{1} - shown * shown);
    store(s.dg_x, 0, dc * n * i * (T{1} - i));
    store(s.dg_x, 1, dc * before(s.cells, p.hidden, s.c0) * f * (T{1} - f));
    store(s.dg_x, 2, dc * i * (T{1} - n * n));
    store(s.dg_x, 3, dh * shown * o * (T{1} - o));
    s.carry[own()] = dc * f;
  }
  __device__ void gru(T dh, T h) const {
    const T r = gate(0), z = gate(1), n = gate(2), hidden = gate(3);
    const T dn = dh * (T{1} - z) * (T{1} - n * n), dr = dn * hidden * r * (T{1} - r),
            dz = dh * (h - n) * z * (T{1} - z);
    store(s.dg_x, 0, dr);
    store(s.dg_x, 1, dz);
    store(s.dg_x, 2, dn);
    store(s.dg_h, 0, dr);
    store(s.dg_h, 1, dz);
    store(s.dg_h, 2, dn * r);
    s.carry[own()] = dh * z;
  }
  __device__ void rnn(T dh) const {
    const T h = s.out[row * p.out_pitch + unit];
    store(s.dg_x, 0, cell == Cell::kTanh ? dh * (T{1} - h * h) : h <= T{0} ? T{0} : dh);
  }

  // sum: dG W_hh, 0 without a product.
  __device__ void update(T sum) const {
    T dh = sequence < s.both || sequence >= s.sequences ? sum : s.grad_h ? s.grad_h[state()] : T{0};
    if (cell == Cell::kGru && (sequence < s.both || sequence >= s.sequences)) dh += s.carry[own()];
    if (sequence >= s.sequences) {
      if (s.grad_h0) s.grad_h0[state()] = dh;
      if (cell == Cell::kLstm && s.grad_c0) s.grad_c0[state()] = s.carry[own()];
      return;
    }
    if (s.grad_out) dh += s.grad_out[row * p.out_pitch + unit];
    T h = 0;
    if (cell == Cell::kGru || s.h_before) h = before(s.out, p.out_pitch, s.h0);
    if (s.h_before) s.h_before[row * p.hidden + unit] = h;
    if constexpr (cell == Cell::kLstm)
      lstm(dh);
    else if constexpr (cell == Cell::kGru)
      gru(dh, h);
    else
      rnn(dh);
  }
};

// ---- a step ---------------------------------------------------------------------------------------------------------

// Blocks: (tiles of sequences times tiles of units, directions).
template <class T, Cell cell>
__global__ void __launch_bounds__(StepTile<T>::kThreads) backward_step(BackwardSteps<T> p, int unit_tiles) {
  using Tile = StepTile<T>;
  constexpr int kGates = UnitGradient<T, cell>::kGates;
  FASTDL_SHARED(T, panels_a, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(T, panels_b, [2][Tile::BK][Tile::BN + kPanelPad]);
  FASTDL_SHARED(T, sums, [Tile::BM][Tile::BN + kPanelPad]);
  const BackwardStep<T>& s = p.of[blockIdx.y];
  const int64_t row = int64_t{blockIdx.x / unit_tiles} * Tile::BM;
  const int64_t first_unit = int64_t{blockIdx.x % unit_tiles} * Tile::BN;
  const int64_t products = max(s.both, s.ending), owned = max(s.sequences, s.ending);
  if (row >= owned) return;
  Accumulators<Tile> results;
  {
    const int rows = static_cast<int>(min(products - row, int64_t{Tile::BM}));
    const int steps = rows > 0 ? static_cast<int>(kGates * p.hidden) : 0;
    const int units = static_cast<int>(min(p.hidden - first_unit, int64_t{Tile::BN}));
    const int64_t pitch = kGates * p.hidden;
    MatrixLoader<Tile, Tile::BM, true> load_dg(s.dg_h + (s.product_first + row * p.stride) * pitch, p.stride * pitch,
                                               rows, steps);
    MatrixLoader<Tile, Tile::BN, false> load_w(s.w_hh + first_unit, p.hidden, units, steps);
    gemm_main_loop<Tile>(load_dg, load_w, steps, panels_a, panels_b, results);
  }
  results.each_vector([](int column) { return column; },
                      [&](int r, int column, const Pack<T, Tile::V>& v) { store_vec(&sums[r][column], v); });
  __syncthreads();
  const int64_t unit = first_unit + threadIdx.x % kWarp;
  if (unit >= p.hidden) return;
  for (int r = threadIdx.x / kWarp; r < Tile::BM; r += Tile::kThreads / kWarp) {
    const int64_t sequence = row + r;
    if (sequence < owned)
      UnitGradient<T, cell>{p, s, sequence, unit, s.first + sequence * p.stride}.update(sums[r][threadIdx.x % kWarp]);
  }
}

// ---- the walk -------------------------------------------------------------------------------------------------------

// The buffers of one direction.
template <class T>
struct Gradients {
  T *dg_x, *dg_h, *h_before, *carry;
};

// Step s of the walk back, for s = steps without sequences: those that are left end there.
template <class T>
BackwardStep<T> step_of(const RecurrentBwdArgs& a, const Gradients<T>& g, int direction, int64_t s) {
  const RecurrentShape& shape = a.s;
  const auto time = [&](int64_t step) { return time_of(shape, direction, shape.steps - 1 - step); };
  const bool last = s == shape.steps, first = s == 0;
  const int64_t n = last ? 0 : shape.active[time(s)], after = first ? 0 : shape.active[time(s - 1)];
  const int64_t left = shape.steps - 1 - s;  // steps before in the walk forward
  const int64_t before = left > 0 ? shape.active[time(s + 1)] : 0;
  const int64_t states = direction * shape.batch * shape.hidden, rows = direction * shape.rows * shape.hidden;
  const auto given = [](const void* p, int64_t n) { return p ? static_cast<const T*>(p) + n : nullptr; };
  const auto wanted = [](void* p, int64_t n) { return p ? static_cast<T*>(p) + n : nullptr; };
  return {n,
          min(n, after),
          a.grad_h0 || a.grad_c0 ? after : 0,
          last ? 0 : shape.first[time(s)],
          first ? 0 : shape.first[time(s - 1)],
          left > 0 ? shape.first[time(s + 1)] : 0,
          before,
          static_cast<const T*>(a.w[direction].hh),
          given(a.grad_out, direction * shape.hidden),
          given(a.grad_h, states),
          given(a.grad_c, states),
          given(a.h0, states),
          given(a.c0, states),
          given(a.out, direction * shape.hidden),
          given(a.gates, 4 * rows),
          given(a.cells, rows),
          g.dg_x,
          g.dg_h,
          g.h_before,
          g.carry,
          wanted(a.grad_h0, states),
          wanted(a.grad_c0, states)};
}

template <class T, Cell cell>
void walk_back(const RecurrentBwdArgs& a, const DeviceOrder& order, const Gradients<T>* gradients, Stream stream) {
  using Tile = StepTile<T>;
  const RecurrentShape& shape = a.s;
  const int64_t unit_tiles = ceil_div(shape.hidden, Tile::BN);
  for (int64_t s = 0; s <= shape.steps; ++s) {
    BackwardSteps<T> steps = {shape.hidden, shape.stride, shape.directions * shape.hidden, order.get(), {}};
    int64_t owned = 0;
    for (int d = 0; d < shape.directions; ++d) {
      steps.of[d] = step_of(a, gradients[d], d, s);
      owned = max(owned, max(steps.of[d].sequences, steps.of[d].ending));
    }
    const dim3 grid(checked_grid(ceil_div(owned, Tile::BM) * unit_tiles), static_cast<unsigned>(shape.directions));
    launch(backward_step<T, cell>, grid, Tile::kThreads, 0, stream, steps, static_cast<int>(unit_tiles));
  }
}

// ---- what is left: products over all rows ---------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(kBlock) add_numbers(const T* from, T* to, int64_t n) {
  const int64_t i = global_thread();
  if (i < n) to[i] += from[i];
}

template <class T>
void input_gradient(const RecurrentBwdArgs& a, const Gradients<T>* g, int64_t columns, Stream stream) {
  const RecurrentShape& s = a.s;
  const int64_t n = s.rows * s.input;
  multiply_matrices(s.dtype, g[0].dg_x, false, a.w[0].ih, false, nullptr, a.grad_x, s.rows, s.input, columns, stream);
  if (s.directions == 1) return;
  const DeviceScratch<T> second(n);
  multiply_matrices(s.dtype, g[1].dg_x, false, a.w[1].ih, false, nullptr, second, s.rows, s.input, columns, stream);
  launch(add_numbers<T>, blocks_for(n, kBlock), kBlock, 0, stream, second.get(), static_cast<T*>(a.grad_x), n);
}

void sum_columns(DType dtype, const void* x, int64_t rows, int64_t columns, void* out, Stream stream) {
  reduce({Reduce::k_sum, dtype, {2, {rows, columns}}, {true, false}, columns, x, out}, stream);
}

template <class T>
void weight_gradients(const RecurrentBwdArgs& a, const Gradients<T>& g, int d, int64_t columns, Stream stream) {
  const RecurrentShape& s = a.s;
  multiply_matrices(s.dtype, g.dg_x, true, a.x, false, nullptr, a.grad_ih[d], columns, s.input, s.rows, stream);
  multiply_matrices(s.dtype, g.dg_h, true, g.h_before, false, nullptr, a.grad_hh[d], columns, s.hidden, s.rows, stream);
  if (!a.grad_bias_ih[d]) return;
  sum_columns(s.dtype, g.dg_x, s.rows, columns, a.grad_bias_ih[d], stream);
  sum_columns(s.dtype, g.dg_h, s.rows, columns, a.grad_bias_hh[d], stream);
}

template <class T>
void backward(const RecurrentBwdArgs& a, Stream stream) {
  const RecurrentShape& s = a.s;
  const int64_t states = s.batch * s.hidden, columns = gate_count(s.cell) * s.hidden;
  const bool gru = s.cell == Cell::kGru, weights = a.grad_ih[0] != nullptr;
  const size_t state_bytes = static_cast<size_t>(s.directions * states) * sizeof(T);
  if (s.steps == 0 && a.grad_h0) copy_or_zero(a.grad_h0, a.grad_h, state_bytes, stream);
  if (s.steps == 0 && a.grad_c0) copy_or_zero(a.grad_c0, a.grad_c, state_bytes, stream);
  const int64_t dg = s.rows * columns, each = (gru ? 2 : 1) * dg + (weights ? s.rows * s.hidden : 0) + states;
  const DeviceScratch<T> buffers(s.directions * each);
  Gradients<T> gradients[kDirections] = {};
  for (int d = 0; d < s.directions; ++d) {
    T* const own = buffers.get() + d * each;
    T *const dg_h = gru ? own + dg : own, *const h_before = dg_h + dg;
    gradients[d] = {own, dg_h, weights ? h_before : nullptr, weights ? h_before + s.rows * s.hidden : h_before};
  }
  if (s.steps > 0 && states > 0) {
    const DeviceOrder order(s);
    const auto walk = s.cell == Cell::kTanh   ? walk_back<T, Cell::kTanh>
                      : s.cell == Cell::kRelu ? walk_back<T, Cell::kRelu>
                      : s.cell == Cell::kLstm ? walk_back<T, Cell::kLstm>
                                              : walk_back<T, Cell::kGru>;
    walk(a, order, gradients, stream);
  }
  if (a.grad_x) input_gradient(a, gradients, columns, stream);
  for (int d = 0; weights && d < s.directions; ++d) weight_gradients(a, gradients[d], d, columns, stream);
}

}  // namespace

void recurrent_bwd(const RecurrentBwdArgs& a, Stream stream) {
  visit_float(a.s.dtype, [&](auto zero) { backward<decltype(zero)>(a, stream); });
}

}  // namespace fastdl
