// Seed and counter of a call that draws random numbers.
#pragma once
#include <pybind11/pybind11.h>

#include "bind/call.h"
#include "core/error.h"
#include "core/philox.h"
#if !defined(FASTDL_DEVICE_CPU)
#include "cuda/capture.h"
#endif

namespace fastdl {

// Python's int, of any size, as the 64 bits that the generator takes.
inline uint64_t bits64(const char* op, const char* what, const py::int_& v) {
  const unsigned long long u = PyLong_AsUnsignedLongLong(v.ptr());
  if (u == ~0ull && PyErr_Occurred()) {
    PyErr_Clear();
    throw ValueError(text("[", op, "] expected ", what, " in [0, 2^64), got ", std::string(py::str(v))));
  }
  return u;
}

inline PhiloxKey philox_key(const char* op, const py::int_& seed, const py::int_& offset) {
  PhiloxKey key{bits64(op, "seed", seed), bits64(op, "offset", offset), nullptr};
#if !defined(FASTDL_DEVICE_CPU)
  key.replay = graph_random(key.offset, &key.offset);
#endif
  return key;
}

}  // namespace fastdl
