// The matrix product C = op(A) op(B), and its pieces for other kernels (convolution packs its own B).
//
//             B block (kc x nc) in slivers of `width` columns         Loops, from the outside:
//             +-----+-----+-----+--                                     blocks of k (kc): C is added to once a block
//             |  k  |     |     |       sliver: [kc][width]             pack B (shared by all)
//             +-----+-----+-----+--                                     tasks (threads): pack rows of A
//   +---+     +-----+-----+-----+--                                       slivers of B: stays in L1/L2
//   |   |     |tile |     |     |       panel of A: [kc][rows]              panels of A: stream from L2
//   +---+     +-----+-----+-----+--                                           microkernel: tile in registers
//   |   |     |     |     |     |
//
// Packing makes both operands of the micro-kernel contiguous and takes transposition with it: an operand is read either
// along k (transposed in registers while it is packed) or across k (copied). B is used where it lies when that is
// cheaper. While a sliver is multiplied the next one, packed or not, is fetched into L2.
//
// Every element of C is the same sum in the same order whatever the blocks of rows and columns are: blocks of k depend
// on k alone. So the result has the same bits with any number of threads.
#pragma once
#include "cpu/amx_gemm-inl.h"

namespace fastdl::FASTDL_ISA {

// Block sizes in elements of float32 (float64: half of kc). A packed block of A, mc x kc, takes about half of L2, and
// tasks share packed blocks of at most `shared` rows or columns, which L3 holds. Long blocks of k are worth more than a
// sliver that fits L1: C is read and written once a block, and slivers stream from L2 fast enough.
struct GemmBlocks {
  int64_t kc, mc, shared;
};
#if defined(FASTDL_ISA_avx512)
constexpr GemmBlocks kGemmBlocks{1024, 126, 2048};  // L2 of 1 or 2 MB
#else
constexpr GemmBlocks kGemmBlocks{384, 144, 2048};  // L2 of 256 KB or more
#endif
constexpr int64_t kOwnPanels = 4;          // of A, not shared: packing them costs little beside their product
constexpr int64_t kTaskFlops = 4'000'000;  // least work of a task: some 40 microseconds
constexpr int64_t kOwnColumns = 128;       // that a thread has at least where it packs all rows for itself
// B is used where it lies by so many panels, unless its lines are a multiple of kSamePlace apart: those fall into the
// same sets of the caches. (Up to kFewPanels pass over them in turn, and only twice kSamePlace is too much.)
#if defined(FASTDL_ISA_avx512)
constexpr int64_t kDirectPanels = 40, kFewPanels = 6, kSmallPanels = INT64_MAX;
#else
constexpr int64_t kDirectPanels = 16, kFewPanels = 0, kSmallPanels = 16;  // half as many rows, half of the L1 cache
#endif
constexpr int64_t kSamePlace = 2048;
constexpr int64_t kSmallBytes = 512 << 10;  // or if it has at most this size, and lines of at most kSamePlace bytes,
                                            // by up to kSmallPanels

// ---- slivers and panels ---------------------------------------------------------------------------------------------

FASTDL_INLINE int sliver_width(int64_t columns, int width, int lanes) {
  return static_cast<int>(columns >= width ? width : ceil_div(columns, lanes) * lanes);
}

// Packs `columns` of B into slivers of `width` columns, the last one of whole vectors: sliver s begins at s * width *
// kc. Lines across k are read in runs as long as the columns go, since short pieces of far lines come slowly from
// memory.
template <class T>
static void pack_slivers(T* dst, int width, const T* src, int64_t ld, bool along_k, int64_t columns, int64_t kc) {
  constexpr int L = kLanes<T>;
  const int64_t whole = along_k ? 0 : columns / width * width;
  for (int64_t p = 0; whole > 0 && p < kc; ++p)
    for (int64_t j = 0; j < whole; j += width)
      for (int i = 0; i < width; i += L) store<T>(dst + j * kc + p * width + i, load<T>(src + p * ld + j + i));
  for (int64_t j = whole; j < columns; j += width) {
    const int some = static_cast<int>(min64(width, columns - j));
    pack<T>(dst + j * kc, sliver_width(some, width, L), src + j * (along_k ? ld : 1), ld, along_k, some, kc);
  }
}

// Packs panels [first, last) of A, one after the other: panel i begins (its first row - that of `first`) * kc after
// dst. a points at row 0 of op(A) and the first k of the block; along_k: A is stored m x k, else k x m.
template <class T>
static void pack_panels(T* dst, const Split& panels, int64_t first, int64_t last, const T* a, int64_t lda, bool along_k,
                        int64_t kc) {
  for (int64_t i = first; i < last; ++i) {
    const int64_t row = part_begin(panels, i);
    const int rows = static_cast<int>(part_size(panels, i));
    pack<T>(dst, rows, a + row * (along_k ? lda : 1), lda, along_k, rows, kc);
    dst += rows * kc;
  }
}

// ---- multiplication -----------------------------------------------------------------------------------------------

// Where a sliver lies that is wanted soon: line i of step p at data + p * step + i * line. Null: nowhere yet.
template <class T>
struct NextSliver {
  const T* data;
  int64_t step, line;
};

// Panels [first, last) of packed A (the first at a) times one sliver of B, into `columns` columns of C (row 0 at c).
// b: rows of ceil(columns / lanes) whole vectors. next: the sliver that comes after this one, of as many vectors.
// finish(c, row, rows) is called on each tile of C while it is in L1.
template <class T, class Finish>
static void multiply_sliver(const Split& panels, int64_t first, int64_t last, int64_t kc, const T* a, const T* b,
                            int64_t ldb, const NextSliver<T>& next, int columns, T* c, int64_t ldc, bool accumulate,
                            const Finish& finish) {
  constexpr int L = kLanes<T>;
  const int vecs = (columns + L - 1) / L;
  const Microkernel<T> kernel[2] = {microkernel_for<T>(static_cast<int>(panels.base), vecs),
                                    microkernel_for<T>(static_cast<int>(panels.base + (panels.longer > 0)), vecs)};
  // A call fetches a line a step: those of the last panels have the next sliver in L2 when its turn comes.
  const int64_t fetch_from = next.data ? last - ceil_div(vecs * L, kLine<T>) : last;
  // Panels have two sizes at most. Columns that do not fill a vector are computed in a tile apart.
  // In L1; the micro-kernel keeps its whole vectors, and nothing beyond C's last column is read or written.
  alignas(64) T edge[kTallTile.rows * kTallTile.vecs * L];
  for (int64_t i = first; i < last; ++i) {
    const int64_t row = part_begin(panels, i);
    const int rows = static_cast<int>(part_size(panels, i));
    const auto run = kernel[i < panels.longer].run;
    T* const tile = c + row * ldc;
    const bool fetch = i >= fetch_from;
    const T* const ahead = fetch ? next.data + (i - fetch_from) * next.line : a + rows * kc;
    const int64_t step = fetch ? next.step : kLine<T>;
    if (columns == vecs * L) {
      run(kc, a, b, ldb, tile, ldc, accumulate, ahead, step);
    } else {
      const int width = vecs * L;
      run(kc, a, b, ldb, edge, width, false, ahead, step);
      for (int r = 0; r < rows; ++r) {
        for (int j = 0; j < columns; j += L) {
          const int n = columns - j < L ? columns - j : L;
          Vec<T> v = load<T>(edge + r * width + j);
          if (accumulate) v += load_n<T>(tile + r * ldc + j, n);
          store_n<T>(tile + r * ldc + j, v, n);
        }
      }
    }
    finish(tile, row, rows);
    a += rows * kc;
  }
}

// ---- the whole product --------------------------------------------------------------------------------------------

// How a shape is computed; made once for a batch of equal shapes.
struct GemmPlan {
  int64_t m, n, k, threads;
  Split panels;  // of the rows, when one task does it all
  bool one_task;
  int tile_rows, width;     // of the register tile
  int64_t kc;               // the longest block of k
  int64_t task_panels;      // tasks: so many panels of A
  int64_t task_columns;     // times so many columns (whole slivers)
  bool shared_a, shared_b;  // packed once for all tasks, or by each task for itself
  bool direct_b;            // B is not packed (but for columns that do not fill a vector)
  bool amx;                 // on the tile unit (cpu/amx_gemm-inl.h), which makes plans of its own
  int64_t own_columns;      // that a thread computes by itself, packing all that it reads; n: threads work together
};

template <class T>
static GemmPlan plan_gemm(int64_t m, int64_t n, int64_t k, bool b_along_k, int64_t ldb,
                          int64_t threads = get_num_threads()) {
  constexpr int64_t kBytes = sizeof(T);
  GemmPlan p{};
  p.m = m, p.n = n, p.k = k, p.threads = threads;
  p.amx = sizeof(T) == 4 && amx_serves(m, n, k);
  p.tile_rows = kTallTile.rows, p.width = kTallTile.vecs * kLanes<T>;
  p.panels = split_evenly(m, p.tile_rows);
  // Equal blocks of k: 1025 steps are 513 + 512 and not 1024 + 1, for which all of C would be read and written again.
  const Split k_blocks = split_evenly(k, kGemmBlocks.kc * 4 / kBytes);
  p.kc = k > 0 ? part_size(k_blocks, 0) : 1;

  const int64_t panels = ceil_div(m, p.tile_rows), slivers = ceil_div(n, p.width);
  const bool small_b =
      !b_along_k && panels <= kSmallPanels && p.kc * n * kBytes <= kSmallBytes && ldb * kBytes <= kSamePlace;
  // One panel reads B once; a few more do not pay for a copy, if lines fall into different sets of the caches.
  const int64_t same_place = panels <= kFewPanels ? 2 * kSamePlace : kSamePlace;
  const bool few = panels == 1 || (panels <= kDirectPanels && ldb * kBytes % same_place != 0);
  p.direct_b = small_b || (!b_along_k && few);
  // A task has a block of A that fits L2 and, where there are rows enough for all threads, all columns: it packs its
  // rows itself, so that no packed copy goes by way of L3. Sums do not depend on tasks, so tasks may depend on threads.
  const int64_t rows = kGemmBlocks.mc * min64(kGemmBlocks.kc * 4, kBytes * p.kc * 4) / (kBytes * p.kc);
  const int64_t fit = min64(panels, rows / p.tile_rows);
  const int64_t blocks = ceil_div(ceil_div(panels, fit), threads) * threads;
  const int64_t least = ceil_div(kTaskFlops, 2 * p.tile_rows * n * p.kc);  // panels that are worth a task
  int64_t task_slivers = slivers;
  if (small_b) {  // B lies in every thread's L2
    p.task_panels = least;
  } else if (threads == 1 || panels >= kOwnPanels * blocks) {
    p.task_panels = ceil_div(panels, blocks);
  } else {
    p.task_panels = fit;
    const int64_t worth = ceil_div(kTaskFlops, 2 * fit * p.tile_rows * p.width * p.kc), some = slivers / (8 * threads);
    task_slivers = min64(slivers, worth > some ? worth : some);
  }
  if (task_slivers == slivers && p.task_panels < least) p.task_panels = least;
  p.task_panels = min64(panels, p.task_panels);
  p.task_columns = task_slivers * p.width;
  // Shared where more than one task reads it: a task that is alone with an operand packs it while its caches are warm.
  p.shared_a = task_slivers < slivers;
  p.shared_b = p.task_panels < panels && !p.direct_b;
  p.one_task = p.kc >= k && p.task_panels == panels && task_slivers == slivers;
  // What another thread has packed comes from its caches, which takes longer than packing: on a Xeon it cost 12 % of a
  // product of 512 with two threads. So threads share B only where A, which each would pack, is the larger part.
  const int64_t own = ceil_div(slivers, threads) * p.width;
  const bool alone = threads > 1 && p.shared_b && m <= 2 * n && own >= kOwnColumns && 2 * m * own * k >= kTaskFlops;
  p.own_columns = alone ? own : n;
  return p;
}

// A block of C: rows of `panels` from m0, `n` columns from n0, one block of k. Blocks of A and B in tasks over threads.
template <class T>
struct GemmBlock {
  int64_t m0, n0, n, k0, kc;
  Split panels;
  T *packed_a, *packed_b;  // null where tasks pack for themselves
};

template <class T, class Finish>
static void gemm_task(const GemmPlan& plan, const GemmBlock<T>& block, const Operand<T>& a, const Operand<T>& b,
                      int64_t first, int64_t last, int64_t begin, int64_t end, T* c, int64_t ldc,
                      const Finish& finish) {
  const int64_t kc = block.kc, rows0 = part_begin(block.panels, first), rows = part_begin(block.panels, last) - rows0;
  Workspace<T> own_a(block.packed_a ? 0 : rows * kc), own_b(block.packed_b ? 0 : plan.width * kc);
  const T* packed_a = block.packed_a ? block.packed_a + rows0 * kc : own_a.get();
  if (!block.packed_a)
    pack_panels<T>(own_a.get(), block.panels, first, last, operand_at(a, block.m0, block.k0), a.ld, a.along_k, kc);
  for (int64_t j = begin; j < end; j += plan.width) {
    const int columns = static_cast<int>(min64(plan.width, end - j));
    const int whole = sliver_width(columns, plan.width, kLanes<T>);
    const T* sliver = operand_at(b, block.n0 + j, block.k0);
    NextSliver<T> next{};
    int64_t ldb = b.ld;
    if (block.packed_b) {
      sliver = block.packed_b + j * kc, ldb = whole;
      next = {sliver + whole * kc, kLine<T>, kLine<T> * kc};
    } else {
      if (!b.along_k && j + plan.width < end) next = {sliver + plan.width + kLine<T> - 1, b.ld, kLine<T>};
      if (!plan.direct_b || whole != columns) {
        pack_slivers<T>(own_b.get(), plan.width, sliver, b.ld, b.along_k, columns, kc);
        sliver = own_b.get(), ldb = whole;
      }
    }
    multiply_sliver<T>(block.panels, first, last, kc, packed_a, sliver, ldb, next, columns,
                       c + block.m0 * ldc + block.n0 + j, ldc, block.k0 > 0, [&](T* tile, int64_t row, int tile_rows) {
                         // Bias and activation once, after the last block of k.
                         if (block.k0 + kc == plan.k)
                           finish(tile, ldc, block.m0 + row, tile_rows, block.n0 + j, columns);
                       });
  }
}

// plan.n columns of C from `begin` on, by all threads together.
template <class T, class Finish>
static void gemm_columns(const GemmPlan& plan, int64_t begin, const Operand<T>& a, const Operand<T>& b, T* c,
                         int64_t ldc, const Finish& finish) {
  if (plan.one_task) {  // a small product should not pay for the loops below
    const GemmBlock<T> all{0, begin, plan.n, 0, plan.k, plan.panels, nullptr, nullptr};
    return gemm_task<T>(plan, all, a, b, 0, plan.panels.count, 0, plan.n, c, ldc, finish);
  }
  // Only what is packed for all tasks must be kept small; otherwise one block gives the threads the most tasks.
  const int64_t m_block = plan.shared_a ? min64(plan.m, kGemmBlocks.shared) : plan.m;
  const int64_t n_block = plan.shared_b ? min64(plan.n, kGemmBlocks.shared) : plan.n;
  const Split k_blocks = split_evenly(plan.k, plan.kc), m_blocks = split_evenly(plan.m, m_block);
  Workspace<T> space_a(plan.shared_a ? m_block * plan.kc : 0);
  Workspace<T> space_b(plan.shared_b ? (n_block + plan.width) * plan.kc : 0);

  GemmBlock<T> block{};
  if (plan.shared_a) block.packed_a = space_a.get();
  if (plan.shared_b) block.packed_b = space_b.get();
  for (int64_t from = 0; from < plan.n; from += n_block) {
    block.n0 = begin + from, block.n = min64(n_block, plan.n - from);
    for (int64_t kb = 0; kb < k_blocks.count; ++kb) {
      block.k0 = part_begin(k_blocks, kb), block.kc = part_size(k_blocks, kb);
      if (plan.shared_b) {
        parallel_for(ceil_div(block.n, plan.width), ceil_div(kPackGrain, plan.width * block.kc),
                     [&](int64_t first, int64_t last) {
                       const int64_t j = first * plan.width, columns = min64(last * plan.width, block.n) - j;
                       pack_slivers<T>(block.packed_b + j * block.kc, plan.width, operand_at(b, block.n0 + j, block.k0),
                                       b.ld, b.along_k, columns, block.kc);
                     });
      }
      for (int64_t mb = 0; mb < m_blocks.count; ++mb) {
        block.m0 = part_begin(m_blocks, mb);
        block.panels = split_evenly(part_size(m_blocks, mb), plan.tile_rows);
        if (plan.shared_a) {
          parallel_for(block.panels.count, ceil_div(kPackGrain, plan.tile_rows * block.kc),
                       [&](int64_t first, int64_t last) {
                         pack_panels<T>(block.packed_a + part_begin(block.panels, first) * block.kc, block.panels,
                                        first, last, operand_at(a, block.m0, block.k0), a.ld, a.along_k, block.kc);
                       });
        }
        const Split rows = split_evenly(block.panels.count, plan.task_panels);
        // Each task is a chunk: kTaskFlops has made it long enough for one, and short enough to balance the threads.
        const int64_t columns = ceil_div(block.n, plan.task_columns);
        parallel_for(rows.count * columns, 1, [&](int64_t first, int64_t last) {
          for (int64_t task = first; task < last; ++task) {
            const int64_t r = task / columns, begin = task % columns * plan.task_columns;
            gemm_task<T>(plan, block, a, b, part_begin(rows, r), part_begin(rows, r) + part_size(rows, r), begin,
                         min64(begin + plan.task_columns, block.n), c, ldc, finish);
          }
        });
      }
    }
  }
}

// C = op(A) op(B), m, n, k >= 1; finish(tile, ldc, row, rows, column, columns) on every tile when it is complete.
template <class T, class Finish>
static void gemm(const GemmPlan& plan, const Operand<T>& a, const Operand<T>& b, T* c, int64_t ldc,
                 const Finish& finish) {
  if constexpr (kHasAmx<T>) {
    if (plan.amx) return amx_gemm(plan.m, plan.n, plan.k, plan.threads, a, b, c, ldc, finish);
  }
  if (plan.own_columns >= plan.n) return gemm_columns<T>(plan, 0, a, b, c, ldc, finish);
  parallel_for(plan.n, plan.own_columns, [&](int64_t begin, int64_t end) {
    gemm_columns<T>(plan_gemm<T>(plan.m, end - begin, plan.k, b.along_k, b.ld, 1), begin, a, b, c, ldc, finish);
  });
}

}  // namespace fastdl::FASTDL_ISA
