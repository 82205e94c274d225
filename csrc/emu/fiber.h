// Fibers: stacks that the engine switches between, one for each emulated thread that has started and not returned.
#pragma once
#include <cstddef>
#include <cstdint>

namespace fastdl::emu {

constexpr size_t kStackBytes = 128 * 1024;

struct Fiber {
  void* context = nullptr;  // of a fiber that is not running: its stack pointer
  uintptr_t stack_low = 0;  // lowest usable address; 0 for the launching thread's own stack
  Fiber* next_idle = nullptr;
};

// A fiber that will call main() when it is first switched to; main must not return.
Fiber* new_fiber(void (*main)());
void restart_fiber(Fiber* fiber, void (*main)());  // forgets where it was
void switch_fiber(Fiber* from, Fiber* to);

}  // namespace fastdl::emu
