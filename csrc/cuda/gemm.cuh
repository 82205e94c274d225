// The main loop of every dense product: C (m x n) = A (m x k) B (k x n), one tile of C a block.
//
//   global --load()--> registers --store()--> shared panels [2][BK][rows + pad] --16 bytes a thread--> registers --FMA
//
// What A and B are is the business of two loaders: a matrix either way up (here), or the pixels under a convolution's
// windows (ops/conv2d). A loader owns this thread's share of a panel of `rows` rows and BK steps of k:
//   load()         reads it from global memory into registers, zero outside the operand, and steps on to the next panel
//   store(panel)   writes it to shared memory, panel[k][row] whatever the order in global memory was
// While a panel is multiplied the loads of the next are under way; two buffers make one barrier a panel enough.
//
// A warp's 32 threads stand 4 x 8. A thread owns TM x TN results in groups of one 16-byte vector, the groups 4 (8)
// vectors apart, so a warp reads 64 (128) consecutive bytes of a panel at a time, each by 8 (4) threads alike: no bank
// is met twice.
//
//        8 threads x V columns, next group     A panel row is padded by 4 elements, so that transposing stores (8 k
//   4    +----+----+-- ... --+                 steps x 4 rows, or 2 vectors x 16 rows a warp) meet different banks too,
//   x V  | t0 | t1 |      t7 |                 and stays aligned for 16-byte reads.
//   rows | t8 | ...
//
// That is, in words of 4 bytes step k of row r lies in bank 4k + r modulo 32: two vectors of k are 16 banks apart, with
// 16 rows between; 8 steps are 4 apart, with 4 rows between. Doubles go by half warps over 16 pairs of banks, likewise.
#pragma once
#include "cuda/launch.h"

namespace fastdl {

constexpr int kPanelPad = 4;
// What this code is compiled for, 900 for 9.0; 0 on the host and in the emulation.
#if defined(__CUDA_ARCH__)
constexpr int kArchitecture = __CUDA_ARCH__;
#else
constexpr int kArchitecture = 0;
#endif

template <class Number, int kBM, int kBN, int kBK, int kTM, int kTN>
struct GemmTile {
  using T = Number;
  static constexpr int BM = kBM, BN = kBN, BK = kBK, TM = kTM, TN = kTN;
  static constexpr int V = 16 / sizeof(T);
  static constexpr int kThreads = (BM / TM) * (BN / TN);
  static constexpr int kWarpsN = BN / (8 * TN);
  // That share a multiprocessor: with 16 floats a thread there is room for a third.
  static constexpr int kBlocks = kThreads == 256 && TM * TN * sizeof(T) <= 64 ? 3 : 2;
  using PanelA = T[BK][BM + kPanelPad];
  using PanelB = T[BK][BN + kPanelPad];
  static_assert(BM % (4 * TM) == 0 && BN % (8 * TN) == 0 && TM % V == 0 && TN % V == 0);
};

// The tiles of each type. Large: 64 FMA for each four 16-byte shared reads. Small: where the large one leaves
// multiprocessors without a block, or most of a tile empty. A double is two registers, hence the smaller sums.
//
// All have 256 threads, so that each brings one vector of either operand into a panel, and panels of 17 KB. Two blocks,
// three of small float tiles, share a multiprocessor (128 registers a thread; the large tile has 64 sums, 16 operands,
// 8 numbers on their way): one multiplies while the other waits at its barrier.
template <class T>
struct GemmTiles {
  using Large = GemmTile<float, 128, 128, 8, 8, 8>;
  using Small = GemmTile<float, 64, 64, 16, 4, 4>;
};
template <>
struct GemmTiles<double> {
  using Large = GemmTile<double, 64, 64, 8, 4, 4>;
  using Small = Large;
};

// Constants instead of the device's own count: how k is split decides the bits of a sum, which should not depend on the
// device.
// Blocks that fill a device of about 130 multiprocessors once, twice.
constexpr int64_t kBlocksToFill = 128;
constexpr int64_t kBlocksWanted = 256;
// A split of k shorter than this costs more in its partial sums than it gains.
constexpr int64_t kShortestSplit = 256;

// True where whole 16-byte vectors may be read at p and at multiples of `stride` elements from it.
template <class T>
__host__ __device__ inline bool vectors_at(const T* p, int64_t stride) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0 && stride % (16 / static_cast<int64_t>(sizeof(T))) == 0;
}

// A matrix whose rows are contiguous along k (A as it is, B transposed). `matrix` points at the block's first row and
// first k, `rows` and `steps` say how much of it there is from there.
template <class Tile, int kRows, bool kAlongK>
struct MatrixLoader {
  using T = typename Tile::T;
  static constexpr int V = Tile::V, kVectorsK = Tile::BK / V;
  static constexpr int kRowStep = Tile::kThreads / kVectorsK;
  static constexpr int kEach = (kRows + kRowStep - 1) / kRowStep;
  static_assert(kVectorsK % 2 == 0 && kRowStep % 16 == 0);

  const T* own;  // this thread's first element of the next panel
  int64_t ld;
  int rows, steps;  // what there is from `own` on
  bool vector;
  Pack<T, V> held[kEach];

  __device__ MatrixLoader(const T* matrix, int64_t ld, int rows, int steps)
      : own(matrix + own_row() * ld + own_k()),
        ld(ld),
        rows(min(rows, kRows) - own_row()),
        // A thread without a row has no steps, so load() need not ask for its first row.
        steps(own_row() < rows ? steps - own_k() : 0),
        // k in whole vectors: each lies inside or outside, none across the end.
        vector(vectors_at(matrix, ld) && steps % V == 0) {}

  // Two neighbours share a 32-byte sector of a row; a warp takes 16 rows.
  __device__ static int own_k() { return (threadIdx.x / 32 % (kVectorsK / 2) * 2 + threadIdx.x % 2) * V; }
  __device__ static int own_row() { return threadIdx.x / 32 / (kVectorsK / 2) * 16 + threadIdx.x / 2 % 16; }

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const T* p = own + i * kRowStep * ld;
      // Beyond k both operands are zero (one would not do: 0 * infinity is NaN), so nothing is added. Rows outside
      // give results that nobody stores.
      const bool in = i == 0 || i * kRowStep < rows;
      if (vector && in && steps > 0) {
        held[i] = load_vec<Pack<T, V>>(p);
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j) held[i][j] = in && j < steps ? p[j] : T(0);
      }
    }
    own += Tile::BK;
    steps -= Tile::BK;
  }

  __device__ void store(T (&panel)[Tile::BK][kRows + kPanelPad]) const {
    const int row = own_row(), k = own_k();
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (kRows % kRowStep != 0 && row + i * kRowStep >= kRows) break;
#pragma unroll
      for (int j = 0; j < V; ++j) panel[k + j][row + i * kRowStep] = held[i][j];
    }
  }
};

// A matrix whose k steps are contiguous along the rows (A transposed, B as it is): panels keep its order.
template <class Tile, int kRows>
struct MatrixLoader<Tile, kRows, false> {
  using T = typename Tile::T;
  static constexpr int V = Tile::V, kVectorsRow = kRows / V;
  static constexpr int kStep = Tile::kThreads / kVectorsRow;
  static constexpr int kEach = (Tile::BK + kStep - 1) / kStep;

  const T* own;
  int64_t ld;
  int reach;  // how many of the V rows exist; kWhole where all do and one access may read them
  int steps;
  Pack<T, V> held[kEach];
  static constexpr int kWhole = V + 1;

  __device__ MatrixLoader(const T* matrix, int64_t ld, int rows, int steps)
      : MatrixLoader(matrix + own_row(), ld, rows - own_row(), steps, vectors_at(matrix, ld)) {}
  // For rows that do not lie one after another: `column` is this thread's own first row, at the first k.
  __device__ MatrixLoader(const T* column, int64_t ld, int rows, int steps, bool vector)
      : own(column + own_k() * ld),
        ld(ld),
        // One number answers both questions of load(), in one register.
        reach(rows < V ? rows
              : vector ? kWhole
                       : V),
        steps(steps - own_k()) {}

  __device__ static int own_row() { return threadIdx.x % kVectorsRow * V; }
  __device__ static int own_k() { return threadIdx.x / kVectorsRow; }

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const T* p = own + i * kStep * ld;
      const bool in = i * kStep < steps;
      if (in && reach == kWhole) {
        held[i] = load_vec<Pack<T, V>>(p);
      } else {
#pragma unroll
        for (int j = 0; j < V; ++j) held[i][j] = in && j < reach ? p[j] : T(0);
      }
    }
    own += Tile::BK * ld;
    steps -= Tile::BK;
  }

  __device__ void store(T (&panel)[Tile::BK][kRows + kPanelPad]) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (Tile::BK % kStep != 0 && own_k() + i * kStep >= Tile::BK) break;
      // Neighbours store neighbouring vectors of one panel row: no conflicts, with or without padding.
      store_vec(&panel[own_k() + i * kStep][own_row()], held[i]);
    }
  }
};

// The first `count` of V results. `vector`: they may be written at once.
template <class T, int V>
__device__ __forceinline__ void store_results(T* to, const Pack<T, V>& v, int count, bool vector) {
  if (vector && count >= V) return store_vec(to, v);
#pragma unroll
  for (int j = 0; j < V; ++j)
    if (j < count) to[j] = v[j];
}

// This thread's results, and where they stand in the tile.
template <class Tile>
struct Accumulators {
  using T = typename Tile::T;
  static constexpr int V = Tile::V;
  Pack<T, V> sum[Tile::TM][Tile::TN / V] = {};

  __device__ static int first_row() {
    return threadIdx.x / 32 / Tile::kWarpsN * (4 * Tile::TM) + threadIdx.x % 32 / 8 * V;
  }
  __device__ static int first_col() { return threadIdx.x / 32 % Tile::kWarpsN * (8 * Tile::TN) + threadIdx.x % 8 * V; }

  // Code for 10.0 and 12.0 keeps operands of many steps under way, in more registers than 64 sums leave: it is given
  // two steps at a time. Its four warps a scheduler have 128 multiply-adds each in those, while one waits for its next.
  static constexpr int kTogether = kArchitecture >= 1000 && sizeof(sum) >= 64 * sizeof(float) ? 2 : Tile::BK;

  __device__ void multiply(const typename Tile::PanelA& a, const typename Tile::PanelB& b) {
    each_pair<kTogether>(a, b, [](T& to, T x, T y) { to += x * y; });
  }

  // add(sum, x, y) for each result and each step of k: a product, or what else grows with pairs of numbers. Long ones
  // are unrolled over fewer steps, so that the body stays in the instruction cache.
  template <int kUnroll = Tile::BK, class Add>
  __device__ __forceinline__ void each_pair(const typename Tile::PanelA& a, const typename Tile::PanelB& b, Add&& add) {
    const int row = first_row(), col = first_col();
#pragma unroll kUnroll
    for (int k = 0; k < Tile::BK; ++k) {
      Pack<T, V> x[Tile::TM / V], y[Tile::TN / V];
      // An outer product: TM + TN numbers are read for TM * TN multiply-adds.
#pragma unroll
      for (int i = 0; i < Tile::TM / V; ++i) x[i] = load_vec<Pack<T, V>>(&a[k][row + i * 4 * V]);
#pragma unroll
      for (int j = 0; j < Tile::TN / V; ++j) y[j] = load_vec<Pack<T, V>>(&b[k][col + j * 8 * V]);
#pragma unroll
      for (int i = 0; i < Tile::TM; ++i) {
#pragma unroll
        for (int j = 0; j < Tile::TN; ++j) add(sum[i][j / V][j % V], x[i / V][i % V], y[j / V][j % V]);
      }
    }
  }

  // place(col) says where the V columns from col of the tile on are; store(row, place, results) writes one row of them.
  template <class Place, class Store>
  __device__ void each_vector(Place&& place, Store&& store) {
    const int row = first_row(), col = first_col();
#pragma unroll
    for (int j = 0; j < Tile::TN / V; ++j) {
      // Columns outside: where a column lies may take divisions (pixels of images), a row only an addition.
      const auto at = place(col + j * 8 * V);
#pragma unroll
      for (int i = 0; i < Tile::TM; ++i) store(row + i / V * (4 * V) + i % V, at, sum[i][j]);
    }
  }
};

// One place multiplies, so that the unrolled body is in the instruction cache once. Panels are what the loaders store
// to and results.multiply() takes.
template <class Tile, class LoadA, class LoadB, class PanelA, class PanelB, class Results>
__device__ __forceinline__ void gemm_main_loop(LoadA& load_a, LoadB& load_b, int steps, PanelA (&a)[2], PanelB (&b)[2],
                                               Results& results) {
  if (steps <= 0) return;
  // The loads of the first panel have nothing to hide behind.
  load_a.load();
  load_b.load();
  load_a.store(a[0]);
  load_b.store(b[0]);
  __syncthreads();
  int now = 0;
  for (int left = steps - Tile::BK;; left -= Tile::BK) {
    // Asked for now, used after the multiplication: global memory has some 500 instructions of a thread to answer.
    if (left > 0) {
      load_a.load();
      load_b.load();
    }
    results.multiply(a[now], b[now]);
    if (left <= 0) return;
    now ^= 1;  // nobody reads the other buffer any more: all are past the last barrier
    load_a.store(a[now]);
    load_b.store(b[now]);
    __syncthreads();
  }
}

// How a product is cut up; decided on the host.
struct GemmPlan {
  bool large;
  int tiles_m, tiles_n, splits;
  int64_t chunk;  // steps of k in a split, a multiple of 16
  int64_t blocks;
};

// Blocks are numbered along one axis: batch slowest, then the part of k, then the tiles of C. Tiles go down eight rows
// before they go right, so that blocks that run together share rows of A and columns of B in the L2 cache.
struct TileIndex {
  int64_t batch;
  int split, m, n;
};

__device__ inline TileIndex tile_of(const GemmPlan& plan, unsigned block) {
  // 8 x 8 tiles of 128 rows and columns are 2 x 8 panels for 64 products; in rows alone they would be 1 + 64.
  constexpr int kGroup = 8;
  const int tiles_m = plan.tiles_m, tiles_n = plan.tiles_n, splits = plan.splits;
  const unsigned tiles = tiles_m * tiles_n, tile = block % tiles, rest = block / tiles;
  const int first = tile / (kGroup * tiles_n) * kGroup, in_group = tile % (kGroup * tiles_n);
  const int rows = tiles_m - first < kGroup ? tiles_m - first : kGroup;
  return {rest / splits, static_cast<int>(rest % splits), first + in_group % rows, in_group / rows};
}
__device__ inline TileIndex tile_of_block(const GemmPlan& plan) {
  return tile_of(plan, blockIdx.x);
}

// Split k only for lack of tiles: each part costs a write and a read of its results, and a second launch.
// Parts to cut k into so that `blocks` blocks a part fill the device.
inline int64_t splits_of_k(int64_t blocks, int64_t k) {
  return max(int64_t{1}, min(kBlocksWanted / blocks, k / kShortestSplit));
}

inline unsigned grid_of(const GemmPlan& plan) {
  return checked_grid(plan.blocks);
}

template <class Tile>
GemmPlan plan_tiles(int64_t m, int64_t n, int64_t k, int64_t batch) {
  GemmPlan plan;
  plan.large = false;
  plan.tiles_m = static_cast<int>(ceil_div(m, Tile::BM));
  plan.tiles_n = static_cast<int>(ceil_div(n, Tile::BN));
  const int64_t blocks = int64_t{plan.tiles_m} * plan.tiles_n * batch;
  // Chunks in multiples of 16, which every BK divides: only the last has a broken panel, all start on a vector.
  // Within a block k is counted in 32 bits.
  plan.chunk = ceil_div(ceil_div(k, max(splits_of_k(blocks, k), ceil_div(k, int64_t{1} << 30))), 16) * 16;
  plan.splits = k ? static_cast<int>(ceil_div(k, plan.chunk)) : 1;
  plan.blocks = blocks * plan.splits;
  return plan;
}

template <class T>
GemmPlan plan_gemm(int64_t m, int64_t n, int64_t k, int64_t batch) {
  using Large = typename GemmTiles<T>::Large;
  using Small = typename GemmTiles<T>::Small;
  const int64_t large = ceil_div(m, Large::BM) * ceil_div(n, Large::BN) * batch;
  const int64_t small = ceil_div(m, Small::BM) * ceil_div(n, Small::BN) * batch;
  // Large tiles make twice as many FMA a shared read, so they may cover a quarter more than small ones would.
  const bool prefer = large >= kBlocksToFill && 4 * large * Large::BM * Large::BN <= 5 * small * Small::BM * Small::BN;
  GemmPlan plan = prefer ? plan_tiles<Large>(m, n, k, batch) : plan_tiles<Small>(m, n, k, batch);
  plan.large = prefer;
  return plan;
}

}  // namespace fastdl
