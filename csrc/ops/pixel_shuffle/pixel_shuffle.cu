// Pixel shuffle and its inverse on CUDA: every number moves once, and bandwidth is the limit.
//
// Who owns what: a thread owns a pixel (c, y, x) of the small image's r * r channels, neighbours neighbouring x: it
// moves r * r numbers between planes h * w apart, each a coalesced access of the warp, and rows of the large image,
// where a warp covers 32 * r numbers in a row with r strided accesses that share their sectors in the L1 cache.
#include "cuda/planes.cuh"
#include "ops/pixel_shuffle/pixel_shuffle.h"

namespace fastdl {
namespace {

// kShuffle: small to large; else large to small. Numbers move as unsigned integers of their size.
template <bool kShuffle, class Bits>
__global__ void __launch_bounds__(kBlock)
    shuffle_kernel(int64_t n, Planes small, int64_t r, const Bits* __restrict__ x, Bits* __restrict__ out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const Place at = small[i];
  const int64_t plane = small.size(), row = small.w.divisor * r;
  const int64_t in_small = at.plane * r * r * plane + at.y * small.w.divisor + at.x;
  const int64_t in_large = at.plane * r * r * plane + at.y * r * row + at.x * r;
  for (int64_t a = 0; a < r; ++a) {
    for (int64_t b = 0; b < r; ++b) {
      const int64_t s = in_small + (a * r + b) * plane, l = in_large + a * row + b;
      if constexpr (kShuffle)
        out[l] = x[s];
      else
        out[s] = x[l];
    }
  }
}

template <bool kShuffle>
void run(const PixelShuffleArgs& p, Stream stream) {
  const int64_t n = p.planes * p.h * p.w;
  const auto with = [&](auto bits) {
    using Bits = decltype(bits);
    launch(shuffle_kernel<kShuffle, Bits>, blocks_for(n, kBlock), kBlock, 0, stream, n, planes_of(p.h, p.w), p.r,
           static_cast<const Bits*>(p.x), static_cast<Bits*>(p.out));
  };
  itemsize(p.dtype) == 4 ? with(uint32_t{}) : with(uint64_t{});
}

}  // namespace

void pixel_shuffle_fwd(const PixelShuffleArgs& p, Stream stream) {
  run<true>(p, stream);
}

void pixel_unshuffle_fwd(const PixelShuffleArgs& p, Stream stream) {
  run<false>(p, stream);
}

}  // namespace fastdl
