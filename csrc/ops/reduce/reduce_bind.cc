#include "bind/call.h"
#include "ops/reduce/reduce.h"

namespace fastdl {
namespace reduce_binding {

void expect_number(const char* op, const Array& x) {
  EXPECT(itemsize(x.dtype) > 1, TypeError, op, "x of dtype float32, float64, int32 or int64", text(x.dtype));
}

// The output's shape; args gets x's, with neighbouring axes of one kind merged and those of size 1 left out.
Dims reduced_shape(const char* op, const Array& x, const Dims& axes, bool keepdim, ReduceArgs& args) {
  bool reduced[kMaxDims] = {};
  for (int i = 0; i < axes.n; ++i) {
    EXPECT(axes[i] >= 0 && axes[i] < x.ndim(), IndexError, op, text("axes from 0 to ", x.ndim() - 1), text(axes));
    EXPECT(i == 0 || axes[i] > axes[i - 1], ValueError, op, "sorted axes without repetition", text(axes));
    reduced[axes[i]] = true;
  }
  Dims out;
  int n = 0;
  for (int i = 0; i < x.ndim(); ++i) {
    if (!reduced[i])
      out[out.n++] = x.dim(i);
    else if (keepdim)
      out[out.n++] = 1;
    if (x.dim(i) == 1) continue;
    if (n > 0 && args.reduced[n - 1] == reduced[i]) {
      args.shape[n - 1] *= x.dim(i);
    } else {
      args.shape[n] = x.dim(i);
      args.reduced[n++] = reduced[i];
    }
  }
  if (n == 0) args.shape[0] = 1, args.reduced[0] = false, n = 1;
  args.shape.n = n;
  return out;
}

Array reduce_array(const char* name, Reduce op, const Array& x, const Dims& axes, bool keepdim) {
  expect_number(name, x);
  if (op == Reduce::k_mean) expect_float(name, "x", x);
  ReduceArgs args{};
  const Dims shape = reduced_shape(name, x, axes, keepdim, args);
  const bool extreme = op == Reduce::k_amax || op == Reduce::k_amin;
  EXPECT(!extreme || x.size > 0 || shape.product() == 0, ValueError, name, "at least one element along the axes",
         text("shape ", x.shape));
  Array out = empty(shape, x.dtype);
  args.op = op, args.dtype = x.dtype, args.out_size = out.size, args.x = x.data, args.out = out.data;
  call(reduce, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

Array squared_deviations(const Array& x, const Array* center, const Dims& axes, bool keepdim) {
  const char* const name = "squared_deviations";
  expect_float(name, "x", x);
  ReduceArgs args{};
  const Dims shape = reduced_shape(name, x, axes, keepdim, args);
  if (center) {
    EXPECT(center->dtype == x.dtype, TypeError, name, text("center of dtype ", x.dtype), text(center->dtype));
    EXPECT(center->size == shape.product(), ValueError, name, text("center of ", shape.product(), " elements"),
           text("shape ", center->shape));
  }
  Array out = empty(shape, x.dtype);
  args.op = Reduce::k_squared_deviations, args.dtype = x.dtype, args.out_size = out.size;
  args.x = x.data, args.center = center ? center->data : nullptr, args.out = out.data;
  call(reduce, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

Array arg_reduce_array(const char* name, bool largest, const Array& x, int64_t axis, bool keepdim) {
  expect_number(name, x);
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, name, text("an axis from 0 to ", x.ndim() - 1), text(axis));
  Dims shape;
  for (int i = 0; i < x.ndim(); ++i)
    if (i != axis || keepdim) shape[shape.n++] = i == axis ? 1 : x.dim(i);
  const int at = static_cast<int>(axis);
  EXPECT(x.dim(at) > 0 || shape.product() == 0, ValueError, name, "at least one element along the axis",
         text("shape ", x.shape));
  Array out = empty(shape, DType::kInt64);
  const ArgReduceArgs args{largest,
                           x.dtype,
                           x.shape.product(0, at),
                           x.dim(at),
                           x.shape.product(at + 1),
                           x.data,
                           static_cast<int64_t*>(out.data)};
  call(arg_reduce, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

// grad and out: of x's shape with or without the axis.
Array product_gradient(const Array& grad, const Array& x, const Array& out, int64_t axis) {
  const char* const name = "prod_bwd";
  expect_float(name, "x", x);
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, name, text("an axis from 0 to ", x.ndim() - 1), text(axis));
  const int at = static_cast<int>(axis);
  const int64_t outer = x.shape.product(0, at), inner = x.shape.product(at + 1);
  for (const Array* a : {&grad, &out}) {
    const char* const what = a == &grad ? "grad" : "out";
    expect_same_dtype(name, what, *a, x.dtype);
    EXPECT(a->size == outer * inner, ValueError, name, text(what, " of ", outer * inner, " elements"),
           text("shape ", a->shape));
  }
  Array grad_x = empty(x.shape, x.dtype);
  call(prod_bwd, ProdBwdArgs{x.dtype, outer, x.dim(at), inner, grad.data, x.data, out.data, grad_x.data},
       static_cast<int64_t>(2 * x.bytes()));
  return grad_x;
}

Array histogram_array(const Array& x, int64_t bins, double low, double high) {
  expect_number("histogram", x);
  EXPECT(bins >= 1 && bins < INT32_MAX, ValueError, "histogram", text("bins from 1 to ", INT32_MAX - 1), text(bins));
  EXPECT(!is_float(x.dtype) || low < high, ValueError, "histogram", "low < high", text(low, " and ", high));
  Dims shape;
  shape.n = 1, shape[0] = bins;
  Array out = empty(shape, DType::kInt64);
  const double scale = is_float(x.dtype) ? static_cast<double>(bins) / (high - low) : 0;
  call(histogram, HistogramArgs{x.dtype, x.size, bins, low, high, scale, x.data, static_cast<int64_t*>(out.data)},
       static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

}  // namespace reduce_binding

void bind_reduce(py::module_& m) {
  using namespace reduce_binding;
#define FASTDL_DEF(name)                                            \
  m.def(#name, [](const Array& x, const Dims& axes, bool keepdim) { \
    return reduce_array(#name, Reduce::k_##name, x, axes, keepdim); \
  });
  FASTDL_REDUCE_OPS(FASTDL_DEF)
#undef FASTDL_DEF
  m.def("squared_deviations", &squared_deviations);
  m.def("prod_bwd", &product_gradient);
  m.def("histogram", &histogram_array);
  m.def("argmax",
        [](const Array& x, int64_t axis, bool keepdim) { return arg_reduce_array("argmax", true, x, axis, keepdim); });
  m.def("argmin",
        [](const Array& x, int64_t axis, bool keepdim) { return arg_reduce_array("argmin", false, x, axis, keepdim); });
}

}  // namespace fastdl
