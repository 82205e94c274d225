// Depthwise convolution of images with channels innermost: a vector of channels meets a vector of weights for each tap,
// whatever the kernel and the strides are.
//
//   weights  [block of channels][tap][kL]
//
// Each product reads its pixels from memory, as often as taps reach them; some outputs side by side keep the additions
// of one from waiting for each other.
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_nchwc-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kOutputs = 8;                  // side by side
constexpr int64_t kChunkProducts = 1 << 15;  // vectors of them: a few microseconds

// Of `blocks` blocks for each half of the rows, how many make a chunk. Also a short convolution is shared out by
// halves: another core's half comes more slowly than it is made.
int64_t grain_of_halves(int64_t blocks, int64_t products) {
  return min64(blocks, 1 + kChunkProducts / (products + 1));
}

// A row of outputs of a block of channels.
struct Row {
  const float *in, *weights;  // of the block
  int64_t y;                  // of the outputs
  V bias;
  const float* residual;  // or null
  Activation limits;
  float* out;
};

// N outputs from ox on. kInside: all their taps lie in the image's columns.
template <int N, bool kInside>
FASTDL_INLINE void make_outputs_at(const View& v, const Row& row, int64_t ox) {
  V sums[N];
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) sums[i] = row.bias;
  for (int64_t t = 0; t < v.num_taps; ++t) {
    const int64_t y = row.y * v.step_y + v.taps[t].dy, x = ox * v.step_x + v.taps[t].dx;
    if (y < 0 || y >= v.src_h) continue;
    const V weight = load<float>(row.weights + t * kL);
    const float* from = row.in + (y * v.src_w + x) * kL;
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) {
      const int64_t at = x + i * v.step_x;
      if (kInside || (at >= 0 && at < v.src_w)) sums[i] += load<float>(from + i * v.step_x * kL) * weight;
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < N; ++i) {
    if (row.residual) sums[i] += load<float>(row.residual + (ox + i) * kL);
    store<float>(row.out + (ox + i) * kL, limit<float>(row.limits, sums[i]));
  }
}

// The columns of outputs whose taps are all inside: [first, end).
struct Inside {
  int64_t first = 0, end;
  explicit Inside(const View& v) : end(v.cols) {
    for (int64_t t = 0; t < v.num_taps; ++t) {
      const int64_t left = -v.taps[t].dx, room = v.src_w - 1 - v.taps[t].dx;
      if (left > first * v.step_x) first = ceil_div(left, v.step_x);
      end = min64(end, room < 0 ? 0 : room / v.step_x + 1);
    }
    first = min64(first, v.cols);
  }
};

void make_row(const View& v, const Inside& inside, const Row& row) {
  int64_t ox = 0;
  for (; ox < inside.first; ++ox) make_outputs_at<1, false>(v, row, ox);
  for (; ox + kOutputs <= inside.end; ox += kOutputs) make_outputs_at<kOutputs, true>(v, row, ox);
  for (; ox + 2 <= inside.end; ox += 2) make_outputs_at<2, true>(v, row, ox);
  for (; ox < v.cols; ++ox) make_outputs_at<1, false>(v, row, ox);
}

// Rows [y0, y1) of outputs of an image and a block of channels.
void make_rows(const View& v, const Inside& inside, int64_t image, int64_t block, int64_t y0, int64_t y1,
               const float* weights) {
  const int64_t blocks = v.groups / kL, of = image * blocks + block;
  const float* in = static_cast<const float*>(v.src) + of * v.src_h * v.src_w * kL;
  const V bias = v.bias ? load<float>(static_cast<const float*>(v.bias) + block * kL) : V{};
  for (int64_t y = y0; y < y1; ++y) {
    float* out = static_cast<float*>(v.out) + (of * v.rows + y) * v.cols * kL;
    const Activation limits = in_registers(v.activation);
    make_row(v, inside, {in, weights + block * v.num_taps * kL, y, bias, v.residual_at(out), limits, out});
    if (limits != v.activation) activate_row(v.activation, out, v.cols * kL);
  }
}

}  // namespace

bool nchwc_depthwise_serves(const View& v) {
  return v.dtype == DType::kFloat32 && v.m_channels == 1 && v.k_channels == 1 && v.groups % kL == 0;
}

int64_t nchwc_depthwise_weights(const View& v) {
  return v.groups * v.num_taps;
}

void prepare_nchwc_depthwise(const View& v, void* to) {
  const int64_t block = kL * v.num_taps;
  for (int64_t i = 0; i < v.groups * v.num_taps; i += block)
    pack_lanes(static_cast<const float*>(v.weight) + i, v.num_taps, v.num_taps, int64_t{kL},
               static_cast<float*>(to) + i, int64_t{kL});
}

void conv_nchwc_depthwise(const View& v) {
  Scratch<float> own(v.prepared ? 1 : nchwc_depthwise_weights(v));
  if (!v.prepared) prepare_nchwc_depthwise(v, own.get());
  const float* weights = v.prepared ? static_cast<const float*>(v.prepared) : own.get();
  const Inside inside(v);
  const Split halves = split_evenly(v.rows, ceil_div(v.rows, 2));  // threads share rows, as in the other kernels
  const int64_t blocks = v.batch * v.groups / kL, of_image = v.groups / kL;
  const int64_t products = part_size(halves, 0) * v.cols * v.num_taps;
  parallel_for(halves.count * blocks, grain_of_halves(blocks, products), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t half = i / blocks, image = i % blocks / of_image, y0 = part_begin(halves, half);
      make_rows(v, inside, image, i % of_image, y0, y0 + part_size(halves, half), weights);
    }
  });
}

}  // namespace fastdl::FASTDL_ISA
