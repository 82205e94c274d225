// The Python module of one device: arrays in and out, the device's settings, and the bindings of every operation.
#include <pybind11/pybind11.h>

#include <chrono>
#include <cstring>

#include "bind/array_type.h"
#include "bind/dlpack.h"
#include "bind/errors.h"
#if defined(FASTDL_DEVICE_CPU)
#include "bind/call.h"
#include "bind/recording.h"
#include "cpu/isa.h"
#include "cpu/parallel.h"
#include "cpu/peak.h"
#else
#include "cuda/runtime.h"
#endif

namespace fastdl {
#define FASTDL_OP(name) void bind_##name(py::module_& m);
#include "ops_built.inc"
#undef FASTDL_OP

namespace {

Array reshape(const Array& a, const Dims& shape) {
  checked_extent("reshape", shape);
  EXPECT(shape.product() == a.size, ValueError, "reshape", text("a shape of ", a.size, " elements"), text(shape));
  return reshaped(a, shape);
}

py::dict memory() {
  const MemoryStats s = memory_stats();
  py::dict d;
  d["allocated"] = s.allocated, d["cached"] = s.cached, d["peak"] = s.peak;
  return d;
}

#if defined(FASTDL_DEVICE_CPU)
double fma_loop_flops(DType dtype, int64_t iterations) {
  EXPECT(is_float(dtype), TypeError, "fma_loop", text("dtype float32 or float64"), text(dtype));
  refuse_recording("fma_loop");
  double flops = 0;
  call(fma_loop, {dtype, iterations, get_num_threads(), &flops}, kReleaseGilAbove);
  return flops;
}

// How long it takes two threads to meet: a few ways of a cache line between their cores. 0 with one thread.
double meeting_seconds(int64_t times) {
  EXPECT(times >= 1, ValueError, "meeting_seconds", text("times of at least 1"), text(times));
  const auto now = std::chrono::steady_clock::now;
  double seconds = 0;
  run_team(2, [&](Team& team) {
    team.wait();
    const auto start = now();
    for (int64_t i = 0; i < times; ++i) team.wait();
    if (team.rank == 0 && team.size > 1) seconds = std::chrono::duration<double>(now() - start).count();
  });
  return seconds / static_cast<double>(times);
}
#endif

py::dict build_info() {
  py::dict d;
  d["isa_built"] = FASTDL_ISA_LIST;
  d["cuda_built"] = static_cast<bool>(FASTDL_CUDA_BUILT);
  d["cuda_note"] = FASTDL_CUDA_NOTE;
  d["emu_built"] = static_cast<bool>(FASTDL_EMU_BUILT);
  d["compiler"] = __VERSION__;
  return d;
}

}  // namespace

PYBIND11_MODULE(FASTDL_MODULE, m, py::mod_gil_not_used()) {
  register_errors(m);
  init_array_type(m);
  bind_exchange(m);
  m.def("empty", &empty);
  m.def("reshape", &reshape);
  m.def("memory_stats", &memory);
  m.def("empty_cache", &empty_cache);
  m.def("build_info", &build_info);
#if defined(FASTDL_DEVICE_CPU)
  m.def("get_num_threads", &get_num_threads);
  m.def("set_num_threads", &set_num_threads);
  m.def("fma_loop", &fma_loop_flops);  // runs multiply-adds and returns how many operations: the machine's peak
  m.def("meeting_seconds", &meeting_seconds, py::call_guard<py::gil_scoped_release>());
  set_isa(active_isa);  // raises where the machine has none of the sets that were built
  m.def("isa", [] { return isa_name(isa()); });
  m.def("best_isa", [] { return isa_name(best_isa()); });
  m.def("set_isa", [](const std::string& name) { set_isa(isa_from_name(name.c_str())); });
  bind_recording(m);
#else
  bind_runtime(m);
#endif
#define FASTDL_OP(name) bind_##name(m);
#include "ops_built.inc"
#undef FASTDL_OP
}

}  // namespace fastdl
