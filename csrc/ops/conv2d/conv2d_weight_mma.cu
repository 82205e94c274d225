// The gradient of a convolution's weights on tensor cores.
//
//   grad_w (o, r s c)  =  sum over k = (n, pixel)  grad (pixel, o) * x (pixel under tap r s, c)
//
// has both operands with k outermost: steps of k with chunks of channels side by side, turned on their way to registers
// (StepPanels). A thread keeps to one chunk of channels, hence to one tap, and counts through pixels.
//
// A tile has many channels of few taps, which stand a kernel's size apart in the weights: to write them there would
// touch a sector for each number. So sums are written with channels innermost, and turned by the kernel that adds up
// the parts of k.
//
// Who owns what: a block owns a tile of channels x (taps, channels) of a group, or its share of the pixels; then a part
// of a line of weights.
#include "cuda/mma_gemm.cuh"
#include "cuda/pixel_run.cuh"
#include "ops/conv2d/conv2d_axes.cuh"
#include "ops/conv2d/conv2d_images.cuh"
#include "ops/conv2d/conv2d_mma.cuh"

namespace fastdl {
namespace {

struct MmaTaps {
  const uint4 *grad, *x;
  float* out;  // (splits, groups, rows, taps, depth)
  Epilogue<float> epilogue;
  Axis y_axis, x_axis;
  int64_t images, pixels;   // of the output, in all images
  int groups, rows, depth;  // channels of a group: of the output, of the input
  int grad_chunks, x_chunks;
  GemmPlan plan;
};

struct MmaTapsWork {
  const uint4 *grad, *x;  // the first pixel, the first image: of the group
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
  w.grad = p.grad + (group * p.pixels + first) * p.grad_chunks;
  w.x = p.x + group * p.images * p.y_axis.in * p.x_axis.in * p.x_chunks;
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
    has_row = chunk < p.grad_chunks;
    grad = w.grad + int64_t{Panels::own_step()} * p.grad_chunks + chunk;
    grad_step = int64_t{Panels::kStepStep} * p.grad_chunks;
    const int tap = column / p.x_chunks, r = tap / x_axis.kernel;
    x = w.x + column % p.x_chunks;
    x_pixel = p.x_chunks;
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

// Where two neighbouring columns lie in a line of the sums, and how many of them exist.
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
    return WeightPlace{tap * p.depth + c, tap < taps ? p.depth - c : 0};
  };
  const bool even = reinterpret_cast<uintptr_t>(w.out) % 8 == 0 && p.depth % 2 == 0;
  results.each_pair(place, [&](int row, const WeightPlace& at, float first, float second) {
    if (row >= w.rows || at.count <= 0) return;
    float* out = w.out + int64_t{row} * p.depth * taps + at.at;
    if (even) return store_vec(out, make_float2(first, second));
    out[0] = first;
    if (at.count > 1) out[1] = second;
  });
}

// Channels of a line that a block turns at a time, and taps.
constexpr int kTurnedChannels = 32, kTurnedTaps = 32;

// sums (splits, lines, taps, depth) -> out (lines, depth, taps), added up from the first split to the last. A block
// turns a part of a line in shared memory; the odd pitch keeps neighbouring channels in different banks.
__global__ void __launch_bounds__(kBlock) turn_taps(const float* sums, int splits, int64_t size, int depth, int taps,
                                                    Divider parts_c, Divider parts_taps, float* out) {
  FASTDL_SHARED(float, part, [kTurnedChannels][kTurnedTaps + 1]);
  const int64_t rest = parts_c.divide(blockIdx.x), line = parts_taps.divide(rest);
  const int first_c = static_cast<int>(blockIdx.x - rest * parts_c.divisor) * kTurnedChannels;
  const int first_tap = static_cast<int>(rest - line * parts_taps.divisor) * kTurnedTaps;
  const int channels = min(depth - first_c, kTurnedChannels), wide = min(taps - first_tap, kTurnedTaps);
  const float* from = sums + (line * taps + first_tap) * depth + first_c;
  const int c = threadIdx.x % kTurnedChannels;
  for (int tap = threadIdx.x / kTurnedChannels; tap < wide; tap += kBlock / kTurnedChannels) {
    if (c >= channels) continue;
    const float* own = from + int64_t{tap} * depth + c;
    float sum = own[0];
    for (int s = 1; s < splits; ++s) sum += own[s * size];
    part[c][tap] = sum;
  }
  __syncthreads();
  float* to = out + (line * depth + first_c) * taps + first_tap;
  for (int i = threadIdx.x; i < channels * wide; i += kBlock) to[i / wide * taps + i % wide] = part[i / wide][i % wide];
}

void launch_taps(const MmaTaps& p, ProductPrecision precision, Stream stream) {
  visit_number(precision, [&](auto number) {
    using Large = LargeMmaTile<decltype(number)>;
    using Small = SmallMmaTile<decltype(number)>;
    const auto kernel = p.plan.large ? mma_taps<Large> : mma_taps<Small>;
    launch(kernel, grid_of(p.plan), Small::kThreads, p.plan.large ? Large::kSharedBytes : Small::kSharedBytes, stream,
           p);
  });
}

}  // namespace

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
  MmaTaps product = {grads,
                     images,
                     static_cast<float*>(p.grad_weight),
                     no_epilogue<float>(),
                     y,
                     x,
                     g.batch,
                     pixels,
                     static_cast<int>(g.groups),
                     static_cast<int>(rows),
                     static_cast<int>(depth),
                     static_cast<int>(grad_chunks),
                     static_cast<int>(x_chunks),
                     plan};
  const int64_t lines = g.out_channels, size = lines * depth * taps;
  if (taps == 1) {  // already in order
    with_partial_sums(product, plan.splits, size, stream,
                      [&](const MmaTaps& part) { launch_taps(part, precision, stream); });
    return true;
  }
  const DeviceScratch<float> sums(plan.splits * size);
  product.out = sums;
  launch_taps(product, precision, stream);
  const int64_t parts_c = ceil_div(depth, kTurnedChannels), parts_taps = ceil_div(taps, kTurnedTaps);
  launch(turn_taps, checked_grid(lines * parts_c * parts_taps), kBlock, 0, stream, sums.get(), plan.splits, size,
         static_cast<int>(depth), static_cast<int>(taps), divide_by(parts_c), divide_by(parts_taps),
         static_cast<float*>(p.grad_weight));
  return true;
}

}  // namespace fastdl
