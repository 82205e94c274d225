// Products of a matrix with few vectors (matrix-vector products, linear layers on a few rows): every number of the
// matrix is used only a few times, so the limit is memory bandwidth and packing would only add traffic.
//
//   thin_dots   W is lines x k, lines along k:   out[i][j] = dot(x[i], W[j])          several lines at a time share x
//   thin_sums   W is k x lines, lines across k:  out[i] += x[i][p] * W[p]             several p at a time share out[i]
//
// Lines of W are divided among threads; each output is summed by one thread in an order that only k decides.
#pragma once
#include <utility>

#include "cpu/parallel.h"
#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kThinVectors = 4;                    // x rows in registers together
constexpr int64_t kThinGrain = int64_t{64} << 10;  // numbers of W in a chunk, at least
// Lines of W in registers at a time, by the number of x rows: lines * rows accumulators.
#if defined(FASTDL_ISA_avx512)
constexpr int kThinLines[kThinVectors + 1] = {0, 16, 8, 6, 6};
#else
constexpr int kThinLines[kThinVectors + 1] = {0, 8, 4, 3, 3};
#endif

// out(i, j) at data + i * row + j * line, i of the vectors and j of the lines of W.
template <class T>
struct ThinOut {
  T* data;
  int64_t row, line;
};

// The sum of all lanes by halving: a chain of lanes - 1 additions would cost as much as a short product.
template <class T, int D, int... I>
FASTDL_INLINE T sum_halves(Vec<T> v, std::integer_sequence<int, I...> lanes) {
  v += __builtin_shufflevector(v, v, (I ^ D)...);
  if constexpr (D > 1)
    return sum_halves<T, D / 2>(v, lanes);
  else
    return v[0];
}
template <class T>
FASTDL_INLINE T sum_lanes(Vec<T> v) {
  return sum_halves<T, kLanes<T> / 2>(v, std::make_integer_sequence<int, kLanes<T>>{});
}

// W that comes from memory is fetched so far ahead, since the processor's own prefetchers follow eight lines at four
// fifths of the rate. How many lines and how far is a matter of the machine. A line of 25088 times 4096, GB/s:
//
//   lines, bytes ahead      16, 512    8, 512    8, 1024    4, 2048    2, 2048
//   Granite Rapids            18.3      19.0       19.5       19.8       20.7
//   Emerald Rapids            15.5                 14.5
//
// Eight are ahead of PyTorch on both. (Ahead into the next cache alone, the gain on Emerald Rapids is lost.)
constexpr int kFarLines = 8;                                       // for one x row
constexpr int64_t kThinAhead = 1024, kThinFar = int64_t{8} << 20;  // bytes; of a W that no level-2 cache holds

// R lines of W times M vectors (contiguous): R * M sums over the lanes of k. kFar: W comes from memory.
template <class T, int R, int M, bool kFar>
static void dot_tile(int64_t k, const T* __restrict w, int64_t ldw, const T* __restrict x, int64_t ldx, T* out,
                     int64_t row, int64_t line) {
  constexpr int L = kLanes<T>;
  Vec<T> sums[R][M];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sums[r][i] = Vec<T>{};
  }
  // R + M loads for R * M multiply-adds: from 4 x 4 on the limit is arithmetic even when W comes from memory.
  int64_t p = 0;
  for (; p + L <= k; p += L) {
    Vec<T> v[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) v[i] = load<T>(x + i * ldx + p);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec<T> u = load<T>(w + r * ldw + p);
      if (kFar && p * static_cast<int64_t>(sizeof(T)) % 64 == 0)
        __builtin_prefetch(w + r * ldw + p + kThinAhead / static_cast<int64_t>(sizeof(T)));
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sums[r][i] += u * v[i];
    }
  }
  // The last numbers of a line, with zeros for the lanes that are left. (All is the same for every R and M: the bits of
  // an output do not depend on its place in a tile.)
  if (const int rest = static_cast<int>(k - p); rest > 0) {
    Vec<T> v[M];
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) v[i] = load_n<T>(x + i * ldx + p, rest);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec<T> u = load_n<T>(w + r * ldw + p, rest);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) sums[r][i] += u * v[i];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) out[i * row + r * line] = sum_lanes<T>(sums[r][i]);
  }
}

// All lines for M vectors; the same sums in the same order in groups of any size.
template <class T, int M, bool kFar>
static void dot_lines(int64_t lines, int64_t k, const T* w, int64_t ldw, const T* x, int64_t ldx, ThinOut<T> out) {
  constexpr int R = kFar && M == 1 ? kFarLines : kThinLines[M];
  int64_t j = 0;
  // Each vector of x that is loaded serves R lines.
  for (; j + R <= lines; j += R)
    dot_tile<T, R, M, kFar>(k, w + j * ldw, ldw, x, ldx, out.data + j * out.line, out.row, out.line);
  // The last ones by halves: one after another, each would wait for its own additions.
  for (; R > 4 && j + 4 <= lines; j += 4)
    dot_tile<T, 4, M, kFar>(k, w + j * ldw, ldw, x, ldx, out.data + j * out.line, out.row, out.line);
  for (; R > 2 && j + 2 <= lines; j += 2)
    dot_tile<T, 2, M, kFar>(k, w + j * ldw, ldw, x, ldx, out.data + j * out.line, out.row, out.line);
  for (; j < lines; ++j)
    dot_tile<T, 1, M, kFar>(k, w + j * ldw, ldw, x, ldx, out.data + j * out.line, out.row, out.line);
}

template <class T, bool kFar>
static void dot_chunk(int64_t m, int64_t lines, int64_t k, const T* w, int64_t ldw, const T* x, int64_t ldx,
                      const ThinOut<T>& at) {
  switch (m) {
    case 1:
      return dot_lines<T, 1, kFar>(lines, k, w, ldw, x, ldx, at);
    case 2:
      return dot_lines<T, 2, kFar>(lines, k, w, ldw, x, ldx, at);
    case 3:
      return dot_lines<T, 3, kFar>(lines, k, w, ldw, x, ldx, at);
    default:
      return dot_lines<T, 4, kFar>(lines, k, w, ldw, x, ldx, at);
  }
}

// finish(first line, last line) runs when these lines are complete, for all vectors.
template <class T, class Finish>
static void thin_dots(int64_t m, int64_t lines, int64_t k, const T* w, int64_t ldw, const T* x, int64_t ldx,
                      const ThinOut<T>& out, const Finish& finish) {
  // Whole groups of lines, and a chunk of W that stays in L2 while the next vectors pass over it.
  const int64_t grain = (kThinGrain / k / kThinLines[1] + 1) * kThinLines[1];
  const bool far = lines * k * static_cast<int64_t>(sizeof(T)) >= kThinFar;
  parallel_for(lines, grain, [&](int64_t begin, int64_t end) {
    // Vectors in groups of four: W is read again for each group, from L2, where the chunk stays.
    for (int64_t i = 0; i < m; i += kThinVectors) {
      const ThinOut<T> at{out.data + i * out.row + begin * out.line, out.row, out.line};
      const auto chunk = far && i == 0 ? &dot_chunk<T, true> : &dot_chunk<T, false>;
      chunk(m - i, end - begin, k, w + begin * ldw, ldw, x + i * ldx, ldx, at);
    }
    finish(begin, end);
  });
}

constexpr int kThinSteps = 8;           // steps of k that share a pass over out
constexpr int64_t kThinColumns = 2048;  // of out in a chunk: stays in L1, and lines of W are read in long runs

// out[j] (+)= sum over S steps of x[p] * w[p][j].
// A pass of eight steps makes 10 accesses a vector of out where eight passes would make 24.
template <class T, int S>
static void add_steps(int64_t n, const T* __restrict w, int64_t ldw, const T* __restrict x, int64_t step,
                      T* __restrict out, bool accumulate) {
  constexpr int L = kLanes<T>;
  T scale[S];
#pragma GCC unroll 8
  for (int p = 0; p < S; ++p) scale[p] = x[p * step];
  int64_t j = 0;
  for (; j + L <= n; j += L) {
    Vec<T> sum = accumulate ? load<T>(out + j) : Vec<T>{};
#pragma GCC unroll 8
    for (int p = 0; p < S; ++p) sum += scale[p] * load<T>(w + p * ldw + j);
    store<T>(out + j, sum);
  }
  for (; j < n; ++j) {
    T sum = accumulate ? out[j] : T{};
#pragma GCC unroll 8
    for (int p = 0; p < S; ++p) sum += scale[p] * w[p * ldw + j];
    out[j] = sum;
  }
}

// out (one vector, contiguous) = x^T W; finish as above.
template <class T, class Finish>
static void thin_sums(int64_t lines, int64_t k, const T* w, int64_t ldw, const T* x, int64_t step, T* out,
                      const Finish& finish) {
  // Chunks are multiples of 64 columns, so that threads hardly share a cache line of out.
  const int64_t few = (kThinGrain / k / 64 + 1) * 64;
  parallel_for(lines, few > kThinColumns ? few : kThinColumns, [&](int64_t begin, int64_t end) {
    // All of k for some columns, then the next: the sums stay in L1 until they are complete.
    for (int64_t j = begin; j < end; j += kThinColumns) {
      const int64_t n = end - j < kThinColumns ? end - j : kThinColumns;
      int64_t p = 0;
      for (; p + kThinSteps <= k; p += kThinSteps)
        add_steps<T, kThinSteps>(n, w + p * ldw + j, ldw, x + p * step, step, out + j, p > 0);
      for (; p < k; ++p) add_steps<T, 1>(n, w + p * ldw + j, ldw, x + p * step, step, out + j, p > 0);
    }
    finish(begin, end);
  });
}

}  // namespace fastdl::FASTDL_ISA
