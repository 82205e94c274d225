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

}  // namespace activation_binding

void bind_activation(py::module_& m) {
  using namespace activation_binding;
  m.def("activation", &forward);
  m.def("activation_", &forward_in_place);
  m.def("activation_bwd", &backward);
}

}  // namespace fastdl
