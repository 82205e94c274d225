// How a kernel is declared in <op>.h and called from <op>_bind.cc: one declaration for every device.
//
//   FASTDL_KERNEL(conv2d_fwd, Conv2dArgs)      declares a kernel that takes (const Conv2dArgs&)
//   call(conv2d_fwd, args, bytes)              runs it without the GIL where that pays (bind/call.h)
//
// On the CPU the kernel is compiled once per instruction set, each copy in the namespace of its set; conv2d_fwd picks
// the best one that this machine has. On CUDA and in the emulation there is one copy, which also takes the stream.
#pragma once

#if defined(FASTDL_DEVICE_CPU)

#include "cpu/isa.h"

#if defined(FASTDL_ISA)  // inside a kernel file: only its own namespace exists
#define FASTDL_KERNEL(name, Args) \
  namespace fastdl::FASTDL_ISA {  \
  void name(const Args&);         \
  }
#else
// Only the sets that were built are named: FASTDL_ISA_NAMES may leave some out.
#if defined(FASTDL_HAS_avx512)
#define FASTDL_WITH_AVX512(...) __VA_ARGS__
#else
#define FASTDL_WITH_AVX512(...)
#endif
#if defined(FASTDL_HAS_avx2)
#define FASTDL_WITH_AVX2(...) __VA_ARGS__
#else
#define FASTDL_WITH_AVX2(...)
#endif
#if defined(FASTDL_HAS_baseline)
#define FASTDL_WITH_BASELINE(...) __VA_ARGS__
#else
#define FASTDL_WITH_BASELINE(...)
#endif
#define FASTDL_KERNEL(name, Args)                                             \
  namespace fastdl {                                                          \
  FASTDL_WITH_BASELINE(namespace baseline { void name(const Args&); })        \
  FASTDL_WITH_AVX2(namespace avx2 { void name(const Args&); })                \
  FASTDL_WITH_AVX512(namespace avx512 { void name(const Args&); })            \
  inline void name(const Args& args) {                                        \
    FASTDL_WITH_AVX512(if (isa() >= Isa::kAvx512) return avx512::name(args);) \
    FASTDL_WITH_AVX2(if (isa() == Isa::kAvx2) return avx2::name(args);)       \
    FASTDL_WITH_BASELINE(return baseline::name(args);)                        \
  }                                                                           \
  }
#endif

#else  // CUDA or its emulation

namespace fastdl {
using Stream = void*;  // a cudaStream_t; null is the default stream
}
#define FASTDL_KERNEL(name, Args) \
  namespace fastdl {              \
  void name(const Args&, Stream); \
  }

#endif
