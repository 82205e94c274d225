// Checks of attributes that the bindings of conv2d and conv_transpose2d share.
#pragma once
#include "core/error.h"

namespace fastdl {

// Sizes stay far from 2^63 in every sum and product of two of them.
constexpr int64_t kConvSizeLimit = int64_t{1} << 31;

inline void expect_conv_values(const char* op, const char* what, const Dims& d, int n, int64_t least) {
  EXPECT(d.n == n, ValueError, op, text(what, " of ", n, " integers"), text(d));
  for (int i = 0; i < n; ++i) {
    EXPECT(d[i] >= least, ValueError, op, text(what, " of at least ", least), text(d));
    EXPECT(d[i] < kConvSizeLimit, ValueError, op, text(what, " below 2^31"), text(d));
  }
}

}  // namespace fastdl
