// The gradient of the input at strides, and transposed convolution, by Winograd (conv2d_winograd-inl.h has the
// transforms). Pixels of one residue modulo the stride, a phase, are a convolution at unit stride with every stride-th
// tap. Along an axis phases start to read at most one number apart; where the tiles of the later ones are moved back by
// that, a patch of the source is the same for all phases, and is transformed once.
//
//   4x4 at stride 2      phase 0 of row i reads source rows i - 1 and i, phase 1 reads i and i + 1
//                        patch of rows -1 ... 4:  phase 0 makes its rows 0 ... 4, phase 1 its rows -1 ... 3
//
//   inputs    [position][block of channels][tile][kL]      of a block of tile rows, numbers broadcast to the lanes
//   weights   [x][position][channel][NV * kL]              of a task and some channels, made on the way
//   products  [x][position][block of outputs][tile][kL]    of a task
//
// A task is a sliver of outputs and the phases of every stride_h-th row: whole rows, written pixel beside pixel.
#include "ops/conv2d/conv2d_phases-inl.h"
#include "ops/conv2d/conv2d_winograd_product-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kMinBlocks = 4;  // with fewer, threads share a block

struct Axis {
  int64_t stride, kernel, taps;
  int64_t start;                   // of the source, where tile 0 starts
  int64_t first[kWinogradStride];  // taps of a phase in the kernel turned by half: first, first + stride, ...
  int64_t shift[kWinogradStride];  // tile t makes rows t * M - shift, ... of the phase
  int64_t outputs;                 // of a phase, with the shift
};

Axis axis_of(int64_t size, int64_t kernel, int64_t stride, int64_t pad, int64_t taps) {
  Axis a{stride, kernel, taps, 0, {}, {}, 0};
  int64_t starts[kWinogradStride], last = 0;
  for (int64_t at = 0; at < stride; ++at) {
    const int64_t reach = kernel - 1 - at - pad;
    a.first[at] = (reach % stride + stride) % stride;
    starts[at] = (a.first[at] - reach) / stride;
    if (at == 0 || starts[at] < a.start) a.start = starts[at];
    if (at == 0 || starts[at] > last) last = starts[at];
  }
  for (int64_t at = 0; at < stride; ++at) a.shift[at] = starts[at] - a.start;
  a.outputs = (size + stride - 1) / stride + last - a.start;
  return a;
}

struct Plan {
  Conv2dGeometry g;
  Axis y, x;
  TileGrid grid;
  int64_t channels, outs;      // of a group: summed and made
  int64_t c_blocks, o_blocks;  // of kL channels
  int64_t slivers, chunk;      // channels whose weights are made at a time
  int64_t rows_a_block, blocks;
  static constexpr int64_t ahead = 0;  // the inputs of the next position are in the cache
  int64_t in_block, in_position, weight_position, out_block, out_position;
  const int64_t* places = nullptr;  // of the pixels of a row in the lines of their phases

  Plan(const Conv2dGeometry& geometry, int64_t tile)
      : g(geometry),
        y(axis_of(g.in_h, g.kernel_h, g.stride_h, g.pad_top, kPatch + 1 - tile)),
        x(axis_of(g.in_w, g.kernel_w, g.stride_w, g.pad_left, kPatch + 1 - tile)),
        grid(g.batch, y.outputs, x.outputs, tile, tile),
        channels(g.out_channels / g.groups),
        outs(g.in_channels / g.groups) {
    c_blocks = (channels + kL - 1) / kL, o_blocks = (outs + kL - 1) / kL;
    slivers = (o_blocks + kVecs - 1) / kVecs, chunk = g.stride_w <= 2 ? kChunk : kChunk / 2;
    const int64_t wanted = kPhaseTiles / grid.across;
    rows_a_block = wanted < 1 ? 1 : wanted;
    blocks = (grid.rows + rows_a_block - 1) / rows_a_block;
    rows_a_block = (grid.rows + blocks - 1) / blocks;
    in_block = out_block = rows_a_block * grid.across * kL;
    // One line more than whole blocks: positions must not fall into the same sets of the cache.
    in_position = c_blocks * in_block + kL, out_position = kVecs * out_block + kL;
    weight_position = chunk * kVecs * kL + kL;
  }
  int64_t weight_phase() const { return kPositions * weight_position; }
  int64_t out_phase() const { return kPositions * out_position; }
  int64_t vecs(int64_t sliver) const { return o_blocks - sliver * kVecs < kVecs ? o_blocks - sliver * kVecs : kVecs; }
};

// The tile rows of a block.
struct Block {
  int64_t row, end, tiles;
};

// A phase along one axis has no weights at the last position if its last tap is none.
bool is_zero(const Axis& a, int64_t phase, int64_t position) {
  return position == kPatch - 1 && a.first[phase] + (a.taps - 1) * a.stride >= a.kernel;
}

// ---- weights -------------------------------------------------------------------------------------------------------

// Phase (y, x) of one kernel at all positions, kL numbers each; taps[i][lane].
template <int R>
void transform_kernel(const Plan& p, int64_t y, int64_t x, const float* taps, float* to) {
  V half[R][kPatch];  // of each row of the kernel
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const int64_t row = p.y.kernel - 1 - p.y.first[y] - r * p.y.stride;
    V w[R];
#pragma GCC unroll 8
    for (int s = 0; s < R; ++s) {
      const int64_t column = p.x.kernel - 1 - p.x.first[x] - s * p.x.stride;
      w[s] = row >= 0 && column >= 0 ? load<float>(taps + (row * p.x.kernel + column) * kL) : V{};
    }
    transform_weights<R>(w, half[r]);
  }
#pragma GCC unroll 8
  for (int j = 0; j < kPatch; ++j) {
    V column[R], t[kPatch];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) column[r] = half[r][j];
    transform_weights<R>(column, t);
#pragma GCC unroll 8
    for (int i = 0; i < kPatch; ++i) store<float>(to + (i * kPatch + j) * p.weight_position, t[i]);
  }
}

// The taps of one block of outputs side by side: to[channel][tap][lane].
void gather_taps(const Plan& p, int64_t block, const float* weight, float* to) {
  const int64_t taps = p.y.kernel * p.x.kernel, left = p.outs - block * kL, outs = left < kL ? left : kL;
  for (int64_t c = 0; c < p.channels; ++c)
    pack_lanes(weight + (c * p.outs + block * kL) * taps, taps, taps, outs, to + c * taps * kL, kL);
}

// Channels [k0, k1) of a sliver, the phases of row y.
template <int R>
void transform_chunk(const Plan& p, int64_t sliver, int64_t y, int64_t k0, int64_t k1, const float* taps, float* to) {
  const int64_t kernel = p.y.kernel * p.x.kernel * kL, vecs = p.vecs(sliver);
  for (int64_t j = 0; j < vecs; ++j) {
    const float* from = taps + (sliver * kVecs + j) * p.channels * kernel;
    for (int64_t x = 0; x < p.x.stride; ++x)
      for (int64_t c = k0; c < k1; ++c)
        transform_kernel<R>(p, y, x, from + c * kernel, to + x * p.weight_phase() + ((c - k0) * vecs + j) * kL);
  }
}

// ---- tiles to images -----------------------------------------------------------------------------------------------

// One row of `channels` planes, from the lines of its phases; the row `ahead` is fetched for writing.
void store_row(const float* lines, const int64_t* places, int64_t n, int channels, float* out, int64_t plane,
               int64_t ahead) {
  for (int64_t i = 0; i < n; i += kL) {
    // The last full block overlaps the one before it.
    if (n - i < kL && n >= kL) i = n - kL;
    const int pixels = static_cast<int>(n - i < kL ? n - i : kL);
    for (int c = 0; c < channels; ++c) __builtin_prefetch(out + c * plane + i + ahead, 1);
    V r[kL];
#pragma GCC unroll 16
    for (int j = 0; j < kL; ++j) r[j] = j < pixels ? load<float>(lines + places[i + j]) : V{};
    transpose<float>(r);
    if (pixels == kL && channels == kL) {
#pragma GCC unroll 16
      for (int c = 0; c < kL; ++c) store<float>(out + c * plane + i, r[c]);
    } else {
#pragma GCC unroll 16
      for (int c = 0; c < kL; ++c)
        if (c < channels) store_n<float>(out + c * plane + i, r[c], pixels);
    }
  }
}

// The rows of phases (y, .) of a block and sliver; out and bias of its group.
template <int M>
void finish_rows(const Plan& p, const Block& b, int64_t sliver, int64_t y, const float* products, const float* bias,
                 float* out) {
  const Conv2dGeometry& g = p.g;
  const int64_t plane = g.in_h * g.in_w, line = p.grid.across * M * kL, row_of_lines = p.x.stride * line;
  Scratch<float> lines(M * row_of_lines);
  for (int64_t j = 0; j < p.vecs(sliver); ++j) {
    const int64_t m0 = (sliver * kVecs + j) * kL;
    const int channels = static_cast<int>(p.outs - m0 < kL ? p.outs - m0 : kL);
    const V add = bias ? load_n<float>(bias + m0, channels) : V{};
    const float* m = products + j * p.out_block;
    for (int64_t row = b.row; row < b.end; ++row, m += p.grid.across * kL) {
      for (int64_t x = 0; x < p.x.stride; ++x)
        for (int64_t t = 0; t < p.grid.across; ++t)
          finish_square<M>(m + x * p.out_phase() + t * kL, p.out_position, add, Activation::kNone,
                           lines + x * line + t * M * kL, row_of_lines);
      float* images = out + (row / p.grid.down * g.in_channels + m0) * plane;
      for (int i = 0; i < M; ++i) {
        const int64_t at = (row % p.grid.down * M - p.y.shift[y] + i) * p.y.stride + y;
        if (at >= 0 && at < g.in_h)
          store_row(lines + i * row_of_lines, p.places, g.in_w, channels, images + at * g.in_w, plane,
                    p.y.stride * g.in_w);
      }
    }
  }
}

// ---- the whole -----------------------------------------------------------------------------------------------------

template <int M>
void make_rows(const Plan& p, const Block& b, int64_t sliver, int64_t y, const float* in, const float* taps,
               const float* bias, float* out) {
  const int64_t vecs = p.vecs(sliver);
  Scratch<float> weights(p.x.stride * p.weight_phase()), products(p.x.stride * p.out_phase());
  for (int64_t k = 0; k < p.channels; k += p.chunk) {
    const int64_t k1 = k + p.chunk < p.channels ? k + p.chunk : p.channels;
    transform_chunk<kPatch + 1 - M>(p, sliver, y, k, k1, taps, weights);
    for (int64_t i = 0; i < p.x.stride * kPositions; ++i) {
      const int64_t x = i / kPositions, position = i % kPositions;
      float* to = products + x * p.out_phase() + position * p.out_position;
      if (is_zero(p.y, y, position / kPatch) || is_zero(p.x, x, position % kPatch)) {
        if (k == 0)
          for (int64_t n = 0; n < vecs * p.out_block; n += kL) store<float>(to + n, V{});
        continue;
      }
      multiply_tiles(p, b.tiles, vecs, k1 - k, in + position * p.in_position + k / kL * p.in_block,
                     weights + x * p.weight_phase() + position * p.weight_position, to, k > 0);
    }
  }
  finish_rows<M>(p, b, sliver, y, products, bias, out);
}

template <int M>
void phases_of(const Conv2dBwdInputArgs& args, const float* bias) {
  const Conv2dGeometry& g = args.g;
  Plan p(g, M);
  Scratch<int64_t> places(g.in_w);
  for (int64_t i = 0; i < g.in_w; ++i) {
    const int64_t x = i % p.x.stride;
    places[i] = (x * p.grid.across * M + i / p.x.stride + p.x.shift[x]) * kL;
  }
  p.places = places;
  const int64_t source = p.channels * g.out_h * g.out_w, kernel = g.kernel_h * g.kernel_w;  // of a group
  const int64_t taps_size = p.channels * kernel * kL;
  Scratch<float> taps(g.groups * p.o_blocks * taps_size);
  parallel_for(g.groups * p.o_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      gather_taps(p, i % p.o_blocks,
                  static_cast<const float*>(args.weight) + i / p.o_blocks * p.channels * p.outs * kernel,
                  taps + i * taps_size);
  });
  // Blocks side by side each in their own scratch, or one after another.
  const int64_t blocks = g.groups * p.blocks;
  parallel_for(blocks, blocks < kMinBlocks ? blocks : 1, [&](int64_t begin, int64_t end) {
    Scratch<float> in(kPositions * p.in_position);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / p.blocks, row = i % p.blocks * p.rows_a_block;
      const int64_t row1 = row + p.rows_a_block < p.grid.rows ? row + p.rows_a_block : p.grid.rows;
      const Block block{row, row1, (row1 - row) * p.grid.across};
      const Images images{static_cast<const float*>(args.grad) + group * source,
                          p.channels,
                          g.out_h,
                          g.out_w,
                          p.y.start,
                          p.x.start,
                          (g.groups - 1) * source};
      float* out = static_cast<float*>(args.grad_x) + group * p.outs * g.in_h * g.in_w;
      parallel_for(p.c_blocks, 1, [&](int64_t first, int64_t last) {
        for (int64_t c = first; c < last; ++c)
          transform_tiles<Squares<kPatch, M>>(images, p.grid, block.row, block.end, c * kL, in + c * p.in_block,
                                              p.in_position);
      });
      parallel_for(p.slivers * p.y.stride, 1, [&](int64_t first, int64_t last) {
        for (int64_t task = first; task < last; ++task)
          make_rows<M>(p, block, task / p.y.stride, task % p.y.stride, in, taps + group * p.o_blocks * taps_size,
                       bias ? bias + group * p.outs : nullptr, out);
      });
    }
  });
}

}  // namespace

void winograd_phases(const Conv2dBwdInputArgs& p, const float* bias) {
  const int64_t taps = winograd_taps(largest_phase(p.g));
  const auto make = taps == 2 ? &phases_of<5> : taps == 3 ? &phases_of<4> : taps == 4 ? &phases_of<3> : &phases_of<2>;
  make(p, bias);
}

}  // namespace fastdl::FASTDL_ISA
