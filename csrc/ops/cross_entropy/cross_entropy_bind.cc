#include <string_view>

#include "bind/call.h"
#include "bind/host_numbers.h"
#include "bind/reduction.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace fastdl {
namespace cross_entropy_binding {

CrossEntropyGeometry checked_geometry(const char* op, const Array& x, const Array& target, const Array* weight,
                                      double label_smoothing) {
  expect_float(op, "input", x);
  expect_ndim(op, "input", x, 3);
  expect_same_dtype(op, "target", target, DType::kInt64);
  Dims positions, classes;
  positions.n = 2, positions[0] = x.dim(0), positions[1] = x.dim(2);
  classes.n = 1, classes[0] = x.dim(1);
  expect_shape(op, "target", target, positions);
  if (weight) {
    expect_same_dtype(op, "weight", *weight, x.dtype);
    expect_shape(op, "weight", *weight, classes);
  }
  EXPECT(label_smoothing >= 0 && label_smoothing <= 1, ValueError, op, text("label_smoothing between 0 and 1"),
         text(label_smoothing));
  return {x.dim(0), x.dim(1), x.dim(2)};
}

void expect_targets(const char* op, LateFault& bad, const Array& target, int64_t classes) {
  const auto look = [op, at = target.data, classes](const int64_t* found) {
    EXPECT(*found == 0, IndexError, op, text("class indices in [0, ", classes, ") or ignore_index"),
           text(number_at(at, DType::kInt64, *found - 1), " at position ", *found - 1));
  };
  bad.check(look, target);
}

py::tuple forward(const Array& x, const Array& target, const Array* weight, int64_t ignore_index,
                  double label_smoothing, std::string_view reduction) {
  constexpr const char* kOp = "cross_entropy";
  const Reduction r = reduction_of(kOp, reduction);
  const CrossEntropyGeometry g = checked_geometry(kOp, x, target, weight, label_smoothing);
  Array loss = empty(r == Reduction::kNone ? target.shape : Dims{}, x.dtype);
  Array lse = empty(target.shape, x.dtype), total = empty(Dims{}, x.dtype);
  LateFault bad;
  const CrossEntropyFwdArgs args{x.dtype,
                                 g,
                                 r,
                                 ignore_index,
                                 label_smoothing,
                                 x.data,
                                 static_cast<const int64_t*>(target.data),
                                 data_or_null(weight),
                                 loss.data,
                                 lse.data,
                                 total.data,
                                 bad.place()};
  call(cross_entropy_fwd, args, static_cast<int64_t>(x.bytes() + target.bytes()));
  expect_targets(kOp, bad, target, g.classes);
  return py::make_tuple(std::move(loss), std::move(lse), std::move(total));
}

Array backward(const Array& grad, const Array& x, const Array& target, const Array* weight, const Array& lse,
               const Array& total, int64_t ignore_index, double label_smoothing, std::string_view reduction) {
  constexpr const char* kOp = "cross_entropy_bwd";
  const Reduction r = reduction_of(kOp, reduction);
  const CrossEntropyGeometry g = checked_geometry(kOp, x, target, weight, label_smoothing);
  expect_same_dtype(kOp, "grad", grad, x.dtype);
  expect_shape(kOp, "grad", grad, r == Reduction::kNone ? target.shape : Dims{});
  expect_same_dtype(kOp, "lse", lse, x.dtype);
  expect_shape(kOp, "lse", lse, target.shape);
  expect_same_dtype(kOp, "total_weight", total, x.dtype);
  expect_shape(kOp, "total_weight", total, Dims{});
  Array grad_x = empty(x.shape, x.dtype);
  LateFault bad;
  const CrossEntropyBwdArgs args{x.dtype,
                                 g,
                                 r,
                                 ignore_index,
                                 label_smoothing,
                                 grad.data,
                                 x.data,
                                 static_cast<const int64_t*>(target.data),
                                 data_or_null(weight),
                                 lse.data,
                                 total.data,
                                 grad_x.data,
                                 bad.place()};
  call(cross_entropy_bwd, args, static_cast<int64_t>(2 * x.bytes() + target.bytes()));
  expect_targets(kOp, bad, target, g.classes);
  return grad_x;
}

}  // namespace cross_entropy_binding

void bind_cross_entropy(py::module_& m) {
  using namespace cross_entropy_binding;
  m.def("cross_entropy", &forward);
  m.def("cross_entropy_bwd", &backward);
}

}  // namespace fastdl
