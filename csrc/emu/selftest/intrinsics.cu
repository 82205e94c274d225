// One kernel for each intrinsic: what it computes is compared with NumPy in tests/emu/test_intrinsics.py. Each writes
// what thread i got to out[i].
#include "cuda/reduce.cuh"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

using Count = unsigned long long;

// ---- built-in variables ---------------------------------------------------------------------------------------------

__global__ void write_indices(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned i = block * threads_in_block() + thread_in_block();
  out[i] = static_cast<int>(threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z + 1000 * blockIdx.x +
                            10000 * blockIdx.y + 100000 * blockIdx.z);
}
FASTDL_SELFTEST(indices) {
  launch(write_indices, dim3(2, 3, 2), dim3(4, 3, 2), 0, stream, operands[0].as<int>());
}

// ---- shuffles -------------------------------------------------------------------------------------------------------

template <class T>
__global__ void shuffle_index(const T* x, T* out, int lane, int width) {
  out[threadIdx.x] = __shfl_sync(kFullWarp, x[threadIdx.x], lane, width);
}
template <class T>
__global__ void shuffle_up(const T* x, T* out, unsigned delta, int width) {
  out[threadIdx.x] = __shfl_up_sync(kFullWarp, x[threadIdx.x], delta, width);
}
template <class T>
__global__ void shuffle_down(const T* x, T* out, unsigned delta, int width) {
  out[threadIdx.x] = __shfl_down_sync(kFullWarp, x[threadIdx.x], delta, width);
}
template <class T>
__global__ void shuffle_lanes_xor(const T* x, T* out, int lanes, int width) {
  out[threadIdx.x] = __shfl_xor_sync(kFullWarp, x[threadIdx.x], lanes, width);
}
FASTDL_SELFTEST(shfl) {
  launch(shuffle_index<float>, 1, 32, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 5, 16);
}
FASTDL_SELFTEST(shfl_double) {
  launch(shuffle_index<double>, 1, 32, 0, stream, operands[0].as<double>(), operands[1].as<double>(), 31, 32);
}
FASTDL_SELFTEST(shfl_up) {
  launch(shuffle_up<float>, 1, 32, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 3, 8);
}
FASTDL_SELFTEST(shfl_down) {
  launch(shuffle_down<float>, 1, 32, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 3, 8);
}
FASTDL_SELFTEST(shfl_xor) {
  launch(shuffle_lanes_xor<float>, 1, 32, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 6, 32);
}

// ---- votes ----------------------------------------------------------------------------------------------------------

__global__ void vote(const int* x, int* out) {
  const int p = x[threadIdx.x];
  out[threadIdx.x] = static_cast<int>(__ballot_sync(kFullWarp, p));
  out[64 + threadIdx.x] = __any_sync(kFullWarp, p);
  out[128 + threadIdx.x] = __all_sync(kFullWarp, p);
  out[192 + threadIdx.x] = static_cast<int>(__activemask());
}
FASTDL_SELFTEST(votes) {
  launch(vote, 1, 64, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void half_warp_vote(const int* x, int* out) {
  const unsigned half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
  out[threadIdx.x] = static_cast<int>(__ballot_sync(half, x[threadIdx.x]));
}
FASTDL_SELFTEST(half_warp_ballot) {
  launch(half_warp_vote, 1, 32, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void block_vote(const int* x, int* out) {
  const int p = x[threadIdx.x];
  out[threadIdx.x] = __syncthreads_or(p);
  out[100 + threadIdx.x] = __syncthreads_and(p);
  out[200 + threadIdx.x] = __syncthreads_count(p);
}
FASTDL_SELFTEST(block_votes) {
  launch(block_vote, 1, 100, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void match_lanes(const int* x, int* out) {
  out[threadIdx.x] = static_cast<int>(__match_any_sync(kFullWarp, x[threadIdx.x]));
}
FASTDL_SELFTEST(match_any) {
  launch(match_lanes, 1, 32, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void reduce_lanes(const int* x, int* out) {
  const int v = x[threadIdx.x];
  out[threadIdx.x] = __reduce_add_sync(kFullWarp, v);
  out[32 + threadIdx.x] = __reduce_max_sync(kFullWarp, v);
  out[64 + threadIdx.x] = __reduce_min_sync(kFullWarp, v);
  out[96 + threadIdx.x] = static_cast<int>(__reduce_or_sync(kFullWarp, static_cast<unsigned>(v)));
  out[128 + threadIdx.x] = static_cast<int>(__reduce_and_sync(kFullWarp, static_cast<unsigned>(v)));
}
FASTDL_SELFTEST(warp_reduces) {
  launch(reduce_lanes, 1, 32, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void reduce_unsigned_lanes(const unsigned* x, unsigned* out) {
  const unsigned v = x[threadIdx.x], half = threadIdx.x < 16 ? 0x0000ffffu : 0xffff0000u;
  out[threadIdx.x] = __reduce_add_sync(half, v);
  out[32 + threadIdx.x] = __reduce_max_sync(half, v);
  out[64 + threadIdx.x] = __reduce_min_sync(half, v);
  out[96 + threadIdx.x] = __reduce_or_sync(half, v);
  out[128 + threadIdx.x] = __reduce_and_sync(half, v);
}
FASTDL_SELFTEST(warp_reduces_unsigned) {
  launch(reduce_unsigned_lanes, 1, 32, 0, stream, operands[0].as<unsigned>(), operands[1].as<unsigned>());
}

// What a lane wrote before a fence and a shuffle of a flag: fences order, barriers make sure.
__global__ void fence_in_block(const int* x, int* out) {
  FASTDL_SHARED(int, seen, [64]);
  seen[threadIdx.x] = x[threadIdx.x];
  __threadfence_block();
  __syncthreads();
  out[threadIdx.x] = seen[63 - threadIdx.x];
}
FASTDL_SELFTEST(block_fence) {
  launch(fence_in_block, 1, 64, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

// ---- reductions of cuda/reduce.cuh ----------------------------------------------------------------------------------

template <class T>
__global__ void reduce_block(const T* x, T* out) {
  const T v = x[blockIdx.x * blockDim.x + threadIdx.x];
  const T sum = block_sum(v);
  const T largest = block_max(v, T{-1000});
  if (threadIdx.x == 0) out[2 * blockIdx.x] = sum, out[2 * blockIdx.x + 1] = largest;
}
FASTDL_SELFTEST(block_reduce_float) {
  launch(reduce_block<float>, 3, 96, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}
FASTDL_SELFTEST(block_reduce_double) {
  launch(reduce_block<double>, 2, 1024, 0, stream, operands[0].as<double>(), operands[1].as<double>());
}
FASTDL_SELFTEST(block_reduce_int) {
  launch(reduce_block<int>, 4, 32, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

// ---- atomics --------------------------------------------------------------------------------------------------------

template <class T>
__global__ void integer_atomics(const T* x, T* out) {
  const T v = x[blockIdx.x * blockDim.x + threadIdx.x];
  atomicAdd(out + 0, v);
  atomicAdd(out + 1, T(0) - v);
  atomicMax(out + 2, v);
  atomicMin(out + 3, v);
  atomicOr(out + 4, v);
  atomicAnd(out + 5, v);
  atomicXor(out + 6, v);
  atomicExch(out + 7, T(7));
  T seen = 0;  // a sum by compare and swap
  for (T old; (old = atomicCAS(out + 8, seen, seen + v)) != seen;) seen = old;
}
FASTDL_SELFTEST(atomics_int) {
  launch(integer_atomics<int>, 4, 64, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}
FASTDL_SELFTEST(atomics_unsigned) {
  launch(integer_atomics<unsigned>, 4, 64, 0, stream, operands[0].as<unsigned>(), operands[1].as<unsigned>());
}
FASTDL_SELFTEST(atomics_long) {
  launch(integer_atomics<Count>, 4, 64, 0, stream, operands[0].as<Count>(), operands[1].as<Count>());
}

template <class T>
__global__ void sub_atomics(const T* x, T* out) {
  atomicSub(out, x[blockIdx.x * blockDim.x + threadIdx.x]);
}
FASTDL_SELFTEST(atomic_sub_int) {
  launch(sub_atomics<int>, 4, 64, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}
FASTDL_SELFTEST(atomic_sub_unsigned) {
  launch(sub_atomics<unsigned>, 4, 64, 0, stream, operands[0].as<unsigned>(), operands[1].as<unsigned>());
}

// Each thread puts its number and takes another's: what is in the cell at the end and what they took are all numbers.
__global__ void swap_floats(const float* x, float* cell, float* out) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = atomicExch(cell, x[i]);
}
FASTDL_SELFTEST(atomic_exch_float) {
  launch(swap_floats, 4, 64, 0, stream, operands[0].as<float>(), operands[1].as<float>(), operands[2].as<float>());
}

template <class T>
__global__ void add_atomics(const T* x, T* out) {
  atomicAdd(out, x[blockIdx.x * blockDim.x + threadIdx.x]);
}
FASTDL_SELFTEST(atomic_add_float) {
  launch(add_atomics<float>, 4, 64, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}
FASTDL_SELFTEST(atomic_add_double) {
  launch(add_atomics<double>, 4, 64, 0, stream, operands[0].as<double>(), operands[1].as<double>());
}
FASTDL_SELFTEST(atomic_add_long) {
  launch(add_atomics<Count>, 4, 64, 0, stream, operands[0].as<Count>(), operands[1].as<Count>());
}

// ---- memory and shared memory ---------------------------------------------------------------------------------------

__global__ void vector_copy(const float* x, float* out, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * 4;
  if (i + 4 <= n)
    store_vec(out + i, load_vec<float4>(x + i));
  else
    for (int k = i; k < n; ++k) out[k] = __ldg(x + k);
}
FASTDL_SELFTEST(vectors) {
  const int n = static_cast<int>(operands[0].size);
  launch(vector_copy, blocks_for(n, 128), 32, 0, stream, operands[0].as<float>(), operands[1].as<float>(), n);
}

__global__ void pack_copy(const double* x, double* out) {
  const auto pair = load_vec<Pack<double, 2>>(x + 2 * threadIdx.x);
  store_vec(out + 2 * threadIdx.x, Pack<double, 2>{pair[1], pair[0]});
}
FASTDL_SELFTEST(packs) {
  launch(pack_copy, 1, 16, 0, stream, operands[0].as<double>(), operands[1].as<double>());
}

__global__ void dynamic_reverse(const float* x, float* out) {
  FASTDL_DYNAMIC_SHARED(bytes);
  float* row = reinterpret_cast<float*>(bytes);
  row[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = row[blockDim.x - 1 - threadIdx.x];
}
FASTDL_SELFTEST(dynamic_shared) {
  launch(dynamic_reverse, 1, 80, 80 * sizeof(float), stream, operands[0].as<float>(), operands[1].as<float>());
}

// ---- arithmetic -----------------------------------------------------------------------------------------------------

__global__ void bit_math(const int* x, int* out) {
  const int v = x[threadIdx.x], n = static_cast<int>(blockDim.x), i = static_cast<int>(threadIdx.x);
  out[i] = __popc(static_cast<unsigned>(v));
  out[n + i] = __ffs(v);
  out[2 * n + i] = __clz(v);
  out[3 * n + i] = static_cast<int>(__brev(static_cast<unsigned>(v)));
  out[4 * n + i] = static_cast<int>(__umulhi(static_cast<unsigned>(v), 0xD2511F53u));
  out[5 * n + i] = static_cast<int>(__umul64hi(static_cast<Count>(v) << 20, 0xD2511F53CD9E8D57ull));
  out[6 * n + i] = __float_as_int(__int_as_float(v));
  out[7 * n + i] = min(v, 3) + max(v, -3);
}
FASTDL_SELFTEST(bits) {
  launch(bit_math, 1, 64, 0, stream, operands[0].as<int>(), operands[1].as<int>());
}

__global__ void float_math(const float* x, float* out) {
  const float v = x[threadIdx.x];
  const int n = static_cast<int>(blockDim.x), i = static_cast<int>(threadIdx.x);
  out[i] = __expf(v);
  out[n + i] = __logf(v);
  out[2 * n + i] = rsqrtf(v);
  out[3 * n + i] = __fdividef(v, 3.0f);
  out[4 * n + i] = tanhf(v);
  out[5 * n + i] = fmaxf(v, 1.5f);
  out[6 * n + i] = __saturatef(v - 1.0f);
  out[7 * n + i] = static_cast<float>(__float2int_rn(v));
}
FASTDL_SELFTEST(floats) {
  launch(float_math, 1, 64, 0, stream, operands[0].as<float>(), operands[1].as<float>());
}

// ---- launches -------------------------------------------------------------------------------------------------------

__global__ void nothing() {}
FASTDL_SELFTEST(launch_empty) {
  launch(nothing, dim3(4, 0, 1), 32, 0, stream);
}
FASTDL_SELFTEST(launch_too_many_threads) {
  launch(nothing, 1, dim3(32, 33), 0, stream);
}
FASTDL_SELFTEST(launch_no_threads) {
  launch(nothing, 1, 0, 0, stream);
}
FASTDL_SELFTEST(launch_tall_grid) {
  launch(nothing, dim3(1, 65536), 32, 0, stream);
}
FASTDL_SELFTEST(launch_much_shared) {
  launch(nothing, 1, 32, size_t{1} << 20, stream);
}

}  // namespace
}  // namespace fastdl::emu
