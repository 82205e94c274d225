// Tensor cores and asynchronous copies of the emulated device, behind the functions of cuda/tensorcore.cuh.
#pragma once
#include <cstdint>

#include "emu/intrinsics.h"

namespace fastdl::emu {

// Copies to shared memory (async.cc). Nothing arrives before the wait, and the source is read then.
FASTDL_ENGINE void issue_copy(void* to, const void* from, int bytes, int source_bytes);
FASTDL_ENGINE void close_group();
FASTDL_ENGINE void wait_for_groups(int groups_left);

// A warp's matrices and products (tensorcore.cc).
FASTDL_ENGINE void warp_load(uint32_t* registers, int count, bool transposed, const void* row, Site site);
enum class Number { kBfloat16, kFloat16, kTfloat32 };
FASTDL_ENGINE void warp_multiply(Number number, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                                 Site site);

// Conversions as the device rounds.
FASTDL_ENGINE uint16_t to_bfloat16(float x);
FASTDL_ENGINE uint16_t to_float16(float x);
FASTDL_ENGINE uint32_t to_tfloat32(float x);
FASTDL_ENGINE float from_bfloat16(uint16_t bits);
FASTDL_ENGINE float from_float16(uint16_t bits);
FASTDL_ENGINE float from_tfloat32(uint32_t bits);

}  // namespace fastdl::emu
