// Cross-entropy of logits (batch, classes, inner) against class indices (batch, inner), and its gradient.
//
// Who owns what. inner = 1: a row's logits are contiguous; a warp owns a row, or a block where rows are long. inner >
// 1: a thread owns a row, its neighbours the next positions, so that each class is a coalesced read. The loss of each
// row goes to memory; sums over rows are made in two steps of fixed shape, so the mean is the same in every run.
// Backward is elementwise in the logits: what it needs of the row is the kept logarithm of the sum.
// The limit of both is reading the logits once (twice with label smoothing, the second time from a cache).
#include "cuda/first_failure.cuh"
#include "cuda/logsumexp.cuh"
#include "ops/cross_entropy/cross_entropy.h"

namespace fastdl {
namespace {

// ---- helpers --------------------------------------------------------------------------------------------------------

struct BadTarget {
  const int64_t* target;
  int64_t ignore_index, classes;

  __device__ bool operator()(int64_t row) const {
    const int64_t t = target[row];
    return t != ignore_index && (t < 0 || t >= classes);
  }
};

// What the rows share. A row's target is looked at through `counts` only, which no weight or logit is read without.
template <class T>
struct Rows {
  const T* x;
  const int64_t* target;
  const T* weight;  // or null
  int64_t rows, classes, ignore_index;
  Divider inner;
  T smoothing;

  __device__ bool counts(int64_t t) const { return t != ignore_index && t >= 0 && t < classes; }
  __device__ T weight_of(int64_t c) const { return weight ? weight[c] : T(1); }
  // The first logit of a row; the next class is inner.divisor further.
  __device__ const T* logits(int64_t row) const {
    const int64_t sample = inner.divide(row);
    return x + sample * classes * inner.divisor + row - sample * inner.divisor;
  }
};

template <class T, class Args>
Rows<T> rows_of(const Args& p) {
  return {static_cast<const T*>(p.x),
          p.target,
          static_cast<const T*>(p.weight),
          p.g.batch * p.g.inner,
          p.g.classes,
          p.ignore_index,
          divide_by(p.g.inner),
          static_cast<T>(p.label_smoothing)};
}

// Over the kLanes threads of a row: one, a warp or a block.
template <int kLanes, class V, class Op>
__device__ __forceinline__ V reduce_row(V v, Op op, V identity) {
  if constexpr (kLanes == 1) return v;
  if constexpr (kLanes == kWarp) return warp_reduce(v, op);
  if constexpr (kLanes == kBlock) return block_reduce(v, op, identity);
}

// ---- forward: a loss a row ------------------------------------------------------------------------------------------

template <class T, int kLanes>
__global__ void __launch_bounds__(kBlock) row_losses(Rows<T> p, T* loss, T* lse) {
  const int64_t row = global_thread() / kLanes;
  if (row >= p.rows) return;  // all threads of a row alike
  const int lane = threadIdx.x % kLanes;
  const T* x = p.logits(row);
  const int64_t stride = p.inner.divisor;

  LogSum<T> own = LogSum<T>::empty();
  // One walk: the maximum is rescaled away when it rises, instead of being looked for first.
  for (int64_t c = lane; c < p.classes; c += kLanes) own.add(x[c * stride]);
  const T log_sum = reduce_row<kLanes>(own, MergeLogSums{}, LogSum<T>::empty()).value();

  const int64_t target = p.target[row];
  // One target for all lanes of a row, so they take the branches below, and the barriers in them, together.
  const bool counts = p.counts(target);
  T smooth = 0;
  if (p.smoothing != 0 && counts) {
    // The row again, from a cache. Sums of weight * x in the first walk would do, but lose digits in the difference.
    for (int64_t c = lane; c < p.classes; c += kLanes) smooth += p.weight_of(c) * (log_sum - x[c * stride]);
    smooth = reduce_row<kLanes>(smooth, Sum{}, T(0));
  }
  if (lane != 0) return;
  lse[row] = p.classes ? log_sum : kMinusInfinity<T>;
  if (!counts) {
    loss[row] = 0;
    return;
  }
  const T plain = p.weight_of(target) * (log_sum - x[target * stride]);
  // Without smoothing its term must not appear: zero times an infinite logit is NaN.
  loss[row] = p.smoothing != 0 ? (1 - p.smoothing) * plain + p.smoothing / static_cast<T>(p.classes) * smooth : plain;
}

// Above this many classes a contiguous row has a block.
// A warp would make more than 64 rounds, each of which waits for the last rescaling of its sum.
constexpr int64_t kLongRow = 2048;

template <class T>
void launch_row_losses(const Rows<T>& p, T* loss, T* lse, Stream stream) {
  // A thread a row where rows are interleaved: a warp's loads of one class are then neighbours.
  const int lanes = p.inner.divisor > 1 ? 1 : p.classes > kLongRow ? kBlock : kWarp;
  const auto kernel = lanes == 1 ? row_losses<T, 1> : lanes == kWarp ? row_losses<T, kWarp> : row_losses<T, kBlock>;
  launch(kernel, blocks_for(p.rows, kBlock / lanes), kBlock, 0, stream, p, loss, lse);
}

// ---- forward: sums over rows ----------------------------------------------------------------------------------------

// Doubles: there is one number a row, and the mean of a million losses keeps its digits.
struct LossSum {
  double loss, weight;
};
struct AddLossSums {
  __device__ LossSum operator()(const LossSum& a, const LossSum& b) const {
    return {a.loss + b.loss, a.weight + b.weight};
  }
};

// Sixteen rows a thread, whatever the device: the sum's order follows from the number of rows.
constexpr int64_t kRowsABlock = 16 * kBlock;

template <class T>
__global__ void __launch_bounds__(kBlock) sum_rows(Rows<T> p, const T* loss, LossSum* partial) {
  const int64_t first = blockIdx.x * kRowsABlock, end = min(p.rows, first + kRowsABlock);
  LossSum sum = {0, 0};
  for (int64_t row = first + threadIdx.x; row < end; row += kBlock) {
    // Its loss is 0, but its weight must not count in the mean.
    if (!p.counts(p.target[row])) continue;
    sum.loss += loss[row];
    sum.weight += p.weight_of(p.target[row]);
  }
  sum = block_reduce(sum, AddLossSums{}, LossSum{0, 0});
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    finish_sums(const LossSum* partial, int64_t parts, Reduction reduction, T* loss, T* total_weight) {
  LossSum sum = {0, 0};
  // One block: a million rows are 245 parts.
  for (int64_t i = threadIdx.x; i < parts; i += kBlock) sum = AddLossSums{}(sum, partial[i]);
  sum = block_reduce(sum, AddLossSums{}, LossSum{0, 0});
  if (threadIdx.x != 0) return;
  *total_weight = static_cast<T>(sum.weight);
  if (reduction == Reduction::kSum) *loss = static_cast<T>(sum.loss);
  if (reduction == Reduction::kMean) *loss = static_cast<T>(sum.loss / sum.weight);  // NaN when no row counts
}

// ---- backward -------------------------------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(kBlock) sum_weights(const T* weight, int64_t classes, T* sum) {
  T own = 0;
  for (int64_t c = threadIdx.x; c < classes; c += kBlock) own += weight[c];
  own = block_sum(own);
  if (threadIdx.x == 0) *sum = own;
}

template <class T>
struct RowGradient {
  const T *grad, *lse, *total_weight;
  const T* weight_sum;  // or null: the number of classes
  Reduction reduction;
  Divider inner, classes;
};

template <class T>
__global__ void __launch_bounds__(kBlock) logit_gradients(Rows<T> p, RowGradient<T> g, T* grad_x, int64_t n) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBlock;
  for (int64_t i = global_thread(); i < n; i += step) {
    const int64_t line = g.inner.divide(i), sample = g.classes.divide(line);
    const int64_t c = line - sample * p.classes, row = sample * g.inner.divisor + i - line * g.inner.divisor;
    // Read again for each class; all classes of a row find it in a cache.
    const int64_t target = p.target[row];
    if (!p.counts(target)) {
      grad_x[i] = 0;
      continue;
    }
    // Softmax from the kept logarithm: no sum over the row, so the rows' layout does not matter here.
    const T probability = exp(p.x[i] - g.lse[row]);
    T out = (1 - p.smoothing) * p.weight_of(target) * (probability - static_cast<T>(c == target));
    if (p.smoothing != 0) {
      const T weights = g.weight_sum ? *g.weight_sum : static_cast<T>(p.classes);
      out += p.smoothing / static_cast<T>(p.classes) * (probability * weights - p.weight_of(c));
    }
    // The gradient of a scalar is read from the device: the host need not know it, nor wait for it.
    const T scale = g.reduction == Reduction::kNone   ? g.grad[row]
                    : g.reduction == Reduction::kMean ? *g.grad / *g.total_weight
                                                      : *g.grad;
    grad_x[i] = out * scale;
  }
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// Nobody waits for the answer: the kernels skip rows of bad targets, and the error is raised later.
template <class Args>
void report_bad_targets(const Args& p, int64_t rows, Stream stream) {
  report_failures(BadTarget{p.target, p.ignore_index, p.g.classes}, rows, report_to(p.bad_target), stream);
}

template <class T>
void forward(const CrossEntropyFwdArgs& p, Stream stream) {
  const Rows<T> rows = rows_of<T>(p);
  report_bad_targets(p, rows.rows, stream);
  T *loss = static_cast<T*>(p.loss), *total_weight = static_cast<T*>(p.total_weight);
  const bool reduced = p.reduction != Reduction::kNone;
  // Without a reduction the losses of the rows are the result, and go straight there.
  const DeviceScratch<T> kept(reduced ? rows.rows : 0);
  T* row_loss = reduced ? kept.get() : loss;
  launch_row_losses(rows, row_loss, static_cast<T*>(p.lse), stream);

  const int64_t parts = ceil_div(rows.rows, kRowsABlock);
  const DeviceScratch<LossSum> partial(parts);
  launch(sum_rows<T>, blocks_for(rows.rows, kRowsABlock), kBlock, 0, stream, rows, row_loss, partial.get());
  launch(finish_sums<T>, 1, kBlock, 0, stream, partial.get(), parts, p.reduction, loss, total_weight);
}

template <class T>
void backward(const CrossEntropyBwdArgs& p, Stream stream) {
  const Rows<T> rows = rows_of<T>(p);
  report_bad_targets(p, rows.rows, stream);
  const int64_t n = p.g.batch * p.g.classes * p.g.inner;
  if (n == 0) return;
  // Smoothing spreads over all classes, so its gradient has the sum of their weights.
  const bool weights_matter = rows.weight && p.label_smoothing != 0;
  const DeviceScratch<T> weight_sum(1);
  if (weights_matter) launch(sum_weights<T>, 1, kBlock, 0, stream, rows.weight, p.g.classes, weight_sum.get());
  const RowGradient<T> g = {static_cast<const T*>(p.grad),
                            static_cast<const T*>(p.lse),
                            static_cast<const T*>(p.total_weight),
                            weights_matter ? weight_sum.get() : nullptr,
                            p.reduction,
                            divide_by(p.g.inner),
                            divide_by(p.g.classes)};
  launch(logit_gradients<T>, blocks_for(n, kBlock), kBlock, 0, stream, rows, g, static_cast<T*>(p.grad_x), n);
}

}  // namespace

void cross_entropy_fwd(const CrossEntropyFwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { forward<decltype(zero)>(p, stream); });
}

void cross_entropy_bwd(const CrossEntropyBwdArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { backward<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
