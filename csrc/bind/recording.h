#pragma once
#include <pybind11/pybind11.h>
namespace fastdl {
void bind_recording(pybind11::module_& m);
}
