// Kernels with one mistake each (bugs_*.cu). The comment "finds KIND name" stands on the line that the emulation must
// name; tests/emu/test_bugs.py reads these comments. Most of them give right numbers on some day on some GPU.
#pragma once
#include "cuda/access.cuh"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {

constexpr int kBugBlock = 64;

// Starts a kernel of the two arrays that the test gives, 64 floats each; the second is not written yet.
inline void start(void (*kernel)(const float* x, float* out), const Operand* operands, Stream stream,
                  unsigned blocks = 1, unsigned threads = kBugBlock) {
  launch(kernel, blocks, threads, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

}  // namespace fastdl::emu
