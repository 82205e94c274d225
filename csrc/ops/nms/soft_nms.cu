// Soft-NMS on the device: the box of the highest score is taken and lowers the scores of those that overlap it, until
// none is left.
//
// Each step depends on the one before, and there may be as many as boxes: one block goes through all of them in one
// launch, with no wait for the host between. A thread owns the boxes threadIdx.x, threadIdx.x + threads, ...: in one
// pass it lowers their scores and looks for the best, so that a step is a pass over the boxes, which lie in the L1
// cache, and one reduction over the block. What has been taken, or fell below the score threshold, has a score of minus
// infinity. The limit is the latency of a step.
#include "cuda/boxes.cuh"
#include "cuda/reduce.cuh"
#include "ops/nms/nms.h"

namespace fastdl {
namespace {

constexpr int kMostThreads = 1024;

template <class T>
constexpr T kGone = -static_cast<T>(__builtin_huge_val());

// A score and whose it is; as wide as each other, so that nothing of a Candidate stays unwritten in shared memory.
template <class T>
struct Candidate {
  T score;
  std::conditional_t<sizeof(T) == 8, int64_t, int32_t> index;

  __device__ static Candidate none() { return {kGone<T>, 0x7fffffff}; }
};
// The first of equal ones.
struct Better {
  template <class T>
  __device__ Candidate<T> operator()(const Candidate<T>& a, const Candidate<T>& b) const {
    return a.score > b.score || (a.score == b.score && a.index < b.index) ? a : b;
  }
};

template <class T>
struct SoftNms {
  const T *boxes, *scores;
  int n;
  bool linear;
  T iou_threshold, sigma, score_threshold;
  T* live;  // (n): the scores as they are now
  int64_t *keep, *count;
  T* new_scores;

  // What a score is worth: nothing below the threshold, and if it is NaN.
  __device__ T worth(T score) const { return score >= score_threshold ? score : kGone<T>; }
  __device__ T decay(T iou) const {
    if (linear) return iou > iou_threshold ? 1 - iou : T(1);
    return iou == iou ? exp(-iou * iou / sigma) : T(1);
  }
};

template <class T>
__device__ Candidate<T> first_best(const SoftNms<T>& s) {
  Candidate<T> best = Candidate<T>::none();
  for (int i = threadIdx.x; i < s.n; i += blockDim.x) {
    const T score = s.worth(s.scores[i]);
    s.live[i] = score;
    best = Better{}(best, Candidate<T>{score, i});
  }
  return best;
}

// Lowers this thread's scores and returns the best of them.
template <class T>
__device__ Candidate<T> lower_scores(const SoftNms<T>& s, int taken) {
  const Box<T> chosen = box_of(load_box(s.boxes, taken));
  Candidate<T> best = Candidate<T>::none();
  for (int i = threadIdx.x; i < s.n; i += blockDim.x) {
    T score = s.live[i];
    if (score == kGone<T>) continue;
    if (i == taken) {
      s.live[i] = kGone<T>;
      continue;
    }
    const Box<T> box = box_of(load_box(s.boxes, i));
    const T inter = intersection(chosen, box);
    score = s.worth(score * s.decay(inter / (chosen.area + box.area - inter)));
    s.live[i] = score;
    best = Better{}(best, Candidate<T>{score, i});
  }
  return best;
}

template <class T>
__global__ void __launch_bounds__(kMostThreads) take_in_turn(SoftNms<T> s) {
  Candidate<T> best = first_best(s);
  int64_t count = 0;
  while (true) {
    best = block_reduce(best, Better{}, Candidate<T>::none());
    if (best.score == kGone<T>) break;  // all threads alike
    if (threadIdx.x == 0) {
      s.keep[count] = best.index;
      s.new_scores[count] = best.score;
    }
    ++count;
    best = lower_scores(s, static_cast<int>(best.index));
  }
  if (threadIdx.x == 0) *s.count = count;
}

template <class T>
int64_t soft_nms(const SoftNmsArgs& p, Stream stream) {
  const AlignedBoxes<T> boxes(p.boxes, p.n);
  const DeviceScratch<T> live(p.n);
  const DeviceScratch<int64_t> count(1);
  const SoftNms<T> s = {boxes,
                        static_cast<const T*>(p.scores),
                        static_cast<int>(p.n),
                        p.decay == Decay::kLinear,
                        static_cast<T>(p.iou_threshold),
                        static_cast<T>(p.sigma),
                        static_cast<T>(p.score_threshold),
                        live,
                        p.keep,
                        count,
                        static_cast<T*>(p.new_scores)};
  // Few warps wait for each other faster than many.
  launch(take_in_turn<T>, 1, p.n <= kBlock ? kBlock : kMostThreads, 0, stream, s);
  int64_t taken = 0;
  copy_to_host(&taken, count.get(), sizeof taken);
  return taken;
}

}  // namespace

void soft_nms_fwd(const SoftNmsArgs& p, Stream stream) {
  *p.count = 0;
  if (p.n == 0) return;
  visit_float(p.dtype, [&](auto zero) { *p.count = soft_nms<decltype(zero)>(p, stream); });
}

}  // namespace fastdl
