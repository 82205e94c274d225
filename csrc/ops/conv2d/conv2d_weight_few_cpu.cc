// The gradient of the weights for few input channels, the first layer of a network above all, float32:
//
//   sums[c][tap][o] += sum over pixels p of x[c][p * stride + offset of tap] * grad[p][o]
//
// Lanes are output channels. A block of output rows of the gradient is transposed once; the input stays as it lies, in
// padded copies of its lines, and its numbers are broadcast: the taps of a row of the kernel share a vector of grads.
//
//   inputs  [channel][line][column]             numbers broadcast to the lanes
//   grads   [block of outputs][row][column][kL] vectors
//
// Blocks of rows are dealt out to a few parts with sums of their own, added in order; how many depends on the shape
// alone.
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_weight-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kVecs = 2, kTaps = 8;    // register tile: taps of a kernel row x blocks of outputs
constexpr int64_t kBlockPixels = 160;  // whose two blocks of gradients stay in L1 for all channels and taps
constexpr int64_t kMaxParts = 16, kMinPartBlocks = 8;
constexpr int64_t kPartsBytes = 8 << 20;
constexpr int64_t kFewChannels = 8;  // of the input; from there on lanes of channels are full enough
constexpr int64_t kFewOutputs = 8;   // below, most of a vector would be empty

struct Sizes {
  Conv2dGeometry g;
  int64_t o_blocks, columns, lines, rows;  // lines of the copy for `rows` of outputs
  int64_t blocks_an_image, blocks;
  int64_t grad_block;
  int64_t sum_row, sum_size, parts;

  explicit Sizes(const Conv2dGeometry& geometry) : g(geometry) {
    o_blocks = (g.out_channels + kL - 1) / kL;
    columns = (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1;
    rows = kBlockPixels / g.out_w < 1 ? 1 : kBlockPixels / g.out_w;
    if (rows > g.out_h) rows = g.out_h;
    lines = (rows - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1;
    blocks_an_image = (g.out_h + rows - 1) / rows, blocks = g.batch * blocks_an_image;
    grad_block = rows * g.out_w * kL;
    sum_row = o_blocks * kL, sum_size = g.in_channels * g.kernel_h * g.kernel_w * sum_row;
    parts = kPartsBytes / (sum_size * static_cast<int64_t>(sizeof(float)));
    if (parts > kMaxParts) parts = kMaxParts;
    if (parts > blocks / kMinPartBlocks) parts = blocks / kMinPartBlocks;
    if (parts < 1) parts = 1;
  }
};

// Lines of one channel with zeros where the padding is.
void copy_lines(const Sizes& z, const float* plane, int64_t first, int64_t lines, float* to) {
  const Conv2dGeometry& g = z.g;
  for (int64_t i = 0; i < lines; ++i, to += z.columns) {
    const int64_t y = first + i;
    int64_t lo = g.pad_left < z.columns ? g.pad_left : z.columns;
    int64_t hi = g.in_w + g.pad_left < z.columns ? g.in_w + g.pad_left : z.columns;
    if (y < 0 || y >= g.in_h || hi < lo) hi = lo;
    fill_zeros(to, static_cast<int>(lo));
    if (hi > lo) copy_steps(to + lo, plane + y * g.in_w + lo - g.pad_left, 1, static_cast<int>(hi - lo));
    fill_zeros(to + hi, static_cast<int>(z.columns - hi));
  }
}

// sums[s][o] += sum over the rows' pixels of x[pixel * stride + s * dilation] * grads[pixel][o], S taps and NV blocks.
template <int S, int NV>
__attribute__((noinline)) void add_taps(const Sizes& z, int64_t rows, const float* x, const float* grads, float* sums) {
  const int64_t stride = z.g.stride_w, dilation = z.g.dilation_w, row_step = z.g.stride_h * z.columns;
  V acc[S][NV];
#pragma GCC unroll 8
  for (int s = 0; s < S; ++s)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) acc[s][j] = V{};
  for (int64_t y = 0; y < rows; ++y, x += row_step) {
    const float* from = x;
    for (int64_t n = z.g.out_w; n > 0; --n, from += stride, grads += kL) {
      V g[NV];
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) g[j] = load<float>(grads + j * z.grad_block);
      const float* tap = from;
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s, tap += dilation)
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) acc[s][j] += *tap * g[j];
    }
  }
#pragma GCC unroll 8
  for (int s = 0; s < S; ++s) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      float* to = sums + s * z.sum_row + j * kL;
      store<float>(to, load<float>(to) + acc[s][j]);
    }
  }
}

using AddTaps = void (*)(const Sizes&, int64_t, const float*, const float*, float*);
template <int NV, int... I>
AddTaps add_taps_of(int64_t taps, std::integer_sequence<int, I...>) {
  static constexpr AddTaps kInstances[] = {&add_taps<I + 1, NV>...};
  return kInstances[taps - 1];
}

void add_block(const Conv2dBwdWeightArgs& p, const Sizes& z, int64_t block, float* in, float* grads, float* sums) {
  const Conv2dGeometry& g = z.g;
  const int64_t image = block / z.blocks_an_image, row = block % z.blocks_an_image * z.rows;
  const int64_t rows = g.out_h - row < z.rows ? g.out_h - row : z.rows;
  const int64_t lines = (rows - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1, plane = z.lines * z.columns;
  const float* x = static_cast<const float*>(p.x) + image * g.in_channels * g.in_h * g.in_w;
  for (int64_t c = 0; c < g.in_channels; ++c)
    copy_lines(z, x + c * g.in_h * g.in_w, row * g.stride_h - g.pad_top, lines, in + c * plane);
  const Images y{static_cast<const float*>(p.grad), g.out_channels, g.out_h, g.out_w, 0, 0};
  for (int64_t o = 0; o < z.o_blocks; o += kVecs) {
    const int64_t vecs = z.o_blocks - o < kVecs ? z.o_blocks - o : kVecs;
    for (int64_t j = 0; j < vecs; ++j)
      for (int64_t r = 0; r < rows; ++r)
        load_line(y, image, (o + j) * kL, row + r, g.out_w, grads + j * z.grad_block + r * g.out_w * kL);
    for (int64_t i = 0; i < g.in_channels * g.kernel_h; ++i) {
      const int64_t c = i / g.kernel_h, r = i % g.kernel_h;
      for (int64_t s = 0; s < g.kernel_w; s += kTaps) {
        using Taps = std::make_integer_sequence<int, kTaps>;
        const int64_t taps = g.kernel_w - s < kTaps ? g.kernel_w - s : kTaps;
        const AddTaps add = vecs == kVecs ? add_taps_of<kVecs>(taps, Taps{}) : add_taps_of<1>(taps, Taps{});
        add(z, rows, in + c * plane + r * g.dilation_h * z.columns + s * g.dilation_w, grads,
            sums + (i * g.kernel_w + s) * z.sum_row + o * kL);
      }
    }
  }
}

}  // namespace

bool few_serve_weights(DType dtype, const Conv2dGeometry& g) {
  return dtype == DType::kFloat32 && g.groups == 1 && g.batch > 0 && g.in_channels <= kFewChannels &&
         g.out_channels >= kFewOutputs;
}

void weight_gradient_few(const Conv2dBwdWeightArgs& p) {
  const Sizes z(p.g);
  Scratch<float> sums(z.parts * z.sum_size);
  parallel_for(z.parts, 1, [&](int64_t begin, int64_t end) {
    Scratch<float> in(p.g.in_channels * z.lines * z.columns), grads(kVecs * z.grad_block);
    for (int64_t part = begin; part < end; ++part) {
      float* to = sums + part * z.sum_size;
      for (int64_t i = 0; i < z.sum_size; ++i) to[i] = 0.f;
      for (int64_t block = z.blocks * part / z.parts; block < z.blocks * (part + 1) / z.parts; ++block)
        add_block(p, z, block, in, grads, to);
    }
  });
  // [tap][o] to [o][tap]
  const int64_t taps = z.sum_size / z.sum_row;
  float* grad_weight = static_cast<float*>(p.grad_weight);
  for (int64_t t = 0; t < taps; ++t) {
    for (int64_t o = 0; o < p.g.out_channels; ++o) {
      float sum = sums[t * z.sum_row + o];
      for (int64_t part = 1; part < z.parts; ++part) sum += sums[part * z.sum_size + t * z.sum_row + o];
      grad_weight[o * taps + t] = sum;
    }
  }
}

}  // namespace fastdl::FASTDL_ISA
