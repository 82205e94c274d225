// A matrix transposed three times: across memory, through a tile in shared memory, through a padded tile.
#include "cuda/launch.h"

__global__ void strided(const float* x, float* out, int rows, int columns) {
  const int column = static_cast<int>(blockIdx.x) * 32 + static_cast<int>(threadIdx.x);
  const int row = static_cast<int>(blockIdx.y) * 32 + static_cast<int>(threadIdx.y);
  if (row < rows && column < columns) out[column * rows + row] = x[row * columns + column];
}

__global__ void tiled(const float* x, float* out, int rows, int columns) {
  FASTDL_SHARED(float, tile, [32][32]);
  const int x0 = static_cast<int>(blockIdx.x) * 32, y0 = static_cast<int>(blockIdx.y) * 32;
  const int i = static_cast<int>(threadIdx.x), j = static_cast<int>(threadIdx.y);
  if (y0 + j < rows && x0 + i < columns) tile[j][i] = x[(y0 + j) * columns + x0 + i];
  __syncthreads();
  if (x0 + j < columns && y0 + i < rows) out[(x0 + j) * rows + y0 + i] = tile[i][j];
}

__global__ void padded(const float* x, float* out, int rows, int columns) {
  FASTDL_SHARED(float, tile, [32][33]);
  const int x0 = static_cast<int>(blockIdx.x) * 32, y0 = static_cast<int>(blockIdx.y) * 32;
  const int i = static_cast<int>(threadIdx.x), j = static_cast<int>(threadIdx.y);
  if (y0 + j < rows && x0 + i < columns) tile[j][i] = x[(y0 + j) * columns + x0 + i];
  __syncthreads();
  if (x0 + j < columns && y0 + i < rows) out[(x0 + j) * rows + y0 + i] = tile[i][j];
}
