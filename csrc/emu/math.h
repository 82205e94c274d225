// CUDA's device math for g++: what <cmath> lacks, under CUDA's names. Fast approximations are exact here, so tests must
// allow them the two units in the last place that hardware may be off.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

// glibc declares functions of these names and does not export them, hence macros.
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __powf(x, y) powf(x, y)

static inline float rsqrtf(float x) {
  return 1.0f / sqrtf(x);
}
static inline double rsqrt(double x) {
  return 1.0 / sqrt(x);
}
static inline float rcbrtf(float x) {
  return 1.0f / cbrtf(x);
}
static inline float __fdividef(float a, float b) {
  return a / b;
}
static inline float __frcp_rn(float x) {
  return 1.0f / x;
}
static inline float __fsqrt_rn(float x) {
  return sqrtf(x);
}
static inline float __frsqrt_rn(float x) {
  return 1.0f / sqrtf(x);
}
static inline float __saturatef(float x) {
  return x >= 1.0f ? 1.0f : x > 0.0f ? x : 0.0f;
}  // NaN gives 0

// Operations that the compiler may not fuse into a multiply-add.
static inline float __fadd_rn(float a, float b) {
  return a + b;
}
static inline float __fsub_rn(float a, float b) {
  return a - b;
}
static inline float __fmul_rn(float a, float b) {
  return a * b;
}
static inline float __fdiv_rn(float a, float b) {
  return a / b;
}
static inline float __fmaf_rn(float a, float b, float c) {
  return fmaf(a, b, c);
}
static inline double __dadd_rn(double a, double b) {
  return a + b;
}
static inline double __dsub_rn(double a, double b) {
  return a - b;
}
static inline double __dmul_rn(double a, double b) {
  return a * b;
}
static inline double __ddiv_rn(double a, double b) {
  return a / b;
}
static inline double __fma_rn(double a, double b, double c) {
  return fma(a, b, c);
}

static inline int __float_as_int(float x) {
  return std::bit_cast<int>(x);
}
static inline unsigned __float_as_uint(float x) {
  return std::bit_cast<unsigned>(x);
}
static inline float __int_as_float(int x) {
  return std::bit_cast<float>(x);
}
static inline float __uint_as_float(unsigned x) {
  return std::bit_cast<float>(x);
}
static inline long long __double_as_longlong(double x) {
  return std::bit_cast<long long>(x);
}
static inline double __longlong_as_double(long long x) {
  return std::bit_cast<double>(x);
}

static inline int __float2int_rn(float x) {
  return static_cast<int>(rintf(x));
}
static inline int __float2int_rd(float x) {
  return static_cast<int>(floorf(x));
}
static inline int __float2int_ru(float x) {
  return static_cast<int>(ceilf(x));
}
static inline int __float2int_rz(float x) {
  return static_cast<int>(x);
}
static inline float __int2float_rn(int x) {
  return static_cast<float>(x);
}
static inline float __uint2float_rn(unsigned x) {
  return static_cast<float>(x);
}
static inline float __ull2float_rn(unsigned long long x) {
  return static_cast<float>(x);
}
static inline float __double2float_rn(double x) {
  return static_cast<float>(x);
}

static inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}
static inline int __popcll(unsigned long long x) {
  return __builtin_popcountll(x);
}
static inline int __ffs(int x) {
  return __builtin_ffs(x);
}
static inline int __ffsll(long long x) {
  return __builtin_ffsll(x);
}
static inline int __clz(int x) {
  return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
static inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
static inline unsigned __brev(unsigned x) {
  x = (x >> 1 & 0x55555555u) | (x & 0x55555555u) << 1;
  x = (x >> 2 & 0x33333333u) | (x & 0x33333333u) << 2;
  x = (x >> 4 & 0x0f0f0f0fu) | (x & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(x);
}
static inline int __mulhi(int a, int b) {
  return static_cast<int>(static_cast<int64_t>(a) * b >> 32);
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
static inline long long __mul64hi(long long a, long long b) {
  return static_cast<long long>(static_cast<__int128>(a) * b >> 64);
}

// CUDA has min and max at global scope. Operands must have one type here.
#define FASTDL_MIN_MAX(T)         \
  static inline T min(T a, T b) { \
    return b < a ? b : a;         \
  }                               \
  static inline T max(T a, T b) { \
    return a < b ? b : a;         \
  }
FASTDL_MIN_MAX(int)
FASTDL_MIN_MAX(unsigned)
FASTDL_MIN_MAX(long)
FASTDL_MIN_MAX(unsigned long)
FASTDL_MIN_MAX(long long)
FASTDL_MIN_MAX(unsigned long long)
#undef FASTDL_MIN_MAX
static inline float min(float a, float b) {
  return fminf(a, b);
}
static inline float max(float a, float b) {
  return fmaxf(a, b);
}
static inline double min(double a, double b) {
  return fmin(a, b);
}
static inline double max(double a, double b) {
  return fmax(a, b);
}
