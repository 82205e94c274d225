// Vectors of the width of the instruction set that this file is compiled for. Kernel files include it and write their
// loops over kLanes<T> elements with an explicit tail (load_n, store_n).
//
// Everything is static and always inline: no symbol may leave an instruction-set unit (see csrc/README.md).
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/kernel.h"

#define FASTDL_INLINE static inline __attribute__((always_inline))
// Of a lambda that is the body of a loop: as a function called for each vector it would spill all registers.
#define FASTDL_BODY __attribute__((always_inline))

namespace fastdl::FASTDL_ISA {

#if defined(FASTDL_ISA_avx512)
constexpr int kVecBytes = 64;
#elif defined(FASTDL_ISA_avx2)
constexpr int kVecBytes = 32;
#else
constexpr int kVecBytes = 16;
#endif

template <class T>
constexpr int kLanes = kVecBytes / static_cast<int>(sizeof(T));

template <class T>
struct VecOf {
  typedef T type __attribute__((vector_size(kVecBytes)));
  typedef T unaligned __attribute__((vector_size(kVecBytes), aligned(sizeof(T)), may_alias));
};
template <class T>
using Vec = typename VecOf<T>::type;
// What a comparison gives: all bits set where true. Integers as wide as T.
template <class T>
using Mask = Vec<std::conditional_t<sizeof(T) == 8, int64_t, int32_t>>;

template <class T>
FASTDL_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VecOf<T>::unaligned*>(p);
}
template <class T>
FASTDL_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VecOf<T>::unaligned*>(p) = v;
}

// Where the compiler may have to put a vector whose making it must not change.
#if defined(FASTDL_AVX512_ON_AVX2)
#define FASTDL_PLACE "+m"  // two registers hold it
#elif defined(__x86_64__)
#define FASTDL_PLACE "+v"
#elif defined(__aarch64__)
#define FASTDL_PLACE "+w"
#else
#define FASTDL_PLACE "+m"
#endif
// A product (vector or number) that is rounded before it is added to anything: the compiler must not make a
// multiply-add of it.
template <class V>
FASTDL_INLINE V rounded(V product) {
  asm("" : FASTDL_PLACE(product));
  return product;
}

// (0 + x would turn -0 into 0.)
template <class T>
FASTDL_INLINE Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

#if defined(FASTDL_ISA_avx2)
FASTDL_INLINE __m256i first_lanes(int n, std::integral_constant<int, 4>) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
FASTDL_INLINE __m256i first_lanes(int n, std::integral_constant<int, 8>) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif

// The first n elements (0 <= n <= kLanes); the other lanes are zero, their memory is not touched.
template <class T>
FASTDL_INLINE Vec<T> load_n(const T* p, int n) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << n) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << n) - 1), p);
#elif defined(FASTDL_ISA_avx2)
  const __m256i lanes = first_lanes(n, std::integral_constant<int, sizeof(T)>{});
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm256_maskload_ps(reinterpret_cast<const float*>(p), lanes);
  else
    return (Vec<T>)_mm256_maskload_pd(reinterpret_cast<const double*>(p), lanes);
#else
  Vec<T> v{};
  __builtin_memcpy(&v, p, static_cast<size_t>(n) * sizeof(T));
  return v;
#endif
}
template <class T>
FASTDL_INLINE void store_n(T* p, Vec<T> v, int n) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
#if defined(FASTDL_ISA_avx512)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << n) - 1), (__m512i)v);
  else
    _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << n) - 1), (__m512i)v);
#elif defined(FASTDL_ISA_avx2)
  // By halves: stores under a mask take some twenty cycles on AMD, a call of memcpy as many everywhere.
  if (n == kLanes<T>) return store<T>(p, v);
  constexpr int kHalf = kLanes<T> / 2;
  __m128i part = _mm256_castsi256_si128((__m256i)v);
  if (n & kHalf) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), part);
    part = _mm256_extracti128_si256((__m256i)v, 1);
    p += kHalf;
  }
  if constexpr (sizeof(T) == 4) {
    if (n & 2) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(p), part);
      part = _mm_unpackhi_epi64(part, part);
      p += 2;
    }
    if (n & 1) _mm_storeu_si32(p, part);
  } else {
    if (n & 1) _mm_storel_epi64(reinterpret_cast<__m128i*>(p), part);
  }
#else
  __builtin_memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
#endif
}

// mask ? a : b, lane by lane.
template <class T>
FASTDL_INLINE Vec<T> select(Mask<T> mask, Vec<T> a, Vec<T> b) {
  return mask ? a : b;
}

// NaN in either operand gives NaN, as in PyTorch's maximum and max pooling.
template <class T>
FASTDL_INLINE Vec<T> max_nan(Vec<T> a, Vec<T> b) {
  return select<T>((a > b) | (a != a), a, b);
}
template <class T>
FASTDL_INLINE Vec<T> min_nan(Vec<T> a, Vec<T> b) {
  return select<T>((a < b) | (a != a), a, b);
}

template <class T>
FASTDL_INLINE T lane_sum(Vec<T> v) {
  T s = v[0];
  for (int i = 1; i < kLanes<T>; ++i) s += v[i];
  return s;
}

// Bypasses the caches: for outputs of kStreamBytes and more, which would only push other data out and cost a read for
// ownership. p must be aligned to the vector. Call store_fence() before the result is published.
constexpr int64_t kStreamBytes = int64_t{24} << 20;
template <class T>
FASTDL_INLINE void stream(T* p, Vec<T> v) {
#if defined(FASTDL_ISA_avx512)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(p), (__m512i)v);
#elif defined(FASTDL_ISA_avx2)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(p), (__m256i)v);
#elif defined(__x86_64__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(p), (__m128i)v);
#else
  store<T>(p, v);
#endif
}
FASTDL_INLINE void store_fence() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace fastdl::FASTDL_ISA
