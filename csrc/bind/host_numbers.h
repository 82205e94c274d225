// Integers of an argument that a binding has to read, wherever the array lies.
#pragma once
#include <type_traits>
#include <vector>

#include "bind/call.h"
#include "core/array.h"

namespace fastdl {

// Element i of the numbers of an array of int32 or int64. A pointer, since checks in a recording may hold no Arrays.
inline int64_t number_at(const void* data, DType dtype, int64_t i) {
  const char* const at = static_cast<const char*>(data) + i * static_cast<int64_t>(itemsize(dtype));
  int64_t wide = 0;
  int32_t narrow = 0;
  if (dtype == DType::kInt64)
    copy_to_host(&wide, at, sizeof wide);
  else
    copy_to_host(&narrow, at, sizeof narrow);
  return dtype == DType::kInt64 ? wide : narrow;
}

// What a kernel that has used no index outside [0, n) says of them: 1 + the position of the first one, or 0. A Fault or
// LateFault.
template <class AnyFault>
void expect_inside(const char* op, AnyFault& bad, const Array& index, int64_t n) {
  const auto look = [op, at = index.data, dtype = index.dtype, n](const int64_t* found) {
    EXPECT(*found == 0, IndexError, op, text("indices in [0, ", n, ")"),
           text(number_at(at, dtype, *found - 1), " at position ", *found - 1));
  };
  if constexpr (std::is_same_v<AnyFault, LateFault>)
    bad.check(look, index);
  else
    bad.check(look);
}

// All numbers of an int64 array: on the CPU the array itself, of a device a copy.
class HostNumbers {
 public:
  explicit HostNumbers(const Array& a) : data_(static_cast<const int64_t*>(a.data)) {
#if !defined(FASTDL_DEVICE_CPU)
    copy_.resize(static_cast<size_t>(a.size));
    copy_to_host(copy_.data(), a.data, a.bytes());
    data_ = copy_.data();
#endif
  }
  HostNumbers(const HostNumbers&) = delete;
  HostNumbers& operator=(const HostNumbers&) = delete;
  const int64_t* get() const { return data_; }
  int64_t operator[](int64_t i) const { return data_[i]; }

 private:
  std::vector<int64_t> copy_;
  const int64_t* data_;
};

}  // namespace fastdl
