// Python bindings of conv2d and its two gradients (the gradient of the bias is a plain sum).
#include "ops/conv2d/conv2d_bind.h"

#include <optional>

#include "bind/call.h"
#include "ops/conv2d/conv2d.h"
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/matmul/activation_name.h"
#if !defined(FASTDL_DEVICE_CPU)
#include "ops/conv2d/conv2d_winograd.cuh"
#endif

namespace fastdl {

ConvAlgorithm conv_algorithm = ConvAlgorithm::kAuto;
int64_t conv_workspace = int64_t{128} << 20;

namespace conv2d_binding {

struct Attributes {
  const Dims& stride;
  const Dims& padding;
  const Dims& dilation;
  int64_t groups;
};

// x is (N, C, H, W), weight (O, C / groups, kernel_h, kernel_w): shapes of the arguments, or what they will be.
Conv2dGeometry geometry(const char* op, const Dims& x, const Dims& weight, const Attributes& a) {
  expect_conv_values(op, "stride", a.stride, 2, 1);
  expect_conv_values(op, "padding", a.padding, 4, 0);
  expect_conv_values(op, "dilation", a.dilation, 2, 1);
  EXPECT(a.groups >= 1, ValueError, op, text("groups of at least 1"), text(a.groups));
  for (int i = 0; i < 4; ++i)
    EXPECT(weight[i] > 0, ValueError, op, text("a weight with elements"), text("shape ", weight));
  EXPECT(weight[0] % a.groups == 0, ValueError, op, text("output channels that ", a.groups, " groups divide"),
         text(weight[0]));
  EXPECT(x[1] % a.groups == 0, ValueError, op, text("input channels that ", a.groups, " groups divide"), text(x[1]));
  EXPECT(x[1] / a.groups == weight[1], ValueError, op,
         text("an input of ", weight[1], " channels in each of ", a.groups, " groups"), text(x[1], " channels"));
  for (int i = 2; i < 4; ++i) {
    EXPECT(x[i] < kConvSizeLimit, ValueError, op, text("an input size below 2^31"), text(x[i]));
    EXPECT(weight[i] < kConvSizeLimit, ValueError, op, text("a kernel size below 2^31"), text(weight[i]));
    const int64_t padded = x[i] + a.padding[2 * i - 4] + a.padding[2 * i - 3];
    const int64_t span = a.dilation[i - 2] * (weight[i] - 1) + 1;
    EXPECT(span <= padded, ValueError, op, text("a dilated kernel of at most the padded input, ", padded), text(span));
  }
  Conv2dGeometry g{x[0],
                   x[1],
                   x[2],
                   x[3],
                   weight[0],
                   0,
                   0,
                   weight[2],
                   weight[3],
                   a.stride[0],
                   a.stride[1],
                   a.padding[0],
                   a.padding[1],
                   a.padding[2],
                   a.padding[3],
                   a.dilation[0],
                   a.dilation[1],
                   a.groups};
  g.out_h = conv_out_size(g.in_h, g.pad_top, g.pad_bottom, g.kernel_h, g.stride_h, g.dilation_h);
  g.out_w = conv_out_size(g.in_w, g.pad_left, g.pad_right, g.kernel_w, g.stride_w, g.dilation_w);
  // A stride that no window takes and a dilation between no two taps change nothing, but kernels size buffers by them.
  if (g.out_h <= 1) g.stride_h = 1;
  if (g.out_w <= 1) g.stride_w = 1;
  if (g.kernel_h == 1) g.dilation_h = 1;
  if (g.kernel_w == 1) g.dilation_w = 1;
  return g;
}

Dims dims4(int64_t a, int64_t b, int64_t c, int64_t d) {
  return Dims{4, {a, b, c, d}};
}

// Everything but the memory of `out`, which is not there yet.
// (Without x the shape is that of one to come.)
Conv2dFwdArgs forward_args(const char* op, const Array* x, const Dims& shape, const Array& weight, const Array* bias,
                           const Attributes& a, const std::string& activation, const Array* residual) {
  if (x) expect_float(op, "input", *x);
  if (x) expect_same_dtype(op, "weight", weight, x->dtype);
  if (x) expect_ndim(op, "input", *x, 4);
  expect_float(op, "weight", weight);
  expect_ndim(op, "weight", weight, 4);
  EXPECT(shape.n == 4, ValueError, op, text("an input of 4 dimensions"), text("shape ", shape));
  const Conv2dGeometry g = geometry(op, shape, weight.shape, a);
  if (bias) {
    expect_same_dtype(op, "bias", *bias, weight.dtype);
    expect_shape(op, "bias", *bias, Dims{1, {g.out_channels}});
  }
  if (residual) {
    expect_same_dtype(op, "residual", *residual, weight.dtype);
    expect_shape(op, "residual", *residual, dims4(g.batch, g.out_channels, g.out_h, g.out_w));
  }
  const Activation act = activation_from_name(op, activation);
  return {weight.dtype, g, data_or_null(x), weight.data, data_or_null(bias), act, nullptr, data_or_null(residual)};
}

// (batch, channels, height, width) as it lies: in blocks of so many channels, if that is not 0.
Dims lying_in(int64_t block, int64_t batch, int64_t channels, int64_t height, int64_t width) {
  if (block == 0) return dims4(batch, channels, height, width);
  return Dims{5, {batch, channels / block, height, width, block}};
}

Array run_forward(Conv2dFwdArgs& args, size_t weight_bytes) {
  const Conv2dGeometry& g = args.g;
  Array out = empty(lying_in(args.channel_block, g.batch, g.out_channels, g.out_h, g.out_w), args.dtype);
  args.out = out.data;
  const int64_t in = g.batch * g.in_channels * g.in_h * g.in_w * static_cast<int64_t>(itemsize(args.dtype));
  call(conv2d_fwd, args, in + static_cast<int64_t>(weight_bytes + out.bytes() * (args.residual ? 2 : 1)));
  return out;
}

Array forward(const Array& x, const Array& weight, const Array* bias, const Dims& stride, const Dims& padding,
              const Dims& dilation, int64_t groups, const std::string& activation, const Array* residual) {
  Conv2dFwdArgs args =
      forward_args("conv2d", &x, x.shape, weight, bias, {stride, padding, dilation, groups}, activation, residual);
  return run_forward(args, weight.bytes());
}

#if defined(FASTDL_DEVICE_CPU)
int64_t prepared_bytes(const Conv2dFwdArgs& args) {
  int64_t bytes = 0;
  conv2d_prepare({args, nullptr, &bytes});
  return bytes;
}

int64_t channel_block() {
  int64_t block = 0;
  conv2d_channel_block({&block});
  return block;
}

// The weights as the kernel for these shapes and settings wants them, as numbers of the weight's dtype; or None, where
// that saves nothing. With blocks of channels for conv2d_nchwc, else for conv2d_prepared.
std::optional<Array> prepare(const char* op, int64_t block, const Dims& shape, const Array& weight, const Array* bias,
                             const Attributes& a) {
  refuse_recording(op);
  Conv2dFwdArgs args = forward_args(op, nullptr, shape, weight, bias, a, "none", nullptr);
  args.channel_block = block, args.plain_x = args.g.groups == 1 && args.g.in_channels < block;
  int64_t bytes = prepared_bytes(args);
  if (bytes == 0) return std::nullopt;
  Array out = empty(Dims{1, {bytes / static_cast<int64_t>(itemsize(weight.dtype))}}, weight.dtype);
  conv2d_prepare({args, out.data, &bytes});
  return out;
}
std::optional<Array> plain_prepare(const Dims& shape, const Array& weight, const Array* bias, const Dims& stride,
                                   const Dims& padding, const Dims& dilation, int64_t groups) {
  return prepare("conv2d_prepare", 0, shape, weight, bias, {stride, padding, dilation, groups});
}
std::optional<Array> nchwc_prepare(const Dims& shape, const Array& weight, const Array* bias, const Dims& stride,
                                   const Dims& padding, const Dims& dilation, int64_t groups) {
  return prepare("conv2d_nchwc_prepare", channel_block(), shape, weight, bias, {stride, padding, dilation, groups});
}

Array prepared_forward(const Array& x, const Array& weight, const Array* bias, const Dims& stride, const Dims& padding,
                       const Dims& dilation, int64_t groups, const std::string& activation, const Array* residual,
                       const Array& prepared) {
  constexpr const char* op = "conv2d_prepared";
  Conv2dFwdArgs args =
      forward_args(op, &x, x.shape, weight, bias, {stride, padding, dilation, groups}, activation, residual);
  expect_same_dtype(op, "prepared", prepared, x.dtype);
  const int64_t bytes = prepared_bytes(args);
  EXPECT(static_cast<int64_t>(prepared.bytes()) == bytes, ValueError, op,
         text("weights that conv2d_prepare made for these shapes and settings, ", bytes, " bytes"),
         text(prepared.bytes()));
  args.prepared = prepared.data;
  return run_forward(args, prepared.bytes());
}

// x and residual are (N, C / block, H, W, block) in float32, and so is the result. An x of fewer channels than a block
// has is (N, C, H, W).
Array nchwc_forward(const Array& x, const Array& weight, const Array* bias, const Dims& stride, const Dims& padding,
                    const Dims& dilation, int64_t groups, const std::string& activation, const Array* residual,
                    const Array* prepared) {
  constexpr const char* op = "conv2d_nchwc";
  const bool plain = x.shape.n == 4;
  if (!plain) expect_ndim(op, "input", x, 5);
  expect_same_dtype(op, "input", x, DType::kFloat32);
  expect_same_dtype(op, "weight", weight, x.dtype);
  const int64_t block = plain ? channel_block() : x.dim(4), channels = plain ? x.dim(1) : x.dim(1) * block;
  EXPECT(block > 0, ValueError, op, text("blocks of at least 1 channel"), text("shape ", x.shape));
  EXPECT(!plain || (channels < block && groups == 1), ValueError, op,
         text("input with 5 dimensions, or with 4, fewer than ", block, " channels and 1 group"),
         text("shape ", x.shape, " and ", groups, " groups"));
  Conv2dFwdArgs args = forward_args(op, nullptr, dims4(x.dim(0), channels, x.dim(2), x.dim(3)), weight, bias,
                                    {stride, padding, dilation, groups}, activation, nullptr);
  const Conv2dGeometry& g = args.g;
  EXPECT(g.out_channels % block == 0, ValueError, op, text("output channels in blocks of ", block),
         text(g.out_channels));
  args.channel_block = block, args.plain_x = plain, args.x = x.data;
  if (residual) {
    expect_same_dtype(op, "residual", *residual, x.dtype);
    expect_shape(op, "residual", *residual, lying_in(block, g.batch, g.out_channels, g.out_h, g.out_w));
    args.residual = residual->data;
  }
  if (prepared) {
    expect_same_dtype(op, "prepared", *prepared, x.dtype);
    const int64_t bytes = prepared_bytes(args);
    EXPECT(static_cast<int64_t>(prepared->bytes()) == bytes, ValueError, op,
           text("weights that conv2d_nchwc_prepare made for these shapes and settings, ", bytes, " bytes"),
           text(prepared->bytes()));
    args.prepared = prepared->data;
  }
  return run_forward(args, prepared ? prepared->bytes() : weight.bytes());
}
#endif

Array input_gradient(const Array& grad, const Array& weight, const Dims& input_hw, const Dims& stride,
                     const Dims& padding, const Dims& dilation, int64_t groups) {
  constexpr const char* op = "conv2d_bwd_input";
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "weight", weight, grad.dtype);
  expect_ndim(op, "grad", grad, 4);
  expect_ndim(op, "weight", weight, 4);
  expect_conv_values(op, "input_hw", input_hw, 2, 0);
  EXPECT(groups >= 1 && groups < kConvSizeLimit, ValueError, op, text("groups of 1 to 2^31 - 1"), text(groups));
  const Dims x = dims4(grad.dim(0), weight.dim(1) * groups, input_hw[0], input_hw[1]);
  const Conv2dGeometry g = geometry(op, x, weight.shape, {stride, padding, dilation, groups});
  expect_shape(op, "grad", grad, dims4(g.batch, g.out_channels, g.out_h, g.out_w));
  Array out = empty(x, grad.dtype);
  const Conv2dBwdInputArgs args{grad.dtype, g, grad.data, weight.data, out.data};
  call(conv2d_bwd_input, args, static_cast<int64_t>(grad.bytes() + weight.bytes() + out.bytes()));
  return out;
}

Array weight_gradient(const Array& grad, const Array& x, const Dims& kernel_hw, const Dims& stride, const Dims& padding,
                      const Dims& dilation, int64_t groups) {
  constexpr const char* op = "conv2d_bwd_weight";
  expect_float(op, "grad", grad);
  expect_same_dtype(op, "input", x, grad.dtype);
  expect_ndim(op, "grad", grad, 4);
  expect_ndim(op, "input", x, 4);
  expect_conv_values(op, "kernel_hw", kernel_hw, 2, 1);
  EXPECT(groups >= 1, ValueError, op, text("groups of at least 1"), text(groups));
  const Dims weight = dims4(grad.dim(1), x.dim(1) / groups, kernel_hw[0], kernel_hw[1]);
  const Conv2dGeometry g = geometry(op, x.shape, weight, {stride, padding, dilation, groups});
  expect_shape(op, "grad", grad, dims4(g.batch, g.out_channels, g.out_h, g.out_w));
  Array out = empty(weight, grad.dtype);
  const Conv2dBwdWeightArgs args{grad.dtype, g, grad.data, x.data, out.data};
  call(conv2d_bwd_weight, args, static_cast<int64_t>(grad.bytes() + x.bytes() + out.bytes()));
  return out;
}

}  // namespace conv2d_binding

void bind_conv2d(py::module_& m) {
  using namespace conv2d_binding;
  m.def("conv2d", &forward);
  m.def("conv2d_bwd_input", &input_gradient);
  m.def("conv2d_bwd_weight", &weight_gradient);
  m.def("get_conv_algorithm", [] { return kConvAlgorithmNames[static_cast<int>(conv_algorithm)]; });
  m.def("set_conv_algorithm", [](const std::string& name) {
    for (int i = 0; i < 3; ++i)
      if (name == kConvAlgorithmNames[i]) return void(conv_algorithm = static_cast<ConvAlgorithm>(i));
    throw ValueError(text("[set_conv_algorithm] expected auto, direct or winograd, got ", name));
  });
#if defined(FASTDL_DEVICE_CPU)
  m.def("conv2d_prepare", &plain_prepare);
  m.def("conv2d_prepared", &prepared_forward);
  m.def("conv2d_nchwc_prepare", &nchwc_prepare);
  m.def("conv2d_nchwc", &nchwc_forward);
  m.def("channel_block", &channel_block);
#else
  m.def("set_conv_workspace", [](int64_t bytes) {
    EXPECT(bytes >= 0, ValueError, "set_conv_workspace", text("bytes of at least 0"), text(bytes));
    conv_workspace = bytes;
  });
  m.def("conv2d_seconds", [](const Dims& shape, const Dims& weight_shape, const Dims& padding, int64_t groups) {
    constexpr const char* op = "conv2d_seconds";
    EXPECT(shape.n == 4 && weight_shape.n == 4, ValueError, op, text("shapes of 4 dimensions"),
           text(shape, " and ", weight_shape));
    const Dims one{2, {1, 1}};
    const Conv2dGeometry g = geometry(op, shape, weight_shape, {one, padding, one, groups});
    EXPECT(g.kernel_h == 3 && g.kernel_w == 3, ValueError, op, text("windows of 3x3"), text(weight_shape));
    const ConvSeconds seconds = conv2d_seconds(g);
    return py::make_tuple(seconds.direct, seconds.winograd);
  });
#endif
}

}  // namespace fastdl
