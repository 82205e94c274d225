// The type in which a number may wrap around: in C++ only unsigned integers may. Others are their own.
#pragma once
#include <cstdint>

namespace fastdl {

template <class T>
struct WrappingOf {
  using type = T;
};
template <>
struct WrappingOf<int32_t> {
  using type = uint32_t;
};
template <>
struct WrappingOf<int64_t> {
  using type = uint64_t;
};

}  // namespace fastdl
