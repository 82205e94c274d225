// Losses of pairs on CUDA: one pass over input and target forward, whatever the reduction, and one backward.
//
// Who owns what: for reduction "none" and backward a thread owns an element. For sums a block owns a share of kShare
// elements and writes one number; one more block adds these in their order, in double precision, so that the result
// does not depend on which block came first. Losses that refuse numbers look for them first, in a pass of their own.
// The limit is memory bandwidth.
#include "cuda/first_failure.cuh"
#include "ops/loss/loss.h"

namespace fastdl {
namespace {

constexpr int64_t kShare = 16 * kBlock;

// ---- the losses -----------------------------------------------------------------------------------------------------

template <class T>
__device__ inline T sign_of(T x) {
  return static_cast<T>((x > T{0}) - (x < T{0}));
}
template <class T>
__device__ inline T at_least(T x, T low) {
  return x < low ? low : x;  // NaN stays
}
template <class T>
__device__ inline T magnitude(T x) {
  return x < T{0} ? -x : x;
}
template <class T>
__device__ inline T sigmoid(T x) {
  return static_cast<T>(T{1} / (T{1} + exp(-x)));
}
template <class T>
__device__ inline T softplus(T x) {
  return static_cast<T>(max(x, T{0}) + log1p(exp(-magnitude(x))));
}
// Logarithms in T on every compiler.
template <class T>
__device__ inline T log_of(T x) {
  return static_cast<T>(log(x));
}
template <class T>
__device__ inline T log_1p(T x) {
  return static_cast<T>(log1p(x));
}

// x, t, the attribute and the weight of positive targets of an element.
template <class T>
struct Element {
  T x, t, a, pos;
};

template <Loss op, class T>
__device__ inline bool takes(T x, T t) {
  if constexpr (op == Loss::k_msle_loss) return !(x <= T{-1} || t <= T{-1});
  if constexpr (op == Loss::k_binary_cross_entropy) return x >= T{0} && x <= T{1};
  return magnitude(t) == T{1};  // hinge_loss
}

template <Loss op, class T>
__device__ inline T value(const Element<T>& e) {
  const T x = e.x, t = e.t, a = e.a, d = x - t;
  if constexpr (op == Loss::k_mse_loss) return d * d;
  if constexpr (op == Loss::k_l1_loss) return magnitude(d);
  if constexpr (op == Loss::k_smooth_l1_loss) return magnitude(d) < a ? d * d / (a + a) : magnitude(d) - a * T(0.5);
  if constexpr (op == Loss::k_huber_loss) return magnitude(d) < a ? d * d * T(0.5) : a * (magnitude(d) - a * T(0.5));
  if constexpr (op == Loss::k_binary_cross_entropy)
    return (t - T{1}) * at_least(log_1p(-x), T{-100}) - t * at_least(log_of(x), T{-100});
  if constexpr (op == Loss::k_binary_cross_entropy_with_logits)
    return (T{1} - t) * x + ((e.pos - T{1}) * t + T{1}) * softplus(-x);
  if constexpr (op == Loss::k_hinge_loss) return at_least(a - t * x, T{0});
  if constexpr (op == Loss::k_kl_div) return (t == T{0} ? T{0} : t * log_of(t)) - t * x;
  if constexpr (op == Loss::k_kl_div_log_target) return exp(t) * (t - x);
  if constexpr (op == Loss::k_msle_loss) {
    const T apart = log_1p(x) - log_1p(t);
    return apart * apart;
  }
  return magnitude(d) / at_least(magnitude(t), a);  // mape_loss
}

template <Loss op, class T>
__device__ inline T by_x(const Element<T>& e) {
  const T x = e.x, t = e.t, a = e.a, d = x - t;
  if constexpr (op == Loss::k_mse_loss) return d + d;
  if constexpr (op == Loss::k_l1_loss) return sign_of(d);
  if constexpr (op == Loss::k_smooth_l1_loss) return magnitude(d) < a ? d / a : sign_of(d);
  if constexpr (op == Loss::k_huber_loss) return magnitude(d) < a ? d : a * sign_of(d);
  if constexpr (op == Loss::k_binary_cross_entropy) return d / at_least((T{1} - x) * x, T(1e-12));
  if constexpr (op == Loss::k_binary_cross_entropy_with_logits)
    return (T{1} - t) - ((e.pos - T{1}) * t + T{1}) * sigmoid(-x);
  if constexpr (op == Loss::k_hinge_loss) return a - t * x > T{0} ? -t : T{0};
  if constexpr (op == Loss::k_kl_div) return -t;
  if constexpr (op == Loss::k_kl_div_log_target) return -exp(t);
  if constexpr (op == Loss::k_msle_loss) return T{2} * (log_1p(x) - log_1p(t)) / (x + T{1});
  return sign_of(d) / at_least(magnitude(t), a);  // mape_loss
}

template <Loss op, class T>
__device__ inline T by_t(const Element<T>& e) {
  const T x = e.x, t = e.t, a = e.a;
  if constexpr (op == Loss::k_binary_cross_entropy) return at_least(log_1p(-x), T{-100}) - at_least(log_of(x), T{-100});
  if constexpr (op == Loss::k_binary_cross_entropy_with_logits) return (e.pos - T{1}) * softplus(-x) - x;
  if constexpr (op == Loss::k_hinge_loss) return a - t * x > T{0} ? -x : T{0};
  if constexpr (op == Loss::k_kl_div) return log_of(t) + T{1} - x;
  if constexpr (op == Loss::k_kl_div_log_target) return exp(t) * (t - x + T{1});
  if constexpr (op == Loss::k_msle_loss) return T{-2} * (log_1p(x) - log_1p(t)) / (t + T{1});
  if constexpr (op == Loss::k_mape_loss) {
    const T size = at_least(magnitude(t), a), direct = -sign_of(x - t) / size;
    return magnitude(t) > a ? direct - magnitude(x - t) * sign_of(t) / (size * size) : direct;
  }
  return -by_x<op>(e);  // losses of the difference alone
}

// ---- kernels --------------------------------------------------------------------------------------------------------

template <class T>
struct Pairs {
  const T *x, *target, *weight, *pos_weight;  // the last two may be null
  T a;

  __device__ Element<T> operator[](int64_t i) const { return {x[i], target[i], a, pos_weight ? pos_weight[i] : T{1}}; }
  __device__ T factor(int64_t i) const { return weight ? weight[i] : T{1}; }
};

template <Loss op, class T>
__global__ void __launch_bounds__(kBlock) losses_kernel(int64_t n, Pairs<T> pairs, T* out) {
  const int64_t i = global_thread();
  if (i < n) out[i] = pairs.factor(i) * value<op>(pairs[i]);
}

template <Loss op, class T>
__global__ void __launch_bounds__(kBlock) share_sums_kernel(int64_t n, Pairs<T> pairs, double* shares) {
  const int64_t first = blockIdx.x * kShare, end = min(n, first + kShare);
  T sum = 0;
  for (int64_t i = first + threadIdx.x; i < end; i += kBlock) sum += pairs.factor(i) * value<op>(pairs[i]);
  const T total = block_sum(sum);
  if (threadIdx.x == 0) shares[blockIdx.x] = static_cast<double>(total);
}

// One block. count: what the sum is divided by.
template <class T>
__global__ void __launch_bounds__(kBlock) add_shares_kernel(int64_t n, const double* shares, double count, T* out) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) sum += shares[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) *out = static_cast<T>(sum / count);
}

// grad: of each loss, or of their sum divided by `count`.
template <Loss op, bool kByTarget, class T>
__global__ void __launch_bounds__(kBlock)
    gradient_kernel(int64_t n, Pairs<T> pairs, const T* grad, bool one, double count, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const T given = one ? static_cast<T>(static_cast<double>(*grad) / count) : grad[i];
  const Element<T> e = pairs[i];
  out[i] = given * (pairs.factor(i) * (kByTarget ? by_t<op>(e) : by_x<op>(e)));
}

template <Loss op, class T>
struct Refused {
  const T *x, *target;
  __device__ bool operator()(int64_t i) const { return !takes<op>(x[i], target[i]); }
};

// ---- launchers ------------------------------------------------------------------------------------------------------

template <class T, class Args>
Pairs<T> pairs_of(const Args& p) {
  return {static_cast<const T*>(p.x), static_cast<const T*>(p.target), static_cast<const T*>(p.weight),
          static_cast<const T*>(p.pos_weight), static_cast<T>(p.a)};
}

template <Loss op, class T>
void forward(const LossFwdArgs& p, Stream stream) {
  const Pairs<T> pairs = pairs_of<T>(p);
  T* out = static_cast<T*>(p.out);
  if constexpr (refuses(op)) report_failures(Refused<op, T>{pairs.x, pairs.target}, p.n, report_to(p.illegal), stream);
  if (p.reduction == Reduction::kNone)
    return launch(losses_kernel<op, T>, blocks_for(p.n, kBlock), kBlock, 0, stream, p.n, pairs, out);
  const int64_t blocks = ceil_div(p.n, kShare);
  const DeviceScratch<double> shares(blocks);
  launch(share_sums_kernel<op, T>, blocks_for(p.n, kShare), kBlock, 0, stream, p.n, pairs, shares.get());
  // Of no elements: 0 / 0 is NaN, as in PyTorch.
  const double count = p.reduction == Reduction::kMean ? static_cast<double>(p.n) : 1.0;
  launch(add_shares_kernel<T>, 1, kBlock, 0, stream, blocks, shares.get(), count, out);
}

template <Loss op, class T>
void backward(const LossBwdArgs& p, Stream stream) {
  const auto kernel = p.by_target ? gradient_kernel<op, true, T> : gradient_kernel<op, false, T>;
  launch(kernel, blocks_for(p.n, kBlock), kBlock, 0, stream, p.n, pairs_of<T>(p), static_cast<const T*>(p.grad),
         p.reduction != Reduction::kNone, p.reduction == Reduction::kMean ? static_cast<double>(p.n) : 1.0,
         static_cast<T*>(p.out));
}

}  // namespace

void loss_fwd(const LossFwdArgs& p, Stream stream) {
  switch (p.op) {
#define FASTDL_CASE(name) \
  case Loss::k_##name:    \
    return visit_float(p.dtype, [&](auto zero) { forward<Loss::k_##name, decltype(zero)>(p, stream); });
    FASTDL_LOSSES(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

void loss_bwd(const LossBwdArgs& p, Stream stream) {
  switch (p.op) {
#define FASTDL_CASE(name) \
  case Loss::k_##name:    \
    return visit_float(p.dtype, [&](auto zero) { backward<Loss::k_##name, decltype(zero)>(p, stream); });
    FASTDL_LOSSES(FASTDL_CASE)
#undef FASTDL_CASE
  }
}

}  // namespace fastdl
