// Runs a kernel from a binding.
#pragma once
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>

#include "bind/array_type.h"
#include "core/kernel.h"
#if defined(FASTDL_DEVICE_CPU)
#include "cpu/parallel.h"
#include "cpu/recorder.h"
#else
#include "cuda/faults.h"
#include "cuda/runtime.h"
#endif

namespace fastdl {

// Below this many bytes of memory traffic a kernel is shorter than letting go of the GIL and taking it again (60-120
// ns).
constexpr int64_t kReleaseGilAbove = 64 * 1024;

#if defined(FASTDL_DEVICE_CPU)
template <class Args>
void call(void (*kernel)(const Args&), const Args& args, int64_t bytes) {
  if (Recording* r = recording()) return r->steps.add(kernel, args, bytes);
  FlushDenormals flush;
  if (bytes < kReleaseGilAbove) return kernel(args);
  py::gil_scoped_release release;
  kernel(args);
}
#else
template <class Args>
void call(void (*kernel)(const Args&, Stream), const Args& args, int64_t bytes) {
  if (bytes < kReleaseGilAbove) return kernel(args, current_stream());
  py::gil_scoped_release release;
  kernel(args, current_stream());
}
#endif

// N numbers, first 0, that a kernel leaves for the host: where it found something wrong.
template <int N = 1>
class Faults {
 public:
  Faults() {
#if defined(FASTDL_DEVICE_CPU)
    if (Recording* r = recording()) place_ = r->steps.numbers(N);
#endif
  }
  Faults(const Faults&) = delete;

  int64_t* place() { return place_; }  // for the kernel's arguments

  // After the call: look(numbers) may throw. It runs again whenever a recorded step has run, so it must not hold Arrays
  // or references to the binding's variables.
  template <class Look>
  void check(Look look) {
#if defined(FASTDL_DEVICE_CPU)
    if (Recording* r = recording())
      return r->steps.add_check([look, place = place_] {
        int64_t found[N];
        for (int i = 0; i < N; ++i) found[i] = std::exchange(place[i], 0);
        look(found);
      });
#endif
    look(own_);
  }

 private:
  int64_t own_[N] = {};
  int64_t* place_ = own_;
};
using Fault = Faults<1>;

#if defined(FASTDL_DEVICE_CPU)
// One number of a kernel that touches no memory through what it finds wrong; see below.
class LateFault : public Fault {
 public:
  template <class Look, class... Arrays>
  void check(Look look, const Arrays&...) {
    Fault::check(look);
  }
};
#else
// On a device its place is there, and nobody waits for it: `look` runs when the device has been waited for, and the
// arrays `read`, which it looks at, live until then (cuda/faults.h).
class LateFault {
 public:
  int64_t* place() { return word_->address(); }
  template <class Look, class... Arrays>
  void check(Look look, const Arrays&... read) {
    check_later({word_, look, {read...}}, current_stream());
  }

 private:
  std::shared_ptr<FaultWord> word_ = std::make_shared<FaultWord>();
};
#endif

// A check of numbers in memory, before the call; in a recording it runs each time before the step, as `look` above.
template <class Look>
void check_first(Look look) {
#if defined(FASTDL_DEVICE_CPU)
  if (Recording* r = recording()) return r->steps.add_check(look);
#endif
  look();
}

// For functions that read numbers on the host: these would be those of the recording for ever.
inline void refuse_recording([[maybe_unused]] const char* op) {
#if defined(FASTDL_DEVICE_CPU)
  if (recording()) throw std::runtime_error(text("[", op, "] expected no recording, since it reads numbers, got one"));
#endif
}

// What arguments point to lives as long as a recording with them.
template <class T>
void keep_in_recording([[maybe_unused]] T& object) {
#if defined(FASTDL_DEVICE_CPU)
  if (Recording* r = recording()) r->steps.keep(std::make_shared<T>(std::move(object)));
#endif
}

// The numbers of an argument that may be None.
inline const void* data_or_null(const Array* a) {
  return a ? a->data : nullptr;
}

}  // namespace fastdl
