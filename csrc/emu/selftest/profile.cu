// Accesses whose cost is known, for the counters of traffic.cc (tests/emu/test_traffic.py).
#include "cuda/launch.h"
#include "emu/selftest/selftest.h"

namespace fastdl::emu {
namespace {

__global__ void strided(const float* x, const int* stride, float* out) {
  FASTDL_SHARED(float, tile, [33 * 32]);
  const int lane = static_cast<int>(threadIdx.x), step = *stride;
  for (int i = lane; i < 33 * 32; i += 32) tile[i] = 1.0f;
  __syncthreads();
  const float from_global = x[lane * step];
  const float from_shared = tile[lane * step];
  out[lane] = from_global + from_shared;
}
FASTDL_SELFTEST(strided) {
  launch(strided, 1, 32, 0, stream, operands[0].as<float>(), operands[1].as<int>(), operands[2].as<float>());
}

template <int N>
__global__ void copy_through_shared(const float* x, float* out) {
  using Vector = Pack<float, N>;
  FASTDL_SHARED(Vector, row, [32]);
  store_vec(&row[threadIdx.x], load_vec<Vector>(x + N * threadIdx.x));
  __syncthreads();
  store_vec(out + N * threadIdx.x, load_vec<Vector>(&row[threadIdx.x]));
}
#define FASTDL_VECTORS(n)                                                                               \
  FASTDL_SELFTEST(shared_vectors_##n) {                                                                 \
    launch(copy_through_shared<n>, 1, 32, 0, stream, operands[0].as<float>(), operands[1].as<float>()); \
  }
FASTDL_VECTORS(1)
FASTDL_VECTORS(2)
FASTDL_VECTORS(4)

// Half of the lanes read twice before the first barrier; after it all lanes read together again.
__global__ void uneven_loop(const float* x, float* out, int more) {
  float sum = 0.0f;
  for (int round = 0; round < 3; ++round) {
    const int times = 1 + (more >> round) * (threadIdx.x < 16);
    for (int i = 0; i < times; ++i) sum += x[threadIdx.x + 32 * i];
    __syncthreads();
  }
  out[threadIdx.x] = sum;
}
FASTDL_SELFTEST(uneven_loop) {
  launch(uneven_loop, 1, 32, 0, stream, operands[0].as<float>(), operands[1].as<float>(), 1);
}

}  // namespace
}  // namespace fastdl::emu
