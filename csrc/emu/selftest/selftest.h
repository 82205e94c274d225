// Kernels that test the emulation itself: one for each intrinsic, correct ones that must stay without a finding, and
// broken ones whose mistake must be found at its line (tests/emu). A self test is a launcher with a name.
#pragma once
#include <cstdint>

#include "core/kernel.h"

namespace pybind11 {
class module_;
}

namespace fastdl::emu {

// The arrays that the test was called with.
struct Operand {
  void* data;
  int64_t size;
  template <class T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

struct SelfTest {
  SelfTest(const char* name_, void (*run_)(const Operand* operands, Stream stream));
  const char* name;
  void (*run)(const Operand* operands, Stream stream);
  SelfTest* next;  // of all, in no particular order
};

// FASTDL_SELFTEST(name) { launch(..., operands[0].as<float>(), ...); }
#define FASTDL_SELFTEST(name)                                          \
  static void run_##name(const Operand* operands, Stream stream);      \
  static ::fastdl::emu::SelfTest registered_##name(#name, run_##name); \
  static void run_##name([[maybe_unused]] const Operand* operands, [[maybe_unused]] Stream stream)

void bind_selftest(pybind11::module_& m);  // selftest(name, *arrays), selftests(), shifted(array)

}  // namespace fastdl::emu
