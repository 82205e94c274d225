// The yardstick of the benchmarks: multiply-adds on registers alone, which is the most that any kernel can reach.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

struct FmaLoopArgs {
  DType dtype;         // float32 or float64
  int64_t iterations;  // on every thread
  int64_t threads;
  double* flops;  // out: floating-point operations done by all threads together
};

}  // namespace fastdl

FASTDL_KERNEL(fma_loop, FmaLoopArgs)
