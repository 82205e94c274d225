// Array: a contiguous row-major block of numbers with a shape. Copying an Array shares its buffer.
#pragma once
#include <utility>

#include "core/dtype.h"
#include "core/memory.h"

namespace fastdl {

constexpr int kMaxDims = 8;

// Sizes of up to kMaxDims axes, passed by value.
struct Dims {
  int n = 0;
  int64_t d[kMaxDims] = {};
  int64_t& operator[](int i) { return d[i]; }
  int64_t operator[](int i) const { return d[i]; }
  int64_t product(int from = 0, int to = kMaxDims) const {
    int64_t p = 1;
    for (int i = from; i < n && i < to; ++i) p *= d[i];
    return p;
  }
  bool operator==(const Dims& o) const {
    if (n != o.n) return false;
    for (int i = 0; i < n; ++i)
      if (d[i] != o.d[i]) return false;
    return true;
  }
};

struct Array {
  Buffer* buffer = nullptr;
  void* data = nullptr;
  int64_t size = 0;  // elements
  Dims shape;
  DType dtype = DType::kFloat32;

  Array() = default;
  Array(Buffer* owned, const Dims& s, DType t)
      : buffer(owned), data(owned->data), size(s.product()), shape(s), dtype(t) {}
  Array(const Array& o) : buffer(o.buffer), data(o.data), size(o.size), shape(o.shape), dtype(o.dtype) {
    retain(buffer);
  }
  Array(Array&& o) noexcept : buffer(o.buffer), data(o.data), size(o.size), shape(o.shape), dtype(o.dtype) {
    o.buffer = nullptr;
  }
  Array& operator=(Array o) noexcept {
    std::swap(buffer, o.buffer);
    data = o.data, size = o.size, shape = o.shape, dtype = o.dtype;
    return *this;
  }
  ~Array() { release(buffer); }

  int ndim() const { return shape.n; }
  int64_t dim(int i) const { return shape[i]; }
  size_t bytes() const { return static_cast<size_t>(size) * itemsize(dtype); }
};

// The product of the sizes other than 0, which bounds every stride. Throws ValueError when it overflows.
int64_t checked_extent(const char* op, const Dims& shape);

// A new array, contents undefined. Throws ValueError when the byte count overflows, std::bad_alloc when memory ends.
Array empty(const Dims& shape, DType dtype);

// The same buffer under another shape of equal size.
inline Array reshaped(const Array& a, const Dims& shape) {
  Array out = a;
  out.shape = shape;
  return out;
}

}  // namespace fastdl
