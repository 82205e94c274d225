#include "bind/call.h"
#include "ops/scan/scan.h"

namespace fastdl {
namespace scan_binding {

void expect_axis(const char* op, const Array& x, int64_t axis) {
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, op, text("an axis from 0 to ", x.ndim() - 1), text(axis));
}

ScanArgs around(Scan op, const Array& x, int64_t axis) {
  const int at = static_cast<int>(axis);
  return {op, x.dtype, x.shape.product(0, at), x.dim(at), x.shape.product(at + 1), false, x.data, nullptr, nullptr};
}

// Sums, products and logarithms.
Array run(const char* name, Scan op, const Array& x, int64_t axis, bool reverse) {
  if (op == Scan::kLogSumExp)
    expect_float(name, "input", x);
  else
    EXPECT(itemsize(x.dtype) > 1, TypeError, name, "input of dtype float32, float64, int32 or int64", text(x.dtype));
  expect_axis(name, x, axis);
  Array out = empty(x.shape, x.dtype);
  ScanArgs args = around(op, x, axis);
  args.reverse = reverse, args.out = out.data;
  call(scan_fwd, args, 2 * static_cast<int64_t>(x.bytes()));
  return out;
}

// Values and places.
std::pair<Array, Array> run_extreme(const char* name, Scan op, const Array& x, int64_t axis) {
  EXPECT(itemsize(x.dtype) > 1, TypeError, name, "input of dtype float32, float64, int32 or int64", text(x.dtype));
  expect_axis(name, x, axis);
  constexpr int64_t kMost = int64_t{1} << 31;  // places are counted in lanes of 32 bits
  EXPECT(x.dim(static_cast<int>(axis)) < kMost, ValueError, name, "fewer than 2^31 elements along the axis",
         text("shape ", x.shape));
  Array out = empty(x.shape, x.dtype), places = empty(x.shape, DType::kInt64);
  ScanArgs args = around(op, x, axis);
  args.out = out.data, args.places = static_cast<int64_t*>(places.data);
  call(scan_fwd, args, static_cast<int64_t>(2 * x.bytes() + places.bytes()));
  return {out, places};
}

// x and out, or null and the places.
Array run_bwd(const char* name, Scan op, const Array& grad, const Array* x, const Array& out, int64_t axis) {
  expect_float(name, "grad", grad);
  expect_axis(name, grad, axis);
  if (x) {
    expect_same_dtype(name, "x", *x, grad.dtype);
    expect_shape(name, "x", *x, grad.shape);
  }
  expect_same_dtype(name, x ? "out" : "indices", out, x ? grad.dtype : DType::kInt64);
  expect_shape(name, x ? "out" : "indices", out, grad.shape);
  Array grad_x = empty(grad.shape, grad.dtype);
  const ScanArgs g = around(op, grad, axis);
  const ScanBwdArgs args = {op,
                            grad.dtype,
                            g.outer,
                            g.n,
                            g.inner,
                            grad.data,
                            x ? x->data : nullptr,
                            x ? out.data : nullptr,
                            x ? nullptr : static_cast<const int64_t*>(out.data),
                            grad_x.data};
  call(scan_bwd, args, static_cast<int64_t>(2 * grad.bytes() + (x ? x->bytes() : 0) + out.bytes()));
  return grad_x;
}

}  // namespace scan_binding

void bind_scan(py::module_& m) {
  using namespace scan_binding;
  m.def("cumsum",
        [](const Array& x, int64_t axis, bool reverse) { return run("cumsum", Scan::kSum, x, axis, reverse); });
  m.def("cumprod", [](const Array& x, int64_t axis) { return run("cumprod", Scan::kProduct, x, axis, false); });
  m.def("logcumsumexp",
        [](const Array& x, int64_t axis) { return run("logcumsumexp", Scan::kLogSumExp, x, axis, false); });
  m.def("cummax", [](const Array& x, int64_t axis) { return run_extreme("cummax", Scan::kMax, x, axis); });
  m.def("cummin", [](const Array& x, int64_t axis) { return run_extreme("cummin", Scan::kMin, x, axis); });
  m.def("cumprod_bwd", [](const Array& grad, const Array& x, const Array& out, int64_t axis) {
    return run_bwd("cumprod_bwd", Scan::kProduct, grad, &x, out, axis);
  });
  m.def("logcumsumexp_bwd", [](const Array& grad, const Array& x, const Array& out, int64_t axis) {
    return run_bwd("logcumsumexp_bwd", Scan::kLogSumExp, grad, &x, out, axis);
  });
  m.def("cumextreme_bwd", [](const Array& grad, const Array& indices, int64_t axis) {
    return run_bwd("cumextreme_bwd", Scan::kMax, grad, nullptr, indices, axis);
  });
}

}  // namespace fastdl
