#include "bind/call.h"
#include "ops/recurrent/recurrent_sequences.h"

namespace fastdl {
namespace recurrent_rows_binding {

struct Packed {
  PackRowsArgs a{};
  Sequences q;
};

void take_sequences(const char* op, const Array& batch_sizes, const Array* order, Packed& p) {
  take_batch_sizes(op, batch_sizes, p.q);
  take_order(op, order, p.q.active[0], p.q);
  point_at(p.q, p.a.s);
  p.a.s.batch = p.q.active[0];
  p.a.s.rows = p.q.first.back() + p.q.active.back();
}

Array copy(Packed& p, const Array& from, const Dims& shape) {
  Array to = empty(shape, from.dtype);
  p.a.s.dtype = from.dtype, p.a.from = from.data, p.a.to = to.data;
  if (to.size) call(pack_rows, p.a, static_cast<int64_t>(from.bytes() + to.bytes()));
  keep_in_recording(p.q);
  return to;
}

Array py_pack_rows(const Array& x, const Array& batch_sizes, const Array* order, bool batch_first) {
  constexpr const char* kOp = "pack_rows";
  Packed p;
  take_sequences(kOp, batch_sizes, order, p);
  EXPECT(x.ndim() >= 2, ValueError, kOp, "input with at least 2 dimensions", text("shape ", x.shape));
  const int64_t batch = x.dim(batch_first ? 0 : 1);
  p.a.packs = true, p.a.batch_first = batch_first, p.a.padded_steps = x.dim(batch_first ? 1 : 0);
  EXPECT(batch == p.a.s.batch && p.a.padded_steps >= p.a.s.steps, ValueError, kOp,
         text("input of ", p.a.s.batch, " sequences and at least ", p.a.s.steps, " steps"), text("shape ", x.shape));
  p.a.s.input = x.shape.product(2);
  Dims shape{x.ndim() - 1, {p.a.s.rows}};
  for (int i = 1; i < shape.n; ++i) shape[i] = x.dim(i + 1);
  return copy(p, x, shape);
}

Array py_unpack_rows(const Array& data, const Array& batch_sizes, const Array* order, bool batch_first, int64_t steps,
                     double padding) {
  constexpr const char* kOp = "unpack_rows";
  Packed p;
  take_sequences(kOp, batch_sizes, order, p);
  EXPECT(data.ndim() >= 1 && data.ndim() < kMaxDims && data.dim(0) == p.a.s.rows, ValueError, kOp,
         text("data of ", p.a.s.rows, " rows"), text("shape ", data.shape));
  EXPECT(steps >= p.a.s.steps, ValueError, kOp, text("at least ", p.a.s.steps, " steps"), text(steps));
  p.a.batch_first = batch_first, p.a.padded_steps = steps, p.a.padding = padding;
  p.a.s.input = data.shape.product(1);
  Dims shape{data.ndim() + 1, {steps, p.a.s.batch}};
  if (batch_first) std::swap(shape[0], shape[1]);
  for (int i = 1; i < data.ndim(); ++i) shape[i + 1] = data.dim(i);
  return copy(p, data, shape);
}

}  // namespace recurrent_rows_binding

void bind_pack_rows(py::module_& m) {
  using namespace recurrent_rows_binding;
  m.def("pack_rows", &py_pack_rows);
  m.def("unpack_rows", &py_unpack_rows);
}

}  // namespace fastdl
