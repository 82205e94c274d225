// The instructions of compute capability 9.0: mbarriers, the copy engine (TMA) and the products of a warpgroup (wgmma).
// All inline PTX of this path is here, a function an instruction; the emulation has functions of the same names
// (emu/hopper.h). Functions have the names of cuda::ptx where that has the instruction, and of PTX otherwise.
//
//   mbarrier_init(b, arrivals)              then fence_mbarrier_init() and __syncthreads()
//   mbarrier_arrive(b), mbarrier_arrive_expect_tx(b, bytes)
//   mbarrier_wait_parity(b, parity)         returns when the phase of that parity is over; the first phase has parity 0
//   cp_async_bulk_tensor(to, &map, {x, y, z}, b)    a box of an array to shared memory; b counts its bytes
//   cp_async_bulk_tensor_im2col(to, &map, {c, x, y, image}, {dx, dy}, b)    a run of pixels, moved by a tap
//   fence_proxy_async()                     after ordinary stores to what the copy engine or wgmma will read
//   wgmma_fence(); wgmma(number, d, a, b, accumulate); wgmma_commit_group(); wgmma_wait_group<N>()
//   setmaxnreg_inc<N>(), setmaxnreg_dec<N>()        registers of a thread, moved between warpgroups
//
// A warpgroup is 128 threads from a multiple of 128 on. wgmma multiplies a (64 rows of 32 bytes of k) by b (128 or 256
// such rows) into d, 64 x 128 or 64 x 256 floats, 64 or 128 a thread: thread t has
//
//   d[4 j + i]  at row 16 (t / 32) + (t % 32) / 4 + 8 (i / 2), column 8 j + 2 (t % 4) + i % 2
//
// Both operands lie in shared memory in rows of 128 bytes, swizzled as the copy engine leaves them: chunk c of 16 bytes
// of row r at chunk c ^ (r % 8). A tile starts on 1024 bytes. Step s of k is 32 bytes further: descriptor + 2 s.
//
// The instructions need code for sm_90a itself. In code for others the functions stop the kernel: launchers ask
// has_wgmma() first.
#pragma once
#include "cuda/launch.h"
#include "cuda/tensor_map.h"
#include "cuda/tensorcore.cuh"

#if !defined(FASTDL_DEVICE_CUDA)
#include "emu/hopper.h"
#endif

namespace fastdl {

constexpr int kWarpgroup = 128;
constexpr int kSwizzledRow = 128, kSwizzlePattern = 1024;  // bytes
constexpr uint64_t kDescriptorStep = 2;                    // 32 bytes of k, in units of 16

// Whether kernels with these instructions run here: the device is the one that they are for, and the module was built
// with code for it (FASTDL_CUDA_ARCHITECTURES).
inline bool has_wgmma() {
#if defined(FASTDL_DEVICE_CUDA) && !FASTDL_SM90A
  return false;
#else
  return compute_capability() == 90;
#endif
}

#if defined(FASTDL_DEVICE_CUDA)

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)
#define FASTDL_PTX(...) asm volatile(__VA_ARGS__)
#else
#define FASTDL_PTX(...) (__trap(), __builtin_unreachable())  // the rest of the kernel is not compiled
#endif

// ---- mbarriers ------------------------------------------------------------------------------------------------------

__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, [[maybe_unused]] uint32_t arrivals) {
  [[maybe_unused]] const uint32_t at = shared_address(barrier);
  FASTDL_PTX("mbarrier.init.shared.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
  [[maybe_unused]] const uint32_t at = shared_address(barrier);
  FASTDL_PTX("{\n .reg .b64 state;\n mbarrier.arrive.shared.b64 state, [%0];\n}" ::"r"(at) : "memory");
}
__device__ __forceinline__ void mbarrier_arrive_expect_tx(uint64_t* barrier, [[maybe_unused]] uint32_t bytes) {
  [[maybe_unused]] const uint32_t at = shared_address(barrier);
  FASTDL_PTX(
      "{\n .reg .b64 state;\n mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 state, [%0], %1;\n}" ::"r"(at),
      "r"(bytes) : "memory");
}
// try_wait gives up after a time that the hardware chooses, hence the loop.
__device__ __forceinline__ void mbarrier_wait_parity(uint64_t* barrier, [[maybe_unused]] uint32_t parity) {
  [[maybe_unused]] const uint32_t at = shared_address(barrier);
  uint32_t over = 1;
  do {
    FASTDL_PTX(
        "{\n .reg .pred over;\n mbarrier.try_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        " selp.b32 %0, 1, 0, over;\n}" : "=r"(over) : "r"(at),
        "r"(parity) : "memory");
  } while (!over);
}
__device__ __forceinline__ void fence_mbarrier_init() {
  FASTDL_PTX("fence.mbarrier_init.release.cluster;" :: : "memory");
}
__device__ __forceinline__ void fence_proxy_async() {
  FASTDL_PTX("fence.proxy.async.shared::cta;" :: : "memory");
}

// ---- the copy engine ------------------------------------------------------------------------------------------------

__device__ __forceinline__ void cp_async_bulk_tensor(void* to, [[maybe_unused]] const TensorMap* map,
                                                     [[maybe_unused]] const int (&at)[2], uint64_t* barrier) {
  [[maybe_unused]] const uint32_t shared = shared_address(to), full = shared_address(barrier);
  FASTDL_PTX(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::
          "r"(shared),
      "l"(map), "r"(at[0]), "r"(at[1]), "r"(full) : "memory");
}
__device__ __forceinline__ void cp_async_bulk_tensor(void* to, [[maybe_unused]] const TensorMap* map,
                                                     [[maybe_unused]] const int (&at)[3], uint64_t* barrier) {
  [[maybe_unused]] const uint32_t shared = shared_address(to), full = shared_address(barrier);
  FASTDL_PTX(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared),
      "l"(map), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(full) : "memory");
}
// The offset of the tap has 16 bits in the instruction, of which the copy engine takes 8.
__device__ __forceinline__ void cp_async_bulk_tensor_im2col(void* to, [[maybe_unused]] const TensorMap* map,
                                                            [[maybe_unused]] const int (&at)[4],
                                                            [[maybe_unused]] const uint16_t (&offset)[2],
                                                            uint64_t* barrier) {
  [[maybe_unused]] const uint32_t shared = shared_address(to), full = shared_address(barrier);
  FASTDL_PTX(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8};" ::"r"(shared),
      "l"(map), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(full), "h"(offset[0]), "h"(offset[1]) : "memory");
}
// The description is fetched before the first copy needs it.
__device__ __forceinline__ void prefetch_tensormap([[maybe_unused]] const TensorMap* map) {
  FASTDL_PTX("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// ---- products of a warpgroup ----------------------------------------------------------------------------------------

__device__ __forceinline__ void wgmma_fence() {
  FASTDL_PTX("wgmma.fence.sync.aligned;" :: : "memory");
}
__device__ __forceinline__ void wgmma_commit_group() {
  FASTDL_PTX("wgmma.commit_group.sync.aligned;" :: : "memory");
}
template <int kLeft>
__device__ __forceinline__ void wgmma_wait_group() {
  FASTDL_PTX("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
}

// clang-format off
#define FASTDL_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FASTDL_D16(i) FASTDL_D4(i), FASTDL_D4(i + 4), FASTDL_D4(i + 8), FASTDL_D4(i + 12)
#define FASTDL_D64(i) FASTDL_D16(i), FASTDL_D16(i + 16), FASTDL_D16(i + 32), FASTDL_D16(i + 48)
#define FASTDL_LIST64 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define FASTDL_LIST128 FASTDL_LIST64 ", " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
// 128 or 256 columns: 64 or 128 sums a thread. Operands are counted: a, b and the flag follow the sums.
#define FASTDL_WGMMA(Number, sums, shape, list, a_at, b_at, add_at, orders, ...)                                       \
  __device__ __forceinline__ void wgmma(Number, [[maybe_unused]] float (&d)[sums], [[maybe_unused]] uint64_t a,        \
                                        [[maybe_unused]] uint64_t b, bool accumulate) {                                \
    [[maybe_unused]] const int add = accumulate;                                                                       \
    FASTDL_PTX("{\n .reg .pred add;\n setp.ne.b32 add, " add_at ", 0;\n"                                               \
               " wgmma.mma_async.sync.aligned." shape " {" list "}, " a_at ", " b_at ", add, 1, 1" orders ";\n}"       \
               : __VA_ARGS__                                                                                           \
               : "l"(a), "l"(b), "r"(add));                                                                            \
  }
#define FASTDL_WGMMA_128(Number, shape, orders) \
  FASTDL_WGMMA(Number, 64, shape, FASTDL_LIST64, "%64", "%65", "%66", orders, FASTDL_D64(0))
#define FASTDL_WGMMA_256(Number, shape, orders) \
  FASTDL_WGMMA(Number, 128, shape, FASTDL_LIST128, "%128", "%129", "%130", orders, FASTDL_D64(0), FASTDL_D64(64))
FASTDL_WGMMA_128(bfloat16, "m64n128k16.f32.bf16.bf16", ", 0, 0")
FASTDL_WGMMA_128(float16, "m64n128k16.f32.f16.f16", ", 0, 0")
FASTDL_WGMMA_128(tfloat32, "m64n128k8.f32.tf32.tf32", "")
FASTDL_WGMMA_256(bfloat16, "m64n256k16.f32.bf16.bf16", ", 0, 0")
FASTDL_WGMMA_256(float16, "m64n256k16.f32.f16.f16", ", 0, 0")
FASTDL_WGMMA_256(tfloat32, "m64n256k8.f32.tf32.tf32", "")
#undef FASTDL_WGMMA_256
#undef FASTDL_WGMMA_128
#undef FASTDL_WGMMA
#undef FASTDL_LIST128
#undef FASTDL_LIST64
#undef FASTDL_D64
#undef FASTDL_D16
#undef FASTDL_D4
// clang-format on

// ---- registers ------------------------------------------------------------------------------------------------------

template <int kRegisters>
__device__ __forceinline__ void setmaxnreg_inc() {
  static_assert(kRegisters % 8 == 0 && kRegisters >= 24 && kRegisters <= 256);
  FASTDL_PTX("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void setmaxnreg_dec() {
  static_assert(kRegisters % 8 == 0 && kRegisters >= 24 && kRegisters <= 256);
  FASTDL_PTX("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
#undef FASTDL_PTX

#else

template <int kSums>
__forceinline__ void wgmma(bfloat16, float (&d)[kSums], uint64_t a, uint64_t b, bool accumulate) {
  emu::wgmma(emu::Number::kBfloat16, d, kSums, a, b, accumulate);
}
template <int kSums>
__forceinline__ void wgmma(float16, float (&d)[kSums], uint64_t a, uint64_t b, bool accumulate) {
  emu::wgmma(emu::Number::kFloat16, d, kSums, a, b, accumulate);
}
template <int kSums>
__forceinline__ void wgmma(tfloat32, float (&d)[kSums], uint64_t a, uint64_t b, bool accumulate) {
  emu::wgmma(emu::Number::kTfloat32, d, kSums, a, b, accumulate);
}

#endif

// A K-major tile with 128-byte swizzle: address, (unused) 16, 1024 bytes from eight rows to the next eight, swizzle 1.
__device__ __forceinline__ uint64_t matrix_descriptor(const void* tile) {
  constexpr uint64_t kEightRows = kSwizzlePattern / 16;
  return uint64_t{1} << 62 | kEightRows << 32 | uint64_t{1} << 16 | (shared_address(tile) & 0x3ffffu) >> 4;
}

}  // namespace fastdl
