#include "bind/call.h"
#include "bind/host_numbers.h"
#include "ops/gather/gather.h"

namespace fastdl {
namespace gather_binding {

void expect_axis(const char* op, const Array& x, int64_t axis) {
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, op, text("an axis from 0 to ", x.ndim() - 1), text(axis));
}
void expect_number(const char* op, const char* what, const Array& x) {
  EXPECT(is_float(x.dtype) || x.dtype == DType::kInt32 || x.dtype == DType::kInt64, TypeError, op,
         text(what, " of dtype float32, float64, int32 or int64"), text(x.dtype));
}
IndexGeometry around(const Array& x, int64_t axis, int64_t m) {
  const int at = static_cast<int>(axis);
  return {x.shape.product(0, at), x.dim(at), x.shape.product(at + 1), m};
}
Dims with_size(const Array& x, int64_t axis, int64_t size) {
  Dims shape = x.shape;
  shape[static_cast<int>(axis)] = size;
  return shape;
}
int64_t traffic(const Array& a) {
  return 2 * static_cast<int64_t>(a.bytes());
}
const int64_t* numbers(const Array& index) {
  return static_cast<const int64_t*>(index.data);
}
void expect_index(const char* op, const Array& index) {
  expect_same_dtype(op, "index", index, DType::kInt64);
}

// ---- one index for a line -------------------------------------------------------------------------------------------

void expect_line_index(const char* op, const Array& x, const Array& index, int64_t axis) {
  expect_axis(op, x, axis);
  expect_index(op, index);
  expect_ndim(op, "index", index, 1);
}

Array select(const Array& x, const Array& index, int64_t axis) {
  constexpr const char* kOp = "index_select";
  expect_line_index(kOp, x, index, axis);
  const IndexGeometry g = around(x, axis, index.size);
  Array out = empty(with_size(x, axis, index.size), x.dtype);
  LateFault bad;
  const int size = static_cast<int>(itemsize(x.dtype));
  call(index_select, IndexSelectArgs{size, g, numbers(index), bad.place(), x.data, out.data}, traffic(out));
  expect_inside(kOp, bad, index, g.n);
  return out;
}

void assign(Array& x, const Array& index, const Array& value, int64_t axis) {
  constexpr const char* kOp = "index_assign_";
  expect_line_index(kOp, x, index, axis);
  expect_same_dtype(kOp, "value", value, x.dtype);
  expect_shape(kOp, "value", value, with_size(x, axis, index.size));
  const IndexGeometry g = around(x, axis, index.size);
  LateFault bad;
  const int size = static_cast<int>(itemsize(x.dtype));
  call(index_assign, IndexAssignArgs{size, g, numbers(index), bad.place(), value.data, x.data}, traffic(value));
  expect_inside(kOp, bad, index, g.n);
}

Array add(const Array& source, const Array& index, int64_t axis, int64_t size) {
  constexpr const char* kOp = "index_add";
  expect_number(kOp, "source", source);
  expect_line_index(kOp, source, index, axis);
  EXPECT(source.dim(static_cast<int>(axis)) == index.size, ValueError, kOp,
         text("source with ", index.size, " lines on axis ", axis), text("shape ", source.shape));
  EXPECT(size >= 0, ValueError, kOp, text("size of at least 0"), text(size));
  Array out = empty(with_size(source, axis, size), source.dtype);
  const IndexGeometry g = around(out, axis, index.size);
  LateFault bad;
  call(index_add, IndexAddArgs{source.dtype, g, numbers(index), bad.place(), source.data, out.data},
       traffic(source) + traffic(out));
  expect_inside(kOp, bad, index, g.n);
  return out;
}

// ---- an index for each number ---------------------------------------------------------------------------------------

void expect_place_index(const char* op, const Array& x, const Array& index, int64_t axis) {
  expect_axis(op, x, axis);
  expect_index(op, index);
  const bool along = index.ndim() == x.ndim();
  const Dims expected = along ? with_size(x, axis, index.dim(static_cast<int>(axis))) : x.shape;
  EXPECT(along && index.shape == expected, ValueError, op,
         text("index of shape ", x.shape, " except along axis ", axis), text("shape ", index.shape));
}

Array gather(const Array& x, const Array& index, int64_t axis) {
  constexpr const char* kOp = "gather";
  expect_place_index(kOp, x, index, axis);
  const IndexGeometry g = around(x, axis, index.dim(static_cast<int>(axis)));
  Array out = empty(index.shape, x.dtype);
  LateFault bad;
  const int size = static_cast<int>(itemsize(x.dtype));
  call(gather_along, GatherArgs{size, g, numbers(index), bad.place(), x.data, out.data}, traffic(out));
  expect_inside(kOp, bad, index, g.n);
  return out;
}

template <bool kAdd>
void scatter(Array& x, const Array& index, const Array& source, int64_t axis) {
  constexpr const char* kOp = kAdd ? "scatter_add_" : "scatter_";
  if (kAdd) expect_number(kOp, "input", x);
  expect_place_index(kOp, x, index, axis);
  expect_same_dtype(kOp, "source", source, x.dtype);
  expect_shape(kOp, "source", source, index.shape);
  const IndexGeometry g = around(x, axis, index.dim(static_cast<int>(axis)));
  LateFault bad;
  call(scatter_along, ScatterArgs{x.dtype, g, numbers(index), bad.place(), source.data, x.data, kAdd}, traffic(source));
  expect_inside(kOp, bad, index, g.n);
}

}  // namespace gather_binding

void bind_places(py::module_& m);

void bind_gather(py::module_& m) {
  using namespace gather_binding;
  m.def("index_select", &select);
  m.def("index_assign_", &assign);
  m.def("index_add", &add);
  m.def("gather", &gather);
  m.def("scatter_", &scatter<false>);
  m.def("scatter_add_", &scatter<true>);
  bind_places(m);
}

}  // namespace fastdl
