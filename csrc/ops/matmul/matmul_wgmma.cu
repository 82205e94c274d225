// Products on compute capability 9.0; cuda/wgmma_gemm.cuh has the loop. Who owns what: as many blocks as
// multiprocessors walk the tiles (of a matrix, of a part of k), so that the copy engine brings the next tile's first
// panels while this one's results are stored. The producer's thread alone finds operands; copies outside a matrix bring
// zeros, so edges cost no test until the results are stored. Parts of k go to scratch memory and are added in order.
#include "cuda/wgmma_gemm.cuh"
#include "ops/matmul/mma_operand.cuh"
#include "ops/matmul/wgmma_product.h"
#include "ops/matmul/wgmma_results.cuh"

namespace fastdl {
namespace {

// A plain product: columns are pixels of images, or each an image of one pixel.
struct WgmmaProduct {
  float* out;
  Epilogue<float> epilogue;
  bool bias_of_rows;
  int64_t rows, columns, panels;
  Batch batch;  // strides in matrices
  int64_t out_matrix, out_size, out_plane, out_image;
  Divider pixels;  // columns of an image
  bool pairs;      // columns 2 i and 2 i + 1 are neighbours of one image, at an even place
  WgmmaPlan plan;
};

// What all roles of a block must agree about for a tile.
struct WgmmaWork {
  TileIndex at;
  int64_t first_panel, row, column;
  int panels;

  template <class Tile>
  __device__ static WgmmaWork of(const WgmmaProduct& p, unsigned tile) {
    WgmmaWork w;
    w.at = tile_of(p.plan, tile);
    w.first_panel = w.at.split * p.plan.chunk;
    w.panels = static_cast<int>(min(p.panels - w.first_panel, p.plan.chunk));
    w.row = int64_t{w.at.m} * Tile::BM, w.column = int64_t{w.at.n} * Tile::BN;
    return w;
  }
};

template <class Tile>
__device__ void produce(const WgmmaProduct& p, const TensorMap* map_a, const TensorMap* map_b, WgmmaRing<Tile>& ring) {
  prefetch_tensormap(map_a);
  prefetch_tensormap(map_b);
  for (unsigned tile = blockIdx.x; tile < p.plan.blocks; tile += gridDim.x) {
    const WgmmaWork w = WgmmaWork::of<Tile>(p, tile);
    const BatchOffsets matrix = p.batch[w.at.batch];
    const int row = static_cast<int>(w.row), column = static_cast<int>(w.column);
    const int matrix_a = static_cast<int>(matrix.a), matrix_b = static_cast<int>(matrix.b);
    int k = static_cast<int>(w.first_panel) * Tile::kPanel;
    for (int panel = 0; panel < w.panels; ++panel, k += Tile::kPanel) {
      uint64_t* full = ring.begin_filling();
      cp_async_bulk_tensor(ring.panel_a(), map_a, {k, row, matrix_a}, full);
      cp_async_bulk_tensor(ring.panel_b(), map_b, {k, column, matrix_b}, full);
      ring.next();
    }
  }
}

// Where the columns of a thread are written: pixels of images that stand one after another.
struct ColumnPlaces {
  const WgmmaProduct& p;
  int64_t first;  // column of the tile
  int column;     // of the tile

  __device__ int64_t offset(int64_t c) const {
    const int64_t image = p.pixels.divide(c);
    return image * p.out_image + (c - image * p.pixels.divisor);
  }
  __device__ PairPlace here() const {
    const int64_t c = first + column;
    return {column, static_cast<int>(max(int64_t{0}, min(p.columns - c, int64_t{2}))), p.pairs, offset(c),
            offset(c + 1)};
  }
  __device__ void next() { column += 8; }
};

template <class Tile>
__device__ __forceinline__ void store_product(const WgmmaProduct& p, const WgmmaWork& w,
                                              const float (&sum)[Tile::kSums]) {
  const int64_t skip = w.at.batch * p.out_matrix + w.row * p.out_plane;
  const int64_t channel = p.bias_of_rows ? w.at.batch * p.rows + w.row : w.column;
  const ResultRows rows = {p.out + w.at.split * p.out_size + skip,
                           p.epilogue.residual ? p.epilogue.residual + skip : nullptr,
                           p.epilogue.bias ? p.epilogue.bias + channel : nullptr,
                           p.bias_of_rows,
                           static_cast<int>(min(p.rows - w.row, int64_t{Tile::BM})),
                           p.out_plane,
                           p.epilogue.activation};
  store_sums<Tile>(rows, ColumnPlaces{p, w.column, first_column_of_sums<Tile>()}, sum);
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    wgmma_product(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b, WgmmaProduct p) {
  FASTDL_DYNAMIC_SHARED(memory);
  FASTDL_SHARED(RingBarriers, barriers, [1]);
  WgmmaRing<Tile> ring(memory, barriers[0]);
  ring.init();
  constexpr unsigned kProducer = kConsumers * kWarpgroup;
  if (threadIdx.x >= kProducer) {
    setmaxnreg_dec<kProducerRegisters>();
    if (threadIdx.x == kProducer) produce<Tile>(p, &map_a, &map_b, ring);
  } else {
    setmaxnreg_inc<kConsumerRegisters>();
    for (unsigned tile = blockIdx.x; tile < p.plan.blocks; tile += gridDim.x) {
      const WgmmaWork w = WgmmaWork::of<Tile>(p, tile);
      float sum[Tile::kSums] = {};
      wgmma_main_loop<Tile>(ring, w.panels, sum);
      store_product<Tile>(p, w, sum);
    }
  }
}

int64_t pixels_of(const MmaProduct& p) {
  return int64_t{p.y[0].pixels} * p.x[0].pixels;
}
// Chunks from a column to the next.
int64_t column_pitch(const MmaProduct& p) {
  return pixels_of(p) == 1 ? p.b_image : p.b_pixel;
}

template <class Tile>
void launch_product(const WgmmaProduct& p, const MmaProduct& from, int64_t matrices_a, int64_t matrices_b,
                    Stream stream) {
  using Number = typename Tile::Number;
  constexpr int64_t kChunk = 16 / sizeof(Number);
  const int64_t k = from.channels * kChunk;
  const TensorMap a =
      tensor_map(kMapType<Number>, from.a, k, p.rows, matrices_a, from.a_row * kChunk, Tile::kPanel, Tile::BM);
  const TensorMap b = tensor_map(kMapType<Number>, from.b, k, p.columns, matrices_b, column_pitch(from) * kChunk,
                                 Tile::kPanel, Tile::BN);
  const unsigned blocks = static_cast<unsigned>(min(p.plan.blocks, int64_t{multiprocessors()}));
  launch(wgmma_product<Tile>, blocks, Tile::kThreads, Tile::kSharedBytes, stream, a, b, p);
}

bool plain_axis(const MmaAxis& axis) {
  return axis.taps == 1 && axis.stride == 1 && axis.start == 0 && axis.a_start == 0 && axis.out_start == 0 &&
         axis.out_stride == 1 && axis.size == axis.pixels;
}

}  // namespace

bool on_warpgroups(const MmaProduct& p) {
  constexpr int64_t kFewest = kWgmmaRows, kMost = 0x7fffff00;
  const int64_t columns = p.images * pixels_of(p), pitch = column_pitch(p);
  if (p.phases_y != 1 || p.phases_x != 1 || !plain_axis(p.y[0]) || !plain_axis(p.x[0]) || p.channels == 0) return false;
  if (p.b_image != pixels_of(p) * pitch) return false;  // the pixels of images do not follow one another
  if (p.rows < kFewest || columns < kFewest || p.rows > kMost || columns > kMost) return false;
  for (int axis = 0; axis < p.batch.shape.n; ++axis) {
    // Groups of channels stand side by side in a pixel: not as matrices one after another.
    if (p.batch.shape.d[axis] == 1) continue;
    if (p.batch.stride_a.d[axis] % (p.rows * p.a_row) || p.batch.stride_b.d[axis] % (columns * pitch)) return false;
  }
  return has_wgmma();
}

void multiply_on_warpgroups(MmaProduct product, ProductPrecision precision, Stream stream) {
  const int64_t pixels = pixels_of(product);
  WgmmaProduct p = {};
  p.bias_of_rows = product.bias_of_rows;
  p.rows = product.rows, p.columns = product.images * pixels;
  p.panels = ceil_div(product.channels, kWgmmaPanelChunks);
  p.out_matrix = product.out_matrix, p.out_size = product.out_size;
  p.out_plane = product.out_plane, p.out_image = product.out_image;
  p.pixels = divide_by(pixels);
  p.pairs = p.out_plane % 2 == 0 && (pixels == 1 ? p.out_image == 1 : pixels % 2 == 0 && p.out_image % 2 == 0);
  p.batch.shape = p.batch.stride_a = p.batch.stride_b = product.batch.shape;
  int64_t matrices_a = 1, matrices_b = 1;
  for (int axis = 0; axis < product.batch.shape.n; ++axis) {
    int64_t &a = p.batch.stride_a.d[axis], &b = p.batch.stride_b.d[axis];
    a = product.batch.stride_a.d[axis] / (p.rows * product.a_row);
    b = product.batch.stride_b.d[axis] / (p.columns * column_pitch(product));
    matrices_a += a * (product.batch.shape.d[axis] - 1), matrices_b += b * (product.batch.shape.d[axis] - 1);
  }
  p.plan = plan_wgmma(p.rows, p.columns, p.panels, product.matrices);
  with_partial_sums(product, p.plan.splits, product.out_size, stream, [&](const MmaProduct& part) {
    p.out = part.out, p.epilogue = part.epilogue;
    visit_number(precision, [&](auto number) {
      using Number = decltype(number);
      visit_wgmma_tile<Number>(
          p.plan.form, [&](auto tile) { launch_product<decltype(tile)>(p, part, matrices_a, matrices_b, stream); });
    });
  });
}

}  // namespace fastdl
