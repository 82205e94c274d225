// Tensor cores: the warp meets, the last lane to come computes for all. Layouts of fragments are those of
// cuda/tensorcore.cuh. Products are exact in float and summed in float, k ascending; hardware sums in an order and with
// bits of its own, so tests compare with a bound and never bit by bit.
#include "emu/tensorcore.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "emu/engine.h"

namespace fastdl::emu {
namespace {

constexpr int kRows = 16, kColumns = 8, kMatrixRows = 8, kRowBytes = 16;

// ---- matrices -------------------------------------------------------------------------------------------------------

struct LaneMatrices {
  uint16_t row[kRowBytes / 2];  // what stands at this lane's address
  uint32_t* registers;
  int count;
  bool transposed;
};

void hand_out_matrices(void* const* brought) {
  const auto lane_of = [&](int i) -> const LaneMatrices& { return *static_cast<LaneMatrices*>(brought[i]); };
  for (int i = 0; i < kLanes; ++i) {
    const LaneMatrices& own = lane_of(i);
    const int high = i / 4, pair = 2 * (i % 4);
    for (int m = 0; m < own.count; ++m) {
      const int first = m * kMatrixRows;  // the lane that brought the matrix's first row
      const uint32_t low_half = own.transposed ? lane_of(first + pair).row[high] : lane_of(first + high).row[pair];
      const uint32_t high_half =
          own.transposed ? lane_of(first + pair + 1).row[high] : lane_of(first + high).row[pair + 1];
      own.registers[m] = low_half | high_half << 16;
    }
  }
}

// ---- products -------------------------------------------------------------------------------------------------------

struct LaneProduct {
  Number number;
  float* c;
  const uint32_t *a, *b;
};

// The numbers of a register, one or two, to out[k].
int decode(Number number, uint32_t bits, float* out) {
  if (number == Number::kTfloat32) {
    out[0] = from_tfloat32(bits);
    return 1;
  }
  for (int i = 0; i < 2; ++i) {
    const uint16_t half = static_cast<uint16_t>(bits >> 16 * i);
    out[i] = number == Number::kFloat16 ? from_float16(half) : from_bfloat16(half);
  }
  return 2;
}

void multiply_matrices(void* const* brought) {
  float a[kRows][16], b[16][kColumns], pair[2];
  int steps = 0;
  for (int i = 0; i < kLanes; ++i) {
    const LaneProduct& own = *static_cast<LaneProduct*>(brought[i]);
    const int high = i / 4, two = i % 4;
    for (int half = 0; half < 2; ++half) {  // of k
      for (int row = 0; row < 2; ++row) {
        const int each = decode(own.number, own.a[2 * half + row], pair);
        steps = 8 * each;
        for (int j = 0; j < each; ++j) a[high + 8 * row][(4 * half + two) * each + j] = pair[j];
      }
      const int each = decode(own.number, own.b[half], pair);
      for (int j = 0; j < each; ++j) b[(4 * half + two) * each + j][high] = pair[j];
    }
  }
  float c[kRows][kColumns];
  const auto each_sum = [&](auto&& f) {
    for (int i = 0; i < kLanes; ++i)
      for (int j = 0; j < 4; ++j)
        f(static_cast<LaneProduct*>(brought[i])->c[j], c[i / 4 + j / 2 * 8][i % 4 * 2 + j % 2]);
  };
  each_sum([](float& own, float& sum) { sum = own; });
  for (int row = 0; row < kRows; ++row)
    for (int k = 0; k < steps; ++k)
      for (int column = 0; column < kColumns; ++column) c[row][column] += a[row][k] * b[k][column];
  each_sum([](float& own, float& sum) { own = sum; });
}

}  // namespace

void warp_load(uint32_t* registers, int count, bool transposed, const void* row, Site site) {
  const void* pc = __builtin_return_address(0);
  LaneMatrices mine{{}, registers, count, transposed};
  std::memset(mine.row, 0xff, sizeof mine.row);
  std::memset(registers, 0xff, sizeof(uint32_t) * static_cast<size_t>(count));
  if (current->lane < count * kMatrixRows) {  // the addresses of the other lanes do not count
    if (reinterpret_cast<uintptr_t>(row) - arena.base >= kSharedRegion) {
      InEngine scope;
      report_at(Kind::kOutOfBounds, pc, "matrices are loaded from shared memory, and this row lies elsewhere");
    } else if (check_access<kRowBytes>(row, Access::kRead, pc)) {
      std::memcpy(mine.row, row, sizeof mine.row);
    }
  }
  meet_warp(hand_out_matrices, &mine, site);
}

void warp_multiply(Number number, float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  LaneProduct mine{number, c, a, b};
  meet_warp(multiply_matrices, &mine, site);
}

// ---- numbers --------------------------------------------------------------------------------------------------------

uint16_t to_bfloat16(float x) {
  if (x != x) return 0x7fff;
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

uint16_t to_float16(float x) {
  if (x != x) return 0x7fff;
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const float size = std::fabs(x);
  if (size >= 65520.0f) return sign | 0x7c00;  // halfway from the largest to the next power of two
  // Below the normal numbers the unit is 2^-24 for all; adding 0.5, of which 2^-24 is the last bit, rounds to it.
  if (size < 0x1p-14f)
    return sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(size + 0.5f) - std::bit_cast<uint32_t>(0.5f));
  const uint32_t magnitude = bits & 0x7fffffffu;
  return sign | static_cast<uint16_t>((magnitude + 0xfffu + (magnitude >> 13 & 1) - (112u << 23)) >> 13);
}

uint32_t to_tfloat32(float x) {
  if (x != x) return 0x7fffffffu;
  return (std::bit_cast<uint32_t>(x) + 0x1000u) & 0xffffe000u;
}

float from_bfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float from_float16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16, exponent = bits >> 10 & 0x1f,
                 fraction = bits & 0x3ff;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float size = static_cast<float>(fraction) * 0x1p-24f;
  return sign ? -size : size;
}

float from_tfloat32(uint32_t bits) {
  return std::bit_cast<float>(bits & 0xffffe000u);
}

}  // namespace fastdl::emu
