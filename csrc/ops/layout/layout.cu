// Moving elements on CUDA between a strided view and a contiguous array, in both directions. Nothing is computed, so
// the only question is how to make both sides of the copy run along memory.
//
// Three cases, tried in this order:
//   runs       the last axis is contiguous (backwards, or repeats one element) on the strided side:
//              neighbouring elements are moved as one unit of up to 16 bytes.
//   transpose  another axis is the contiguous one: a tile of both axes goes through
//              shared memory. Threads read along one axis and write along the other.
//   elements   neither (a slice with a step): one element a thread, contiguous on one side.
//
//        strided side x: columns run along memory            contiguous side out: rows run along memory
//              across ->                                           along ->
//        along [ t0 t1 t2 .. ]  read row by row     tile      across [ t0 t1 t2 .. ]  written row by row,
//          |   [ .. ]           into tile rows     =====>       |    [ .. ]           tile read by columns
//
// Who owns what. Runs and elements: a thread owns one unit. Transpose: a block owns a tile of kTile elements, whose
// shape follows the axes: 32 x 32, or long and narrow where one of them is short (3 channels, say).
#include "ops/layout/layout.h"
#include "ops/layout/layout_units.cuh"

namespace fastdl {
namespace {

// 1024 elements, four a thread. Rows are longer than their power of two, so that what a warp reads lies in different
// banks: 32 elements of a column, or as many columns of all rows as make 32.
constexpr int kTileLog2 = 10, kTile = 1 << kTileLog2;
constexpr int kSquareLog2 = kTileLog2 / 2, kSideLog2Min = 2;
constexpr int kTileStorage = kTile + (kTile >> kSideLog2Min);  // at most 256 rows, or 4 longer by 8

__device__ inline int row_pitch(int across_log2, int along_log2) {
  return (1 << across_log2) + (along_log2 < kSquareLog2 ? kWarp >> along_log2 : 1);
}

// ---- runs and elements ----------------------------------------------------------------------------------------------

template <bool kGather, class Unit>
__global__ void __launch_bounds__(kBlock) move_units(int64_t n, Axes<1> axes, const Unit* from, Unit* to) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t strided = locate(axes, i).at[0];
  // A unit of 16 bytes must move in one access.
  if constexpr (sizeof(Unit) >= 4)
    store_vec(to + (kGather ? i : strided), load_vec<Unit>(from + (kGather ? strided : i)));
  else
    to[kGather ? i : strided] = from[kGather ? strided : i];
}

// The last axis repeats one element of x: a pack of it.
template <int N, class T>
__global__ void __launch_bounds__(kBlock) repeat(int64_t n, Axes<1> axes, const T* x, T* out) {
  const int64_t i = global_thread() * N;
  if (i < n) store_pack(out + i, splat<N>(x[locate(axes, i).at[0]]), n - i);
}

// The last axis of x backwards: packs from its end, each turned round. Its stride is given as -N, and x as the first
// element of the pack that lies at offset 0.
template <int N, class T>
__global__ void __launch_bounds__(kBlock) reverse(int64_t packs, Axes<1> axes, const T* x, T* out) {
  const int64_t i = global_thread();
  if (i >= packs) return;
  const Pack<T, N> from = load_pack<N>(x + locate(axes, i).at[0]);
  Pack<T, N> to;
#pragma unroll
  for (int j = 0; j < N; ++j) to[j] = from[N - 1 - j];
  store_pack(out + i * N, to);
}

// ---- transpose ------------------------------------------------------------------------------------------------------

// `across` is the axis that is contiguous in x, `along` the last axis of out.
struct Transpose {
  int64_t across, along;              // sizes
  int64_t across_out, along_x;        // strides: of `across` in out, of `along` in x
  int across_log2;                    // the tile is 2^across_log2 across and kTile / 2^across_log2 along
  Divider across_tiles, along_tiles;  // tiles along each axis
  Axes<2> others;                     // the other axes: strides in x, in out
};

template <class T>
__global__ void __launch_bounds__(kBlock) transpose(Transpose t, const T* x, T* out) {
  FASTDL_SHARED(T, tile, [kTileStorage]);
  const int across_size = 1 << t.across_log2, along_log2 = kTileLog2 - t.across_log2,
            pitch = row_pitch(t.across_log2, along_log2);
  int64_t rest = t.along_tiles.divide(blockIdx.x);
  const int64_t along0 = (blockIdx.x - rest * t.along_tiles.divisor) << along_log2;
  const int64_t other = t.across_tiles.divide(rest);
  const int64_t across0 = (rest - other * t.across_tiles.divisor) << t.across_log2;
  const Offsets<2> base = locate(t.others, other);

#pragma unroll
  for (int u = 0; u < kTile / kBlock; ++u) {
    const int k = u * kBlock + static_cast<int>(threadIdx.x);
    const int row = k >> t.across_log2, column = k & (across_size - 1);
    const int64_t l = along0 + row, a = across0 + column;
    if (l < t.along && a < t.across) tile[row * pitch + column] = x[base.at[0] + l * t.along_x + a];
  }
  __syncthreads();
#pragma unroll
  for (int u = 0; u < kTile / kBlock; ++u) {
    const int k = u * kBlock + static_cast<int>(threadIdx.x);
    const int column = k >> along_log2, row = k & ((1 << along_log2) - 1);
    const int64_t l = along0 + row, a = across0 + column;
    if (l < t.along && a < t.across) out[base.at[1] + a * t.across_out + l] = tile[row * pitch + column];
  }
}

// ---- launchers ------------------------------------------------------------------------------------------------------

// A strided view and the contiguous array of the same elements.
struct View {
  int itemsize;
  Dims shape, stride;
  const char* from;
  char* to;

  int last() const { return shape.n - 1; }
};

// Two, four or eight neighbours become one element, while all places are multiples of it.
bool double_unit(View& v) {
  const int factor = v.itemsize == 1 ? 4 : 2, bytes = v.itemsize * factor, last = v.last();
  if (bytes > kPackBytes || v.stride[last] != 1 || v.shape[last] % factor != 0) return false;
  if (reinterpret_cast<uintptr_t>(v.from) % bytes != 0 || reinterpret_cast<uintptr_t>(v.to) % bytes != 0) return false;
  for (int d = 0; d < last; ++d)
    if (v.stride[d] % factor != 0) return false;
  for (int d = 0; d < last; ++d) v.stride[d] /= factor;
  v.shape[last] /= factor;
  v.itemsize = bytes;
  return true;
}

Axes<1> axes_of(const View& v) {
  Axes<1> axes;
  for (int d = 0; d < v.shape.n; ++d) axes.push(v.shape[d], v.stride[d]);
  return axes;
}

template <bool kGather>
void launch_units(const View& v, Stream stream) {
  const int64_t n = v.shape.product();
  visit_unit(v.itemsize, [&](auto zero) {
    using Unit = decltype(zero);
    launch(move_units<kGather, Unit>, blocks_for(n, kBlock), kBlock, 0, stream, n, axes_of(v),
           reinterpret_cast<const Unit*>(v.from), reinterpret_cast<Unit*>(v.to));
  });
}

// Whether the view was written as packs of one repeated element.
bool launch_repeat(const View& v, Stream stream) {
  const int last = v.last();
  if (v.stride[last] != 0 || v.itemsize > 8) return false;
  const int per_pack = kPackBytes / v.itemsize;
  if ((last > 0 && v.shape[last] % per_pack != 0) || reinterpret_cast<uintptr_t>(v.to) % kPackBytes != 0) return false;
  const int64_t n = v.shape.product();
  visit_unit(v.itemsize, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (sizeof(T) <= 8)
      launch(repeat<kPack<T>, T>, blocks_for(n, int64_t{kBlock} * kPack<T>), kBlock, 0, stream, n, axes_of(v),
             reinterpret_cast<const T*>(v.from), reinterpret_cast<T*>(v.to));
  });
  return true;
}

// Whether the view was written as packs that are turned round.
bool launch_reverse(const View& v, Stream stream) {
  const int last = v.last();
  if (v.stride[last] != -1) return false;
  bool done = false;
  visit_unit(v.itemsize, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (sizeof(T) <= 8) {
      constexpr int N = kPack<T>;
      const T* const x = reinterpret_cast<const T*>(v.from) - (N - 1);
      T* const out = reinterpret_cast<T*>(v.to);
      bool fits = v.shape[last] % N == 0 && aligned<N>(x) && aligned<N>(out);
      View packs = v;
      packs.shape[last] /= N, packs.stride[last] = -N;
      for (int d = 0; d < last; ++d) fits = fits && v.stride[d] % N == 0;
      if (!fits) return;
      const int64_t n = packs.shape.product();
      launch(reverse<N, T>, blocks_for(n, kBlock), kBlock, 0, stream, n, axes_of(packs), x, out);
      done = true;
    }
  });
  return done;
}

int log2_ceil(int64_t n) {
  int bits = 0;
  while ((int64_t{1} << bits) < n) ++bits;
  return bits;
}

// The side of the tile along the axis that is contiguous in x: a short axis gets all of its elements into the tile, and
// the other side what is left of kTile.
int tile_log2(int64_t across, int64_t along) {
  const auto clamped = [](int bits) { return bits < kSideLog2Min ? kSideLog2Min : bits; };
  if (across < (1 << kSquareLog2)) return clamped(log2_ceil(across));
  if (along < (1 << kSquareLog2)) return kTileLog2 - clamped(log2_ceil(along));
  return kSquareLog2;
}

// Whether another axis than the last is contiguous in x, and the view was transposed along the two.
bool launch_transpose(const View& v, Stream stream) {
  const int last = v.last();
  int across = last - 1;
  while (across >= 0 && (v.stride[across] != 1 || v.shape[across] == 1)) --across;
  if (across < 0 || v.itemsize > 8) return false;

  Transpose t{};
  t.across = v.shape[across], t.along = v.shape[last], t.along_x = v.stride[last];
  t.across_log2 = tile_log2(t.across, t.along);
  t.across_tiles = divide_by(ceil_div(t.across, int64_t{1} << t.across_log2));
  t.along_tiles = divide_by(ceil_div(t.along, int64_t{kTile} >> t.across_log2));
  for (int d = 0; d < last; ++d) {
    const int64_t in_out = v.shape.product(d + 1);
    if (d == across)
      t.across_out = in_out;
    else
      t.others.push(v.shape[d], v.stride[d], in_out);
  }
  int64_t tiles = t.across_tiles.divisor * t.along_tiles.divisor;
  for (int d = 0; d < t.others.rank; ++d) tiles *= t.others.size[d].divisor;
  visit_unit(v.itemsize, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (sizeof(T) <= 8)
      launch(transpose<T>, blocks_for(tiles, 1), kBlock, 0, stream, t, reinterpret_cast<const T*>(v.from),
             reinterpret_cast<T*>(v.to));
  });
  return true;
}

template <class Args>
View view_of(const Args& args) {
  View v{args.itemsize, args.shape, args.stride, static_cast<const char*>(args.x), static_cast<char*>(args.out)};
  if (v.shape.n == 0) v.shape.n = v.stride.n = 1, v.shape[0] = v.stride[0] = 1;  // a number is an axis of one
  return v;
}

}  // namespace

void gather_strided(const GatherStridedArgs& args, Stream stream) {
  if (args.shape.product() == 0) return;
  View v = view_of(args);
  v.from += args.offset * args.itemsize;
  while (double_unit(v)) {
  }
  if (v.stride[v.last()] == 1) return launch_units<true>(v, stream);
  if (launch_repeat(v, stream) || launch_reverse(v, stream) || launch_transpose(v, stream)) return;
  launch_units<true>(v, stream);
}

void scatter_strided(const ScatterStridedArgs& args, Stream stream) {
  if (args.shape.product() == 0) return;
  View v = view_of(args);
  v.to += args.offset * args.itemsize;
  while (double_unit(v)) {
  }
  launch_units<false>(v, stream);
}

}  // namespace fastdl
