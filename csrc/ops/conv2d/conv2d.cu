// 2-D convolution and its gradients as implicit products of matrices: the main loop of cuda/gemm.cuh, with loaders
// (conv2d_loaders.cuh) that find the numbers where they lie in NCHW. Nothing is unfolded in memory.
//
//   out     (o, pixel)  = sum over k = (c, r, s)     weight (o, k) * x under tap (r, s) of the window of the pixel
//   grad_x  (c, pixel)  = sum over k = (o, r, s)     weight (o, c, r, s) * grad of the outputs whose tap (r, s) it is
//   grad_w  (o, c r s)  = sum over k = (n, pixel)    grad (o, k) * x under the tap
//
// grad_x with a stride. Pixel y belongs to outputs with y + pad = out * stride + r * dilation, so which taps count
// depends on y modulo the stride alone. Pixels are taken phase by phase; within a phase the sum is a convolution with
// stride 1 over every period-th tap, and no product with zero is made. The weights of each phase are written side by
// side first, transposed to (c, k), which costs one pass over them:
//
//   stride 2, 3 taps:   phase 0   y = 0 2 4 ..   taps 0 2        arranged: [taps 0 2 | taps 1], both axes
//                       phase 1   y = 1 3 5 ..   tap 1
//
// Who owns what: a block owns a tile of channels x pixels (channels x taps) of a group and phase, or a share of its k,
// added up in order by a second kernel, so that every result is the same in each run.
#include "ops/conv2d/conv2d.h"
#include "ops/conv2d/conv2d_depthwise.cuh"
#include "ops/conv2d/conv2d_input.cuh"
#include "ops/conv2d/conv2d_loaders.cuh"
#include "ops/conv2d/conv2d_mma.cuh"
#include "ops/conv2d/conv2d_winograd.cuh"

namespace fastdl {
namespace {

// ---- out and grad_x: channels x pixels ------------------------------------------------------------------------------

template <class T>
struct WindowProduct {
  const T *weight, *source;
  T* out;
  Epilogue<T> epilogue;
  Axis y, x;
  bool gradient;
  int64_t batch;
  int groups, rows, depth;  // channels of a group: of the result, of the source
  int phases_y, phases_x;
  int64_t slot_size;  // weights set aside for a pair of slots
  GemmPlan plan;

  __device__ int64_t out_image() const {
    return static_cast<int64_t>(groups) * rows * (gradient ? y.in : y.out) * (gradient ? x.in : x.out);
  }
};

// By one thread, once a block: 64-bit divisions, and forty numbers that every thread would keep in registers otherwise.
// Groups and phases are a batch: one launch fills the device with blocks of all of them. The plan is that of the first
// phase, the largest; others have blocks without pixels (cols 0) and splits without taps (steps 0).
template <class Tile, class T>
__device__ void find_work(const WindowProduct<T>& p, WindowWork<T>& w) {
  const TileIndex at = tile_of_block(p.plan);
  const int phase = static_cast<int>(at.batch % (p.phases_y * p.phases_x));
  const int group = static_cast<int>(at.batch / (p.phases_y * p.phases_x));
  int slot_y = 0, slot_x = 0;
  if (p.gradient) {
    find_gradient_axis(p.y, phase / p.phases_x, slot_y, w.y);
    find_gradient_axis(p.x, phase % p.phases_x, slot_x, w.x);
  } else {
    find_forward_axis(p.y, w.y);
    find_forward_axis(p.x, w.x);
  }
  // A phase that no tap meets multiplies nothing, but writes its zeros: nobody else would.
  const bool meets = slot_y >= 0 && slot_x >= 0;
  if (!meets) slot_y = slot_x = 0;

  const int row = at.m * Tile::BM, taps = w.y.taps * w.x.taps;
  const int64_t first = at.split * p.plan.chunk, pixel = int64_t{at.n} * Tile::BN;
  const int64_t pixels = p.batch * w.y.pixels * w.x.pixels;
  w.ld = int64_t{p.depth} * taps;
  w.weight = p.weight + (int64_t{slot_y} * p.x.slots() + slot_x) * p.slot_size +
             (int64_t{group} * p.rows + row) * w.ld + first;
  w.source_plane = w.y.size * w.x.size;
  w.out_width = p.gradient ? p.x.in : p.x.out;
  w.out_plane = (p.gradient ? p.y.in : p.y.out) * w.out_width;
  w.source_image = int64_t{p.groups} * p.depth * w.source_plane;
  w.out_image = p.out_image();
  w.channel = group * p.rows + row;
  w.source = p.source + int64_t{group} * p.depth * w.source_plane;
  w.out = p.out + at.split * p.batch * w.out_image + int64_t{w.channel} * w.out_plane;
  w.rows = min(p.rows - row, Tile::BM);
  w.cols = static_cast<int>(max(int64_t{0}, min(pixels - pixel, int64_t{Tile::BN})));
  w.steps = meets ? static_cast<int>(max(int64_t{0}, min(w.ld - first, p.plan.chunk))) : 0;
  if (w.cols) w.pixels = PixelRun::from(pixel, w.y.pixels, w.x.pixels);

  // Where k begins and how far a loader jumps between panels, as (channel, y, x): loaders only add and carry.
  const int tap = static_cast<int>(first % taps), skip = Tile::BK - WindowLoader<Tile>::kEach;
  w.first_channel = static_cast<int>(first / taps), w.first_y = tap / w.x.taps, w.first_x = tap % w.x.taps;
  w.skip_channel = skip / taps, w.skip_y = skip / w.x.taps % w.y.taps, w.skip_x = skip % w.x.taps;
}

// V results of a row: all in one place, or each where it belongs. Neighbouring columns may be pixels of different rows
// or images, or a stride apart.
template <int V>
struct ResultPlace {
  int64_t at[V];
  int count;
};

template <int V, class T>
__device__ ResultPlace<V> result_place(const WindowWork<T>& w, int col) {
  ResultPlace<V> place;
  place.count = w.cols - col;
#pragma unroll
  for (int j = 0; j < V; ++j) {
    // Divisions of 32 bits, made once for the TM rows of a column; a place takes 64, as batches may be large.
    const PixelRun pixel = w.pixels + (col + j);
    place.at[j] = pixel.image * w.out_image + int64_t{w.y.out_start + pixel.y * w.y.out_stride} * w.out_width +
                  w.x.out_start + pixel.x * w.x.out_stride;
  }
  return place;
}

// kPointwise has an instance of its own for the sake of whole vectors: the general loader reads single pixels, since a
// window may start anywhere.
template <class Tile, bool kPointwise>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) conv_windows(WindowProduct<typename Tile::T> p) {
  using T = typename Tile::T;
  FASTDL_SHARED(T, panels_a, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(T, panels_b, [2][Tile::BK][Tile::BN + kPanelPad]);
  FASTDL_SHARED(WindowWork<T>, work, [1]);
  if (threadIdx.x == 0) find_work<Tile>(p, work[0]);
  __syncthreads();
  const WindowWork<T>& w = work[0];
  // Known after a barrier that all have passed, so the whole block leaves together.
  if (w.cols == 0) return;  // a phase with fewer pixels than the first

  Accumulators<Tile> results;
  {
    // Weights run along k in either direction: forward as they are, backward as arranged.
    MatrixLoader<Tile, Tile::BM, true> load_weight(w.weight, w.ld, w.rows, w.steps);
    if constexpr (kPointwise) {
      PointwiseLoader<Tile> load_pixels(w);
      gemm_main_loop<Tile>(load_weight, load_pixels, w.steps, panels_a, panels_b, results);
    } else {
      WindowLoader<Tile> load_pixels(w);
      gemm_main_loop<Tile>(load_weight, load_pixels, w.steps, panels_a, panels_b, results);
    }
  }
  __syncthreads();
  constexpr int V = Tile::V;
  // Then V neighbours lie in one image, one after another: tiles start at multiples of V, planes end at them.
  const bool whole = w.y.out_stride == 1 && w.x.out_stride == 1 && vectors_at(w.out, w.out_plane);
  results.each_vector([&](int col) { return result_place<V>(w, col); },
                      [&](int row, const ResultPlace<V>& place, Pack<T, V>& v) {
                        if (row >= w.rows || place.count <= 0) return;
                        T* out = w.out + static_cast<int64_t>(row) * w.out_plane;
#pragma unroll
                        for (int j = 0; j < V; ++j)
                          if (j < place.count) v[j] = p.epilogue(v[j], w.channel + row, out + place.at[j] - p.out);
                        if (whole && place.count >= V) return store_vec(out + place.at[0], v);
#pragma unroll
                        for (int j = 0; j < V; ++j)
                          if (j < place.count) out[place.at[j]] = v[j];
                      });
}

template <class T>
void multiply_windows(WindowProduct<T> p, bool pointwise, int64_t results, Stream stream) {
  // Bias and activation wait for the whole sum: parts of a split are written bare.
  with_partial_sums(p, p.plan.splits, results, stream, [&](const WindowProduct<T>& part) {
    using Large = typename GemmTiles<T>::Large;
    using Small = typename GemmTiles<T>::Small;
    const auto kernel = part.plan.large ? (pointwise ? conv_windows<Large, true> : conv_windows<Large, false>)
                                        : (pointwise ? conv_windows<Small, true> : conv_windows<Small, false>);
    launch(kernel, grid_of(part.plan), part.plan.large ? Large::kThreads : Small::kThreads, 0, stream, part);
  });
}

// ---- the weights of each phase --------------------------------------------------------------------------------------

// weight (groups, rows, depth, kernel_h, kernel_w) to (slot y, slot x)(groups, depth, rows, taps y, taps x).
// A phase's weights then run along k as those of forward do, and one loader serves both. Reads are coalesced and writes
// scattered; there are far fewer weights than products.
template <class T>
__global__ void __launch_bounds__(kBlock)
    arrange_weights(const T* weight, T* arranged, int64_t n, int rows, int depth, Axis y, Axis x, int64_t slot_size) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int s = static_cast<int>(i % x.kernel), r = static_cast<int>(i / x.kernel % y.kernel);
  const int64_t line = i / (int64_t{x.kernel} * y.kernel), c = line % depth, o = line / depth % rows;
  const int64_t group = line / depth / rows;
  const int slot_y = r % y.period, slot_x = s % x.period, taps_y = y.taps_of(slot_y), taps_x = x.taps_of(slot_x);
  arranged[(int64_t{slot_y} * x.slots() + slot_x) * slot_size + (group * depth + c) * rows * taps_y * taps_x +
           (o * taps_y + r / y.period) * taps_x + s / x.period] = weight[i];
}

// ---- grad_weight: channels x taps -----------------------------------------------------------------------------------

template <class T>
struct TapProduct {
  const T *grad, *x;
  T* out;
  Epilogue<T> epilogue;
  Axis y_axis, x_axis;
  int64_t batch;
  int groups, rows, depth;  // channels of a group: of the output, of the input
  GemmPlan plan;
};

template <class Tile, class T>
__device__ void find_work(const TapProduct<T>& p, TapWork<T>& w) {
  const TileIndex at = tile_of_block(p.plan);
  const int group = static_cast<int>(at.batch), row = at.m * Tile::BM;
  const int columns = p.depth * p.y_axis.kernel * p.x_axis.kernel;
  const int64_t first = at.split * p.plan.chunk;
  find_forward_axis(p.y_axis, w.y);
  find_forward_axis(p.x_axis, w.x_axis);
  // Below 2^31: so is the whole image.
  const int grad_plane = w.y.pixels * w.x_axis.pixels, x_plane = w.y.size * w.x_axis.size;
  w.grad_planes = {(int64_t{p.groups} * p.rows - 1) * grad_plane, grad_plane};
  w.x_planes = {(int64_t{p.groups} * p.depth - 1) * x_plane, x_plane};
  w.x_image = int64_t{p.groups} * p.depth * x_plane;
  w.grad = p.grad + (int64_t{group} * p.rows + row) * grad_plane;
  w.x = p.x + int64_t{group} * p.depth * x_plane;
  w.first_col = at.n * Tile::BN;
  w.out = p.out + ((int64_t{at.split} * p.groups + group) * p.rows + row) * columns + w.first_col;
  w.rows = min(p.rows - row, Tile::BM), w.cols = min(columns - w.first_col, Tile::BN);
  w.steps = static_cast<int>(min(p.batch * grad_plane - first, p.plan.chunk));
  w.pixels = PixelRun::from(first, w.y.pixels, w.x_axis.pixels);
}

// Once a block, into shared memory: in the main loop this would be two divisions a number.
__device__ Tap tap_of_column(const Axis& y, const Axis& x, int column, bool exists) {
  if (!exists) return {kNowhere, kNowhere, 0};
  const int s = column % x.kernel, r = column / x.kernel % y.kernel, channel = column / x.kernel / y.kernel;
  return {r * y.dilation, s * x.dilation, (channel * y.in + r * y.dilation) * x.in + s * x.dilation};
}

// k is all pixels of the batch, results are few: this is the product that needs its k split over blocks.
template <class Tile, bool kPointwise>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) conv_taps(TapProduct<typename Tile::T> p) {
  using T = typename Tile::T;
  FASTDL_SHARED(T, panels_a, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(T, panels_b, [2][Tile::BK][Tile::BN + kPanelPad]);
  FASTDL_SHARED(TapWork<T>, work, [1]);
  FASTDL_SHARED(Tap, taps, [Tile::BN]);
  if (threadIdx.x == 0) find_work<Tile>(p, work[0]);
  __syncthreads();
  const TapWork<T>& w = work[0];
  // A thread a column: no tile has more columns than threads.
  if (!kPointwise && threadIdx.x < Tile::BN)
    taps[threadIdx.x] =
        tap_of_column(p.y_axis, p.x_axis, w.first_col + threadIdx.x, static_cast<int>(threadIdx.x) < w.cols);
  __syncthreads();

  Accumulators<Tile> results;
  {
    PlaneLoader<Tile, Tile::BM> load_grad(w.grad, w.grad_planes, w.pixels, w.rows, w.steps);
    if constexpr (kPointwise) {
      PlaneLoader<Tile, Tile::BN> load_x(w.x + static_cast<int64_t>(w.first_col) * w.x_planes.size, w.x_planes,
                                         w.pixels, w.cols, w.steps);
      gemm_main_loop<Tile>(load_grad, load_x, w.steps, panels_a, panels_b, results);
    } else {
      TapLoader<Tile> load_x(w, taps);
      gemm_main_loop<Tile>(load_grad, load_x, w.steps, panels_a, panels_b, results);
    }
  }
  __syncthreads();
  // Weights are contiguous, channel by channel: the tile is part of a matrix (rows, columns).
  const int columns = p.depth * p.y_axis.kernel * p.x_axis.kernel;
  const bool vector = vectors_at(w.out, columns);
  results.each_vector([](int col) { return col; },
                      [&](int row, int col, Pack<T, Tile::V>& v) {
                        if (row < w.rows && col < w.cols)
                          store_results(w.out + static_cast<int64_t>(row) * columns + col, v, w.cols - col, vector);
                      });
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// Pointwise, and vectors of pixels do not cross images.
template <class T>
bool whole_vectors(const Conv2dGeometry& g, const T* source) {
  return is_pointwise(g) && vectors_at(source, g.out_h * g.out_w);
}

template <class T>
void forward(const Conv2dFwdArgs& p, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const T *x = static_cast<const T*>(p.x), *weight = static_cast<const T*>(p.weight);
  T* out = static_cast<T*>(p.out);
  const int64_t pixels = g.out_h * g.out_w, n = g.batch * g.out_channels * pixels;
  if (n == 0) return;
  const Epilogue<T> epilogue = {static_cast<const T*>(p.bias), p.activation, divide_by(pixels),
                                divide_by(g.out_channels), static_cast<const T*>(p.residual)};
  const int64_t rows = g.out_channels / g.groups, depth = g.in_channels / g.groups;
  if (is_depthwise(g))
    return launch(depthwise_fwd<T>, blocks_for(n, kBlock), kBlock, 0, stream, x, weight, out, n, g,
                  Images{planes_of(g.out_h, g.out_w), divide_by(g.out_channels)}, rows, epilogue);
  if constexpr (sizeof(T) == sizeof(float))
    if (conv2d_fwd_on_tensor_cores(p, stream) || conv2d_fwd_by_winograd(p, stream)) return;
  const Axes2d axes = axes_of("conv2d", g);
  // The pixels of all images are one axis: many small images fill tiles as well as a large one.
  const GemmPlan plan = plan_gemm<T>(rows, g.batch * pixels, depth * g.kernel_h * g.kernel_w, g.groups);
  const WindowProduct<T> product = {weight,
                                    x,
                                    out,
                                    epilogue,
                                    axes.y,
                                    axes.x,
                                    false,
                                    g.batch,
                                    static_cast<int>(g.groups),
                                    static_cast<int>(rows),
                                    static_cast<int>(depth),
                                    1,
                                    1,
                                    0,
                                    plan};
  multiply_windows(product, whole_vectors(g, x), n, stream);
}

template <class T>
void backward_input(const Conv2dBwdInputArgs& p, const T* bias, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const T *grad = static_cast<const T*>(p.grad), *weight = static_cast<const T*>(p.weight);
  T* grad_x = static_cast<T*>(p.grad_x);
  const int64_t n = g.batch * g.in_channels * g.in_h * g.in_w;
  if (n == 0) return;
  const Epilogue<T> epilogue = {bias, Activation::kNone, divide_by(g.in_h * g.in_w), divide_by(g.in_channels)};
  // The same product as forward with the channels' roles exchanged.
  const int64_t rows = g.in_channels / g.groups, depth = g.out_channels / g.groups;
  if (is_depthwise(g))
    return launch(depthwise_bwd_input<T>, blocks_for(n, kBlock), kBlock, 0, stream, grad, weight, grad_x, n, g,
                  Images{planes_of(g.in_h, g.in_w), divide_by(g.in_channels)}, depth, divide_by(g.stride_h),
                  divide_by(g.stride_w), epilogue);
  if constexpr (sizeof(T) == sizeof(float))
    if (make_images_on_tensor_cores(p, bias, stream) || make_images_by_winograd(p, bias, stream)) return;
  const auto [y, x] = axes_of("conv2d_bwd_input", g);
  // Slot 0 has the most taps: every slot gets that much room, so that offsets are products.
  const int64_t taps = int64_t{y.taps_of(0)} * x.taps_of(0), slot_size = g.in_channels * depth * taps;
  const int64_t weights = g.out_channels * rows * g.kernel_h * g.kernel_w;
  const DeviceScratch<T> arranged(slot_size * y.slots() * x.slots());
  launch(arrange_weights<T>, blocks_for(weights, kBlock), kBlock, 0, stream, weight, arranged.get(), weights, depth,
         rows, y, x, slot_size);

  // Of the first phase, which has the most.
  const int64_t pixels = g.batch * ceil_div(g.in_h, y.stride) * ceil_div(g.in_w, x.stride);
  const GemmPlan plan = plan_gemm<T>(rows, pixels, depth * taps, g.groups * y.phases() * x.phases());
  const WindowProduct<T> product = {arranged.get(),
                                    grad,
                                    grad_x,
                                    epilogue,
                                    y,
                                    x,
                                    true,
                                    g.batch,
                                    static_cast<int>(g.groups),
                                    static_cast<int>(rows),
                                    static_cast<int>(depth),
                                    y.phases(),
                                    x.phases(),
                                    slot_size,
                                    plan};
  multiply_windows(product, whole_vectors(g, grad), n, stream);
}

template <class T>
void backward_weight(const Conv2dBwdWeightArgs& p, Stream stream) {
  const Conv2dGeometry& g = p.g;
  const T *grad = static_cast<const T*>(p.grad), *x = static_cast<const T*>(p.x);
  T* grad_weight = static_cast<T*>(p.grad_weight);
  const int64_t rows = g.out_channels / g.groups, depth = g.in_channels / g.groups;
  const int64_t columns = depth * g.kernel_h * g.kernel_w, n = g.out_channels * columns;
  const int64_t pixels = g.batch * g.out_h * g.out_w;
  if (n == 0) return;
  // An empty batch: the sum over nothing.
  if (pixels == 0) return set_zero(grad_weight, n * sizeof(T), stream);
  if (is_depthwise(g))
    return launch(depthwise_bwd_weight<T>, checked_grid(n), kBlock, 0, stream, grad, x, grad_weight, g,
                  planes_of(g.out_h, g.out_w), rows);
  if constexpr (sizeof(T) == sizeof(float))
    if (conv2d_bwd_weight_on_tensor_cores(p, stream) || conv2d_bwd_weight_by_winograd(p, stream)) return;
  const Axes2d axes = axes_of("conv2d_bwd_weight", g);
  const TapProduct<T> product = {grad,
                                 x,
                                 grad_weight,
                                 no_epilogue<T>(),
                                 axes.y,
                                 axes.x,
                                 g.batch,
                                 static_cast<int>(g.groups),
                                 static_cast<int>(rows),
                                 static_cast<int>(depth),
                                 plan_gemm<T>(rows, columns, pixels, g.groups)};
  with_partial_sums(product, product.plan.splits, n, stream, [&](const TapProduct<T>& part) {
    using Large = typename GemmTiles<T>::Large;
    using Small = typename GemmTiles<T>::Small;
    const bool pointwise = is_pointwise(g);
    const auto kernel = part.plan.large ? (pointwise ? conv_taps<Large, true> : conv_taps<Large, false>)
                                        : (pointwise ? conv_taps<Small, true> : conv_taps<Small, false>);
    launch(kernel, grid_of(part.plan), part.plan.large ? Large::kThreads : Small::kThreads, 0, stream, part);
  });
}

}  // namespace

void conv2d_fwd(const Conv2dFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { forward<decltype(zero)>(p, stream); });
}

void make_images(const Conv2dBwdInputArgs& p, const void* bias, Stream stream) {
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    backward_input<T>(p, static_cast<const T*>(bias), stream);
  });
}

void conv2d_bwd_input(const Conv2dBwdInputArgs& p, Stream stream) {
  make_images(p, nullptr, stream);
}

void conv2d_bwd_weight(const Conv2dBwdWeightArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { backward_weight<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
