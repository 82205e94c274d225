// Greedy non-maximum suppression on the device: from the highest score on, a box goes if it overlaps a kept one.
//
// Boxes are put in the order of their scores, and taken in chunks of 1024. Of a chunk a bit mask is made, a word for
// each box and each group of 32 before it; one block goes over the groups and decides; then all later boxes are
// compared with what the chunk has kept:
//
//                 ranks -->                            mask of a chunk, bit i of word [g][t]: box 32 g + i of the
//   chunk 0       [mask, settle][ suppress later ...]  chunk overlaps its box t, which is of lower score
//   chunk 1                     [mask, settle][ ... ]
//
// So memory grows with n, not its square; nothing but the number of kept boxes goes to the host, once, at the end.
//
// Who owns what. Ranking: a thread a score, which it compares with a share of the others. Mask and suppression: a
// thread a box of lower score, a block 256 of them and one group. Settling: a warp a group, a thread a box.
// The limit is arithmetic, n^2 / 2 overlaps at most, and of a chunk 32 steps that follow each other, a barrier and a
// few ballots each.
#include "cuda/boxes.cuh"
#include "cuda/select.cuh"
#include "ops/nms/nms.h"

namespace fastdl {
namespace {

// ---- order by score -------------------------------------------------------------------------------------------------

// Whole numbers in the order of the scores: NaN is the highest and -0 equals 0.
__device__ inline int score_key(float score) {
  const int bits = score == 0 ? 0 : __float_as_int(score);
  return score != score ? 0x7fffffff : bits < 0 ? bits ^ 0x7fffffff : bits;
}
__device__ inline long long score_key(double score) {
  const long long bits = score == 0 ? 0 : __double_as_longlong(score);
  return score != score ? 0x7fffffffffffffff : bits < 0 ? bits ^ 0x7fffffffffffffff : bits;
}

constexpr int kShares = 64;  // at most, of the boxes that one is compared with

// rank[i] = boxes that come before i. n^2 comparisons of whole numbers, two instructions each: for the thousands of
// boxes that a detector gives that is one short launch, where a radix sort takes a dozen. Sums of whole numbers do not
// depend on the order of the atomics.
template <class T>
__global__ void __launch_bounds__(kBlock) count_better(const T* scores, int64_t n, int* rank) {
  using Key = decltype(score_key(T()));
  FASTDL_SHARED(Key, keys, [kBlock]);
  const int64_t i = global_thread();
  const Key own = score_key(i < n ? scores[i] : T(0));
  int better = 0;
  for (int64_t tile = blockIdx.y; tile * kBlock < n; tile += gridDim.y) {
    const int64_t first = tile * kBlock;
    const int count = static_cast<int>(min(n - first, int64_t{kBlock}));
    if (threadIdx.x < count) keys[threadIdx.x] = score_key(scores[first + threadIdx.x]);
    __syncthreads();
    // Of equal scores those before i are better: with those after it, one has to be greater.
    const int before = static_cast<int>(min(max(i - first, int64_t{0}), int64_t{count}));
    for (int j = 0; j < before; ++j) better += keys[j] >= own;
    for (int j = before; j < count; ++j) better += keys[j] > own;
    __syncthreads();
  }
  if (i < n && better) atomicAdd(rank + i, better);
}

template <class T>
struct RankedBoxes {
  T* boxes;          // (n, 4)
  int64_t* classes;  // or null
  int* order;        // which box has a rank
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    order_boxes(const T* boxes, const int64_t* classes, const int* rank, int64_t n, RankedBoxes<T> ranked) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t at = rank[i];
  store_pack(ranked.boxes + 4 * at, load_box(boxes, i));
  if (classes) ranked.classes[at] = classes[i];
  ranked.order[at] = static_cast<int>(i);
}

// ---- overlaps -------------------------------------------------------------------------------------------------------

constexpr int kChunk = 1024, kGroups = kChunk / kWordBits;

// The greatest T that is not above t: IoU > t is IoU > value, without double precision.
template <class T>
T greatest_up_to(double t) {
  const T value = static_cast<T>(t);
  return static_cast<double>(value) > t ? nextafter(value, -static_cast<T>(__builtin_huge_val())) : value;
}

template <class T>
struct Suppression {
  RankedBoxes<T> ranked;
  int64_t n;
  T threshold;
  unsigned *removed, *kept;  // a bit for each rank
};

// A group of boxes that others are compared with, in shared memory.
template <class T>
struct Group {
  T x1[kWordBits], y1[kWordBits], x2[kWordBits], y2[kWordBits], area[kWordBits];
  int64_t classes[kWordBits];
};

// By the threads of the first warp.
template <class T>
__device__ __forceinline__ void load_group(const Suppression<T>& s, int64_t group, Group<T>& to) {
  const int lane = threadIdx.x;
  const int64_t rank = group * kWordBits + lane;
  if (rank >= s.n) return;
  const Box<T> box = box_of(load_box(s.ranked.boxes, rank));
  to.x1[lane] = box.x1;
  to.y1[lane] = box.y1;
  to.x2[lane] = box.x2;
  to.y2[lane] = box.y2;
  to.area[lane] = box.area;
  if (s.ranked.classes) to.classes[lane] = s.ranked.classes[rank];
}

template <class T>
__device__ __forceinline__ bool exceeds(const Box<T>& a, const Box<T>& b, T threshold) {
  const T inter = intersection(a, b);
  // Most boxes lie apart: no division for them. (A negative threshold removes them too.)
  if (!(inter > 0) && threshold >= 0) return false;
  return inter / (a.area + b.area - inter) > threshold;
}

// Those of `bits` that overlap the box of a rank too much. The loop is the same for all threads.
template <class T>
__device__ __forceinline__ unsigned overlapping(const Suppression<T>& s, const Group<T>& group, unsigned bits,
                                                int64_t rank) {
  const Box<T> box = box_of(load_box(s.ranked.boxes, rank));
  const int64_t own = s.ranked.classes ? s.ranked.classes[rank] : 0;
  unsigned found = 0;
  for (; bits; bits &= bits - 1) {
    const int i = __ffs(static_cast<int>(bits)) - 1;
    if (s.ranked.classes && group.classes[i] != own) continue;
    const Box<T> other = {group.x1[i], group.y1[i], group.x2[i], group.y2[i], group.area[i]};
    if (exceeds(other, box, s.threshold)) found |= 1u << i;
  }
  return found;
}

// A bit for each box of a group that is there.
__device__ inline unsigned bits_of_group(int64_t n, int64_t group) {
  const int64_t count = n - group * kWordBits;
  return count >= kWordBits ? ~0u : (1u << count) - 1;
}

// Block (x, y): boxes 256 x ... of the chunk against its group y. Words of a group beyond a box's own are never read.
template <class T>
__global__ void __launch_bounds__(kBlock) mask_chunk(Suppression<T> s, int64_t first, unsigned* mask) {
  FASTDL_SHARED(Group<T>, group, [1]);
  const int64_t at = first / kWordBits + blockIdx.y;
  if (at * kWordBits >= s.n || blockIdx.y * kWordBits >= (blockIdx.x + 1) * kBlock) return;
  if (threadIdx.x < kWarp) load_group(s, at, group[0]);
  __syncthreads();
  const int own = blockIdx.x * kBlock + threadIdx.x, before = own - static_cast<int>(blockIdx.y) * kWordBits;
  if (before < 0 || first + own >= s.n) return;
  unsigned bits = bits_of_group(s.n, at) & ~s.removed[at];
  if (before < kWordBits) bits &= (1u << before) - 1;
  mask[blockIdx.y * kChunk + own] = overlapping(s, group[0], bits, first + own);
}

// ---- decisions ------------------------------------------------------------------------------------------------------

// Which boxes of a group stay. `open`: those that no box of an earlier group removed; `own`: the earlier boxes of the
// group that this lane's box overlaps. A round decides all boxes whose earlier ones are decided: the first open one
// always, and usually nearly all.
__device__ inline unsigned settle_group(unsigned open, unsigned own) {
  const int lane = threadIdx.x % kWarp;
  unsigned kept = 0;
  while (open) {
    const bool undecided = open >> lane & 1;
    kept |= __ballot_sync(kFullWarp, undecided && !(own & open));
    open = __ballot_sync(kFullWarp, undecided && (own & open) && !(own & kept));
  }
  return kept;
}

// One block. The next group's words are on their way while one is decided.
template <class T>
__global__ void __launch_bounds__(kChunk) settle_chunk(Suppression<T> s, int64_t first, const unsigned* mask) {
  FASTDL_SHARED(unsigned, kept, [kGroups]);
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int groups = static_cast<int>(min(ceil_div(s.n - first, kWordBits), int64_t{kGroups}));
  const bool there = first + threadIdx.x < s.n;
  bool open = there && !(s.removed[first / kWordBits + warp] >> lane & 1);
  unsigned next = there ? mask[threadIdx.x] : 0;
  for (int g = 0; g < groups; ++g) {
    const unsigned word = next;
    next = there && g < warp ? mask[(g + 1) * kChunk + threadIdx.x] : 0;
    if (g == warp) {
      const unsigned undecided = __ballot_sync(kFullWarp, open);
      const unsigned stay = settle_group(undecided, word);
      if (lane == 0) kept[g] = stay;
    }
    __syncthreads();
    if (g < warp) open &= !(word & kept[g]);
  }
  if (lane == 0 && warp < groups) s.kept[first / kWordBits + warp] = kept[warp];
}

// Block (x, y): boxes 256 x ... after the chunk against what group y of the chunk keeps. A warp is a word of bits.
template <class T>
__global__ void __launch_bounds__(kBlock) suppress_later(Suppression<T> s, int64_t first) {
  FASTDL_SHARED(Group<T>, group, [1]);
  const int64_t at = first / kWordBits + blockIdx.y;
  const unsigned bits = s.kept[at];
  if (bits == 0) return;
  if (threadIdx.x < kWarp) load_group(s, at, group[0]);
  __syncthreads();
  const int64_t rank = first + kChunk + global_thread();
  const bool goes = rank < s.n && overlapping(s, group[0], bits, rank);
  const unsigned word = __ballot_sync(kFullWarp, goes);
  if (word && threadIdx.x % kWarp == 0) atomicOr(s.removed + rank / kWordBits, word);
}

// ---- launcher -------------------------------------------------------------------------------------------------------

struct InOrder {
  const int* order;
  __device__ int64_t operator()(int64_t rank) const { return order[rank]; }
};

template <class T>
int64_t nms(const NmsArgs& p, Stream stream) {
  const int64_t n = p.n, words = words_of(n);
  const AlignedBoxes<T> given(p.boxes, n);
  const DeviceScratch<int> rank(n), order(n);
  const DeviceScratch<T> boxes(4 * n);
  const DeviceScratch<int64_t> classes(p.classes ? n : 0);
  const DeviceScratch<unsigned> removed(words), kept(words), mask(kGroups * kChunk);
  const RankedBoxes<T> ranked = {boxes, p.classes ? classes.get() : nullptr, order};
  set_zero(rank.get(), static_cast<size_t>(n) * sizeof(int), stream);
  set_zero(removed.get(), static_cast<size_t>(words) * sizeof(unsigned), stream);
  const unsigned blocks = blocks_for(n, kBlock);
  launch(count_better<T>, dim3(blocks, blocks < kShares ? blocks : kShares), kBlock, 0, stream,
         static_cast<const T*>(p.scores), n, rank.get());
  launch(order_boxes<T>, blocks, kBlock, 0, stream, static_cast<const T*>(given), p.classes, rank.get(), n, ranked);
  const Suppression<T> s = {ranked, n, greatest_up_to<T>(p.iou_threshold), removed, kept};
  for (int64_t first = 0; first < n; first += kChunk) {
    launch(mask_chunk<T>, dim3(kChunk / kBlock, kGroups), kBlock, 0, stream, s, first, mask.get());
    launch(settle_chunk<T>, 1, kChunk, 0, stream, s, first, mask.get());
    const int64_t later = n - first - kChunk;
    if (later > 0) launch(suppress_later<T>, dim3(blocks_for(later, kBlock), kGroups), kBlock, 0, stream, s, first);
  }
  return select_bits(kept, n, InOrder{order}, p.keep, stream);
}

}  // namespace

void nms_fwd(const NmsArgs& p, Stream stream) {
  *p.count = 0;
  if (p.n == 0) return;
  visit_float(p.dtype, [&](auto zero) { *p.count = nms<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
