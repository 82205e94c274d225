// Python bindings of conv_transpose2d and its two gradients, which are conv2d's kernels under other names.
#include "bind/call.h"
#include "ops/conv2d/conv2d_bind.h"
#include "ops/conv_transpose2d/conv_transpose2d.h"

namespace fastdl {
namespace conv_transpose2d_binding {

struct Attributes {
  const Dims& stride;
  const Dims& padding;
  const Dims& dilation;
  int64_t groups;
};

Dims dims4(int64_t a, int64_t b, int64_t c, int64_t d) {
  return Dims{4, {a, b, c, d}};
}

// x is (N, C, H, W), weight (C, O / groups, kernel_h, kernel_w): shapes of the arguments, or what they will be. The
// geometry of the convolution that leads back from the output to x.
Conv2dGeometry geometry(const char* op, const Dims& x, const Dims& weight, const Dims& output_padding,
                        const Attributes& a) {
  expect_conv_values(op, "stride", a.stride, 2, 1);
  expect_conv_values(op, "padding", a.padding, 2, 0);
  expect_conv_values(op, "output_padding", output_padding, 2, 0);
  expect_conv_values(op, "dilation", a.dilation, 2, 1);
  EXPECT(a.groups >= 1, ValueError, op, text("groups of at least 1"), text(a.groups));
  for (int i = 0; i < 4; ++i)
    EXPECT(weight[i] > 0, ValueError, op, text("a weight with elements"), text("shape ", weight));
  EXPECT(weight[0] % a.groups == 0, ValueError, op, text("input channels that ", a.groups, " groups divide"),
         text(weight[0]));
  EXPECT(x[1] == weight[0], ValueError, op, text("an input of ", weight[0], " channels"), text(x[1], " channels"));
  int64_t size[2];
  for (int i = 0; i < 2; ++i) {
    const int64_t in = x[2 + i], kernel = weight[2 + i], extra = output_padding[i];
    EXPECT(in >= 1 && in < kConvSizeLimit, ValueError, op, text("an input size of 1 to 2^31 - 1"), text(in));
    EXPECT(kernel < kConvSizeLimit, ValueError, op, text("a kernel size below 2^31"), text(kernel));
    EXPECT(extra < a.stride[i] || extra < a.dilation[i], ValueError, op,
           text("output_padding below stride ", a.stride[i], " or dilation ", a.dilation[i]), text(extra));
    size[i] = conv_transpose_out_size(in, a.padding[i], extra, kernel, a.stride[i], a.dilation[i]);
    EXPECT(size[i] >= 1, ValueError, op, "padding that leaves an output", text("an output size of ", size[i]));
  }
  Conv2dGeometry g{};
  g.batch = x[0], g.out_channels = x[1], g.out_h = x[2], g.out_w = x[3];
  g.in_channels = weight[1] * a.groups, g.in_h = size[0], g.in_w = size[1];
  g.kernel_h = weight[2], g.kernel_w = weight[3], g.groups = a.groups;
  g.pad_top = g.pad_bottom = a.padding[0], g.pad_left = g.pad_right = a.padding[1];
  // As for conv2d: steps that nothing takes change nothing, but kernels size buffers by them.
  g.stride_h = g.out_h == 1 ? 1 : a.stride[0], g.stride_w = g.out_w == 1 ? 1 : a.stride[1];
  g.dilation_h = g.kernel_h == 1 ? 1 : a.dilation[0], g.dilation_w = g.kernel_w == 1 ? 1 : a.dilation[1];
  return g;
}

// What the output's size has beyond the least one.
Dims output_padding_of(const Array& grad, int64_t h, int64_t w, int64_t kernel_h, int64_t kernel_w,
                       const Attributes& a) {
  const auto extra = [&](int i, int64_t in, int64_t kernel) {
    return grad.dim(2 + i) - conv_transpose_out_size(in, a.padding[i], 0, kernel, a.stride[i], a.dilation[i]);
  };
  return Dims{2, {extra(0, h, kernel_h), extra(1, w, kernel_w)}};
}

void expect_pairs(const char* op, const Attributes& a) {
  expect_conv_values(op, "stride", a.stride, 2, 1);
  expect_conv_values(op, "padding", a.padding, 2, 0);
  expect_conv_values(op, "dilation", a.dilation, 2, 1);
  EXPECT(a.groups >= 1 && a.groups < kConvSizeLimit, ValueError, op, text("groups of 1 to 2^31 - 1"), text(a.groups));
}

Array forward(const Array& x, const Array& weight, const Array* bias, const Dims& stride, const Dims& padding,
              const Dims& output_padding, const Dims& dilation, int64_t groups) {
  constexpr const char* op = "conv_transpose2d";
  expect_float(op, "input", x);
  expect_same_dtype(op, "weight", weight, x.dtype);
  expect_ndim(op, "input", x, 4);
  expect_ndim(op, "weight", weight, 4);
  const Conv2dGeometry g = geometry(op, x.shape, weight.shape, output_padding, {stride, padding, dilation, groups});
  if (bias) {
    expect_same_dtype(op, "bias", *bias, x.dtype);
    expect_shape(op, "bias", *bias, Dims{1, {g.in_channels}});
  }
  Array out = empty(dims4(g.batch, g.in_channels, g.in_h, g.in_w), x.dtype);
  const ConvTranspose2dFwdArgs args{x.dtype, g, x.data, weight.data, bias ? bias->data : nullptr, out.data};
  call(conv_transpose2d_fwd, args, static_cast<int64_t>(x.bytes() + weight.bytes() + out.bytes()));
  return out;
}

Array input_gradient(const Array& grad, const Array& weight, const Dims& input_hw, const Dims& stride,
                     const Dims& padding, const Dims& dilation, int64_t groups) {
  constexpr const char* op = "conv_transpose2d_bwd_input";
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "weight", weight, grad.dtype);
  expect_ndim(op, "grad", grad, 4);
  expect_ndim(op, "weight", weight, 4);
  expect_conv_values(op, "input_hw", input_hw, 2, 1);
  const Attributes a{stride, padding, dilation, groups};
  expect_pairs(op, a);
  const Dims x = dims4(grad.dim(0), weight.dim(0), input_hw[0], input_hw[1]);
  const Dims extra = output_padding_of(grad, x[2], x[3], weight.dim(2), weight.dim(3), a);
  const Conv2dGeometry g = geometry(op, x, weight.shape, extra, a);
  expect_shape(op, "grad", grad, dims4(g.batch, g.in_channels, g.in_h, g.in_w));
  Array out = empty(x, grad.dtype);
  const Conv2dFwdArgs args{grad.dtype, g, grad.data, weight.data, nullptr, Activation::kNone, out.data};
  call(conv2d_fwd, args, static_cast<int64_t>(grad.bytes() + weight.bytes() + out.bytes()));
  return out;
}

Array weight_gradient(const Array& grad, const Array& x, const Dims& kernel_hw, const Dims& stride, const Dims& padding,
                      const Dims& dilation, int64_t groups) {
  constexpr const char* op = "conv_transpose2d_bwd_weight";
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "input", x, grad.dtype);
  expect_ndim(op, "grad", grad, 4);
  expect_ndim(op, "input", x, 4);
  expect_conv_values(op, "kernel_hw", kernel_hw, 2, 1);
  const Attributes a{stride, padding, dilation, groups};
  expect_pairs(op, a);
  const Dims weight = dims4(x.dim(1), grad.dim(1) / groups, kernel_hw[0], kernel_hw[1]);
  const Dims extra = output_padding_of(grad, x.dim(2), x.dim(3), kernel_hw[0], kernel_hw[1], a);
  const Conv2dGeometry g = geometry(op, x.shape, weight, extra, a);
  expect_shape(op, "grad", grad, dims4(g.batch, g.in_channels, g.in_h, g.in_w));
  Array out = empty(weight, grad.dtype);
  const Conv2dBwdWeightArgs args{grad.dtype, g, x.data, grad.data, out.data};
  call(conv2d_bwd_weight, args, static_cast<int64_t>(grad.bytes() + x.bytes() + out.bytes()));
  return out;
}

}  // namespace conv_transpose2d_binding

void bind_conv_transpose2d(py::module_& m) {
  using namespace conv_transpose2d_binding;
  m.def("conv_transpose2d", &forward);
  m.def("conv_transpose2d_bwd_input", &input_gradient);
  m.def("conv_transpose2d_bwd_weight", &weight_gradient);
}

}  // namespace fastdl
