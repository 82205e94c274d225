// What the emulated device has beyond a CUDA device's functions: its findings and the order of its threads.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bind/array_type.h"
#include "emu/engine.h"
#include "emu/memory.h"
#include "emu/runtime_api.h"
#include "emu/selftest/selftest.h"
#include "emu/traffic.h"

namespace fastdl::emu {
namespace {

namespace py = pybind11;

py::tuple triple(uint3 i) {
  return py::make_tuple(i.x, i.y, i.z);
}

py::list report() {
  py::list out;
  for (const Finding& f : findings()) {
    py::dict d;
    d["kind"] = f.kind, d["kernel"] = f.kernel, d["file"] = f.file, d["line"] = f.line;
    d["block"] = triple(f.block), d["thread"] = triple(f.thread);
    d["count"] = f.count, d["message"] = f.message;
    out.append(d);
  }
  return out;
}

py::list profiled_lines() {
  static constexpr const char* kKinds[] = {"read", "write", "atomic"};
  py::list out;
  for (const LineTraffic& t : line_traffic()) {
    py::dict d;
    d["kernel"] = t.kernel, d["file"] = t.file, d["line"] = t.line;
    d["space"] = t.shared ? "shared" : "global", d["kind"] = kKinds[static_cast<int>(t.access)], d["bytes"] = t.bytes;
    d["requests"] = t.requests, d["units"] = t.units, d["ideal"] = t.ideal;
    out.append(d);
  }
  return out;
}

py::list profiled_kernels() {
  py::list out;
  for (const KernelTraffic& t : kernel_traffic()) {
    py::dict d;
    d["kernel"] = t.kernel, d["launches"] = t.launches, d["blocks"] = t.blocks, d["threads"] = t.threads,
    d["read"] = t.read, d["written"] = t.written;
    d["read_floor"] = t.read_floor, d["written_floor"] = t.written_floor;
    out.append(d);
  }
  return out;
}

py::list kernel_list() {
  py::list out;
  for (const Instance& k : kernel_instances()) out.append(py::make_tuple(k.name, k.offset, k.launched));
  return out;
}

void set_order(const std::string& name, uint64_t seed) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  if (name == "ascending")
    engine.order = Order::kAscending;
  else if (name == "descending")
    engine.order = Order::kDescending;
  else if (name == "shuffled")
    engine.order = Order::kShuffled;
  else
    throw ValueError("[set_order] expected ascending, descending or shuffled, got " + name);
  engine.random = seed * 2 + 1;  // the generator needs a state other than zero
}

void set_architecture(int architecture) {
  if (architecture != 75 && architecture != 80 && architecture != 89 && architecture != 90)
    throw ValueError("[set_architecture] expected 75, 80, 89 or 90, got " + std::to_string(architecture));
  std::lock_guard<std::mutex> lock(engine_mutex);
  engine.architecture = architecture;
}

}  // namespace

void bind_engine(py::module_& m) {
  m.def("report", &report);
  m.def("clear_report", &clear_findings);
  m.def("set_order", &set_order, py::arg("order"), py::arg("seed") = 0);
  m.def("set_architecture", &set_architecture, py::arg("architecture"));
  m.def("kernels_run", &kernel_names);
  m.def("kernels", &kernel_list);
  m.def("set_profiling", &set_profiling, py::arg("on"));
  m.def("is_profiling", [] { return profiling; });
  m.def("clear_profile", &clear_traffic);
  m.def("profiled_lines", &profiled_lines);
  m.def("profiled_kernels", &profiled_kernels);
  m.def("copied_to_host", &copied_to_host);
  m.def("address", [](const Array& a) { return reinterpret_cast<uintptr_t>(a.data); });
  bind_selftest(m);
}

}  // namespace fastdl::emu
