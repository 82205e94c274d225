// Products of matrices on the CPU: out[b] = activation(op(A[b]) op(B[b]) + bias).
//
// Three ways, chosen by the shape alone (so that results do not depend on the number of threads):
//   thin     few rows or few columns: bound by memory, cpu/thin_product-inl.h reads the big operand once, as it lies
//   packed   the rest: cpu/gemm-inl.h
//   batch    small matrices of a batch are divided among threads, each computed by one; large ones one after another,
//            each by all threads. A batch that shares B is one tall product.
//
// Bias and activation are applied to each tile when its last block of k has been added, while it is in L1.
#include "cpu/in_place_gemm-inl.h"
#include "cpu/math-inl.h"
#include "cpu/thin_product-inl.h"
#include "ops/matmul/matmul.h"

namespace fastdl::FASTDL_ISA {

// Thin: at most kThinRows of A or kFewColumns of B, and a k so long that summing up the lanes at its end does not
// matter, and lines that fit L2.
constexpr int64_t kThinRows = 64, kThinLength = 12, kThinBytes = 1 << 20;
constexpr int64_t kFewColumns = kVecBytes == 64 ? 8 : kVecBytes == 32 ? 16 : 64;  // more fill vectors of a tile
constexpr int64_t kCopyLines = 256;          // of the big operand, to pay for turning the small one
constexpr int64_t kBatchFlops = 16'000'000;  // matrices below it share threads by the batch

// ---- bias and activation ------------------------------------------------------------------------------------------

template <class T>
FASTDL_INLINE Vec<T> from_0_to_6(Vec<T> v) {
  v = max_nan<T>(v, Vec<T>{});
  return select<T>(v > T{6}, broadcast<T>(6), v);
}

template <class T, Activation A>
FASTDL_INLINE Vec<T> activate(Vec<T> v) {
  if constexpr (A == Activation::kRelu) return max_nan<T>(v, Vec<T>{});
  if constexpr (A == Activation::kRelu6) return from_0_to_6<T>(v);
  if constexpr (A == Activation::kSigmoid) return vsigmoid<T>(v);
  if constexpr (A == Activation::kTanh) return vtanh<T>(v);
  if constexpr (A == Activation::kSilu) return v * vsigmoid<T>(v);
  if constexpr (A == Activation::kHardsigmoid) return from_0_to_6<T>(v + T{3}) / T{6};
  if constexpr (A == Activation::kHardswish) return v * from_0_to_6<T>(v + T{3}) / T{6};
  return v;
}

template <class T, Activation A>
static void finish_rows(T* c, int64_t ldc, int64_t rows, int64_t columns, const T* bias) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < rows; ++i, c += ldc) {
    int64_t j = 0;
    for (; j + L <= columns; j += L) {
      const Vec<T> v = bias ? load<T>(c + j) + load<T>(bias + j) : load<T>(c + j);
      store<T>(c + j, activate<T, A>(v));
    }
    if (const int rest = static_cast<int>(columns - j); rest > 0) {
      Vec<T> v = load_n<T>(c + j, rest);
      if (bias) v += load_n<T>(bias + j, rest);
      store_n<T>(c + j, activate<T, A>(v), rest);
    }
  }
}

// Bias (may be null) and activation on a part of the output whose first column is `column`.
template <class T>
struct Epilogue {
  const T* bias;
  Activation activation;
};
template <class T>
static void apply(const Epilogue<T>& e, T* c, int64_t ldc, int64_t rows, int64_t column, int64_t columns) {
  const T* const bias = e.bias ? e.bias + column : nullptr;
  switch (e.activation) {
    case Activation::kNone:
      if (bias) finish_rows<T, Activation::kNone>(c, ldc, rows, columns, bias);
      return;
    case Activation::kRelu:
      return finish_rows<T, Activation::kRelu>(c, ldc, rows, columns, bias);
    case Activation::kRelu6:
      return finish_rows<T, Activation::kRelu6>(c, ldc, rows, columns, bias);
    case Activation::kSigmoid:
      return finish_rows<T, Activation::kSigmoid>(c, ldc, rows, columns, bias);
    case Activation::kTanh:
      return finish_rows<T, Activation::kTanh>(c, ldc, rows, columns, bias);
    case Activation::kSilu:
      return finish_rows<T, Activation::kSilu>(c, ldc, rows, columns, bias);
    case Activation::kHardsigmoid:
      return finish_rows<T, Activation::kHardsigmoid>(c, ldc, rows, columns, bias);
    case Activation::kHardswish:
      return finish_rows<T, Activation::kHardswish>(c, ldc, rows, columns, bias);
  }
}

// ---- one matrix ---------------------------------------------------------------------------------------------------

// dst[i][p] = element (line i, step p): the few lines of a thin operand, made contiguous.
template <class T>
static void copy_lines(T* dst, const Operand<T>& x, int64_t lines, int64_t k) {
  for (int64_t i = 0; i < lines; ++i)
    for (int64_t p = 0; p < k; ++p) dst[i * k + p] = *operand_at(x, i, p);
}

template <class T>
static bool is_thin(int64_t few, int64_t lines, int64_t k, int64_t most) {
  if (few > lines) return false;
  return few == 1 || (few <= most && k >= kThinLength * few &&
                      (few <= kThinVectors || few * k * static_cast<int64_t>(sizeof(T)) <= kThinBytes));
}

// The big operand w streams past the few lines of x. transposed: x is B, so that out(line of x, line of w) is C^T.
// False if the layout is one for which packing is better.
template <class T>
static bool thin_product(int64_t few, int64_t lines, int64_t k, const Operand<T>& x, const Operand<T>& w, T* c,
                         bool transposed, const Epilogue<T>& epilogue) {
  const int64_t ldc = transposed ? few : lines;
  const auto finish = [&](int64_t begin, int64_t end) {
    if (transposed)
      apply<T>(epilogue, c + begin * ldc, ldc, end - begin, 0, few);
    else
      apply<T>(epilogue, c + begin, ldc, few, begin, end - begin);
  };
  if (w.along_k) {
    const ThinOut<T> out = transposed ? ThinOut<T>{c, 1, ldc} : ThinOut<T>{c, ldc, 1};
    const bool contiguous = x.along_k || (few == 1 && x.ld == 1);
    if (!contiguous && few > 2 * kThinVectors && lines < kCopyLines) return false;
    Workspace<T> copy(contiguous ? 0 : few * k);
    if (!contiguous) copy_lines<T>(copy.get(), x, few, k);
    thin_dots<T>(few, lines, k, w.data, w.ld, contiguous ? x.data : copy.get(), x.along_k ? x.ld : k, out, finish);
    return true;
  }
  // Lines across k with several vectors: out would be read and written too often.
  if (few > 1) return false;
  thin_sums<T>(lines, k, w.data, w.ld, x.data, x.along_k ? 1 : x.ld, c, finish);
  return true;
}

template <class T>
static void multiply(const GemmPlan& plan, const Operand<T>& a, const Operand<T>& b, T* c, const Epilogue<T>& e) {
  const int64_t m = plan.m, n = plan.n, k = plan.k;
  if (k == 0) {  // an empty sum is zero
    __builtin_memset(c, 0, static_cast<size_t>(m * n) * sizeof(T));
    return apply<T>(e, c, n, m, 0, n);
  }
  if (is_thin<T>(m, n, k, kThinRows) && thin_product<T>(m, n, k, a, b, c, false, e)) return;
  if (is_thin<T>(n, m, k, kFewColumns) && thin_product<T>(n, m, k, b, a, c, true, e)) return;
  const auto finish = [&](T* tile, int64_t ldc, int64_t, int rows, int64_t column, int columns) {
    apply<T>(e, tile, ldc, rows, column, columns);
  };
  if (!plan.amx && n <= kNarrowColumns) return in_place_gemm<T>(m, n, k, a, b, c, n, finish);
  gemm<T>(plan, a, b, c, n, finish);
}

// ---- batches ------------------------------------------------------------------------------------------------------

// Offsets of matrix `index` of the batch.
struct BatchOffsets {
  int64_t a, b;
};
static BatchOffsets offsets(const MatmulArgs& args, int64_t index) {
  BatchOffsets o{0, 0};
  for (int i = args.batch.n - 1; i >= 0; --i) {
    const int64_t at = index % args.batch.d[i];
    index /= args.batch.d[i];
    o.a += at * args.stride_a.d[i], o.b += at * args.stride_b.d[i];
  }
  return o;
}

// One B for all, and the A's follow each other: the batch is more rows of one product.
static bool is_tall(const MatmulArgs& args) {
  int64_t next = args.m * args.k;
  for (int i = args.batch.n - 1; i >= 0; --i) {
    if (args.batch.d[i] == 1) continue;
    if (args.stride_b.d[i] != 0 || args.stride_a.d[i] != next) return false;
    next *= args.batch.d[i];
  }
  return !args.trans_a;
}

template <class T>
static void run(const MatmulArgs& args) {
  int64_t batch = 1, m = args.m;
  for (int i = 0; i < args.batch.n; ++i) batch *= args.batch.d[i];
  if (batch == 0 || m == 0 || args.n == 0) return;
  // The longer the side, the less of it is spent on edges and packing of B.
  if (batch > 1 && is_tall(args)) m *= batch, batch = 1;

  const int64_t n = args.n, k = args.k, lda = args.trans_a ? args.m : k, ldb = args.trans_b ? k : n;
  const int64_t flops = 2 * m * n * (k + 1);
  const bool by_batch = batch > 1 && flops < kBatchFlops;  // each matrix by one thread
  const GemmPlan plan = plan_gemm<T>(m, n, k, args.trans_b, ldb, by_batch ? 1 : get_num_threads());
  const Epilogue<T> epilogue{static_cast<const T*>(args.bias), args.activation};
  const auto one = [&](int64_t i) {
    const BatchOffsets at = offsets(args, batch > 1 ? i : 0);
    const Operand<T> a{static_cast<const T*>(args.a) + at.a, lda, !args.trans_a};
    const Operand<T> b{static_cast<const T*>(args.b) + at.b, ldb, args.trans_b};
    multiply<T>(plan, a, b, static_cast<T*>(args.out) + i * m * n, epilogue);
  };
  if (!by_batch) {
    for (int64_t i = 0; i < batch; ++i) one(i);
    return;
  }
  parallel_for(batch, ceil_div(kTaskFlops / 2, flops), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) one(i);
  });
}

void matmul(const MatmulArgs& args) {
  visit_float(args.dtype, [&](auto zero) { run<decltype(zero)>(args); });
}

}  // namespace fastdl::FASTDL_ISA
