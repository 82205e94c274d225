// Convolution as a product: column p of a matrix holds the 9 * in numbers that output pixel p is made of.
//
//   y (out x pixels) = weight (out x 9 in) * columns (9 in x pixels)
//
// The product runs at full speed, but the matrix is nine times the input: writing and reading it back is what this step
// pays for a fast inner loop.
#include "../matmul/product.h"
#include "padded.h"

extern "C" void run(int64_t in, int64_t out, int64_t h, int64_t w, const float* x, const float* weight, float* y) {
  const std::vector<float> padded = padded_planes(in, h, w, x);
  const int64_t wide = w + 2, plane = (h + 2) * wide, pixels = h * w;
  std::vector<float> columns(9 * in * pixels);
  for (int64_t c = 0; c < in; ++c)
    for (int64_t tap = 0; tap < 9; ++tap)
      for (int64_t i = 0; i < h; ++i)
        std::memcpy(&columns[(c * 9 + tap) * pixels + i * w], &padded[c * plane + (i + tap / 3) * wide + tap % 3],
                    sizeof(float) * w);
  std::memset(y, 0, sizeof(float) * out * pixels);
  product(out, pixels, 9 * in, weight, 9 * in, 1, columns.data(), pixels, y, pixels);
}
