#include "cuda/product_precision.h"

#include <pybind11/pybind11.h>

#include <string>

#include "core/error.h"

namespace fastdl {
namespace {

constexpr const char* kNames[] = {"float32", "tf32", "bfloat16", "float16"};  // in the order of ProductPrecision
// Of a thread, so that a block of code that lowers it for a while does so for itself alone.
thread_local ProductPrecision chosen = ProductPrecision::kFloat32;

const char* get_product_precision() {
  return kNames[static_cast<int>(chosen)];
}

void set_product_precision(const std::string& name) {
  for (int i = 0; i < 4; ++i)
    if (name == kNames[i]) return void(chosen = static_cast<ProductPrecision>(i));
  throw ValueError("[set_product_precision] expected float32, tf32, bfloat16 or float16, got " + name);
}

}  // namespace

ProductPrecision product_precision() {
  return chosen;
}

void bind_product_precision(pybind11::module_& m) {
  m.def("get_product_precision", &get_product_precision);
  m.def("set_product_precision", &set_product_precision);
}

}  // namespace fastdl
