// Multiply-adds whose operands and results stay in registers.
#include "core/dtype.h"
#include "cpu/parallel.h"
#include "cpu/peak.h"
#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// Independent chains: latency (4 cycles) times units (2) is 8; 12 leave slack and fit 16 registers.
constexpr int kChains = 12;

template <class T>
__attribute__((noinline)) T chains(int64_t iterations) {
  Vec<T> sum[kChains];
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) sum[c] = broadcast<T>(T(c));
  const Vec<T> a = broadcast<T>(T(0.999)), b = broadcast<T>(T(0.001));
  for (int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) {
      sum[c] = sum[c] * a + b;
      asm volatile("" : FASTDL_PLACE(sum[c]));  // keeps the compiler from merging iterations
    }
  }
  Vec<T> total{};
#pragma GCC unroll 12
  for (int c = 0; c < kChains; ++c) total += sum[c];
  return lane_sum<T>(total);
}

}  // namespace

void fma_loop(const FmaLoopArgs& args) {
  visit_float(args.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(args.threads, 1, [&](int64_t, int64_t) {
      volatile T keep = chains<T>(args.iterations);
      (void)keep;
    });
    *args.flops = 2.0 * kChains * kLanes<T> * static_cast<double>(args.iterations) * static_cast<double>(args.threads);
  });
}

}  // namespace fastdl::FASTDL_ISA
