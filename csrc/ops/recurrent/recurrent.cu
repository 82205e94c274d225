// The forward walk. One product gives what the inputs of all steps add to the gates; then a launch a step multiplies
// the states with W_hh and turns each tile into new states where its sums are, in registers:
//
//   x of all steps --product--> inputs (rows, gates * hidden) --+
//   h of the last step --tile of the product------------------+-+--> gates --> c, h, out
//
// Who owns what: a block owns 32 sequences and 32 columns of the product. Of LSTM and GRU these are 8 units with four
// columns each (GRU: r, z, n and one that stays empty), so arranged that a thread has all gates of a unit:
//
//   column of a thread's four    0  1  2  3          LSTM: i  f  g  o       GRU: r  z  n  -
//
// h goes from one buffer to another, since other blocks still read the old one; c stays in its place. The limit of long
// batches is the rate of multiply-adds, of short ones the latency of a launch and of the product's loads.
#include "ops/recurrent/recurrent_steps.cuh"

namespace fastdl {
namespace {

// ---- W_hh, gates of a unit side by side -----------------------------------------------------------------------------

// Column `column` of a tile is gate and unit; `units` of a tile.
template <class Tile, Cell cell>
struct TileColumns {
  static constexpr bool kGated = cell == Cell::kLstm || cell == Cell::kGru;
  static constexpr int kGates = cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
  static constexpr int kUnits = kGated ? Tile::BN / 4 : Tile::BN;
  static_assert(Tile::TN == 4 && Tile::BN == 32, "a thread's columns are the gates of a unit");

  __device__ static int gate(int column) { return kGated ? column / (8 * Tile::V) * Tile::V + column % Tile::V : 0; }
  __device__ static int unit(int column) { return kGated ? column % (8 * Tile::V) / Tile::V : column; }
};

// Rows of W_hh as columns of a tile; it goes along the rows, as the loader of a matrix does.
template <class Tile, Cell cell>
struct GateLoader {
  using T = typename Tile::T;
  using Lines = MatrixLoader<Tile, Tile::BN, true>;
  using Columns = TileColumns<Tile, cell>;
  static constexpr int V = Tile::V, kEach = Lines::kEach;

  const T* own[kEach];  // null outside
  int steps;
  bool vector;
  Pack<T, V> held[kEach];

  __device__ GateLoader(const T* w, int64_t hidden, int64_t first_unit, int steps)
      : steps(steps - Lines::own_k()), vector(vectors_at(w, hidden) && steps % V == 0) {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int column = Lines::own_row() + i * Lines::kRowStep, gate = Columns::gate(column);
      const int64_t unit = first_unit + Columns::unit(column);
      const bool in = unit < hidden && gate < Columns::kGates;
      own[i] = in ? w + (gate * hidden + unit) * hidden + Lines::own_k() : nullptr;
    }
  }

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (own[i] && vector && steps > 0) {
        held[i] = load_vec<Pack<T, V>>(own[i]);
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j) held[i][j] = own[i] && j < steps ? own[i][j] : T(0);
      }
      if (own[i]) own[i] += Tile::BK;
    }
    steps -= Tile::BK;
  }

  __device__ void store(typename Tile::PanelB& panel) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
#pragma unroll
      for (int j = 0; j < V; ++j) panel[Lines::own_k() + j][Lines::own_row() + i * Lines::kRowStep] = held[i][j];
    }
  }
};

// ---- a step ---------------------------------------------------------------------------------------------------------

// Of one direction. Sequence j has row first + j * stride of inputs, out and what training keeps.
template <class T>
struct ForwardStep {
  int64_t sequences, go_on;  // those from go_on on end here
  int64_t first, stride;
  bool product;  // else h is zero
  const T *w_hh, *bias_hh, *inputs;
  const T* h;  // (batch, hidden), as c
  T *h_next, *c;
  T* out;  // this direction's first number of row 0
  T *h_n, *c_n;
  T *gates, *cells;  // or null
};
template <class T>
struct ForwardSteps {
  int64_t hidden, out_pitch;
  const int64_t* order;
  ForwardStep<T> of[kDirections];
};

// A unit of a sequence: its sums W_hh h + b_hh of each gate become the new state.
template <class T, Cell cell>
struct Unit {
  static constexpr int kGates = cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
  const ForwardSteps<T>& p;
  const ForwardStep<T>& s;
  int64_t sequence, unit, row;

  __device__ T input(int gate) const { return s.inputs[(row * kGates + gate) * p.hidden + unit]; }
  __device__ void keep(T a, T b, T c, T d) const {
    if (!s.gates) return;
    T* const to = s.gates + row * 4 * p.hidden + unit;
    to[0] = a;
    to[p.hidden] = b;
    to[2 * p.hidden] = c;
    to[3 * p.hidden] = d;
  }
  __device__ T activate(const T (&g)[4], T before, T& c) const {
    if constexpr (cell == Cell::kLstm) {
      const T i = gate_sigmoid(g[0] + input(0)), f = gate_sigmoid(g[1] + input(1));
      const T n = tanh(g[2] + input(2)), o = gate_sigmoid(g[3] + input(3));
      c = f * c + i * n;
      keep(i, f, n, o);
      return o * tanh(c);
    } else if constexpr (cell == Cell::kGru) {
      const T r = gate_sigmoid(g[0] + input(0)), z = gate_sigmoid(g[1] + input(1)), n = tanh(input(2) + r * g[2]);
      keep(r, z, n, g[2]);
      return n + z * (before - n);
    } else {
      const T v = g[0] + input(0);
      return cell == Cell::kTanh ? tanh(v) : v > T{0} || v != v ? v : T{0};
    }
  }
  __device__ void update(T (&g)[4]) const {
    const int64_t at = sequence * p.hidden + unit;
#pragma unroll
    for (int k = 0; k < kGates; ++k)
      if (s.bias_hh) g[k] += s.bias_hh[k * p.hidden + unit];
    T c = cell == Cell::kLstm ? s.c[at] : T{0};
    const T h = activate(g, cell == Cell::kGru ? s.h[at] : T{0}, c);
    s.h_next[at] = h;
    s.out[row * p.out_pitch + unit] = h;
    const bool ends = sequence >= s.go_on;
    const int64_t state = ends ? place_of(p.order, sequence) * p.hidden + unit : 0;
    if (ends) s.h_n[state] = h;
    if constexpr (cell == Cell::kLstm) {
      s.c[at] = c;
      if (s.cells) s.cells[row * p.hidden + unit] = c;
      if (ends) s.c_n[state] = c;
    }
  }
};

// Blocks: (tiles of sequences times tiles of units, directions).
template <class T, Cell cell>
__global__ void __launch_bounds__(StepTile<T>::kThreads) forward_step(ForwardSteps<T> p, int unit_tiles) {
  using Tile = StepTile<T>;
  using Columns = TileColumns<Tile, cell>;
  FASTDL_SHARED(T, panels_a, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(T, panels_b, [2][Tile::BK][Tile::BN + kPanelPad]);
  const ForwardStep<T>& s = p.of[blockIdx.y];
  const int64_t row = int64_t{blockIdx.x / unit_tiles} * Tile::BM;
  const int64_t first_unit = int64_t{blockIdx.x % unit_tiles} * Columns::kUnits;
  if (row >= s.sequences) return;  // the other direction has more sequences at this step
  Accumulators<Tile> results;
  {
    const int rows = static_cast<int>(min(s.sequences - row, int64_t{Tile::BM}));
    const int steps = s.product ? static_cast<int>(p.hidden) : 0;
    MatrixLoader<Tile, Tile::BM, true> load_h(s.h + row * p.hidden, p.hidden, rows, steps);
    GateLoader<Tile, cell> load_w(s.w_hh, p.hidden, first_unit, steps);
    gemm_main_loop<Tile>(load_h, load_w, steps, panels_a, panels_b, results);
  }
  constexpr int V = Tile::V;
#pragma unroll
  for (int i = 0; i < Tile::TM; ++i) {
    const int64_t sequence = row + results.first_row() + i / V * (4 * V) + i % V;
    if (sequence >= s.sequences) continue;
    const int64_t at = s.first + sequence * s.stride;
    if constexpr (Columns::kGated) {
      const int64_t unit = first_unit + Columns::unit(results.first_col());
      T g[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) g[k] = results.sum[i][k / V][k % V];
      if (unit < p.hidden) Unit<T, cell>{p, s, sequence, unit, at}.update(g);
    } else {
#pragma unroll
      for (int k = 0; k < Tile::TN; ++k) {
        const int64_t unit = first_unit + results.first_col() + k / V * (8 * V) + k % V;
        T g[4] = {results.sum[i][k / V][k % V]};
        if (unit < p.hidden) Unit<T, cell>{p, s, sequence, unit, at}.update(g);
      }
    }
  }
}

// ---- the walk -------------------------------------------------------------------------------------------------------

// Sequence j has state order[j]; both buffers of h begin with it, for sequences that begin later.
template <class T>
__global__ void __launch_bounds__(kBlock)
    first_states(const T* h0, const T* c0, const int64_t* order, Divider hidden, int64_t n, T* h, T* h_next, T* c) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t sequence = hidden.divide(i), unit = i - sequence * hidden.divisor;
  const int64_t from = place_of(order, sequence) * hidden.divisor + unit;
  h[i] = h_next[i] = h0 ? h0[from] : T{0};
  c[i] = c0 ? c0[from] : T{0};
}

// The buffers of one direction.
template <class T>
struct Direction {
  T *inputs, *h[2], *c;
};

template <class T>
ForwardStep<T> step_of(const RecurrentFwdArgs& a, const Direction<T>& d, int direction, int64_t s) {
  const RecurrentShape& shape = a.s;
  const int64_t t = time_of(shape, direction, s), n = shape.active[t], states = direction * shape.batch * shape.hidden;
  // Forwards in time a sequence ends where the next step is without it, backwards all end with the first step.
  const int64_t go_on = direction ? (t == 0 ? 0 : n) : (t + 1 < shape.steps ? shape.active[t + 1] : 0);
  const int64_t rows = direction * shape.rows * shape.hidden;
  const auto offset = [](void* p, int64_t n) { return p ? static_cast<T*>(p) + n : nullptr; };
  return {n,
          go_on,
          shape.first[t],
          shape.stride,
          s > 0 || a.h0 != nullptr,
          static_cast<const T*>(a.w[direction].hh),
          static_cast<const T*>(a.w[direction].bias_hh),
          d.inputs,
          d.h[s % 2],
          d.h[1 - s % 2],
          d.c,
          offset(a.out, direction * shape.hidden),
          offset(a.h_n, states),
          offset(a.c_n, states),
          offset(a.gates, 4 * rows),
          offset(a.cells, rows)};
}

template <class T, Cell cell>
void walk(const RecurrentFwdArgs& a, const DeviceOrder& order, const Direction<T>* directions, Stream stream) {
  using Columns = TileColumns<StepTile<T>, cell>;
  const RecurrentShape& shape = a.s;
  const int64_t unit_tiles = ceil_div(shape.hidden, Columns::kUnits);
  for (int64_t s = 0; s < shape.steps; ++s) {
    ForwardSteps<T> steps = {shape.hidden, shape.directions * shape.hidden, order.get(), {}};
    int64_t sequences = 0;
    for (int d = 0; d < shape.directions; ++d) {
      steps.of[d] = step_of(a, directions[d], d, s);
      sequences = max(sequences, steps.of[d].sequences);
    }
    const dim3 grid(checked_grid(ceil_div(sequences, StepTile<T>::BM) * unit_tiles),
                    static_cast<unsigned>(shape.directions));
    launch(forward_step<T, cell>, grid, StepTile<T>::kThreads, 0, stream, steps, static_cast<int>(unit_tiles));
  }
}

template <class T>
void forward(const RecurrentFwdArgs& a, Stream stream) {
  const RecurrentShape& s = a.s;
  const int64_t states = s.batch * s.hidden, columns = gate_count(s.cell) * s.hidden;
  const size_t state_bytes = static_cast<size_t>(s.directions * states) * sizeof(T);
  if (s.steps == 0) {
    copy_or_zero(a.h_n, a.h0, state_bytes, stream);
    if (a.c_n) copy_or_zero(a.c_n, a.c0, state_bytes, stream);
    return;
  }
  if (states == 0) return;
  const DeviceOrder order(s);
  const DeviceScratch<T> inputs(s.directions * s.rows * columns), buffers(3 * s.directions * states);
  Direction<T> directions[kDirections];
  for (int d = 0; d < s.directions; ++d) {
    T* const own = buffers.get() + 3 * d * states;
    directions[d] = {inputs.get() + d * s.rows * columns, {own, own + states}, own + 2 * states};
    multiply_matrices(s.dtype, a.x, false, a.w[d].ih, true, a.w[d].bias_ih, directions[d].inputs, s.rows, columns,
                      s.input, stream);
    const T* const h0 = a.h0 ? static_cast<const T*>(a.h0) + d * states : nullptr;
    const T* const c0 = a.c0 ? static_cast<const T*>(a.c0) + d * states : nullptr;
    launch(first_states<T>, blocks_for(states, kBlock), kBlock, 0, stream, h0, c0, order.get(), divide_by(s.hidden),
           states, own, own + states, own + 2 * states);
  }
  switch (s.cell) {
    case Cell::kTanh:
      return walk<T, Cell::kTanh>(a, order, directions, stream);
    case Cell::kRelu:
      return walk<T, Cell::kRelu>(a, order, directions, stream);
    case Cell::kLstm:
      return walk<T, Cell::kLstm>(a, order, directions, stream);
    case Cell::kGru:
      return walk<T, Cell::kGru>(a, order, directions, stream);
  }
}

}  // namespace

void recurrent_fwd(const RecurrentFwdArgs& a, Stream stream) {
  visit_float(a.s.dtype, [&](auto zero) { forward<decltype(zero)>(a, stream); });
}

}  // namespace fastdl
