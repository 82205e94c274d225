#include <cmath>

#include "bind/call.h"
#include "ops/dropout/dropout.h"
#if !defined(FASTDL_DEVICE_CPU)
#include "cuda/capture.h"
#endif

namespace fastdl {
namespace dropout_binding {

// Python's int, of any size, as the 64 bits that the generator takes.
uint64_t bits64(const char* what, const py::int_& v) {
  const unsigned long long u = PyLong_AsUnsignedLongLong(v.ptr());
  if (u == ~0ull && PyErr_Occurred()) {
    PyErr_Clear();
    throw ValueError("[dropout] expected " + std::string(what) + " in [0, 2^64), got " + std::string(py::str(v)));
  }
  return u;
}

Array dropout_forward(const Array& x, double p, const py::int_& seed, const py::int_& offset) {
  expect_float("dropout", "input", x);
  EXPECT(p >= 0 && p <= 1, ValueError, "dropout", text("p between 0 and 1"), text(p));
  Array out = empty(x.shape, x.dtype);
  const bool drop_all = p == 1;
  // p just below 1 would round to 2^32.
  const double threshold = std::fmin(std::floor(p * 4294967296.0), 4294967295.0);
  DropoutArgs args{x.dtype,
                   x.size,
                   static_cast<uint32_t>(threshold),
                   drop_all ? 0 : 1 / (1 - p),
                   drop_all,
                   bits64("seed", seed),
                   bits64("offset", offset),
                   nullptr,
                   x.data,
                   out.data};
#if !defined(FASTDL_DEVICE_CPU)
  args.replay = graph_random(args.offset, &args.offset);
#endif
  call(dropout, args, static_cast<int64_t>(2 * x.bytes()));
  return out;
}

}  // namespace dropout_binding

void bind_dropout(py::module_& m) {
  using namespace dropout_binding;
  m.def("dropout", &dropout_forward);
}

}  // namespace fastdl
