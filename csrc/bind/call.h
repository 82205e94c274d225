// Runs a kernel from a binding.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>

#include "bind/array_type.h"
#include "core/kernel.h"
#if defined(FASTDL_DEVICE_CPU)
#include "cpu/parallel.h"
#else
#include "cuda/runtime.h"
#endif

namespace fastdl {

// Below this many bytes of memory traffic a kernel is shorter than letting go of the GIL and taking it again (60-120
// ns).
constexpr int64_t kReleaseGilAbove = 64 * 1024;

#if defined(FASTDL_DEVICE_CPU)
template <class Args>
void call(void (*kernel)(const Args&), const Args& args, int64_t bytes) {
  FlushDenormals flush;
  if (bytes < kReleaseGilAbove) return kernel(args);
  py::gil_scoped_release release;
  kernel(args);
}
#else
template <class Args>
void call(void (*kernel)(const Args&, Stream), const Args& args, int64_t bytes) {
  if (bytes < kReleaseGilAbove) return kernel(args, current_stream());
  py::gil_scoped_release release;
  kernel(args, current_stream());
}
#endif

// The numbers of an argument that may be None.
inline const void* data_or_null(const Array* a) {
  return a ? a->data : nullptr;
}

}  // namespace fastdl
