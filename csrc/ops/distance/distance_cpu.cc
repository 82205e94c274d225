// Distance matrices on the CPU, and their gradients, by the definition: every metric but the Euclidean one of many rows
// (distance_product_cpu.cc).
//
// Data layout. Lanes are rows of y. So y is packed in panels of kVectors vectors of rows, column by column (rows past
// the end are zero):
//
//   panel      column 0: y0 y1 ... y31     column 1: y0 y1 ... y31     ...
//
// Forward, a register tile of kTile.rows rows of x times a panel goes over all columns: each number of x is broadcast
// once for the panel, each vector of y loaded once for the rows. Backward, a tile of rows and columns of the gradient
// goes over all panels, a sum a lane for each, and adds its lanes at the end.
//
// Who owns what. A chunk owns rows of x, in both directions; the panels are packed once, by chunks of panels.
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"
#include "cpu/transpose-inl.h"
#include "ops/distance/distance_metric-inl.h"

namespace fastdl::FASTDL_ISA {

// Rows of x and vectors of y in a tile (forward), rows and columns (backward): accumulators, as registers allow.
struct TileShape {
  int rows, vectors, grad_rows, grad_columns;
};
#if defined(FASTDL_ISA_avx512)
constexpr TileShape kTile = {6, 4, 4, 4};
#else
constexpr TileShape kTile = {4, 2, 2, 4};
#endif
constexpr int64_t kTaskSteps = 256 * 1024;   // vectors of pairs and columns in a chunk
constexpr int64_t kPanelBytes = 256 * 1024;  // of panels that a chunk goes over again and again: half of L2

template <class T>
constexpr int64_t kPanel = int64_t{kTile.vectors} * kLanes<T>;

template <class T>
static int64_t panels_of(const DistanceGeometry& g) {
  return (g.rows_y + kPanel<T> - 1) / kPanel<T>;
}

static int64_t chunk_rows(const DistanceGeometry& g, int64_t lanes, int tile) {
  const int64_t steps_a_row = (g.rows_y + lanes - 1) / lanes * (g.width + 1);
  return (kTaskSteps / (steps_a_row + 1) / tile + 1) * tile;
}

// ---- packing --------------------------------------------------------------------------------------------------------

template <class T>
static void pack_panels(const DistanceGeometry& g, const T* y, T* packed) {
  const int64_t panels = panels_of<T>(g), size = kPanel<T> * g.width;
  parallel_for(g.batch * panels, kTaskSteps / (size + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % panels * kPanel<T>;
      const int64_t rows = g.rows_y - first < kPanel<T> ? g.rows_y - first : kPanel<T>;
      const T* const source = y + (i / panels * g.rows_y + first) * g.width;
      T* const panel = packed + i * size;
      // Blocks of columns, so that the lines of a panel that are written stay in the L1 cache.
      constexpr int64_t kColumns = 16;
      for (int64_t from = 0; from < g.width; from += kColumns) {
        const int64_t to = from + kColumns < g.width ? from + kColumns : g.width;
        for (int64_t r = 0; r < kPanel<T>; ++r)
          for (int64_t k = from; k < to; ++k) panel[k * kPanel<T> + r] = r < rows ? source[r * g.width + k] : T{0};
      }
    }
  });
}

// ---- forward --------------------------------------------------------------------------------------------------------

// kRows rows of x times one panel.
template <class T, Metric kMetric, Power kPower, int kRows>
static void distance_tile(const T* x, int64_t width, const T* panel, int64_t columns, T p, T* out, int64_t ldo) {
  constexpr int V = kTile.vectors, L = kLanes<T>;
  Vec<T> sums[kRows][V] = {};
  for (int64_t k = 0; k < width; ++k) {
    Vec<T> y[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) y[v] = load<T>(panel + k * kPanel<T> + v * L);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const Vec<T> xr = broadcast<T>(x[r * width + k]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sums[r][v] = accumulate<T, kMetric, kPower>(sums[r][v], xr, y[v], p);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      store_some<T>(out + r * ldo + v * L, finish<T, kMetric>(sums[r][v], p), columns - v * L);
  }
}

template <class T, Metric kMetric, Power kPower>
static void distances(const DistanceFwdArgs& a) {
  const DistanceGeometry& g = a.g;
  const int64_t panels = panels_of<T>(g), panel_size = kPanel<T> * g.width;
  Scratch<T> packed(g.batch * panels * panel_size);
  pack_panels<T>(g, static_cast<const T*>(a.y), packed.get());
  const int64_t chunk = chunk_rows(g, kLanes<T>, kTile.rows), chunks = (g.rows_x + chunk - 1) / chunk;
  const int64_t together = kPanelBytes / (panel_size * static_cast<int64_t>(sizeof(T)) + 1) + 1;
  const T p = static_cast<T>(a.p);
  parallel_for(g.batch * chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t b = task / chunks, first = task % chunks * chunk;
      const int64_t last = first + chunk < g.rows_x ? first + chunk : g.rows_x;
      const T* const x = static_cast<const T*>(a.x) + b * g.rows_x * g.width;
      T* const out = static_cast<T*>(a.out) + b * g.rows_x * g.rows_y;
      for (int64_t block = 0; block < panels; block += together) {
        const int64_t stop = block + together < panels ? block + together : panels;
        for (int64_t r = first; r < last; r += kTile.rows) {
          for (int64_t j = block; j < stop; ++j) {
            const T* const panel = packed + (b * panels + j) * panel_size;
            const int64_t columns = g.rows_y - j * kPanel<T>;
            if (last - r >= kTile.rows) {
              distance_tile<T, kMetric, kPower, kTile.rows>(x + r * g.width, g.width, panel, columns, p,
                                                            out + r * g.rows_y + j * kPanel<T>, g.rows_y);
              continue;
            }
            for (int64_t i = r; i < last; ++i)
              distance_tile<T, kMetric, kPower, 1>(x + i * g.width, g.width, panel, columns, p,
                                                   out + i * g.rows_y + j * kPanel<T>, g.rows_y);
          }
        }
      }
    }
  });
}

// f(metric, power) as constants.
template <Metric kMetric, Power kPower = Power::kAny>
struct Kind {
  static constexpr Metric metric = kMetric;
  static constexpr Power power = kPower;
};
template <class F>
static void visit_metric(Metric metric, double p, F&& f) {
  if (metric == Metric::kEuclidean) return f(Kind<Metric::kEuclidean>{});
  if (metric == Metric::kManhattan) return f(Kind<Metric::kManhattan>{});
  if (metric == Metric::kChebyshev) return f(Kind<Metric::kChebyshev>{});
  if (metric == Metric::kCanberra) return f(Kind<Metric::kCanberra>{});
  if (metric == Metric::kHamming) return f(Kind<Metric::kHamming>{});
  if (p == 3) return f(Kind<Metric::kMinkowski, Power::kThree>{});
  if (p == 4) return f(Kind<Metric::kMinkowski, Power::kFour>{});
  f(Kind<Metric::kMinkowski>{});
}

void distance_defined_fwd(const DistanceFwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    visit_metric(a.metric, a.p, [&](auto kind) {
      using K = decltype(kind);
      distances<decltype(zero), K::metric, K::power>(a);
    });
  });
}

void distance_fwd(const DistanceFwdArgs& a) {
  if (a.g.batch * a.g.rows_x * a.g.rows_y == 0) return;
  if (use_product(a.g, a.metric, kProductWidth)) return distance_product_fwd(a);
  distance_defined_fwd(a);
}

// ---- backward -------------------------------------------------------------------------------------------------------

// kRows rows and kColumns columns of the gradient, over all panels. weight, distance: rows of whole panels, the pairs
// of the rows that are there weighted 0. distance is read for Chebyshev's metric only.
template <class T, Metric kMetric, Power kPower, int kRows, int kColumns>
static void gradient_tile(const T* x, int64_t width, const T* packed, int64_t panels, const T* weight,
                          const T* distance, T p, T* grad_x) {
  constexpr int L = kLanes<T>;
  const int64_t padded = panels * kPanel<T>;
  Vec<T> sums[kRows][kColumns] = {};
  for (int64_t j = 0; j < padded; j += L) {
    const T* const y = packed + j / kPanel<T> * kPanel<T> * width + j % kPanel<T>;
    Vec<T> column[kColumns];
#pragma GCC unroll 4
    for (int k = 0; k < kColumns; ++k) column[k] = load<T>(y + k * kPanel<T>);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const Vec<T> w = load<T>(weight + r * padded + j);
      Vec<T> d{};
      if constexpr (kMetric == Metric::kChebyshev) d = load<T>(distance + r * padded + j);
#pragma GCC unroll 4
      for (int k = 0; k < kColumns; ++k)
        sums[r][k] =
            accumulate_gradient<T, kMetric, kPower>(sums[r][k], w, d, broadcast<T>(x[r * width + k]), column[k], p);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int k = 0; k < kColumns; ++k) grad_x[r * width + k] = tree_sum<T>(sums[r][k]);
}

template <class T, Metric kMetric, Power kPower, int kRows>
static void gradient_rows(const T* x, int64_t width, const T* packed, int64_t panels, const T* weight,
                          const T* distance, T p, T* grad_x) {
  constexpr int C = kTile.grad_columns;
  int64_t k = 0;
  for (; k + C <= width; k += C)
    gradient_tile<T, kMetric, kPower, kRows, C>(x + k, width, packed + k * kPanel<T>, panels, weight, distance, p,
                                                grad_x + k);
  for (; k < width; ++k)
    gradient_tile<T, kMetric, kPower, kRows, 1>(x + k, width, packed + k * kPanel<T>, panels, weight, distance, p,
                                                grad_x + k);
}

// The weights of one row of pairs, padded with zeros to whole panels. May be in place of what it reads.
template <class T, Metric kMetric>
static void weigh_pairs(const T* grad, const T* distance, int64_t n, int64_t padded, T p, T* weight, T* copied) {
  for (int64_t j = 0; j < padded; j += kLanes<T>) {
    const Vec<T> g = load_some<T>(grad + j, n - j), d = load_some<T>(distance + j, n - j);
    const Vec<T> w = pair_weight<T, kMetric>(g, d, p);
    store<T>(weight + j, select<T>(lanes_below<T>(n - j), w, Vec<T>{}));
    if constexpr (kMetric == Metric::kChebyshev) store<T>(copied + j, d);
  }
}

// ... of `rows` rows from `first` on in batch b. Transposed matrices are turned in the memory of the result.
template <class T, Metric kMetric>
static void weigh_rows(const DistanceBwdArgs& a, int64_t b, int64_t first, int64_t rows, int64_t padded, T* weight,
                       T* distance) {
  const DistanceGeometry& g = a.g;
  const int64_t at = b * g.rows_x * g.rows_y + (a.transposed ? first : first * g.rows_y);
  const T *grad = static_cast<const T*>(a.grad) + at, *out = static_cast<const T*>(a.out) + at;
  int64_t pitch = g.rows_y;
  if (a.transposed) {
    transpose_matrix<T>(grad, g.rows_x, g.rows_y, rows, weight, padded);
    transpose_matrix<T>(out, g.rows_x, g.rows_y, rows, distance, padded);
    grad = weight, out = distance, pitch = padded;
  }
  for (int64_t i = 0; i < rows; ++i)
    weigh_pairs<T, kMetric>(grad + i * pitch, out + i * pitch, g.rows_y, padded, static_cast<T>(a.p),
                            weight + i * padded, distance + i * padded);
}

template <class T, Metric kMetric, Power kPower>
static void gradients(const DistanceBwdArgs& a) {
  const DistanceGeometry& g = a.g;
  constexpr int R = kTile.grad_rows;
  const int64_t panels = panels_of<T>(g), padded = panels * kPanel<T>;
  Scratch<T> packed(g.batch * padded * g.width);
  pack_panels<T>(g, static_cast<const T*>(a.y), packed.get());
  // Weights of so many rows at a time: of a transposed matrix, whole vectors.
  const int together = a.transposed && kLanes<T> > R ? kLanes<T> : R;
  const int64_t chunk = chunk_rows(g, kLanes<T>, together), chunks = (g.rows_x + chunk - 1) / chunk;
  const bool distances = a.transposed || kMetric == Metric::kChebyshev;
  const T p = static_cast<T>(a.p);
  parallel_for(g.batch * chunks, 1, [&](int64_t begin, int64_t end) {
    Scratch<T> weight(together * padded), distance(distances ? together * padded : 0);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t b = task / chunks, first = task % chunks * chunk;
      const int64_t last = first + chunk < g.rows_x ? first + chunk : g.rows_x;
      const T* const panel = packed + b * padded * g.width;
      const T* const x = static_cast<const T*>(a.x) + b * g.rows_x * g.width;
      T* const grad_x = static_cast<T*>(a.grad_x) + b * g.rows_x * g.width;
      for (int64_t from = first; from < last; from += together) {
        const int64_t to = from + together < last ? from + together : last;
        weigh_rows<T, kMetric>(a, b, from, to - from, padded, weight, distance);
        int64_t r = from;
        for (; r + R <= to; r += R)
          gradient_rows<T, kMetric, kPower, R>(x + r * g.width, g.width, panel, panels, weight + (r - from) * padded,
                                               distance + (r - from) * padded, p, grad_x + r * g.width);
        for (; r < to; ++r)
          gradient_rows<T, kMetric, kPower, 1>(x + r * g.width, g.width, panel, panels, weight + (r - from) * padded,
                                               distance + (r - from) * padded, p, grad_x + r * g.width);
      }
    }
  });
}

void distance_defined_bwd(const DistanceBwdArgs& a) {
  visit_float(a.dtype, [&](auto zero) {
    visit_metric(a.metric, a.p, [&](auto kind) {
      using K = decltype(kind);
      gradients<decltype(zero), K::metric, K::power>(a);
    });
  });
}

void distance_bwd(const DistanceBwdArgs& a) {
  if (a.g.batch * a.g.rows_x * a.g.width == 0) return;
  if (a.metric == Metric::kHamming || a.g.rows_y == 0) {
    visit_float(a.dtype, [&](auto zero) {
      auto* const grad_x = static_cast<decltype(zero)*>(a.grad_x);
      for (int64_t i = 0; i < a.g.batch * a.g.rows_x * a.g.width; ++i) grad_x[i] = zero;
    });
    return;
  }
  if (use_product(a.g, a.metric, kProductGradientWidth)) return distance_product_bwd(a);
  distance_defined_bwd(a);
}

}  // namespace fastdl::FASTDL_ISA
