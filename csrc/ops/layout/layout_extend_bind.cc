// Axes that go on beyond their ends, and triangles.
#include <string>

#include "core/strided.h"
#include "ops/layout/layout_bind.h"

namespace fastdl {
namespace layout_extend_binding {
using namespace layout_binding;

Extension mode_of(const char* op, const std::string& mode) {
  EXPECT(mode == "reflect" || mode == "replicate" || mode == "circular", ValueError, op,
         text("mode reflect, replicate or circular"), mode);
  return mode == "reflect" ? Extension::kReflect : mode == "replicate" ? Extension::kReplicate : Extension::kCircular;
}

bool is_whole(const Extended& a) {
  return a.start == 0 && a.n == a.m;
}

// out = the axes of x, of which each goes on to the size that it has in out.
void extend_to(const Array& x, Extension mode, const Dims& start, Array& out) {
  if (out.size == 0) return;
  ExtendArgs args{static_cast<int>(itemsize(x.dtype)), mode, 0, {}, x.data, out.data};
  for (int i = 0; i < x.ndim(); ++i) {
    const Extended a{x.dim(i), out.dim(i), start[i]};
    if (a.n == 1 && is_whole(a)) continue;
    // A whole axis joins a whole one before it, and one that is copied by runs, which are as much longer then.
    Extended* const before = args.rank ? &args.axis[args.rank - 1] : nullptr;
    if (before && is_whole(a) && (is_whole(*before) || mode == Extension::kCircular))
      before->n *= a.n, before->m *= a.n, before->start *= a.n;
    else
      args.axis[args.rank++] = a;
  }
  if (args.rank == 0) args.axis[args.rank++] = {1, 1, 0};
  call(extend, args, traffic(out));
}

Array roll(const Array& x, const Dims& shifts) {
  EXPECT(shifts.n == x.ndim(), ValueError, "roll", text(x.ndim(), " shifts"), text(shifts.n));
  Array out = empty(x.shape, x.dtype);
  if (out.size == 0) return out;
  Dims start = shifts;
  for (int i = 0; i < x.ndim(); ++i) {
    start[i] = shifts[i] % x.dim(i);
    if (start[i] < 0) start[i] += x.dim(i);
  }
  extend_to(x, Extension::kCircular, start, out);
  return out;
}

// An axis of n elements must have those that the mode takes from it.
void expect_enough(const char* op, int axis, int64_t n, int64_t before, int64_t after, const std::string& mode) {
  if (before <= 0 && after <= 0) return;
  const int64_t most = before > after ? before : after;
  const int64_t least = mode == "reflect" ? most : mode == "circular" ? most - 1 : 0;  // and one more
  EXPECT(n > least, ValueError, op, text("at least ", least + 1, " elements on axis ", axis, " for mode '", mode, "'"),
         text(n));
}

Array pad(const Array& x, const Dims& before, const Dims& after, const std::string& mode) {
  EXPECT(before.n == x.ndim() && after.n == x.ndim(), ValueError, "pad",
         text("numbers before and after each of ", x.ndim(), " axes"), text(before.n, " and ", after.n));
  const Extension how = mode_of("pad", mode);
  Dims shape = x.shape;
  for (int i = 0; i < x.ndim(); ++i) {
    expect_enough("pad", i, x.dim(i), before[i], after[i], mode);
    const bool large =
        __builtin_add_overflow(shape[i], before[i], &shape[i]) || __builtin_add_overflow(shape[i], after[i], &shape[i]);
    EXPECT(!large && shape[i] >= 0, ValueError, "pad", text("to cut off at most what shape ", x.shape, " has"),
           text("before ", before, " and after ", after));
  }
  Array out = empty(shape, x.dtype);
  extend_to(x, how, before, out);
  return out;
}

Array pad_bwd(const Array& grad, const Dims& shape, const Dims& before, const std::string& mode) {
  expect_float("pad_bwd", "grad", grad);
  EXPECT(shape.n == grad.ndim() && before.n == grad.ndim(), ValueError, "pad_bwd",
         text("a size and a number before for each of ", grad.ndim(), " axes"), text(shape.n, " and ", before.n));
  FoldArgs args{grad.dtype, mode_of("pad_bwd", mode), 1, {{1, 1, 0}, {1, 1, 0}, {1, 1, 0}}, grad.data, nullptr};
  for (int i = 0; i < shape.n; ++i) {
    EXPECT(shape[i] >= 0, ValueError, "pad_bwd", text("sizes of at least 0"), text(shape));
    EXPECT(before[i] >= -shape[i] - grad.dim(i) && before[i] <= shape[i] + grad.dim(i), ValueError, "pad_bwd",
           text("numbers before that grad of shape ", grad.shape, " has room for"), text(before));
    expect_enough("pad_bwd", i, shape[i], before[i], grad.dim(i) - shape[i] - before[i], mode);
    const int place = 3 - (shape.n - i);
    const Extended a{shape[i], grad.dim(i), before[i]};
    EXPECT(place >= 0 || is_whole(a), NotImplementedError, "pad_bwd", text("padding of the last 3 axes"),
           text("shape ", shape, " and grad of shape ", grad.shape));
    if (place < 0)
      args.outer *= a.n;
    else
      args.axis[place] = a;
  }
  Array out = empty(shape, grad.dtype);
  args.out = out.data;
  if (out.size) call(fold_extended, args, static_cast<int64_t>(grad.bytes() + out.bytes()));
  return out;
}

Array triangle_of(const char* op, const Array& x, int64_t diagonal, bool lower) {
  EXPECT(x.ndim() >= 2, ValueError, op, text("input with at least 2 dimensions"), text("shape ", x.shape));
  Array out = empty(x.shape, x.dtype);
  if (out.size == 0) return out;
  const int64_t rows = x.dim(x.ndim() - 2), columns = x.dim(x.ndim() - 1);
  const int64_t within = diagonal < -rows ? -rows : diagonal < columns ? diagonal : columns;
  call(triangle,
       TriangleArgs{static_cast<int>(itemsize(x.dtype)), lower, x.shape.product(0, x.ndim() - 2), rows, columns, within,
                    x.data, out.data},
       traffic(out));
  return out;
}

}  // namespace layout_extend_binding

void bind_layout_extend(py::module_& m) {
  using namespace layout_extend_binding;
  m.def("roll", &roll);
  m.def("pad", &pad);
  m.def("pad_bwd", &pad_bwd);
  m.def("tril", [](const Array& x, int64_t diagonal) { return triangle_of("tril", x, diagonal, true); });
  m.def("triu", [](const Array& x, int64_t diagonal) { return triangle_of("triu", x, diagonal, false); });
}

}  // namespace fastdl
