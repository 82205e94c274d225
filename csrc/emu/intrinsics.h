// CUDA C++ for g++: keywords, built-in variables, barriers, warp intrinsics and atomics of a kernel that the emulation
// runs. Included by cuda/launch.h only. The engine is behind the functions of namespace emu.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <type_traits>

#include "emu/math.h"
#include "emu/types.h"

// The tag is part of a kernel's symbol, so the module's symbol table lists every instantiation.
#define __global__ __attribute__((abi_tag("kernel")))
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __forceinline__ inline __attribute__((always_inline))

// Functions that kernels call which are compiled apart from this module (user.h).
#define FASTDL_ENGINE __attribute__((visibility("default")))

namespace fastdl::emu {

// Where an intrinsic stands in the kernel. Default arguments, so that inlining and unrolling do not change it.
struct Site {
  const char* file;
  int line;
};
#define FASTDL_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

struct Launch {
  const void* kernel;  // its address names it in reports
  const void* call;    // what `invoke` gets; kernels may read these bytes
  size_t call_bytes;
  dim3 grid, block;
  size_t shared_bytes;
  void* stream;
};
FASTDL_ENGINE void run(const Launch& launch, void (*invoke)(const void* call));

// ---- built-in variables: constant during the life of a thread, so that the compiler may reuse them ------------------
FASTDL_ENGINE __attribute__((const)) uint3 thread_index();
FASTDL_ENGINE __attribute__((const)) uint3 block_index();
FASTDL_ENGINE __attribute__((const)) dim3 block_size();
FASTDL_ENGINE __attribute__((const)) dim3 grid_size();

// ---- shared memory --------------------------------------------------------------------------------------------------
// `key` is the address of a static of the declaring function: one variable a block for each instantiation, as in CUDA.
FASTDL_ENGINE void* shared_variable(const void* key, size_t bytes, size_t alignment);
FASTDL_ENGINE unsigned char* dynamic_shared();

// ---- memory accesses that must stay whole ---------------------------------------------------------------------------
struct Bits16 {
  uint64_t low, high;
};
uint32_t load4(const void* p);
uint64_t load8(const void* p);
Bits16 load16(const void* p);
void store4(void* p, uint32_t bits);
void store8(void* p, uint64_t bits);
void store16(void* p, Bits16 bits);

// Inlined, so that an access is known by the line of the kernel that makes it.
template <class V>
__forceinline__ V load(const void* p) {
  if constexpr (sizeof(V) == 4)
    return std::bit_cast<V>(load4(p));
  else if constexpr (sizeof(V) == 8)
    return std::bit_cast<V>(load8(p));
  else
    return std::bit_cast<V>(load16(p));
}
template <class V>
__forceinline__ void store(void* p, const V& v) {
  if constexpr (sizeof(V) == 4)
    store4(p, std::bit_cast<uint32_t>(v));
  else if constexpr (sizeof(V) == 8)
    store8(p, std::bit_cast<uint64_t>(v));
  else
    store16(p, std::bit_cast<Bits16>(v));
}

// ---- threads meeting ------------------------------------------------------------------------------------------------
enum class Vote { kNone, kOr, kAnd, kCount };
FASTDL_ENGINE int barrier(Vote vote, bool predicate, Site site);
FASTDL_ENGINE void sync_warp(unsigned mask, Site site);
FASTDL_ENGINE unsigned active_mask();
FASTDL_ENGINE unsigned ballot(unsigned mask, bool predicate, Site site);
enum class Shuffle { kIndex, kUp, kDown, kXor };
FASTDL_ENGINE uint64_t shuffle(Shuffle kind, unsigned mask, uint64_t bits, int argument, int width, Site site);
enum class WarpReduce { kAdd, kMin, kMax, kUnsignedMin, kUnsignedMax, kAnd, kOr, kXor };
FASTDL_ENGINE unsigned warp_reduce(WarpReduce kind, unsigned mask, unsigned value, Site site);
FASTDL_ENGINE unsigned match_any(unsigned mask, uint64_t value, Site site);
FASTDL_ENGINE void fence(bool device_wide);

template <class T>
inline T shuffled(Shuffle kind, unsigned mask, T v, int argument, int width, Site site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "CUDA shuffles 4- and 8-byte numbers");
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  return std::bit_cast<T>(static_cast<Bits>(shuffle(kind, mask, std::bit_cast<Bits>(v), argument, width, site)));
}

}  // namespace fastdl::emu

#define threadIdx (::fastdl::emu::thread_index())
#define blockIdx (::fastdl::emu::block_index())
#define blockDim (::fastdl::emu::block_size())
#define gridDim (::fastdl::emu::grid_size())
static constexpr int warpSize = 32;

#define FASTDL_SHARED(type, name, ...)                      \
  using name##_in_shared = type __VA_ARGS__;                \
  static char name##_key;                                   \
  name##_in_shared& name = *static_cast<name##_in_shared*>( \
      ::fastdl::emu::shared_variable(&name##_key, sizeof(name##_in_shared), alignof(name##_in_shared)))
#define FASTDL_DYNAMIC_SHARED(name) unsigned char* name = ::fastdl::emu::dynamic_shared()

// ---- barriers and fences --------------------------------------------------------------------------------------------
static inline void __syncthreads(FASTDL_HERE) {
  fastdl::emu::barrier(fastdl::emu::Vote::kNone, false, {file, line});
}
static inline int __syncthreads_or(int p, FASTDL_HERE) {
  return fastdl::emu::barrier(fastdl::emu::Vote::kOr, p, {file, line});
}
static inline int __syncthreads_and(int p, FASTDL_HERE) {
  return fastdl::emu::barrier(fastdl::emu::Vote::kAnd, p, {file, line});
}
static inline int __syncthreads_count(int p, FASTDL_HERE) {
  return fastdl::emu::barrier(fastdl::emu::Vote::kCount, p, {file, line});
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, FASTDL_HERE) {
  fastdl::emu::sync_warp(mask, {file, line});
}
static inline void __threadfence() {
  fastdl::emu::fence(true);
}
static inline void __threadfence_block() {
  fastdl::emu::fence(false);
}

// ---- warp intrinsics ------------------------------------------------------------------------------------------------
template <class T>
inline T __shfl_sync(unsigned mask, T v, int lane, int width = 32, FASTDL_HERE) {
  return fastdl::emu::shuffled(fastdl::emu::Shuffle::kIndex, mask, v, lane, width, {file, line});
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = 32, FASTDL_HERE) {
  return fastdl::emu::shuffled(fastdl::emu::Shuffle::kUp, mask, v, static_cast<int>(delta), width, {file, line});
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = 32, FASTDL_HERE) {
  return fastdl::emu::shuffled(fastdl::emu::Shuffle::kDown, mask, v, static_cast<int>(delta), width, {file, line});
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T v, int lanes, int width = 32, FASTDL_HERE) {
  return fastdl::emu::shuffled(fastdl::emu::Shuffle::kXor, mask, v, lanes, width, {file, line});
}
static inline unsigned __activemask() {
  return fastdl::emu::active_mask();
}
static inline unsigned __ballot_sync(unsigned mask, int p, FASTDL_HERE) {
  return fastdl::emu::ballot(mask, p != 0, {file, line});
}
static inline int __any_sync(unsigned mask, int p, FASTDL_HERE) {
  return fastdl::emu::ballot(mask, p != 0, {file, line}) != 0;
}
static inline int __all_sync(unsigned mask, int p, FASTDL_HERE) {
  return fastdl::emu::ballot(mask, p == 0, {file, line}) == 0;
}
template <class T>
inline unsigned __match_any_sync(unsigned mask, T v, FASTDL_HERE) {
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  return fastdl::emu::match_any(mask, std::bit_cast<Bits>(v), {file, line});
}
static inline unsigned __reduce_add_sync(unsigned mask, unsigned v, FASTDL_HERE) {
  return fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kAdd, mask, v, {file, line});
}
static inline int __reduce_add_sync(unsigned mask, int v, FASTDL_HERE) {
  return static_cast<int>(
      fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kAdd, mask, static_cast<unsigned>(v), {file, line}));
}
static inline unsigned __reduce_max_sync(unsigned mask, unsigned v, FASTDL_HERE) {
  return fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kUnsignedMax, mask, v, {file, line});
}
static inline int __reduce_max_sync(unsigned mask, int v, FASTDL_HERE) {
  return static_cast<int>(
      fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kMax, mask, static_cast<unsigned>(v), {file, line}));
}
static inline unsigned __reduce_min_sync(unsigned mask, unsigned v, FASTDL_HERE) {
  return fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kUnsignedMin, mask, v, {file, line});
}
static inline int __reduce_min_sync(unsigned mask, int v, FASTDL_HERE) {
  return static_cast<int>(
      fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kMin, mask, static_cast<unsigned>(v), {file, line}));
}
static inline unsigned __reduce_or_sync(unsigned mask, unsigned v, FASTDL_HERE) {
  return fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kOr, mask, v, {file, line});
}
static inline unsigned __reduce_and_sync(unsigned mask, unsigned v, FASTDL_HERE) {
  return fastdl::emu::warp_reduce(fastdl::emu::WarpReduce::kAnd, mask, v, {file, line});
}

// ---- memory ---------------------------------------------------------------------------------------------------------
template <class T>
__forceinline__ T __ldg(const T* p) {
  if constexpr (sizeof(T) == 4 || sizeof(T) == 8 || sizeof(T) == 16)
    return fastdl::emu::load<T>(p);
  else
    return *p;
}

// Atomics are functions of the engine: it checks the address and does the operation between its own hooks.
#define FASTDL_ATOMIC(T, name) T atomic##name(T* p, T v);
#define FASTDL_ATOMIC_INTEGER(T)      \
  T atomicCAS(T* p, T expected, T v); \
  FASTDL_ATOMIC(T, Add)               \
  FASTDL_ATOMIC(T, Exch)              \
  FASTDL_ATOMIC(T, Max) FASTDL_ATOMIC(T, Min) FASTDL_ATOMIC(T, Or) FASTDL_ATOMIC(T, And) FASTDL_ATOMIC(T, Xor)
FASTDL_ATOMIC_INTEGER(int)
FASTDL_ATOMIC_INTEGER(unsigned)
FASTDL_ATOMIC_INTEGER(unsigned long long)
FASTDL_ATOMIC(float, Add)
FASTDL_ATOMIC(double, Add)
FASTDL_ATOMIC(float, Exch)
FASTDL_ATOMIC(int, Sub)
FASTDL_ATOMIC(unsigned, Sub)
#undef FASTDL_ATOMIC_INTEGER
#undef FASTDL_ATOMIC
