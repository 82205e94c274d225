#include "bind/call.h"
#include "ops/recurrent/recurrent_sequences.h"

namespace fastdl {
namespace recurrent_binding {

Cell cell_from_name(const char* op, const std::string& name) {
  if (name == "rnn_tanh") return Cell::kTanh;
  if (name == "rnn_relu") return Cell::kRelu;
  if (name == "lstm") return Cell::kLstm;
  EXPECT(name == "gru", ValueError, op, "mode rnn_tanh, rnn_relu, lstm or gru", name);
  return Cell::kGru;
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
  const RecurrentFwdArgs args{l.s,
                              x.data,
                              h0 ? h0->data : nullptr,
                              c0 ? c0->data : nullptr,
                              {l.w[0], l.w[1]},
                              out.data,
                              h_n.data,
                              c_n.data,
                              gates.data,
                              cells.data};
  call(recurrent_fwd, args, static_cast<int64_t>(recurrent_bytes(l.s)));
  keep_in_recording(l.q);
  return py::make_tuple(std::move(out), std::move(h_n), maybe(std::move(c_n)), maybe(std::move(gates)),
                        maybe(std::move(cells)));
}

// (grad_x, grad_h0, grad_c0, gradients of the weights in their order); None, or an empty list, where not needed.
py::tuple recurrent_backward(const std::string& mode, const Array* grad_out, const Array* grad_h, const Array* grad_c,
                             const Array& x, const Array* h0, const Array* c0, const ArrayList& weights,
                             const Array* batch_sizes, const Array* order, bool bidirectional, bool batch_first,
                             const Array& out, const Array* gates, const Array* cells, bool need_x, bool need_h0,
                             bool need_c0, bool need_weights) {
  constexpr const char* kOp = "recurrent_bwd";
  Layer l;
  RecurrentShape& s = l.s;
  s.cell = cell_from_name(kOp, mode);
  take_input(kOp, x, batch_sizes, order, batch_first, l);
  take_weights(kOp, weights, bidirectional, l);
  take_states(kOp, l, h0, c0);
  const bool lstm = s.cell == Cell::kLstm, keeps = saved_count(s.cell) > 0;
  RecurrentBwdArgs args{};
  args.grad_out = like(kOp, "grad_out", grad_out, out_shape(l, x), s.dtype);
  args.grad_h = like(kOp, "grad_h", grad_h, state_shape(s), s.dtype);
  EXPECT(lstm || (!grad_c && !need_c0), ValueError, kOp, "no gradient of c but for lstm", "one");
  args.grad_c = like(kOp, "grad_c", grad_c, state_shape(s), s.dtype);
  args.out = like(kOp, "out", &out, out_shape(l, x), s.dtype);
  EXPECT(!keeps || gates, ValueError, kOp, "gates of a call with training", "None");
  EXPECT(!lstm || cells, ValueError, kOp, "cells of a call with training", "None");
  if (keeps) args.gates = like(kOp, "gates", gates, saved_shape(s, saved_count(s.cell)), s.dtype);
  if (lstm) args.cells = like(kOp, "cells", cells, saved_shape(s, 1), s.dtype);
  args.s = s, args.x = x.data;
  args.h0 = h0 ? h0->data : nullptr, args.c0 = c0 ? c0->data : nullptr;
  args.w[0] = l.w[0], args.w[1] = l.w[1];

  Array grad_x, grad_h0, grad_c0;
  if (need_x) args.grad_x = (grad_x = empty(x.shape, s.dtype)).data;
  if (need_h0) args.grad_h0 = (grad_h0 = empty(state_shape(s), s.dtype)).data;
  if (need_c0) args.grad_c0 = (grad_c0 = empty(state_shape(s), s.dtype)).data;
  py::list grads;
  const Py_ssize_t each = weights.size() / s.directions;
  for (Py_ssize_t i = 0; need_weights && i < weights.size(); ++i) {
    Array grad = empty(weights[i].shape, s.dtype);
    void** const place[4] = {args.grad_ih, args.grad_hh, args.grad_bias_ih, args.grad_bias_hh};
    place[i % each][i / each] = grad.data;
    grads.append(py::cast(std::move(grad)));
  }
  call(recurrent_bwd, args, static_cast<int64_t>(2 * recurrent_bytes(s)));
  keep_in_recording(l.q);
  return py::make_tuple(maybe(std::move(grad_x)), maybe(std::move(grad_h0)), maybe(std::move(grad_c0)), grads);
}

}  // namespace recurrent_binding

void bind_pack_rows(py::module_& m);

void bind_recurrent(py::module_& m) {
  using namespace recurrent_binding;
  m.def("recurrent", &recurrent);
  m.def("recurrent_bwd", &recurrent_backward);
  bind_pack_rows(m);
}

}  // namespace fastdl
