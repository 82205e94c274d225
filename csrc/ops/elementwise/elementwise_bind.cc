#include "bind/call.h"
#include "core/strided.h"
#include "ops/elementwise/elementwise.h"

namespace fastdl {
namespace elementwise_binding {

// The dtypes that a family of operations takes, in the words of its error.
enum class Accepts { kFloats, kNumbers, kIntegers, kAny };

void expect_dtype(const char* op, const char* what, const Array& a, Accepts accepts) {
  if (accepts == Accepts::kFloats) return expect_float(op, what, a);
  EXPECT(accepts != Accepts::kNumbers || a.dtype != DType::kBool, TypeError, op,
         text(what, " of dtype float32, float64, int32, int64 or uint8"), text(a.dtype));
  EXPECT(accepts != Accepts::kIntegers || !is_float(a.dtype), TypeError, op,
         text(what, " of dtype int32, int64, uint8 or bool"), text(a.dtype));
}

constexpr Accepts accepts(Unary op) {
  return takes_integers(op) ? Accepts::kNumbers : Accepts::kFloats;
}

// What an operation is on truth values, PyTorch's way; itself where they have no such operation.
constexpr Binary of_bools(Binary op) {
  if (op == Binary::k_add || op == Binary::k_maximum) return Binary::k_bitwise_or;
  if (op == Binary::k_mul || op == Binary::k_minimum) return Binary::k_bitwise_and;
  return op;
}
constexpr Accepts accepts(Binary op) {
  if (!takes_integers(op)) return Accepts::kFloats;
  if (!takes_floats(op)) return Accepts::kIntegers;
  return of_bools(op) != op ? Accepts::kAny : Accepts::kNumbers;
}

// The operation and the dtype that the kernel is to see.
template <class Op>
void set_operation(BinaryArgs& args, Op op, DType dtype) {
  args.op = static_cast<int>(op), args.dtype = dtype;
  if constexpr (std::is_same_v<Op, Binary>)
    if (dtype == DType::kBool) args.op = static_cast<int>(of_bools(op)), args.dtype = DType::kUInt8;
}

struct Scalar {
  double value = 0;
  int64_t integer = 0;
};

// A number for an array of dtype t: integer arrays take integers that they can hold.
Scalar scalar_of(const char* op, py::handle s, DType t) {
  Scalar out;
  if (is_float(t)) {
    out.value = PyFloat_CheckExact(s.ptr()) ? PyFloat_AS_DOUBLE(s.ptr()) : PyFloat_AsDouble(s.ptr());
    if (out.value == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      throw TypeError(text("[", op, "] expected a number, got ", std::string(py::repr(s))));
    }
    return out;
  }
  constexpr int64_t kLow[kDTypes] = {0, 0, INT32_MIN, INT64_MIN, 0, 0};
  constexpr int64_t kHigh[kDTypes] = {0, 0, INT32_MAX, INT64_MAX, UINT8_MAX, 1};
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(s.ptr()));
  if (!index) {
    PyErr_Clear();
    throw TypeError(text("[", op, "] expected an int for an array of dtype ", t, ", got ", std::string(py::repr(s))));
  }
  int overflow = 0;
  out.integer = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  EXPECT(!overflow && out.integer >= kLow[static_cast<int>(t)] && out.integer <= kHigh[static_cast<int>(t)], ValueError,
         op, text("a number that ", t, " holds"), std::string(py::repr(s)));
  out.value = static_cast<double>(out.integer);
  return out;
}

// Equal shapes skip broadcasting and merging: this is the path of small operations, where they would be half the time.
void set_shapes(BinaryArgs& args, const Array& a, const Array& b, const Dims& out) {
  if (a.shape == b.shape) {
    args.shape.n = args.stride_a.n = args.stride_b.n = 1;
    args.shape[0] = a.size, args.stride_a[0] = args.stride_b[0] = 1;
    return;
  }
  args.shape = out;
  args.stride_a = broadcast_strides(a.shape, out);
  args.stride_b = broadcast_strides(b.shape, out);
  merge_axes(args.shape, {&args.stride_a, &args.stride_b});
}

int64_t traffic(const Array& a, const Array& b, const Array& out) {
  return static_cast<int64_t>(a.bytes() + b.bytes() + out.bytes());
}

Array unary_array(const char* name, Unary op, const Array& x) {
  expect_dtype(name, "x", x, accepts(op));
  Array out = empty(x.shape, x.dtype);
  call(unary, UnaryArgs{op, x.dtype, x.size, x.data, out.data}, 2 * static_cast<int64_t>(x.bytes()));
  return out;
}

// `kernel` is binary, or compare with an output of bool.
template <class Kernel, class Op>
Array binary_arrays(const char* name, Kernel kernel, Op op, Accepts accepts, const Array& a, const Array& b) {
  expect_dtype(name, "a", a, accepts);
  expect_same_dtype(name, "b", b, a.dtype);
  const DType dtype = std::is_same_v<Op, Compare> ? DType::kBool : a.dtype;
  Array out = a.shape == b.shape ? empty(a.shape, dtype) : empty(broadcast_shapes(name, a.shape, b.shape), dtype);
  BinaryArgs args;
  set_operation(args, op, a.dtype);
  args.a = a.data, args.b = b.data, args.out = out.data;
  set_shapes(args, a, b, out.shape);
  call(kernel, args, traffic(a, b, out));
  return out;
}

template <class Kernel, class Op>
void scalar_into(const char* name, Kernel kernel, Op op, const Array& x, py::handle s, bool scalar_first, Array& out) {
  const Scalar scalar = scalar_of(name, s, x.dtype);
  BinaryArgs args{};
  set_operation(args, op, x.dtype);
  args.out = out.data;
  args.shape.n = args.stride_a.n = args.stride_b.n = 1;
  args.shape[0] = x.size, args.stride_a[0] = !scalar_first, args.stride_b[0] = scalar_first;
  (scalar_first ? args.b : args.a) = x.data;
  (scalar_first ? args.scalar_a : args.scalar_b) = scalar.value;
  (scalar_first ? args.integer_a : args.integer_b) = scalar.integer;
  call(kernel, args, traffic(x, x, x));
}

template <class Kernel, class Op>
Array with_scalar(const char* name, Kernel kernel, Op op, Accepts accepts, const Array& x, py::handle s, bool first) {
  expect_dtype(name, "x", x, accepts);
  Array out = empty(x.shape, std::is_same_v<Op, Compare> ? DType::kBool : x.dtype);
  scalar_into(name, kernel, op, x, s, first, out);
  return out;
}

Array clamp_array(const Array& x, py::handle low, py::handle high) {
  expect_dtype("clamp", "x", x, Accepts::kNumbers);
  const Scalar least = scalar_of("clamp", low, x.dtype), most = scalar_of("clamp", high, x.dtype);
  Array out = empty(x.shape, x.dtype);
  call(clamp, ClampArgs{x.dtype, x.size, least.value, most.value, least.integer, most.integer, x.data, out.data},
       2 * static_cast<int64_t>(x.bytes()));
  return out;
}

Array activation_bwd(const char* name, Binary op, const Array& grad, const Array& out) {
  expect_float(name, "grad", grad);
  expect_same_dtype(name, "out", out, grad.dtype);
  expect_shape(name, "grad", grad, out.shape);
  return binary_arrays(name, binary, op, Accepts::kFloats, grad, out);
}

void relu_inplace(Array& x) {
  expect_float("relu_", "x", x);
  call(unary, UnaryArgs{Unary::k_relu, x.dtype, x.size, x.data, x.data}, 2 * static_cast<int64_t>(x.bytes()));
}

// x = x op other. Both are read where they lie, element by element: other may be x.
void binary_inplace(const char* name, Binary op, Array& x, const Array& other) {
  expect_dtype(name, "x", x, accepts(op));
  expect_same_dtype(name, "other", other, x.dtype);
  EXPECT(x.shape == other.shape || broadcast_shapes(name, x.shape, other.shape) == x.shape, ValueError, name,
         text("other of a shape that broadcasts to ", x.shape), text("shape ", other.shape));
  BinaryArgs args{};
  set_operation(args, op, x.dtype);
  args.a = args.out = x.data, args.b = other.data;
  set_shapes(args, x, other, x.shape);
  call(binary, args, traffic(x, other, x));
}

void scalar_inplace(const char* name, Binary op, Array& x, py::handle s) {
  expect_dtype(name, "x", x, accepts(op));
  scalar_into(name, binary, op, x, s, false, x);
}

// x[i + 1] - x[i] along an axis: both operands are x, one of them a line further on.
Array diff(const Array& x, int64_t axis) {
  expect_dtype("diff", "x", x, accepts(Binary::k_sub));
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, "diff", text("an axis from 0 to ", x.ndim() - 1), text(axis));
  const int at = static_cast<int>(axis);
  EXPECT(x.dim(at) > 0, ValueError, "diff", "at least one element along the axis", text("shape ", x.shape));
  Dims shape = x.shape;
  --shape[at];
  Array out = empty(shape, x.dtype);
  if (out.size == 0) return out;
  const Dims stride = contiguous_strides(x.shape);
  BinaryArgs args{};
  set_operation(args, Binary::k_sub, x.dtype);
  args.shape = shape, args.stride_a = args.stride_b = stride;
  merge_axes(args.shape, {&args.stride_a, &args.stride_b});
  args.a = static_cast<const char*>(x.data) + stride[at] * static_cast<int64_t>(itemsize(x.dtype));
  args.b = x.data, args.out = out.data;
  call(binary, args, traffic(x, out, out));
  return out;
}

// Floats are sums in double precision; with both_ends the second half counts back from `last`, which so is met.
void ramp_inplace(Array& x, double start, double step, double last, bool both_ends) {
  expect_float("ramp_", "x", x);
  call(ramp, RampArgs{x.dtype, x.size, both_ends ? (x.size + 1) / 2 : x.size, start, step, last, 0, 0, x.data},
       static_cast<int64_t>(x.bytes()));
}

void integer_ramp_inplace(Array& x, int64_t start, int64_t step) {
  EXPECT(x.dtype == DType::kInt32 || x.dtype == DType::kInt64, TypeError, "integer_ramp_", "x of dtype int32 or int64",
         text(x.dtype));
  call(ramp, RampArgs{x.dtype, x.size, x.size, 0, 0, 0, start, step, x.data}, static_cast<int64_t>(x.bytes()));
}

void fill_inplace(Array& x, py::handle s) {
  const Scalar scalar = scalar_of("fill_", s, x.dtype);
  call(fill, FillArgs{x.dtype, x.size, scalar.value, scalar.integer, x.data}, static_cast<int64_t>(x.bytes()));
}

void copy_inplace(Array& x, const Array& source) {
  expect_same_dtype("copy_", "source", source, x.dtype);
  expect_shape("copy_", "source", source, x.shape);
  if (x.data == source.data || x.size == 0) return;
  call(cast, CastArgs{x.dtype, x.dtype, x.size, source.data, x.data}, traffic(source, source, x));
}

Array where_arrays(const Array& condition, const Array& a, const Array& b) {
  expect_same_dtype("where", "condition", condition, DType::kBool);
  expect_same_dtype("where", "b", b, a.dtype);
  const Dims shape = broadcast_shapes("where", broadcast_shapes("where", condition.shape, a.shape), b.shape);
  Array out = empty(shape, a.dtype);
  WhereArgs args{a.dtype, shape, {}, {}, {}, condition.data, a.data, b.data, out.data};
  args.stride_condition = broadcast_strides(condition.shape, shape);
  args.stride_a = broadcast_strides(a.shape, shape);
  args.stride_b = broadcast_strides(b.shape, shape);
  merge_axes(args.shape, {&args.stride_condition, &args.stride_a, &args.stride_b});
  call(where, args, traffic(a, b, out));
  return out;
}

// Of operands whose shapes broadcast; without `c` it is the number s everywhere.
Array blended(const char* name, Blend op, const Array& a, const Array& b, const Array* c, double s) {
  expect_float(name, "a", a);
  expect_same_dtype(name, "b", b, a.dtype);
  Dims shape = broadcast_shapes(name, a.shape, b.shape);
  if (c) {
    expect_same_dtype(name, "c", *c, a.dtype);
    shape = broadcast_shapes(name, shape, c->shape);
  }
  Array out = empty(shape, a.dtype);
  BlendArgs args{op, a.dtype, shape, {}, {}, {}, a.data, b.data, c ? c->data : nullptr, s, out.data};
  args.stride_a = broadcast_strides(a.shape, shape);
  args.stride_b = broadcast_strides(b.shape, shape);
  args.stride_c = c ? broadcast_strides(c->shape, shape) : args.stride_a;  // of a number: any that merges
  merge_axes(args.shape, {&args.stride_a, &args.stride_b, &args.stride_c});
  call(blend, args, traffic(a, b, out));
  return out;
}

Array blend_arrays(const char* name, Blend op, const Array& a, const Array& b, const Array& c, py::handle s) {
  return blended(name, op, a, b, &c, scalar_of(name, s, a.dtype).value);
}

Array lerp_scalar(const Array& a, const Array& b, py::handle weight) {
  return blended("lerp_scalar", Blend::k_lerp, a, b, nullptr, scalar_of("lerp_scalar", weight, a.dtype).value);
}

Array numbers_for_nan(const Array& x, double nan, double posinf, double neginf) {
  expect_float("nan_to_num", "x", x);
  Array out = empty(x.shape, x.dtype);
  call(nan_to_num, NanToNumArgs{x.dtype, x.size, nan, posinf, neginf, x.data, out.data},
       2 * static_cast<int64_t>(x.bytes()));
  return out;
}

Array cast_array(const Array& x, DType dtype) {
  Array out = empty(x.shape, dtype);
  call(cast, CastArgs{x.dtype, dtype, x.size, x.data, out.data}, traffic(x, x, out));
  return out;
}

}  // namespace elementwise_binding

void bind_elementwise(py::module_& m) {
  using namespace elementwise_binding;
#define FASTDL_DEF(name) m.def(#name, [](const Array& x) { return unary_array(#name, Unary::k_##name, x); });
  FASTDL_UNARY_OPS(FASTDL_DEF)
#undef FASTDL_DEF
#define FASTDL_DEF(name)                                                                    \
  m.def(#name, [](const Array& a, const Array& b) {                                         \
    return binary_arrays(#name, binary, Binary::k_##name, accepts(Binary::k_##name), a, b); \
  });
  FASTDL_DEF(add)
  FASTDL_DEF(sub)
  FASTDL_DEF(mul)
  FASTDL_DEF(div)
  FASTDL_DEF(floor_divide)
  FASTDL_DEF(remainder)
  FASTDL_DEF(bitwise_and)
  FASTDL_DEF(bitwise_or)
  FASTDL_DEF(bitwise_xor)
  FASTDL_DEF(pow)
  FASTDL_DEF(maximum)
  FASTDL_DEF(minimum)
  FASTDL_DEF(prelu)
  FASTDL_DEF(fmod)
  FASTDL_DEF(atan2)
  FASTDL_DEF(hypot)
  FASTDL_DEF(copysign)
  FASTDL_DEF(logaddexp)
#undef FASTDL_DEF
#define FASTDL_DEF(function, name, first)                                                            \
  m.def(#function, [](const Array& x, py::handle s) {                                                \
    return with_scalar(#function, binary, Binary::k_##name, accepts(Binary::k_##name), x, s, first); \
  });
  FASTDL_DEF(add_scalar, add, false)
  FASTDL_DEF(sub_scalar, sub, false)
  FASTDL_DEF(rsub_scalar, sub, true)
  FASTDL_DEF(mul_scalar, mul, false)
  FASTDL_DEF(div_scalar, div, false)
  FASTDL_DEF(rdiv_scalar, div, true)
  FASTDL_DEF(pow_scalar, pow, false)
  FASTDL_DEF(rpow_scalar, pow, true)
  FASTDL_DEF(maximum_scalar, maximum, false)
  FASTDL_DEF(minimum_scalar, minimum, false)
#undef FASTDL_DEF
#define FASTDL_DEF(name)                                                                         \
  m.def(#name, [](const Array& a, const Array& b) {                                              \
    return binary_arrays(#name, compare, Compare::k_##name, Accepts::kAny, a, b);                \
  });                                                                                            \
  m.def(#name "_scalar", [](const Array& x, py::handle s) {                                      \
    return with_scalar(#name "_scalar", compare, Compare::k_##name, Accepts::kAny, x, s, false); \
  });
  FASTDL_COMPARE_OPS(FASTDL_DEF)
#undef FASTDL_DEF
#define FASTDL_DEF(name) \
  m.def(#name, [](const Array& grad, const Array& out) { return activation_bwd(#name, Binary::k_##name, grad, out); });
  FASTDL_DEF(relu_bwd)
  FASTDL_DEF(sigmoid_bwd)
  FASTDL_DEF(tanh_bwd)
#undef FASTDL_DEF
  m.def("relu_", &relu_inplace);
#define FASTDL_DEF(name)                                                                                         \
  m.def(#name "_", [](Array& x, const Array& other) { binary_inplace(#name "_", Binary::k_##name, x, other); }); \
  m.def(#name "_scalar_", [](Array& x, py::handle s) { scalar_inplace(#name "_scalar_", Binary::k_##name, x, s); });
  FASTDL_DEF(add)
  FASTDL_DEF(sub)
  FASTDL_DEF(mul)
  FASTDL_DEF(div)
#undef FASTDL_DEF
  m.def("diff", &diff);
  m.def("clamp", &clamp_array);
  m.def("fill_", &fill_inplace);
  m.def("ramp_", &ramp_inplace);
  m.def("integer_ramp_", &integer_ramp_inplace);
  m.def("copy_", &copy_inplace);
  m.def("where", &where_arrays);
  m.def("addcmul", [](const Array& a, const Array& b, const Array& c, py::handle s) {
    return blend_arrays("addcmul", Blend::k_addcmul, a, b, c, s);
  });
  m.def("addcdiv", [](const Array& a, const Array& b, const Array& c, py::handle s) {
    return blend_arrays("addcdiv", Blend::k_addcdiv, a, b, c, s);
  });
  m.def("lerp", [](const Array& a, const Array& b, const Array& weight) {
    return blend_arrays("lerp", Blend::k_lerp, a, b, weight, py::float_(0.0));
  });
  m.def("lerp_scalar", &lerp_scalar);
  m.def("nan_to_num", &numbers_for_nan);
  m.def("cast", &cast_array);
}

}  // namespace fastdl
