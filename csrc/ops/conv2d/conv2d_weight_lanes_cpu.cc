// The gradient of the weights for channels enough to fill vectors, float32: a product of matrices for each tap,
//
//   sums[t][o][c] += sum over pixels p of grad[p][o] * x[p * stride + offset of t][c]
//
// Lanes are input channels. The input of a block of output rows is transposed once, with zeros where the padding is,
// and every tap reads the same copy at another place: nothing is copied a tap, and no lanes have to be added at the
// end. Gradients are numbers broadcast to the lanes from where they lie.
//
//   inputs  [block of channels][strip][line][column][kL]
//
// A strip is some rows of one image, or a block is many strips of whole small images. Blocks are dealt out to a few
// parts with sums of their own, added in order; how many depends on the shape alone. Where the sums are large there are
// few parts, and threads share the taps and channels inside a block.
#include "cpu/microkernel-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"
#include "ops/conv2d/conv2d_winograd-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// Register tiles: outputs x two blocks of channels, or a last one alone.
constexpr int kRows = kTallTile.rows;
static_assert(kTallTile.vecs == 2, "tiles of two blocks");
constexpr int64_t kBlockPixels = 192;            // of two blocks of channels, read by a tap: they stay in L1
constexpr int64_t kBlockBytes = 512 << 10;       // inputs and gradients of a block, in the level-2 cache
constexpr int64_t kPartsBytes = 16 << 20;        // sums of all parts
constexpr int64_t kMaxParts = 8, kMinParts = 4;  // with fewer than kMinParts, threads share a block
constexpr int64_t kPlaneColumns = 256;           // of rows into which the plane of a 1x1 kernel is cut anew
constexpr double kLeastUse = 0.6;                // of the lanes and of kLeastRows outputs; below, lanes = pixels win
constexpr int64_t kLeastRows = kL < 8 ? kL : kL / 2;

struct Sizes {
  Conv2dGeometry g;
  int64_t channels, outs, c_blocks, panels;  // of a group
  int64_t taps;
  int64_t columns, lines;  // of the copy of a strip's input; a row of outputs moves on by line_step
  int64_t line_step;
  int64_t strips, rows;             // of a block: strips of one image each, rows of a strip
  int64_t blocks_an_image, blocks;  // one of the two is cut: images into blocks, or blocks into images
  int64_t in_line, in_strip, in_block;
  int64_t sum_row, sum_tap, sum_group, sum_size, parts;

  explicit Sizes(const Conv2dGeometry& geometry) : g(geometry) {
    channels = g.in_channels / g.groups, outs = g.out_channels / g.groups;
    c_blocks = (channels + kL - 1) / kL, panels = (outs + kRows - 1) / kRows;
    taps = g.kernel_h * g.kernel_w;
    columns = (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1;
    // Lines between those that the taps of neighbouring rows read are left out.
    const int64_t span = (g.kernel_h - 1) * g.dilation_h + 1;
    line_step = g.stride_h < span ? g.stride_h : span;
    const int64_t row_bytes =
        kVecBytes * c_blocks * line_step * columns + outs * g.out_w * static_cast<int64_t>(sizeof(float));
    int64_t wanted = kBlockPixels / g.out_w;
    if (wanted * row_bytes > kBlockBytes) wanted = kBlockBytes / row_bytes;
    if (wanted < 1) wanted = 1;
    if (wanted < g.out_h) {
      blocks_an_image = (g.out_h + wanted - 1) / wanted, strips = 1;
      rows = (g.out_h + blocks_an_image - 1) / blocks_an_image;
      blocks_an_image = (g.out_h + rows - 1) / rows, blocks = g.batch * blocks_an_image;
    } else {
      rows = g.out_h, blocks_an_image = 1, strips = wanted / g.out_h;
      blocks = (g.batch + strips - 1) / strips;
    }
    lines = (rows - 1) * line_step + span;
    in_line = columns * kL, in_strip = lines * in_line;
    in_block = strips * in_strip + kL;  // off the power of two
    sum_row = c_blocks * kL, sum_tap = outs * sum_row + kL, sum_group = taps * sum_tap;
    sum_size = g.groups * sum_group;
    parts = kPartsBytes / (sum_size * static_cast<int64_t>(sizeof(float)));
    if (parts > kMaxParts) parts = kMaxParts;
    if (parts > blocks) parts = blocks;
    if (parts < 1) parts = 1;
  }
};

// The rows of one block: all strips are alike.
struct Block {
  int64_t image, row, strips, rows;
};
Block block_at(const Sizes& z, int64_t i) {
  const int64_t row = i % z.blocks_an_image * z.rows, image = i / z.blocks_an_image * z.strips;
  const int64_t strips = z.g.batch - image, rows = z.g.out_h - row;
  return {image, row, strips < z.strips ? strips : z.strips, rows < z.rows ? rows : z.rows};
}

// The outputs of a strip at which a tap reads a pixel of the image: it would add zeros elsewhere.
struct Window {
  int64_t rows, columns;
  int64_t grad_start, in_start;  // places of its corner in a plane of gradients and in the copy
};
Window window_of(const Sizes& z, const Block& block, int64_t tap) {
  const Conv2dGeometry& g = z.g;
  const int64_t r = tap / g.kernel_w * g.dilation_h, s = tap % g.kernel_w * g.dilation_w;
  // [first, last) of `n` outputs from `from` on, whose place * stride + offset is in [0, size)
  const auto clip = [](int64_t offset, int64_t size, int64_t stride, int64_t from, int64_t n, int64_t* first) {
    int64_t lo = offset < 0 ? (-offset + stride - 1) / stride : 0, hi = from + n;
    const int64_t end = offset < size ? (size - 1 - offset) / stride + 1 : 0;
    if (lo < from) lo = from;
    if (hi > end) hi = end;
    *first = lo - from;
    return hi > lo ? hi - lo : 0;
  };
  int64_t y = 0, x = 0;
  const int64_t rows = clip(r - g.pad_top, g.in_h, g.stride_h, block.row, block.rows, &y);
  const int64_t columns = clip(s - g.pad_left, g.in_w, g.stride_w, 0, g.out_w, &x);
  if (rows == 0 || columns == 0) return {0, 0, 0, 0};
  return {rows, columns, (block.row + y) * g.out_w + x, (y * z.line_step + r) * z.in_line + (x * g.stride_w + s) * kL};
}

// sums[o][c] (+)= sum over the window's pixels of grads[o][pixel] * in[pixel][c], for MR outputs and NV blocks.
template <int MR, int NV>
__attribute__((noinline)) void product_tile(const Sizes& z, const Block& block, const Window& w, const float* grads,
                                            const float* in, float* sums, bool accumulate) {
  const int64_t step = z.g.stride_w * kL, row_step = z.line_step * z.in_line, plane = z.g.out_h * z.g.out_w;
  V acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      __builtin_prefetch(sums + i * z.sum_row + j * kL, 1);
      acc[i][j] = V{};
    }
  }
  for (int64_t s = 0; s < block.strips; ++s, in += z.in_strip, grads += z.g.out_channels * plane) {
    for (int64_t y = 0; y < w.rows; ++y) {
      const float* x = in + y * row_step;
      const float* g[(MR + 2) / 3];  // of every third output: the others are one and two planes further
#pragma GCC unroll 8
      for (int i = 0; i < MR; i += 3) g[i / 3] = grads + y * z.g.out_w + i * plane;
      for (int64_t n = 0; n < w.columns; ++n, x += step) {
        V v[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) v[j] = load<float>(x + j * z.in_block);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
          for (int j = 0; j < NV; ++j) acc[i][j] += g[i / 3][i % 3 * plane] * v[j];
#pragma GCC unroll 8
        for (int i = 0; i < MR; i += 3) ++g[i / 3];
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      float* to = sums + i * z.sum_row + j * kL;
      store<float>(to, accumulate ? load<float>(to) + acc[i][j] : acc[i][j]);
    }
  }
}

using ProductTile = void (*)(const Sizes&, const Block&, const Window&, const float*, const float*, float*, bool);
template <int NV, int... I>
ProductTile product_tile_of(int rows, std::integer_sequence<int, I...>) {
  static constexpr ProductTile kInstances[] = {&product_tile<I + 1, NV>...};
  return kInstances[rows - 1];
}

// One tap and up to two blocks of channels, all outputs in balanced panels; grads: those of the group in the first
// image of the block.
void multiply(const Sizes& z, const Block& block, int64_t tap, int64_t c_block, const float* grads, const float* in,
              float* sums, bool accumulate) {
  using Rows = std::make_integer_sequence<int, kRows>;
  const Window w = window_of(z, block, tap);
  const int64_t plane = z.g.out_h * z.g.out_w;
  const float* from = in + c_block * z.in_block + w.in_start;
  float* to = sums + tap * z.sum_tap + c_block * kL;
  for (int64_t i = 0; i < z.panels; ++i) {
    const int64_t o = z.outs * i / z.panels;
    const int rows = static_cast<int>(z.outs * (i + 1) / z.panels - o);
    const auto tile = c_block + 1 < z.c_blocks ? product_tile_of<2>(rows, Rows{}) : product_tile_of<1>(rows, Rows{});
    tile(z, block, w, grads + w.grad_start + o * plane, from, to + o * z.sum_row, accumulate);
  }
}

// Transposes one block of channels of the input.
void transpose_block(const Conv2dBwdWeightArgs& p, const Sizes& z, const Block& block, int64_t group, int64_t i,
                     float* in) {
  const Conv2dGeometry& g = z.g;
  const Images x{static_cast<const float*>(p.x), g.in_channels, g.in_h, g.in_w, -g.pad_top, -g.pad_left};
  const int64_t span = (g.kernel_h - 1) * g.dilation_h + 1;
  for (int64_t s = 0; s < block.strips; ++s) {
    float* to = in + i * z.in_block + s * z.in_strip;
    for (int64_t line = 0; line < (block.rows - 1) * z.line_step + span; ++line) {
      // With strides beyond the kernel each row of outputs has lines of its own.
      const int64_t row = block.row + line / z.line_step;
      const int64_t at =
          z.line_step < g.stride_h ? row * g.stride_h + line % z.line_step : block.row * g.stride_h + line;
      load_line(x, block.image + s, group * z.channels + i * kL, x.top + at, z.columns, to + line * z.in_line);
    }
  }
}

void add_block(const Conv2dBwdWeightArgs& p, const Sizes& z, const Block& block, int64_t group, float* in, float* sums,
               bool accumulate) {
  parallel_for(z.c_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) transpose_block(p, z, block, group, i, in);
  });
  const float* grads =
      static_cast<const float*>(p.grad) + (block.image * z.g.out_channels + group * z.outs) * z.g.out_h * z.g.out_w;
  const int64_t pairs = (z.c_blocks + 1) / 2;
  parallel_for(z.taps * pairs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) multiply(z, block, i % z.taps, i / z.taps * 2, grads, in, sums, accumulate);
  });
}

// The weights of one output, from the sums of all parts.
void finish_weights(const Sizes& z, int64_t output, const float* sums, float* grad_weight) {
  const int64_t group = output / z.outs, o = output % z.outs;
  const float* from = sums + group * z.sum_group + o * z.sum_row;
  float* to = grad_weight + output * z.channels * z.taps;
  for (int64_t t = 0; t < z.taps; ++t, from += z.sum_tap) {
    for (int64_t c = 0; c < z.channels; c += kL) {
      V sum = load<float>(from + c);
      for (int64_t part = 1; part < z.parts; ++part) sum += load<float>(from + part * z.sum_size + c);
      const int64_t n = z.channels - c < kL ? z.channels - c : kL;
      for (int64_t i = 0; i < n; ++i) to[(c + i) * z.taps + t] = sum[i];
    }
  }
}

// The plane of a 1x1 kernel that reads all of it has no rows of its own: long ones are transposed in whole vectors.
Conv2dGeometry with_long_rows(Conv2dGeometry g) {
  const int64_t plane = g.in_h * g.in_w;
  if (g.kernel_h * g.kernel_w > 1 || g.out_h != g.in_h || g.out_w != g.in_w || g.pad_top || g.pad_left) return g;
  int64_t width = plane < kPlaneColumns ? plane : kPlaneColumns;
  while (plane % width != 0) --width;
  if (width <= g.in_w) return g;
  g.stride_h = g.stride_w = 1, g.pad_bottom = g.pad_right = 0;
  g.in_w = g.out_w = width, g.in_h = g.out_h = plane / width;
  return g;
}

}  // namespace

bool lanes_serve_weights(DType dtype, const Conv2dGeometry& g) {
  const int64_t channels = g.in_channels / g.groups, outs = g.out_channels / g.groups;
  const double lanes = static_cast<double>(channels) / ((channels + kL - 1) / kL * kL);
  const double rows = static_cast<double>(outs) / ((outs + kLeastRows - 1) / kLeastRows * kLeastRows);
  return dtype == DType::kFloat32 && g.batch > 0 && lanes * rows >= kLeastUse;
}

void weight_gradient_lanes(const Conv2dBwdWeightArgs& p) {
  const Sizes z(with_long_rows(p.g));
  Scratch<float> sums(z.parts * z.sum_size);
  const int64_t tasks = z.parts * z.g.groups;
  parallel_for(tasks, tasks < kMinParts ? tasks : 1, [&](int64_t begin, int64_t end) {
    Scratch<float> in(z.c_blocks * z.in_block);
    for (int64_t task = begin; task < end; ++task) {
      const int64_t part = task / z.g.groups, group = task % z.g.groups;
      const int64_t first = z.blocks * part / z.parts, last = z.blocks * (part + 1) / z.parts;
      for (int64_t i = first; i < last; ++i)
        add_block(p, z, block_at(z, i), group, in, sums + part * z.sum_size + group * z.sum_group, i > first);
    }
  });
  const int64_t work = z.channels * z.taps * z.parts;
  parallel_for(z.g.out_channels, 1 + (1 << 15) / work, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) finish_weights(z, o, sums, static_cast<float*>(p.grad_weight));
  });
}

}  // namespace fastdl::FASTDL_ISA
