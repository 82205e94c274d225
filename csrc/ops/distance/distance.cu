// Distances between all rows of two sets, and their gradients, by the definition of each metric: all but the Euclidean
// distances of many rows (distance_product.cu).
//
// Both are products whose multiply-add is another function (cuda/gemm.cuh: panels in shared memory, a register tile a
// thread, loads of the next panel behind the arithmetic of this one):
//
//   distances   rows of x  |  columns of both  |  rows of y       sum[i][j] = add(sum, x[i][k], y[j][k])
//   gradient    rows of x  |  rows of y        |  columns         sum[i][k] = add(sum, w[i][j], x[i][k], y[j][k])
//
// w, the weight of a pair, is computed when its panel is stored, from the gradient and the distance of the pair, which
// may lie either way up; x[i][k] waits in registers beside its sum.
//
// Who owns what. A block owns a tile of the result, or its share of the sum where tiles are few: shares go to scratch
// memory and are added in order, so that the bits are the same in every run. The limit is arithmetic.
#include "cuda/access.cuh"
#include "cuda/gemm.cuh"
#include "ops/distance/distance_measure.cuh"

namespace fastdl {
namespace {

// The small tile for all: two instructions and more for each pair need fewer shared reads beside them than one does.
template <class T>
using DistanceTile = typename GemmTiles<T>::Small;

// ---- sums that several blocks made ----------------------------------------------------------------------------------

// Distances are merged and finished, gradients added.
template <class Measure>
struct MergeDistances {
  Measure measure;
  template <class T>
  __device__ T merge(T a, T b) const {
    return measure.merge(a, b);
  }
  template <class T>
  __device__ T finish(T sum) const {
    return measure.finish(sum);
  }
};
struct AddGradients {
  template <class T>
  __device__ T merge(T a, T b) const {
    return a + b;
  }
  template <class T>
  __device__ T finish(T sum) const {
    return sum;
  }
};

template <class T, class Merge>
__global__ void __launch_bounds__(kBlock) merge_shares(const T* shares, int splits, int64_t n, Merge merge, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  T sum = shares[i];
  for (int s = 1; s < splits; ++s) sum = merge.merge(sum, shares[s * n + i]);
  out[i] = merge.finish(sum);
}

// run(where sums go): to the n results themselves, or as `splits` shares of them that are merged afterwards.
template <class T, class Merge, class Run>
void with_shares(int splits, int64_t n, T* out, const Merge& merge, Stream stream, Run run) {
  if (splits == 1) return run(out);
  const DeviceScratch<T> shares(splits * n);
  run(shares.get());
  launch(merge_shares<T, Merge>, checked_grid(ceil_div(n, kBlock)), kBlock, 0, stream, shares.get(), splits, n, merge,
         out);
}

// ---- distances ------------------------------------------------------------------------------------------------------

template <class T>
struct Distances {
  const T *x, *y;
  T* out;  // (splits, batch, rows_x, rows_y)
  DistanceGeometry g;
  GemmPlan plan;
  const int* wanted;  // or null
};

template <class Tile, class Measure>
struct DistanceSums : Accumulators<Tile> {
  using T = typename Tile::T;
  Measure measure;

  __device__ explicit DistanceSums(const Measure& m) : measure(m) {}
  __device__ void multiply(const typename Tile::PanelA& a, const typename Tile::PanelB& b) {
    this->template each_pair<Measure::kLong ? 1 : Tile::BK>(a, b,
                                                            [this](T& sum, T x, T y) { sum = measure.add(sum, x, y); });
  }
};

template <class Tile, class Measure>
__global__ void __launch_bounds__(Tile::kThreads, 2) distance_tiles(Distances<typename Tile::T> p, Measure measure) {
  using T = typename Tile::T;
  FASTDL_SHARED(T, panels_x, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(T, panels_y, [2][Tile::BK][Tile::BN + kPanelPad]);
  if (p.wanted && *p.wanted == 0) return;  // all threads alike
  const TileIndex at = tile_of_block(p.plan);
  const int64_t row = int64_t{at.m} * Tile::BM, column = int64_t{at.n} * Tile::BN, first = at.split * p.plan.chunk;
  const int rows = static_cast<int>(min(p.g.rows_x - row, int64_t{Tile::BM}));
  const int columns = static_cast<int>(min(p.g.rows_y - column, int64_t{Tile::BN}));
  const int steps = static_cast<int>(min(p.g.width - first, p.plan.chunk));
  DistanceSums<Tile, Measure> sums(measure);
  {
    const T* x = p.x + (at.batch * p.g.rows_x + row) * p.g.width + first;
    const T* y = p.y + (at.batch * p.g.rows_y + column) * p.g.width + first;
    MatrixLoader<Tile, Tile::BM, true> load_x(x, p.g.width, rows, steps);
    MatrixLoader<Tile, Tile::BN, true> load_y(y, p.g.width, columns, steps);
    gemm_main_loop<Tile>(load_x, load_y, steps, panels_x, panels_y, sums);
  }
  T* out = p.out + ((at.split * p.g.batch + at.batch) * p.g.rows_x + row) * p.g.rows_y + column;
  const bool vector = vectors_at(out, p.g.rows_y);
  sums.each_vector([](int c) { return c; },
                   [&](int r, int c, Pack<T, Tile::V>& v) {
                     if (r >= rows || c >= columns) return;
                     if (p.plan.splits == 1) {
#pragma unroll
                       for (int j = 0; j < Tile::V; ++j) v[j] = measure.finish(v[j]);
                     }
                     store_results(out + r * p.g.rows_y + c, v, columns - c, vector);
                   });
}

template <class T>
void distances(const DistanceFwdArgs& a, const int* wanted, Stream stream) {
  using Tile = DistanceTile<T>;
  const DistanceGeometry& g = a.g;
  const GemmPlan plan = plan_tiles<Tile>(g.rows_x, g.rows_y, g.width, g.batch);
  with_measure<T>(a.metric, a.p, [&](auto measure) {
    using M = decltype(measure);
    with_shares(plan.splits, g.batch * g.rows_x * g.rows_y, static_cast<T*>(a.out), MergeDistances<M>{measure}, stream,
                [&](T* out) {
                  const Distances<T> p = {static_cast<const T*>(a.x), static_cast<const T*>(a.y), out, g, plan, wanted};
                  launch(distance_tiles<Tile, M>, grid_of(plan), Tile::kThreads, 0, stream, p, measure);
                });
  });
}

// ---- gradients ------------------------------------------------------------------------------------------------------

template <class T>
struct Gradients {
  const T *grad, *distance, *x, *y;
  T* out;  // (splits, batch, rows_x, width)
  DistanceGeometry g;
  GemmPlan plan;
};

// Of pairs, rows of x as rows: their weights and, where columns are compared with it, their distances.
template <class Tile, bool kCompared>
struct PairPanels {
  typename Tile::PanelA weight;
};
template <class Tile>
struct PairPanels<Tile, true> {
  typename Tile::PanelA weight, distance;
};

// Weights of pairs, from matrices either way up. Beyond the edges both are zero, and so is the weight.
template <class Tile, class Measure, bool kAlongK>
struct WeightLoader {
  using T = typename Tile::T;
  using Loader = MatrixLoader<Tile, Tile::BM, kAlongK>;
  Loader grad, distance;
  Measure measure;

  __device__ WeightLoader(const T* grad, const T* distance, int64_t ld, int rows, int steps, const Measure& measure)
      : grad(grad, ld, rows, steps), distance(distance, ld, rows, steps), measure(measure) {}

  __device__ void load() {
    grad.load();
    if constexpr (Measure::kWeighted || Measure::kCompared) distance.load();
  }
  __device__ void store(PairPanels<Tile, Measure::kCompared>& panels) {
    if constexpr (Measure::kWeighted) {
#pragma unroll
      for (int i = 0; i < Loader::kEach; ++i) {
#pragma unroll
        for (int j = 0; j < Tile::V; ++j) grad.held[i][j] = measure.weight(grad.held[i][j], distance.held[i][j]);
      }
    }
    grad.store(panels.weight);
    if constexpr (Measure::kCompared) distance.store(panels.distance);
  }
};

template <class Tile, class Measure>
struct GradientSums : Accumulators<Tile> {
  using T = typename Tile::T;
  using Base = Accumulators<Tile>;
  static constexpr int V = Tile::V;
  Measure measure;
  Pack<T, V> x[Tile::TM][Tile::TN / V];  // of this thread's results

  __device__ GradientSums(const Measure& m, const T* from, int64_t width, int rows, int columns) : measure(m) {
#pragma unroll
    for (int i = 0; i < Tile::TM; ++i) {
      const int r = Base::first_row() + i / V * (4 * V) + i % V;
#pragma unroll
      for (int j = 0; j < Tile::TN; ++j) {
        const int c = Base::first_col() + j / V * (8 * V) + j % V;
        x[i][j / V][j % V] = r < rows && c < columns ? from[r * width + c] : T(0);
      }
    }
  }

  __device__ void multiply(const PairPanels<Tile, Measure::kCompared>& pairs, const typename Tile::PanelB& y) {
    const int row = Base::first_row(), col = Base::first_col();
    // More steps at once, and what the compiler computes ahead fills the registers: with distances to compare, those of
    // code for 10.0 and 12.0 sooner.
    constexpr bool kMany = Measure::kLong || (Measure::kCompared && kArchitecture >= 1000);
#pragma unroll(kMany ? 1 : 2)
    for (int k = 0; k < Tile::BK; ++k) {
      Pack<T, V> weight[Tile::TM / V], distance[Tile::TM / V], other[Tile::TN / V];
#pragma unroll
      for (int i = 0; i < Tile::TM / V; ++i) {
        weight[i] = load_vec<Pack<T, V>>(&pairs.weight[k][row + i * 4 * V]);
        if constexpr (Measure::kCompared) distance[i] = load_vec<Pack<T, V>>(&pairs.distance[k][row + i * 4 * V]);
      }
#pragma unroll
      for (int j = 0; j < Tile::TN / V; ++j) other[j] = load_vec<Pack<T, V>>(&y[k][col + j * 8 * V]);
#pragma unroll
      for (int i = 0; i < Tile::TM; ++i) {
        T compared = 0;
        if constexpr (Measure::kCompared) compared = distance[i / V][i % V];
#pragma unroll
        for (int j = 0; j < Tile::TN; ++j) {
          T& sum = this->sum[i][j / V][j % V];
          sum = measure.add_gradient(sum, weight[i / V][i % V], compared, x[i][j / V][j % V], other[j / V][j % V]);
        }
      }
    }
  }
};

// Two blocks a multiprocessor of floats, one of doubles, whose sums and numbers of x alone are 64 registers.
template <class Tile, class Measure, bool kAlongK>
__global__ void __launch_bounds__(Tile::kThreads, 8 / sizeof(typename Tile::T))
    gradient_tiles(Gradients<typename Tile::T> p, Measure measure) {
  using T = typename Tile::T;
  using Panels = PairPanels<Tile, Measure::kCompared>;
  FASTDL_SHARED(Panels, panels_pairs, [2]);
  FASTDL_SHARED(T, panels_y, [2][Tile::BK][Tile::BN + kPanelPad]);
  const DistanceGeometry& g = p.g;
  const TileIndex at = tile_of_block(p.plan);
  const int64_t row = int64_t{at.m} * Tile::BM, column = int64_t{at.n} * Tile::BN, first = at.split * p.plan.chunk;
  const int rows = static_cast<int>(min(g.rows_x - row, int64_t{Tile::BM}));
  const int columns = static_cast<int>(min(g.width - column, int64_t{Tile::BN}));
  const int steps = static_cast<int>(min(g.rows_y - first, p.plan.chunk));
  GradientSums<Tile, Measure> sums(measure, p.x + (at.batch * g.rows_x + row) * g.width + column, g.width, rows,
                                   columns);
  {
    const int64_t ld = kAlongK ? g.rows_y : g.rows_x;
    const int64_t pairs = at.batch * g.rows_x * g.rows_y + (kAlongK ? row * ld + first : first * ld + row);
    WeightLoader<Tile, Measure, kAlongK> load_pairs(p.grad + pairs, p.distance + pairs, ld, rows, steps, measure);
    MatrixLoader<Tile, Tile::BN, false> load_y(p.y + (at.batch * g.rows_y + first) * g.width + column, g.width, columns,
                                               steps);
    gemm_main_loop<Tile>(load_pairs, load_y, steps, panels_pairs, panels_y, sums);
  }
  T* out = p.out + ((at.split * g.batch + at.batch) * g.rows_x + row) * g.width + column;
  const bool vector = vectors_at(out, g.width);
  sums.each_vector([](int c) { return c; },
                   [&](int r, int c, const Pack<T, Tile::V>& v) {
                     if (r < rows && c < columns) store_results(out + r * g.width + c, v, columns - c, vector);
                   });
}

template <class T>
void gradients(const DistanceBwdArgs& a, Stream stream) {
  using Tile = DistanceTile<T>;
  const DistanceGeometry& g = a.g;
  const GemmPlan plan = plan_tiles<Tile>(g.rows_x, g.width, g.rows_y, g.batch);
  with_measure<T>(a.metric, a.p, [&](auto measure) {
    using M = decltype(measure);
    if constexpr (M::metric != Metric::kHamming) {
      with_shares(plan.splits, g.batch * g.rows_x * g.width, static_cast<T*>(a.grad_x), AddGradients{}, stream,
                  [&](T* out) {
                    const Gradients<T> p = {static_cast<const T*>(a.grad),
                                            static_cast<const T*>(a.out),
                                            static_cast<const T*>(a.x),
                                            static_cast<const T*>(a.y),
                                            out,
                                            g,
                                            plan};
                    const auto kernel = a.transposed ? gradient_tiles<Tile, M, false> : gradient_tiles<Tile, M, true>;
                    launch(kernel, grid_of(plan), Tile::kThreads, 0, stream, p, measure);
                  });
    }
  });
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void defined_distances(const DistanceFwdArgs& a, const int* wanted, Stream stream) {
  visit_float(a.dtype, [&](auto zero) { distances<decltype(zero)>(a, wanted, stream); });
}

void distance_defined_fwd(const DistanceFwdArgs& a, Stream stream) {
  defined_distances(a, nullptr, stream);
}

void distance_defined_bwd(const DistanceBwdArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) { gradients<decltype(zero)>(a, stream); });
}

void distance_fwd(const DistanceFwdArgs& a, Stream stream) {
  if (a.g.batch * a.g.rows_x * a.g.rows_y == 0) return;
  if (use_product(a.g, a.metric, kProductWidth)) return distance_product_fwd(a, stream);
  distance_defined_fwd(a, stream);
}

void distance_bwd(const DistanceBwdArgs& a, Stream stream) {
  const int64_t n = a.g.batch * a.g.rows_x * a.g.width;
  if (n == 0) return;
  if (a.metric == Metric::kHamming || a.g.rows_y == 0)
    return set_zero(a.grad_x, static_cast<size_t>(n) * itemsize(a.dtype), stream);
  distance_defined_bwd(a, stream);
}

}  // namespace fastdl
