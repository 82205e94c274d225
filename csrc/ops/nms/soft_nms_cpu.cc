// Soft-NMS on the CPU: the boxes that overlap the one just taken lose score instead of their place.
//
// Boxes without intersection keep their scores, so a step need only look at boxes near the one taken. Boxes are sorted
// by x1 into blocks of kLanes, each with the bounds of its boxes along x and its best score:
//
//   block   x1 y1 x2 y2 area score index [kLanes]      low = least x1, high = greatest x2, best, best_index
//
// A step finds the best block, then decays the blocks whose bounds meet the box taken and finds their best anew. What
// has been taken, or fell below the score threshold, has a score of minus infinity.
//
// One thread owns it all: each step depends on the one before.
#include "cpu/boxes-inl.h"
#include "cpu/math-inl.h"
#include "cpu/radix_sort-inl.h"
#include "ops/nms/nms.h"

namespace fastdl::FASTDL_ISA {

template <class T>
constexpr T kGone = -static_cast<T>(__builtin_inf());

template <class T>
struct ScoredBlock {
  BoxVec<T> box;
  Vec<T> score;
  Mask<T> index;
};

// What the search for the best block reads, apart from the blocks.
template <class T>
struct Summaries {
  T *low, *high, *best;
  int32_t* best_index;
};

template <class T>
FASTDL_INLINE void summarize(const ScoredBlock<T>& block, const Summaries<T>& s, int64_t at) {
  const T best = tree_max<T>(block.score);
  const Mask<T> holds = block.score == broadcast<T>(best);
  int64_t index = INT32_MAX;
  for (int i = 0; i < kLanes<T>; ++i) index = holds[i] && block.index[i] < index ? block.index[i] : index;
  s.best[at] = best;
  s.best_index[at] = static_cast<int32_t>(index);
}

template <class T>
FASTDL_INLINE Vec<T> decay(const SoftNmsArgs& a, Vec<T> iou) {
  const Vec<T> one = broadcast<T>(1);
  if (a.decay == Decay::kLinear) return select<T>(iou > static_cast<T>(a.iou_threshold), one - iou, one);
  return select<T>(iou == iou, vexp<T>(-iou * iou / static_cast<T>(a.sigma)), one);
}

// True if a score of the block changed.
template <class T>
static bool decay_block(const SoftNmsArgs& a, const BoxVec<T>& taken, ScoredBlock<T>& block) {
  const Vec<T> inter = intersection<T>(taken, block.box);
  if (!any_lane<T>(inter > T{0})) return false;
  const Vec<T> score = block.score * decay<T>(a, inter / (taken.area + block.box.area - inter));
  block.score = select<T>(score >= static_cast<T>(a.score_threshold), score, broadcast<T>(kGone<T>));
  return true;
}

// The block with the best score, and among equal ones the one whose box came first; -1 when all are gone.
template <class T>
static int64_t best_block(const Summaries<T>& s, int64_t blocks) {
  Vec<T> top = broadcast<T>(kGone<T>);
  for (int64_t i = 0; i < blocks; i += kLanes<T>) {
    const Vec<T> v = load<T>(s.best + i);
    top = select<T>(v > top, v, top);
  }
  const T best = tree_max<T>(top);
  if (best == kGone<T>) return -1;
  int64_t found = -1;
  for (int64_t i = 0; i < blocks; i += kLanes<T>) {
    if (!any_lane<T>(load<T>(s.best + i) == broadcast<T>(best))) continue;
    for (int64_t k = i; k < i + kLanes<T>; ++k)
      if (s.best[k] == best && (found < 0 || s.best_index[k] < s.best_index[found])) found = k;
  }
  return found;
}

// Fills blocks in the order of x1. Lanes without a box hold NaN, which overlaps nothing, and no score.
template <class T>
static void fill_blocks(const SoftNmsArgs& a, ScoredBlock<T>* blocks, int64_t count, const Summaries<T>& s) {
  using Key = SortKey<T>;
  const T *boxes = static_cast<const T*>(a.boxes), *scores = static_cast<const T*>(a.scores);
  Scratch<Keyed<Key>> items(a.n), spare(a.n);
  for (int64_t i = 0; i < a.n; ++i) items[i] = {sort_key<T>(boxes[4 * i]), static_cast<int32_t>(i)};
  const Keyed<Key>* sorted = radix_sort<Key>(items, spare, a.n);
  const T infinity = static_cast<T>(__builtin_inf()), nan = static_cast<T>(__builtin_nan(""));
  for (int64_t b = 0; b < count; ++b) {
    ScoredBlock<T> block{broadcast_box<T>(nan, nan, nan, nan, nan), broadcast<T>(kGone<T>), {}};
    T low = infinity, high = -infinity;
    for (int lane = 0; lane < kLanes<T> && b * kLanes<T> + lane < a.n; ++lane) {
      const int32_t i = sorted[b * kLanes<T> + lane].index;
      const T* box = boxes + 4 * int64_t{i};
      block.box.x1[lane] = box[0], block.box.y1[lane] = box[1], block.box.x2[lane] = box[2];
      block.box.y2[lane] = box[3], block.box.area[lane] = box_area<T>(box);
      block.score[lane] = scores[i] >= static_cast<T>(a.score_threshold) ? scores[i] : kGone<T>;
      block.index[lane] = i;
      low = box[0] < low ? box[0] : low, high = box[2] > high ? box[2] : high;
    }
    blocks[b] = block;
    s.low[b] = low, s.high[b] = high;
    summarize<T>(blocks[b], s, b);
  }
}

template <class T>
static int64_t soft_nms(const SoftNmsArgs& a) {
  const int64_t count = (a.n + kLanes<T> - 1) / kLanes<T>, padded = (count + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
  Scratch<ScoredBlock<T>> blocks(count);
  Scratch<T> bounds(3 * padded);
  Scratch<int32_t> best_index(padded);
  const Summaries<T> s{bounds, bounds + padded, bounds + 2 * padded, best_index};
  for (int64_t b = count; b < padded; ++b) s.best[b] = kGone<T>;
  fill_blocks<T>(a, blocks, count, s);
  int64_t taken = 0;
  for (int64_t at; (at = best_block<T>(s, padded)) >= 0; ++taken) {
    const int32_t index = s.best_index[at];
    a.keep[taken] = index;
    static_cast<T*>(a.new_scores)[taken] = s.best[at];
    const T* box = static_cast<const T*>(a.boxes) + 4 * int64_t{index};
    const BoxVec<T> chosen = broadcast_box<T>(box[0], box[1], box[2], box[3], box_area<T>(box));
    // Infinite scores: the index must match in a lane whose score is the best, for free lanes have index 0.
    for (int lane = 0; lane < kLanes<T>; ++lane)
      if (blocks[at].index[lane] == index && blocks[at].score[lane] == s.best[at]) blocks[at].score[lane] = kGone<T>;
    for (int64_t b = 0; b < count && !(s.low[b] >= box[2]); ++b)
      if (s.high[b] > box[0] && s.best[b] != kGone<T> && decay_block<T>(a, chosen, blocks[b]) && b != at)
        summarize<T>(blocks[b], s, b);
    summarize<T>(blocks[at], s, at);
  }
  return taken;
}

void soft_nms_fwd(const SoftNmsArgs& a) {
  *a.count = 0;
  if (a.n == 0) return;
  visit_float(a.dtype, [&](auto zero) { *a.count = soft_nms<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
