#include <string_view>

#include "bind/call.h"
#include "ops/activation/activation.h"

namespace fastdl {
namespace activation_binding {

#define FASTDL_NAME(name) #name,
constexpr const char* kNames[] = {FASTDL_ACTIVATIONS(FASTDL_NAME)};
#undef FASTDL_NAME

int index_of(std::string_view name) {
  int i = 0;
  for (const char* known : kNames) {
    if (name == known) return i;
    ++i;
  }
  throw ValueError(text("[activation] expected the name of an activation, got ", name));
}

ActivationArgs args_of(int op, const Array* grad, const Array& x, double a, double b, const Array& out) {
  return {static_cast<ActivationOp>(op), x.dtype, x.size, a, b, grad ? grad->data : nullptr, x.data, out.data};
}

Array forward(const Array& x, std::string_view name, double a, double b) {
  const int op = index_of(name);
  expect_float(kNames[op], "input", x);
  Array out = empty(x.shape, x.dtype);
  call(activation_fwd, args_of(op, nullptr, x, a, b, out), 2 * static_cast<int64_t>(x.bytes()));
  return out;
}

void forward_in_place(Array& x, std::string_view name, double a, double b) {
  const int op = index_of(name);
  expect_float(kNames[op], "input", x);
  call(activation_fwd, args_of(op, nullptr, x, a, b, x), 2 * static_cast<int64_t>(x.bytes()));
}

Array backward(const Array& grad, const Array& x, std::string_view name, double a, double b) {
  const int op = index_of(name);
  expect_float(kNames[op], "input", x);
  expect_same_dtype(kNames[op], "grad", grad, x.dtype);
  expect_shape(kNames[op], "grad", grad, x.shape);
  Array out = empty(x.shape, x.dtype);
  call(activation_bwd, args_of(op, &grad, x, a, b, out), 3 * static_cast<int64_t>(x.bytes()));
  return out;
}

// The output's shape; args gets x's around the axis.
Dims halved(const Array& x, int64_t axis, GluArgs& args) {
  expect_float("glu", "input", x);
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, "glu", text("an axis from 0 to ", x.ndim() - 1), text(axis));
  const int at = static_cast<int>(axis);
  EXPECT(x.dim(at) % 2 == 0, ValueError, "glu", text("an even number of elements along axis ", at),
         text("shape ", x.shape));
  Dims shape = x.shape;
  shape[at] /= 2;
  args.dtype = x.dtype, args.x = x.data;
  args.outer = x.shape.product(0, at), args.half = shape.product(at);
  return shape;
}

Array glu_forward(const Array& x, int64_t axis) {
  GluArgs args{};
  Array out = empty(halved(x, axis, args), x.dtype);
  if (out.size == 0) return out;
  args.out = out.data;
  call(glu_fwd, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

Array glu_backward(const Array& grad, const Array& x, int64_t axis) {
  GluArgs args{};
  const Dims shape = halved(x, axis, args);
  expect_same_dtype("glu", "grad", grad, x.dtype);
  expect_shape("glu", "grad", grad, shape);
  Array out = empty(x.shape, x.dtype);
  if (out.size == 0) return out;
  args.grad = grad.data, args.out = out.data;
  call(glu_bwd, args, 3 * static_cast<int64_t>(x.bytes()));
  return out;
}

}  // namespace activation_binding

void bind_activation(py::module_& m) {
  using namespace activation_binding;
  m.def("activation", &forward);
  m.def("activation_", &forward_in_place);
  m.def("activation_bwd", &backward);
  m.def("glu", &glu_forward);
  m.def("glu_bwd", &glu_backward);
}

}  // namespace fastdl
