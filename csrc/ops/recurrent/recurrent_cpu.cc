// The forward walk. A walker (a thread; see recurrent_steps-inl.h) has some sequences and some panels. Per step and
// panel it multiplies tiles of kStepRows sequences and turns each tile into new states while it lies in L1:
//
//   h of the last step: rows of `out` --+
//   x of this step ---------------------+--> product, in registers --> tile, in L1 --> gates --> c, h, `out`
//   panel, from L2 or L3 ---------------+
//
// Many sequences: one product over x and h together. Few: the input product of several steps at once, before them.
// One step (a cell): each panel is packed when its turn comes, into the same place. Of few sequences, every weight is
// used a few times only, and read where it lies. On the tile unit gates follow a panel later (recurrent_amx-inl.h).
#include "cpu/thin_product-inl.h"
#include "ops/recurrent/recurrent_amx-inl.h"

namespace fastdl::FASTDL_ISA {

// Sequences of a single step that is not worth packing for.
#if defined(FASTDL_ISA_amx)
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
  AmxWalk amx;
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

// A row of up to four vectors of gates, or of units: of sequence j, from `unit` on. h: its state before.
template <class T>
FASTDL_INLINE void finish_row(const Forward<T>& f, Cell cell, int direction, int64_t t, int64_t j, int64_t unit,
                              int64_t n, const T* tile, const T* h) {
  const RecurrentShape& s = f.a.s;
  const int64_t H = s.hidden, row = row_at(s, t, j), saved = direction * s.rows + kept_at(s, t, j);
  RowOut<T> r{};
  r.h = static_cast<T*>(f.a.out) + (row * s.directions + direction) * H + unit;
  if (f.a.gates) r.gates = static_cast<T*>(f.a.gates) + saved * kStepVecs * H + unit;
  if (f.a.cells) r.cells = static_cast<T*>(f.a.cells) + saved * H + unit;
  switch (cell) {
    case Cell::kLstm:
      r.c = static_cast<T*>(f.a.c_n) + (direction * s.batch + s.order[j]) * H + unit;
      lstm_row<T>(tile, r, H, n);
      break;
    case Cell::kGru:
      r.h_before = h + unit;
      gru_row<T>(tile, r, H, n);
      break;
    default:
      rnn_row<T>(tile, r, n, cell == Cell::kRelu);
  }
}

template <class T>
static void finish_tile(const Forward<T>& f, const Walker& w, int64_t t, int64_t first, int64_t rows, int64_t panel,
                        const T* tile, const T* const* h) {
  const int64_t unit = panel * f.units, n = min64(f.units, f.a.s.hidden - unit);
  for (int64_t i = first; i < first + rows; ++i, tile += kTileStep<T>)
    finish_row<T>(f, f.a.s.cell, w.direction, t, w.first + i, unit, n, tile, h[i]);
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

// ---- a walk on the tile unit ----------------------------------------------------------------------------------------

#if defined(FASTDL_ISA_amx)

// The vectors of gates that a panel has, of x and of h: GRU has the third gate of either.
FASTDL_INLINE constexpr int amx_slots(Cell cell) {
  return cell == Cell::kLstm || cell == Cell::kGru ? 4 : 1;
}

FASTDL_INLINE int64_t amx_panel_size(const AmxWalk& w, int64_t gates) {
  return gates * (w.x_steps + w.h_steps) * kAmxStep;
}

static void amx_pack_panel(const Forward<float>& f, int64_t index) {
  const RecurrentShape& s = f.a.s;
  const AmxWalk& amx = f.amx;
  const RecurrentWeights& w = f.a.w[index / amx.panels];
  const int64_t gates = gate_count(s.cell), unit = index % amx.panels * kAmxUnits;
  const int64_t n = min64(kAmxUnits, s.hidden - unit);
  Bf16* to = amx.weights + index * amx_panel_size(amx, gates);
  for (int64_t g = 0; g < gates; ++g, to += (amx.x_steps + amx.h_steps) * kAmxStep) {
    const Operand<float> ih{static_cast<const float*>(w.ih), s.input, true};
    const Operand<float> hh{static_cast<const float*>(w.hh), s.hidden, true};
    amx_pack_b(to, 0, ih, g * s.hidden + unit, n, 0, s.input);
    amx_pack_b(to + amx.x_steps * kAmxStep, 0, hh, g * s.hidden + unit, n, 0, s.hidden);
  }
}

// Also the input of the step after the i-th, and its rows of the output.
static AmxComing coming_amx(const Forward<float>& f, const Walker& w, int64_t i, int64_t steps) {
  const RecurrentShape& s = f.a.s;
  Coming<float> c = coming_rows<float>(f, w, i);
  if (i + 1 < s.steps && s.stride == 1) {
    const int64_t t = step_at(s, w.direction, i + 1), row = row_at(s, t, w.first);
    const int64_t n = min64(s.active[t], w.last) - w.first, width = s.directions * s.hidden;
    add_run<float>(c, f.a.out, row * width, n * width);
    add_run<float>(c, f.a.x, row * s.input, n * s.input);
  }
  return amx_coming(c, steps);
}

// Up to 32 sequences of a step and 32 units: a block of each gate, to become new states.
struct AmxPanel {
  const Forward<float>* f;
  const Walker* w;
  int64_t t, first, rows;  // sequences of the walker
  int64_t unit, columns;
  AmxProduct of_x, of_h;  // of the first gate
  const float* const* h;
  float (*blocks)[kAmxBlock];
};

// The product of a block: both parts follow each other, but for the third gate of GRU.
FASTDL_INLINE AmxProduct product_of(const AmxPanel& p, int slot) {
  const bool gru = p.f->a.s.cell == Cell::kGru;
  const int64_t b = (gru && slot == 3 ? 2 : slot) * (p.f->amx.x_steps + p.f->amx.h_steps) * kAmxStep;
  if (gru && slot == 3) return {p.of_h.steps, p.of_h.a, p.of_h.b + b};
  return {p.of_x.steps + (gru && slot == 2 ? 0 : p.of_h.steps), p.of_x.a, p.of_x.b + b};
}

// A vector of units of a sequence.
template <Cell kCell>
static void finish_piece(const void* what, int64_t piece) {
  constexpr int L = kLanes<float>, kSlots = amx_slots(kCell);
  const AmxPanel& p = *static_cast<const AmxPanel*>(what);
  const Forward<float>& f = *p.f;
  const bool two = p.columns > L;
  const int64_t i = two ? piece / 2 : piece, v = two ? piece % 2 * L : 0, j = p.w->first + p.first + i;
  const int64_t unit = p.unit + v, n = min64(L, p.columns - v);
  float* const at = p.blocks[0] + i * kAmxSide + v;
  Vec<float> zeros{};
#pragma GCC unroll 4
  for (int k = 0; k < kSlots; ++k) zeros += load<float>(at + k * kAmxBlock) * 0.0f;
  if (__builtin_expect(any_lane<float>(zeros != 0.0f), 0))
    for (int k = 0; k < kSlots; ++k)
      store<float>(at + k * kAmxBlock, made_again(product_of(p, k), i, v, load<float>(at + k * kAmxBlock)));
  const float* const bias = f.bias + p.w->direction * f.panels * kTileStep<float> + unit * kSlots;
  alignas(64) float tile[kTileStep<float>];
#pragma GCC unroll 4
  for (int k = 0; k < kSlots; ++k)
    store<float>(tile + k * L, load<float>(at + k * kAmxBlock) + load<float>(bias + k * L));
  finish_row<float>(f, kCell, p.w->direction, p.t, j, unit, n, tile, p.h[p.first + i]);
}
static auto finish_piece_for(Cell cell) {
  return cell == Cell::kLstm   ? finish_piece<Cell::kLstm>
         : cell == Cell::kGru  ? finish_piece<Cell::kGru>
         : cell == Cell::kRelu ? finish_piece<Cell::kRelu>
                               : finish_piece<Cell::kTanh>;
}

// The blocks of a panel; `work` is what the panel before has left.
static void multiply_panel(const AmxPanel& p, AmxComing& coming, AmxBeside& work) {
  const AmxBlock step = amx_block_for(p.rows, p.columns);
  const int slots = amx_slots(p.f->a.s.cell);
  for (int k = 0; k < slots; ++k) {
    const AmxProduct product = product_of(p, k);
    step(product, amx_ahead(coming, product.steps, p.blocks[k]), work, p.blocks[k]);
  }
  finish_all(work);
}

static void walk_forward_amx(const Forward<float>& f, const Walker& w, const Rows<float>& rows, Bf16* split,
                             Team& team) {
  const RecurrentShape& s = f.a.s;
  const AmxWalk& amx = f.amx;
  const int64_t gates = gate_count(s.cell), steps = amx.x_steps + amx.h_steps, size = steps * kAmxStep;
  const int64_t h_at = amx.x_steps * kAmxStep, panels = w.last_panel - w.first_panel;
  const Bf16* const weights = amx.weights + w.direction * amx.panels * gates * size;
  alignas(64) float blocks[2][kStepVecs][kAmxBlock];
  const auto finish = finish_piece_for(s.cell);
  tile_begin();
  for (int64_t i = 0; i < s.steps; ++i) {
    const int64_t t = step_at(s, w.direction, i), count = min64(s.active[t], w.last) - w.first;
    if (count > 0) {
      collect_states<float>(f, w, t, count, rows.h);
      const bool starts = !f.a.h0 && with_previous(s, w.direction, t) == 0;  // all states are zeros
      const int64_t h_steps = starts ? 0 : amx.h_steps;
      for (int64_t k = 0; k < count; ++k)
        rows.x[k] = static_cast<const float*>(f.a.x) + row_at(s, t, w.first + k) * s.input;
      const int64_t parts = ceil_div(count, kAmxSide);
      for (int64_t k = 0; k < parts; ++k) {
        const int64_t first = k * kAmxSide, some = min64(kAmxSide, count - first);
        amx_pack_rows(split + k * size, rows.x + first, some, s.input);
        if (h_steps) amx_pack_rows(split + k * size + h_at, rows.h + first, some, s.hidden);
      }
      AmxComing coming = coming_amx(f, w, i, parts * panels * gates * steps);
      AmxBeside work{};
      AmxPanel before;  // what `work` is about
      for (int64_t q = 0; q < panels * parts; ++q) {
        const int64_t panel = panel_at(w, i, q / parts), unit = panel * kAmxUnits, first = q % parts * kAmxSide;
        const Bf16 *const a = split + q % parts * size, *const b = weights + panel * gates * size;
        const AmxPanel p{&f,
                         &w,
                         t,
                         first,
                         min64(kAmxSide, count - first),
                         unit,
                         min64(kAmxUnits, s.hidden - unit),
                         {amx.x_steps, a, b},
                         {h_steps, a + h_at, b + h_at},
                         rows.h,
                         blocks[q % 2]};
        multiply_panel(p, coming, work);
        const int64_t pieces = p.rows * ceil_div(p.columns, kLanes<float>);
        before = p;
        work = beside(finish, &before, pieces, gates * steps);
      }
      finish_all(work);
    }
    team.wait();
  }
  tile_end();
}

static void forward_amx(Forward<float>& f) {
  const RecurrentShape& s = f.a.s;
  const int64_t gates = gate_count(s.cell), all = s.directions * f.amx.panels;
  const int64_t panel_size = amx_panel_size(f.amx, gates);
  const Division division =
      divide_steps(s, f.amx.panels, 2 * gates * s.hidden * (s.input + s.hidden), f.amx.own_sequences);
  const int64_t walkers = slots(s, division);
  Scratch<Bf16> weights(all * panel_size), split(walkers * f.amx.walker_rows);
  f.amx.weights = weights;
  parallel_for(all, ceil_div(kPackGrain / 4, panel_size), [&](int64_t index, int64_t last) {
    for (; index < last; ++index) amx_pack_panel(f, index);
  });
  for (int64_t i = 0; i < s.directions * f.panels; ++i) {
    const RecurrentWeights& w = f.a.w[i / f.panels];
    collect_gates<float>(f, static_cast<const float*>(w.bias_ih), static_cast<const float*>(w.bias_hh),
                         i % f.panels * f.units, f.bias + i * kTileStep<float>);
  }

  Scratch<const float*> rows(walkers * 2 * s.batch);
  walk_all(s, division, f.amx.panels, [&](const Walker& w, int64_t slot, Team& team) {
    const float** const x = rows.get() + slot * 2 * s.batch;
    walk_forward_amx(f, w, Rows<float>{x, x + s.batch, nullptr, nullptr, nullptr}, split + slot * f.amx.walker_rows,
                     team);
  });
}

#endif

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
  Forward<T> f{};
  f.a = a, f.units = gates > 1 ? L : kStepVecs * L, f.width = (gates > 1 ? gates : kStepVecs) * L;
  f.panels = ceil_div(s.hidden, f.units);
  const int64_t all = s.directions * f.panels, panel_size = (s.input + s.hidden) * f.width;
  const Division division = divide_steps(s, f.panels, 2 * gates * s.hidden * (s.input + s.hidden));
  const int64_t walkers = slots(s, division);
  const bool thin = is_thin(s);
  f.late = s.steps == 1;
  f.amx = plan_amx_walk(s, gates * s.hidden, s.input, s.hidden);
  Scratch<T> zeros(s.hidden), weights(thin || f.amx.used ? 0 : (f.late ? walkers : all) * panel_size);
  Scratch<T> bias(thin ? 0 : all * kTileStep<T>);
  __builtin_memset(zeros, 0, static_cast<size_t>(s.hidden) * sizeof(T));
  f.weights = weights, f.bias = bias, f.zeros = zeros;
  if (a.c_n) {
    const size_t bytes = static_cast<size_t>(s.directions * s.batch * s.hidden) * sizeof(T);
    a.c0 ? __builtin_memcpy(a.c_n, a.c0, bytes) : __builtin_memset(a.c_n, 0, bytes);
  }
  if (thin) return forward_thin<T>(f);
  if constexpr (kHasAmx<T>) {
    if (f.amx.used) return forward_amx(f);
  }
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
