// The definition: y[o][i][j] = sum over c, r, s of w[o][c][r][s] * x[c][i + r - 1][j + s - 1], zeros outside x.
#include <cstdint>

extern "C" void run(int64_t in, int64_t out, int64_t h, int64_t w, const float* x, const float* weight, float* y) {
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t i = 0; i < h; ++i) {
      for (int64_t j = 0; j < w; ++j) {
        float sum = 0;
        for (int64_t c = 0; c < in; ++c) {
          for (int64_t r = 0; r < 3; ++r) {
            for (int64_t s = 0; s < 3; ++s) {
              const int64_t row = i + r - 1, column = j + s - 1;
              if (row < 0 || row >= h || column < 0 || column >= w) continue;
              sum += weight[((o * in + c) * 3 + r) * 3 + s] * x[(c * h + row) * w + column];
            }
          }
        }
        y[(o * h + i) * w + j] = sum;
      }
    }
  }
}
