// The one CUDA include of every .cu file. nvcc compiles the file for a GPU, g++ for the emulation (emu/README.md); what
// differs between the two is here and in emu/intrinsics.h, so that kernels contain no #if.
//
//   FASTDL_SHARED(float, tile, [32][33]);         static shared memory, 16-byte aligned
//   FASTDL_DYNAMIC_SHARED(bytes);                 unsigned char* to the launch's dynamic shared memory, 16-byte aligned
//   launch(kernel<T>, grid, block, shared_bytes, stream, arguments...);
//   load_vec<float4>(p), store_vec(p, v)          one access of 16 (8, 4) bytes; p is aligned to it
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/host_device.h"
#include "core/kernel.h"
#include "cuda/runtime.h"

#if defined(FASTDL_DEVICE_CUDA)
#include <cuda_runtime.h>

// 16 bytes, so that vectors may be moved whatever the type; nvcc aligns an array of floats to 4 by itself.
#define FASTDL_SHARED(type, name, ...) __shared__ __align__(16) type name __VA_ARGS__
#define FASTDL_DYNAMIC_SHARED(name)                                      \
  extern __shared__ __align__(16) unsigned char fastdl_dynamic_shared[]; \
  unsigned char* name = fastdl_dynamic_shared
#else
#include "emu/intrinsics.h"
#endif

namespace fastdl {

constexpr int kWarp = 32;
constexpr unsigned kFullWarp = 0xffffffffu;

FASTDL_HD int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Blocks for n elements, `per_block` each, within the limit on grid.x. Kernels that can meet more elements than that
// walk them in steps of the grid.
inline unsigned blocks_for(int64_t n, int64_t per_block) {
  const int64_t blocks = ceil_div(n, per_block);
  return static_cast<unsigned>(blocks < 0x7fffffff ? blocks : 0x7fffffff);
}

// Where every block counts: kernels that do not walk in steps of the grid.
inline unsigned checked_grid(int64_t blocks) {
  if (blocks > 0x7fffffff)
    throw std::runtime_error("[kernel launch] expected fewer than 2^31 blocks, got " + std::to_string(blocks));
  return static_cast<unsigned>(blocks);
}

// N elements that move as one. sizeof is the alignment, so a Pack of 16 bytes is one 128-bit access.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
  __host__ __device__ T& operator[](int i) { return v[i]; }
  __host__ __device__ const T& operator[](int i) const { return v[i]; }
};

#if defined(FASTDL_DEVICE_CUDA)

template <class V>
__device__ __forceinline__ V load_vec(const void* p) {
  return *static_cast<const V*>(p);
}
template <class V>
__device__ __forceinline__ void store_vec(void* p, const V& v) {
  *static_cast<V*>(p) = v;
}

// Above this a kernel must be told that it may use so much dynamic shared memory.
constexpr size_t kDefaultSharedBytes = 48 * 1024;

inline void check_launch(cudaError_t error, dim3 grid, dim3 block, size_t shared_bytes) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a refused launch must not be reported again by the next call
  const auto size = [](dim3 d) {
    return "(" + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ")";
  };
  throw std::runtime_error("[kernel launch] expected a launch that the device accepts, got " +
                           std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error) + " (grid " +
                           size(grid) + ", block " + size(block) + ", " + std::to_string(shared_bytes) +
                           " bytes of shared memory)");
}

template <class... P, size_t... I>
void launch_with(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream,
                 std::tuple<P...>& args, std::index_sequence<I...>) {
  const void* function = reinterpret_cast<const void*>(kernel);
  void* pointers[] = {&std::get<I>(args)..., nullptr};
  if (shared_bytes > kDefaultSharedBytes)
    check_launch(
        cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
        grid, block, shared_bytes);
  check_launch(cudaLaunchKernel(function, grid, block, pointers, shared_bytes, static_cast<cudaStream_t>(stream)), grid,
               block, shared_bytes);
}

// Starts a kernel; arguments are converted to the kernel's parameters. A grid without blocks is nothing to do.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream, A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  std::tuple<P...> values(static_cast<P>(std::forward<A>(args))...);
  launch_with(kernel, grid, block, shared_bytes, stream, values, std::index_sequence_for<P...>{});
}

#else

template <class V>
__forceinline__ V load_vec(const void* p) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16, "one access has 4, 8 or 16 bytes");
  return emu::load<V>(p);
}
template <class V>
__forceinline__ void store_vec(void* p, const V& v) {
  static_assert(sizeof(V) == 4 || sizeof(V) == 8 || sizeof(V) == 16, "one access has 4, 8 or 16 bytes");
  emu::store(p, v);
}

template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, Stream stream, A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel has parameters");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> values;
  } call{kernel, {static_cast<P>(std::forward<A>(args))...}};
  static_assert(std::is_trivially_copy_constructible_v<Call>, "a captured launch keeps the bytes");
  emu::Launch what{reinterpret_cast<const void*>(kernel), &call, sizeof call, grid, block, shared_bytes, stream};
  emu::run(what, [](const void* p) {
    const Call& c = *static_cast<const Call*>(p);
    std::apply(c.kernel, c.values);
  });
}

#endif

}  // namespace fastdl
