// The switch saves the registers that a function must preserve on the old stack and takes them from the new one. On
// x86-64 it leaves by a jump: a `ret` would miss the processor's return predictor each time, at four times the cost.
// Floating point modes are common to all fibers and are not saved.
#include "emu/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

namespace fastdl::emu {
namespace {

// Stacks that start at equal offsets of their pages would share cache sets; sixteen offsets spread them.
constexpr size_t kStagger = 192, kStaggers = 16;

uintptr_t map_stack() {
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* p =
      mmap(nullptr, kStackBytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  mprotect(p, page, PROT_NONE);
  return reinterpret_cast<uintptr_t>(p) + page;
}

uintptr_t stack_top(const Fiber* fiber) {
  const size_t stagger = fiber->stack_low / kStackBytes % kStaggers * kStagger;
  return (fiber->stack_low + kStackBytes - stagger) & ~uintptr_t{63};
}

}  // namespace

#if defined(__x86_64__)

extern "C" void fastdl_switch_stack(void** save, void* load);
asm(R"(
.pushsection .text
.hidden fastdl_switch_stack
.globl fastdl_switch_stack
.type fastdl_switch_stack, @function
fastdl_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rdx
  jmp *%rdx
.size fastdl_switch_stack, . - fastdl_switch_stack
.popsection
)");

void restart_fiber(Fiber* fiber, void (*main)()) {
  auto* top = reinterpret_cast<void**>(stack_top(fiber));
  *--top = nullptr;  // main's return address: it never returns; keeps the stack aligned as after a call
  *--top = reinterpret_cast<void*>(main);  // where the switch jumps to
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fiber->context = top;
}

void switch_fiber(Fiber* from, Fiber* to) {
  fastdl_switch_stack(&from->context, to->context);
}

#elif defined(__aarch64__)

extern "C" void fastdl_switch_stack(void** save, void* load);
asm(R"(
.pushsection .text
.hidden fastdl_switch_stack
.globl fastdl_switch_stack
.type fastdl_switch_stack, %function
fastdl_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  br x30
.size fastdl_switch_stack, . - fastdl_switch_stack
.popsection
)");

void restart_fiber(Fiber* fiber, void (*main)()) {
  auto* frame = reinterpret_cast<void**>(stack_top(fiber)) - 20;
  for (int i = 0; i < 20; ++i) frame[i] = nullptr;
  frame[11] = reinterpret_cast<void*>(main);  // x30, where the switch jumps to
  fiber->context = frame;
}

void switch_fiber(Fiber* from, Fiber* to) {
  fastdl_switch_stack(&from->context, to->context);
}

#else

void restart_fiber(Fiber* fiber, void (*main)()) {
  if (!fiber->context) fiber->context = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(fiber->context);
  getcontext(context);
  context->uc_stack.ss_sp = reinterpret_cast<void*>(fiber->stack_low);
  context->uc_stack.ss_size = stack_top(fiber) - fiber->stack_low;
  context->uc_link = nullptr;
  makecontext(context, main, 0);
}

void switch_fiber(Fiber* from, Fiber* to) {
  if (!from->context) from->context = new ucontext_t;
  swapcontext(static_cast<ucontext_t*>(from->context), static_cast<ucontext_t*>(to->context));
}

#endif

Fiber* new_fiber(void (*main)()) {
  Fiber* fiber = new Fiber;
  fiber->stack_low = map_stack();
  restart_fiber(fiber, main);
  return fiber;
}

}  // namespace fastdl::emu
