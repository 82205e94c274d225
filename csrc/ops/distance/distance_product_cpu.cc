// Euclidean distances of many rows, and their gradients, by way of matrix products: a multiply-add for a column of a
// pair where the definition (distance_cpu.cc) takes a subtraction too, and the tiles and blocks of a product.
//
//   forward     d^2 = s - 2 x y with s = |x|^2 + |y|^2
//   gradient    grad_x = x sum_j w_j - sum_j w_j y_j with w_j = grad_j / d_j
//
// Both differences lose digits where d^2 is small beside s. Two measures keep the results as good as the definition's.
// All rows are moved so that a point amid those of y is the origin: distances do not change, a common offset (images of
// 0 to 255, rows after ReLU) no longer counts, and s is about d^2 for most pairs. And pairs without d^2 > kClose s,
// close ones, are computed by the definition from the rows as they were given; so are pairs with an infinity or a NaN,
// and those whose s overflows or comes near denormal numbers. Sets with many close pairs go by the definition as a
// whole.
//
// Error. Let s be wrong by e s: the rounding of moved rows, of norms and of the product. Then d^2 is wrong by at most
// e / kClose, 4 e, and d by 2 e, relative to itself. (README.md has measured errors.) A result depends on its two rows
// and the origin alone, not on its place: cdist(x, x) is symmetric.
//
// Who owns what. Forward: the tasks of the product own tiles of the matrix, and finish them while they are in L1.
// Gradient: a chunk owns rows of it and goes over the other set in blocks; the weights of rows times block lie in L2.
#include "cpu/gemm-inl.h"
#include "cpu/math-inl.h"
#include "cpu/shuffle-inl.h"
#include "ops/distance/distance.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kChunkSteps = 1 << 20;  // vectors of pairs and columns in a chunk
constexpr int64_t kChunkRows = 112;       // rows of the gradient in a chunk at most: whole tiles of a product
constexpr int64_t kAhead = 4;             // rows of transposed matrices that are fetched ahead
constexpr int64_t kBlockRows = 512;       // of the other set: 112 x 512 weights are a quarter of L2

template <class T>
FASTDL_INLINE Vec<T> close_below(Vec<T> s) {
  return s * kClose<T> + kLeast<T>;
}
template <class T>
FASTDL_INLINE bool is_finite(T x) {
  return x - x == T{0};
}

// ---- rows around the origin -----------------------------------------------------------------------------------------

template <class T>
static void find_origin(const T* y, int64_t rows, int64_t width, T* origin) {
  for (int64_t k = 0; k < width; k += kLanes<T>) {
    Vec<T> mean[kOriginGroups] = {};
    for (int64_t i = 0; i < kOriginRows; ++i)
      for (int64_t group = 0; group < kOriginGroups; ++group)
        mean[group] += load_some<T>(y + origin_row(group, i, rows) * width + k, width - k);
    const Mask<T> first = mean[0] < mean[1];
    const Vec<T> low = select<T>(first, mean[0], mean[1]), high = select<T>(first, mean[1], mean[0]);
    const Vec<T> below = select<T>(high < mean[2], high, mean[2]), middle = select<T>(low > below, low, below);
    store<T>(origin + k, select<T>(middle - middle == T{0}, middle * (T{1} / kOriginRows), Vec<T>{}));
  }
}

// A set of rows minus the origin, padded with zeros to `pitch` columns, and their squared norms. Rows that are not
// finite, or whose norm is not, are zeros here and keep their norm: so all their pairs are close, and products of
// their neighbours stay finite.
template <class T>
struct Moved {
  __attribute__((always_inline)) Moved(const T* given, int64_t n, int64_t columns, int64_t padded, const T* origin)
      : width(columns), pitch(padded), rows(n * padded), norms(n + kLanes<T>) {
    parallel_for(n, kChunkSteps / padded + 1, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) norms[r] = move(given + r * width, origin, rows + r * pitch);
    });
  }
  int64_t width, pitch;
  Scratch<T> rows, norms;  // norms may be loaded a vector past the end

 private:
  __attribute__((always_inline)) T move(const T* from, const T* origin, T* to) const {
    Vec<T> squares{};
    for (int64_t k = 0; k < pitch; k += kLanes<T>) {
      const Vec<T> v = load_some<T>(from + k, width - k) - load<T>(origin + k);
      store<T>(to + k, v);
      squares += v * v;
    }
    const T norm = tree_sum<T>(squares);
    for (int64_t k = 0; !is_finite(norm) && k < pitch; k += kLanes<T>) store<T>(to + k, Vec<T>{});
    return norm;
  }
};

template <class T>
FASTDL_INLINE int64_t padded_width(int64_t width) {
  return ceil_div(width, kLanes<T>) * kLanes<T>;
}

// Whether many pairs are close, by a sample: then the definition is faster from the start. Of the first sets of a
// batch, and not of small ones, where looking would take as long.
template <class T>
static bool many_close(const DistanceGeometry& g, const void* rows_x, const void* rows_y) {
  if (g.rows_x * g.rows_y < kLeastPairs) return false;
  const T *const first_x = static_cast<const T*>(rows_x), *const first_y = static_cast<const T*>(rows_y);
  Scratch<T> origin(padded_width<T>(g.width));
  find_origin<T>(first_y, g.rows_y, g.width, origin);
  int64_t close = 0;
  for (int64_t i = 0; i < kSample; ++i) {
    for (int64_t j = 0; j < kSample; ++j) {
      const T* const x = first_x + sampled_row_x(i, g.rows_x) * g.width;
      const T* const y = first_y + sampled_row_y(j, g.rows_y) * g.width;
      Vec<T> squares{}, sizes{};
      for (int64_t k = 0; k < g.width; k += kLanes<T>) {
        const Vec<T> xk = load_some<T>(x + k, g.width - k), yk = load_some<T>(y + k, g.width - k);
        const Vec<T> dx = xk - load<T>(origin + k), dy = yk - load<T>(origin + k);
        squares += (xk - yk) * (xk - yk);
        sizes += dx * dx + dy * dy;
      }
      close += !(tree_sum<T>(squares) > tree_sum<T>(sizes) * kClose<T> + kLeast<T>);
    }
  }
  return close > kSample * kSample / kManyShare;
}

constexpr int kPastList = 16;
// Appends first + i for each lane i < n of a mask: without branches, which would be hard to foretell. The list has room
// for kPastList more.
template <class T>
FASTDL_INLINE int append_lanes(Mask<T> lanes, int64_t n, int first, int* list, int count) {
  const unsigned some = n < kLanes<T> ? (1u << n) - 1 : (1u << kLanes<T>)-1;
#if defined(FASTDL_ISA_avx512)
  const __m512i places = (__m512i)(lane_numbers<float>() + first);
  if constexpr (sizeof(T) == 4) {
    const unsigned set = _mm512_movepi32_mask((__m512i)lanes) & some;
    _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(static_cast<__mmask16>(set), places));
    return count + __builtin_popcount(set);
  } else {
    const unsigned set = _mm512_movepi64_mask((__m512i)lanes) & some;
    _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(static_cast<__mmask16>(set), places));
    return count + __builtin_popcount(set);
  }
#else
  for (int i = 0; i < kLanes<T>; ++i) {
    list[count] = first + i;
    count += static_cast<int>(lanes[i] & (some >> i) & 1);
  }
  return count;
#endif
}

// ---- forward --------------------------------------------------------------------------------------------------------

// Square roots of numbers that are neither 0 nor infinite, to a unit in the last place; others get what they get.
template <class T>
FASTDL_INLINE Vec<T> root_of_ordinary(Vec<T> x) {
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4) {
    // An estimate to 14 bits and a step of Newton's: the instruction would take as long as 24 multiply-adds.
    const Vec<float> r = (Vec<float>)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)x);
    const Vec<float> root = x * r, half = r * 0.5f;
    return root + (x - root * root) * half;
  }
#endif
  return vsqrt<T>(x);
}

// The sums of the lanes of four vectors, all in the same order.
constexpr int kTogether = 4;
template <class T>
FASTDL_INLINE void sum_together(const Vec<T> (&v)[kTogether], T* sums) {
  if constexpr (kLanes<T> < kTogether) {
    for (int i = 0; i < kTogether; ++i) sums[i] = tree_sum<T>(v[i]);
  } else {
    const auto fold = [](Vec<T> a, Vec<T> b) FASTDL_BODY { return even_lanes<T>(a, b) + odd_lanes<T>(a, b); };
    Vec<T> all = fold(fold(v[0], v[1]), fold(v[2], v[3]));
    for (int left = kLanes<T> / kTogether; left > 1; left /= 2) all = fold(all, all);
    __builtin_memcpy(sums, &all, kTogether * sizeof(T));
  }
}

// Four distances by the definition, lanes along the columns. Place r * kTileColumns + j: row r of x, row j of y.
template <class T>
constexpr int kTileColumns = kTallTile.vecs * kLanes<T>;
template <class T>
FASTDL_INLINE void define_distances(const T* x, const T* y, int64_t width, const int* places, T* out, int64_t ldc) {
  constexpr int C = kTileColumns<T>;
  const T *from_x[kTogether], *from_y[kTogether];
#pragma GCC unroll 4
  for (int i = 0; i < kTogether; ++i) from_x[i] = x + places[i] / C * width, from_y[i] = y + places[i] % C * width;
  Vec<T> squares[kTogether] = {};
  int64_t k = 0;
  for (; k + kLanes<T> <= width; k += kLanes<T>) {
#pragma GCC unroll 4
    for (int i = 0; i < kTogether; ++i) {
      const Vec<T> d = load<T>(from_x[i] + k) - load<T>(from_y[i] + k);
      squares[i] += d * d;
    }
  }
  if (const int rest = static_cast<int>(width - k)) {
#pragma GCC unroll 4
    for (int i = 0; i < kTogether; ++i) {
      const Vec<T> d = load_n<T>(from_x[i] + k, rest) - load_n<T>(from_y[i] + k, rest);
      squares[i] += d * d;
    }
  }
  T sums[kTogether];
  sum_together<T>(squares, sums);
#pragma GCC unroll 4
  for (int i = 0; i < kTogether; ++i)
    out[places[i] / C * ldc + places[i] % C] = sizeof(T) == 4 ? __builtin_sqrtf(sums[i]) : __builtin_sqrt(sums[i]);
}

// Distances from the products in a tile. x, y: the rows as given.
template <class T>
static void finish_tile(T* tile, int64_t ldc, int rows, int columns, const T* norms_x, const T* norms_y, const T* x,
                        const T* y, int64_t width) {
  constexpr int L = kLanes<T>, C = kTileColumns<T>;
  int places[kTallTile.rows * C + kPastList], count = 0;
  for (int r = 0; r < rows; ++r) {
    for (int j = 0; j < columns; j += L) {
      T* const out = tile + r * ldc + j;
      const Vec<T> s = load<T>(norms_y + j) + norms_x[r];
      const Vec<T> squares = s - load_some<T>(out, columns - j) * T{2};
      store_some<T>(out, root_of_ordinary<T>(squares), columns - j);
      const Mask<T> close = ~(squares > close_below<T>(s));
      if (__builtin_expect(any_lane<T>(close), 0))
        count = append_lanes<T>(close, columns - j, r * C + j, places, count);
    }
  }
  if (count == 0) return;
  for (int i = 0; i < kTogether; ++i) places[count + i] = places[count - 1];  // the last ones once more
  for (int i = 0; i < count; i += kTogether) define_distances<T>(x, y, width, places + i, tile, ldc);
}

template <class T>
static void product_distances(const DistanceGeometry& g, const GemmPlan& plan, const T* x, const T* y, T* out) {
  const int64_t pitch = padded_width<T>(g.width);
  Scratch<T> origin(pitch);
  find_origin<T>(y, g.rows_y, g.width, origin);
  const Moved<T> mx(x, g.rows_x, g.width, pitch, origin), my(y, g.rows_y, g.width, pitch, origin);
  gemm<T>(plan, {mx.rows, pitch, true}, {my.rows, pitch, true}, out, g.rows_y,
          [&](T* tile, int64_t ldc, int64_t row, int rows, int64_t column, int columns) FASTDL_BODY {
            finish_tile<T>(tile, ldc, rows, columns, mx.norms + row, my.norms + column, x + row * g.width,
                           y + column * g.width, g.width);
          });
}

void distance_product_fwd(const DistanceFwdArgs& a) {
  const DistanceGeometry& g = a.g;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (many_close<T>(g, a.x, a.y)) return distance_defined_fwd(a);
    GemmPlan plan = plan_gemm<T>(g.rows_x, g.rows_y, g.width, true, padded_width<T>(g.width));
    plan.amx = false;  // whose products are not the same to the bit with operands exchanged
    // Products that are one task each are shared out whole.
    const int64_t grain = plan.one_task ? kChunkSteps * kLanes<T> / (g.rows_x * g.rows_y * g.width) + 1 : g.batch;
    parallel_for(g.batch, grain, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        product_distances<T>(g, plan, static_cast<const T*>(a.x) + b * g.rows_x * g.width,
                             static_cast<const T*>(a.y) + b * g.rows_y * g.width,
                             static_cast<T*>(a.out) + b * g.rows_x * g.rows_y);
    });
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// The gradient of the rows of x in one batch. A pair (i, j) of rows of x and y is at grad[i * row_step + j *
// column_step] and out, one of the steps is 1.
template <class T>
struct GradientOf {
  const T *grad, *out, *x, *y;
  int64_t rows_y, width, row_step, column_step;
  const Moved<T>&mx, &my;
};

// g / d for ordinary d, to an epsilon; NaN or infinite for others.
template <class T>
FASTDL_INLINE Vec<T> quotient_by_ordinary(Vec<T> g, Vec<T> d) {
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4) {
    const Vec<float> r = (Vec<float>)_mm512_maskz_rcp14_ps(0xffff, (__m512)d), one = broadcast<float>(1);
    return g * (r + r * (one - d * r));
  }
#endif
  return g / d;
}

// Pieces of rows are too short for the processor's own prefetchers.
template <class T>
FASTDL_INLINE void fetch_pairs(const T* grad, const T* out) {
  __builtin_prefetch(grad);
  __builtin_prefetch(out);
}

// The weights of pairs that are not close, and which lanes are.
template <class T>
FASTDL_INLINE Vec<T> weigh(const T* grad, const T* out, int64_t n, Vec<T> s, Mask<T>& close) {
  const Vec<T> d = load_some<T>(out, n), w = quotient_by_ordinary<T>(load_some<T>(grad, n), d);
  close = ~((d * d > close_below<T>(s)) & (w - w == T{0}));
  return select<T>(close, Vec<T>{}, w);
}

// A close pair by the definition: w (x - y), 0 at distance 0.
template <class T>
FASTDL_INLINE void add_pair(const GradientOf<T>& of, int64_t i, int64_t j, T* sums) {
  const int64_t at = i * of.row_step + j * of.column_step, width = of.width;
  if (of.out[at] == T{0}) return;
  const T w = of.grad[at] / of.out[at];
  const T *const x = of.x + i * width, *const y = of.y + j * width;
  int64_t k = 0;
  for (; k + kLanes<T> <= width; k += kLanes<T>)
    store<T>(sums + k, load<T>(sums + k) + (load<T>(x + k) - load<T>(y + k)) * w);
  if (const int rest = static_cast<int>(width - k))
    store<T>(sums + k, load<T>(sums + k) + (load_n<T>(x + k, rest) - load_n<T>(y + k, rest)) * w);
}

// Weights of `rows` rows of x from `first` on and `columns` of y from `from` on, as they lie in the matrix: w[i * ld +
// j], or w[j * ld + i] where rows of x are columns of it. totals: their sums over y; near: rows of pitch numbers, what
// close pairs add to the gradient.
template <class T>
static void weigh_rows(const GradientOf<T>& of, int64_t first, int64_t rows, int64_t from, int64_t columns, T* w,
                       int64_t ld, T* totals, T* near) {
  const T* const norms = of.my.norms + from;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t at = (first + i) * of.row_step + from, next = of.row_step;
    const T *const grad = of.grad + at, *const out = of.out + at;
    const Vec<T> norm = broadcast<T>(of.mx.norms[first + i]);
    Vec<T> total{};
    for (int64_t j = 0; j < columns; j += kLanes<T>) {
      fetch_pairs<T>(grad + j + next, out + j + next);
      Mask<T> close;
      const Vec<T> v = weigh<T>(grad + j, out + j, columns - j, load<T>(norms + j) + norm, close);
      store<T>(w + i * ld + j, v);
      total += v;
      if (__builtin_expect(!any_lane<T>(close), 1)) continue;
      int lanes[kLanes<T> + kPastList];
      const int count = append_lanes<T>(close, columns - j, 0, lanes, 0);
      for (int c = 0; c < count; ++c) add_pair<T>(of, first + i, from + j + lanes[c], near + i * of.mx.pitch);
    }
    totals[i] += tree_sum<T>(total);
  }
}
template <class T>
static void weigh_columns(const GradientOf<T>& of, int64_t first, int64_t rows, int64_t from, int64_t columns, T* w,
                          int64_t ld, T* totals, T* near) {
  const T* const norms = of.mx.norms + first;
  for (int64_t j = 0; j < columns; ++j) {
    const int64_t at = (from + j) * of.column_step + first, next = kAhead * of.column_step;
    const T *const grad = of.grad + at, *const out = of.out + at;
    const Vec<T> norm = broadcast<T>(of.my.norms[from + j]);
    for (int64_t i = 0; i < rows; i += kLanes<T>) {
      fetch_pairs<T>(grad + i + next, out + i + next);
      Mask<T> close;
      const Vec<T> v = weigh<T>(grad + i, out + i, rows - i, load<T>(norms + i) + norm, close);
      store<T>(w + j * ld + i, v);
      store<T>(totals + i, load<T>(totals + i) + v);
      if (__builtin_expect(!any_lane<T>(close), 1)) continue;
      int lanes[kLanes<T> + kPastList];
      const int count = append_lanes<T>(close, rows - i, 0, lanes, 0);
      for (int c = 0; c < count; ++c)
        add_pair<T>(of, first + i + lanes[c], from + j, near + (i + lanes[c]) * of.mx.pitch);
    }
  }
}

template <class T>
static void gradient_chunk(const GradientOf<T>& of, int64_t first, int64_t rows, T* grad_x) {
  constexpr int64_t kLd = kBlockRows, kPaddedRows = kChunkRows + kLanes<T>;
  const int64_t pitch = of.mx.pitch, numbers = rows * pitch;
  const bool along = of.column_step == 1;
  Scratch<T> w(kPaddedRows * kLd), sums(3 * numbers), totals(kPaddedRows);
  T *const near = sums, *const far = sums + numbers, *const part = far + numbers;
  for (int64_t i = 0; i < 2 * numbers; ++i) sums[i] = T{0};
  for (int64_t i = 0; i < kPaddedRows; ++i) totals[i] = T{0};
  for (int64_t from = 0; from < of.rows_y; from += kBlockRows) {
    const int64_t columns = min64(of.rows_y - from, kBlockRows), ld = along ? kLd : kPaddedRows;
    (along ? weigh_rows<T> : weigh_columns<T>)(of, first, rows, from, columns, w, ld, totals, near);
    const GemmPlan plan = plan_gemm<T>(rows, pitch, columns, false, pitch);
    gemm<T>(plan, {w, ld, along}, {of.my.rows + from * pitch, pitch, false}, part, pitch,
            [](T*, int64_t, int64_t, int, int64_t, int) {});
    for (int64_t i = 0; i < numbers; ++i) far[i] += part[i];
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < of.width; k += kLanes<T>) {
      const int64_t at = i * pitch + k;
      const Vec<T> moved = load<T>(of.mx.rows + first * pitch + at);
      store_some<T>(grad_x + i * of.width + k, moved * totals[i] - load<T>(far + at) + load<T>(near + at),
                    of.width - k);
    }
  }
}

template <class T>
static void product_gradients(const DistanceBwdArgs& a, int64_t b) {
  const DistanceGeometry& g = a.g;
  const int64_t pitch = padded_width<T>(g.width), pairs = b * g.rows_x * g.rows_y;
  const T *const x = static_cast<const T*>(a.x) + b * g.rows_x * g.width, *const y = static_cast<const T*>(a.y) +
                                                                                     b * g.rows_y * g.width;
  Scratch<T> origin(pitch);
  find_origin<T>(y, g.rows_y, g.width, origin);
  const Moved<T> mx(x, g.rows_x, g.width, pitch, origin), my(y, g.rows_y, g.width, pitch, origin);
  const GradientOf<T> of{
      static_cast<const T*>(a.grad) + pairs, static_cast<const T*>(a.out) + pairs, x,  y, g.rows_y, g.width,
      a.transposed ? 1 : g.rows_y,           a.transposed ? g.rows_x : 1,          mx, my};
  const int64_t worth = kChunkSteps * kLanes<T> / (g.rows_y * pitch) + 1;
  const int64_t chunk = min64(kChunkRows, ceil_div(worth, kTallTile.rows) * kTallTile.rows);
  T* const grad_x = static_cast<T*>(a.grad_x) + b * g.rows_x * g.width;
  parallel_for(ceil_div(g.rows_x, chunk), 1, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin * chunk; first < end * chunk && first < g.rows_x; first += chunk)
      gradient_chunk<T>(of, first, min64(chunk, g.rows_x - first), grad_x + first * g.width);
  });
}

void distance_product_bwd(const DistanceBwdArgs& a) {
  const DistanceGeometry& g = a.g;
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    if (many_close<T>(g, a.x, a.y)) return distance_defined_bwd(a);
    // Batches of few rows are shared out whole.
    const int64_t steps = g.rows_x * g.rows_y * g.width / kLanes<T>;
    parallel_for(g.batch, g.rows_x > kChunkRows ? g.batch : kChunkSteps / steps + 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) product_gradients<T>(a, b);
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
