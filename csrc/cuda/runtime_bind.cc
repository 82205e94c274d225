// The run time in Python. Streams are their addresses, as integers; events, graphs and pinned memory are objects.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <stdexcept>

#include "bind/array_type.h"
#include "cuda/capture.h"
#include "cuda/pinned.h"
#include "cuda/product_precision.h"
#include "cuda/runtime.h"
#include "cuda/streams.h"

namespace fastdl {
namespace runtime_binding {

using Release = py::call_guard<py::gil_scoped_release>;

Stream stream_at(uintptr_t address) {
  return reinterpret_cast<Stream>(address);
}
uintptr_t address_of(const void* p) {
  return reinterpret_cast<uintptr_t>(p);
}

// ---- memory ---------------------------------------------------------------------------------------------------------

void add_counter(py::dict& d, const std::string& name, const MemoryCounter& c) {
  const auto set = [&](const char* what, int64_t n) { d[py::str(name + ".all." + what)] = n; };
  set("current", c.current), set("peak", c.peak), set("allocated", c.allocated), set("freed", c.freed);
}

py::dict counters() {  // under PyTorch's names
  const MemoryCounters c = memory_counters();
  py::dict d;
  add_counter(d, "allocation", c.blocks);
  add_counter(d, "allocated_bytes", c.block_bytes);
  add_counter(d, "segment", c.segments);
  add_counter(d, "reserved_bytes", c.segment_bytes);
  d["num_alloc_retries"] = c.retries, d["num_ooms"] = c.out_of_memory;
  d["num_device_alloc"] = c.segments.allocated, d["num_device_free"] = c.segments.freed;
  return d;
}

py::tuple mem_get_info() {
  expect_device();
  size_t available = 0, total = 0;
  check(cudaMemGetInfo(&available, &total), "cudaMemGetInfo");
  return py::make_tuple(available, total);
}

void bind_memory(py::module_& m) {
  m.def("memory_counters", &counters);
  m.def("mem_get_info", &mem_get_info);
  m.def("reset_peak_memory", &reset_peak_memory);
  m.def("reset_accumulated_memory", &reset_accumulated_memory);
  m.def("set_memory_limit", &set_memory_limit);
  m.def("set_caching", &set_caching);
  m.def("record_stream", [](const Array& a, uintptr_t stream) { used_on_stream(a.buffer, stream_at(stream)); });
}

// ---- pinned memory --------------------------------------------------------------------------------------------------

struct Pinned {
  explicit Pinned(size_t bytes) : block(pinned_allocate(bytes)), size(bytes) {}
  ~Pinned() { pinned_release(block); }
  Pinned(const Pinned&) = delete;
  PinnedBlock* block;
  size_t size;
};

// Copies at once where the array's memory is not pinned.
Array from_pinned(const py::buffer& source, const Dims& shape, DType dtype) {
  const py::buffer_info info = source.request();
  Array out = empty(shape, dtype);
  EXPECT(static_cast<size_t>(info.size * info.itemsize) == out.bytes(), ValueError, "from_pinned",
         text(out.bytes(), " bytes"), text(info.size * info.itemsize));
  PinnedBlock* const block = pinned_block(info.ptr);
  if (!block) {
    copy_from_host(out.data, info.ptr, out.bytes());
    return out;
  }
  refuse_capture("a copy from the host, whose numbers would be those of the capture for ever");
  copy_from_pinned(out.data, *block, info.ptr, out.bytes(), current_stream());
  return out;
}

void to_pinned(const Array& a, Pinned& to) {
  EXPECT(to.size == a.bytes(), ValueError, "to_pinned", text(a.bytes(), " bytes"), text(to.size));
  refuse_capture("a copy to the host");
  copy_to_pinned(*to.block, a.data, a.bytes(), current_stream());
}

// Classes are local to their module, for the GPU's and the emulation's have the same ones, and a program may load both.
void bind_pinned(py::module_& m) {
  py::class_<Pinned>(m, "_Pinned", py::buffer_protocol(), py::module_local()).def_buffer([](Pinned& p) {
    return py::buffer_info(static_cast<uint8_t*>(p.block->data), static_cast<py::ssize_t>(p.size));
  });
  m.def("pinned", [](size_t bytes) { return std::make_unique<Pinned>(bytes); });
  m.def("is_pinned", [](uintptr_t address) { return pinned_block(reinterpret_cast<const void*>(address)) != nullptr; });
  m.def("from_pinned", &from_pinned);
  m.def("to_pinned", &to_pinned);
}

// ---- streams, events, graphs ----------------------------------------------------------------------------------------

void bind_streams(py::module_& m) {
  m.def("current_stream", [] { return address_of(current_stream()); });
  m.def("set_stream", [](uintptr_t stream) { set_current_stream(stream_at(stream)); });
  m.def("new_stream", [](bool urgent) { return address_of(next_stream(urgent)); });
  m.def("stream_query", [](uintptr_t stream) { return stream_done(stream_at(stream)); });
  m.def("stream_synchronize", [](uintptr_t stream) { wait_for_stream(stream_at(stream)); }, Release());
  m.def("stream_wait_stream",
        [](uintptr_t stream, uintptr_t other) { stream_waits_for(stream_at(stream), stream_at(other)); });
  py::class_<Event>(m, "_Event", py::module_local())
      .def("record", [](Event& e, uintptr_t stream) { e.record(stream_at(stream)); })
      .def("wait", [](const Event& e, uintptr_t stream) { e.wait(stream_at(stream)); })
      .def("query", &Event::query)
      .def("synchronize", &Event::synchronize, Release())
      .def("milliseconds_to", &Event::milliseconds_to)
      .def_property_readonly("address", [](const Event& e) { return address_of(e.address()); });
  m.def("event", [](bool timing) { return std::make_unique<Event>(timing); });
}

struct PoolHandle {
  std::shared_ptr<Pool> pool;
};

// `steps` call the optimizers' functions of the capture again, with this replay's coefficients; they launch nothing.
void replay(Graph& g, const std::vector<py::object>& steps, uint64_t seed, uint64_t counter) {
  g.refresh([&] {
    for (const py::object& step : steps) step();
  });
  g.replay(seed, counter);
}

// A number that replays set anew: in a capture an array of one element, in a refresh (`replay`) its next value.
py::object graph_number(DType dtype, double value) {
  const float narrow = static_cast<float>(value);
  const bool wide = dtype == DType::kFloat64;
  const size_t bytes = wide ? sizeof value : sizeof narrow;
  const Replayed at = replayed(wide ? static_cast<const void*>(&value) : &narrow, bytes);
  if (!at.launch) return py::none();
  if (!at.place) throw std::runtime_error("[cuda graph] expected a capture that has begun, got none");
  Array out = empty(Dims{}, wide ? DType::kFloat64 : DType::kFloat32);
  copy_on_device(out.data, at.place, bytes);
  return py::cast(out);
}

void skip_steps_unless_finite(const Array* largest) {
  if (largest) expect_same_dtype("cuda graph", "largest", *largest, DType::kFloat64);
  Graph::skip_steps_unless_finite(largest ? static_cast<const double*>(largest->data) : nullptr);
}

void bind_graphs(py::module_& m) {
  py::class_<PoolHandle>(m, "_Pool", py::module_local());
  m.def("graph_pool", [] { return PoolHandle{new_pool()}; });
  py::class_<Graph>(m, "_Graph", py::module_local())
      .def("begin", [](Graph& g, const PoolHandle& pool, const std::string& mode,
                       uint64_t counter) { g.begin(pool.pool, mode, counter); })
      .def("end", &Graph::end)
      .def("replay", &replay)
      .def("reset", &Graph::reset);
  m.def("graph", [] { return std::make_unique<Graph>(); });
  m.def("capturing", &capturing);
  m.def("graph_number", &graph_number);
  m.def("skip_steps_unless_finite", &skip_steps_unless_finite);
}

}  // namespace runtime_binding

void bind_runtime(py::module_& m) {
  using namespace runtime_binding;
  m.def("device_count", &device_count);
  m.def("is_available", &is_available);
  m.def("device_name", &device_name);
  m.def("multiprocessors", &multiprocessors);
  m.def("peak_rates", [] {
    const Rates r = peak_rates();
    return py::make_tuple(r.multiply_adds, r.bytes);
  });
  m.def("synchronize", &synchronize, Release());
  bind_memory(m);
  bind_pinned(m);
  bind_streams(m);
  bind_graphs(m);
  bind_product_precision(m);
#if !defined(FASTDL_DEVICE_CUDA)
  emu::bind_engine(m);
#endif
}

}  // namespace fastdl
