// Atomics, and the loads and stores that must stay whole. Threads run one at a time, so the operation itself needs no
// lock; it lives here, outside the instrumented kernel code, so that it counts as one access.
#include <cstring>

#include "emu/engine.h"

namespace fastdl::emu {
namespace {

// Reads outside give ones, NaN as a float; writes outside do not happen.
template <class T>
T checked_load(const void* p, const void* pc) {
  T v;
  std::memset(&v, 0xff, sizeof v);
  if (check_access<sizeof(T)>(p, Access::kRead, pc)) std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
void checked_store(void* p, const T& v, const void* pc) {
  if (check_access<sizeof(T)>(p, Access::kWrite, pc)) std::memcpy(p, &v, sizeof v);
}

template <class T, class F>
T read_modify_write(T* p, const void* pc, F&& f) {
  T old;
  std::memset(&old, 0xff, sizeof old);
  if (!check_access<sizeof(T)>(p, Access::kAtomic, pc)) return old;
  std::memcpy(&old, p, sizeof old);
  const T changed = f(old);
  std::memcpy(p, &changed, sizeof changed);
  return old;
}

}  // namespace

uint32_t load4(const void* p) {
  return checked_load<uint32_t>(p, FASTDL_CALLER);
}
uint64_t load8(const void* p) {
  return checked_load<uint64_t>(p, FASTDL_CALLER);
}
Bits16 load16(const void* p) {
  return checked_load<Bits16>(p, FASTDL_CALLER);
}
void store4(void* p, uint32_t bits) {
  checked_store(p, bits, FASTDL_CALLER);
}
void store8(void* p, uint64_t bits) {
  checked_store(p, bits, FASTDL_CALLER);
}
void store16(void* p, Bits16 bits) {
  checked_store(p, bits, FASTDL_CALLER);
}

}  // namespace fastdl::emu

using fastdl::emu::read_modify_write;

#define FASTDL_ATOMIC(T, name, result)                                              \
  T atomic##name(T* p, T v) {                                                       \
    return read_modify_write(p, FASTDL_CALLER, [&](T old) -> T { return result; }); \
  }
#define FASTDL_ATOMIC_INTEGER(T)                                                                  \
  FASTDL_ATOMIC(T, Add, old + v)                                                                  \
  FASTDL_ATOMIC(T, Max, old > v ? old : v)                                                        \
  FASTDL_ATOMIC(T, Min, old < v ? old : v)                                                        \
  FASTDL_ATOMIC(T, Exch, ((void)old, v))                                                          \
  FASTDL_ATOMIC(T, Or, old | v)                                                                   \
  FASTDL_ATOMIC(T, And, old& v)                                                                   \
  FASTDL_ATOMIC(T, Xor, old ^ v)                                                                  \
  T atomicCAS(T* p, T expected, T v) {                                                            \
    return read_modify_write(p, FASTDL_CALLER, [&](T old) { return old == expected ? v : old; }); \
  }
FASTDL_ATOMIC_INTEGER(int)
FASTDL_ATOMIC_INTEGER(unsigned)
FASTDL_ATOMIC_INTEGER(unsigned long long)
FASTDL_ATOMIC(float, Add, old + v)
FASTDL_ATOMIC(double, Add, old + v)
FASTDL_ATOMIC(float, Exch, ((void)old, v))
FASTDL_ATOMIC(int, Sub, old - v)
FASTDL_ATOMIC(unsigned, Sub, old - v)
