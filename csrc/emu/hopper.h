// What compute capability 9.0 adds, in the emulation: the functions of cuda/hopper.cuh under the same names, which a
// kernel calls directly. mbarrier.cc, tma.cc, wgmma.cc and registers.cc are behind them.
#pragma once
#include <cstddef>
#include <cstdint>

#include "cuda/tensor_map.h"
#include "emu/tensorcore.h"

namespace fastdl {
namespace emu {

FASTDL_ENGINE void load_box(void* to, const TensorMap* map, const int* coordinates, int rank, uint64_t* barrier);
FASTDL_ENGINE void load_pixels(void* to, const TensorMap* map, const int (&coordinates)[4],
                               const uint16_t (&offsets)[2], uint64_t* barrier);
// d (64 x 2 sums) of a warpgroup, `sums` numbers a thread: 64 or 128; `a` and `b` are descriptors.
FASTDL_ENGINE void wgmma(Number number, float* d, int sums, uint64_t a, uint64_t b, bool accumulate);
FASTDL_ENGINE void wait_wgmma(int groups_left);
FASTDL_ENGINE void set_registers(int count, bool more);

}  // namespace emu

FASTDL_ENGINE void mbarrier_init(uint64_t* barrier, uint32_t arrivals);
FASTDL_ENGINE void mbarrier_arrive(uint64_t* barrier);
FASTDL_ENGINE void mbarrier_arrive_expect_tx(uint64_t* barrier, uint32_t bytes);
FASTDL_ENGINE void mbarrier_wait_parity(uint64_t* barrier, uint32_t parity);
FASTDL_ENGINE void fence_mbarrier_init();
FASTDL_ENGINE void fence_proxy_async();

template <int kRank>
__forceinline__ void cp_async_bulk_tensor(void* to, const TensorMap* map, const int (&coordinates)[kRank],
                                          uint64_t* barrier) {
  emu::load_box(to, map, coordinates, kRank, barrier);
}
__forceinline__ void cp_async_bulk_tensor_im2col(void* to, const TensorMap* map, const int (&coordinates)[4],
                                                 const uint16_t (&offsets)[2], uint64_t* barrier) {
  emu::load_pixels(to, map, coordinates, offsets, barrier);
}
__forceinline__ void prefetch_tensormap(const TensorMap*) {}

FASTDL_ENGINE void wgmma_fence();
FASTDL_ENGINE void wgmma_commit_group();
template <int kLeft>
__forceinline__ void wgmma_wait_group() {
  emu::wait_wgmma(kLeft);
}
FASTDL_ENGINE uint32_t shared_address(const void* p);

template <int kRegisters>
__forceinline__ void setmaxnreg_inc() {
  emu::set_registers(kRegisters, true);
}
template <int kRegisters>
__forceinline__ void setmaxnreg_dec() {
  emu::set_registers(kRegisters, false);
}

}  // namespace fastdl
