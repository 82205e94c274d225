// Products of matrices: out[b] = activation(op(A[b]) op(B[b]) + bias).
//
// Layout: row-major operands, each as it is or transposed; the loaders of cuda/gemm.cuh bring either into the same
// panels, so that there is one main loop and no copy of an operand. Who owns what: a block owns a tile of one matrix of
// the batch, or its share of k where there are too few tiles to fill the device; the shares then go to scratch memory
// and a second kernel adds them in order. With one row or one column there is nothing to reuse, and the limit is
// reading the matrix once: a warp (or block) a row when rows are contiguous along k, a thread a column otherwise.
#include "cuda/gemm.cuh"
#include "cuda/reduce.cuh"
#include "ops/matmul/batch.cuh"
#include "ops/matmul/epilogue.cuh"
#include "ops/matmul/matmul.h"
#include "ops/matmul/mma_product.h"

namespace fastdl {
namespace {

template <class T>
struct Product {
  const T *a, *b;
  T* out;  // (splits, batch, m, n): the result when there is one split, partial sums otherwise
  int64_t m, n, k, lda, ldb;
  Batch batch;
  int64_t matrices;
  GemmPlan plan;
  Epilogue<T> epilogue;
};

// ---- tiles ----------------------------------------------------------------------------------------------------------

// What a block works on. It stands in shared memory because registers are short while the main loop runs.
template <class T>
struct Work {
  const T *a, *b;
  T* out;
  int64_t col;
  int rows, cols, steps;
};

template <class Tile, bool kTransA, bool kTransB, class T>
__device__ void find_work(const Product<T>& p, Work<T>& work) {
  const TileIndex at = tile_of_block(p.plan);
  const BatchOffsets matrix = p.batch[at.batch];
  const int64_t row = int64_t{at.m} * Tile::BM, col = int64_t{at.n} * Tile::BN, first = at.split * p.plan.chunk;
  // Places in the arrays take 64 bits, counts within the block 32: the main loop compares in one register.
  work.a = p.a + matrix.a + (kTransA ? first * p.lda + row : row * p.lda + first);
  work.b = p.b + matrix.b + (kTransB ? col * p.ldb + first : first * p.ldb + col);
  work.out = p.out + ((at.split * p.matrices + at.batch) * p.m + row) * p.n + col;
  work.col = col;
  work.rows = static_cast<int>(min(p.m - row, int64_t{Tile::BM}));
  work.cols = static_cast<int>(min(p.n - col, int64_t{Tile::BN}));
  work.steps = static_cast<int>(min(p.k - first, p.plan.chunk));
}

// Two or three blocks a multiprocessor are asked for, so the compiler keeps to 128 or 80 registers a thread. An
// instance for each pair of orders: which way an operand lies would be a test in the main loop otherwise.
template <class Tile, bool kTransA, bool kTransB>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) matmul_tiles(Product<typename Tile::T> p) {
  using T = typename Tile::T;
  FASTDL_SHARED(T, panels_a, [2][Tile::BK][Tile::BM + kPanelPad]);
  FASTDL_SHARED(T, panels_b, [2][Tile::BK][Tile::BN + kPanelPad]);
  FASTDL_SHARED(Work<T>, work, [1]);
  if (threadIdx.x == 0) find_work<Tile, kTransA, kTransB>(p, work[0]);
  __syncthreads();

  Accumulators<Tile> results;
  {
    // A scope of their own: the loaders' registers are free again when the results are stored.
    const Work<T>& w = work[0];
    MatrixLoader<Tile, Tile::BM, !kTransA> load_a(w.a, p.lda, w.rows, w.steps);
    MatrixLoader<Tile, Tile::BN, kTransB> load_b(w.b, p.ldb, w.cols, w.steps);
    gemm_main_loop<Tile>(load_a, load_b, w.steps, panels_a, panels_b, results);
  }
  __syncthreads();  // reads what the block works on again, instead of having kept it
  const Work<T> w = work[0];
  // Tiles start at multiples of V columns, so what holds for the first row and the pitch holds for all.
  const bool vector = vectors_at(w.out, p.n);
  results.each_vector([](int c) { return c; },
                      [&](int r, int c, Pack<T, Tile::V>& v) {
                        // What lies beyond the edges was computed from zeros, without a branch until here.
                        if (r >= w.rows || c >= w.cols) return;
#pragma unroll
                        for (int j = 0; j < Tile::V; ++j)
                          if (c + j < w.cols) v[j] = p.epilogue(v[j], w.col + c + j);
                        store_results(w.out + r * p.n + c, v, w.cols - c, vector);
                      });
}

template <class Tile, class T>
void launch_tiles(const Product<T>& p, bool trans_a, bool trans_b, Stream stream) {
  const auto kernel = trans_a ? (trans_b ? matmul_tiles<Tile, true, true> : matmul_tiles<Tile, true, false>)
                              : (trans_b ? matmul_tiles<Tile, false, true> : matmul_tiles<Tile, false, false>);
  // Panels and work are static shared memory below 48 KB, which every device grants unasked.
  launch(kernel, grid_of(p.plan), Tile::kThreads, 0, stream, p);
}

template <class T>
void multiply(Product<T> p, bool trans_a, bool trans_b, Stream stream) {
  p.plan = plan_gemm<T>(p.m, p.n, p.k, p.matrices);
  with_partial_sums(p, p.plan.splits, p.matrices * p.m * p.n, stream, [&](const Product<T>& part) {
    if (p.plan.large)
      launch_tiles<typename GemmTiles<T>::Large>(part, trans_a, trans_b, stream);
    else
      launch_tiles<typename GemmTiles<T>::Small>(part, trans_a, trans_b, stream);
  });
}

// ---- matrix times vector --------------------------------------------------------------------------------------------

// out (matrices, rows) = matrix (rows x k) vector. `matrix` is op(A) and `vector` B when n is 1, and the other way
// round, transposed, when m is 1; swapped says which, for the batch strides.
template <class T>
struct VectorProduct {
  const T *matrix, *vector;
  T* out;  // (splits, matrices, rows)
  int64_t rows, k, ld, matrices, chunk;
  bool swapped;
  Batch batch;
  Epilogue<T> epilogue;
};

// Rows contiguous along k: kLanes threads walk a row in packs of N.
// Lane sums run over every kLanes-th pack and meet in a tree: an order that follows from the shape alone. The vector is
// read again for each row, from the caches; the matrix comes from memory.
template <class T, int kLanes, int N>
__global__ void __launch_bounds__(kBlock) matvec_along_k(VectorProduct<T> p) {
  const int64_t i = global_thread() / kLanes;
  if (i >= p.matrices * p.rows) return;  // all lanes of a row alike
  const int64_t index = i / p.rows, row = i % p.rows;
  const BatchOffsets at = p.batch[index];
  const T* matrix = p.matrix + (p.swapped ? at.b : at.a) + row * p.ld;
  const T* vector = p.vector + (p.swapped ? at.a : at.b);
  T sum = 0;
  for (int64_t k = threadIdx.x % kLanes * N; k < p.k; k += kLanes * N) {
    const auto a = load_pack<N>(matrix + k), b = load_pack<N>(vector + k);
#pragma unroll
    for (int j = 0; j < N; ++j) sum += a[j] * b[j];
  }
  // A row's lanes are one whole warp or the whole block, so nobody waits for a thread that has returned.
  sum = kLanes == kWarp ? warp_sum(sum) : block_sum(sum);
  if (threadIdx.x % kLanes == 0) p.out[i] = p.epilogue.at(sum, i);
}

// k steps contiguous along the rows: a warp reads 32 neighbours of one step, the warps of a block share the steps.
// A block has 8 warps x 4 unrolled steps of 128 bytes under way; a single warp would wait for each.
constexpr int kVectorWarps = 8;

template <class T>
__global__ void __launch_bounds__(kWarp* kVectorWarps) matvec_across_k(VectorProduct<T> p) {
  FASTDL_SHARED(T, partial, [kVectorWarps][kWarp]);
  const int64_t tiles = ceil_div(p.rows, kWarp), block = blockIdx.x;
  const int64_t index = block / tiles % p.matrices, split = block / tiles / p.matrices;
  const int64_t row = block % tiles * kWarp + threadIdx.x;
  const BatchOffsets at = p.batch[index];
  const T* matrix = p.matrix + (p.swapped ? at.b : at.a) + row;
  const T* vector = p.vector + (p.swapped ? at.a : at.b);
  // May lie before the beginning: a split without steps writes a sum of 0.
  const int64_t end = min(p.k, (split + 1) * p.chunk);
  T sum = 0;
  if (row < p.rows) {
#pragma unroll 4
    for (int64_t k = split * p.chunk + threadIdx.y; k < end; k += kVectorWarps) sum += matrix[k * p.ld] * vector[k];
  }
  // Each warp stores 32 neighbours, and the first warp adds them in the order of the warps: no conflicts.
  partial[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || row >= p.rows) return;
#pragma unroll
  for (int y = 1; y < kVectorWarps; ++y) sum += partial[y][threadIdx.x];
  const int64_t i = index * p.rows + row;
  p.out[split * p.matrices * p.rows + i] = p.epilogue.at(sum, i);
}

// A warp for each of 1024 rows is 128 blocks, about one a multiprocessor: with fewer, most of the device would wait for
// a few long rows.
// Above this many steps of k, and below this many rows, a row has a block instead of a warp.
constexpr int64_t kLongRow = 4096, kFewRows = 1024;

// Every row of every matrix has to start on 16 bytes, and k to end on them: the kernel has no tail.
template <class T>
bool packs_along_k(const VectorProduct<T>& p) {
  bool packs = vectors_at(p.matrix, p.ld) && vectors_at(p.vector, 0) && p.k % kPack<T> == 0;
  for (int axis = 0; axis < p.batch.shape.n; ++axis)
    packs = packs && p.batch.stride_a.d[axis] % kPack<T> == 0 && p.batch.stride_b.d[axis] % kPack<T> == 0;
  return packs;
}

template <class T>
void multiply_vector(VectorProduct<T> p, bool along_k, Stream stream) {
  const int64_t results = p.matrices * p.rows;
  if (along_k) {
    const bool packs = packs_along_k(p), block_a_row = p.k >= kLongRow && results < kFewRows;
    const auto kernel = block_a_row ? (packs ? matvec_along_k<T, kBlock, kPack<T>> : matvec_along_k<T, kBlock, 1>)
                                    : (packs ? matvec_along_k<T, kWarp, kPack<T>> : matvec_along_k<T, kWarp, 1>);
    return launch(kernel, checked_grid(ceil_div(results, block_a_row ? 1 : kBlock / kWarp)), kBlock, 0, stream, p);
  }
  // k is split across blocks here only: along k a whole block can walk a row.
  const int64_t blocks = p.matrices * ceil_div(p.rows, kWarp);
  const int64_t splits = splits_of_k(blocks, p.k);
  p.chunk = ceil_div(p.k, splits);
  with_partial_sums(p, splits, results, stream, [&](const VectorProduct<T>& part) {
    launch(matvec_across_k<T>, checked_grid(blocks * splits), dim3(kWarp, kVectorWarps), 0, stream, part);
  });
}

// ---- launcher -------------------------------------------------------------------------------------------------------

// A batch of A, one B: the rows of all matrices are rows of one product.
MatmulArgs fold_batch_into_rows(MatmulArgs p) {
  if (p.trans_a) return p;
  int64_t below = p.m * p.k;
  for (int axis = p.batch.n - 1; axis >= 0; --axis) {
    if (p.batch.d[axis] != 1 && (p.stride_b.d[axis] != 0 || p.stride_a.d[axis] != below)) return p;
    below *= p.batch.d[axis];
  }
  p.m *= p.batch.product();
  p.batch = p.stride_a = p.stride_b = Dims();
  return p;
}

// Matrices of float32 on tensor cores: operands written along k first, either way up.
void multiply_in(ProductPrecision precision, const MatmulArgs& p, const Epilogue<float>& epilogue, Stream stream) {
  const int64_t chunks = chunks_of(p.k, precision);
  // An axis that broadcasts has no matrices of its own: stride 0, and one matrix serves all.
  Batch batch = {p.batch, p.stride_a, p.stride_b};
  int64_t matrices_a = 1, matrices_b = 1;
  for (int axis = 0; axis < p.batch.n; ++axis) {
    if (p.stride_a.d[axis]) matrices_a *= p.batch.d[axis];
    if (p.stride_b.d[axis]) matrices_b *= p.batch.d[axis];
    batch.stride_a.d[axis] = p.stride_a.d[axis] / (p.m * p.k) * p.m * chunks;
    batch.stride_b.d[axis] = p.stride_b.d[axis] / (p.n * p.k) * p.n * chunks;
  }
  const DeviceScratch<uint4> a(matrices_a * p.m * chunks), b(matrices_b * p.n * chunks);
  const auto prepare = [&](const void* from, int64_t rows, bool along_k, int64_t matrices, uint4* to) {
    const int64_t row_stride = along_k ? p.k : 1, step_stride = along_k ? 1 : rows;
    prepare_operand({static_cast<const float*>(from), row_stride, step_stride, rows * p.k, 0, to, chunks, rows * chunks,
                     0, matrices, 1, rows, p.k},
                    precision, stream);
  };
  prepare(p.a, p.m, !p.trans_a, matrices_a, a);
  prepare(p.b, p.n, p.trans_b, matrices_b, b);

  MmaProduct product = {};
  product.a = a, product.b = b, product.out = static_cast<float*>(p.out), product.epilogue = epilogue;
  product.rows = p.m, product.images = p.n;
  product.channels = static_cast<int>(chunks);
  product.a_row = product.b_image = chunks;
  product.y[0] = product.x[0] = {1, 1, 1, 0, 1, 0, 0, 0, 0, 1};
  product.phases_y = product.phases_x = 1;
  product.batch = batch, product.matrices = p.batch.product(), product.out_matrix = p.m * p.n;
  product.out_image = 1, product.out_plane = p.n, product.out_size = product.matrices * p.m * p.n;
  multiply_on_tensor_cores(product, precision, stream);
}

template <class T>
void run(const MatmulArgs& args, Stream stream) {
  const MatmulArgs p = fold_batch_into_rows(args);
  const T *a = static_cast<const T*>(p.a), *b = static_cast<const T*>(p.b);
  const Batch batch = {p.batch, p.stride_a, p.stride_b};
  const int64_t matrices = p.batch.product(), lda = p.trans_a ? p.m : p.k, ldb = p.trans_b ? p.k : p.n;
  if (matrices * p.m * p.n == 0) return;
  T* out = static_cast<T*>(p.out);
  const Epilogue<T> epilogue = {static_cast<const T*>(p.bias), p.activation, divide_by(1), divide_by(p.n)};
  if constexpr (sizeof(T) == sizeof(float))
    if (on_tensor_cores(p.m, p.n, p.k)) return multiply_in(product_precision(), p, epilogue, stream);
  // One column, or one row (the same product transposed): tiles would multiply 63 columns of zeros for it.
  if (p.n == 1) {
    multiply_vector<T>({a, b, out, p.m, p.k, lda, matrices, 0, false, batch, epilogue}, !p.trans_a, stream);
  } else if (p.m == 1) {
    multiply_vector<T>({b, a, out, p.n, p.k, ldb, matrices, 0, true, batch, epilogue}, p.trans_b, stream);
  } else {
    multiply<T>({a, b, out, p.m, p.n, p.k, lda, ldb, batch, matrices, {}, epilogue}, p.trans_a, p.trans_b, stream);
  }
}

}  // namespace

void matmul(const MatmulArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { run<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
