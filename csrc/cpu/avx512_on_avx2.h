// The intrinsics of AVX-512 that kernels use, as loops over the lanes, so that the copies of the kernels for AVX-512
// can be run and checked on a machine that lacks it (-DFASTDL_AVX512_ON_AVX2=ON; slow, never for users). Included
// before everything else; the compiler makes two vectors of AVX2 out of each vector of 64 bytes.
#pragma once
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace fastdl::on_avx2 {

template <class T, class V>
struct Lanes {
  static constexpr int kCount = sizeof(V) / sizeof(T);
  T v[kCount];
  explicit Lanes(const V& of) { std::memcpy(v, &of, sizeof of); }
  Lanes() : v{} {}
  V vector() const {
    V out;
    std::memcpy(&out, v, sizeof out);
    return out;
  }
};

// out[i] = f(i) where bit i of the mask is set, else 0.
template <class T, class V, class F>
V made(unsigned mask, const F& f) {
  Lanes<T, V> out;
  for (int i = 0; i < out.kCount; ++i)
    if (mask >> i & 1) out.v[i] = f(i);
  return out.vector();
}
template <class T, class V, class F>
unsigned mask_of(const V& a, const F& f) {
  const Lanes<T, V> lanes(a);
  unsigned mask = 0;
  for (int i = 0; i < lanes.kCount; ++i) mask |= static_cast<unsigned>(f(lanes.v[i], i)) << i;
  return mask;
}

// Lanes that the mask leaves out are not touched in memory.
template <class T, class V>
V load(unsigned mask, const void* p) {
  return made<T, V>(mask, [&](int i) { return static_cast<const T*>(p)[i]; });
}
template <class T, class V>
void store(void* p, unsigned mask, const V& a) {
  const Lanes<T, V> lanes(a);
  for (int i = 0; i < lanes.kCount; ++i)
    if (mask >> i & 1) static_cast<T*>(p)[i] = lanes.v[i];
}

// A lane of the second operand where either is NaN, as the instructions do.
inline __m512 smaller(unsigned mask, __m512 a, __m512 b) {
  const Lanes<float, __m512> x(a), y(b);
  return made<float, __m512>(mask, [&](int i) { return x.v[i] < y.v[i] ? x.v[i] : y.v[i]; });
}
inline __m512 larger(unsigned mask, __m512 a, __m512 b) {
  const Lanes<float, __m512> x(a), y(b);
  return made<float, __m512>(mask, [&](int i) { return x.v[i] > y.v[i] ? x.v[i] : y.v[i]; });
}
template <class T, class V>
V root(unsigned mask, const V& a) {
  const Lanes<T, V> x(a);
  return made<T, V>(mask, [&](int i) { return sizeof(T) == 4 ? __builtin_sqrtf(x.v[i]) : __builtin_sqrt(x.v[i]); });
}

// The estimates are only promised to 14 bits: the others are cut off.
inline float to_14_bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits &= ~uint32_t{0x1ff};
  std::memcpy(&x, &bits, sizeof bits);
  return x;
}
inline __m512 reciprocal(unsigned mask, __m512 a) {
  const Lanes<float, __m512> x(a);
  return made<float, __m512>(mask, [&](int i) { return to_14_bits(1 / x.v[i]); });
}
inline __m512 reciprocal_root(unsigned mask, __m512 a) {
  const Lanes<float, __m512> x(a);
  return made<float, __m512>(mask, [&](int i) { return to_14_bits(1 / __builtin_sqrtf(x.v[i])); });
}

inline __m512i product_of_even(unsigned mask, __m512i a, __m512i b) {
  const Lanes<uint32_t, __m512i> x(a), y(b);
  return made<uint64_t, __m512i>(mask, [&](int i) { return uint64_t{x.v[2 * i]} * y.v[2 * i]; });
}
inline __m512i compressed(unsigned mask, __m512i a) {
  const Lanes<int32_t, __m512i> x(a);
  Lanes<int32_t, __m512i> out;
  int n = 0;
  for (int i = 0; i < x.kCount; ++i)
    if (mask >> i & 1) out.v[n++] = x.v[i];
  return out.vector();
}
template <class T>
__m512i joined_from(__m512i high, __m512i low, int from) {
  const Lanes<T, __m512i> h(high), l(low);
  return made<T, __m512i>(~0u, [&](int i) { return i + from < l.kCount ? l.v[i + from] : h.v[i + from - l.kCount]; });
}

template <class T>
unsigned signs(__m512i a) {
  return mask_of<T>(a, [](T x, int) { return x < 0; });
}
template <class T>
unsigned at_least(__m512i a, __m512i b) {
  const Lanes<T, __m512i> y(b);
  return mask_of<T>(a, [&](T x, int i) { return x >= y.v[i]; });
}

// ---- the tile unit (cpu/amx-inl.h)
// ------------------------------------------------------------------------------------

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
constexpr int kTileRows = 16, kTilePairs = 16;
static thread_local uint32_t tiles[8][kTileRows][kTilePairs];

inline float first_of(uint32_t pair) {
  return __builtin_bit_cast(float, pair << 16);
}
inline float second_of(uint32_t pair) {
  return __builtin_bit_cast(float, pair & 0xffff0000);
}
inline uint32_t rounded_bf16(float x) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, x);
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

inline void tile_begin() {
  std::memset(tiles, 0, sizeof tiles);
}
inline void tile_end() {}
template <int kT>
void tile_zero() {
  std::memset(tiles[kT], 0, sizeof tiles[kT]);
}
template <int kT>
void tile_load(const uint16_t* p) {
  std::memcpy(tiles[kT], p, sizeof tiles[kT]);
}
template <int kT>
void tile_store(float* p, int64_t ld) {
  for (int i = 0; i < kTileRows; ++i) std::memcpy(p + i * ld, tiles[kT][i], sizeof tiles[kT][i]);
}
template <int kC, int kA, int kB>
void tile_multiply() {
  for (int i = 0; i < kTileRows; ++i) {
    for (int j = 0; j < kTilePairs; ++j) {
      float sum = 0;
      for (int p = 0; p < kTilePairs; ++p) {
        sum += first_of(tiles[kA][i][p]) * first_of(tiles[kB][p][j]);
        sum += second_of(tiles[kA][i][p]) * second_of(tiles[kB][p][j]);
      }
      tiles[kC][i][j] = __builtin_bit_cast(uint32_t, __builtin_bit_cast(float, tiles[kC][i][j]) + sum);
    }
  }
}
inline Ints to_bf16(Floats high, Floats low) {
  Ints both;
  for (int i = 0; i < 16; ++i) {
    const Floats& from = i < 8 ? low : high;
    both[i] = static_cast<int32_t>(rounded_bf16(from[i % 8 * 2]) | rounded_bf16(from[i % 8 * 2 + 1]) << 16);
  }
  return both;
}

}  // namespace fastdl::on_avx2

#define _mm512_maskz_loadu_ps fastdl::on_avx2::load<float, __m512>
#define _mm512_maskz_loadu_pd fastdl::on_avx2::load<double, __m512d>
#define _mm512_maskz_loadu_epi32 fastdl::on_avx2::load<int32_t, __m512i>
#define _mm512_maskz_loadu_epi64 fastdl::on_avx2::load<int64_t, __m512i>
#define _mm512_mask_storeu_ps fastdl::on_avx2::store<float, __m512>
#define _mm512_mask_storeu_pd fastdl::on_avx2::store<double, __m512d>
#define _mm512_mask_storeu_epi32 fastdl::on_avx2::store<int32_t, __m512i>
#define _mm512_mask_storeu_epi64 fastdl::on_avx2::store<int64_t, __m512i>
#define _mm512_storeu_si512(p, a) fastdl::on_avx2::store<int64_t, __m512i>(p, 0xff, a)
#define _mm512_stream_si512(p, a) fastdl::on_avx2::store<int64_t, __m512i>(p, 0xff, a)
#define _mm512_maskz_min_ps fastdl::on_avx2::smaller
#define _mm512_maskz_max_ps fastdl::on_avx2::larger
#define _mm512_maskz_sqrt_ps fastdl::on_avx2::root<float, __m512>
#define _mm512_maskz_sqrt_pd fastdl::on_avx2::root<double, __m512d>
#define _mm512_maskz_rcp14_ps fastdl::on_avx2::reciprocal
#define _mm512_maskz_rsqrt14_ps fastdl::on_avx2::reciprocal_root
#define _mm512_maskz_mul_epu32 fastdl::on_avx2::product_of_even
#define _mm512_maskz_compress_epi32 fastdl::on_avx2::compressed
#define _mm512_alignr_epi32 fastdl::on_avx2::joined_from<int32_t>
#define _mm512_alignr_epi64 fastdl::on_avx2::joined_from<int64_t>
#define _mm512_movepi32_mask fastdl::on_avx2::signs<int32_t>
#define _mm512_movepi64_mask fastdl::on_avx2::signs<int64_t>
#define _mm512_cmpge_epi32_mask fastdl::on_avx2::at_least<int32_t>
#define _mm512_cmpge_epi64_mask fastdl::on_avx2::at_least<int64_t>
