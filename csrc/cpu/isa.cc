// Detection is compiled without instruction-set flags, so that it runs on any machine.
#include "cpu/isa.h"

#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace fastdl {

const char* isa_name(Isa isa) {
  constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};
  return kNames[static_cast<int>(isa)];
}

Isa isa_from_name(const char* name) {
  for (Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512})
    if (std::strcmp(name, isa_name(isa)) == 0) return isa;
  throw ValueError("[FASTDL_ISA] expected baseline, avx2 or avx512, got " + std::string(name));
}

Isa best_isa() {
#if defined(FASTDL_HAS_avx512)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
  return avx512 ? Isa::kAvx512 : avx2 ? Isa::kAvx2 : Isa::kBaseline;
#else
  return Isa::kBaseline;
#endif
}

void set_isa(Isa isa) {
  EXPECT(isa <= best_isa(), ValueError, "set_isa", text("a level up to ", isa_name(best_isa())), text(isa_name(isa)));
  active_isa = isa;
}

// A bad FASTDL_ISA must not end the process during import: it is reported by bind/module.cc, which calls set_isa.
Isa active_isa = best_isa();

}  // namespace fastdl
