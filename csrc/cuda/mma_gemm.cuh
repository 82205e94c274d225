// The main loop of products on tensor cores: C (m x n) = A (m x k) B (k x n) for a tile of C a block of four warps.
//
//   global --copy_async, 16 bytes--> ring of four stages in shared memory --load_matrices--> registers --multiply
//
// A stage holds a panel of A and one of B, each kPanelBytes = 64 bytes of k: 32 numbers of 16 bits, 16 of tfloat32. All
// three types thus move alike, in chunks of 16 bytes, and differ in the multiplying instruction alone. While a stage is
// multiplied the copies of the next three are under way; one barrier a stage says both that a stage has arrived from
// all threads and that the one before it may be overwritten.
//
// Who owns what: the warps stand 2 x 2 and own a quarter of the tile each, 64 x 64 results of the large one: 32
// products of 16 x 8 for eight loads of matrices, which keeps shared memory below the tensor cores' pace.
//
// Panels come in two orders. Where k is contiguous in global memory, rows of 4 chunks along k:
//
//   row 0   0 1 2 3 |      chunk c of row r lies in place c ^ (r / 2 % 4) of its row. A load of a matrix reads one
//   row 1   0 1 2 3 |      chunk of eight rows; by the exchange they lie in eight different places of 128 bytes, so
//   row 2   1 0 3 2 |      that each bank is met once. Two rows of 64 bytes fill the banks, hence r / 2.
//   row 3   1 0 3 2 | ...
//
// Where rows (or columns) are contiguous, steps of k with all their rows: see StepPanels.
#pragma once
#include "cuda/gemm.cuh"
#include "cuda/tensorcore.cuh"

namespace fastdl {

constexpr int kChunkBytes = 16;
constexpr int kPanelBytes = 64, kPanelChunks = kPanelBytes / kChunkBytes;  // of k in a stage, for each row
constexpr int kMmaStages = 4;

template <class NumberType, int kBM, int kBN>
struct MmaTile {
  using Number = NumberType;
  static constexpr int BM = kBM, BN = kBN;
  static constexpr int WM = BM / 2, WN = BN / 2;  // of a warp
  static constexpr int kThreads = 128;
  static constexpr int kChunk = kChunkBytes / sizeof(Number);                           // numbers
  static constexpr int kSteps = kPanelBytes / sizeof(Number);                           // of k in a stage
  static constexpr int kPanelA = BM * kPanelChunks, kStage = (BM + BN) * kPanelChunks;  // chunks
  static constexpr size_t kSharedBytes = size_t{kMmaStages} * kStage * kChunkBytes;
  static_assert(WM % 16 == 0 && WN % 16 == 0);
};

// Large: where there are enough tiles of it (see plan_mma). Two blocks share a multiprocessor of 8.0 (164 KB), one of
// 8.6 (100 KB). The small one takes half the shared memory.
template <class Number>
using LargeMmaTile = MmaTile<Number, 128, 128>;
template <class Number>
using SmallMmaTile = MmaTile<Number, 64, 64>;

// A warp's results, and where this thread's stand in the tile: pairs of neighbouring columns.
template <class Tile>
struct MmaResults {
  static constexpr int kRows = Tile::WM / 16, kColumns = Tile::WN / 8;
  float sum[kRows][kColumns][4] = {};

  __device__ static int warp_row() { return threadIdx.x / 64 * Tile::WM; }
  __device__ static int warp_column() { return threadIdx.x / 32 % 2 * Tile::WN; }

  // place(column) says where the columns from `column` of the tile on are; store(row, place, first, second).
  template <class Place, class Store>
  __device__ void each_pair(Place&& place, Store&& store) const {
    const int lane = threadIdx.x % 32, row = warp_row() + lane / 4, column = warp_column() + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kColumns; ++j) {
      const auto at = place(column + 8 * j);
#pragma unroll
      for (int i = 0; i < kRows; ++i) {
        store(row + 16 * i, at, sum[i][j][0], sum[i][j][1]);
        store(row + 16 * i + 8, at, sum[i][j][2], sum[i][j][3]);
      }
    }
  }

  // The same walk without the results, and not unrolled: for what takes more code than 128 copies of it are worth.
  template <class Place, class Visit>
  __device__ static void each_place(Place&& place, Visit&& visit) {
    const int lane = threadIdx.x % 32, row = warp_row() + lane / 4, column = warp_column() + lane % 4 * 2;
#pragma unroll 1
    for (int j = 0; j < kColumns; ++j) {
      const auto at = place(column + 8 * j);
#pragma unroll 1
      for (int i = 0; i < 2 * kRows; ++i) visit(row + 8 * i, at);
    }
  }
};

// Every product of the fragments of one step: a[i] are 16 rows, b[j] 8 columns.
template <class Tile>
__device__ __forceinline__ void multiply_fragments(MmaResults<Tile>& results,
                                                   const uint32_t (&a)[MmaResults<Tile>::kRows][4],
                                                   const uint32_t (&b)[MmaResults<Tile>::kColumns][2]) {
#pragma unroll
  for (int i = 0; i < MmaResults<Tile>::kRows; ++i) {
#pragma unroll
    for (int j = 0; j < MmaResults<Tile>::kColumns; ++j)
      multiply(typename Tile::Number{}, results.sum[i][j], a[i], b[j]);
  }
}

// ---- panels of rows along k -----------------------------------------------------------------------------------------

template <class Tile>
struct RowPanels {
  static constexpr int kRowStep = Tile::kThreads / kPanelChunks;

  // A thread copies one chunk of every kRowStep-th row: four neighbours read 64 bytes of a row.
  __device__ static int own_chunk() { return threadIdx.x % kPanelChunks; }
  __device__ static int own_row() { return threadIdx.x / kPanelChunks; }
  __device__ static int place(int row, int chunk) { return row * kPanelChunks + (chunk ^ (row / 2 % kPanelChunks)); }

  __device__ static void multiply(const uint4* a, const uint4* b, MmaResults<Tile>& results) {
    using Results = MmaResults<Tile>;
    const int lane = threadIdx.x % 32;
    // Lanes bring the rows of a (rows 0 - 15, then the same half a step on) and of two columns of fragments of b
    // (columns 0 - 7, half a step on, columns 8 - 15, half a step on).
    const int row_a = Results::warp_row() + lane % 16, half_a = lane / 16;
    const int row_b = Results::warp_column() + lane / 16 * 8 + lane % 8, half_b = lane / 8 % 2;
#pragma unroll
    for (int step = 0; step < kPanelChunks / 2; ++step) {
      uint32_t fragments_a[Results::kRows][4], fragments_b[Results::kColumns][2];
#pragma unroll
      for (int i = 0; i < Results::kRows; ++i)
        load_matrices(fragments_a[i], a + place(row_a, 2 * step + half_a) + i * 16 * kPanelChunks);
#pragma unroll
      for (int j = 0; j < Results::kColumns; j += 2) {
        uint32_t two[4];
        load_matrices(two, b + place(row_b, 2 * step + half_b) + j * 8 * kPanelChunks);
        fragments_b[j][0] = two[0], fragments_b[j][1] = two[1];
        fragments_b[j + 1][0] = two[2], fragments_b[j + 1][1] = two[3];
      }
      multiply_fragments<Tile>(results, fragments_a, fragments_b);
    }
  }
};

// ---- panels of steps of k -------------------------------------------------------------------------------------------

// All rows of a step stand side by side, so that they can be copied in chunks of neighbouring rows. Numbers of 16 bits
// are turned by load_transposed, which reads one chunk of eight steps: chunk c of step s lies in place c ^ s % 8. That
// instruction does not turn numbers of 32 bits; those are read one by one, eight rows of four steps a warp, and c
// ^ 2 (s % 4) puts the four steps into different banks.
template <class Tile>
struct StepPanels {
  static constexpr bool kHalves = sizeof(typename Tile::Number) == 2;
  static constexpr int kChunks = Tile::BM / Tile::kChunk;  // of a step
  static constexpr int kStepStep = Tile::kThreads / kChunks;
  static_assert(Tile::BM == Tile::BN && kChunks >= 8);

  __device__ static int own_chunk() { return threadIdx.x % kChunks; }
  __device__ static int own_step() { return threadIdx.x / kChunks; }
  __device__ static int place(int step, int chunk) {
    return step * kChunks + (chunk ^ (kHalves ? step % 8 : step % 4 * 2));
  }

  __device__ static uint32_t number(const uint4* panel, int step, int row) {
    return reinterpret_cast<const uint32_t*>(panel + place(step, row / 4))[row % 4];
  }

  // 16 rows from `row` on, of both halves of a step of the instruction.
  __device__ static void load_a(uint32_t (&r)[4], const uint4* panel, int first, int row) {
    const int lane = threadIdx.x % 32;
    if constexpr (kHalves) {
      load_transposed(r, panel + place(first + lane / 16 * 8 + lane % 8, row / 8 + lane / 8 % 2));
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) r[j] = number(panel, first + lane % 4 + j / 2 * 4, row + lane / 4 + j % 2 * 8);
    }
  }
  // Two times 8 columns.
  __device__ static void load_b(uint32_t (&r)[4], const uint4* panel, int first, int column) {
    const int lane = threadIdx.x % 32;
    if constexpr (kHalves) {
      load_transposed(r, panel + place(first + lane / 8 % 2 * 8 + lane % 8, column / 8 + lane / 16));
    } else {
#pragma unroll
      for (int j = 0; j < 4; ++j) r[j] = number(panel, first + lane % 4 + j % 2 * 4, column + lane / 4 + j / 2 * 8);
    }
  }

  __device__ static void multiply(const uint4* a, const uint4* b, MmaResults<Tile>& results) {
    using Results = MmaResults<Tile>;
#pragma unroll
    for (int first = 0; first < Tile::kSteps; first += Tile::kSteps / 2) {
      uint32_t fragments_a[Results::kRows][4], fragments_b[Results::kColumns][2];
#pragma unroll
      for (int i = 0; i < Results::kRows; ++i) load_a(fragments_a[i], a, first, Results::warp_row() + 16 * i);
#pragma unroll
      for (int j = 0; j < Results::kColumns; j += 2) {
        uint32_t two[4];
        load_b(two, b, first, Results::warp_column() + 8 * j);
        fragments_b[j][0] = two[0], fragments_b[j][1] = two[1];
        fragments_b[j + 1][0] = two[2], fragments_b[j + 1][1] = two[3];
      }
      multiply_fragments<Tile>(results, fragments_a, fragments_b);
    }
  }
};

// ---- the loop -------------------------------------------------------------------------------------------------------

// copies.copy(a, b) issues this thread's copies of the next panels, and steps on.
template <class Tile, class Panels, class Copies>
__device__ __forceinline__ void mma_main_loop(Copies& copies, int panels, uint4* ring, MmaResults<Tile>& results) {
  const auto copy_to = [&](int stage) {
    uint4* a = ring + stage * Tile::kStage;
    copies.copy(a, a + Tile::kPanelA);
  };
#pragma unroll
  for (int stage = 0; stage < kMmaStages - 1; ++stage) {
    if (stage < panels) copy_to(stage);
    commit_copies();
  }
  for (int panel = 0; panel < panels; ++panel) {
    // A group each turn, of nothing towards the end, so that the number of groups behind this panel's is always two.
    wait_copies<kMmaStages - 2>();
    __syncthreads();
    const int next = panel + kMmaStages - 1;
    if (next < panels) copy_to(next % kMmaStages);
    commit_copies();
    const uint4* a = ring + panel % kMmaStages * Tile::kStage;
    Panels::multiply(a, a + Tile::kPanelA, results);
  }
}

// ---- how a product is cut up ----------------------------------------------------------------------------------------

// A split of k shorter than so many panels costs more in its partial sums than it gains.
constexpr int64_t kShortestMmaSplit = 16;

// As plan_gemm, with k counted in panels. Both tiles have the same order of sums, but splits of different length.
inline GemmPlan plan_mma(int64_t m, int64_t n, int64_t panels, int64_t batch) {
  using Large = LargeMmaTile<bfloat16>;
  using Small = SmallMmaTile<bfloat16>;
  const int64_t large = ceil_div(m, Large::BM) * ceil_div(n, Large::BN) * batch;
  const int64_t small = ceil_div(m, Small::BM) * ceil_div(n, Small::BN) * batch;
  GemmPlan plan;
  plan.large = large >= kBlocksToFill && 4 * large * Large::BM * Large::BN <= 5 * small * Small::BM * Small::BN;
  plan.tiles_m = static_cast<int>(ceil_div(m, plan.large ? Large::BM : Small::BM));
  plan.tiles_n = static_cast<int>(ceil_div(n, plan.large ? Large::BN : Small::BN));
  const int64_t blocks = plan.large ? large : small;
  const int64_t parts = max(int64_t{1}, min(kBlocksWanted / blocks, panels / kShortestMmaSplit));
  // Within a block steps of k are counted in 32 bits.
  plan.chunk = max(int64_t{1}, ceil_div(panels, max(parts, ceil_div(panels, int64_t{1} << 24))));
  plan.splits = panels ? static_cast<int>(ceil_div(panels, plan.chunk)) : 1;
  plan.blocks = blocks * plan.splits;
  return plan;
}

}  // namespace fastdl
