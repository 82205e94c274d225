// CUDA's built-in vector types for g++: sizes and alignments as on the device.
#pragma once
#include <cstddef>
#include <cstdint>

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct uint3 {
  unsigned x, y, z;
};

#define FASTDL_VECTOR_TYPES(T, name, unit)                   \
  struct alignas(2 * unit) name##2 {                         \
    T x, y;                                                  \
  };                                                         \
  struct alignas(4 * unit > 16 ? 16 : 4 * unit) name##4 {    \
    T x, y, z, w;                                            \
  };                                                         \
  static inline name##2 make_##name##2(T x, T y) {           \
    return {x, y};                                           \
  }                                                          \
  static inline name##4 make_##name##4(T x, T y, T z, T w) { \
    return {x, y, z, w};                                     \
  }

FASTDL_VECTOR_TYPES(signed char, char, 1)
FASTDL_VECTOR_TYPES(unsigned char, uchar, 1)
FASTDL_VECTOR_TYPES(int, int, 4)
FASTDL_VECTOR_TYPES(unsigned, uint, 4)
FASTDL_VECTOR_TYPES(float, float, 4)
FASTDL_VECTOR_TYPES(double, double, 8)
FASTDL_VECTOR_TYPES(long long, longlong, 8)
#undef FASTDL_VECTOR_TYPES
