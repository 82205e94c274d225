// Products of weights with pixels under windows on compute capability 9.0; cuda/wgmma_gemm.cuh has the loop,
// mma_product.h says of what. A panel is one tap of 128 bytes of channels:
//
//   weights (row, tap, c)       ->  a box, c contiguous, of one tap and the rows of the tile
//   images (image, y, x, c)     ->  a run of pixels, each where the tap moves its window: im2col mode of a copy
//
// The copy engine counts through rows and images, steps by the stride and brings zeros for the padding and for channels
// beyond the last of a tap. So the producer's thread only counts taps, and the consumers are those of matrices.
//
// Who owns what: as many blocks as multiprocessors walk the tiles (of a group, of a phase, of a part of k). Phases of a
// gradient differ in their windows, hence in their maps.
#include "cuda/pixel_run.cuh"
#include "ops/matmul/mma_operand.cuh"
#include "ops/matmul/wgmma_product.h"
#include "ops/matmul/wgmma_results.cuh"

namespace fastdl {
namespace {

struct WgmmaWindows {
  MmaProduct p;
  int64_t panels;  // of a tap
  WgmmaPlan plan;
};

// Of each phase; what has neither pixels nor taps has none.
struct WindowMaps {
  TensorMap of_phase[kMmaPhases * kMmaPhases];
};

// Taps may go backwards through the image, but offsets of the copy engine do not: they count from the tap that lies
// furthest back.
FASTDL_HD int first_window(const MmaAxis& a) {
  return a.start + (a.step < 0 ? (a.taps - 1) * a.step : 0);
}
FASTDL_HD int tap_offset(const MmaAxis& a, int tap) {
  return a.step < 0 ? (tap - (a.taps - 1)) * a.step : tap * a.step;
}

// What all roles of a block must agree about for a tile.
struct WindowWork {
  int split, phase;
  int64_t matrix, row;
  const MmaAxis &y, &x;
  int columns, panels;  // of the tile; none in a phase that has fewer than the first
  int64_t first_panel;
  PixelRun pixels;

  template <class Tile>
  __device__ static WindowWork of(const WgmmaWindows& w, unsigned tile) {
    const MmaProduct& p = w.p;
    const TileIndex at = tile_of(w.plan, tile);
    const int phases = p.phases_y * p.phases_x, phase = static_cast<int>(at.batch % phases);
    const MmaAxis &y = p.y[phase / p.phases_x], &x = p.x[phase % p.phases_x];
    const int64_t column = int64_t{at.n} * Tile::BN, columns = p.images * y.pixels * x.pixels - column;
    const int64_t first = at.split * w.plan.chunk, panels = int64_t{y.taps} * x.taps * w.panels - first;
    return {at.split,
            phase,
            at.batch / phases,
            int64_t{at.m} * Tile::BM,
            y,
            x,
            static_cast<int>(max(int64_t{0}, min(columns, int64_t{Tile::BN}))),
            columns > 0 ? static_cast<int>(max(int64_t{0}, min(panels, w.plan.chunk))) : 0,
            first,
            columns > 0 ? PixelRun::from(column, y.pixels, x.pixels) : PixelRun{}};
  }
};

// Asks for the panels of one tile.
template <class Tile>
__device__ void produce_tile(const WgmmaWindows& windows, const WindowWork& w, const TensorMap* map_a,
                             const TensorMap* map_b, WgmmaRing<Tile>& ring) {
  const MmaProduct& p = windows.p;
  const int from_x = first_window(w.x) + w.pixels.x * w.x.stride, from_y = first_window(w.y) + w.pixels.y * w.y.stride;
  const int image = static_cast<int>(w.matrix * p.images + w.pixels.image);
  const int row = static_cast<int>(w.matrix * p.rows + w.row);
  const int first_tap = (w.y.a_start + w.x.a_start) / p.channels;
  const int skip_y = w.y.a_step / p.channels, skip_x = w.x.a_step / p.channels;
  const int64_t tap = w.first_panel / windows.panels;
  int c = static_cast<int>(w.first_panel % windows.panels);
  int x = static_cast<int>(tap % w.x.taps), y = static_cast<int>(tap / w.x.taps);
  for (int panel = 0; panel < w.panels; ++panel) {
    const uint16_t dx = static_cast<uint16_t>(tap_offset(w.x, x)), dy = static_cast<uint16_t>(tap_offset(w.y, y));
    uint64_t* full = ring.begin_filling();
    cp_async_bulk_tensor(ring.panel_a(), map_a, {c * Tile::kPanel, first_tap + y * skip_y + x * skip_x, row}, full);
    cp_async_bulk_tensor_im2col(ring.panel_b(), map_b, {c * Tile::kPanel, from_x, from_y, image}, {dx, dy}, full);
    ring.next();
    if (++c < windows.panels) continue;
    c = 0;
    if (++x == w.x.taps) x = 0, ++y;
  }
}

// Where the pixels of a thread are written: additions that carry, from pair to pair.
struct PixelPlaces {
  const MmaProduct& p;
  const MmaAxis &y_axis, &x_axis;
  int column, columns;  // of the tile
  PixelRun at;          // of `column`
  int skip_image, skip_y, skip_x;

  __device__ PixelPlaces(const MmaProduct& p, const WindowWork& w, int column)
      : p(p), y_axis(w.y), x_axis(w.x), column(column), columns(w.columns), at(w.pixels + column) {
    skip_x = 8 % at.columns, skip_y = 8 / at.columns % at.rows, skip_image = 8 / at.columns / at.rows;
  }
  __device__ int64_t offset(int64_t image, int y, int x) const {
    return image * p.out_image + int64_t{y_axis.out_start + y * y_axis.out_stride} * p.out_width + x_axis.out_start +
           x * x_axis.out_stride;
  }
  __device__ PairPlace here() const {
    const bool new_row = at.x + 1 == at.columns, new_image = new_row && at.y + 1 == at.rows;
    const int64_t first = offset(at.image, at.y, at.x);
    const int64_t second = offset(at.image + new_image, new_image ? 0 : at.y + new_row, new_row ? 0 : at.x + 1);
    return {column, columns - column, second == first + 1 && first % 2 == 0, first, second};
  }
  __device__ void next() {
    column += 8;
    at.image += skip_image, at.y += skip_y, at.x += skip_x;
    if (at.x >= at.columns) at.x -= at.columns, ++at.y;
    if (at.y >= at.rows) at.y -= at.rows, ++at.image;
  }
};

template <class Tile>
__device__ __forceinline__ void store_pixels(const MmaProduct& p, const WindowWork& w,
                                             const float (&sum)[Tile::kSums]) {
  const int64_t skip = w.matrix * p.out_matrix + w.row * p.out_plane;
  const ResultRows rows = {p.out + w.split * p.out_size + skip,
                           p.epilogue.residual ? p.epilogue.residual + skip : nullptr,
                           p.epilogue.bias ? p.epilogue.bias + w.matrix * p.rows + w.row : nullptr,
                           true,
                           static_cast<int>(min(p.rows - w.row, int64_t{Tile::BM})),
                           p.out_plane,
                           p.epilogue.activation};
  store_sums<Tile>(rows, PixelPlaces(p, w, first_column_of_sums<Tile>()), sum);
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    wgmma_windows(const __grid_constant__ TensorMap map_a, const __grid_constant__ WindowMaps maps_b,
                  const __grid_constant__ WgmmaWindows windows) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(RingBarriers, barriers, [1]);
  WgmmaRing<Tile> ring(memory, barriers[0]);
  ring.init();
  constexpr unsigned kProducer = kConsumers * kWarpgroup;
  if (threadIdx.x >= kProducer) {
    setmaxnreg_dec<kProducerRegisters>();
    if (threadIdx.x > kProducer) return;
    prefetch_tensormap(&map_a);
    for (unsigned tile = blockIdx.x; tile < windows.plan.blocks; tile += gridDim.x) {
      const WindowWork w = WindowWork::of<Tile>(windows, tile);
      if (w.panels) produce_tile<Tile>(windows, w, &map_a, &maps_b.of_phase[w.phase], ring);
    }
  } else {
    setmaxnreg_inc<kConsumerRegisters>();
    for (unsigned tile = blockIdx.x; tile < windows.plan.blocks; tile += gridDim.x) {
      const WindowWork w = WindowWork::of<Tile>(windows, tile);
      if (!w.columns) continue;
      float sum[Tile::kSums] = {};
      wgmma_main_loop<Tile>(ring, w.panels, sum);
      store_pixels<Tile>(windows.p, w, sum);
    }
  }
}

PixelAxis pixel_axis(const MmaAxis& a) {
  return {a.size, first_window(a), a.stride, a.pixels, a.taps ? max(tap_offset(a, 0), tap_offset(a, a.taps - 1)) : 0};
}

template <class Tile>
void launch_windows(const WgmmaWindows& w, Stream stream) {
  using Number = typename Tile::Number;
  constexpr int64_t kChunk = 16 / sizeof(Number);
  const MmaProduct& p = w.p;
  const int64_t channels = p.channels * kChunk, taps = p.a_row / p.channels;
  const TensorMap a =
      tensor_map(kMapType<Number>, p.a, channels, taps, p.matrices * p.rows, channels, Tile::kPanel, 1, Tile::BM);
  WindowMaps b = {};
  for (int i = 0; i < p.phases_y * p.phases_x; ++i) {
    const MmaAxis &y = p.y[i / p.phases_x], &x = p.x[i % p.phases_x];
    if (y.pixels && y.taps && x.pixels && x.taps)
      b.of_phase[i] = image_map(kMapType<Number>, p.b, channels, p.matrices * p.images, pixel_axis(y), pixel_axis(x),
                                Tile::kPanel, Tile::BN);
  }
  const unsigned blocks = static_cast<unsigned>(min(w.plan.blocks, int64_t{multiprocessors()}));
  launch(wgmma_windows<Tile>, blocks, Tile::kThreads, Tile::kSharedBytes, stream, a, b, w);
}

bool axes_fit(const MmaAxis* axes, int phases) {
  for (int i = 0; i < phases; ++i)
    if (axes[i].pixels && axes[i].taps && !pixel_axis(axes[i]).fits()) return false;
  return true;
}

int most_taps(const MmaAxis* axes, int phases) {
  int taps = 0;
  for (int i = 0; i < phases; ++i) taps = max(taps, axes[i].taps);
  return taps;
}

}  // namespace

bool windows_on_warpgroups(const MmaProduct& p) {
  constexpr int64_t kMost = 0x7fffff00;
  const int64_t columns = p.images * p.y[0].pixels * p.x[0].pixels, source = int64_t{p.y[0].size} * p.x[0].size;
  if (p.rows <= kWgmmaRows / 2 || columns < kWgmmaRows || p.channels == 0 || columns > kMost) return false;
  if (p.matrices * max(p.rows, p.images) > kMost) return false;
  // Panels that the channels of a tap do not fill multiply zeros. mma.sync has six tenths of the rate, but takes half
  // panels.
  const int64_t padded = ceil_div(p.channels, kWgmmaPanelChunks) * kWgmmaPanelChunks;
  if (10 * p.channels < 6 * padded) return false;
  const bool images = p.b_pixel == p.channels && p.b_image == source * p.b_pixel && p.a_row % p.channels == 0;
  const bool groups = p.batch.shape.n == 1 && p.batch.stride_a.d[0] == p.rows * p.a_row &&
                      p.batch.stride_b.d[0] == p.images * p.b_image;
  return images && groups && axes_fit(p.y, p.phases_y) && axes_fit(p.x, p.phases_x) && has_wgmma();
}

void multiply_windows_on_warpgroups(const MmaProduct& product, ProductPrecision precision, Stream stream) {
  WgmmaWindows w = {};
  w.panels = ceil_div(product.channels, kWgmmaPanelChunks);
  const int64_t panels = w.panels * most_taps(product.y, product.phases_y) * most_taps(product.x, product.phases_x);
  w.plan = plan_wgmma(product.rows, product.images * product.y[0].pixels * product.x[0].pixels, panels,
                      product.matrices * product.phases_y * product.phases_x);
  with_partial_sums(product, w.plan.splits, product.out_size, stream, [&](const MmaProduct& part) {
    w.p = part;
    visit_number(precision, [&](auto number) {
      visit_wgmma_tile<decltype(number)>(w.plan.form, [&](auto tile) { launch_windows<decltype(tile)>(w, stream); });
    });
  });
}

}  // namespace fastdl
