// Kernels are compiled with -fsanitize=thread, which makes the compiler call a function before each load and store.
// They are linked with these functions in place of the sanitizer's library. The symbols are hidden: a process that also
// runs the real one does not see them.
#include <atomic>

#include "emu/engine.h"

using fastdl::emu::Access;
using fastdl::emu::check_access;
using fastdl::emu::check_range;

#define HOOK extern "C" __attribute__((visibility("hidden")))

#define FASTDL_SIZED_HOOKS(n)                          \
  HOOK void __tsan_read##n(void* p) {                  \
    check_access<n>(p, Access::kRead, FASTDL_CALLER);  \
  }                                                    \
  HOOK void __tsan_write##n(void* p) {                 \
    check_access<n>(p, Access::kWrite, FASTDL_CALLER); \
  }                                                    \
  HOOK void __tsan_unaligned_read##n(void* p) {        \
    check_access<n>(p, Access::kRead, FASTDL_CALLER);  \
  }                                                    \
  HOOK void __tsan_unaligned_write##n(void* p) {       \
    check_access<n>(p, Access::kWrite, FASTDL_CALLER); \
  }                                                    \
  HOOK void __tsan_volatile_read##n(void* p) {         \
    check_access<n>(p, Access::kRead, FASTDL_CALLER);  \
  }                                                    \
  HOOK void __tsan_volatile_write##n(void* p) {        \
    check_access<n>(p, Access::kWrite, FASTDL_CALLER); \
  }
FASTDL_SIZED_HOOKS(1)
FASTDL_SIZED_HOOKS(2)
FASTDL_SIZED_HOOKS(4)
FASTDL_SIZED_HOOKS(8)
FASTDL_SIZED_HOOKS(16)

HOOK void __tsan_init() {}
HOOK void __tsan_func_entry(void*) {}
HOOK void __tsan_func_exit(void*) {}
HOOK void __tsan_read_range(void* p, size_t bytes) {
  check_range(p, bytes, Access::kRead, FASTDL_CALLER);
}
HOOK void __tsan_write_range(void* p, size_t bytes) {
  check_range(p, bytes, Access::kWrite, FASTDL_CALLER);
}
HOOK void __tsan_vptr_read(void* p) {
  check_access<sizeof(void*)>(p, Access::kRead, FASTDL_CALLER);
}
HOOK void __tsan_vptr_update(void* p, void*) {
  check_access<sizeof(void*)>(p, Access::kWrite, FASTDL_CALLER);
}

// std::atomic, in the host code of a kernel file: reference counts of buffers, for example.
#define FASTDL_ATOMIC_HOOKS(n, T)                                                           \
  HOOK T __tsan_atomic##n##_load(const volatile T* p, int) {                                \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                            \
  }                                                                                         \
  HOOK void __tsan_atomic##n##_store(volatile T* p, T v, int) {                             \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                               \
  }                                                                                         \
  HOOK T __tsan_atomic##n##_exchange(volatile T* p, T v, int) {                             \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                     \
  }                                                                                         \
  HOOK T __tsan_atomic##n##_fetch_add(volatile T* p, T v, int) {                            \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  HOOK T __tsan_atomic##n##_fetch_sub(volatile T* p, T v, int) {                            \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  HOOK T __tsan_atomic##n##_fetch_and(volatile T* p, T v, int) {                            \
    return __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  HOOK T __tsan_atomic##n##_fetch_or(volatile T* p, T v, int) {                             \
    return __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST);                                       \
  }                                                                                         \
  HOOK T __tsan_atomic##n##_fetch_xor(volatile T* p, T v, int) {                            \
    return __atomic_fetch_xor(p, v, __ATOMIC_SEQ_CST);                                      \
  }                                                                                         \
  HOOK int __tsan_atomic##n##_compare_exchange_strong(volatile T* p, T* e, T v, int, int) { \
    return __atomic_compare_exchange_n(p, e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                         \
  HOOK int __tsan_atomic##n##_compare_exchange_weak(volatile T* p, T* e, T v, int, int) {   \
    return __atomic_compare_exchange_n(p, e, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }                                                                                         \
  HOOK T __tsan_atomic##n##_compare_exchange_val(volatile T* p, T e, T v, int, int) {       \
    __atomic_compare_exchange_n(p, &e, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
    return e;                                                                               \
  }
FASTDL_ATOMIC_HOOKS(8, uint8_t)
FASTDL_ATOMIC_HOOKS(16, uint16_t)
FASTDL_ATOMIC_HOOKS(32, uint32_t)
FASTDL_ATOMIC_HOOKS(64, uint64_t)
HOOK void __tsan_atomic_thread_fence(int) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
HOOK void __tsan_atomic_signal_fence(int) {
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
