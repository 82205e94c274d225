// 2-D convolution on tensor cores. Images are first written with channels innermost, in the numbers of the product and
// in chunks of 16 bytes (8 channels, 4 in TF32) with zeros behind the last channel of a group:
//
//   x (n, c, y, x)  ->  (n, y, x, group, chunk of c)        padding stays implicit: a copy of zeros
//
// Forward and the gradient of the input are products of weights with pixels under windows (ops/matmul/mma_product.h): a
// tap of a window moves a chunk by whole pixels, so it stays one aligned copy. Strides of the gradient go by phases, as
// in conv2d.cu; the weights (c, r, s, chunk of o) need no order of their own, as a phase skips through their taps.
//
//   grad_w (o, r s c)  =  sum over k = (n, pixel)  grad (pixel, o) * x (pixel under tap r s, c)
//
// has both operands with k outermost: steps of k with chunks of channels side by side, turned on their way to registers
// (StepPanels). A thread keeps to one chunk of channels, hence to one tap, and counts through pixels. Who owns what: a
// block owns a tile of channels x (taps, channels) of a group, or its share of the pixels, added up in order.
#include "cuda/mma_gemm.cuh"
#include "cuda/pixel_run.cuh"
#include "ops/conv2d/conv2d_axes.cuh"
#include "ops/conv2d/conv2d_mma.cuh"
#include "ops/matmul/mma_operand.cuh"

namespace fastdl {
namespace {

// ---- operands -------------------------------------------------------------------------------------------------------

// Images (batch, groups * depth, pixels) with channels innermost.
void prepare_images(const void* images, int64_t batch, int64_t groups, int64_t depth, int64_t pixels, uint4* to,
                    ProductPrecision precision, Stream stream) {
  const int64_t chunks = chunks_of(depth, precision), pixel = groups * chunks;
  prepare_operand({static_cast<const float*>(images), 1, pixels, groups * depth * pixels, depth * pixels, to, pixel,
                   pixels * pixel, chunks, batch, groups, pixels, depth},
                  precision, stream);
}

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
  p.b_pixel = static_cast<int>(g.groups * chunks), p.b_image = source * g.groups * chunks;
  p.batch = {Dims{1, {g.groups}}, Dims{1, {rows * p.a_row}}, Dims{1, {chunks}}};
  p.matrices = g.groups, p.out_matrix = rows * result;
  p.out_image = g.groups * rows * result, p.out_plane = result, p.out_size = g.batch * p.out_image;
  return p;
}

// ---- the gradient of the weights ------------------------------------------------------------------------------------

struct MmaTaps {
  const uint4 *grad, *x;
  float* out;  // (splits, groups, rows, depth, taps)
  Epilogue<float> epilogue;
  Axis y_axis, x_axis;
  int64_t pixels;           // of all images
  int groups, rows, depth;  // channels of a group: of the output, of the input
  int grad_chunks, x_chunks;
  GemmPlan plan;
};

struct MmaTapsWork {
  const uint4 *grad, *x;  // the first pixel's group; the first image's
  float* out;             // row 0 of the tile
  PixelRun pixels;        // k
  int rows, steps;
  int first_chunk_grad, first_chunk_x;
};

template <class Tile>
__device__ void find_work(const MmaTaps& p, MmaTapsWork& w) {
  const TileIndex at = tile_of_block(p.plan);
  const int64_t first = at.split * p.plan.chunk * Tile::kSteps, group = at.batch;
  const int row = at.m * Tile::BM;
  w.grad = p.grad + (first * p.groups + group) * p.grad_chunks;
  w.x = p.x + group * p.x_chunks;
  const int64_t columns = int64_t{p.depth} * p.y_axis.kernel * p.x_axis.kernel;
  w.out = p.out + ((at.split * p.groups + group) * p.rows + row) * columns;
  w.pixels = PixelRun::from(first, p.y_axis.out, p.x_axis.out);
  w.rows = min(p.rows - row, Tile::BM);
  w.steps = static_cast<int>(min(p.pixels - first, p.plan.chunk * Tile::kSteps));
  w.first_chunk_grad = at.m * StepPanels<Tile>::kChunks, w.first_chunk_x = at.n * StepPanels<Tile>::kChunks;
}

template <class Tile>
struct TapCopies {
  using Panels = StepPanels<Tile>;
  static constexpr int kPasses = Tile::kSteps / Panels::kStepStep;

  const Axis &y_axis, &x_axis;
  const uint4 *grad, *x;
  int64_t grad_step;
  int x_pixel;
  bool has_row;
  int tap_y, tap_x;                // where the tap of this thread's column reads, from the window's corner
  int image, y, x_at;              // the next pixel
  int skip_image, skip_y, skip_x;  // to the one after
  int left;

  __device__ TapCopies(const MmaTaps& p, const MmaTapsWork& w) : y_axis(p.y_axis), x_axis(p.x_axis) {
    const int chunk = w.first_chunk_grad + Panels::own_chunk(), column = w.first_chunk_x + Panels::own_chunk();
    const int grad_pixel = p.groups * p.grad_chunks;
    has_row = chunk < p.grad_chunks;
    grad = w.grad + int64_t{Panels::own_step()} * grad_pixel + chunk;
    grad_step = int64_t{Panels::kStepStep} * grad_pixel;
    const int tap = column / p.x_chunks, r = tap / x_axis.kernel;
    x = w.x + column % p.x_chunks;
    x_pixel = p.groups * p.x_chunks;
    tap_y = r < y_axis.kernel ? r * y_axis.dilation - y_axis.pad : kNowhere;
    tap_x = tap % x_axis.kernel * x_axis.dilation - x_axis.pad;
    const PixelRun at = w.pixels + Panels::own_step();
    image = static_cast<int>(at.image), y = at.y, x_at = at.x;
    skip_x = Panels::kStepStep % x_axis.out;
    skip_y = Panels::kStepStep / x_axis.out % y_axis.out, skip_image = Panels::kStepStep / x_axis.out / y_axis.out;
    left = w.steps - Panels::own_step();
  }

  __device__ void copy(uint4* panel_grad, uint4* panel_x) {
    const int chunk = Panels::own_chunk();
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      const int place = Panels::place(Panels::own_step() + i * Panels::kStepStep, chunk);
      copy_async<kChunkBytes>(panel_grad + place, grad, has_row && left > 0 ? kChunkBytes : 0);
      const int from_y = y * y_axis.stride + tap_y, from_x = x_at * x_axis.stride + tap_x;
      const bool in = left > 0 && static_cast<unsigned>(from_y) < static_cast<unsigned>(y_axis.in) &&
                      static_cast<unsigned>(from_x) < static_cast<unsigned>(x_axis.in);
      const int64_t pixel = (int64_t{image} * y_axis.in + from_y) * x_axis.in + from_x;
      copy_async<kChunkBytes>(panel_x + place, x + pixel * x_pixel, in ? kChunkBytes : 0);
      grad += grad_step, left -= Panels::kStepStep;
      image += skip_image, y += skip_y, x_at += skip_x;
      if (x_at >= x_axis.out) x_at -= x_axis.out, ++y;
      if (y >= y_axis.out) y -= y_axis.out, ++image;
    }
  }
};

// Where two neighbouring columns lie in a line of the weights, and how many of them exist.
struct WeightPlace {
  int at, count;
};

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2) mma_taps(MmaTaps p) {
  FASTDL_DYNAMIC_SHARED(bytes);
  FASTDL_SHARED(MmaTapsWork, work, [1]);
  if (threadIdx.x == 0) find_work<Tile>(p, work[0]);
  __syncthreads();
  const MmaTapsWork& w = work[0];
  MmaResults<Tile> results;
  TapCopies<Tile> copies(p, w);
  mma_main_loop<Tile, StepPanels<Tile>>(copies, (w.steps - 1) / Tile::kSteps + 1, reinterpret_cast<uint4*>(bytes),
                                        results);
  const int taps = p.y_axis.kernel * p.x_axis.kernel;
  const auto place = [&](int column) {
    // Chunks do not cross taps, and a pair of columns does not cross chunks.
    const int chunk = w.first_chunk_x + column / Tile::kChunk, tap = chunk / p.x_chunks;
    const int c = chunk % p.x_chunks * Tile::kChunk + column % Tile::kChunk;
    return WeightPlace{c * taps + tap, tap < taps ? p.depth - c : 0};
  };
  results.each_pair(place, [&](int row, const WeightPlace& at, float first, float second) {
    if (row >= w.rows) return;
    float* out = w.out + int64_t{row} * p.depth * taps + at.at;
    if (at.count > 0) out[0] = first;
    if (at.count > 1) out[taps] = second;
  });
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

bool conv2d_bwd_weight_on_tensor_cores(const Conv2dBwdWeightArgs& p, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const int64_t source = g.in_h * g.in_w, result = g.out_h * g.out_w, taps = g.kernel_h * g.kernel_w;
  const int64_t rows = g.out_channels / g.groups, depth = g.in_channels / g.groups, pixels = g.batch * result;
  if (!on_tensor_cores(rows, depth * taps, pixels)) return false;
  const ProductPrecision precision = product_precision();
  const auto [y, x] = axes_of("conv2d_bwd_weight", g);
  const int64_t grad_chunks = chunks_of(rows, precision), x_chunks = chunks_of(depth, precision);
  const DeviceScratch<uint4> grads(pixels * g.groups * grad_chunks), images(g.batch * source * g.groups * x_chunks);
  prepare_images(p.grad, g.batch, g.groups, rows, result, grads, precision, stream);
  prepare_images(p.x, g.batch, g.groups, depth, source, images, precision, stream);
  const int64_t chunk = chunk_size(precision), steps = kPanelChunks * chunk;
  const GemmPlan plan = plan_mma(rows, taps * x_chunks * chunk, ceil_div(pixels, steps), g.groups);
  const MmaTaps product = {grads,
                           images,
                           static_cast<float*>(p.grad_weight),
                           no_epilogue<float>(),
                           y,
                           x,
                           pixels,
                           static_cast<int>(g.groups),
                           static_cast<int>(rows),
                           static_cast<int>(depth),
                           static_cast<int>(grad_chunks),
                           static_cast<int>(x_chunks),
                           plan};
  with_partial_sums(product, plan.splits, g.out_channels * depth * taps, stream, [&](const MmaTaps& part) {
    visit_number(precision, [&](auto number) {
      using Large = LargeMmaTile<decltype(number)>;
      using Small = SmallMmaTile<decltype(number)>;
      const auto kernel = plan.large ? mma_taps<Large> : mma_taps<Small>;
      launch(kernel, grid_of(plan), Small::kThreads, plan.large ? Large::kSharedBytes : Small::kSharedBytes, stream,
             part);
    });
  });
  return true;
}

}  // namespace fastdl
