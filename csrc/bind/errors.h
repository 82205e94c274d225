#pragma once
#include <pybind11/pybind11.h>
namespace fastdl {
void register_errors(pybind11::module_& m);  // C++ errors become the Python exceptions of the same name
}
