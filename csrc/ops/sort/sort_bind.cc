#include "bind/call.h"
#include "bind/host_numbers.h"
#include "ops/sort/sort.h"

namespace fastdl {
namespace sort_binding {

constexpr int64_t kMostNumbers = 0x7fffffff;  // of a line: places are int32 in the kernels

void expect_not_bool(const char* op, const char* what, const Array& x) {
  EXPECT(x.dtype != DType::kBool, TypeError, op, text(what, " of dtype float32, float64, int32, int64 or uint8"),
         text(x.dtype));
}
Lines lines_along(const char* op, const Array& x, int64_t axis) {
  EXPECT(axis >= 0 && axis < x.ndim(), IndexError, op, text("an axis from 0 to ", x.ndim() - 1), text(axis));
  const int at = static_cast<int>(axis);
  EXPECT(x.dim(at) <= kMostNumbers, ValueError, op, text("less than 2^31 numbers along the axis"), text(x.dim(at)));
  return {x.shape.product(0, at), x.dim(at), x.shape.product(at + 1)};
}
Dims with_size(const Array& x, int64_t axis, int64_t size) {
  Dims shape = x.shape;
  shape[static_cast<int>(axis)] = size;
  return shape;
}
int64_t* numbers(const Array& a) {
  return static_cast<int64_t*>(a.data);
}
int64_t bytes_of(const Array& x) {
  return 8 * static_cast<int64_t>(x.bytes());
}

// ---- order ----------------------------------------------------------------------------------------------------------

py::tuple sort(const Array& x, int64_t axis, bool descending) {
  const Lines lines = lines_along("sort", x, axis);
  Array values = empty(x.shape, x.dtype), indices = empty(x.shape, DType::kInt64);
  call(sort_lines, SortArgs{x.dtype, lines, descending, x.data, values.data, numbers(indices)}, bytes_of(x));
  return py::make_tuple(values, indices);
}

Array argsort(const Array& x, int64_t axis, bool descending) {
  const Lines lines = lines_along("argsort", x, axis);
  Array indices = empty(x.shape, DType::kInt64);
  call(sort_lines, SortArgs{x.dtype, lines, descending, x.data, nullptr, numbers(indices)}, bytes_of(x));
  return indices;
}

py::tuple topk(const Array& x, int64_t k, int64_t axis, bool largest) {
  expect_not_bool("topk", "input", x);
  const Lines lines = lines_along("topk", x, axis);
  EXPECT(k >= 0 && k <= lines.n, ValueError, "topk", text("k from 0 to ", lines.n), text(k));
  const Dims shape = with_size(x, axis, k);
  Array values = empty(shape, x.dtype), indices = empty(shape, DType::kInt64);
  call(topk_lines, TopkArgs{x.dtype, lines, k, largest, x.data, values.data, numbers(indices)}, bytes_of(x));
  return py::make_tuple(values, indices);
}

py::tuple choose(const char* op, const Array& x, int64_t axis, Rank rank, int64_t k) {
  const Lines lines = lines_along(op, x, axis);
  const Dims shape = with_size(x, axis, 1);
  Array values = empty(shape, x.dtype), indices = empty(shape, DType::kInt64);
  EXPECT(lines.n > 0 || values.size == 0, IndexError, op, text("at least one element along the axis"),
         text("shape ", x.shape));
  if (lines.n > 0)
    call(kth_of_lines, KthArgs{x.dtype, lines, rank, k, x.data, values.data, numbers(indices)}, bytes_of(x));
  return py::make_tuple(values, indices);
}

py::tuple kthvalue(const Array& x, int64_t k, int64_t axis) {
  expect_not_bool("kthvalue", "input", x);
  const Lines lines = lines_along("kthvalue", x, axis);
  EXPECT(lines.n == 0 || (k >= 1 && k <= lines.n), ValueError, "kthvalue", text("k from 1 to ", lines.n), text(k));
  return choose("kthvalue", x, axis, Rank::kGiven, k - 1);
}

py::tuple median(const Array& x, int64_t axis, bool ignore_nan) {
  const char* const op = ignore_nan ? "nanmedian" : "median";
  expect_not_bool(op, "input", x);
  return choose(op, x, axis, ignore_nan ? Rank::kNanMedian : Rank::kMedian, 0);
}

Array chosen_gradient(const Array& grad, const Array& indices, int64_t axis, int64_t size) {
  constexpr const char* kOp = "chosen_bwd";
  expect_float(kOp, "grad", grad);
  const Lines chosen = lines_along(kOp, grad, axis);
  expect_same_dtype(kOp, "indices", indices, DType::kInt64);
  expect_shape(kOp, "indices", indices, grad.shape);
  EXPECT(size >= chosen.n, ValueError, kOp, text("size of at least ", chosen.n), text(size));
  Array out = empty(with_size(grad, axis, size), grad.dtype);
  LateFault bad;
  const Lines whole{chosen.outer, size, chosen.inner};
  call(chosen_bwd, ChosenBwdArgs{grad.dtype, whole, chosen.n, grad.data, numbers(indices), out.data, bad.place()},
       static_cast<int64_t>(out.bytes()));
  expect_inside(kOp, bad, indices, size);
  return out;
}

// ---- sorted sequences -----------------------------------------------------------------------------------------------

Array searchsorted(const Array& sorted, const Array& x, bool right) {
  constexpr const char* kOp = "searchsorted";
  expect_not_bool(kOp, "sorted_sequence", sorted);
  expect_same_dtype(kOp, "input", x, sorted.dtype);
  EXPECT(sorted.ndim() >= 1, ValueError, kOp, text("sorted_sequence with at least 1 dimension"), text("shape ()"));
  const int last = sorted.ndim() - 1;
  const bool shared = sorted.ndim() == 1;
  if (!shared) {
    Dims expected = sorted.shape;
    if (x.ndim() == sorted.ndim()) expected[last] = x.dim(last);
    EXPECT(x.shape == expected, ValueError, kOp, text("input of shape ", sorted.shape, " except along the last axis"),
           text("shape ", x.shape));
  }
  Array out = empty(x.shape, DType::kInt64);
  const int64_t sequences = shared ? 1 : sorted.shape.product(0, last);
  const int64_t count = shared ? x.size : x.dim(last);
  call(search_sorted,
       SearchSortedArgs{x.dtype, right, sequences, sorted.dim(last), count, shared, sorted.data, x.data, numbers(out)},
       bytes_of(x));
  return out;
}

Array shortened(const Array& a, int64_t count) {
  Array out = empty({1, {count}}, a.dtype);
  copy_on_device(out.data, a.data, out.bytes());
  return out;
}

py::tuple group(const Array& sorted, const Array* indices) {
  constexpr const char* kOp = "group_equal";
  refuse_recording(kOp);
  expect_ndim(kOp, "sorted", sorted, 1);
  Array first = empty(sorted.shape, DType::kInt64), inverse;
  if (indices) {
    expect_same_dtype(kOp, "indices", *indices, DType::kInt64);
    expect_shape(kOp, "indices", *indices, sorted.shape);
    inverse = empty(sorted.shape, DType::kInt64);
  }
  int64_t groups = 0;
  Fault bad;
  call(group_equal,
       GroupEqualArgs{sorted.dtype, sorted.size, sorted.data, indices ? numbers(*indices) : nullptr,
                      indices ? numbers(inverse) : nullptr, numbers(first), &groups, bad.place()},
       bytes_of(sorted));
  if (indices) expect_inside(kOp, bad, *indices, sorted.size);
  py::object places = indices ? py::cast(std::move(inverse)) : py::none();
  return py::make_tuple(places, shortened(first, groups));
}

}  // namespace sort_binding

void bind_sort(py::module_& m) {
  using namespace sort_binding;
  m.def("sort", &sort);
  m.def("argsort", &argsort);
  m.def("topk", &topk);
  m.def("kthvalue", &kthvalue);
  m.def("median", &median);
  m.def("chosen_bwd", &chosen_gradient);
  m.def("searchsorted", &searchsorted);
  m.def("group_equal", &group);
}

}  // namespace fastdl
