// Recordings in Python: record_kernels(build, inputs) and what it returns.
#if defined(FASTDL_DEVICE_CPU)
#include "bind/recording.h"

#include <cstring>

#include "bind/call.h"

namespace fastdl {
namespace recording_binding {

constexpr int64_t kCopyGrain = 1 << 20;

void copy_bytes(void* to, const void* from, size_t bytes) {
  parallel_for(static_cast<int64_t>(bytes), kCopyGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                static_cast<size_t>(end - begin));
  });
}

// Steps, the memory that they work in, and the arrays at both ends. The caller keeps constants alive.
struct Recorded {
  Steps steps;
  std::shared_ptr<Arena> arena = std::make_shared<Arena>();
  std::vector<Array> inputs, outputs;

  void expect_inputs(const ArrayList& arrays) const {
    EXPECT(static_cast<size_t>(arrays.size()) == inputs.size(), ValueError, "run", text(inputs.size(), " inputs"),
           text(arrays.size()));
    for (Py_ssize_t i = 0; i < arrays.size(); ++i) {
      const Array& wanted = inputs[static_cast<size_t>(i)];
      expect_same_dtype("run", "input", arrays[i], wanted.dtype);
      expect_shape("run", "input", arrays[i], wanted.shape);
    }
  }

  void take(const std::vector<const void*>& sources) {
    for (size_t i = 0; i < sources.size(); ++i) copy_bytes(inputs[i].data, sources[i], inputs[i].bytes());
  }

  static std::vector<const void*> sources(const ArrayList& arrays) {
    std::vector<const void*> data;
    for (Py_ssize_t i = 0; i < arrays.size(); ++i) data.push_back(arrays[i].data);
    return data;
  }

  // Without the GIL where that pays: `arrays` keeps the sources alive.
  template <class Work>
  void without_gil(Work&& work) const {
    FlushDenormals flush;
    if (steps.bytes() < kReleaseGilAbove) return work();
    py::gil_scoped_release release;
    work();
  }

  py::list run(const ArrayList& arrays) {
    refuse_recording("run");
    expect_inputs(arrays);
    std::vector<Array> fresh;
    for (const Array& out : outputs) fresh.push_back(empty(out.shape, out.dtype));
    const std::vector<const void*> data = sources(arrays);
    without_gil([&] {
      take(data);
      steps.run();
      for (size_t i = 0; i < outputs.size(); ++i) copy_bytes(fresh[i].data, outputs[i].data, outputs[i].bytes());
    });
    py::list results(fresh.size());
    for (size_t i = 0; i < fresh.size(); ++i) results[i] = py::cast(std::move(fresh[i]));
    return results;
  }

  // (repeats, steps): seconds of each step in each of several runs.
  Array times(const ArrayList& arrays, int64_t repeats) {
    refuse_recording("times");
    expect_inputs(arrays);
    EXPECT(repeats >= 1, ValueError, "times", "repeats of at least 1", text(repeats));
    const int64_t count = static_cast<int64_t>(steps.size());
    Array seconds = empty({2, {repeats, count}}, DType::kFloat64);
    const std::vector<const void*> data = sources(arrays);
    without_gil([&] {
      for (int64_t i = 0; i < repeats; ++i) {
        take(data);  // a network may write into its inputs
        steps.run_timed(static_cast<double*>(seconds.data) + i * count);
      }
    });
    return seconds;
  }
};

std::vector<Array> arrays_of(const py::object& list) {
  std::vector<Array> arrays;
  for (py::handle item : list) {
    EXPECT(is_array(item.ptr()), TypeError, "record", "arrays from build()", std::string(py::str(py::type::of(item))));
    arrays.push_back(unwrap(item.ptr()));
  }
  return arrays;
}

std::unique_ptr<Recorded> record(const py::object& build, const ArrayList& inputs) {
  auto r = std::make_unique<Recorded>();
  for (Py_ssize_t i = 0; i < inputs.size(); ++i) r->inputs.push_back(inputs[i]);
  {
    Steps first;
    Recording scope(first, *r->arena);
    r->outputs = arrays_of(build());
  }
  r->arena->place();  // outputs are still there, so nothing shares memory with them
  Recording scope(r->steps, *r->arena);
  r->outputs = arrays_of(build());
  return r;
}

}  // namespace recording_binding

void bind_recording(py::module_& m) {
  using namespace recording_binding;
  py::class_<Recorded>(m, "_Recorded", py::module_local())
      .def("run", &Recorded::run)
      .def("times", &Recorded::times)
      .def_property_readonly("steps", [](const Recorded& r) { return r.steps.size(); })
      .def_property_readonly("memory", [](const Recorded& r) { return r.arena->bytes(); })
      .def_property_readonly("intermediates", [](const Recorded& r) { return r.arena->total(); });
  m.def("record_kernels", &record);
  m.def("allocate_next_in", [](const Array& whole, int64_t offset, int64_t bytes) {
    const bool fits = offset >= 0 && bytes >= 0 && offset + bytes <= static_cast<int64_t>(whole.bytes());
    EXPECT(fits, ValueError, "allocate_next_in", text("bytes within ", whole.bytes()), text(bytes, " at ", offset));
    if (Recording* r = recording())
      r->arena.allocate_next_in(whole.buffer, static_cast<size_t>(offset), static_cast<size_t>(bytes));
  });
  m.def("steps_recorded", [] { return recording() ? recording()->steps.size() : 0; });
}

}  // namespace fastdl
#endif
