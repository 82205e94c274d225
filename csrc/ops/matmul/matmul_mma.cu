// Products on tensor cores; mma_product.h says of what. Who owns what: a block of four warps owns a tile of 128 x 128
// or 64 x 64 results of one matrix (group, phase), or its share of k; shares go to scratch memory and are added in
// order. A thread copies one chunk of every 32nd row of each panel. Along k it counts through taps and the chunks of a
// tap by additions that carry: k = (tap y, tap x, chunk), and a panel is four chunks on.
#include "cuda/mma_gemm.cuh"
#include "cuda/pixel_run.cuh"
#include "ops/matmul/mma_operand.cuh"
#include "ops/matmul/mma_product.h"
#include "ops/matmul/wgmma_product.h"

namespace fastdl {
namespace {

// ---- what a block works on ------------------------------------------------------------------------------------------

// In shared memory, found by one thread: registers are for results.
struct MmaWork {
  const uint4 *a, *b;
  float* out;  // row 0 of the tile, image 0
  MmaAxis y, x;
  PixelRun pixels;
  int64_t column;  // of the matrix
  int64_t first_row;
  int rows, columns, chunks;      // of the tile; of k
  int first_c, first_x, first_y;  // k of the first panel
  int skip_c, skip_x, skip_y;     // a panel
};

template <class Tile>
__device__ void find_work(const MmaProduct& p, MmaWork& w) {
  const TileIndex at = tile_of_block(p.plan);
  const int phases = p.phases_y * p.phases_x, phase = static_cast<int>(at.batch % phases);
  const int64_t matrix = at.batch / phases, row = int64_t{at.m} * Tile::BM, column = int64_t{at.n} * Tile::BN;
  w.y = p.y[phase / p.phases_x];
  w.x = p.x[phase % p.phases_x];
  const BatchOffsets start = p.batch[matrix];
  w.a = p.a + start.a + row * p.a_row;
  w.b = p.b + start.b;
  w.out = p.out + at.split * p.out_size + matrix * p.out_matrix + row * p.out_plane;
  w.first_row = matrix * p.rows + row;
  w.column = column;
  w.rows = static_cast<int>(min(p.rows - row, int64_t{Tile::BM}));
  const int64_t pixels = p.images * w.y.pixels * w.x.pixels;
  w.columns = static_cast<int>(max(int64_t{0}, min(pixels - column, int64_t{Tile::BN})));
  if (w.columns) w.pixels = PixelRun::from(column, w.y.pixels, w.x.pixels);

  // A phase that no tap meets multiplies nothing and writes its zeros; so does a split beyond the taps of its phase.
  const int64_t all = int64_t{w.y.taps} * w.x.taps * p.channels, first = at.split * p.plan.chunk * kPanelChunks;
  w.chunks = static_cast<int>(max(int64_t{0}, min(all - first, p.plan.chunk * kPanelChunks)));
  if (!w.chunks) return;
  const int64_t tap = first / p.channels;
  w.first_c = static_cast<int>(first % p.channels);
  w.first_x = static_cast<int>(tap % w.x.taps), w.first_y = static_cast<int>(tap / w.x.taps);
  w.skip_c = kPanelChunks % p.channels;
  w.skip_x = kPanelChunks / p.channels % w.x.taps, w.skip_y = kPanelChunks / p.channels / w.x.taps;
}

// A column beyond the last is nowhere in the image: no tap brings it back.
constexpr int kNoPixel = 1 << 30;

template <class Tile>
struct WindowCopies {
  using Panels = RowPanels<Tile>;
  static constexpr int kRowsA = Tile::BM / Panels::kRowStep, kRowsB = Tile::BN / Panels::kRowStep;

  const MmaWork& w;
  const uint4 *a, *b[kRowsB];
  int64_t a_step;  // to this thread's next row
  int y[kRowsB], x[kRowsB];
  int channels, b_pixel;
  int c, tap_x, tap_y, left;  // k, and chunks from it on

  __device__ WindowCopies(const MmaProduct& p, const MmaWork& work)
      : w(work), a_step(Panels::kRowStep * p.a_row), channels(p.channels), b_pixel(p.b_pixel) {
    a = w.a + Panels::own_row() * p.a_row;
#pragma unroll
    for (int i = 0; i < kRowsB; ++i) {
      const int column = Panels::own_row() + i * Panels::kRowStep;
      const PixelRun at = w.pixels + column;
      y[i] = column < w.columns ? w.y.start + at.y * w.y.stride : kNoPixel;
      x[i] = w.x.start + at.x * w.x.stride;
      b[i] = w.b + at.image * p.b_image + (int64_t{y[i]} * w.x.size + x[i]) * p.b_pixel;
    }
    left = w.chunks - Panels::own_chunk();
    c = w.first_c + Panels::own_chunk(), tap_x = w.first_x, tap_y = w.first_y;
    for (; c >= channels; c -= channels)
      if (++tap_x == w.x.taps) tap_x = 0, ++tap_y;
  }

  __device__ void copy(uint4* panel_a, uint4* panel_b) {
    const int row = Panels::own_row(), chunk = Panels::own_chunk();
    const uint4* from_a = a + (w.y.a_start + tap_y * w.y.a_step + w.x.a_start + tap_x * w.x.a_step + c);
#pragma unroll
    for (int i = 0; i < kRowsA; ++i) {
      const int r = row + i * Panels::kRowStep;
      copy_async<kChunkBytes>(panel_a + Panels::place(r, chunk), from_a + i * a_step,
                              left > 0 && r < w.rows ? kChunkBytes : 0);
    }
    const int move_y = tap_y * w.y.step, move_x = tap_x * w.x.step;
    const int64_t move = (int64_t{move_y} * w.x.size + move_x) * b_pixel + c;
#pragma unroll
    for (int i = 0; i < kRowsB; ++i) {
      const bool in = left > 0 && static_cast<unsigned>(y[i] + move_y) < static_cast<unsigned>(w.y.size) &&
                      static_cast<unsigned>(x[i] + move_x) < static_cast<unsigned>(w.x.size);
      copy_async<kChunkBytes>(panel_b + Panels::place(row + i * Panels::kRowStep, chunk), b[i] + move,
                              in ? kChunkBytes : 0);
    }
    left -= kPanelChunks;
    c += w.skip_c, tap_x += w.skip_x, tap_y += w.skip_y;
    if (c >= channels) c -= channels, ++tap_x;
    if (tap_x >= w.x.taps) tap_x -= w.x.taps, ++tap_y;
  }
};

// Where two neighbouring columns are written.
struct PairPlace {
  int64_t first, second;
  int column, count;
};

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2) mma_windows(MmaProduct p) {
  FASTDL_DYNAMIC_SHARED(bytes);
  FASTDL_SHARED(MmaWork, work, [1]);
  if (threadIdx.x == 0) find_work<Tile>(p, work[0]);
  __syncthreads();
  const MmaWork& w = work[0];
  if (w.columns == 0) return;  // a phase with fewer pixels than the first: the whole block

  MmaResults<Tile> results;
  if (w.chunks) {
    WindowCopies<Tile> copies(p, w);
    mma_main_loop<Tile, RowPanels<Tile>>(copies, (w.chunks - 1) / kPanelChunks + 1, reinterpret_cast<uint4*>(bytes),
                                         results);
  }
  const bool even = reinterpret_cast<uintptr_t>(w.out) % 8 == 0 && p.out_plane % 2 == 0;
  const auto place = [&](int column) {
    PairPlace at;
    at.column = column, at.count = w.columns - column;
    const auto where = [&](const PixelRun& pixel) {
      return pixel.image * p.out_image + int64_t{w.y.out_start + pixel.y * w.y.out_stride} * p.out_width +
             w.x.out_start + pixel.x * w.x.out_stride;
    };
    at.first = where(w.pixels + column), at.second = where(w.pixels + (column + 1));
    return at;
  };
  const Activation activation = p.epilogue.activation;
  const float* residual = p.epilogue.residual ? p.epilogue.residual + (w.out - p.out) : nullptr;
  results.each_pair(place, [&](int row, const PairPlace& at, float first, float second) {
    if (row >= w.rows || at.count <= 0) return;
    float* out = w.out + row * p.out_plane;
    if (p.epilogue.bias) {
      const int64_t channel = p.bias_of_rows ? w.first_row + row : w.column + at.column;
      first += p.epilogue.bias[channel];
      if (at.count > 1) second += p.epilogue.bias[p.bias_of_rows ? channel : channel + 1];
    }
    if (residual) {
      first += residual[row * p.out_plane + at.first];
      if (at.count > 1) second += residual[row * p.out_plane + at.second];
    }
    if (activation == Activation::kRelu)
      first = activate(Activation::kRelu, first), second = activate(Activation::kRelu, second);
    if (even && at.count > 1 && at.first % 2 == 0 && at.second == at.first + 1)
      return store_vec(out + at.first, make_float2(first, second));
    out[at.first] = first;
    if (at.count > 1) out[at.second] = second;
  });
  if (activation == Activation::kNone || activation == Activation::kRelu) return;
  // Exponentials are long: a thread reads its results back, from the caches, and the code is there once.
  results.each_place(place, [&](int row, const PairPlace& at) {
    if (row >= w.rows || at.count <= 0) return;
    float* out = w.out + row * p.out_plane;
    out[at.first] = activate(activation, out[at.first]);
    if (at.count > 1) out[at.second] = activate(activation, out[at.second]);
  });
}

template <class Tile>
void launch_windows(const MmaProduct& p, Stream stream) {
  launch(mma_windows<Tile>, grid_of(p.plan), Tile::kThreads, Tile::kSharedBytes, stream, p);
}

}  // namespace

bool on_tensor_cores(int64_t rows, int64_t columns, int64_t k) {
  constexpr int64_t kFewest = 16;
  if (product_precision() == ProductPrecision::kFloat32 || rows < kFewest || columns < kFewest || k < kFewest)
    return false;
  static const bool there = has_tensor_cores(mma_windows<SmallMmaTile<bfloat16>>);
  return there;
}

int64_t chunk_size(ProductPrecision precision) {
  return precision == ProductPrecision::kTfloat32 ? 4 : 8;
}

void prepare_operand(const MmaOperand& operand, ProductPrecision precision, Stream stream) {
  visit_number(precision, [&](auto number) { prepare_in<decltype(number)>(operand, stream); });
}

void multiply_on_tensor_cores(MmaProduct p, ProductPrecision precision, Stream stream) {
  if (on_warpgroups(p)) return multiply_on_warpgroups(p, precision, stream);
  if (windows_on_warpgroups(p)) return multiply_windows_on_warpgroups(p, precision, stream);
  int taps_y = 0, taps_x = 0;
  for (int i = 0; i < p.phases_y; ++i) taps_y = max(taps_y, p.y[i].taps);
  for (int i = 0; i < p.phases_x; ++i) taps_x = max(taps_x, p.x[i].taps);
  const int64_t chunks = int64_t{taps_y} * taps_x * p.channels;
  p.plan = plan_mma(p.rows, p.images * p.y[0].pixels * p.x[0].pixels, ceil_div(chunks, kPanelChunks),
                    p.matrices * p.phases_y * p.phases_x);
  with_partial_sums(p, p.plan.splits, p.out_size, stream, [&](const MmaProduct& part) {
    visit_number(precision, [&](auto number) {
      using Number = decltype(number);
      if (part.plan.large)
        launch_windows<LargeMmaTile<Number>>(part, stream);
      else
        launch_windows<SmallMmaTile<Number>>(part, stream);
    });
  });
}

}  // namespace fastdl
