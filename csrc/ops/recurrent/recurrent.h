// Recurrent layers over whole sequences: one layer, one or two directions, all steps in one call.
//
//   RNN    h' = tanh(g) or relu(g)                               g = W_ih x + b_ih + W_hh h + b_hh
//   LSTM   i, f, o = sigmoid(g_i, g_f, g_o),  c~ = tanh(g_g)     c' = f c + i c~,  h' = o tanh(c')
//   GRU    r, z = sigmoid(g_r, g_z),  n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h' = n + z (h - n)
//
// Gates lie one after another along the rows of the weights: i, f, g, o and r, z, n, as in PyTorch.
//
// Rows: sequence j at step t is row first[t] + j * stride of x, out and everything that the backward pass reads. Full
// batches have stride 1 (time first) or `steps` (batch first); packed sequences lie longest first, and step t has only
// the first active[t] of them:
//
//   packed, lengths 4 2 1:     step  0 0 0  1 1  2  3
//                              seq.  0 1 2  0 1  0  0
#pragma once
#include "core/array.h"
#include "core/host_device.h"
#include "core/kernel.h"

namespace fastdl {

enum class Cell { kTanh, kRelu, kLstm, kGru };

// Blocks of `hidden` rows in the weights, and numbers kept for the backward pass, per hidden unit.
FASTDL_HD int gate_count(Cell cell) {
  return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
}
// LSTM: i, f, c~, o. GRU: r, z, n, W_hn h + b_hn. The gradient of RNN needs only its output.
FASTDL_HD int saved_count(Cell cell) {
  return cell == Cell::kLstm || cell == Cell::kGru ? 4 : 0;
}

struct RecurrentShape {
  DType dtype;
  Cell cell;
  int directions;  // the second one walks backwards in time
  int64_t steps, batch, input, hidden;
  int64_t rows;           // of x and out
  const int64_t* first;   // [steps]
  int64_t stride;         // rows between sequences of a step
  const int64_t* active;  // [steps] sequences at each step, not increasing
  const int64_t* order;   // [batch] sequence j has row order[j] of the states
};

// weight_ih (gates * hidden, input), weight_hh (gates * hidden, hidden), biases (gates * hidden) or null.
struct RecurrentWeights {
  const void *ih, *hh, *bias_ih, *bias_hh;
};

struct RecurrentFwdArgs {
  RecurrentShape s;
  const void* x;          // (rows, input)
  const void *h0, *c0;    // (directions, batch, hidden); null: zeros
  RecurrentWeights w[2];  // of each direction
  void* out;              // (rows, directions * hidden)
  void *h_n, *c_n;        // (directions, batch, hidden); c_n: LSTM only
  void *gates,
      *cells;  // for the backward pass, or null: (directions, rows, saved * hidden), (directions, rows, hidden)
};

struct RecurrentBwdArgs {
  RecurrentShape s;
  const void *grad_out, *grad_h, *grad_c;  // like out, h_n, c_n; null: zeros
  const void *x, *h0, *c0;
  RecurrentWeights w[2];
  const void *out, *gates, *cells;  // as the forward pass left them
  // Null where not wanted. The gradients of the weights come together or not at all.
  void *grad_x, *grad_h0, *grad_c0;
  void *grad_ih[2], *grad_hh[2], *grad_bias_ih[2], *grad_bias_hh[2];
};

// Rows of a padded batch to packed rows (packs), or back; rows past the end of their sequence become `padding`.
struct PackRowsArgs {
  RecurrentShape s;  // steps, batch, active, order; first and rows of the packed side; input: numbers in a row
  bool packs;
  bool batch_first;      // padded: (batch, padded_steps, input), else (padded_steps, batch, input)
  int64_t padded_steps;  // at least steps
  double padding;
  const void* from;
  void* to;
};

// Floating-point operations of the products, and the least memory traffic, for benchmarks.
inline double recurrent_flops(const RecurrentShape& s) {
  return 2.0 * s.directions * gate_count(s.cell) * s.hidden * (s.input + s.hidden) * static_cast<double>(s.rows);
}
inline double recurrent_bytes(const RecurrentShape& s) {
  const double weights = 1.0 * s.directions * gate_count(s.cell) * s.hidden * (s.input + s.hidden);
  return static_cast<double>(itemsize(s.dtype)) * (weights + 1.0 * s.rows * (s.input + s.directions * s.hidden));
}

}  // namespace fastdl

FASTDL_KERNEL(recurrent_fwd, RecurrentFwdArgs)
FASTDL_KERNEL(recurrent_bwd, RecurrentBwdArgs)
FASTDL_KERNEL(pack_rows, PackRowsArgs)
