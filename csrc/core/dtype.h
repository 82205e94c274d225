// Element types, and the visitor that turns a run-time dtype into a compile-time type.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastdl {

enum class DType : int8_t { kFloat32, kFloat64, kInt32, kInt64, kUInt8, kBool };
constexpr int kDTypes = 6;

constexpr const char* kDTypeNames[kDTypes] = {"float32", "float64", "int32", "int64", "uint8", "bool"};
constexpr size_t kDTypeSizes[kDTypes] = {4, 8, 4, 8, 1, 1};

constexpr const char* name(DType t) {
  return kDTypeNames[static_cast<int>(t)];
}
constexpr size_t itemsize(DType t) {
  return kDTypeSizes[static_cast<int>(t)];
}
constexpr bool is_float(DType t) {
  return t == DType::kFloat32 || t == DType::kFloat64;
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::kFloat32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::kFloat64;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::kInt32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::kInt64;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::kUInt8;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::kBool;
};

// Calls f with a value of the C++ type that t names: visit_float(dtype, [&](auto zero) { using T = decltype(zero); ...
// }). The caller has checked that t is one of the types visited; any other is left undone.
template <class F>
static inline void visit_float(DType t, F&& f) {
  if (t == DType::kFloat32) return f(float{});
  if (t == DType::kFloat64) return f(double{});
}
template <class F>
static inline void visit_number(DType t, F&& f) {
  if (t == DType::kInt32) return f(int32_t{});
  if (t == DType::kInt64) return f(int64_t{});
  visit_float(t, f);
}
template <class F>
static inline void visit_any(DType t, F&& f) {
  if (t == DType::kUInt8) return f(uint8_t{});
  if (t == DType::kBool) return f(bool{});
  visit_number(t, f);
}

}  // namespace fastdl
