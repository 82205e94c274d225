// C = op(A) op(B) on the tile unit (cpu/amx-inl.h). Threads share out C in a grid; each packs what its part reads,
// since what another core has packed comes from its caches more slowly. A block of A, rows x steps, stays in L2 while
// the slivers of B pass by.
#pragma once
#include "cpu/amx-inl.h"

namespace fastdl::FASTDL_ISA {

#if defined(FASTDL_ISA_amx)

template <class T>
constexpr bool kHasAmx = sizeof(T) == 4;

constexpr int64_t kAmxStepsOfBlock = 16;    // of k: 96 KB of a panel of 32 rows
constexpr int64_t kAmxPanels = 10;          // of A in L2, which has 2 MB wherever there are tiles
constexpr int64_t kAmxColumns = 2048;       // of packed B
constexpr double kAmxTaskCycles = 100'000;  // least work of a thread

// Cycles of a product: in each step 24 products of tiles for a block of C, and packing, most of which is waiting where
// operands come from beyond L2; and for each block and block of k, what storing its tiles holds up.
constexpr double kBlockCycles = 400, kPackCycles = 600, kFarPackCycles = 1500, kStoreCycles = 1600;
constexpr double kCallCycles = 2000, kVectorProducts = 29;
constexpr int64_t kNearNumbers = 1 << 18;  // of both operands: half of L2
FASTDL_INLINE double amx_cycles(int64_t m, int64_t n, int64_t k) {
  const double rows = static_cast<double>(ceil_div(m, kAmxSide / 2)) / 2,
               columns = static_cast<double>(ceil_div(n, kAmxSide / 2)) / 2;
  const double pack = (m + n) * k <= kNearNumbers ? kPackCycles : kFarPackCycles;
  const auto steps = static_cast<double>(amx_steps(k));
  const auto k_blocks = static_cast<double>(ceil_div(amx_steps(k), kAmxStepsOfBlock));
  return steps * (rows * columns * kBlockCycles + (rows + columns) * pack) + k_blocks * rows * columns * kStoreCycles;
}
FASTDL_INLINE bool amx_serves(int64_t m, int64_t n, int64_t k) {
  return amx_in_use() && amx_cycles(m, n, k) + kCallCycles <
                             static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) / kVectorProducts;
}

struct AmxGrid {
  int64_t rows, columns;  // parts
};
// The grid of at most `threads` parts of which the largest takes the least time.
static AmxGrid amx_grid(int64_t m, int64_t n, int64_t k, int64_t threads) {
  const auto most = static_cast<int64_t>(amx_cycles(m, n, k) / kAmxTaskCycles);
  threads = min64(threads, most < 1 ? 1 : most);
  AmxGrid best{1, 1};
  double least = amx_cycles(m, n, k);
  for (int64_t rows = 1; rows <= threads; ++rows) {
    const int64_t columns = threads / rows;
    const double cycles = amx_cycles(min64(m, ceil_div(ceil_div(m, kAmxSide), rows) * kAmxSide),
                                     min64(n, ceil_div(ceil_div(n, kAmxSide), columns) * kAmxSide), k);
    if (cycles < least) best = {rows, columns}, least = cycles;
  }
  return best;
}

// A block of C that is complete, and what follows on its rows after the last block of k.
template <class Finish>
struct AmxRows {
  AmxTarget target;
  int64_t row, column;
  const Finish* finish;  // or null
};
template <class Finish>
static void complete_row(const void* what, int64_t i) {
  const AmxRows<Finish>& b = *static_cast<const AmxRows<Finish>*>(what);
  store_row(b.target, i);
  if (b.finish)
    (*b.finish)(b.target.c + i * b.target.ldc, b.target.ldc, b.row + i, 1, b.column,
                static_cast<int>(b.target.columns));
}

// Rows [m0, m1) and columns [n0, n1) of C, by one thread.
template <class Finish>
static void amx_part(int64_t m0, int64_t m1, int64_t n0, int64_t n1, int64_t k, const Operand<float>& a,
                     const Operand<float>& b, float* c, int64_t ldc, const Finish& finish) {
  const Split k_blocks = split_evenly(amx_steps(k), kAmxStepsOfBlock);
  const Split m_blocks = split_evenly(ceil_div(m1 - m0, kAmxSide), kAmxPanels);
  const int64_t most = part_size(k_blocks, 0) * kAmxStep;  // numbers of a panel or sliver
  Scratch<Bf16> panels(part_size(m_blocks, 0) * most), slivers(ceil_div(min64(kAmxColumns, n1 - n0), kAmxSide) * most);
  alignas(64) float blocks[2][kAmxBlock];
  AmxRows<Finish> before;  // what `work` is about
  AmxBeside work{};
  int64_t turn = 0;
  tile_begin();
  for (int64_t from = n0; from < n1; from += kAmxColumns) {
    const int64_t to = min64(from + kAmxColumns, n1);
    for (int64_t kb = 0; kb < k_blocks.count; ++kb) {
      const int64_t steps = part_size(k_blocks, kb), size = steps * kAmxStep;
      const int64_t k0 = part_begin(k_blocks, kb) * kAmxSteps, kc = min64(steps * kAmxSteps, k - k0);
      amx_pack_b(slivers, size, b, from, to - from, k0, kc);
      for (int64_t mb = 0; mb < m_blocks.count; ++mb) {
        const int64_t row0 = m0 + part_begin(m_blocks, mb) * kAmxSide;
        const int64_t row1 = min64(row0 + part_size(m_blocks, mb) * kAmxSide, m1);
        for (int64_t i = row0; i < row1; i += kAmxSide)
          amx_pack_a(panels + (i - row0) / kAmxSide * size, a, i, min64(kAmxSide, row1 - i), k0, kc);
        Bf16* sliver = slivers;
        for (int64_t j = from; j < to; j += kAmxSide, sliver += size) {
          const int64_t columns = min64(kAmxSide, to - j);
          const Bf16* panel = panels;
          for (int64_t i = row0; i < row1; i += kAmxSide, panel += size) {
            const int64_t rows = min64(kAmxSide, row1 - i);
            float *const at = c + i * ldc + j, *const block = blocks[turn++ % 2];
            const AmxProduct product{steps, panel, sliver};
            amx_block_for(rows, columns)(product, {nullptr, 0, at, ldc}, work, block);
            finish_all(work);
            before = {{product, block, columns, at, ldc, k0 > 0}, i, j, k0 + kc == k ? &finish : nullptr};
            work = beside(complete_row<Finish>, &before, rows, steps);
          }
        }
        finish_all(work);  // before other numbers take the place of these
      }
    }
  }
  tile_end();
}

template <class Finish>
static void amx_gemm(int64_t m, int64_t n, int64_t k, int64_t threads, const Operand<float>& a, const Operand<float>& b,
                     float* c, int64_t ldc, const Finish& finish) {
  const AmxGrid grid = amx_grid(m, n, k, threads);
  const Split rows = split_evenly(ceil_div(m, kAmxSide), ceil_div(ceil_div(m, kAmxSide), grid.rows));
  const Split columns = split_evenly(ceil_div(n, kAmxSide), ceil_div(ceil_div(n, kAmxSide), grid.columns));
  parallel_for(rows.count * columns.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto bounds = [](const Split& s, int64_t part, int64_t total) {
        return min64((part_begin(s, part) + part_size(s, part)) * kAmxSide, total);
      };
      const int64_t r = i / columns.count, q = i % columns.count;
      amx_part(part_begin(rows, r) * kAmxSide, bounds(rows, r, m), part_begin(columns, q) * kAmxSide,
               bounds(columns, q, n), k, a, b, c, ldc, finish);
    }
  });
}

#else

template <class T>
constexpr bool kHasAmx = false;

FASTDL_INLINE bool amx_serves(int64_t, int64_t, int64_t) {
  return false;
}

#endif

}  // namespace fastdl::FASTDL_ISA
