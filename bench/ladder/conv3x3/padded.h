// A copy of the planes with a border of zeros: rows of w + 2 numbers, h + 2 rows, and room to read a vector too far.
#pragma once
#include "../vector.h"

static std::vector<float> padded_planes(int64_t channels, int64_t h, int64_t w, const float* x) {
  const int64_t wide = w + 2, plane = (h + 2) * wide;
  std::vector<float> padded(channels * plane + 4 * kColumns + 4 * wide);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t i = 0; i < h; ++i)
      std::memcpy(&padded[c * plane + (i + 1) * wide + 1], x + (c * h + i) * w, sizeof(float) * w);
  return padded;
}
