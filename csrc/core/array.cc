#include "core/array.h"

#include "core/error.h"

namespace fastdl {

int64_t checked_extent(const char* op, const Dims& shape) {
  int64_t extent = 1;
  for (int i = 0; i < shape.n; ++i) {
    EXPECT(shape[i] >= 0, ValueError, op, text("sizes of at least 0"), text(shape));
    EXPECT(!__builtin_mul_overflow(extent, shape[i] ? shape[i] : 1, &extent), ValueError, op, text("a size below 2^63"),
           text(shape));
  }
  return extent;
}

Array empty(const Dims& shape, DType dtype) {
  int64_t extent = checked_extent("empty", shape), bytes;
  EXPECT(!__builtin_mul_overflow(extent, static_cast<int64_t>(itemsize(dtype)), &bytes) && bytes < (int64_t{1} << 48),
         ValueError, "empty", text("a size that memory can hold"), text("shape ", shape));
  return Array(allocate(static_cast<size_t>(shape.product()) * itemsize(dtype)), shape, dtype);
}

}  // namespace fastdl
