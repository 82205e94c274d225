// Exchange with other libraries: NumPy arrays and DLPack capsules, without a copy where memory allows it.
#pragma once
#include <pybind11/pybind11.h>
namespace fastdl {
// from_numpy(ndarray, copy) / to_numpy(Array) / to_dlpack(Array) / from_dlpack(capsule) / dlpack_device()
void bind_exchange(pybind11::module_& m);
}  // namespace fastdl
