// 2-D convolution on tensor cores, and the gradient of its input: products of weights with pixels under windows
// (ops/matmul/mma_product.h). A tap of a window moves a chunk of channels by whole pixels, so it stays one aligned
// copy. Strides of the gradient go by phases, as in conv2d.cu; the weights (c, r, s, chunk of o) need no order of their
// own, as a phase skips through their taps.
#include "ops/conv2d/conv2d_axes.cuh"
#include "ops/conv2d/conv2d_images.cuh"
#include "ops/conv2d/conv2d_mma.cuh"

namespace fastdl {
namespace {

// ---- operands -------------------------------------------------------------------------------------------------------

// Weights (lines, depth, taps), depth innermost.
void prepare_weights(const void* weights, int64_t lines, int64_t depth, int64_t taps, uint4* to,
                     ProductPrecision precision, Stream stream) {
  const int64_t chunks = chunks_of(depth, precision);
  const float* from = static_cast<const float*>(weights);
  if (taps == 1)
    return prepare_operand({from, depth, 1, 0, 0, to, chunks, 0, 0, 1, 1, lines, depth}, precision, stream);
  prepare_operand({from, 1, taps, depth * taps, 0, to, chunks, taps * chunks, 0, lines, 1, taps, depth}, precision,
                  stream);
}

// ---- forward and the gradient of the input --------------------------------------------------------------------------

MmaAxis forward_axis(const Axis& a, int64_t tap_chunks) {
  return {a.in, a.out, a.stride, -a.pad, a.kernel, a.dilation, 0, static_cast<int>(tap_chunks), 0, 1};
}

MmaAxis gradient_axis(const Axis& a, int phase, int64_t tap_chunks) {
  int slot;
  WindowAxis w;
  find_gradient_axis(a, phase, slot, w);
  const int step = static_cast<int>(tap_chunks);
  // Without a tap the phase is zeros; the window must not be counted.
  return {w.size, w.pixels,    w.stride,        w.start,     slot < 0 ? 0 : w.taps,
          w.step, slot * step, a.period * step, w.out_start, w.out_stride};
}

// What forward and gradient share: `rows` channels of a group from `depth`, over images of `source` and `result`
// pixels.
MmaProduct windows(const uint4* weights, const uint4* images, void* out, const Epilogue<float>& epilogue,
                   const Conv2dGeometry& g, int64_t rows, int64_t chunks, int64_t source, int64_t result) {
  MmaProduct p = {};
  p.a = weights, p.b = images, p.out = static_cast<float*>(out), p.epilogue = epilogue, p.bias_of_rows = true;
  p.rows = rows, p.images = g.batch, p.channels = static_cast<int>(chunks);
  p.a_row = g.kernel_h * g.kernel_w * chunks;
  p.b_pixel = static_cast<int>(chunks), p.b_image = source * chunks;
  p.batch = {Dims{1, {g.groups}}, Dims{1, {rows * p.a_row}}, Dims{1, {g.batch * p.b_image}}};
  p.matrices = g.groups, p.out_matrix = rows * result;
  p.out_image = g.groups * rows * result, p.out_plane = result, p.out_size = g.batch * p.out_image;
  return p;
}

}  // namespace

bool conv2d_fwd_on_tensor_cores(const Conv2dFwdArgs& p, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const int64_t source = g.in_h * g.in_w, result = g.out_h * g.out_w, taps = g.kernel_h * g.kernel_w;
  const int64_t rows = g.out_channels / g.groups, depth = g.in_channels / g.groups;
  if (!on_tensor_cores(rows, g.batch * result, depth * taps)) return false;
  const ProductPrecision precision = product_precision();
  const auto [y, x] = axes_of("conv2d", g);
  const int64_t chunks = chunks_of(depth, precision);
  const DeviceScratch<uint4> weights(g.out_channels * taps * chunks), images(g.batch * source * g.groups * chunks);
  prepare_weights(p.weight, g.out_channels, depth, taps, weights, precision, stream);
  prepare_images(p.x, g.batch, g.groups, depth, source, images, precision, stream);
  const Epilogue<float> epilogue = {static_cast<const float*>(p.bias), p.activation, divide_by(result),
                                    divide_by(g.out_channels), static_cast<const float*>(p.residual)};
  MmaProduct product = windows(weights, images, p.out, epilogue, g, rows, chunks, source, result);
  product.y[0] = forward_axis(y, g.kernel_w * chunks), product.x[0] = forward_axis(x, chunks);
  product.phases_y = product.phases_x = 1, product.out_width = x.out;
  multiply_on_tensor_cores(product, precision, stream);
  return true;
}

bool make_images_on_tensor_cores(const Conv2dBwdInputArgs& p, const void* bias, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const int64_t source = g.out_h * g.out_w, result = g.in_h * g.in_w, taps = g.kernel_h * g.kernel_w;
  const int64_t rows = g.in_channels / g.groups, depth = g.out_channels / g.groups;
  if (!on_tensor_cores(rows, g.batch * result, depth * taps)) return false;
  const ProductPrecision precision = product_precision();
  const auto [y, x] = axes_of("conv2d_bwd_input", g);
  if (y.phases() > kMmaPhases || x.phases() > kMmaPhases) return false;
  const int64_t chunks = chunks_of(depth, precision);
  const DeviceScratch<uint4> weights(g.in_channels * taps * chunks), images(g.batch * source * g.groups * chunks);
  // Weights (o, c, r, s) of a group as (c r s, o).
  prepare_operand({static_cast<const float*>(p.weight), 1, rows * taps, depth * rows * taps, 0, weights, chunks,
                   rows * taps * chunks, 0, g.groups, 1, rows * taps, depth},
                  precision, stream);
  prepare_images(p.grad, g.batch, g.groups, depth, source, images, precision, stream);
  const Epilogue<float> epilogue = {static_cast<const float*>(bias), Activation::kNone, divide_by(result),
                                    divide_by(g.in_channels)};
  MmaProduct product = windows(weights, images, p.grad_x, epilogue, g, rows, chunks, source, result);
  product.phases_y = y.phases(), product.phases_x = x.phases(), product.out_width = x.in;
  for (int i = 0; i < y.phases(); ++i) product.y[i] = gradient_axis(y, i, g.kernel_w * chunks);
  for (int i = 0; i < x.phases(); ++i) product.x[i] = gradient_axis(x, i, chunks);
  multiply_on_tensor_cores(product, precision, stream);
  return true;
}

}  // namespace fastdl
