// Dropout on CUDA: out[i] = kept(i) ? x[i] * scale : 0, with kept(i) from a counter-based generator (dropout.h). The
// mask is never stored: backward is the same kernel on the gradient. Reading x and writing out is the limit; the ten
// rounds of Philox hide behind it, because one block of four words serves four elements.
//
// Layout. x and out are contiguous: elements 4j ... 4j + 3 take the four words of counter offset + j.
//
// Who owns what. A thread owns one such group: 16 bytes of float32 or 32 of float64.
#include "cuda/access.cuh"
#include "ops/dropout/dropout.h"

namespace fastdl {
namespace {

constexpr int kWords = 4;

template <class T>
struct Dropout {
  int64_t n;
  uint32_t threshold;
  T scale;
  PhiloxKey key;
};

// `N` is the width of an access, kWords or, for arrays that are not aligned to it, 1.
template <int N, class T>
__global__ void __launch_bounds__(kBlock) dropout_kernel(Dropout<T> d, const T* x, T* out) {
  const int64_t group = global_thread(), first = group * kWords;
  if (first >= d.n) return;
  const Philox random = philox(d.key, group);
#pragma unroll
  for (int i = 0; i < kWords; i += N) {
    const int64_t count = d.n - first - i;
    if (count <= 0) return;
    Pack<T, N> pack = load_pack<N>(x + first + i, count);
#pragma unroll
    for (int k = 0; k < N; ++k) pack[k] = random.word[i + k] >= d.threshold ? pack[k] * d.scale : T{0};
    store_pack(out + first + i, pack, count);
  }
}

// p = 1: no threshold of 32 bits drops every word.
template <int N, class T>
__global__ void __launch_bounds__(kBlock) zero_kernel(int64_t n, T* out) {
  const int64_t first = global_thread() * N;
  if (first < n) store_pack(out + first, splat<N>(T{0}), n - first);
}

template <int N, class T>
void launch_dropout(const DropoutArgs& args, Stream stream) {
  T* out = static_cast<T*>(args.out);
  if (args.drop_all)
    return launch(zero_kernel<N, T>, blocks_for(args.n, int64_t{kBlock} * N), kBlock, 0, stream, args.n, out);
  const Dropout<T> d{args.n, args.threshold, static_cast<T>(args.scale), args.key};
  launch(dropout_kernel<N, T>, blocks_for(args.n, int64_t{kBlock} * kWords), kBlock, 0, stream, d,
         static_cast<const T*>(args.x), out);
}

}  // namespace

void dropout(const DropoutArgs& args, Stream stream) {
  visit_float(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    const bool wide = aligned<kWords>(static_cast<const T*>(args.x)) && aligned<kWords>(static_cast<T*>(args.out));
    wide ? launch_dropout<kWords, T>(args, stream) : launch_dropout<1, T>(args, stream);
  });
}

}  // namespace fastdl
