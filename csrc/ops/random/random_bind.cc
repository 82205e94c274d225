#include <cmath>
#include <limits>

#include "bind/philox.h"
#include "ops/random/random.h"

namespace fastdl {
namespace random_binding {

// The ends of a range as numbers of type T: their distance has to be one, too.
template <class T>
UniformArgs uniform_range(double low, double high) {
  const T first = static_cast<T>(low), last = static_cast<T>(high), scale = static_cast<T>(high - low);
  EXPECT(low <= high && std::isfinite(first) && std::isfinite(last) && std::isfinite(scale), ValueError, "uniform_",
         text("low <= high, finite and at a finite distance"), text(low, " and ", high));
  return {DTypeOf<T>::value, 0, first, scale, first < last ? std::nextafter(last, first) : first, PhiloxKey{}, nullptr};
}

void fill_uniform(Array& out, double low, double high, const py::int_& seed, const py::int_& offset) {
  expect_float("uniform_", "out", out);
  UniformArgs args = out.dtype == DType::kFloat32 ? uniform_range<float>(low, high) : uniform_range<double>(low, high);
  args.n = out.size, args.out = out.data, args.key = philox_key("uniform_", seed, offset);
  call(uniform, args, static_cast<int64_t>(out.bytes()));
}

void fill_normal(Array& out, double mean, double std, const py::int_& seed, const py::int_& offset) {
  expect_float("normal_", "out", out);
  EXPECT(std >= 0, ValueError, "normal_", text("std of at least 0"), text(std));
  call(normal, NormalArgs{out.dtype, out.size, mean, std, philox_key("normal_", seed, offset), out.data},
       static_cast<int64_t>(out.bytes()));
}

void fill_integers(Array& out, int64_t low, int64_t high, const py::int_& seed, const py::int_& offset) {
  EXPECT(out.dtype == DType::kInt32 || out.dtype == DType::kInt64, TypeError, "random_",
         text("out of dtype int32 or int64"), text(out.dtype));
  EXPECT(low < high, ValueError, "random_", text("low < high"), text(low, " and ", high));
  using Narrow = std::numeric_limits<int32_t>;
  EXPECT(out.dtype == DType::kInt64 || (low >= Narrow::min() && high - 1 <= Narrow::max()), ValueError, "random_",
         text("numbers within int32"), text(low, " and ", high));
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
  call(integers, IntegersArgs{out.dtype, out.size, low, span, philox_key("random_", seed, offset), out.data},
       static_cast<int64_t>(out.bytes()));
}

#if defined(FASTDL_DEVICE_CPU)
Array make_permutation(int64_t n, const py::int_& seed, const py::int_& offset) {
  EXPECT(n >= 0 && n < int64_t{1} << 32, ValueError, "randperm", text("n from 0 to below 2^32"), text(n));
  Dims shape;
  shape.n = 1, shape[0] = n;
  Array out = empty(shape, DType::kInt64);
  call(permutation, PermutationArgs{n, philox_key("randperm", seed, offset), out.data},
       static_cast<int64_t>(out.bytes()));
  return out;
}
#endif

}  // namespace random_binding

void bind_random(py::module_& m) {
  using namespace random_binding;
  m.def("uniform_", &fill_uniform);
  m.def("normal_", &fill_normal);
  m.def("random_", &fill_integers);
#if defined(FASTDL_DEVICE_CPU)
  m.def("permutation", &make_permutation);
#endif
}

}  // namespace fastdl
