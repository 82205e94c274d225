// Winograd convolution, F(4x4, 3x3): a tile of 4x4 outputs takes 36 products of each channel instead of 144.
//
//   out = A' [ sum over channels  (G w G') . (B' x B) ] A        transforms: conv2d_winograd_points.cuh
//
//   x (n, c, h, w) --transform_tiles--> tiles [36][c][tile] --+
//   w (o, c, 3, 3) --transform_weights--> weights [36][o][c] -+-- multiply_points --> [36][o][tile] --make_outputs-->
//   out
//
// The gradient of the input is the convolution of the output's gradient with the kernels turned by half a turn and the
// channels exchanged: weights are transformed as they lie, and read the other way up by the products.
//
// Who owns what: in transforms a block owns 32 tiles of a channel (conv2d_winograd_steps.cuh has that of images and the
// products), or 256 pairs of channels.
#include "ops/conv2d/conv2d_winograd.cuh"
#include "ops/conv2d/conv2d_winograd_steps.cuh"
#include "ops/matmul/epilogue.cuh"

namespace fastdl {
namespace {

// ---- weights to points ----------------------------------------------------------------------------------------------

// A thread a kernel of nine taps. They are read in a row and taken 9 words apart, an odd number: no conflicts.
template <bool kTurned>
__global__ void __launch_bounds__(kBlock) transform_weights(const float* weight, int64_t n, float* to) {
  FASTDL_SHARED(float, taps, [kBlock * kKernel]);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kBlock;
#pragma unroll
  for (int i = threadIdx.x; i < kBlock * kKernel; i += kBlock) {
    const int64_t at = first * kKernel + i;
    taps[i] = at < n * kKernel ? weight[at] : 0.0f;
  }
  __syncthreads();
  float kernel[kTaps][kTaps], points[kPatch][kPatch];
#pragma unroll
  for (int i = 0; i < kKernel; ++i)
    kernel[i / kTaps][i % kTaps] = taps[threadIdx.x * kKernel + (kTurned ? kKernel - 1 - i : i)];
  square_to_points(kernel, points);
  if (first + threadIdx.x >= n) return;
  to += first + threadIdx.x;
#pragma unroll
  for (int i = 0; i < kPositions; ++i) to[i * n] = points[i / kPatch][i % kPatch];
}

// ---- points to outputs ----------------------------------------------------------------------------------------------

struct TiledOutputs {
  float* data;  // (images, channels, height, width)
  int channels, height, width;
  int parts;  // of the sums over k
  Epilogue<float> epilogue;
};

// The mirror image of transform_tiles: first a thread a row of a tile, whose neighbours read the same position of
// neighbouring tiles; then a thread a column of it, so that a warp writes pixels in a row.
__global__ void __launch_bounds__(kTransformThreads)
    make_outputs(const float* products, TileRun tiles, TiledOutputs out) {
  FASTDL_SHARED(float, half, [kPatch][kTilesABlock * kTileOut]);
  const TransformBlock block = transform_block(tiles);
  {
    const int lane = threadIdx.x % kWarp, i = threadIdx.x / kWarp;
    const int64_t plane = int64_t{out.channels} * tiles.pitch;
    products += i * kPatch * plane + int64_t{block.channel} * tiles.pitch + block.tile + lane;
    float points[kPatch], row[kTileOut];
#pragma unroll
    for (int j = 0; j < kPatch; ++j) points[j] = products[j * plane];
    // Parts of k are added in order.
    for (int part = 1; part < out.parts; ++part) {
      products += kPositions * plane;
#pragma unroll
      for (int j = 0; j < kPatch; ++j) points[j] += products[j * plane];
    }
    from_points(points, row);
    store_vec(&half[i][lane * kTileOut], Pack<float, kTileOut>{row[0], row[1], row[2], row[3]});
  }
  __syncthreads();
  if (threadIdx.x >= kTilesABlock * kTileOut) return;
  float points[kPatch], column[kTileOut];
#pragma unroll
  for (int i = 0; i < kPatch; ++i) points[i] = half[i][threadIdx.x];
  from_points(points, column);
  const int tile = block.tile + threadIdx.x / kTileOut;
  const PixelRun at = tiles.first + tile;
  const int y = at.y * kTileOut, x = at.x * kTileOut + threadIdx.x % kTileOut;
  if (tile >= tiles.count || x >= out.width) return;
  int64_t place = ((at.image * out.channels + block.channel) * out.height + y) * out.width + x;
#pragma unroll
  for (int i = 0; i < kTileOut; ++i, place += out.width)
    if (y + i < out.height) out.data[place] = out.epilogue(column[i], block.channel, place);
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// Both directions: `s.rows` channels of a group from `s.depth` others of `images`.
void convolve(const WinogradShape& s, bool gradient, const TiledImages& images, const float* weight, TiledOutputs out,
              Stream stream) {
  const int64_t kernels = s.groups * s.rows * s.depth, matrices = kPositions * s.groups;
  const DeviceScratch<float> weights(kPositions * kernels);
  launch(gradient ? transform_weights<true> : transform_weights<false>, checked_grid(ceil_div(kernels, kBlock)), kBlock,
         0, stream, weight, kernels, weights);
  for_each_chunk(s, [&](const TileRun& tiles) {
    const GemmPlan plan = plan_products(s.rows, tiles.pitch, s.depth, matrices);
    out.parts = plan.splits;
    const DeviceScratch<float> points(kPositions * int64_t{images.channels} * tiles.pitch);
    const DeviceScratch<float> products(plan.splits * kPositions * int64_t{out.channels} * tiles.pitch);
    launch(transform_tiles<kPatch>, transform_grid(tiles, images.channels), kTransformThreads, 0, stream, images, tiles,
           points);
    const PointProducts p = {weights, points, products, s.rows, tiles.pitch, s.depth, matrices, plan};
    gradient ? launch_products<false, false>(p, stream) : launch_products<true, false>(p, stream);
    launch(make_outputs, transform_grid(tiles, out.channels), kTransformThreads, 0, stream, products, tiles, out);
  });
}

WinogradShape forward_shape(const Conv2dGeometry& g) {
  return {g.batch, g.groups, g.out_channels / g.groups, g.in_channels / g.groups, g.out_h, g.out_w, false};
}

}  // namespace

ConvSeconds conv2d_seconds(const Conv2dGeometry& g) {
  const WinogradShape s = forward_shape(g);
  const Rates rates = peak_rates();
  return {direct_seconds(s, rates), winograd_seconds(s, rates)};
}

bool conv2d_fwd_by_winograd(const Conv2dFwdArgs& p, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const WinogradShape s = forward_shape(g);
  if (!use_winograd(p.dtype, g, s)) return false;
  const auto [y, x] = axes_of("conv2d", g);
  const TiledImages images = {
      static_cast<const float*>(p.x), static_cast<int>(g.in_channels), y.in, x.in, -y.pad, -x.pad};
  const Epilogue<float> epilogue = {static_cast<const float*>(p.bias), p.activation, divide_by(1), divide_by(1),
                                    static_cast<const float*>(p.residual)};
  convolve(s, false, images, static_cast<const float*>(p.weight),
           {static_cast<float*>(p.out), static_cast<int>(g.out_channels), y.out, x.out, 1, epilogue}, stream);
  return true;
}

bool make_images_by_winograd(const Conv2dBwdInputArgs& p, const void* bias, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const WinogradShape s = {g.batch, g.groups, g.in_channels / g.groups, g.out_channels / g.groups, g.in_h,
                           g.in_w,  false};
  if (!use_winograd(p.dtype, g, s)) return false;
  const auto [y, x] = axes_of("conv2d_bwd_input", g);
  // Output 0 has its last tap at input kTaps - 1 - pad.
  const TiledImages images = {static_cast<const float*>(p.grad),
                              static_cast<int>(g.out_channels),
                              y.out,
                              x.out,
                              y.pad - (kTaps - 1),
                              x.pad - (kTaps - 1)};
  const Epilogue<float> epilogue = {static_cast<const float*>(bias), Activation::kNone, divide_by(1), divide_by(1)};
  convolve(s, true, images, static_cast<const float*>(p.weight),
           {static_cast<float*>(p.grad_x), static_cast<int>(g.in_channels), y.in, x.in, 1, epilogue}, stream);
  return true;
}

}  // namespace fastdl
