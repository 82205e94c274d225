// Detection is compiled without instruction-set flags, so that it runs on any machine.
#include "cpu/isa.h"

#include <cstdlib>
#include <cstring>
#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "core/error.h"

namespace fastdl {

const char* isa_name(Isa isa) {
  constexpr const char* kNames[] = {"baseline", "avx2", "avx512", "amx"};
  return kNames[static_cast<int>(isa)];
}

Isa isa_from_name(const char* name) {
  for (Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512, Isa::kAmx})
    if (std::strcmp(name, isa_name(isa)) == 0) return isa;
  throw ValueError("[set_isa] expected baseline, avx2, avx512 or amx, got " + std::string(name));
}

static bool was_built(Isa isa) {
#if defined(FASTDL_HAS_avx2)
  if (isa == Isa::kAvx2) return true;
#endif
#if defined(FASTDL_HAS_amx)
  if (isa == Isa::kAmx) return true;
#endif
#if defined(FASTDL_HAS_avx512)
  if (isa == Isa::kAvx512) return true;
#endif
#if defined(FASTDL_HAS_baseline)
  if (isa == Isa::kBaseline) return true;
#endif
  return false;
}

// The tile unit, and the system's leave to use its registers: Linux gives it to a process that asks, which makes stacks
// of signal handlers larger from then on.
static bool has_amx() {
#if defined(FASTDL_AVX512_ON_AVX2)
  return true;
#elif defined(__x86_64__) && defined(__linux__)
  constexpr unsigned kBf16InEax = 1u << 5, kAmxBf16InEdx = 1u << 22, kAmxTileInEdx = 1u << 24;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA
  unsigned eax, ebx, ecx, edx;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(edx & kAmxBf16InEdx) || !(edx & kAmxTileInEdx))
    return false;
  if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) || !(eax & kBf16InEax)) return false;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

static bool machine_has(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
#if defined(FASTDL_AVX512_ON_AVX2)
  const bool avx512 = avx2;
#else
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
  if (isa == Isa::kAmx) return avx512 && has_amx();
  return isa == Isa::kBaseline || (isa == Isa::kAvx2 ? avx2 : avx512);
#else
  return isa == Isa::kBaseline;
#endif
}

Isa best_isa() {
  for (Isa isa : {Isa::kAmx, Isa::kAvx512, Isa::kAvx2})
    if (was_built(isa) && machine_has(isa)) return isa;
  return Isa::kBaseline;
}

void set_isa(Isa isa) {
  EXPECT(was_built(best_isa()), ValueError, "set_isa", "a processor with one of the instruction sets that were built",
         "one without");
  EXPECT(was_built(isa) && isa <= best_isa(), ValueError, "set_isa",
         text("a level that was built, up to ", isa_name(best_isa())), text(isa_name(isa)));
  active_isa = isa;
}

// A bad FASTDL_ISA must not end the process during import: it is reported by bind/module.cc, which calls set_isa.
Isa active_isa = best_isa();

}  // namespace fastdl
