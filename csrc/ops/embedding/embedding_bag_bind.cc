#include "ops/embedding/embedding_bind.h"

namespace fastdl {
namespace embedding_bag_binding {

BagMode mode_of(const char* op, const std::string& mode) {
  EXPECT(mode == "sum" || mode == "mean" || mode == "max", ValueError, op, text("mode sum, mean or max"), mode);
  return mode == "sum" ? BagMode::kSum : mode == "mean" ? BagMode::kMean : BagMode::kMax;
}

// Offsets lie in the memory of the host, so they are checked here.
Bags bags_of(const char* op, const Array& index, const Array& offsets, const Array* weights, DType dtype,
             const std::string& mode, int64_t padding) {
  expect_ndim(op, "index", index, 1);
  expect_same_dtype(op, "offsets", offsets, DType::kInt64);
  expect_ndim(op, "offsets", offsets, 1);
  EXPECT(offsets.size >= 1, ValueError, op, text("offsets with an end"), text("none"));
  const int64_t* at = static_cast<const int64_t*>(offsets.data);
  check_first([op, at, n = offsets.size, end = index.size] {
    EXPECT(at[0] == 0, ValueError, op, text("offsets that begin with 0"), text(at[0]));
    for (int64_t b = 1; b < n; ++b)
      EXPECT(at[b] >= at[b - 1] && at[b] <= end, ValueError, op, text("ascending offsets up to ", end),
             text(at[b], " at position ", b));
  });
  const BagMode how = mode_of(op, mode);
  if (weights) {
    EXPECT(how == BagMode::kSum, ValueError, op, text("mode sum with weights"), mode);
    expect_same_dtype(op, "weights", *weights, dtype);
    expect_shape(op, "weights", *weights, index.shape);
  }
  return {how, offsets.size - 1, at, weights ? weights->data : nullptr, padding};
}

void expect_bag_grad(const char* op, const Array& grad, const Bags& bags) {
  expect_float(op, "grad", grad);
  expect_ndim(op, "grad", grad, 2);
  EXPECT(grad.dim(0) == bags.count, ValueError, op, text("grad with ", bags.count, " rows"),
         text("shape ", grad.shape));
}

int64_t bytes_read(const EmbeddingTable& t) {
  return t.count * t.width * static_cast<int64_t>(itemsize(t.dtype));
}

py::tuple embedding_bag(const Array& weight, const Array& index, const Array& offsets, const Array* weights,
                        const std::string& mode, int64_t padding) {
  constexpr const char* kOp = "embedding_bag";
  expect_weight(kOp, weight);
  Fault bad;
  const EmbeddingTable t = table(kOp, weight.dtype, weight.dim(0), weight.dim(1), index, bad.place());
  const Bags bags = bags_of(kOp, index, offsets, weights, weight.dtype, mode, padding);
  Dims shape;
  shape.n = 2, shape[0] = bags.count, shape[1] = t.width;
  Array out = empty(shape, weight.dtype), maxima;
  const bool max = bags.mode == BagMode::kMax;
  if (max) maxima = empty(shape, DType::kInt64);
  call(embedding_bag_fwd, EmbeddingBagFwdArgs{t, bags, weight.data, out.data, static_cast<int64_t*>(maxima.data)},
       bytes_read(t) + static_cast<int64_t>(out.bytes()));
  expect_inside(kOp, bad, index, t.rows);
  return py::make_tuple(std::move(out), max ? py::cast(std::move(maxima)) : py::none());
}

template <bool kAllRows>
py::object embedding_bag_backward(const Array& grad, const Array& index, const Array& offsets, const Array* weights,
                                  const Array* maxima, int64_t rows, const std::string& mode, int64_t padding,
                                  bool by_frequency) {
  constexpr const char* kOp = kAllRows ? "embedding_bag_bwd" : "embedding_bag_bwd_rows";
  const Bags bags = bags_of(kOp, index, offsets, weights, grad.dtype, mode, padding);
  expect_bag_grad(kOp, grad, bags);
  const bool max = bags.mode == BagMode::kMax;
  EXPECT(!max || (kAllRows && !by_frequency), NotImplementedError, kOp,
         text("mode sum or mean for touched rows and division by frequency"), mode);
  EXPECT(max == (maxima != nullptr), ValueError, kOp, text("maxima with mode max only"), mode);
  if (max) {
    expect_same_dtype(kOp, "maxima", *maxima, DType::kInt64);
    expect_shape(kOp, "maxima", *maxima, grad.shape);
  }
  Fault bad;
  const EmbeddingTable t = table(kOp, grad.dtype, rows, grad.dim(1), index, bad.place());
  GradientTarget to = gradient_target(t, kAllRows);
  const int64_t* from = max ? static_cast<const int64_t*>(maxima->data) : nullptr;
  call(embedding_bag_bwd, EmbeddingBagBwdArgs{t, bags, grad.data, from, gradient(to, padding, by_frequency)},
       bytes_read(t) + static_cast<int64_t>(to.values.bytes()));
  const int64_t maximum = *bad.place();
  EXPECT(maximum >= 0, IndexError, kOp, text("maxima in [-1, ", rows, ")"),
         text("one outside at position ", -maximum - 1));
  expect_inside(kOp, bad, index, rows);
  return finished(to, kAllRows);
}

Array embedding_bag_backward_weights(const Array& grad, const Array& weight, const Array& index, const Array& offsets,
                                     int64_t padding) {
  constexpr const char* kOp = "embedding_bag_bwd_weights";
  expect_weight(kOp, weight);
  const Bags bags = bags_of(kOp, index, offsets, nullptr, weight.dtype, "sum", padding);
  expect_bag_grad(kOp, grad, bags);
  expect_same_dtype(kOp, "grad", grad, weight.dtype);
  EXPECT(grad.dim(1) == weight.dim(1), ValueError, kOp, text("grad with ", weight.dim(1), " columns"),
         text("shape ", grad.shape));
  Fault bad;
  const EmbeddingTable t = table(kOp, weight.dtype, weight.dim(0), weight.dim(1), index, bad.place());
  Array out = empty(index.shape, weight.dtype);
  call(embedding_bag_weights, EmbeddingBagWeightsArgs{t, bags, grad.data, weight.data, out.data}, 2 * bytes_read(t));
  expect_inside(kOp, bad, index, t.rows);
  return out;
}

}  // namespace embedding_bag_binding

void bind_embedding_bag(py::module_& m) {
  using namespace embedding_bag_binding;
  m.def("embedding_bag", &embedding_bag);
  m.def("embedding_bag_bwd", &embedding_bag_backward<true>);
  m.def("embedding_bag_bwd_rows", &embedding_bag_backward<false>);
  m.def("embedding_bag_bwd_weights", &embedding_bag_backward_weights);
}

}  // namespace fastdl
