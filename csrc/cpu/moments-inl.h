// Mean and variance of channels, whose planes lie apart in memory, and the sums of their gradients: what normalisation
// over the batch and over groups share.
//
//   x (N, C, S)    [c0 c1 c2] [c0 c1 c2] ...        channel 1:  n0: c1 | n1: c1 | n2: c1 | ...
//                                                   pieces:     |____|____|____|____|__
//
// Pieces of kPiece numbers stay in the L2 cache: where a piece's mean comes from memory, its squared deviations come
// from there, so the variance is exact in two passes. Pieces are merged by Chan's formula in double.
#pragma once
#include "cpu/parallel.h"
#include "cpu/row_exp-inl.h"
#include "cpu/runs-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kPiece = 16384;            // numbers whose sum stays accurate, and long enough to be read in parts
constexpr int64_t kSample = 1024;            // numbers whose mean is near that of the others
constexpr int64_t kGrain = 32 * 1024;        // numbers of a chunk: some 20 microseconds
constexpr int64_t kManyChannels = 16;        // enough to share out whole
constexpr int64_t kPart = 4 * kPiece;        // of a channel, where there are fewer
constexpr int64_t kStreamedPlane = 512;      // shorter runs have too few whole lines
constexpr int64_t kAheadBytes = 448 * 1024;  // of a channel that leaves room for the next one in L2

// Asks for numbers of the next channel while one is written past the caches: on Zen 4 for L1, since requests for L2
// slow its stores down by more than the next walk gains. So they do on Zen 3, where batch_norm leaves them.
#if defined(FASTDL_ISA_avx512)
constexpr bool kAsksForNext = true;
FASTDL_INLINE void ask_for_next(const void* p) {
  __builtin_prefetch(p);
}
#else
constexpr bool kAsksForNext = false;
FASTDL_INLINE void ask_for_next(const void* p) {
  prefetch(p);
}
#endif

template <class T>
FASTDL_INLINE const T* as(const void* p) {
  return static_cast<const T*>(p);
}
template <class T>
FASTDL_INLINE T* as(void* p) {
  return static_cast<T*>(p);
}
FASTDL_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// ---- a channel as one row -------------------------------------------------------------------------------------------

struct Channel {
  int64_t first, step, plane, size;  // plane i begins at first + i * step
};

template <class Args>
FASTDL_INLINE Channel channel_of(const Args& a, int64_t c) {
  return {c * a.plane, a.channels * a.plane, a.plane, a.batch * a.plane};
}

// f(offset in x, numbers) for each contiguous run of [begin, end) of the channel.
template <class F>
FASTDL_INLINE void for_runs(const Channel& c, int64_t begin, int64_t end, F f) {
  int64_t plane = begin / c.plane, at = begin % c.plane;
  for (int64_t left = end - begin; left > 0; ++plane, at = 0) {
    const int64_t n = smaller(c.plane - at, left);
    f(c.first + plane * c.step + at, n);
    left -= n;
  }
}

// For all channels: results of all pieces, work(channel, begin, end, that of the pieces before or null), are merged and
// given to finish(channel, result); then write(channel, begin, end) does the pieces again, from the last one back.
template <class Result, class Args, class Work, class Finish, class Write>
FASTDL_INLINE void for_channels(const Args& a, Work work, Finish finish, Write write) {
  const int64_t size = a.batch * a.plane;
  auto results = [&](int64_t c, int64_t begin, int64_t end) FASTDL_BODY {
    Result all = work(c, begin, smaller(begin + kPiece, end), nullptr);
    for (int64_t i = begin + kPiece; i < end; i += kPiece) all = merge(all, work(c, i, smaller(i + kPiece, end), &all));
    return all;
  };
  auto write_back = [&](int64_t c, int64_t begin, int64_t end) FASTDL_BODY {
    for (int64_t i = begin + (end - begin - 1) / kPiece * kPiece; i >= begin; i -= kPiece)
      write(c, i, smaller(i + kPiece, end));
  };
  const int64_t part = a.channels < kManyChannels ? kPart : size, parts = (size + part - 1) / part;
  if (parts <= 1) {
    const int64_t small = kGrain / size + 1, large = a.channels / kManyChannels;
    parallel_for(a.channels, small > large ? small : large, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        finish(c, results(c, 0, size));
        write_back(c, 0, size);
      }
      store_fence();
    });
    return;
  }
  Scratch<Result> partial(a.channels * parts);
  parallel_for(a.channels * parts, 1, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) partial[i] = results(i / parts, i % parts * part, smaller(i % parts * part + part, size));
  });
  for (int64_t c = 0; c < a.channels; ++c) {
    Result all = partial[c * parts];
    for (int64_t i = 1; i < parts; ++i) all = merge(all, partial[c * parts + i]);
    finish(c, all);
  }
  parallel_for(a.channels * parts, 1, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) write_back(i / parts, i % parts * part, smaller(i % parts * part + part, size));
    store_fence();
  });
}

// ---- moments --------------------------------------------------------------------------------------------------------

struct Moments {
  double count, mean, m2;  // m2: sum of squared deviations from the mean
};

FASTDL_INLINE Moments merge(const Moments& a, const Moments& b) {
  const double count = a.count + b.count, apart = b.mean - a.mean, share = b.count / count;
  return {count, a.mean + apart * share, a.m2 + b.m2 + apart * apart * a.count * share};
}

// Sums of x - shift and of its square over a piece.
template <class T>
FASTDL_INLINE Moments moments_around(T shift, const T* x, const Channel& c, int64_t begin, int64_t end) {
  const double n = static_cast<double>(end - begin);
  Vec<T> deviation[kRunSums]{}, square[kRunSums]{};
  for_runs(c, begin, end, [&](int64_t at, int64_t size) FASTDL_BODY {
    accumulate_run<T>(size, [&](int k, int64_t i, auto left) FASTDL_BODY {
      const Vec<T> d = first_lanes<T>(load_some<T>(x + at + i, left) - shift, left);
      deviation[k] = in_place<T>(deviation[k] + d);
      square[k] += d * d;
    });
  });
  const double off = total<T>(deviation) / n, m2 = total<T>(square) - n * off * off;
  return {n, shift + off, m2 < 0 ? 0 : m2};
}

template <class T>
FASTDL_INLINE T rounded_mean(const T* x, const Channel& c, int64_t begin, int64_t end) {
  Vec<T> sum[kRunSums]{};
  for_runs(c, begin, end, [&](int64_t at, int64_t size) FASTDL_BODY {
    accumulate_run<T>(size, [&](int k, int64_t i, auto left)
                                FASTDL_BODY { sum[k] = in_place<T>(sum[k] + load_some<T>(x + at + i, left)); });
  });
  return total<T>(sum) / static_cast<T>(end - begin);
}

// The mean of the numbers before, or of the first ones, is near that of the piece as a rule, and then one walk is
// enough: less than half of the squares cancels. Otherwise the deviations are from the piece's own mean, which a walk
// of its own rounds; their sum says by how much, and corrects both moments.
template <class T>
static Moments piece_moments(const T* x, const Channel& c, int64_t begin, int64_t end, const Moments* before) {
  const T shift = before ? static_cast<T>(before->mean) : rounded_mean<T>(x, c, begin, smaller(begin + kSample, end));
  const Moments m = moments_around<T>(shift, x, c, begin, end);
  const double off = m.mean - shift;
  if (m.m2 >= m.count * off * off) return m;
  return moments_around<T>(rounded_mean<T>(x, c, begin, end), x, c, begin, end);
}

// ---- sums of gradients ----------------------------------------------------------------------------------------------

struct GradSums {
  double grad, moment;  // sums of grad and of grad * (x - mean)
};
FASTDL_INLINE GradSums merge(const GradSums& a, const GradSums& b) {
  return {a.grad + b.grad, a.moment + b.moment};
}

template <class T>
static GradSums piece_grad_sums(const T* g, const T* x, const Channel& c, T mean, int64_t begin, int64_t end) {
  Vec<T> sum[kRunSums]{}, moment[kRunSums]{};
  for_runs(c, begin, end, [&](int64_t at, int64_t size) FASTDL_BODY {
    accumulate_run<T, kRunSums, 1>(size, [&](int k, int64_t i, auto left) FASTDL_BODY {
      const Vec<T> v = load_some<T>(g + at + i, left);
      sum[k] += v;
      moment[k] += v * (load_some<T>(x + at + i, left) - mean);
    });
  });
  return {total<T>(sum), total<T>(moment)};
}

}  // namespace fastdl::FASTDL_ISA
