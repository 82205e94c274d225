// Counters of memory traffic, as a profiler of a GPU has them: see traffic.cc.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "emu/engine.h"

namespace fastdl::emu {

// One source line's accesses of one kind and size. A request is what the lanes of a warp ask for at once.
struct LineTraffic {
  std::string kernel, file;
  int line;
  bool shared;
  Access access;
  int bytes;                       // a lane
  int64_t requests, units, ideal;  // units: wavefronts of shared memory, 32-byte sectors of global memory
};

// The global memory that a kernel's launches moved, and the distinct bytes among it: the floor of any kernel that
// touches the same.
struct KernelTraffic {
  std::string kernel;
  int64_t launches, blocks;  // of all launches
  int threads;               // a block, at most
  int64_t read, written, read_floor, written_floor;
};

void set_profiling(bool on);
void clear_traffic();
std::vector<LineTraffic> line_traffic();
std::vector<KernelTraffic> kernel_traffic();

}  // namespace fastdl::emu
