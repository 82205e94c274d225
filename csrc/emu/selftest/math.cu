// One kernel for each function of emu/math.h; tests/emu/test_math.py knows what each computes. Thread i gets x, y and z
// from three rows of numbers.
#include "cuda/launch.h"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

using Long = long long;
using Count = unsigned long long;

#define FASTDL_MATH(name, In, Out, ...)                                                                       \
  __global__ void compute_##name(const In* a, Out* out) {                                                     \
    const unsigned n = blockDim.x, i = threadIdx.x;                                                           \
    [[maybe_unused]] const In x = a[i], y = a[n + i], z = a[2 * n + i];                                       \
    out[i] = name(__VA_ARGS__);                                                                               \
  }                                                                                                           \
  FASTDL_SELFTEST(math_##name) {                                                                              \
    launch(compute_##name, 1, static_cast<unsigned>(operands[1].size), 0, stream, operands[0].as<const In>(), \
           operands[1].as<Out>());                                                                            \
  }

// ---- approximations
// --------------------------------------------------------------------------------------------------

FASTDL_MATH(__expf, float, float, x)
FASTDL_MATH(__exp10f, float, float, x)
FASTDL_MATH(__logf, float, float, x)
FASTDL_MATH(__log2f, float, float, x)
FASTDL_MATH(__log10f, float, float, x)
FASTDL_MATH(__sinf, float, float, x)
FASTDL_MATH(__cosf, float, float, x)
FASTDL_MATH(__tanf, float, float, x)
FASTDL_MATH(__powf, float, float, x, y)
FASTDL_MATH(__fdividef, float, float, x, y)
FASTDL_MATH(rsqrtf, float, float, x)
FASTDL_MATH(rsqrt, double, double, x)
FASTDL_MATH(rcbrtf, float, float, x)
FASTDL_MATH(__saturatef, float, float, x)

// ---- rounded operations
// ----------------------------------------------------------------------------------------------

FASTDL_MATH(__frcp_rn, float, float, x)
FASTDL_MATH(__fsqrt_rn, float, float, x)
FASTDL_MATH(__frsqrt_rn, float, float, x)
FASTDL_MATH(__fadd_rn, float, float, x, y)
FASTDL_MATH(__fsub_rn, float, float, x, y)
FASTDL_MATH(__fmul_rn, float, float, x, y)
FASTDL_MATH(__fdiv_rn, float, float, x, y)
FASTDL_MATH(__fmaf_rn, float, float, x, y, z)
FASTDL_MATH(__dadd_rn, double, double, x, y)
FASTDL_MATH(__dsub_rn, double, double, x, y)
FASTDL_MATH(__dmul_rn, double, double, x, y)
FASTDL_MATH(__ddiv_rn, double, double, x, y)
FASTDL_MATH(__fma_rn, double, double, x, y, z)

// ---- conversions
// -----------------------------------------------------------------------------------------------------

FASTDL_MATH(__float_as_int, float, int, x)
FASTDL_MATH(__float_as_uint, float, unsigned, x)
FASTDL_MATH(__int_as_float, int, float, x)
FASTDL_MATH(__uint_as_float, unsigned, float, x)
FASTDL_MATH(__double_as_longlong, double, Long, x)
FASTDL_MATH(__longlong_as_double, Long, double, x)
FASTDL_MATH(__float2int_rn, float, int, x)
FASTDL_MATH(__float2int_rd, float, int, x)
FASTDL_MATH(__float2int_ru, float, int, x)
FASTDL_MATH(__float2int_rz, float, int, x)
FASTDL_MATH(__int2float_rn, int, float, x)
FASTDL_MATH(__uint2float_rn, unsigned, float, x)
FASTDL_MATH(__ull2float_rn, Count, float, x)
FASTDL_MATH(__double2float_rn, double, float, x)

// ---- bits
// ------------------------------------------------------------------------------------------------------------

FASTDL_MATH(__popc, unsigned, int, x)
FASTDL_MATH(__popcll, Count, int, x)
FASTDL_MATH(__ffs, int, int, x)
FASTDL_MATH(__ffsll, Long, int, x)
FASTDL_MATH(__clz, int, int, x)
FASTDL_MATH(__clzll, Long, int, x)
FASTDL_MATH(__brev, unsigned, unsigned, x)
FASTDL_MATH(__mulhi, int, int, x, y)
FASTDL_MATH(__umulhi, unsigned, unsigned, x, y)
FASTDL_MATH(__umul64hi, Count, Count, x, y)
FASTDL_MATH(__mul64hi, Long, Long, x, y)

// ---- the smaller and the larger
// --------------------------------------------------------------------------------------

template <class T>
__global__ void smaller_and_larger(const T* a, T* out) {
  const unsigned n = blockDim.x, i = threadIdx.x;
  out[i] = min(a[i], a[n + i]);
  out[n + i] = max(a[i], a[n + i]);
}
#define FASTDL_MIN_MAX(name, T)                                                              \
  FASTDL_SELFTEST(min_max_##name) {                                                          \
    launch(smaller_and_larger<T>, 1, static_cast<unsigned>(operands[1].size) / 2, 0, stream, \
           operands[0].as<const T>(), operands[1].as<T>());                                  \
  }
FASTDL_MIN_MAX(int32, int)
FASTDL_MIN_MAX(uint32, unsigned)
FASTDL_MIN_MAX(int64, Long)
FASTDL_MIN_MAX(uint64, Count)
FASTDL_MIN_MAX(long, long)
FASTDL_MIN_MAX(ulong, unsigned long)
FASTDL_MIN_MAX(float32, float)
FASTDL_MIN_MAX(float64, double)

}  // namespace
}  // namespace fastdl::emu
