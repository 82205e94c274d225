#include <pybind11/pybind11.h>

#include <cstring>
#include <vector>

#include "bind/array_type.h"
#include "core/array.h"
#include "cuda/runtime.h"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

SelfTest* all = nullptr;

void run_selftest(const char* name, const py::args& arrays) {
  std::vector<Operand> operands;
  for (py::handle a : arrays) {
    EXPECT(is_array(a.ptr()), TypeError, "selftest", text("arrays"), text(std::string(py::str(py::type::of(a)))));
    operands.push_back({unwrap(a.ptr()).data, unwrap(a.ptr()).size});
  }
  for (const SelfTest* t = all; t; t = t->next)
    if (std::strcmp(t->name, name) == 0) return t->run(operands.data(), current_stream());
  throw ValueError("[selftest] expected one of selftests(), got " + std::string(name));
}

// The same numbers one element further on than the allocator puts arrays: kernels may not move them as vectors.
Array shifted(const Array& a) {
  Dims room;
  room.n = 1, room[0] = a.size + 1;
  Array out = empty(room, a.dtype);
  out.data = static_cast<char*>(out.data) + itemsize(a.dtype);
  out.size = a.size, out.shape = a.shape;
  copy_on_device(out.data, a.data, a.bytes());
  return out;
}

py::list selftests() {
  py::list names;
  for (const SelfTest* t = all; t; t = t->next) names.append(t->name);
  return names;
}

}  // namespace

SelfTest::SelfTest(const char* name_, void (*run_)(const Operand*, Stream)) : name(name_), run(run_), next(all) {
  all = this;
}

void bind_selftest(py::module_& m) {
  m.def("selftest", &run_selftest);
  m.def("selftests", &selftests);
  m.def("shifted", &shifted);
}

}  // namespace fastdl::emu
