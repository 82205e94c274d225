// The main loop of products on compute capability 9.0: C (m x n) = A (m x k) B (n x k)^T, both with k contiguous, by
// blocks of three warpgroups. One thread of the last asks the copy engine for panels of A and B, the others multiply:
//
//   copy engine --128 bytes of k, swizzled--> ring of four stages in shared memory --wgmma--> registers
//
//            stage 0     stage 1     stage 2     stage 3       full[s]:  the copy engine's bytes of stage s are there
//   A      [ BM rows ] [         ] [         ] [         ]     empty[s]: all eight warps have multiplied what was there
//   B      [ BN rows ] [         ] [         ] [         ]
//            multiplied  arriving    arriving    asked for     The producer waits for empty, the consumers for full.
//
// No thread touches an operand: the panels go from global to shared memory and from there to the tensor cores. Types of
// 16 and 32 bits move alike, 64 or 32 steps of k a panel, and differ in the multiplying instruction alone. A wait on an
// mbarrier names the parity of its phase: each turn around the ring is one phase of every mbarrier.
//
// Who owns what: consumers stand one over the other and own 64 rows of the tile each, or side by side where a tile has
// 64 rows in all. While a panel is multiplied the one before is given back, so that two products are always under way.
#pragma once
#include "cuda/gemm.cuh"
#include "cuda/hopper.cuh"

namespace fastdl {

constexpr int kWgmmaRows = 64, kWgmmaSteps = 4;  // of an instruction; instructions along k in a panel
constexpr int64_t kWgmmaPanelChunks = kSwizzledRow / 16;
constexpr int kWgmmaStages = 4, kConsumers = 2;
// Registers a thread: 384 threads start with 168 of the 65536; the producer gives what the consumers take.
constexpr int kProducerRegisters = 40, kConsumerRegisters = 232;

template <class NumberType, int kRows, int kColumns>
struct WgmmaTile {
  using Number = NumberType;
  static constexpr int BM = kRows, BN = kColumns;
  static constexpr int kStacked = BM / kWgmmaRows, kAbreast = kConsumers / kStacked;  // consumers
  static constexpr int kOwnColumns = BN / kAbreast;                                   // of a consumer
  static constexpr int kSums = kWgmmaRows * kOwnColumns / kWarpgroup;                 // of a thread
  static constexpr int kPanel = kSwizzledRow / sizeof(Number);                        // steps of k
  static constexpr int kBytesA = BM * kSwizzledRow, kBytesB = BN * kSwizzledRow, kStageBytes = kBytesA + kBytesB;
  static constexpr int kThreads = (kConsumers + 1) * kWarpgroup;
  // Dynamic shared memory starts anywhere, panels where the swizzle's pattern does.
  static constexpr size_t kSharedBytes = kWgmmaStages * kStageBytes + kSwizzlePattern;
  static_assert(kStageBytes % kSwizzlePattern == 0 && kBytesA % kSwizzlePattern == 0);
  static_assert(kStacked * kWgmmaRows == BM && kStacked * kAbreast == kConsumers);

  // Where a consumer's sums begin in the tile.
  __device__ static int own_row() { return threadIdx.x / kWarpgroup % kStacked * kWgmmaRows; }
  __device__ static int own_column() { return threadIdx.x / kWarpgroup / kStacked * kOwnColumns; }
};

// Large: where there are enough of them (see plan_wgmma). Wide: where rows fill no more than half of the others.
template <class Number>
using LargeWgmmaTile = WgmmaTile<Number, 128, 256>;
template <class Number>
using SmallWgmmaTile = WgmmaTile<Number, 128, 128>;
template <class Number>
using WideWgmmaTile = WgmmaTile<Number, 64, 256>;

struct RingBarriers {
  uint64_t full[kWgmmaStages], empty[kWgmmaStages];
};

// One role's place in the ring.
template <class Tile>
struct WgmmaRing {
  unsigned char* stages;
  RingBarriers& barriers;
  int stage = 0;
  uint32_t parity = 0;  // of the phase that this turn fills and empties

  __device__ WgmmaRing(unsigned char* memory, RingBarriers& barriers)
      : stages(memory + (kSwizzlePattern - shared_address(memory) % kSwizzlePattern) % kSwizzlePattern),
        barriers(barriers) {}

  // By all threads of the block, once.
  __device__ void init() {
    if (threadIdx.x == 0) {
      for (int i = 0; i < kWgmmaStages; ++i) {
        mbarrier_init(&barriers.full[i], 1);
        mbarrier_init(&barriers.empty[i], kConsumers * kWarpgroup / kWarp);
      }
      fence_mbarrier_init();
    }
    __syncthreads();
  }

  __device__ unsigned char* panel_a() const { return stages + stage * Tile::kStageBytes; }
  __device__ unsigned char* panel_b() const { return panel_a() + Tile::kBytesA; }
  __device__ void next() {
    if (++stage == kWgmmaStages) stage = 0, parity ^= 1;
  }

  // Producer: the stage is free, and full[stage] knows what will come. In the first turn there is nothing to wait for:
  // the phase before the first counts as over.
  __device__ uint64_t* begin_filling() {
    mbarrier_wait_parity(&barriers.empty[stage], parity ^ 1);
    mbarrier_arrive_expect_tx(&barriers.full[stage], Tile::kStageBytes);
    return &barriers.full[stage];
  }
  // Consumers.
  __device__ void wait_full() { mbarrier_wait_parity(&barriers.full[stage], parity); }
  __device__ void give_back(int which) {
    if (threadIdx.x % kWarp == 0) mbarrier_arrive(&barriers.empty[which]);
  }
};

// sum += the products of `panels` panels, by one consumer.
template <class Tile>
__device__ __forceinline__ void wgmma_main_loop(WgmmaRing<Tile>& ring, int panels, float (&sum)[Tile::kSums]) {
  const uint64_t own_a = Tile::own_row() * (kSwizzledRow / 16), own_b = Tile::own_column() * (kSwizzledRow / 16);
  int before = 0;
  for (int panel = 0; panel < panels; ++panel) {
    ring.wait_full();
    const uint64_t a = matrix_descriptor(ring.panel_a()) + own_a, b = matrix_descriptor(ring.panel_b()) + own_b;
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < kWgmmaSteps; ++step)
      wgmma(typename Tile::Number{}, sum, a + step * kDescriptorStep, b + step * kDescriptorStep, true);
    wgmma_commit_group();
    wgmma_wait_group<1>();  // the panel before this one
    if (panel > 0) ring.give_back(before);
    before = ring.stage;
    ring.next();
  }
  wgmma_wait_group<0>();
  if (panels > 0) ring.give_back(before);
}

// Row and column of the tile where a thread's first sums stand; the others are 8 rows below and 8 columns on.
template <class Tile>
__device__ __forceinline__ int first_row_of_sums() {
  return Tile::own_row() + threadIdx.x % kWarpgroup / kWarp * 16 + threadIdx.x % kWarp / 4;
}
template <class Tile>
__device__ __forceinline__ int first_column_of_sums() {
  return Tile::own_column() + threadIdx.x % 4 * 2;
}

// `places` walks along the columns of this thread: here() says where two neighbours are, next() goes on to the next
// two, 8 columns further. store(row, here, first, second).
template <class Tile, class Places, class Store>
__device__ __forceinline__ void each_pair_of_sums(const float (&sum)[Tile::kSums], Places places, Store&& store) {
  const int row = first_row_of_sums<Tile>();
#pragma unroll
  for (int j = 0; j < Tile::kOwnColumns / 8; ++j, places.next()) {
    const auto at = places.here();
    store(row, at, sum[4 * j], sum[4 * j + 1]);
    store(row + 8, at, sum[4 * j + 2], sum[4 * j + 3]);
  }
}

// The same walk without the sums, and not unrolled: for what takes more code than 128 copies of it are worth.
template <class Tile, class Places, class Visit>
__device__ __forceinline__ void each_place_of_sums(Places places, Visit&& visit) {
  const int row = first_row_of_sums<Tile>();
#pragma unroll 1
  for (int j = 0; j < Tile::kOwnColumns / 8; ++j, places.next()) {
    const auto at = places.here();
#pragma unroll 1
    for (int i = 0; i < 2; ++i) visit(row + 8 * i, at);
  }
}

// A split of k shorter than so many panels costs more in its partial sums than it gains.
constexpr int64_t kShortestWgmmaSplit = 8;

enum class WgmmaForm { kSmall, kLarge, kWide };

struct WgmmaPlan : GemmPlan {
  WgmmaForm form;
};

template <class Tile>
int64_t tiles_of(int64_t m, int64_t n) {
  return ceil_div(m, Tile::BM) * ceil_div(n, Tile::BN);
}

// As plan_gemm, with k counted in panels. One block a multiprocessor: the ring takes most of its shared memory.
inline WgmmaPlan plan_wgmma(int64_t m, int64_t n, int64_t panels, int64_t batch) {
  using Large = LargeWgmmaTile<bfloat16>;
  using Small = SmallWgmmaTile<bfloat16>;
  using Wide = WideWgmmaTile<bfloat16>;
  const int64_t small = tiles_of<Small>(m, n) * batch, large = tiles_of<Large>(m, n) * batch;
  const int64_t wide = tiles_of<Wide>(m, n) * batch;
  WgmmaPlan plan;
  plan.form = WgmmaForm::kSmall;
  // The large tile reads a quarter less for each product, and may cover a quarter more than small ones would.
  if (large >= kBlocksToFill && 8 * large <= 5 * small) plan.form = WgmmaForm::kLarge;
  // The wide one covers as much as a small one and reads a quarter more: it has to spare that much.
  if (4 * wide <= 3 * min(small, 2 * large)) plan.form = WgmmaForm::kWide;
  const int64_t blocks = plan.form == WgmmaForm::kSmall ? small : plan.form == WgmmaForm::kLarge ? large : wide;
  plan.large = plan.form == WgmmaForm::kLarge;
  plan.tiles_m = static_cast<int>(ceil_div(m, plan.form == WgmmaForm::kWide ? Wide::BM : Small::BM));
  plan.tiles_n = static_cast<int>(ceil_div(n, plan.form == WgmmaForm::kSmall ? Small::BN : Large::BN));
  const int64_t parts = max(int64_t{1}, min(kBlocksToFill / blocks, panels / kShortestWgmmaSplit));
  plan.chunk = max(int64_t{1}, ceil_div(panels, parts));
  plan.splits = static_cast<int>(max(int64_t{1}, ceil_div(panels, plan.chunk)));
  plan.blocks = blocks * plan.splits;
  return plan;
}

template <class Number>
constexpr TensorMapType kMapType = TensorMapType::kFloat32;
template <>
constexpr TensorMapType kMapType<bfloat16> = TensorMapType::kBfloat16;
template <>
constexpr TensorMapType kMapType<float16> = TensorMapType::kFloat16;

// Calls run with the tile of a plan.
template <class Number, class Run>
void visit_wgmma_tile(WgmmaForm form, Run&& run) {
  if (form == WgmmaForm::kLarge) return run(LargeWgmmaTile<Number>{});
  if (form == WgmmaForm::kWide) return run(WideWgmmaTile<Number>{});
  run(SmallWgmmaTile<Number>{});
}

}  // namespace fastdl
