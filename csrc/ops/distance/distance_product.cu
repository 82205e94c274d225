// Euclidean distances of many rows by way of a matrix product: one multiply-add for a column of a pair, where the
// definition (distance.cu) takes a subtraction too.
//
//   d^2 = s - 2 x y,  s = |x|^2 + |y|^2
//
// The digits that cancel are dealt with as on the CPU (distance_product_cpu.cc has the bound): rows are moved around a
// point amid those of y, and close pairs (distance.h) are computed by the definition from the rows as they were given.
// Sets with many close pairs go by the definition as a whole; the device decides that by a sample, and the host does
// not wait: both kernels are launched, and the blocks of one return at once.
//
// Who owns what. Origin: a thread a column. Moving: a warp a row. Product: a block a tile (cuda/gemm.cuh), which it
// finishes in its epilogue; a close pair there is the work of its whole warp, so that its rows are read coalesced.
// The limit is the rate of multiply-adds.
#include "cuda/access.cuh"
#include "cuda/gemm.cuh"
#include "ops/distance/distance_measure.cuh"

namespace fastdl {
namespace {

template <class T>
__device__ __forceinline__ bool is_close(T squares, T s) {
  return !(squares > s * kClose<T> + kLeast<T>);  // also what is not a number
}
template <class T>
__device__ __forceinline__ bool is_finite(T x) {
  return x - x == 0;
}

// ---- rows around the origin -----------------------------------------------------------------------------------------

template <class T>
__device__ __forceinline__ T median(T a, T b, T c) {
  const T low = a < b ? a : b, high = a < b ? b : a, below = high < c ? high : c;
  return low > below ? low : below;
}

// origin (batch, width)
template <class T>
__global__ void __launch_bounds__(kBlock) find_origin(const T* y, DistanceGeometry g, T* origin) {
  const int64_t i = global_thread();
  if (i >= g.batch * g.width) return;
  const int64_t b = i / g.width, column = i - b * g.width;
  const T* from = y + b * g.rows_y * g.width + column;
  T sum[kOriginGroups] = {};
  for (int64_t r = 0; r < kOriginRows; ++r) {
#pragma unroll
    for (int group = 0; group < kOriginGroups; ++group) sum[group] += from[origin_row(group, r, g.rows_y) * g.width];
  }
  const T middle = median(sum[0], sum[1], sum[2]);
  origin[i] = is_finite(middle) ? middle * (T(1) / kOriginRows) : T(0);
}

// A set of rows minus the origin, padded with zeros to `pitch` columns, and their squared norms. Rows that are not
// finite, or whose norm is not, are zeros here and keep their norm: so all their pairs are close, and products of their
// neighbours stay finite.
template <class T>
struct MovedRows {
  const T* given;
  int64_t rows, width, pitch;
  T *moved, *norms;  // (batch, rows, pitch), (batch, rows)
};

template <class T>
__global__ void __launch_bounds__(kBlock) move_rows(MovedRows<T> m, int64_t count, const T* origin) {
  const int64_t row = global_thread() / kWarp;
  if (row >= count) return;
  const int lane = threadIdx.x % kWarp;
  const T *from = m.given + row * m.width, *centre = origin + row / m.rows * m.width;
  T* to = m.moved + row * m.pitch;
  T squares = 0;
  for (int64_t k = lane; k < m.pitch; k += kWarp) {
    const T v = k < m.width ? from[k] - centre[k] : T(0);
    to[k] = v;
    squares += v * v;
  }
  const T norm = warp_sum(squares);
  for (int64_t k = lane; !is_finite(norm) && k < m.pitch; k += kWarp) to[k] = 0;
  if (lane == 0) m.norms[row] = norm;
}

// ---- many close pairs -----------------------------------------------------------------------------------------------

// By kSample rows of each of the first sets; one block, a warp a pair at a time.
template <class T>
__global__ void __launch_bounds__(kBlock)
    look_for_close(const T* x, const T* y, const T* origin, DistanceGeometry g, int* many) {
  int close = 0;
  for (int pair = threadIdx.x / kWarp; pair < kSample * kSample; pair += kBlock / kWarp) {
    const T* a = x + sampled_row_x(pair / kSample, g.rows_x) * g.width;
    const T* b = y + sampled_row_y(pair % kSample, g.rows_y) * g.width;
    T squares = 0, sizes = 0;
    for (int64_t k = threadIdx.x % kWarp; k < g.width; k += kWarp) {
      const T d = a[k] - b[k], da = a[k] - origin[k], db = b[k] - origin[k];
      squares += d * d;
      sizes += da * da + db * db;
    }
    const T distance = warp_sum(squares);
    const T size = warp_sum(sizes);
    close += threadIdx.x % kWarp == 0 && is_close(distance, size);
  }
  close = block_sum(close);
  if (threadIdx.x == 0) *many = close > kSample * kSample / kManyShare;
}

// ---- the product ----------------------------------------------------------------------------------------------------

template <class T>
struct DistanceProduct {
  MovedRows<T> x, y;
  T* out;
  GemmPlan plan;
  const int* many;  // or null: not looked for
};

// What a block works on; in shared memory because registers are short in the main loop.
template <class T>
struct DistanceWork {
  const T *moved_x, *moved_y, *norms_x, *norms_y, *given_x, *given_y;
  T* out;
  int rows, columns;
};

template <class Tile, class T>
__device__ void find_work(const DistanceProduct<T>& p, DistanceWork<T>& work) {
  const TileIndex at = tile_of_block(p.plan);
  const int64_t row = int64_t{at.m} * Tile::BM, column = int64_t{at.n} * Tile::BN;
  const int64_t i = at.batch * p.x.rows + row, j = at.batch * p.y.rows + column;
  work.moved_x = p.x.moved + i * p.x.pitch;
  work.moved_y = p.y.moved + j * p.y.pitch;
  work.norms_x = p.x.norms + i;
  work.norms_y = p.y.norms + j;
  work.given_x = p.x.given + i * p.x.width;
  work.given_y = p.y.given + j * p.y.width;
  work.out = p.out + i * p.y.rows + column;
  work.rows = static_cast<int>(min(p.x.rows - row, int64_t{Tile::BM}));
  work.columns = static_cast<int>(min(p.y.rows - column, int64_t{Tile::BN}));
}

// Where result i, j of a thread stands in the tile, from the first one on (cuda/gemm.cuh).
template <class Tile>
struct ResultPlaces {
  static_assert(Tile::TM * Tile::TN <= 64);  // a bit for each
  static constexpr int V = Tile::V;

  __device__ static int row(int i) { return i / V * (4 * V) + i % V; }
  __device__ static int column(int j) { return j / V * (8 * V) + j % V; }
  // The other way round: the bit of a result.
  __device__ static int bit(int row, int column) {
    return (row / (4 * V) * V + row % V) * Tile::TN + column / (8 * V) * V + column % V;
  }
};

// The close pairs of a warp, `mine` having a bit for each of this lane's: one after another, by the definition. The
// lane that owns a pair writes it, after what it had written there.
template <class Tile, class T>
__device__ __forceinline__ void define_close(const DistanceWork<T>& work, int64_t width, int64_t ld,
                                             unsigned long long mine) {
  using Places = ResultPlaces<Tile>;
  const int lane = threadIdx.x % kWarp, own_row = Accumulators<Tile>::first_row(),
            own_column = Accumulators<Tile>::first_col();
  unsigned owners = __ballot_sync(kFullWarp, mine != 0);
  for (; owners; owners &= owners - 1) {
    const int owner = __ffs(static_cast<int>(owners)) - 1;
    const int first_row = __shfl_sync(kFullWarp, own_row, owner);
    const int first_column = __shfl_sync(kFullWarp, own_column, owner);
    unsigned long long bits = __shfl_sync(kFullWarp, mine, owner);
    for (; bits; bits &= bits - 1) {
      const int bit = __ffsll(static_cast<long long>(bits)) - 1;
      const int row = first_row + Places::row(bit / Tile::TN), column = first_column + Places::column(bit % Tile::TN);
      const T *x = work.given_x + row * width, *y = work.given_y + column * width;
      T squares = 0;
      for (int64_t k = lane; k < width; k += kWarp) squares += (x[k] - y[k]) * (x[k] - y[k]);
      squares = warp_sum(squares);
      if (lane == owner) work.out[row * ld + column] = sqrt(squares);
    }
  }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2) product_tiles(DistanceProduct<typename Tile::T> p) {
  using T = typename Tile::T;
  FASTDL_SHARED(T, panels_x, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(T, panels_y, [2][Tile::BK][Tile::BN + kPanelPad]);
  FASTDL_SHARED(DistanceWork<T>, shared_work, [1]);
  if (p.many && *p.many) return;  // all threads alike
  if (threadIdx.x == 0) find_work<Tile>(p, shared_work[0]);
  __syncthreads();
  Accumulators<Tile> products;
  {
    const DistanceWork<T>& w = shared_work[0];
    const int steps = static_cast<int>(p.x.pitch);
    MatrixLoader<Tile, Tile::BM, true> load_x(w.moved_x, p.x.pitch, w.rows, steps);
    MatrixLoader<Tile, Tile::BN, true> load_y(w.moved_y, p.y.pitch, w.columns, steps);
    gemm_main_loop<Tile>(load_x, load_y, steps, panels_x, panels_y, products);
  }
  const DistanceWork<T>& w = shared_work[0];
  const int64_t ld = p.y.rows;
  const bool vector = vectors_at(w.out, ld);
  const int first_row = products.first_row(), first_column = products.first_col();
  unsigned long long close = 0;
  products.each_vector([](int c) { return c; },
                       [&](int r, int c, Pack<T, Tile::V>& v) {
                         if (r >= w.rows || c >= w.columns) return;
                         const T norm = w.norms_x[r];
                         const int bit = ResultPlaces<Tile>::bit(r - first_row, c - first_column);
#pragma unroll
                         for (int j = 0; j < Tile::V; ++j) {
                           const bool in = c + j < w.columns;
                           const T s = norm + (in ? w.norms_y[c + j] : T(0)), squares = s - 2 * v[j];
                           close |= static_cast<unsigned long long>(in && is_close(squares, s)) << (bit + j);
                           v[j] = sqrt(squares);
                         }
                         store_results(w.out + r * ld + c, v, w.columns - c, vector);
                       });
  define_close<Tile>(w, p.x.width, ld, close);
}

template <class T>
void product_distances(const DistanceFwdArgs& a, const GemmPlan& plan, Stream stream) {
  const DistanceGeometry& g = a.g;
  const T *x = static_cast<const T*>(a.x), *y = static_cast<const T*>(a.y);
  const int64_t pitch = ceil_div(g.width, kPack<T>) * kPack<T>, rows_x = g.batch * g.rows_x,
                rows_y = g.batch * g.rows_y;
  const DeviceScratch<T> origin(g.batch * g.width), moved((rows_x + rows_y) * pitch), norms(rows_x + rows_y);
  const DeviceScratch<int> many(1);
  const bool look = g.rows_x * g.rows_y >= kLeastPairs;
  const MovedRows<T> to_x = {x, g.rows_x, g.width, pitch, moved, norms};
  const MovedRows<T> to_y = {y, g.rows_y, g.width, pitch, moved + rows_x * pitch, norms + rows_x};
  launch(find_origin<T>, checked_grid(ceil_div(g.batch * g.width, kBlock)), kBlock, 0, stream, y, g, origin.get());
  launch(move_rows<T>, checked_grid(ceil_div(rows_x, kBlock / kWarp)), kBlock, 0, stream, to_x, rows_x, origin.get());
  launch(move_rows<T>, checked_grid(ceil_div(rows_y, kBlock / kWarp)), kBlock, 0, stream, to_y, rows_y, origin.get());
  if (look) launch(look_for_close<T>, 1, kBlock, 0, stream, x, y, origin.get(), g, many.get());
  const DistanceProduct<T> p = {to_x, to_y, static_cast<T*>(a.out), plan, look ? many.get() : nullptr};
  if (plan.large)
    launch(product_tiles<typename GemmTiles<T>::Large>, grid_of(plan), GemmTiles<T>::Large::kThreads, 0, stream, p);
  else
    launch(product_tiles<typename GemmTiles<T>::Small>, grid_of(plan), GemmTiles<T>::Small::kThreads, 0, stream, p);
  if (look) defined_distances(a, many, stream);
}

}  // namespace

void distance_product_fwd(const DistanceFwdArgs& a, Stream stream) {
  const DistanceGeometry& g = a.g;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const GemmPlan plan = plan_gemm<T>(g.rows_x, g.rows_y, g.width, g.batch);
    // Few tiles of many columns: the definition shares the columns out to more blocks.
    if (plan.splits > 1) return distance_defined_fwd(a, stream);
    product_distances<T>(a, plan, stream);
  });
}

}  // namespace fastdl
