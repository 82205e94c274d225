#include <vector>

#include "bind/call.h"
#include "ops/recurrent/recurrent.h"

namespace fastdl {
namespace {

Cell cell_from_name(const char* op, const std::string& name) {
  if (name == "rnn_tanh") return Cell::kTanh;
  if (name == "rnn_relu") return Cell::kRelu;
  if (name == "lstm") return Cell::kLstm;
  EXPECT(name == "gru", ValueError, op, "mode rnn_tanh, rnn_relu, lstm or gru", name);
  return Cell::kGru;
}

// Where the sequences of each step lie: the vectors behind a RecurrentShape.
struct Sequences {
  std::vector<int64_t> first, active, order;
};

// Batch sizes of packed rows: int64, not increasing, at least 1.
void take_batch_sizes(const char* op, const Array& sizes, Sequences& q) {
  expect_ndim(op, "batch_sizes", sizes, 1);
  expect_same_dtype(op, "batch_sizes", sizes, DType::kInt64);
  EXPECT(sizes.size > 0, ValueError, op, "batch_sizes of at least one step", text("shape ", sizes.shape));
  const int64_t* n = static_cast<const int64_t*>(sizes.data);
  q.active.assign(n, n + sizes.size);
  for (int64_t t = 0, row = 0; t < sizes.size; row += n[t++]) {
    EXPECT(n[t] >= 1 && (t == 0 || n[t] <= n[t - 1]), ValueError, op, "batch_sizes that are at least 1 and never grow",
           text(n[t], " at step ", t));
    EXPECT(n[t] < int64_t{1} << 40, ValueError, op, "batch_sizes below 2^40", text(n[t]));
    q.first.push_back(row);
  }
}

// The place of each packed sequence in the batch, a permutation; null: its own.
void take_order(const char* op, const Array* order, int64_t batch, Sequences& q) {
  std::vector<bool> seen(static_cast<size_t>(batch));
  if (order) {
    expect_same_dtype(op, "order", *order, DType::kInt64);
    EXPECT(order->ndim() == 1 && order->size == batch, ValueError, op, text("order of shape (", batch, ",)"),
           text("shape ", order->shape));
  }
  for (int64_t j = 0; j < batch; ++j) {
    const int64_t to = order ? static_cast<const int64_t*>(order->data)[j] : j;
    EXPECT(to >= 0 && to < batch && !seen[static_cast<size_t>(to)], ValueError, op,
           text("order that names each of ", batch, " sequences once"), text(to, " at position ", j));
    seen[static_cast<size_t>(to)] = true;
    q.order.push_back(to);
  }
}

void point_at(const Sequences& q, RecurrentShape& s) {
  s.steps = static_cast<int64_t>(q.first.size());
  s.first = q.first.data(), s.active = q.active.data(), s.order = q.order.data();
}

struct Layer {
  RecurrentShape s{};
  Sequences q;
  RecurrentWeights w[2]{};
};

void take_input(const char* op, const Array& x, const Array* batch_sizes, const Array* order, bool batch_first,
                Layer& l) {
  expect_float(op, "input", x);
  l.s.dtype = x.dtype;
  if (batch_sizes) {
    expect_ndim(op, "input", x, 2);
    take_batch_sizes(op, *batch_sizes, l.q);
    l.s.batch = l.q.active[0], l.s.stride = 1;
    l.s.rows = l.q.first.back() + l.q.active.back();
    EXPECT(l.s.rows == x.dim(0), ValueError, op, text("input of ", l.s.rows, " rows for batch_sizes"),
           text("shape ", x.shape));
  } else {
    expect_ndim(op, "input", x, 3);
    const int64_t steps = x.dim(batch_first ? 1 : 0);
    l.s.batch = x.dim(batch_first ? 0 : 1), l.s.rows = steps * l.s.batch, l.s.stride = batch_first ? steps : 1;
    for (int64_t t = 0; t < steps; ++t) {
      l.q.first.push_back(batch_first ? t : t * l.s.batch);
      l.q.active.push_back(l.s.batch);
    }
  }
  l.s.input = x.dim(x.ndim() - 1);
  take_order(op, order, l.s.batch, l.q);
  point_at(l.q, l.s);
}

void take_weights(const char* op, const ArrayList& weights, bool bidirectional, Layer& l) {
  RecurrentShape& s = l.s;
  s.directions = bidirectional ? 2 : 1;
  const Py_ssize_t each = weights.size() / s.directions;
  EXPECT(weights.size() == each * s.directions && (each == 2 || each == 4), ValueError, op,
         text("2 or 4 weights for each of ", s.directions, " directions"), text(weights.size()));
  EXPECT(weights[1].ndim() == 2, ValueError, op, "weight_hh with 2 dimensions", text("shape ", weights[1].shape));
  s.hidden = weights[1].dim(1);
  const int64_t rows = gate_count(s.cell) * s.hidden;
  const Dims shapes[4] = {{2, {rows, s.input}}, {2, {rows, s.hidden}}, {1, {rows}}, {1, {rows}}};
  constexpr const char* kNames[4] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
  for (int d = 0; d < s.directions; ++d) {
    const void* data[4] = {};
    for (Py_ssize_t i = 0; i < each; ++i) {
      const Array& w = weights[d * each + i];
      expect_same_dtype(op, kNames[i], w, s.dtype);
      expect_shape(op, kNames[i], w, shapes[i]);
      data[i] = w.data;
    }
    l.w[d] = {data[0], data[1], data[2], data[3]};
  }
}

Dims state_shape(const RecurrentShape& s) {
  return {3, {s.directions, s.batch, s.hidden}};
}
Dims out_shape(const Layer& l, const Array& x) {
  Dims shape = x.shape;
  shape[shape.n - 1] = l.s.directions * l.s.hidden;
  return shape;
}
Dims saved_shape(const RecurrentShape& s, int64_t blocks) {
  return {3, {s.directions, s.rows, blocks * s.hidden}};
}

const void* like(const char* op, const char* what, const Array* a, const Dims& shape, DType dtype) {
  if (!a) return nullptr;
  expect_same_dtype(op, what, *a, dtype);
  expect_shape(op, what, *a, shape);
  return a->data;
}

py::object maybe(Array&& a) {
  return a.buffer ? py::cast(std::move(a)) : py::none();
}

void take_states(const char* op, const Layer& l, const Array* h0, const Array* c0) {
  like(op, "h_0", h0, state_shape(l.s), l.s.dtype);
  EXPECT(!c0 || l.s.cell == Cell::kLstm, ValueError, op, "no c_0 but for lstm", "one");
  like(op, "c_0", c0, state_shape(l.s), l.s.dtype);
}

py::tuple recurrent(const std::string& mode, const Array& x, const Array* h0, const Array* c0, const ArrayList& weights,
                    const Array* batch_sizes, const Array* order, bool bidirectional, bool batch_first, bool training) {
  constexpr const char* kOp = "recurrent";
  Layer l;
  l.s.cell = cell_from_name(kOp, mode);
  take_input(kOp, x, batch_sizes, order, batch_first, l);
  take_weights(kOp, weights, bidirectional, l);
  take_states(kOp, l, h0, c0);
  const bool lstm = l.s.cell == Cell::kLstm;
  Array out = empty(out_shape(l, x), x.dtype), h_n = empty(state_shape(l.s), x.dtype), c_n, gates, cells;
  if (lstm) c_n = empty(state_shape(l.s), x.dtype);
  if (training && saved_count(l.s.cell)) gates = empty(saved_shape(l.s, saved_count(l.s.cell)), x.dtype);
  if (training && lstm) cells = empty(saved_shape(l.s, 1), x.dtype);
  const RecurrentFwdArgs args{l.s,        x.data,     h0 ? h0->data : nullptr, c0 ? c0->data : nullptr,
                              {l.w[0], l.w[1]}, out.data, h_n.data, c_n.data, gates.data, cells.data};
  call(recurrent_fwd, args, static_cast<int64_t>(recurrent_bytes(l.s)));
  return py::make_tuple(std::move(out), std::move(h_n), maybe(std::move(c_n)), maybe(std::move(gates)),
                        maybe(std::move(cells)));
}

}  // namespace

void bind_recurrent(py::module_& m) {
  m.def("recurrent", &recurrent);
}

}  // namespace fastdl
