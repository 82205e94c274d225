// The instruction sets that kernels are compiled for, and the one in use.
#pragma once
namespace fastdl {
enum class Isa { kBaseline, kAvx2, kAvx512, kAmx };  // kAmx: the kernels of AVX-512, with products on the tile unit
extern Isa active_isa;  // chosen at import: the best that was built, the machine has and FASTDL_ISA allows
inline Isa isa() {
  return active_isa;
}
Isa best_isa();     // the best that was built and the machine has
void set_isa(Isa);  // tests switch levels; ValueError beyond best_isa()
const char* isa_name(Isa);
Isa isa_from_name(const char*);  // ValueError for an unknown name
}  // namespace fastdl
