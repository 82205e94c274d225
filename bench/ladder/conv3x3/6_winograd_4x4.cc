// F(4x4, 3x3) makes 16 outputs with 36 products instead of 144: four times less to multiply.
//
// Larger tiles lose digits. The points 0, +-3/4, +-3/2 (and infinity) lose a quarter of what the usual 0, +-1, +-2 do,
// and their transforms of inputs and outputs are exact binary fractions.
#include "winograd.h"

template <>
struct Points<4> {
  static constexpr float kInput[6][6] = {
      {81.f / 64, 0, -45.f / 16, 0, 1, 0},       {0, -27.f / 16, -9.f / 4, 3.f / 4, 1, 0},
      {0, 27.f / 16, -9.f / 4, -3.f / 4, 1, 0},  {0, -27.f / 32, -9.f / 16, 3.f / 2, 1, 0},
      {0, 27.f / 32, -9.f / 16, -3.f / 2, 1, 0}, {0, 81.f / 64, 0, -45.f / 16, 0, 1}};
  static constexpr float kWeight[6][3] = {{64.f / 81, 0, 0},
                                          {-128.f / 243, -32.f / 81, -8.f / 27},
                                          {-128.f / 243, 32.f / 81, -8.f / 27},
                                          {32.f / 243, 16.f / 81, 8.f / 27},
                                          {32.f / 243, -16.f / 81, 8.f / 27},
                                          {0, 0, 1}};
  static constexpr float kOutput[4][6] = {{1, 1, 1, 1, 1, 0},
                                          {0, 3.f / 4, -3.f / 4, 3.f / 2, -3.f / 2, 0},
                                          {0, 9.f / 16, 9.f / 16, 9.f / 4, 9.f / 4, 0},
                                          {0, 27.f / 64, -27.f / 64, 27.f / 8, -27.f / 8, 1}};
};

extern "C" void run(int64_t in, int64_t out, int64_t h, int64_t w, const float* x, const float* weight, float* y) {
  winograd<4>(in, out, h, w, x, weight, y);
}
