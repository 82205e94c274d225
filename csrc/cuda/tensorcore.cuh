// Tensor cores and what feeds them: copies to shared memory that run beside the threads, loads of 8 x 8 matrices, the
// products of a warp, and the numbers that they take. All inline PTX of this path is here, a function an instruction;
// each has a body for the emulation (emu/tensorcore.h), and a test compares the operands of the PTX one by one.
//
//   copy_async<16>(to, from, bytes)    shared <- global, zeros after `bytes`; arrives by wait_copies of this thread
//   commit_copies(); wait_copies<N>()  closes a group; waits until N of this thread's groups are under way
//   load_matrices(r, row)              1, 2 or 4 matrices of 8 rows of 16 bytes; lane i brings the address of row i
//   multiply<Number>(c, a, b)          c (16 x 8) += a (16 x 32 bytes of k) b (32 bytes of k x 8), by a whole warp
//
// Fragments: where a lane's registers stand in the matrices, with row = lane / 4 and two = lane % 4. A register of
// 16-bit numbers is two neighbours along k, one of tfloat32 is one number; in bytes of k the two are the same.
//
//   a   0: row,     bytes 4 two ..        c   0 1: row,     columns 2 two, 2 two + 1
//       1: row + 8, bytes 4 two ..            2 3: row + 8, the same
//       2: row,     bytes 16 + 4 two ..   b   0: column row, bytes 4 two ..
//       3: row + 8, bytes 16 + 4 two ..       1: column row, bytes 16 + 4 two ..
//
// The instructions exist from compute capability 8.0 on. Below, the functions compile and stop the kernel: launchers
// ask has_tensor_cores() first.
#pragma once
#include "cuda/launch.h"

#if !defined(FASTDL_DEVICE_CUDA)
#include "emu/tensorcore.h"
#endif

namespace fastdl {

// Numbers of the products. Storage only: arithmetic is the tensor cores'.
struct bfloat16 {  // 8 bits of exponent, 7 of fraction
  uint16_t bits;
};
struct float16 {  // 5 and 10
  uint16_t bits;
};
struct tfloat32 {  // 8 and 10, in the upper 19 bits of a float; the others do not count
  uint32_t bits;
};

#if defined(FASTDL_DEVICE_CUDA)

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define FASTDL_PTX(...) asm volatile(__VA_ARGS__)
#else
#define FASTDL_PTX(...) (__trap(), __builtin_unreachable())  // the rest of the kernel is not compiled
#endif

__device__ __forceinline__ unsigned shared_address(const void* p) {
  return static_cast<unsigned>(__cvta_generic_to_shared(p));
}

// 16 bytes go past the L1 cache: what a block copies to shared memory it will not read there.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* to, const void* from, int bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "one copy has 4, 8 or 16 bytes");
  [[maybe_unused]] const unsigned address = shared_address(to);
  if constexpr (kBytes == 16)
    FASTDL_PTX("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
  else
    FASTDL_PTX("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(from), "n"(kBytes),
               "r"(bytes) : "memory");
}
__device__ __forceinline__ void commit_copies() {
  FASTDL_PTX("cp.async.commit_group;" :: : "memory");
}
template <int kLeft>
__device__ __forceinline__ void wait_copies() {
  FASTDL_PTX("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

__device__ __forceinline__ void load_matrices(uint32_t (&r)[1], const void* row) {
  FASTDL_PTX("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void load_matrices(uint32_t (&r)[2], const void* row) {
  FASTDL_PTX("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]),
             "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const void* row) {
  FASTDL_PTX("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]),
             "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void load_transposed(uint32_t (&r)[1], const void* row) {
  FASTDL_PTX(
      "ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];" : "=r"(r[0]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void load_transposed(uint32_t (&r)[2], const void* row) {
  FASTDL_PTX("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];" : "=r"(r[0]),
             "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}
__device__ __forceinline__ void load_transposed(uint32_t (&r)[4], const void* row) {
  FASTDL_PTX("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]),
             "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}

#define FASTDL_MULTIPLY(Number, instruction)                                                                           \
  __device__ __forceinline__ void multiply(Number, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {    \
    FASTDL_PTX("mma.sync.aligned." instruction                                                                         \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" : "+f"(c[0]),                        \
               "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); \
  }
FASTDL_MULTIPLY(bfloat16, "m16n8k16.row.col.f32.bf16.bf16.f32")
FASTDL_MULTIPLY(float16, "m16n8k16.row.col.f32.f16.f16.f32")
FASTDL_MULTIPLY(tfloat32, "m16n8k8.row.col.f32.tf32.tf32.f32")
#undef FASTDL_MULTIPLY

// Two numbers in a register, the first in the lower half. To nearest, ties to even; NaN becomes 0x7fff.
__device__ __forceinline__ uint32_t pack(bfloat16, float first, float second) {
  uint32_t r = 0;
  FASTDL_PTX("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  return r;
}
__device__ __forceinline__ uint32_t pack(float16, float first, float second) {
  uint32_t r = 0;
  FASTDL_PTX("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(second), "f"(first));
  return r;
}
// To nearest, ties away from zero.
__device__ __forceinline__ uint32_t round_to(tfloat32, float x) {
  uint32_t r = 0;
  FASTDL_PTX("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}
#undef FASTDL_PTX

// Whether a kernel with these instructions runs here: the code that the driver took for the device was compiled for 8.0
// or newer, which also says that the device is.
template <class... P>
bool has_tensor_cores(void (*kernel)(P...)) {
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel)) == cudaSuccess)
    return attributes.ptxVersion >= 80;
  cudaGetLastError();  // no code for this device at all
  return false;
}

#else

template <class... P>
bool has_tensor_cores(void (*)(P...)) {
  return true;
}

template <int kBytes>
__forceinline__ void copy_async(void* to, const void* from, int bytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "one copy has 4, 8 or 16 bytes");
  emu::issue_copy(to, from, kBytes, bytes);
}
__forceinline__ void commit_copies() {
  emu::close_group();
}
template <int kLeft>
__forceinline__ void wait_copies() {
  emu::wait_for_groups(kLeft);
}
template <int kCount>
__forceinline__ void load_matrices(uint32_t (&r)[kCount], const void* row, FASTDL_HERE) {
  emu::warp_load(r, kCount, false, row, {file, line});
}
template <int kCount>
__forceinline__ void load_transposed(uint32_t (&r)[kCount], const void* row, FASTDL_HERE) {
  emu::warp_load(r, kCount, true, row, {file, line});
}
__forceinline__ void multiply(bfloat16, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], FASTDL_HERE) {
  emu::warp_multiply(emu::Number::kBfloat16, c, a, b, {file, line});
}
__forceinline__ void multiply(float16, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], FASTDL_HERE) {
  emu::warp_multiply(emu::Number::kFloat16, c, a, b, {file, line});
}
__forceinline__ void multiply(tfloat32, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], FASTDL_HERE) {
  emu::warp_multiply(emu::Number::kTfloat32, c, a, b, {file, line});
}
__forceinline__ uint32_t pack(bfloat16, float first, float second) {
  return emu::to_bfloat16(first) | static_cast<uint32_t>(emu::to_bfloat16(second)) << 16;
}
__forceinline__ uint32_t pack(float16, float first, float second) {
  return emu::to_float16(first) | static_cast<uint32_t>(emu::to_float16(second)) << 16;
}
__forceinline__ uint32_t round_to(tfloat32, float x) {
  return emu::to_tfloat32(x);
}

#endif

}  // namespace fastdl
