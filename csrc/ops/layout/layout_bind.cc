#include "ops/layout/layout_bind.h"

#include <utility>

#include "core/strided.h"
#include "ops/elementwise/elementwise.h"

namespace fastdl {
namespace layout_binding {

// out = the view of x with out's shape and the given strides.
void gather(const Array& x, const Dims& stride, int64_t offset, Array& out) {
  if (out.size == 0) return;
  GatherStridedArgs args{static_cast<int>(itemsize(x.dtype)), out.shape, stride, offset, x.data, out.data};
  Dims dense = contiguous_strides(out.shape);
  merge_axes(args.shape, {&args.stride, &dense});
  call(gather_strided, args, traffic(out));
}

void scatter(const Array& x, const Dims& stride, int64_t offset, Array& out) {
  if (x.size == 0) return;
  ScatterStridedArgs args{static_cast<int>(itemsize(x.dtype)), x.shape, stride, offset, x.data, out.data};
  Dims dense = contiguous_strides(x.shape);
  merge_axes(args.shape, {&args.stride, &dense});
  call(scatter_strided, args, traffic(x));
}

Array permute(const Array& x, const Dims& dims) {
  EXPECT(dims.n == x.ndim(), ValueError, "permute", text(x.ndim(), " axes"), text(dims));
  const Dims stride = contiguous_strides(x.shape);
  Dims shape, permuted;
  shape.n = permuted.n = dims.n;
  unsigned seen = 0;
  for (int i = 0; i < dims.n; ++i) {
    EXPECT(dims[i] >= 0 && dims[i] < x.ndim(), IndexError, "permute", text("axes from 0 to ", x.ndim() - 1),
           text(dims));
    EXPECT(!(seen >> dims[i] & 1), ValueError, "permute", "each axis once", text(dims));
    seen |= 1u << dims[i];
    shape[i] = x.dim(static_cast<int>(dims[i]));
    permuted[i] = stride[static_cast<int>(dims[i])];
  }
  Array out = empty(shape, x.dtype);
  gather(x, permuted, 0, out);
  return out;
}

Array flip(const Array& x, const Dims& axes) {
  Dims stride = contiguous_strides(x.shape);
  int64_t offset = 0;
  unsigned seen = 0;
  for (int i = 0; i < axes.n; ++i) {
    const int axis = static_cast<int>(axes[i]);
    EXPECT(axes[i] >= 0 && axes[i] < x.ndim(), IndexError, "flip", text("axes from 0 to ", x.ndim() - 1), text(axes));
    EXPECT(!(seen >> axis & 1), ValueError, "flip", "each axis once", text(axes));
    seen |= 1u << axis;
    offset += (x.dim(axis) - 1) * stride[axis];
    stride[axis] = -stride[axis];
  }
  Array out = empty(x.shape, x.dtype);
  gather(x, stride, offset, out);
  return out;
}

// Turned by k quarters of a circle, from axis a towards axis b.
Array rot90(const Array& x, int64_t k, int64_t a, int64_t b) {
  EXPECT(a >= 0 && a < x.ndim() && b >= 0 && b < x.ndim() && a != b, IndexError, "rot90",
         text("two different axes from 0 to ", x.ndim() - 1), text(a, " and ", b));
  EXPECT(k >= 0 && k < 4, ValueError, "rot90", "k from 0 to 3", text(k));
  const int from = static_cast<int>(a), to = static_cast<int>(b);
  Dims shape = x.shape, stride = contiguous_strides(x.shape);
  int64_t offset = 0;
  const auto reverse = [&](int axis) {
    offset += (shape[axis] - 1) * stride[axis];
    stride[axis] = -stride[axis];
  };
  if (k == 1 || k == 2) reverse(to);
  if (k == 2 || k == 3) reverse(from);
  if (k % 2) std::swap(shape[from], shape[to]), std::swap(stride[from], stride[to]);
  Array out = empty(shape, x.dtype);
  gather(x, stride, offset, out);
  return out;
}

// Windows of `size` along an axis, `step` apart, as a last axis.
Array unfold(const Array& x, int64_t axis, int64_t size, int64_t step) {
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, "unfold", text("an axis from 0 to ", x.ndim() - 1), text(axis));
  EXPECT(x.ndim() < kMaxDims, ValueError, "unfold", text("at most ", kMaxDims - 1, " axes"), text(x.ndim()));
  const int at = static_cast<int>(axis);
  EXPECT(size >= 1 && size <= x.dim(at) && step >= 1, ValueError, "unfold",
         text("a size from 1 to ", x.dim(at), " and a step of at least 1"), text(size, " and ", step));
  Dims shape = x.shape, stride = contiguous_strides(x.shape);
  shape[at] = (x.dim(at) - size) / step + 1;
  shape[shape.n++] = size;
  stride[stride.n++] = stride[at];
  stride[at] = shape[at] > 1 ? stride[at] * step : 0;
  Array out = empty(shape, x.dtype);
  gather(x, stride, 0, out);
  return out;
}

Array broadcast_to(const Array& x, const Dims& shape) {
  for (int i = 0; i < shape.n; ++i)
    EXPECT(shape[i] >= 0, ValueError, "broadcast_to", "sizes of at least 0", text(shape));
  bool fits = x.ndim() <= shape.n;
  for (int i = 1; fits && i <= x.ndim(); ++i) {
    const int64_t from = x.dim(x.ndim() - i);
    fits = from == 1 || from == shape[shape.n - i];
  }
  EXPECT(fits, ValueError, "broadcast_to", text("an array that broadcasts to ", shape), text("shape ", x.shape));
  Array out = empty(shape, x.dtype);
  gather(x, broadcast_strides(x.shape, shape), 0, out);
  return out;
}

Array concat(const ArrayList& arrays, int64_t axis) {
  EXPECT(arrays.size() > 0, ValueError, "concat", "at least one array", "none");
  const Array& first = arrays[0];
  EXPECT(axis >= 0 && axis < first.ndim(), IndexError, "concat", text("an axis from 0 to ", first.ndim() - 1),
         text(axis));
  const int at = static_cast<int>(axis);
  Dims shape = first.shape;
  shape[at] = 0;
  for (Py_ssize_t i = 0; i < arrays.size(); ++i) {
    const Array& a = arrays[i];
    expect_same_dtype("concat", "arrays", a, first.dtype);
    Dims expected = first.shape;
    if (a.ndim() == expected.n) expected[at] = a.dim(at);
    EXPECT(a.shape == expected, ValueError, "concat", text("shapes equal to ", first.shape, " except along axis ", at),
           text("shape ", a.shape));
    shape[at] += a.dim(at);
  }
  Array out = empty(shape, first.dtype);
  const Dims stride = contiguous_strides(shape);
  int64_t offset = 0;
  for (Py_ssize_t i = 0; i < arrays.size(); ++i) {
    scatter(arrays[i], stride, offset, out);
    offset += arrays[i].dim(at) * stride[at];
  }
  return out;
}

// Strides and offset of the view `whole[starts : ... : steps]` with `lengths` elements along each axis.
Dims sliced(const char* op, const Dims& whole, const Dims& starts, const Dims& lengths, const Dims& steps,
            int64_t& offset) {
  EXPECT(starts.n == whole.n && lengths.n == whole.n && steps.n == whole.n, ValueError, op,
         text("a start, length and step for each of ", whole.n, " axes"),
         text(starts.n, ", ", lengths.n, " and ", steps.n));
  Dims stride = contiguous_strides(whole);
  offset = 0;
  for (int i = 0; i < whole.n; ++i) {
    EXPECT(steps[i] >= 1, ValueError, op, "steps of at least 1", text(steps));
    // Not start + (length - 1) * step < size, which may overflow.
    const bool inside =
        lengths[i] >= 0 && starts[i] >= 0 && starts[i] <= whole[i] &&
        (lengths[i] == 0 || (starts[i] < whole[i] && lengths[i] - 1 <= (whole[i] - 1 - starts[i]) / steps[i]));
    EXPECT(inside, IndexError, op, text("a slice within shape ", whole),
           text("starts ", starts, ", lengths ", lengths, ", steps ", steps));
    offset += starts[i] * stride[i];
    stride[i] = lengths[i] > 1 ? stride[i] * steps[i] : 0;
  }
  return stride;
}

Array slice(const Array& x, const Dims& starts, const Dims& lengths, const Dims& steps) {
  int64_t offset;
  const Dims stride = sliced("slice", x.shape, starts, lengths, steps, offset);
  Array out = empty(lengths, x.dtype);
  gather(x, stride, offset, out);
  return out;
}

Array slice_bwd(const Array& grad, const Dims& shape, const Dims& starts, const Dims& steps) {
  for (int i = 0; i < shape.n; ++i) EXPECT(shape[i] >= 0, ValueError, "slice_bwd", "sizes of at least 0", text(shape));
  int64_t offset;
  const Dims stride = sliced("slice_bwd", shape, starts, grad.shape, steps, offset);
  Array out = empty(shape, grad.dtype);
  if (grad.size != out.size)
    call(fill, FillArgs{out.dtype, out.size, 0, 0, out.data}, static_cast<int64_t>(out.bytes()));
  scatter(grad, stride, offset, out);
  return out;
}

// Strides, first element and shape of the diagonal of two axes, `offset` above the main one, as a last axis.
struct Diagonal {
  Dims shape, stride;
  int64_t first;
};
Diagonal diagonal_of(const char* op, const Dims& whole, int64_t offset, int64_t a, int64_t b) {
  EXPECT(a >= 0 && a < whole.n && b >= 0 && b < whole.n && a != b, IndexError, op,
         text("two different axes from 0 to ", whole.n - 1), text(a, " and ", b));
  const Dims stride = contiguous_strides(whole);
  const int row = static_cast<int>(a), column = static_cast<int>(b);
  Diagonal d{};
  for (int i = 0; i < whole.n; ++i) {
    EXPECT(whole[i] >= 0, ValueError, op, "sizes of at least 0", text(whole));
    if (i != row && i != column) d.shape[d.shape.n] = whole[i], d.stride[d.shape.n++] = stride[i];
  }
  const int64_t n = whole[row], m = whole[column];
  EXPECT(offset >= -n - m && offset <= n + m, ValueError, op, text("an offset within shape ", whole), text(offset));
  const int64_t below = offset < 0 ? n + offset : n, right = offset > 0 ? m - offset : m;
  const int64_t least = below < right ? below : right;
  d.shape[d.shape.n] = least > 0 ? least : 0;
  d.stride[d.shape.n++] = stride[row] + stride[column];
  d.stride.n = d.shape.n;
  d.first = offset < 0 ? -offset * stride[row] : offset * stride[column];
  return d;
}

Array diagonal(const Array& x, int64_t offset, int64_t a, int64_t b) {
  const Diagonal d = diagonal_of("diagonal", x.shape, offset, a, b);
  Array out = empty(d.shape, x.dtype);
  gather(x, d.stride, d.first, out);
  return out;
}

Array diagonal_bwd(const Array& grad, const Dims& shape, int64_t offset, int64_t a, int64_t b) {
  const Diagonal d = diagonal_of("diagonal_bwd", shape, offset, a, b);
  expect_shape("diagonal_bwd", "grad", grad, d.shape);
  Array out = empty(shape, grad.dtype);
  call(fill, FillArgs{out.dtype, out.size, 0, 0, out.data}, static_cast<int64_t>(out.bytes()));
  scatter(grad, d.stride, d.first, out);
  return out;
}

void slice_assign(Array& x, const Array& value, const Dims& starts, const Dims& steps) {
  expect_same_dtype("slice_assign_", "value", value, x.dtype);
  int64_t offset;
  const Dims stride = sliced("slice_assign_", x.shape, starts, value.shape, steps, offset);
  // Reshaped views of one buffer overlap; only the whole of it onto itself is left as it is.
  if (value.data == x.data && value.size == x.size) return;
  scatter(value, stride, offset, x);
}

}  // namespace layout_binding

void bind_layout(py::module_& m) {
  using namespace layout_binding;
  m.def("permute", &permute);
  m.def("flip", &flip);
  m.def("rot90", &rot90);
  m.def("unfold", &unfold);
  m.def("broadcast_to", &broadcast_to);
  m.def("concat", &concat);
  m.def("slice", &slice);
  m.def("slice_bwd", &slice_bwd);
  m.def("slice_assign_", &slice_assign);
  m.def("diagonal", &diagonal);
  m.def("diagonal_bwd", &diagonal_bwd);
  bind_layout_extend(m);
}

}  // namespace fastdl
