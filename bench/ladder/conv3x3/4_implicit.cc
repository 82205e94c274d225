// The product without the matrix: in padded planes each tap is a constant distance, so the tile reads row (c, tap) of
// the matrix where the numbers lie, at plane + tap's distance + first pixel.
//
// Pixels are counted through the padded rows, border included: two sums of w + 2 are thrown away at each row's end.
#include "../matmul/product.h"
#include "padded.h"

static void tile(int64_t in, const float* weight, const float* x, int64_t plane, int64_t wide, float* to) {
  Vector sum[kRows][kVectors] = {};
  for (int64_t c = 0; c < in; ++c) {
    for (int64_t tap = 0; tap < 9; ++tap, weight += kRows) {
      const float* at = x + c * plane + tap / 3 * wide + tap % 3;
      Vector pixels[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) pixels[v] = load(at + v * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sum[i][v] += weight[i] * pixels[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) store(to + i * kColumns + v * kLanes, sum[i][v]);
}

extern "C" void run(int64_t in, int64_t out, int64_t h, int64_t w, const float* x, const float* weight, float* y) {
  const std::vector<float> padded = padded_planes(in, h, w, x);
  const int64_t wide = w + 2, plane = (h + 2) * wide, panels = (out + kRows - 1) / kRows;
  std::vector<float> packed(panels * kRows * 9 * in);
  for (int64_t i = 0; i < panels; ++i)
    pack_rows(weight + i * kRows * 9 * in, 9 * in, 1, smaller(kRows, out - i * kRows), 9 * in,
              &packed[i * kRows * 9 * in]);
  float sums[kRows * kColumns];
  for (int64_t first = 0; first < h * wide; first += kColumns) {
    for (int64_t panel = 0; panel < panels; ++panel) {
      tile(in, &packed[panel * kRows * 9 * in], &padded[first], plane, wide, sums);
      const int64_t rows = smaller(kRows, out - panel * kRows);
      for (int64_t p = first; p < smaller(first + kColumns, h * wide); ++p) {
        const int64_t i = p / wide, j = p % wide;
        if (j >= w) continue;
        for (int64_t r = 0; r < rows; ++r) y[((panel * kRows + r) * h + i) * w + j] = sums[r * kColumns + p - first];
      }
    }
  }
}
