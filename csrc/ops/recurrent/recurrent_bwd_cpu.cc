// The backward walk (backpropagation through time), and the gradients of inputs and weights.
//
// From the last step to the first, with dG the gradient of the gates before their activations, (rows, gates * hidden):
//
//   dh(t) = grad_out(t) + dG(t+1) W_hh         a product as in the forward walk; panels are columns of W_hh
//   dG(t) = dh(t) through the gates            on the tile, while it lies in L1
//
// Then everything else is a product over the rows of all steps at once:
//
//   grad_x = dG W_ih      [grad_W_ih, grad_W_hh, grad_b] = dG^T [x, h_before, 1]
//
// The second one is made transposed: dG, the larger operand, is then read where it lies. GRU has two dG: the third
// gate's h part is the x part times r.
#include "ops/recurrent/recurrent_amx-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kTurnColumns = 128;  // of a gradient that a thread turns at a time

// Numbers between rows of at least n: whole lines of the cache, but no distance that puts all rows in the same sets.
template <class T>
FASTDL_INLINE int64_t padded_row(int64_t n) {
  const int64_t row = ceil_div(n, kLine<T>) * kLine<T>;
  return row * static_cast<int64_t>(sizeof(T)) % kSamePlace ? row : row + kLine<T>;
}

// One call, as all walkers see it. Of two directions, every array has the second one behind the first.
template <class T>
struct Backward {
  RecurrentBwdArgs a;
  int64_t gates;   // columns of dG
  int64_t row;     // numbers between its rows
  int64_t panels;  // of a direction, each of `units` columns of W_hh
  int64_t units;
  T* weights;      // packed: [direction][panel][gates][units]
  const T* zeros;  // a row of dG, and of states
  T* grad_h_side;  // dG beside W_hh
  T* grad_x_side;  // dG beside W_ih: the same but for GRU
  T* carry_h;      // (directions, batch, hidden): what reaches h past W_hh
  T* carry_c;      // LSTM: the gradient of c
  AmxWalk amx;
};

template <class T>
FASTDL_INLINE T* gates_row(const Backward<T>& b, T* side, int direction, int64_t t, int64_t j) {
  return side + (direction * b.a.s.rows + kept_at(b.a.s, t, j)) * b.row;
}

// h or c before step t of sequence j: of the step before, or of the first states, or zeros.
template <class T>
FASTDL_INLINE const T* first_state(const Backward<T>& b, int d, int64_t j, const void* states) {
  const RecurrentShape& s = b.a.s;
  return states ? static_cast<const T*>(states) + (d * s.batch + s.order[j]) * s.hidden : b.zeros;
}
template <class T>
FASTDL_INLINE const T* h_before(const Backward<T>& b, int d, int64_t t, int64_t j) {
  const RecurrentShape& s = b.a.s;
  if (j >= with_previous(s, d, t)) return first_state<T>(b, d, j, b.a.h0);
  return static_cast<const T*>(b.a.out) + (row_at(s, d ? t + 1 : t - 1, j) * s.directions + d) * s.hidden;
}
template <class T>
FASTDL_INLINE const T* c_before(const Backward<T>& b, int d, int64_t t, int64_t j) {
  const RecurrentShape& s = b.a.s;
  if (j >= with_previous(s, d, t)) return first_state<T>(b, d, j, b.a.c0);
  return static_cast<const T*>(b.a.cells) + (d * s.rows + kept_at(s, d ? t + 1 : t - 1, j)) * s.hidden;
}

// ---- gates ----------------------------------------------------------------------------------------------------------

// Where one vector of units of a row is read and written.
template <class T>
struct GradRow {
  const T *h, *h_before;          // RNN: the new state; GRU: the old one
  const T *gates, *c, *c_before;  // as saved
  T *grads, *grads_x;             // dG
  T *carry_h, *carry_c;
};

template <class T>
FASTDL_INLINE void lstm_grad(Vec<T> dh, const GradRow<T>& r, int64_t H, int64_t n) {
  const Vec<T> i = load_some<T>(r.gates, n), f = load_some<T>(r.gates + H, n);
  const Vec<T> g = load_some<T>(r.gates + 2 * H, n), o = load_some<T>(r.gates + 3 * H, n);
  const Vec<T> tanh_c = gate_tanh<T>(load_some<T>(r.c, n));
  const Vec<T> dc = load_some<T>(r.carry_c, n) + dh * o * (T{1} - tanh_c * tanh_c);
  store_some<T>(r.grads, dc * g * i * (T{1} - i), n);
  store_some<T>(r.grads + H, dc * load_some<T>(r.c_before, n) * f * (T{1} - f), n);
  store_some<T>(r.grads + 2 * H, dc * i * (T{1} - g * g), n);
  store_some<T>(r.grads + 3 * H, dh * tanh_c * o * (T{1} - o), n);
  store_some<T>(r.carry_c, dc * f, n);
}

template <class T>
FASTDL_INLINE void gru_grad(Vec<T> dh, const GradRow<T>& row, int64_t H, int64_t units) {
  const Vec<T> r = load_some<T>(row.gates, units), z = load_some<T>(row.gates + H, units);
  const Vec<T> n = load_some<T>(row.gates + 2 * H, units), hidden = load_some<T>(row.gates + 3 * H, units);
  const Vec<T> dn = dh * (T{1} - z) * (T{1} - n * n);
  const Vec<T> dr = dn * hidden * r * (T{1} - r);
  const Vec<T> dz = dh * (load_some<T>(row.h_before, units) - n) * z * (T{1} - z);
  store_some<T>(row.grads, dr, units);
  store_some<T>(row.grads + H, dz, units);
  store_some<T>(row.grads + 2 * H, dn * r, units);
  store_some<T>(row.grads_x, dr, units);
  store_some<T>(row.grads_x + H, dz, units);
  store_some<T>(row.grads_x + 2 * H, dn, units);
  store_some<T>(row.carry_h, dh * z, units);
}

template <class T>
FASTDL_INLINE void rnn_grad(Vec<T> dh, const GradRow<T>& r, int64_t n, bool relu) {
  const Vec<T> h = load_some<T>(r.h, n);
  store_some<T>(r.grads, relu ? select<T>(h <= T{0}, Vec<T>{}, dh) : dh * (T{1} - h * h), n);
}

// ---- a walk ---------------------------------------------------------------------------------------------------------

// A tile of products: rows `tile_row` numbers apart, of so many units from `unit` on.
template <class T>
FASTDL_INLINE void finish_grad_tile(const Backward<T>& b, const Walker& w, int64_t t, int64_t first, int64_t rows,
                                    int64_t unit, int64_t units, const T* tile, int64_t tile_row) {
  constexpr int L = kLanes<T>;
  const RecurrentShape& s = b.a.s;
  const int d = w.direction;
  const int64_t H = s.hidden, next = with_next(s, d, t);
  for (int64_t i = 0; i < rows; ++i, tile += tile_row) {
    const int64_t j = w.first + first + i, saved = d * s.rows + kept_at(s, t, j);
    const int64_t state = (d * s.batch + s.order[j]) * H, out_row = (row_at(s, t, j) * s.directions + d) * H;
    const bool carries = j >= next || s.cell == Cell::kGru;
    const T* const before = s.cell == Cell::kGru ? h_before<T>(b, d, t, j) : nullptr;
    const T* const old_c = s.cell == Cell::kLstm ? c_before<T>(b, d, t, j) : nullptr;
    for (int64_t u = unit; u < min64(unit + units, H); u += L) {
      const int64_t n = min64(L, H - u);
      Vec<T> dh = load<T>(tile + u - unit);
      if (b.a.grad_out) dh += load_some<T>(static_cast<const T*>(b.a.grad_out) + out_row + u, n);
      if (carries) dh += load_some<T>(b.carry_h + state + u, n);
      GradRow<T> r{};
      r.grads = gates_row<T>(b, b.grad_h_side, d, t, j) + u;
      r.carry_h = b.carry_h + state + u;
      switch (s.cell) {
        case Cell::kLstm:
          r.gates = static_cast<const T*>(b.a.gates) + saved * kStepVecs * H + u;
          r.c = static_cast<const T*>(b.a.cells) + saved * H + u, r.c_before = old_c + u;
          r.carry_c = b.carry_c + state + u;
          lstm_grad<T>(dh, r, H, n);
          break;
        case Cell::kGru:
          r.gates = static_cast<const T*>(b.a.gates) + saved * kStepVecs * H + u;
          r.grads_x = gates_row<T>(b, b.grad_x_side, d, t, j) + u;
          r.h_before = before + u;
          gru_grad<T>(dh, r, H, n);
          break;
        default:
          r.h = static_cast<const T*>(b.a.out) + out_row + u;
          rnn_grad<T>(dh, r, n, s.cell == Cell::kRelu);
      }
    }
  }
}

// The gradient of the first states: one product more, behind the first step.
template <class T>
static void finish_first_states(const Backward<T>& b, const Walker& w, int64_t first, int64_t rows, int64_t unit,
                                int64_t units, const T* tile, int64_t tile_row) {
  constexpr int L = kLanes<T>;
  const RecurrentShape& s = b.a.s;
  for (int64_t i = 0; i < rows; ++i, tile += tile_row) {
    T* const to = b.carry_h + (w.direction * s.batch + s.order[w.first + first + i]) * s.hidden;
    for (int64_t u = unit; u < min64(unit + units, s.hidden); u += L) {
      const int64_t n = s.hidden - u;
      Vec<T> dh = load<T>(tile + u - unit);
      if (s.cell == Cell::kGru) dh += load_some<T>(to + u, n);
      store_some<T>(to + u, dh, n);
    }
  }
}

// What the walk reads and writes of the step before the i-th.
template <class T>
static Coming<T> coming_grads(const Backward<T>& b, const Walker& w, int64_t i) {
  const RecurrentShape& s = b.a.s;
  Coming<T> c;
  if (i == 0) return c;
  const int64_t t = step_at(s, w.direction, i - 1), n = min64(s.active[t], w.last) - w.first;
  const int64_t out_row = row_at(s, t, w.first) * s.directions * s.hidden;
  const int64_t row = w.direction * s.rows + kept_at(s, t, w.first);
  if (s.stride == 1) add_run<T>(c, b.a.grad_out, out_row, n * s.directions * s.hidden);
  add_run<T>(c, b.a.cells, row * s.hidden, n * s.hidden);
  add_run<T>(c, b.grad_h_side, row * b.row, n * b.row);
  add_run<T>(c, b.a.gates, row * kStepVecs * s.hidden, n * kStepVecs * s.hidden);
  return c;
}

// dG of the step after t, of the first `count` sequences.
template <class T>
static void collect_grads(const Backward<T>& b, const Walker& w, int64_t t, int64_t count, const T** grads) {
  const int d = w.direction;
  const int64_t next = with_next(b.a.s, d, t);
  for (int64_t k = 0; k < count; ++k) {
    const int64_t j = w.first + k;
    grads[k] = j < next ? gates_row<T>(b, b.grad_h_side, d, d ? t - 1 : t + 1, j) : b.zeros;
  }
}
// dG of the first step of each sequence.
template <class T>
static void collect_first_grads(const Backward<T>& b, const Walker& w, const T** grads) {
  const RecurrentShape& s = b.a.s;
  const int d = w.direction;
  int64_t t = d ? s.steps - 1 : 0;
  for (int64_t j = w.first; j < w.last; ++j) {
    while (d && s.active[t] <= j) --t;  // where the walk of this sequence began
    grads[j - w.first] = gates_row<T>(b, b.grad_h_side, d, t, j);
  }
}

template <class T>
static void walk_backward(const Backward<T>& b, const Walker& w, const T** grads, T* tiles, Team& team) {
  const RecurrentShape& s = b.a.s;
  const int d = w.direction;
  const T* const weights = b.weights + d * b.panels * b.gates * b.units;
  const auto product_with = [&](int64_t panel, int64_t gates) {
    return Product<T>{0, gates, grads, grads, weights + panel * b.gates * b.units, b.zeros};
  };
  for (int64_t i = s.steps - 1; i >= 0; --i) {
    const int64_t t = step_at(s, d, i), next = with_next(s, d, t);
    const int64_t count = min64(s.active[t], w.last) - w.first;
    collect_grads<T>(b, w, t, count, grads);
    const int64_t gates = next > 0 ? b.gates : 0;
    const auto product = [&](int64_t panel) { return product_with(panel, gates); };
    Coming<T> coming = coming_grads<T>(b, w, i);
    multiply_panels<T>(w, i, count > 0 ? count : 0, false, tiles, coming, product,
                       [&](int64_t first, int64_t rows, int64_t panel, const T* tile) {
                         finish_grad_tile<T>(b, w, t, first, rows, panel * b.units, b.units, tile, kTileStep<T>);
                       });
    team.wait();
  }
  if (!b.a.grad_h0 || s.steps < 2) return;
  collect_first_grads<T>(b, w, grads);
  const auto product = [&](int64_t panel) { return product_with(panel, b.gates); };
  Coming<T> nothing;
  multiply_panels<T>(w, 0, w.last - w.first, false, tiles, nothing, product,
                     [&](int64_t first, int64_t rows, int64_t panel, const T* tile) {
                       finish_first_states<T>(b, w, first, rows, panel * b.units, b.units, tile, kTileStep<T>);
                     });
  team.wait();
}

// ---- a walk on the tile unit ----------------------------------------------------------------------------------------

#if defined(FASTDL_ISA_amx)

// A block of dh: up to 32 sequences and 32 units.
template <class Finish>
struct AmxGrads {
  AmxProduct product;
  int64_t first, unit, columns;
  float* block;
  const Finish* finish;
};
template <class Finish>
static void finish_piece(const void* what, int64_t piece) {
  constexpr int L = kLanes<float>;
  const auto& p = *static_cast<const AmxGrads<Finish>*>(what);
  const bool two = p.columns > L;
  const int64_t i = two ? piece / 2 : piece, v = two ? piece % 2 * L : 0;
  float* const at = p.block + i * kAmxSide + v;
  if (__builtin_expect(any_lane<float>(load<float>(at) * 0.0f != 0.0f), 0))
    store<float>(at, made_again(p.product, i, v, load<float>(at)));
  (*p.finish)(p.first + i, p.unit + v, at);
}

// dG of `count` rows times all panels; finish(row, unit, numbers) on each vector of units.
template <class Finish>
FASTDL_INLINE void multiply_grads_amx(const Backward<float>& b, const Walker& w, int64_t i, int64_t count,
                                      int64_t steps, const float* const* grads, Bf16* split, const Coming<float>& runs,
                                      const Finish& finish) {
  const int64_t size = b.amx.h_steps * kAmxStep, panels = w.last_panel - w.first_panel;
  const int64_t parts = ceil_div(count, kAmxSide);
  const Bf16* const weights = b.amx.weights + w.direction * b.amx.panels * size;
  alignas(64) float blocks[2][kAmxBlock];
  for (int64_t k = 0; steps > 0 && k < parts; ++k)
    amx_pack_rows(split + k * size, grads + k * kAmxSide, min64(kAmxSide, count - k * kAmxSide), b.gates);
  AmxComing coming = amx_coming(runs, parts * panels * b.amx.h_steps);
  AmxBeside work{};
  AmxGrads<Finish> before;  // what `work` is about
  for (int64_t q = 0; q < panels * parts; ++q) {
    const int64_t panel = panel_at(w, i, q / parts), unit = panel * kAmxUnits, first = q % parts * kAmxSide;
    const int64_t rows = min64(kAmxSide, count - first), columns = min64(kAmxUnits, b.a.s.hidden - unit);
    const AmxProduct product{steps, split + q % parts * size, weights + panel * size};
    float* const block = blocks[q % 2];
    amx_block_for(rows, columns)(product, amx_ahead(coming, steps, block), work, block);
    finish_all(work);
    before = {product, first, unit, columns, block, &finish};
    const int64_t pieces = rows * ceil_div(columns, kLanes<float>);
    work = beside(finish_piece<Finish>, &before, pieces, b.amx.h_steps);
  }
  finish_all(work);
}

static void walk_backward_amx(const Backward<float>& b, const Walker& w, const float** grads, Bf16* split, Team& team) {
  const RecurrentShape& s = b.a.s;
  tile_begin();
  for (int64_t i = s.steps - 1; i >= 0; --i) {
    const int64_t t = step_at(s, w.direction, i), count = min64(s.active[t], w.last) - w.first;
    if (count > 0) {
      collect_grads<float>(b, w, t, count, grads);
      multiply_grads_amx(b, w, i, count, with_next(s, w.direction, t) > 0 ? b.amx.h_steps : 0, grads, split,
                         coming_grads<float>(b, w, i), [&](int64_t row, int64_t unit, const float* dh) {
                           finish_grad_tile<float>(b, w, t, row, 1, unit, kLanes<float>, dh, 0);
                         });
    }
    team.wait();
  }
  if (b.a.grad_h0) {
    collect_first_grads<float>(b, w, grads);
    multiply_grads_amx(b, w, 0, w.last - w.first, b.amx.h_steps, grads, split, Coming<float>{},
                       [&](int64_t row, int64_t unit, const float* dh) {
                         finish_first_states<float>(b, w, row, 1, unit, kLanes<float>, dh, 0);
                       });
    team.wait();
  }
  tile_end();
}

static void backward_amx(Backward<float>& b) {
  const RecurrentShape& s = b.a.s;
  const int64_t all = s.directions * b.amx.panels, size = b.amx.h_steps * kAmxStep;
  const Division division = divide_steps(s, b.amx.panels, 2 * b.gates * s.hidden, b.amx.own_sequences);
  const int64_t walkers = slots(s, division);
  Scratch<Bf16> weights(all * size), split(walkers * b.amx.walker_rows);
  Scratch<const float*> grads(walkers * s.batch);
  b.amx.weights = weights;
  parallel_for(all, ceil_div(kPackGrain / 4, size), [&](int64_t i, int64_t last) {
    for (; i < last; ++i) {
      const int64_t unit = i % b.amx.panels * kAmxUnits;
      const Operand<float> hh{static_cast<const float*>(b.a.w[i / b.amx.panels].hh), s.hidden, false};
      amx_pack_b(b.amx.weights + i * size, 0, hh, unit, min64(kAmxUnits, s.hidden - unit), 0, b.gates);
    }
  });
  walk_all(s, division, b.amx.panels, [&](const Walker& w, int64_t slot, Team& team) {
    walk_backward_amx(b, w, grads.get() + slot * s.batch, split + slot * b.amx.walker_rows, team);
  });
}

#endif

// ---- products over all steps ----------------------------------------------------------------------------------------

template <class T>
static void multiply_all(int64_t m, int64_t n, int64_t k, const Operand<T>& a, const Operand<T>& b, T* c, int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    __builtin_memset(c, 0, static_cast<size_t>(m * ldc) * sizeof(T));
    return;
  }
  gemm<T>(plan_gemm<T>(m, n, k, b.along_k, b.ld), a, b, c, ldc, [](T*, int64_t, int64_t, int64_t, int64_t, int64_t) {});
}

// The gradient of the first states of a single step, with W_hh as it lies: nothing else would use its panels.
template <class T>
static void grad_states_of_one(const Backward<T>& b) {
  const RecurrentShape& s = b.a.s;
  const int64_t H = s.hidden;
  Scratch<T> product(s.batch * H);
  for (int d = 0; d < s.directions; ++d) {
    const Operand<T> grads{gates_row<T>(b, b.grad_h_side, d, 0, 0), b.row, true};
    multiply_all<T>(s.batch, H, b.gates, grads, Operand<T>{static_cast<const T*>(b.a.w[d].hh), H, false}, product.get(),
                    H);
    for (int64_t j = 0; j < s.batch; ++j) {
      T* const to = b.carry_h + (d * s.batch + s.order[j]) * H;
      for (int64_t i = 0; i < H; i += kLanes<T>) {
        Vec<T> dh = load_some<T>(product + j * H + i, H - i);
        if (s.cell == Cell::kGru) dh += load_some<T>(to + i, H - i);
        store_some<T>(to + i, dh, H - i);
      }
    }
  }
}

template <class T>
static void add_rows(T* to, const T* more, int64_t n) {
  parallel_for(n, kPackGrain, [&](int64_t i, int64_t end) {
    for (; i < end; i += kLanes<T>)
      store_some<T>(to + i, load_some<T>(to + i, end - i) + load_some<T>(more + i, end - i), end - i);
  });
}

template <class T>
static void grad_input(const Backward<T>& b) {
  const RecurrentShape& s = b.a.s;
  const int64_t I = s.input, size = s.rows * I;
  const bool moves = s.stride != 1;  // from the order of steps to that of x
  T* const grad_x = static_cast<T*>(b.a.grad_x);
  Scratch<T> kept(moves ? size : 0), second(s.directions > 1 ? size : 0);
  T* const first = moves ? kept.get() : grad_x;
  for (int d = 0; d < s.directions; ++d) {
    const Operand<T> grads{b.grad_x_side + d * s.rows * b.row, b.row, true};
    const Operand<T> weight{static_cast<const T*>(b.a.w[d].ih), I, false};
    multiply_all<T>(s.rows, I, b.gates, grads, weight, d ? second.get() : first, I);
  }
  if (s.directions > 1) add_rows<T>(first, second, size);
  if (!moves) return;
  parallel_for(s.steps, ceil_div(kPackGrain, s.batch * I + 1), [&](int64_t t, int64_t last) {
    for (; t < last; ++t)
      for (int64_t j = 0; j < s.batch; ++j)
        __builtin_memcpy(grad_x + row_at(s, t, j) * I, first + kept_at(s, t, j) * I,
                         static_cast<size_t>(I) * sizeof(T));
  });
}

// Turns columns of the gradient, `lines` of them to a row of `to`.
template <class T>
static void turn(const Backward<T>& b, const T* from, int64_t lines, void* to) {
  parallel_for(b.gates, kTurnColumns, [&](int64_t begin, int64_t end) {
    transpose_matrix<T>(from + begin, b.row, lines, end - begin, static_cast<T*>(to) + begin * lines, lines);
  });
}

// What a product of dG has beside it: x, h_before, or both, and ones where there is a bias.
struct Beside {
  void *ih, *hh, *bias;  // the gradients, null where not wanted
};
template <class T>
static void multiply_weights(const Backward<T>& b, int d, const T* side, const Beside& to) {
  const RecurrentShape& s = b.a.s;
  const int64_t I = to.ih ? s.input : 0, H = to.hh ? s.hidden : 0, width = I + H + (to.bias ? 1 : 0);
  const int64_t ld = padded_row<T>(width);
  const size_t x_bytes = static_cast<size_t>(I) * sizeof(T), h_bytes = static_cast<size_t>(H) * sizeof(T);
  const T* const x = static_cast<const T*>(b.a.x);
  Scratch<T> rows(s.rows * ld), turned(width * b.row);
  parallel_for(s.steps, ceil_div(kPackGrain, s.batch * ld), [&](int64_t t, int64_t last) {
    for (; t < last; ++t) {
      for (int64_t j = 0; j < s.active[t]; ++j) {
        T* const row = rows + kept_at(s, t, j) * ld;
        __builtin_memcpy(row, x + row_at(s, t, j) * s.input, x_bytes);
        __builtin_memcpy(row + I, h_before<T>(b, d, t, j), h_bytes);
        if (to.bias) row[I + H] = T{1};
      }
    }
  });
  multiply_all<T>(width, b.gates, s.rows, Operand<T>{rows, ld, false}, Operand<T>{side, b.row, false}, turned.get(),
                  b.row);
  if (to.ih) turn<T>(b, turned, I, to.ih);
  if (to.hh) turn<T>(b, turned + I * b.row, H, to.hh);
  if (to.bias) __builtin_memcpy(to.bias, turned + (I + H) * b.row, static_cast<size_t>(b.gates) * sizeof(T));
}

template <class T>
static void grad_weights(const Backward<T>& b) {
  const RecurrentShape& s = b.a.s;
  const size_t bias_bytes = static_cast<size_t>(b.gates) * sizeof(T);
  for (int d = 0; d < s.directions; ++d) {
    const T *x_side = b.grad_x_side + d * s.rows * b.row, *h_side = b.grad_h_side + d * s.rows * b.row;
    void *const ih = b.a.grad_ih[d], *const hh = b.a.grad_hh[d], *const bias = b.a.grad_bias_ih[d];
    if (s.cell == Cell::kGru) {
      multiply_weights<T>(b, d, x_side, {ih, nullptr, bias});
      multiply_weights<T>(b, d, h_side, {nullptr, hh, b.a.grad_bias_hh[d]});
      continue;
    }
    multiply_weights<T>(b, d, h_side, {ih, hh, bias});
    if (bias) __builtin_memcpy(b.a.grad_bias_hh[d], bias, bias_bytes);
  }
}

// ---- launcher -------------------------------------------------------------------------------------------------------

template <class T>
static void start_carry(T* carry, const void* grad, size_t bytes) {
  grad ? __builtin_memcpy(carry, grad, bytes) : __builtin_memset(carry, 0, bytes);
}

template <class T>
static void backward_by_vectors(Backward<T>& b) {
  const RecurrentShape& s = b.a.s;
  const int64_t all = s.steps > 1 ? s.directions * b.panels : 0;  // one step has no product
  Scratch<T> weights(all * b.gates * b.units);
  b.weights = weights;
  parallel_for(all, ceil_div(kPackGrain, b.gates * b.units), [&](int64_t i, int64_t last) {
    for (; i < last; ++i) {
      const int64_t unit = i % b.panels * b.units;
      pack_columns<T>(b.weights + i * b.gates * b.units, b.units, static_cast<const T*>(b.a.w[i / b.panels].hh) + unit,
                      s.hidden, s.hidden - unit, b.gates);
    }
  });

  const Division division = divide_steps(s, b.panels, 2 * b.gates * s.hidden);
  Scratch<const T*> grads(slots(s, division) * s.batch);
  const int64_t tiles_size = (s.batch + 1) * kTileStep<T>;
  Scratch<T> tiles(slots(s, division) * tiles_size);
  walk_all(s, division, b.panels, [&](const Walker& w, int64_t slot, Team& team) {
    walk_backward<T>(b, w, grads.get() + slot * s.batch, tiles.get() + slot * tiles_size, team);
  });
}

template <class T>
static void backward(const RecurrentBwdArgs& a) {
  const RecurrentShape& s = a.s;
  Backward<T> b{};
  b.a = a, b.gates = gate_count(s.cell) * s.hidden, b.units = kTileStep<T>;
  b.panels = ceil_div(s.hidden, b.units), b.row = padded_row<T>(b.gates);
  const int64_t dg = s.directions * s.rows * b.row;
  const int64_t states = s.directions * s.batch * s.hidden, row = b.gates > kTileStep<T> ? b.gates : kTileStep<T>;
  Scratch<T> zeros(row), h_side(dg), x_side(s.cell == Cell::kGru ? dg : 0);
  Scratch<T> carry_h(a.grad_h0 ? 0 : states), carry_c(a.grad_c0 ? 0 : states);
  __builtin_memset(zeros, 0, static_cast<size_t>(row) * sizeof(T));
  b.zeros = zeros, b.grad_h_side = h_side;
  b.grad_x_side = s.cell == Cell::kGru ? x_side.get() : h_side.get();
  b.carry_h = a.grad_h0 ? static_cast<T*>(a.grad_h0) : carry_h.get();
  b.carry_c = a.grad_c0 ? static_cast<T*>(a.grad_c0) : carry_c.get();
  start_carry<T>(b.carry_h, a.grad_h, static_cast<size_t>(states) * sizeof(T));
  start_carry<T>(b.carry_c, a.grad_c, static_cast<size_t>(states) * sizeof(T));
  b.amx = plan_amx_walk(s, s.hidden, 0, b.gates);
  if constexpr (kHasAmx<T>) {
    if (b.amx.used) backward_amx(b);
  }
  if (!b.amx.used) backward_by_vectors<T>(b);
  if (a.grad_h0 && s.steps == 1) grad_states_of_one<T>(b);
  if (a.grad_x) grad_input<T>(b);
  if (a.grad_ih[0]) grad_weights<T>(b);
}

// Without states there are no numbers but zeros.
static void zero_gradients(const RecurrentBwdArgs& a) {
  const RecurrentShape& s = a.s;
  const int64_t gates = gate_count(s.cell) * s.hidden, item = static_cast<int64_t>(itemsize(s.dtype));
  const auto zero = [&](void* p, int64_t n) {
    if (p) __builtin_memset(p, 0, static_cast<size_t>(n * item));
  };
  zero(a.grad_x, s.rows * s.input);
  for (int d = 0; d < s.directions; ++d) {
    zero(a.grad_ih[d], gates * s.input), zero(a.grad_hh[d], gates * s.hidden);
    zero(a.grad_bias_ih[d], gates), zero(a.grad_bias_hh[d], gates);
  }
}

void recurrent_bwd(const RecurrentBwdArgs& a) {
  if (a.s.batch * a.s.hidden == 0) return zero_gradients(a);
  visit_float(a.s.dtype, [&](auto zero) { backward<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
