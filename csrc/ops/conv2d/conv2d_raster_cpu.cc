// Depthwise convolution that keeps the size of its planes (stride 1, odd kernel, padding of half a kernel): a plane is
// one long line, and each tap is a constant shift along it, whatever the width.
//
//   out[p] = sum over dy, dx of w[dy][dx] * x[p + dy * cols + dx]       p = y * cols + x
//
// So no vector is lost at the ends of rows; 7x7 planes are 49 numbers, not seven short rows. What a shift by dx brings
// over from the neighbouring row is cleared by a mask, once for the sum of each dx; masks repeat every few vectors.
// Rows above and below are zeros around a copy of the plane. Sideways shifts come from registers, since loads off the
// lines of the cache cost twice.
//
// A chunk of work owns whole planes.
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_shifts-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kLongestPlane = 16384;  // numbers; the copy stays in the nearer caches
constexpr int64_t kGrain = 1 << 19;       // multiply-adds of a chunk

template <class T>
struct Raster {
  View v;
  int64_t n, period;     // numbers of a plane; vectors after which the masks repeat
  const Mask<T>* masks;  // [period][K], set where the number dx away is in the same row
  const T* weights;      // [channel][dy][dx]
};

template <class T, int FROM, int... J>
FASTDL_INLINE Vec<T> join_of(Vec<T> a, Vec<T> b, std::integer_sequence<int, J...>) {
  return __builtin_shuffle(a, b, Mask<T>{FROM + J...});
}
// kLanes numbers of a and b side by side, from number FROM on.
template <class T, int FROM>
FASTDL_INLINE Vec<T> join(Vec<T> a, Vec<T> b) {
#if defined(FASTDL_ISA_avx512)  // one instruction, which the compiler does not find
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_alignr_epi32((__m512i)b, (__m512i)a, FROM);
  if constexpr (sizeof(T) == 8) return (Vec<T>)_mm512_alignr_epi64((__m512i)b, (__m512i)a, FROM);
#endif
  return join_of<T, FROM>(a, b, std::make_integer_sequence<int, kLanes<T>>{});
}

// Adds one row of the kernel to the sums of each dx: KX is unrolled, as shifts must be constants.
template <class T, int K, int KX = 0, class W>
FASTDL_INLINE void add_row(const W* w, Vec<T> before, Vec<T> here, Vec<T> after, Vec<T>* sums) {
  constexpr int kShift = KX - K / 2;
  if constexpr (kShift < 0)
    sums[KX] += w[KX] * join<T, kLanes<T> + kShift>(before, here);
  else if constexpr (kShift > 0)
    sums[KX] += w[KX] * join<T, kShift>(here, after);
  else
    sums[KX] += w[KX] * here;
  if constexpr (KX + 1 < K) add_row<T, K, KX + 1>(w, before, here, after, sums);
}

template <class T, int K>
__attribute__((noinline)) void make_plane(const Raster<T>& r, const T* x, const T* w, T bias, T* out) {
  constexpr int L = kLanes<T>;
  const int64_t cols = r.v.cols;
  const Activation now = in_registers(r.v.activation);
  const T* residual = r.v.residual_at(out);
  // The weights of 3x3 stay in registers: read for each vector they would cost as much as the products.
  Vec<T> kept[K * K];
  if constexpr (K == 3) {
#pragma GCC unroll 16
    for (int i = 0; i < K * K; ++i) kept[i] = broadcast<T>(w[i]);
  }
  Vec<T> before[K], here[K];
#pragma GCC unroll 8
  for (int y = 0; y < K; ++y) {
    const T* row = x + (y - K / 2) * cols;
    before[y] = load<T>(row - L), here[y] = load<T>(row);
  }
  const Mask<T>*mask = r.masks, *end = r.masks + r.period * K;
  for (int64_t p = 0; p < r.n; p += L) {
    Vec<T> sums[K];
#pragma GCC unroll 8
    for (int i = 0; i < K; ++i) sums[i] = Vec<T>{};
#pragma GCC unroll 8
    for (int y = 0; y < K; ++y) {
      const Vec<T> after = load<T>(x + (y - K / 2) * cols + p + L);
      if constexpr (K == 3)
        add_row<T, K>(kept + y * K, before[y], here[y], after, sums);
      else
        add_row<T, K>(w + y * K, before[y], here[y], after, sums);
      before[y] = here[y], here[y] = after;
    }
    Vec<T> total = sums[K / 2] + bias;
#pragma GCC unroll 8
    for (int i = 0; i < K; ++i)
      if (i != K / 2) total += (Vec<T>)((Mask<T>)sums[i] & mask[i]);
    if (residual) total += load_some<T>(residual + p, r.n - p);
    total = limit<T>(now, total);
    if (r.n - p >= L)
      store<T>(out + p, total);
    else
      store_n<T>(out + p, total, static_cast<int>(r.n - p));
    mask += K;
    if (mask == end) mask = r.masks;
  }
  if (now != r.v.activation) activate_row(r.v.activation, out, r.n);
}

template <class T, int K>
void planes_of(Raster<T>& r) {
  constexpr int L = kLanes<T>, H = K / 2;
  const View& v = r.v;
  r.period = 1;
  while (r.period * L % v.cols != 0) ++r.period;
  Scratch<Mask<T>> masks(r.period * K);
  for (int64_t i = 0; i < r.period * L; ++i)
    for (int k = 0; k < K; ++k) {
      const int64_t x = i % v.cols + k - H;
      masks[i / L * K + k][i % L] = x >= 0 && x < v.cols ? -1 : 0;
    }
  Scratch<T> weights(v.groups * v.m_channels * K * K);
  for (int64_t c = 0; c < v.groups * v.m_channels; ++c)
    for (int64_t t = 0; t < K * K; ++t)
      weights[c * K * K + (v.taps[t].dy + H) * K + v.taps[t].dx + H] = static_cast<const T*>(
          v.weight)[c / v.m_channels * v.weight_group + c % v.m_channels * v.weight_m + v.taps[t].weight];
  r.masks = masks, r.weights = weights;

  const int64_t before = H * v.cols + L, after = H * v.cols + 2 * L;
  parallel_for(v.batch * v.groups, 1 + kGrain / (r.n * K * K * v.m_channels), [&](int64_t begin, int64_t end) {
    Scratch<T> copy(before + r.n + after);
    for (int64_t i = 0; i < before; ++i) copy[i] = T{0};
    for (int64_t i = 0; i < after; ++i) copy[before + r.n + i] = T{0};
    for (int64_t i = begin; i < end; ++i) {
      copy_steps(copy + before, static_cast<const T*>(v.src) + i * r.n, 1, static_cast<int>(r.n));
      for (int64_t m = 0; m < v.m_channels; ++m) {
        const int64_t c = i % v.groups * v.m_channels + m;
        make_plane<T, K>(r, copy + before, r.weights + c * K * K, v.bias ? static_cast<const T*>(v.bias)[c] : T{0},
                         static_cast<T*>(v.out) + (i * v.m_channels + m) * r.n);
      }
    }
  });
}

// The size of a square kernel whose taps surround their pixel, or 0.
int64_t centred_kernel(const View& v) {
  int64_t reach = 0;
  for (int64_t t = 0; t < v.num_taps; ++t) {
    const int64_t y = v.taps[t].dy < 0 ? -v.taps[t].dy : v.taps[t].dy;
    const int64_t x = v.taps[t].dx < 0 ? -v.taps[t].dx : v.taps[t].dx;
    reach = reach > y ? reach : y, reach = reach > x ? reach : x;
  }
  // Taps are distinct: as many as the square has are all of them.
  return v.num_taps == (2 * reach + 1) * (2 * reach + 1) ? 2 * reach + 1 : 0;
}

}  // namespace

bool raster_serves(const View& v) {
  const bool same = v.step_y == 1 && v.step_x == 1 && v.src_h == v.rows && v.src_w == v.cols && v.out_x == 1 &&
                    v.out_y == v.cols && v.out_plane == v.rows * v.cols;
  if (!same || v.k_channels != 1 || v.rows * v.cols > kLongestPlane || shifts_serve(v)) return false;
  const int64_t kernel = centred_kernel(v), lanes = kVecBytes / static_cast<int64_t>(itemsize(v.dtype));
  return (kernel == 3 || kernel == 5 || kernel == 7) && kernel / 2 <= lanes;
}

void conv_raster(const View& v) {
  visit_float(v.dtype, [&](auto zero) {
    using T = decltype(zero);
    Raster<T> r{v, v.rows * v.cols, 0, nullptr, nullptr};
    const int64_t kernel = centred_kernel(v);
    if (kernel == 3) return planes_of<T, 3>(r);
    if constexpr (kLanes<T> >= 2) {
      if (kernel == 5) return planes_of<T, 5>(r);
    }
    if constexpr (kLanes<T> >= 3) {
      if (kernel == 7) return planes_of<T, 7>(r);
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
