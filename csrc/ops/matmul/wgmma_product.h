// Products of prepared operands (mma_product.h) by the warpgroups of compute capability 9.0.
#pragma once
#include "ops/matmul/mma_product.h"

namespace fastdl {

// Whether the device and this module have what it takes, and the product is a plain one of 64 rows and columns or more:
// matrices, or a convolution of 1 x 1 windows and stride 1, whose pixels stand one after another.
bool on_warpgroups(const MmaProduct& product);
void multiply_on_warpgroups(MmaProduct product, ProductPrecision precision, Stream stream);

// Likewise for products with windows: images without gaps, groups as images behind one another, 33 rows or more, taps
// and padding that the copy engine can count, and channels that fill most of its panels.
bool windows_on_warpgroups(const MmaProduct& product);
void multiply_windows_on_warpgroups(const MmaProduct& product, ProductPrecision precision, Stream stream);

}  // namespace fastdl
