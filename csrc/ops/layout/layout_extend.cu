// Axes that go on beyond their ends, on CUDA: pad by reflection, repetition or from the other end, roll, and the
// gradient of pad.
//
// Who owns what. A thread owns one element of what is written: it finds where that is taken from along each axis, or,
// for the gradient, adds up all places that were taken from it, in the order of the CPU. Where the last axis is not
// turned round or repeated, and everything divides, neighbours are joined to units of up to 16 bytes.
#include "ops/layout/layout.h"
#include "ops/layout/layout_units.cuh"

namespace fastdl {
namespace {

struct ExtendedAxes {
  int rank = 0;
  Extension mode;
  Divider size[kMaxDims];  // of the output
  int64_t n[kMaxDims], start[kMaxDims];
};

template <class Unit>
__global__ void __launch_bounds__(kBlock) extend_units(int64_t n, ExtendedAxes axes, const Unit* x, Unit* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t rest = i, from = 0, stride = 1;
  for (int k = axes.rank - 1; k >= 0; --k) {
    const int64_t quotient = k > 0 ? axes.size[k].divide(rest) : 0;
    const int64_t place = rest - quotient * axes.size[k].divisor - axes.start[k];
    from += taken_from(axes.mode, axes.n[k], place) * stride;
    stride *= axes.n[k];
    rest = quotient;
  }
  if constexpr (sizeof(Unit) >= 4)
    store_vec(out + i, load_vec<Unit>(x + from));
  else
    out[i] = x[from];
}

struct FoldedAxes {
  Extension mode;
  Divider size[3];  // of the gradient that is written
  Extended axis[3];
  int64_t low[3], high[3];  // elements that were taken once, by their own places
};

template <class T>
__global__ void __launch_bounds__(kBlock) fold_places(int64_t n, FoldedAxes axes, const T* grad, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  int64_t rest = i, at[3];
  bool once = true;
#pragma unroll
  for (int k = 2; k >= 0; --k) {
    const int64_t quotient = axes.size[k].divide(rest);
    at[k] = rest - quotient * axes.size[k].divisor;
    once = once && at[k] >= axes.low[k] && at[k] < axes.high[k];
    rest = quotient;
  }
  const Extended &zs = axes.axis[0], &ys = axes.axis[1], &xs = axes.axis[2];
  if (once) {
    out[i] = grad[((rest * zs.m + at[0] + zs.start) * ys.m + at[1] + ys.start) * xs.m + at[2] + xs.start];
    return;
  }
  T sum = 0;
#pragma unroll 1
  for (int side = 0; side < kSides * kSides * kSides; ++side) {
    const Places x = places_of(axes.mode, xs, at[2], side / (kSides * kSides));
    const Places z = places_of(axes.mode, zs, at[0], side / kSides % kSides);
    const Places y = places_of(axes.mode, ys, at[1], side % kSides);
#pragma unroll 1
    for (int64_t iz = z.first; iz < z.end; ++iz) {
#pragma unroll 1
      for (int64_t iy = y.first; iy < y.end; ++iy) {
        const T* const row = grad + ((rest * zs.m + iz) * ys.m + iy) * xs.m;
#pragma unroll 1
        for (int64_t ix = x.first; ix < x.end; ++ix) sum += row[ix];
      }
    }
  }
  out[i] = sum;
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// Two or four neighbours become one element, where they stay neighbours.
bool double_unit(ExtendArgs& p) {
  const int factor = p.itemsize == 1 ? 4 : 2, bytes = p.itemsize * factor;
  Extended& last = p.axis[p.rank - 1];
  const bool copies = p.mode == Extension::kCircular || (last.start == 0 && last.n == last.m);
  if (bytes > kPackBytes || !copies || last.n % factor || last.m % factor || last.start % factor) return false;
  if (reinterpret_cast<uintptr_t>(p.x) % bytes || reinterpret_cast<uintptr_t>(p.out) % bytes) return false;
  last.n /= factor, last.m /= factor, last.start /= factor;
  p.itemsize = bytes;
  return true;
}

// The elements that the output has in their own places and nowhere else.
void find_single(Extension mode, const Extended& a, int64_t& low, int64_t& high) {
  const int64_t before = a.start > 0 ? a.start : 0, after = a.m > a.start + a.n ? a.m - a.start - a.n : 0;
  low = 0, high = a.n;
  if (mode == Extension::kReflect)
    low = before ? before + 1 : 0, high = a.n - (after ? after + 1 : 0);
  else if (mode == Extension::kReplicate)
    low = before ? 1 : 0, high = a.n - (after ? 1 : 0);
  else
    low = after, high = a.n - before;
  if (low < -a.start) low = -a.start;
  if (high > a.m - a.start) high = a.m - a.start;
}

}  // namespace

void extend(const ExtendArgs& args, Stream stream) {
  ExtendArgs p = args;
  while (double_unit(p)) {
  }
  ExtendedAxes axes;
  axes.rank = p.rank, axes.mode = p.mode;
  int64_t n = 1;
  for (int k = 0; k < p.rank; ++k) {
    axes.size[k] = divide_by(p.axis[k].m);
    axes.n[k] = p.axis[k].n, axes.start[k] = p.axis[k].start;
    n *= p.axis[k].m;
  }
  visit_unit(p.itemsize, [&](auto zero) {
    using Unit = decltype(zero);
    launch(extend_units<Unit>, blocks_for(n, kBlock), kBlock, 0, stream, n, axes, static_cast<const Unit*>(p.x),
           static_cast<Unit*>(p.out));
  });
}

void fold_extended(const FoldArgs& p, Stream stream) {
  FoldedAxes axes{p.mode, {}, {}, {}, {}};
  int64_t n = p.outer;
  for (int k = 0; k < 3; ++k) {
    axes.axis[k] = p.axis[k];
    axes.size[k] = divide_by(p.axis[k].n);
    find_single(p.mode, p.axis[k], axes.low[k], axes.high[k]);
    n *= p.axis[k].n;
  }
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch(fold_places<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, axes, static_cast<const T*>(p.grad),
           static_cast<T*>(p.out));
  });
}

}  // namespace fastdl
