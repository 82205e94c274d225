#include "bind/call.h"
#include "bind/host_numbers.h"
#include "ops/gather/gather.h"

namespace fastdl {

void bind_places(py::module_& m);

namespace gather_places_binding {

Array linear(const ArrayList& indices, const Dims& sizes) {
  constexpr const char* kOp = "linear_index";
  EXPECT(indices.size() >= 1 && indices.size() == sizes.n, ValueError, kOp,
         text("one index for each of ", sizes.n, " axes, at least one"), text(indices.size()));
  for (int k = 0; k < sizes.n; ++k) {
    expect_same_dtype(kOp, "indices", indices[k], DType::kInt64);
    expect_shape(kOp, "indices", indices[k], indices[0].shape);
  }
  Array out = empty(indices[0].shape, DType::kInt64);
  Faults<2> bad;
  LinearIndexArgs args{out.size, sizes.n, {}, {}, static_cast<int64_t*>(out.data), bad.place()};
  for (int k = 0; k < sizes.n; ++k)
    args.sizes[k] = sizes[k], args.index[k] = static_cast<const int64_t*>(indices[k].data);
  call(linear_index, args, static_cast<int64_t>(out.bytes()) * (sizes.n + 1));
  bad.check([args](const int64_t* found) {
    const int axis = static_cast<int>(found[0]) - 1;
    EXPECT(axis < 0, IndexError, "index",
           text("indices in [", -args.sizes[axis], ", ", args.sizes[axis] - 1, "] of an axis of ", args.sizes[axis]),
           text(number_at(args.index[axis], DType::kInt64, found[1]), " at position ", found[1]));
  });
  return out;
}

Array nonzero(const Array& x) {
  refuse_recording("nonzero");
  int64_t count = 0;
  NonzeroArgs args{x.dtype, x.shape, x.data, nullptr, &count};
  call(find_nonzero, args, static_cast<int64_t>(x.bytes()));
  Dims shape;
  shape.n = 2, shape[0] = count, shape[1] = x.ndim();
  Array out = empty(shape, DType::kInt64);
  args.out = static_cast<int64_t*>(out.data);
  if (out.size > 0) call(find_nonzero, args, static_cast<int64_t>(x.bytes() + out.bytes()));
  return out;
}

}  // namespace gather_places_binding

void bind_places(py::module_& m) {
  using namespace gather_places_binding;
  m.def("linear_index", &linear);
  m.def("nonzero", &nonzero);
}

}  // namespace fastdl
