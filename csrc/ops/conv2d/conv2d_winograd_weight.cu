// The gradient of 3x3 weights by Winograd, F(3x3, 4x4): a tile of 4x4 gradients and the 6x6 inputs under it take 36
// products for each pair of channels instead of 144.
//
//   grad_w = C' [ sum over tiles  (D y D') . (B' x B) ] C        transforms: conv2d_winograd_points.cuh
//
//   grad (n, o, h, w) --transform_tiles--> [36][o][tile] --+
//   x    (n, c, h, w) --transform_tiles--> [36][c][tile] --+-- multiply_points --> [36][o][c] --make_weights--> grad_w
//
// k is all tiles of the batch: the products of few channels are cut along it, and the parts are added in order.
//
// Who owns what: conv2d_winograd_steps.cuh; at the end a thread a pair of channels.
#include "ops/conv2d/conv2d_winograd.cuh"
#include "ops/conv2d/conv2d_winograd_steps.cuh"

namespace fastdl {
namespace {

// A thread's nine weights are stored 9 words from its neighbour's, an odd number, and written in a row: no conflicts,
// whole sectors. `add`: to those of the chunks of tiles before.
__global__ void __launch_bounds__(kBlock)
    make_weights(const float* products, int64_t n, int parts, bool add, float* weight) {
  FASTDL_SHARED(float, taps, [kBlock * kKernel]);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kBlock;
  if (first + threadIdx.x < n) {
    products += first + threadIdx.x;
    float points[kPatch][kPatch], kernel[kTaps][kTaps];
#pragma unroll
    for (int i = 0; i < kPositions; ++i) points[i / kPatch][i % kPatch] = products[i * n];
    for (int part = 1; part < parts; ++part) {
      products += kPositions * n;
#pragma unroll
      for (int i = 0; i < kPositions; ++i) points[i / kPatch][i % kPatch] += products[i * n];
    }
    square_from_points(points, kernel);
#pragma unroll
    for (int i = 0; i < kKernel; ++i) taps[threadIdx.x * kKernel + i] = kernel[i / kTaps][i % kTaps];
  }
  __syncthreads();
  weight += first * kKernel;
  const int64_t count = min((n - first) * kKernel, int64_t{kBlock * kKernel});
#pragma unroll
  for (int i = threadIdx.x; i < kBlock * kKernel; i += kBlock)
    if (i < count) weight[i] = add ? weight[i] + taps[i] : taps[i];
}

}  // namespace

bool conv2d_bwd_weight_by_winograd(const Conv2dBwdWeightArgs& p, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const WinogradShape s = {g.batch, g.groups, g.out_channels / g.groups, g.in_channels / g.groups, g.out_h,
                           g.out_w, true};
  if (!use_winograd(p.dtype, g, s)) return false;
  const auto [y, x] = axes_of("conv2d_bwd_weight", g);
  const int outs = static_cast<int>(g.out_channels), ins = static_cast<int>(g.in_channels);
  const TiledImages grads = {static_cast<const float*>(p.grad), outs, y.out, x.out, 0, 0};
  const TiledImages images = {static_cast<const float*>(p.x), ins, y.in, x.in, -y.pad, -x.pad};
  const int64_t weights = s.groups * s.rows * s.depth, matrices = kPositions * s.groups;
  bool add = false;
  for_each_chunk(s, [&](const TileRun& tiles) {
    const GemmPlan plan = plan_products(s.rows, s.depth, tiles.pitch, matrices);
    const DeviceScratch<float> of_grads(kPositions * int64_t{outs} * tiles.pitch);
    const DeviceScratch<float> of_images(kPositions * int64_t{ins} * tiles.pitch);
    const DeviceScratch<float> products(plan.splits * kPositions * weights);
    launch(transform_tiles<kTileOut>, transform_grid(tiles, outs), kTransformThreads, 0, stream, grads, tiles,
           of_grads);
    launch(transform_tiles<kPatch>, transform_grid(tiles, ins), kTransformThreads, 0, stream, images, tiles, of_images);
    launch_products<true, true>({of_grads, of_images, products, s.rows, s.depth, tiles.pitch, matrices, plan}, stream);
    launch(make_weights, checked_grid(ceil_div(weights, kBlock)), kBlock, 0, stream, products, weights, plan.splits,
           add, static_cast<float*>(p.grad_weight));
    add = true;
  });
  return true;
}

}  // namespace fastdl
