// The forward walk. A walker (a thread; see recurrent_steps-inl.h) has some sequences and some panels. Per step and
// panel it multiplies tiles of kStepRows sequences and turns each tile into new states while it lies in L1:
//
//   h of the last step: rows of `out` --+
//   x of this step ---------------------+--> product, in registers --> tile, in L1 --> gates --> c, h, `out`
//   panel, from L2 or L3 ---------------+
//
// Many sequences: one product over x and h together. Few: the input product of several steps at once, before them.
// One step (a cell): each panel is packed when its turn comes, into the same place. Of few sequences, every weight is
// used a few times only, and read where it lies.
#include "cpu/thin_product-inl.h"
#include "ops/recurrent/recurrent_steps-inl.h"

namespace fastdl::FASTDL_ISA {

// Sequences of a single step that is not worth packing for.
#if defined(FASTDL_ISA_avx512)
constexpr int64_t kThinBatch = 8;
#else
constexpr int64_t kThinBatch = 12;
#endif

// One call, as all walkers see it.
template <class T>
struct Forward {
  RecurrentFwdArgs a;
  int units;       // hidden units of a panel
  int width;       // numbers of a panel in a step of the inner product
  int64_t panels;  // of a direction
  T* weights;      // packed: [direction][panel][input + hidden][width]; or one panel of each walker
  bool late;       // panels are packed when their turn comes: each serves one step, and stays in a near cache for it
  T* bias;         // [direction][panel][kStepVecs * lanes]
  const T* zeros;  // a row, where there is no first state
};

// ---- packing --------------------------------------------------------------------------------------------------------

// What begins the accumulators of units from `unit`: all gates' numbers of x and of h, biases or products; null: zeros.
template <class T>
static void collect_gates(const Forward<T>& f, const T* ih, const T* hh, int64_t unit, T* dst) {
  constexpr int L = kLanes<T>;
  const Cell cell = f.a.s.cell;
  const int64_t H = f.a.s.hidden, n = min64(f.units, H - unit);
  for (int j = 0; j < kStepVecs; ++j) {
    // The accumulators of LSTM are gates, of RNN vectors of units; GRU has r, z, n of x, n of h.
    const bool gated = gate_count(cell) > 1;
    const int64_t at = gated ? (cell == Cell::kGru && j == 3 ? 2 : j) * H + unit : unit + j * L;
    const int64_t count = gated ? n : n - j * L;
    Vec<T> v{};
    if (ih && !(cell == Cell::kGru && j == 3)) v = load_some<T>(ih + at, count);
    if (hh && !(cell == Cell::kGru && j == 2)) v += load_some<T>(hh + at, count);
    store<T>(dst + j * L, v);
  }
}

template <class T>
static void pack_panel(const Forward<T>& f, int64_t index, T* panel) {
  constexpr int L = kLanes<T>;
  const RecurrentShape& s = f.a.s;
  const RecurrentWeights& w = f.a.w[index / f.panels];
  const int64_t unit = index % f.panels * f.units, n = min64(f.units, s.hidden - unit);
  const bool gated = gate_count(s.cell) > 1;
  for (int j = 0; j < f.width / L; ++j) {
    const int64_t row = gated ? j * s.hidden + unit : unit + j * L, rows = gated ? n : n - j * L;
    T* const dst = panel + j * L;
    pack_units<T>(dst, f.width, static_cast<const T*>(w.ih) + row * s.input, s.input, rows, s.input);
    pack_units<T>(dst + s.input * f.width, f.width, static_cast<const T*>(w.hh) + row * s.hidden, s.hidden, rows,
                  s.hidden);
  }
  collect_gates<T>(f, static_cast<const T*>(w.bias_ih), static_cast<const T*>(w.bias_hh), unit,
                   f.bias + index * kTileStep<T>);
}

// ---- gates ----------------------------------------------------------------------------------------------------------

// Where a tile row goes; pointers at the first unit of the panel. gates and cells are null without a backward pass.
template <class T>
struct RowOut {
  const T* h_before;
  T *h, *c, *gates, *cells;
};

template <class T>
FASTDL_INLINE void save_gates(T* gates, int64_t H, int64_t n, Vec<T> g0, Vec<T> g1, Vec<T> g2, Vec<T> g3) {
  store_some<T>(gates, g0, n);
  store_some<T>(gates + H, g1, n);
  store_some<T>(gates + 2 * H, g2, n);
  store_some<T>(gates + 3 * H, g3, n);
}

template <class T>
FASTDL_INLINE void lstm_row(const T* tile, const RowOut<T>& r, int64_t H, int64_t n) {
  constexpr int L = kLanes<T>;
  const Vec<T> i = gate_sigmoid<T>(load<T>(tile)), f = gate_sigmoid<T>(load<T>(tile + L));
  const Vec<T> g = gate_tanh<T>(load<T>(tile + 2 * L)), o = gate_sigmoid<T>(load<T>(tile + 3 * L));
  const Vec<T> c = f * load_some<T>(r.c, n) + i * g;
  store_some<T>(r.c, c, n);
  store_some<T>(r.h, o * gate_tanh<T>(c), n);
  if (!r.gates) return;
  save_gates<T>(r.gates, H, n, i, f, g, o);
  store_some<T>(r.cells, c, n);
}

template <class T>
FASTDL_INLINE void gru_row(const T* tile, const RowOut<T>& row, int64_t H, int64_t units) {
  constexpr int L = kLanes<T>;
  const Vec<T> r = gate_sigmoid<T>(load<T>(tile)), z = gate_sigmoid<T>(load<T>(tile + L)),
               hidden = load<T>(tile + 3 * L);
  const Vec<T> n = gate_tanh<T>(load<T>(tile + 2 * L) + r * hidden);
  store_some<T>(row.h, n + z * (load_some<T>(row.h_before, units) - n), units);
  if (row.gates) save_gates<T>(row.gates, H, units, r, z, n, hidden);
}

template <class T>
FASTDL_INLINE void rnn_row(const T* tile, const RowOut<T>& row, int64_t units, bool relu) {
  constexpr int L = kLanes<T>;
  for (int j = 0; j * L < units; ++j) {
    const Vec<T> g = load<T>(tile + j * L);
    store_some<T>(row.h + j * L, relu ? max_nan<T>(g, Vec<T>{}) : gate_tanh<T>(g), units - j * L);
  }
}

// ---- a walk ---------------------------------------------------------------------------------------------------------

// Pointers of the sequences of a walker at a step.
template <class T>
struct Rows {
  const T** x;  // [kInputRows or all sequences]
  const T** h;
  T* tiles;   // [all sequences][kTileStep]
  T* inputs;  // input products of several steps: [panel][row][kTileStep]
  T* panel;   // the walker's own, if panels are packed late
};

template <class T>
static void collect_states(const Forward<T>& f, const Walker& w, int64_t t, int64_t count, const T** h) {
  const RecurrentShape& s = f.a.s;
  const int64_t old = with_previous(s, w.direction, t), width = s.directions * s.hidden;
  const T* const before = static_cast<const T*>(f.a.out) + w.direction * s.hidden;
  const T* const h0 = static_cast<const T*>(f.a.h0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t j = w.first + i;
    h[i] = j < old ? before + row_at(s, w.direction ? t + 1 : t - 1, j) * width
           : h0    ? h0 + (w.direction * s.batch + s.order[j]) * s.hidden
                   : f.zeros;
  }
}

// What the step after the i-th writes for the backward pass: the first store to a line would wait for it.
template <class T>
static Coming<T> coming_rows(const Forward<T>& f, const Walker& w, int64_t i) {
  const RecurrentShape& s = f.a.s;
  Coming<T> c;
  if (i + 1 >= s.steps || !f.a.gates) return c;
  const int64_t t = step_at(s, w.direction, i + 1), n = min64(s.active[t], w.last) - w.first;
  const int64_t row = w.direction * s.rows + kept_at(s, t, w.first);
  add_run<T>(c, f.a.gates, row * kStepVecs * s.hidden, n * kStepVecs * s.hidden);
  add_run<T>(c, f.a.cells, row * s.hidden, n * s.hidden);
  return c;
}

template <class T>
static void finish_tile(const Forward<T>& f, const Walker& w, int64_t t, int64_t first, int64_t rows, int64_t panel,
                        const T* tile, const T* const* h) {
  const RecurrentShape& s = f.a.s;
  const int64_t H = s.hidden, unit = panel * f.units, n = min64(f.units, H - unit);
  for (int64_t i = 0; i < rows; ++i, tile += kTileStep<T>) {
    const int64_t j = w.first + first + i, row = row_at(s, t, j), saved = w.direction * s.rows + kept_at(s, t, j);
    RowOut<T> r{};
    r.h = static_cast<T*>(f.a.out) + (row * s.directions + w.direction) * H + unit;
    if (f.a.gates) r.gates = static_cast<T*>(f.a.gates) + saved * kStepVecs * H + unit;
    if (f.a.cells) r.cells = static_cast<T*>(f.a.cells) + saved * H + unit;
    switch (s.cell) {
      case Cell::kLstm:
        r.c = static_cast<T*>(f.a.c_n) + (w.direction * s.batch + s.order[j]) * H + unit;
        lstm_row<T>(tile, r, H, n);
        break;
      case Cell::kGru:
        r.h_before = h[first + i] + unit;
        gru_row<T>(tile, r, H, n);
        break;
      default:
        rnn_row<T>(tile, r, n, s.cell == Cell::kRelu);
    }
  }
}

template <class T>
static void walk_forward(const Forward<T>& f, const Walker& w, const Rows<T>& rows, Team& team) {
  const RecurrentShape& s = f.a.s;
  const bool apart = s.cell == Cell::kGru;
  const int64_t batch = w.last - w.first, panel_size = (s.input + s.hidden) * f.width;
  const bool fused = f.late || batch >= kFusedBatch;
  const int64_t together = fused ? 1 : kInputRows / batch;
  const T* const weights = f.weights + w.direction * f.panels * panel_size;
  const T* const bias = f.bias + w.direction * f.panels * kTileStep<T>;
  for (int64_t begin = 0; begin < s.steps; begin += together) {
    const int64_t end = min64(begin + together, s.steps);
    int64_t inputs = 0;
    Coming<T> nothing;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = step_at(s, w.direction, i), count = min64(s.active[t], w.last) - w.first;
      for (int64_t j = 0; j < count; ++j)
        rows.x[inputs++] = static_cast<const T*>(f.a.x) + row_at(s, t, w.first + j) * s.input;
    }
    for (int64_t panel = w.first_panel; !fused && panel < w.last_panel; ++panel) {
      T* const to = rows.inputs + (panel - w.first_panel) * kInputRows * kTileStep<T>;
      const Product<T> p{s.input, 0, rows.x, rows.x, weights + panel * panel_size, bias + panel * kTileStep<T>, 0, to};
      multiply_rows<T>(p, inputs, apart, p.panel, nothing, [](int64_t, int64_t) {});
    }
    int64_t input = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = step_at(s, w.direction, i), count = min64(s.active[t], w.last) - w.first;
      if (count > 0) {
        collect_states<T>(f, w, t, count, rows.h);
        Coming<T> coming = coming_rows<T>(f, w, i);
        const bool starts = !f.a.h0 && with_previous(s, w.direction, t) == 0;  // all states are zeros
        const auto product = [&](int64_t panel) {
          const T* const own = f.late ? rows.panel : weights + panel * panel_size;
          if (fused)
            return Product<T>{s.input, starts ? 0 : s.hidden, rows.x, rows.h, own, bias + panel * kTileStep<T>};
          const T* const start = rows.inputs + ((panel - w.first_panel) * kInputRows + input) * kTileStep<T>;
          return Product<T>{0, starts ? 0 : s.hidden, rows.x, rows.h, own + s.input * f.width, start, kTileStep<T>};
        };
        const auto multiply = [&](const Walker& part) {
          multiply_panels<T>(
              part, i, count, apart, rows.tiles, coming, product,
              [&](int64_t first, int64_t n, int64_t panel, const T* tile)
                  __attribute__((always_inline)) { finish_tile<T>(f, w, t, first, n, panel, tile, rows.h); });
        };
        for (int64_t panel = w.first_panel; f.late && panel < w.last_panel; ++panel) {
          pack_panel<T>(f, w.direction * f.panels + panel, rows.panel);
          multiply(Walker{w.direction, w.first, w.last, panel, panel + 1});
        }
        if (!f.late) multiply(w);
        input += count;
      }
      team.wait();
    }
  }
}

// ---- one step -------------------------------------------------------------------------------------------------------

static bool is_thin(const RecurrentShape& s) {
  if (s.steps != 1 || s.batch > kThinBatch) return false;
  for (int64_t j = 0; j < s.batch; ++j)
    if (s.order[j] != j) return false;  // the states of a product are neighbours
  return true;
}

// out (batch, gates * hidden) = x W^T.
template <class T>
static void multiply_thin(const RecurrentShape& s, const void* x, const void* w, int64_t k, T* out) {
  const int64_t lines = gate_count(s.cell) * s.hidden;
  if (!x || k == 0) {
    __builtin_memset(out, 0, static_cast<size_t>(s.batch * lines) * sizeof(T));
    return;
  }
  thin_dots<T>(s.batch, lines, k, static_cast<const T*>(w), k, static_cast<const T*>(x), k, ThinOut<T>{out, lines, 1},
               [](int64_t, int64_t) {});
}

template <class T>
static void forward_thin(const Forward<T>& f) {
  const RecurrentShape& s = f.a.s;
  const int64_t H = s.hidden, lines = gate_count(s.cell) * H;
  Scratch<T> of_x(s.batch * lines), of_h(s.batch * lines), tiles((s.batch + 1) * kTileStep<T>);
  T* const bias = tiles + s.batch * kTileStep<T>;
  for (int d = 0; d < s.directions; ++d) {
    const RecurrentWeights& w = f.a.w[d];
    const T* const h0 = f.a.h0 ? static_cast<const T*>(f.a.h0) + d * s.batch * H : nullptr;
    const T* h[kThinBatch];
    for (int64_t j = 0; j < s.batch; ++j) h[j] = h0 ? h0 + j * H : f.zeros;
    multiply_thin<T>(s, f.a.x, w.ih, s.input, of_x);
    multiply_thin<T>(s, h0, w.hh, H, of_h);
    for (int64_t panel = 0; panel < f.panels; ++panel) {
      const int64_t unit = panel * f.units;
      collect_gates<T>(f, static_cast<const T*>(w.bias_ih), static_cast<const T*>(w.bias_hh), unit, bias);
      for (int64_t j = 0; j < s.batch; ++j) {
        T* const tile = tiles + j * kTileStep<T>;
        collect_gates<T>(f, of_x + j * lines, of_h + j * lines, unit, tile);
        for (int i = 0; i < kTileStep<T>; i += kLanes<T>) store<T>(tile + i, load<T>(tile + i) + load<T>(bias + i));
      }
      finish_tile<T>(f, Walker{d, 0, s.batch, 0, f.panels}, 0, 0, s.batch, panel, tiles, h);
    }
  }
}

// ---- launcher -------------------------------------------------------------------------------------------------------

// The state after the last step of each sequence: a row of out, or the first state where there was no step.
template <class T>
static void copy_last_states(const RecurrentFwdArgs& a) {
  const RecurrentShape& s = a.s;
  const size_t bytes = static_cast<size_t>(s.hidden) * sizeof(T);
  for (int d = 0; d < s.directions; ++d) {
    int64_t t = s.steps - 1;
    for (int64_t j = 0; j < s.batch; ++j) {
      while (t >= 0 && s.active[t] <= j) --t;
      const int64_t state = (d * s.batch + s.order[j]) * s.hidden;
      T* const to = static_cast<T*>(a.h_n) + state;
      if (t >= 0)
        __builtin_memcpy(to, static_cast<T*>(a.out) + (row_at(s, d ? 0 : t, j) * s.directions + d) * s.hidden, bytes);
      else if (a.h0)
        __builtin_memcpy(to, static_cast<const T*>(a.h0) + state, bytes);
      else
        __builtin_memset(to, 0, bytes);
    }
  }
}

template <class T>
static void forward(const RecurrentFwdArgs& a) {
  constexpr int L = kLanes<T>;
  const RecurrentShape& s = a.s;
  const int gates = gate_count(s.cell);
  Forward<T> f{a,      gates > 1 ? L : kStepVecs * L, (gates > 1 ? gates : kStepVecs) * L, 0, nullptr, false, nullptr,
               nullptr};
  f.panels = ceil_div(s.hidden, f.units);
  const int64_t all = s.directions * f.panels, panel_size = (s.input + s.hidden) * f.width;
  const Division division = divide_steps(s, f.panels, 2 * gates * s.hidden * (s.input + s.hidden));
  const int64_t walkers = slots(s, division);
  const bool thin = is_thin(s);
  f.late = s.steps == 1;
  Scratch<T> zeros(s.hidden), weights(thin ? 0 : (f.late ? walkers : all) * panel_size);
  Scratch<T> bias(thin ? 0 : all * kTileStep<T>);
  __builtin_memset(zeros, 0, static_cast<size_t>(s.hidden) * sizeof(T));
  f.weights = weights, f.bias = bias, f.zeros = zeros;
  if (a.c_n) {
    const size_t bytes = static_cast<size_t>(s.directions * s.batch * s.hidden) * sizeof(T);
    a.c0 ? __builtin_memcpy(a.c_n, a.c0, bytes) : __builtin_memset(a.c_n, 0, bytes);
  }
  if (thin) return forward_thin<T>(f);
  parallel_for(f.late ? 0 : all, ceil_div(kPackGrain / 4, panel_size), [&](int64_t panel, int64_t last) {
    for (; panel < last; ++panel) pack_panel<T>(f, panel, f.weights + panel * panel_size);
  });

  const int64_t pointers = s.batch + kInputRows, inputs = f.panels * kInputRows * kTileStep<T>;
  Scratch<const T*> rows(walkers * 2 * pointers);
  const int64_t tiles = (s.batch + 1) * kTileStep<T>;
  Scratch<T> products(walkers * (inputs + tiles));
  walk_all(s, division, f.panels, [&](const Walker& w, int64_t slot, Team& team) {
    const T** const x = rows.get() + slot * 2 * pointers;
    walk_forward<T>(f, w,
                    Rows<T>{x, x + pointers, products + walkers * inputs + slot * tiles, products + slot * inputs,
                            f.weights + slot * panel_size},
                    team);
  });
}

void recurrent_fwd(const RecurrentFwdArgs& a) {
  visit_float(a.s.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (a.s.batch * a.s.hidden == 0) return;
    forward<T>(a);
    copy_last_states<T>(a);
  });
}

}  // namespace fastdl::FASTDL_ISA
