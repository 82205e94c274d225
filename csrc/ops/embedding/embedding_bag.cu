// Bags of rows: sums, means and maxima of the rows that a bag looks up, and their gradients.
//
// Who owns what: forward, a thread owns a pack of columns of a bag and walks its lookups; neighbours read neighbouring
// packs of the same row. The lookups of long bags are shared out to the warps of a block. Backward, the gradients of
// sums and means are those of single lookups whose gradient is their bag's. Those of maxima go to one row a number: the
// numbers are sorted by the place that they go to. Gradients of weights: a warp a lookup. The limit is reading the
// rows.
#include "ops/embedding/embedding_gradient.cuh"

namespace fastdl {
namespace {

// ---- forward --------------------------------------------------------------------------------------------------------

// A table with `packs` packs a row, and the bags that look it up.
template <class T, class I>
struct BagSums {
  const T* weight;
  const I* index;
  Bags bags;
  Divider packs;
  T* out;
};

// What the lookups [begin, end) add to a pack of columns. Returns how many count.
template <int N, class T, class I>
__device__ __forceinline__ int64_t add_rows(const BagSums<T, I>& p, int64_t begin, int64_t end, int64_t pack,
                                            Pack<T, N>& sum) {
  const T* const scale = static_cast<const T*>(p.bags.weights);
  int64_t count = 0;
#pragma unroll 4
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = p.index[i];
    if (row == p.bags.padding) continue;
    const auto v = load_pack<N>(p.weight + (row * p.packs.divisor + pack) * N);
    const T by = scale ? scale[i] : T{1};
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] += by * v[k];
    ++count;
  }
  return count;
}

template <int N, class T, class I>
__device__ __forceinline__ void store_bag(const BagSums<T, I>& p, int64_t at, int64_t count, Pack<T, N> sum) {
  if (p.bags.mode == BagMode::kMean && count > 0) {
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] /= static_cast<T>(count);
  }
  store_pack<N>(p.out + at * N, sum);
}

template <class T, int N, class I>
__global__ void __launch_bounds__(kBlock) sum_bags(BagSums<T, I> p, int64_t threads) {
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t bag = p.packs.divide(thread);
  Pack<T, N> sum = {};
  const int64_t count = add_rows(p, p.bags.offsets[bag], p.bags.offsets[bag + 1], thread - bag * p.packs.divisor, sum);
  store_bag(p, thread, count, sum);
}

constexpr int kBagWarps = kBlock / kWarp;
constexpr int64_t kLongBag = 32;  // lookups a bag, from where on each warp has four and more

// A block owns 32 packs of a bag, each warp an eighth of its lookups; the first warp adds in the order of the warps.
template <class T, int N, class I>
__global__ void __launch_bounds__(kBlock) sum_long_bags(BagSums<T, I> p, Divider tiles) {
  FASTDL_SHARED(T, partial, [kBagWarps][N][kWarp]);
  FASTDL_SHARED(int64_t, counts, [kBagWarps]);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t bag = tiles.divide(blockIdx.x), pack = (blockIdx.x - bag * tiles.divisor) * kWarp + lane;
  const int64_t first = p.bags.offsets[bag], n = p.bags.offsets[bag + 1] - first,
                share = (n + kBagWarps - 1) / kBagWarps;
  const int64_t begin = first + min(n, warp * share), end = first + min(n, (warp + 1) * share);
  Pack<T, N> sum = {};
  // Lanes without a pack go on to the barrier with the lookups of the last one.
  int64_t count = add_rows(p, begin, end, min(pack, p.packs.divisor - 1), sum);
#pragma unroll
  for (int k = 0; k < N; ++k) partial[warp][k][lane] = sum[k];
  if (lane == 0) counts[warp] = count;
  __syncthreads();
  if (warp > 0 || pack >= p.packs.divisor) return;
  for (int w = 1; w < kBagWarps; ++w) {
    count += counts[w];
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] += partial[w][k][lane];
  }
  store_bag(p, bag * p.packs.divisor + pack, count, sum);
}

// Strictly greater: the first of equals stays, and so does NaN, if it was the first.
template <class T, class I>
__global__ void __launch_bounds__(kBlock) maxima_of_bags(const T* weight, const I* index, Bags bags, T* out,
                                                         int64_t* maxima, int64_t threads, Divider width) {
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t bag = width.divide(thread), column = thread - bag * width.divisor;
  T best = 0;
  int64_t where = -1;
  for (int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i) {
    const int64_t row = index[i];
    if (row == bags.padding) continue;
    const T v = weight[row * width.divisor + column];
    if (where >= 0 && !(v > best)) continue;
    best = v;
    where = row;
  }
  out[thread] = best;
  maxima[thread] = where;
}

// ---- backward -------------------------------------------------------------------------------------------------------

__device__ inline int64_t bag_of(const Bags& bags, int64_t lookup) {
  return bound(bags.offsets, bags.count + 1, lookup, true) - 1;
}

__global__ void __launch_bounds__(kBlock) find_bags(Bags bags, int64_t* bag) {
  const int64_t i = global_thread();
  if (i < bags.used) bag[i] = bag_of(bags, i);
}

template <class T, class I>
__global__ void __launch_bounds__(kBlock) mean_scales(const I* index, Bags bags, T* scale) {
  const int64_t bag = global_thread();
  if (bag >= bags.count) return;
  int64_t count = 0;
  for (int64_t i = bags.offsets[bag]; i < bags.offsets[bag + 1]; ++i) count += index[i] != bags.padding;
  scale[bag] = T{1} / static_cast<T>(count ? count : 1);
}

struct OutsideMaxima {
  const int64_t* maxima;
  int64_t rows;

  __device__ bool operator()(int64_t i) const { return maxima[i] < -1 || maxima[i] >= rows; }
};

// The place of each maximum in the table; after the last one where there was none.
__global__ void __launch_bounds__(kBlock)
    keys_of_maxima(const int64_t* maxima, int64_t n, int64_t rows, Divider width, uint64_t* keys) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t row = maxima[i] < 0 ? rows : maxima[i], column = i - width.divide(i) * width.divisor;
  keys[i] = static_cast<uint64_t>(maxima[i] < 0 ? rows * width.divisor : row * width.divisor + column);
}

template <class T>
void add_maxima(const EmbeddingBagBwdArgs& a, Stream stream) {
  const int64_t n = a.bags.count * a.t.width, numbers = a.t.rows * a.t.width;
  *a.t.bad_index = -first_failure(OutsideMaxima{a.maxima, a.t.rows}, n, stream);
  if (*a.t.bad_index) return;
  T* const out = static_cast<T*>(a.g.out);
  set_zero(out, static_cast<size_t>(numbers) * sizeof(T), stream);
  RadixSort<uint64_t> sorted(1, n);
  launch(keys_of_maxima, blocks_for(n, kBlock), kBlock, 0, stream, a.maxima, n, a.t.rows, divide_by(a.t.width),
         sorted.keys());
  sorted.run(bits_below(numbers + 1), stream);
  const Addends<T> grads = {static_cast<const T*>(a.grad), nullptr, nullptr, nullptr};
  sum_lookups<T, uint64_t>({sorted.keys(), sorted.places(), n}, grads, {out, nullptr, numbers, false, false}, 1, n,
                           numbers, 1, stream);
}

template <class T, class I>
void add_bags(const EmbeddingBagBwdArgs& a, const I* index, Stream stream) {
  const DeviceScratch<int64_t> bag(a.bags.used);
  launch(find_bags, blocks_for(a.bags.used, kBlock), kBlock, 0, stream, a.bags, bag.get());
  const bool mean = a.bags.mode == BagMode::kMean;
  const DeviceScratch<T> scale(mean ? a.bags.count : 0);
  if (mean) launch(mean_scales<T, I>, blocks_for(a.bags.count, kBlock), kBlock, 0, stream, index, a.bags, scale.get());
  const Addends<T> grads = {static_cast<const T*>(a.grad), bag, static_cast<const T*>(a.bags.weights),
                            mean ? scale.get() : nullptr};
  add_to_table<T>(a.t, index, a.bags.used, grads, a.bags.count, a.g, FailureReport{nullptr}, stream);
}

template <class T, class I>
__global__ void __launch_bounds__(kBlock) weight_gradients(const T* grad, const T* weight, const I* index, Bags bags,
                                                           T* out, int64_t lookups, int64_t width) {
  const int64_t i = global_thread() / kWarp;
  if (i >= lookups) return;  // a whole warp
  const int64_t row = index[i];
  T sum = 0;
  if (i < bags.used && row != bags.padding) {
    const T* const g = grad + bag_of(bags, i) * width;
    const T* const w = weight + row * width;
    for (int64_t j = threadIdx.x % kWarp; j < width; j += kWarp) sum += g[j] * w[j];
  }
  sum = warp_sum(sum);
  if (threadIdx.x % kWarp == 0) out[i] = sum;
}

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void embedding_bag_fwd(const EmbeddingBagFwdArgs& a, Stream stream) {
  visit_checked_table(a.t, stream, [&](auto zero, auto index) {
    using T = decltype(zero);
    using I = std::remove_const_t<std::remove_pointer_t<decltype(index)>>;
    const T* const weight = static_cast<const T*>(a.weight);
    T* const out = static_cast<T*>(a.out);
    const int64_t numbers = a.bags.count * a.t.width;
    if (a.bags.mode == BagMode::kMax)
      return launch(maxima_of_bags<T, I>, blocks_for(numbers, kBlock), kBlock, 0, stream, weight, index, a.bags, out,
                    a.maxima, numbers, divide_by(a.t.width));
    if (numbers == 0) return;
    with_packs<kPack<T>>(lines_in_packs<T>(weight, out, a.t.width), [&](auto elements) {
      constexpr int N = decltype(elements)::value;
      const BagSums<T, I> p = {weight, index, a.bags, divide_by(a.t.width / N), out};
      if (a.bags.used < kLongBag * a.bags.count)
        return launch(sum_bags<T, N, I>, blocks_for(numbers / N, kBlock), kBlock, 0, stream, p, numbers / N);
      const Divider tiles = divide_by(ceil_div(p.packs.divisor, kWarp));
      launch(sum_long_bags<T, N, I>, blocks_for(a.bags.count * tiles.divisor, 1), kBlock, 0, stream, p, tiles);
    });
  });
}

void embedding_bag_bwd(const EmbeddingBagBwdArgs& a, Stream stream) {
  visit_checked_table(a.t, stream, [&](auto zero, auto index) {
    using T = decltype(zero);
    if (a.bags.mode == BagMode::kMax)
      add_maxima<T>(a, stream);
    else
      add_bags<T>(a, index, stream);
  });
}

void embedding_bag_weights(const EmbeddingBagWeightsArgs& a, Stream stream) {
  visit_checked_table(a.t, stream, [&](auto zero, auto index) {
    using T = decltype(zero);
    using I = std::remove_const_t<std::remove_pointer_t<decltype(index)>>;
    launch(weight_gradients<T, I>, blocks_for(a.t.count, kBlock / kWarp), kBlock, 0, stream,
           static_cast<const T*>(a.grad), static_cast<const T*>(a.weight), index, a.bags,
           static_cast<T*>(a.grad_weights), a.t.count, a.t.width);
  });
}

}  // namespace fastdl
