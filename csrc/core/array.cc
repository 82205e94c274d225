#include "core/array.h"

#include "core/error.h"

namespace fastdl {

Array empty(const Dims& shape, DType dtype) {
  int64_t size = 1;
  for (int i = 0; i < shape.n; ++i) {
    EXPECT(shape[i] >= 0, ValueError, "empty", text("sizes of at least 0"), text(shape));
    EXPECT(!__builtin_mul_overflow(size, shape[i], &size), ValueError, "empty", text("a size below 2^63"), text(shape));
  }
  int64_t bytes;
  EXPECT(!__builtin_mul_overflow(size, static_cast<int64_t>(itemsize(dtype)), &bytes) && bytes < (int64_t{1} << 48),
         ValueError, "empty", text("a size that memory can hold"), text("shape ", shape));
  return Array(allocate(static_cast<size_t>(bytes)), shape, dtype);
}

}  // namespace fastdl
