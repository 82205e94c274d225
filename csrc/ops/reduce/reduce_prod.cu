// The gradient of products on CUDA, in two steps: of each line a share and how many of its factors are 0, then a pass
// over x. The three cases are told in reduce_prod_cpu.cc.
//
// Who owns what: of shares, along the last axis a block owns a line, along others 32 neighbouring ones, whose factors
// its threads take in turn; they are read only where the product is 0 or NaN. (Short lines along the last axis too,
// which is no pattern for reading, but seldom read.) Of gradients a thread owns a number.
#include "cuda/access.cuh"
#include "cuda/reduce.cuh"
#include "ops/reduce/reduce.h"

namespace fastdl {
namespace {

constexpr int64_t kLongLine = 1024;  // along the last axis: worth a block

// Of each line, apart, since neighbouring threads read neighbouring lines.
template <class T>
struct Shares {
  T* share;
  int* zeros;  // 2: or more
};

// kLanes threads a line: the whole block, or those of the same place in a warp.
template <class T, int kLanes>
__global__ void __launch_bounds__(kBlock)
    share_out(const T* grad, const T* x, const T* out, int64_t lines, int64_t n, Divider inner, Shares<T> shares) {
  constexpr int kLines = kBlock / kLanes;
  FASTDL_SHARED(T, products, [kBlock]);
  FASTDL_SHARED(int, zeros, [kBlock]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread / kLines;
  const int64_t line = static_cast<int64_t>(blockIdx.x) * kLines + thread % kLines;
  const bool in = line < lines;
  const T product = in ? out[line] : T(1);
  T others = T(1);  // the product of the factors that are not 0
  int count = 0;
  if (product == T(0) || product != product) {
    const int64_t outer = inner.divide(line), column = line - outer * inner.divisor;
    const T* p = x + outer * n * inner.divisor + column;
#pragma unroll 4
    for (int64_t i = lane; i < n; i += kLanes) {
      const T factor = p[i * inner.divisor];
      const bool zero = factor == T(0);
      others *= zero ? T(1) : factor;
      count = min(count + zero, 2);
    }
  }
  // The upper half of the lanes hands over to the lower half, until one is left. A slot is written once.
  for (int half = kLanes / 2; half > 0; half /= 2) {
    if (lane >= half && lane < 2 * half) products[thread] = others, zeros[thread] = count;
    __syncthreads();
    if (lane < half) {
      others *= products[thread + half * kLines];
      count = min(count + zeros[thread + half * kLines], 2);
    }
  }
  if (!in || lane > 0) return;
  // Without a zero the factors were too small for their product, or all is as usual.
  shares.share[line] = grad[line] * (count == 0 ? product : others);
  shares.zeros[line] = count;
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    give_shares(const T* x, Shares<T> shares, int64_t size, Divider line_size, Divider inner, T* grad_x) {
  const int64_t i = global_thread();
  if (i >= size) return;
  const int64_t outer = line_size.divide(i), row = inner.divide(i);
  const int64_t line = outer * inner.divisor + (i - row * inner.divisor);
  const T factor = x[i], share = shares.share[line];
  const int zeros = shares.zeros[line];
  grad_x[i] = zeros == 0 ? share / factor : zeros == 1 && factor == T(0) ? share : T(0);
}

}  // namespace

void prod_bwd(const ProdBwdArgs& a, Stream stream) {
  const int64_t lines = a.outer * a.inner, size = lines * a.n;
  if (size == 0) return;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T *const grad = static_cast<const T*>(a.grad), *const x = static_cast<const T*>(a.x);
    const T* const out = static_cast<const T*>(a.out);
    DeviceScratch<T> share(lines);
    DeviceScratch<int> zeros(lines);
    const Shares<T> shares = {share.get(), zeros.get()};
    const Divider inner = divide_by(a.inner);
    if (a.inner == 1 && a.n >= kLongLine)
      launch(share_out<T, kBlock>, checked_grid(lines), kBlock, 0, stream, grad, x, out, lines, a.n, inner, shares);
    else
      launch(share_out<T, kBlock / kWarp>, checked_grid(ceil_div(lines, kWarp)), kBlock, 0, stream, grad, x, out, lines,
             a.n, inner, shares);
    launch(give_shares<T>, checked_grid(ceil_div(size, kBlock)), kBlock, 0, stream, x, shares, size,
           divide_by(a.n * a.inner), inner, static_cast<T*>(a.grad_x));
  });
}

}  // namespace fastdl
