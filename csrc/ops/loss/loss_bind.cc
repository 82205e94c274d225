#include <string_view>

#include "bind/call.h"
#include "bind/reduction.h"
#include "ops/loss/loss.h"

namespace fastdl {
namespace loss_binding {

#define FASTDL_NAME(name) #name,
constexpr const char* kNames[] = {FASTDL_LOSSES(FASTDL_NAME)};
#undef FASTDL_NAME

Loss loss_of(std::string_view name) {
  int i = 0;
  for (const char* known : kNames) {
    if (name == known) return static_cast<Loss>(i);
    ++i;
  }
  throw ValueError(text("[loss] expected the name of a loss, got ", name));
}

void expect_like(const char* op, const char* what, const Array* a, const Array& x) {
  if (!a) return;
  expect_same_dtype(op, what, *a, x.dtype);
  expect_shape(op, what, *a, x.shape);
}

void expect_operands(const char* op, const Array& x, const Array& target, const Array* weight, const Array* pos) {
  expect_float(op, "input", x);
  expect_like(op, "target", &target, x);
  expect_like(op, "weight", weight, x);
  expect_like(op, "pos_weight", pos, x);
}

double element(DType dtype, const void* numbers, int64_t i) {
  double number = 0;
  visit_float(dtype, [&](auto zero) {
    copy_to_host(&zero, static_cast<const decltype(zero)*>(numbers) + i, sizeof zero);
    number = static_cast<double>(zero);
  });
  return number;
}

// What the losses that refuse anything expect.
void expect_taken(const LossFwdArgs& args, int64_t illegal) {
  if (illegal == 0) return;
  const char* const op = kNames[static_cast<int>(args.op)];
  const int64_t i = illegal - 1;
  const double x = element(args.dtype, args.x, i), target = element(args.dtype, args.target, i);
  EXPECT(args.op != Loss::k_binary_cross_entropy, ValueError, op, "input between 0 and 1", text(x, " at position ", i));
  EXPECT(args.op != Loss::k_hinge_loss, ValueError, op, "targets -1 or 1", text(target, " at position ", i));
  EXPECT(false, ValueError, op, "input and target above -1", text(x, " and ", target, " at position ", i));
}

Array forward(const Array& x, const Array& target, const Array* weight, const Array* pos_weight, std::string_view name,
              double a, std::string_view reduction) {
  const Loss loss = loss_of(name);
  const char* const op = kNames[static_cast<int>(loss)];
  const Reduction r = reduction_of(op, reduction);
  expect_operands(op, x, target, weight, pos_weight);
  Array out = empty(r == Reduction::kNone ? x.shape : Dims{}, x.dtype);
  LateFault illegal;
  const LossFwdArgs args{
      loss,     x.dtype,        r, x.size, a, x.data, target.data, data_or_null(weight), data_or_null(pos_weight),
      out.data, illegal.place()};
  call(loss_fwd, args, static_cast<int64_t>(2 * x.bytes() + out.bytes()));
  if (refuses(loss)) illegal.check([args](const int64_t* found) { expect_taken(args, *found); }, x, target);
  return out;
}

Array backward(const Array& grad, const Array& x, const Array& target, const Array* weight, const Array* pos_weight,
               std::string_view name, double a, std::string_view reduction, bool by_target) {
  const Loss loss = loss_of(name);
  const char* const op = kNames[static_cast<int>(loss)];
  const Reduction r = reduction_of(op, reduction);
  expect_operands(op, x, target, weight, pos_weight);
  expect_same_dtype(op, "grad", grad, x.dtype);
  expect_shape(op, "grad", grad, r == Reduction::kNone ? x.shape : Dims{});
  Array out = empty(x.shape, x.dtype);
  const LossBwdArgs args{
      loss,      x.dtype, r, x.size, a, grad.data, x.data, target.data, data_or_null(weight), data_or_null(pos_weight),
      by_target, out.data};
  call(loss_bwd, args, static_cast<int64_t>(3 * x.bytes()));
  return out;
}

}  // namespace loss_binding

void bind_loss(py::module_& m) {
  using namespace loss_binding;
  m.def("loss", &forward);
  m.def("loss_bwd", &backward);
}

}  // namespace fastdl
