#include <cmath>

#include "bind/philox.h"
#include "ops/dropout/dropout.h"

namespace fastdl {
namespace dropout_binding {

Array dropout_forward(const Array& x, double p, const py::int_& seed, const py::int_& offset) {
  expect_float("dropout", "input", x);
  EXPECT(p >= 0 && p <= 1, ValueError, "dropout", text("p between 0 and 1"), text(p));
  Array out = empty(x.shape, x.dtype);
  const bool drop_all = p == 1;
  // p just below 1 would round to 2^32.
  const double threshold = std::fmin(std::floor(p * 4294967296.0), 4294967295.0);
  const DropoutArgs args{x.dtype,
                         x.size,
                         static_cast<uint32_t>(threshold),
                         drop_all ? 0 : 1 / (1 - p),
                         drop_all,
                         philox_key("dropout", seed, offset),
                         x.data,
                         out.data};
  call(dropout, args, static_cast<int64_t>(2 * x.bytes()));
  return out;
}

}  // namespace dropout_binding

void bind_dropout(py::module_& m) {
  using namespace dropout_binding;
  m.def("dropout", &dropout_forward);
}

}  // namespace fastdl
