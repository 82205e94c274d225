// In what numbers a device multiplies float32 operands: matrices, linear layers, convolutions. float64 is not
// concerned.
#pragma once

namespace pybind11 {
class module_;
}

namespace fastdl {

enum class ProductPrecision {
  kFloat32,   // no tensor cores
  kTfloat32,  // operands rounded to 11 significant bits
  kBfloat16,  // 8
  kFloat16,   // 11, between 6e-8 and 65504
};  // sums are float32 in all of them

ProductPrecision product_precision();  // what set_product_precision chose, on the calling thread

void bind_product_precision(pybind11::module_& m);

}  // namespace fastdl
