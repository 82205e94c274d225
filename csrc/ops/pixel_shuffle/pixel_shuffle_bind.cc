#include "bind/call.h"
#include "ops/pixel_shuffle/pixel_shuffle.h"

namespace fastdl {
namespace pixel_shuffle_binding {

constexpr int64_t kLargestFactor = 1 << 15;

Array pixel_shuffle(const Array& x, int64_t r) {
  const char* op = "pixel_shuffle";
  expect_ndim(op, "input", x, 4);
  expect_float(op, "input", x);
  EXPECT(r >= 1 && r <= kLargestFactor, ValueError, op, text("upscale_factor between 1 and ", kLargestFactor), text(r));
  EXPECT(x.dim(1) % (r * r) == 0, ValueError, op, text("channels that ", r * r, " divides"), text("shape ", x.shape));
  Dims shape = x.shape;
  shape[1] /= r * r, shape[2] *= r, shape[3] *= r;
  Array out = empty(shape, x.dtype);
  const PixelShuffleArgs args{x.dtype, shape[0] * shape[1], x.dim(2), x.dim(3), r, x.data, out.data};
  call(pixel_shuffle_fwd, args, static_cast<int64_t>(2 * x.bytes()));
  return out;
}

Array pixel_unshuffle(const Array& x, int64_t r) {
  const char* op = "pixel_unshuffle";
  expect_ndim(op, "input", x, 4);
  expect_float(op, "input", x);
  EXPECT(r >= 1 && r <= kLargestFactor, ValueError, op, text("downscale_factor between 1 and ", kLargestFactor),
         text(r));
  EXPECT(x.dim(2) % r == 0 && x.dim(3) % r == 0, ValueError, op, text("planes whose sizes ", r, " divides"),
         text("shape ", x.shape));
  Dims shape = x.shape;
  shape[1] *= r * r, shape[2] /= r, shape[3] /= r;
  Array out = empty(shape, x.dtype);
  const PixelShuffleArgs args{x.dtype, x.dim(0) * x.dim(1), shape[2], shape[3], r, x.data, out.data};
  call(pixel_unshuffle_fwd, args, static_cast<int64_t>(2 * x.bytes()));
  return out;
}

}  // namespace pixel_shuffle_binding

void bind_pixel_shuffle(py::module_& m) {
  using namespace pixel_shuffle_binding;
  m.def("pixel_shuffle", &pixel_shuffle);
  m.def("pixel_unshuffle", &pixel_unshuffle);
}

}  // namespace fastdl
