// Winograd convolution, forward and input gradient, for every form of tiles: squares of 6x6 inputs
// (conv2d_winograd_cpu.cc) and lines of 8 (conv2d_winograd_lines_cpu.cc). A block of tile rows at a time, sized for the
// level-2 cache:
//
//   inputs    [position][block of channels][tile][kL]      transformed patches, numbers broadcast to the lanes
//   weights   [position][sliver of outputs][channel][NV * kL]
//   products  [position][block of outputs][tile][kL]       one product of matrices for each position
//
// Blocks are shared out to the threads; a convolution of few blocks shares out the channels inside a block instead.
//
// A Form says what a patch and a tile are: kHigh, kWide, kDown, kAcross and transform_row as in conv2d_winograd-inl.h,
// kTaps of a view, and positions in kRows rows of kCols. For views of kernels it has
//   reached(p, view)                                  which positions the view has weights at
//   transform_kernel(p, view, reached, taps, to, stride)   these weights, of kL outputs; taps[i][lane]
//   finish_tile(m, stride, bias, activation, lines, line)  the outputs of a tile, into kDown lines of pixels
#pragma once
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_winograd_product-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kBlockBytes = 230 << 10;  // inputs and products of a block: a quarter of the level-2 cache,
constexpr int64_t kMinTiles = 24;           // but tiles enough to use the weights that pass through it
constexpr int64_t kMinBlocks = 4;           // with fewer, threads share a block, or
constexpr int64_t kOwnBlocks = 4;           // each has so many blocks of outputs of its own
// Transformed weights of this size are made once and read from the caches. Larger ones would travel to memory and back:
// they are made again for each block, up to kChunk input channels of one sliver at a time, and used from the level-2
// cache.
constexpr int64_t kWeightBytes = 3 << 20;
constexpr int64_t kNearBytes = 1 << 20;               // the bound where there is one block alone: nothing is made again
constexpr int64_t kGroupFrom = 8 * kVecs;             // blocks of outputs from which slivers are grouped
constexpr int64_t kFewSlivers = 5, kManySlivers = 9;  // an odd number between is shared out unevenly
constexpr int64_t kWeightParts = 4;                   // of the channels of a sliver, transformed by different threads
constexpr int64_t kTapChannels = 16;                  // whose taps are gathered together: whole squares of kL numbers
constexpr int64_t kTilesAChunk = 128;                 // tiles of a block then, to repeat the transform seldom
constexpr int64_t kSumChannels = 128;                 // longer chains of additions would lose digits
// Weights are worth keeping transformed up to this size, and where few tiles share them.
constexpr int64_t kKeptBytes = 12 << 20, kKeptTiles = 32;

template <class Form>
struct Sizes {
  static constexpr int64_t kPositions = Form::kRows * Form::kCols;
  TileGrid grid;
  int64_t c_blocks, o_blocks;           // blocks of kL channels
  int64_t rows_a_block, blocks, tiles;  // tile rows and tiles of a block
  int64_t in_block, in_position;        // strides of the inputs
  int64_t out_block, out_position;      // of the products
  int64_t weight_position;
  bool kept;      // whether transformed weights are worth keeping for later calls
  bool chunks;    // of weights, instead of all of them
  int64_t group;  // slivers then that share the inputs which they read
  int64_t slivers;
  bool halves;    // the last two slivers are one between them: pairs of threads share an odd few evenly
  int64_t ahead;  // to the inputs of the next position, if they are not in the cache

  explicit Sizes(const WinogradArgs& p) : grid(p.batch, p.rows, p.cols, Form::kDown, Form::kAcross) {
    c_blocks = (p.depth() + kL - 1) / kL, o_blocks = (p.out_channels + kL - 1) / kL;
    weight_position = o_blocks * kL * p.depth();
    const int64_t bytes = kPositions * weight_position * static_cast<int64_t>(sizeof(float));
    kept = bytes <= kKeptBytes || grid.rows * grid.across <= kKeptTiles;
    const bool large = bytes > (grid.rows * grid.across > kTilesAChunk ? kWeightBytes : kNearBytes);
    chunks = large && !p.prepared;
    int64_t wanted = kBlockBytes / (kPositions * (c_blocks + o_blocks) * kVecBytes);
    if (wanted < kMinTiles) wanted = kMinTiles;
    if (large) wanted = kTilesAChunk;
    rows_a_block = wanted / grid.across < 1 ? 1 : wanted / grid.across;
    blocks = (grid.rows + rows_a_block - 1) / rows_a_block;
    rows_a_block = (grid.rows + blocks - 1) / blocks;
    tiles = rows_a_block * grid.across;
    in_block = out_block = tiles * kL;
    // One line more than whole blocks: positions must not fall into the same sets of the cache.
    in_position = c_blocks * in_block + kL;
    group =
        kPositions * in_position * static_cast<int64_t>(sizeof(float)) > kNearBytes && o_blocks >= kGroupFrom ? 2 : 1;
    ahead = group > 1 ? in_position : 0;
    out_position = (chunks ? group * kVecs : o_blocks) * out_block + kL;
    slivers = (o_blocks + kVecs - 1) / kVecs;
    halves = chunks && group == 1 && o_blocks % kVecs == 0 && slivers % 2 == 1 && slivers >= kFewSlivers &&
             slivers < kManySlivers;
    slivers += halves;
  }
  int64_t first_row(int64_t block) const { return block * rows_a_block < grid.rows ? block * rows_a_block : grid.rows; }
  int64_t first_block(int64_t sliver) const { return halves && sliver == slivers - 1 ? o_blocks - 1 : sliver * kVecs; }
  int64_t vecs(int64_t sliver) const {
    const int64_t left = o_blocks - sliver * kVecs;
    return halves && sliver >= slivers - 2 ? 1 : left < kVecs ? left : kVecs;
  }
};

// ---- weights -------------------------------------------------------------------------------------------------------

// The taps of output channels [block * kL, ...), side by side: to[i][lane] is number i of the input channels
// [c0, c0 + count), each with all taps of its kernel.
static void gather_taps(const WinogradArgs& p, int64_t block, int64_t c0, int64_t count, float* to) {
  const int64_t taps = p.kernel_h * p.kernel_w;
  const int64_t left = p.out_channels - block * kL, outs = left < kL ? left : kL;
  const float* w = p.weight + block * kL * p.weight_m + c0 * p.weight_k;
  const bool joined = p.weight_k == taps;  // channels follow each other
  const int64_t runs = joined ? 1 : count, length = joined ? count * taps : taps;
  for (int64_t run = 0; run < runs; ++run)
    pack_lanes(w + run * p.weight_k, p.weight_m, length, outs, to + run * length * kL, kL);
}

// Positions of a view that have weights: [0, rows) x [0, cols). The last view of an axis may see the last tap alone.
struct Reached {
  int rows, cols;
};
template <class Form>
constexpr Reached kAllPositions{Form::kRows, Form::kCols};
static inline bool reaches_last(const Views& v, int64_t i, int64_t kernel) {
  return v.offset(i) + (v.taps - 1) * v.step < kernel;
}

// The end of the chunk from k on: chunks of `most` channels or fewer, of about the same size, that see one view each
// where views are apart.
static int64_t chunk_end(const WinogradArgs& p, int64_t k, int64_t most) {
  const int64_t whole = p.views() > 1 && views_apart(p.channels) ? p.channels : p.depth(), at = k % whole;
  const int64_t chunks = (whole + most - 1) / most, size = ((whole + chunks - 1) / chunks + kL - 1) / kL * kL;
  return k + (whole - at < size ? whole - at : size);
}

// Those that the chunk from k on adds to: one view's. The first one sets all products.
template <class Form>
static Reached positions_of_chunk(const WinogradArgs& p, int64_t k) {
  return k > 0 && views_apart(p.channels) ? Form::reached(p, k / p.channels) : kAllPositions<Form>;
}

// Channels and views [k0, k1) of one sliver of outputs: to[position * stride + (k - k0) * vecs * kL].
template <class Form>
static void transform_sliver(const WinogradArgs& p, const Sizes<Form>& z, int64_t sliver, int64_t k0, int64_t k1,
                             float* to, int64_t stride) {
  const int64_t vecs = z.vecs(sliver), taps = p.kernel_h * p.kernel_w, views = p.views();
  const Reached all = z.chunks ? positions_of_chunk<Form>(p, k0) : kAllPositions<Form>;
  Scratch<float> gathered(kTapChannels * taps * kL);
  for (int64_t j = 0; j < vecs; ++j) {
    for (int64_t k = k0, c0 = 0, c1 = 0; k < k1; ++k) {
      const auto [c, view] = place_of(k, p.channels, views);
      if (c < c0 || c >= c1) {
        c0 = c, c1 = c + kTapChannels < p.channels ? c + kTapChannels : p.channels;
        gather_taps(p, z.first_block(sliver) + j, c0, c1 - c0, gathered);
      }
      Form::transform_kernel(p, view, all, gathered + (c - c0) * taps * kL, to + ((k - k0) * vecs + j) * kL, stride);
    }
  }
}

// ---- products ------------------------------------------------------------------------------------------------------

// A position and a sliver, with weights made beforehand.
template <class Form>
static void multiply_position(const WinogradArgs& p, const Sizes<Form>& z, int64_t tiles, int64_t position,
                              int64_t sliver, const float* in, const float* weights, float* products) {
  const int64_t vecs = z.vecs(sliver);
  const float* w = weights + position * z.weight_position + sliver * kVecs * kL * p.depth();
  for (int64_t k = 0, k1 = 0; k < p.depth(); k = k1) {
    k1 = chunk_end(p, k, kSumChannels);
    const Reached reached = positions_of_chunk<Form>(p, k);
    if (position / Form::kCols >= reached.rows || position % Form::kCols >= reached.cols) continue;
    multiply_tiles(z, tiles, vecs, k1 - k, in + position * z.in_position + k / kL * z.in_block, w + k * vecs * kL,
                   products + position * z.out_position + sliver * kVecs * z.out_block, k > 0);
  }
}

// ---- tiles to images -----------------------------------------------------------------------------------------------

// Pixels [0, n) of one row of `channels` planes from line[pixel][lane]; the row `ahead` is fetched for writing.
// A residual is added on the way, and the activation then applied.
static void store_line(const float* line, int64_t n, int channels, const float* residual, Activation activation,
                       float* out, int64_t plane, int64_t ahead) {
  const Activation now = in_registers(activation);
  for (int64_t i = 0; i < n; i += kL) {
    if (n - i < kL && n >= kL) i = n - kL;
    const int pixels = static_cast<int>(n - i < kL ? n - i : kL);
    if (ahead > 0)
      for (int c = 0; c < channels; ++c) __builtin_prefetch(out + c * plane + i + ahead, 1);
    V r[kL];
#pragma GCC unroll 16
    for (int j = 0; j < kL; ++j) r[j] = j < pixels ? load<float>(line + (i + j) * kL) : V{};
    transpose<float>(r);
    if (residual) {
#pragma GCC unroll 16
      for (int c = 0; c < kL; ++c)
        if (c < channels) r[c] = limit<float>(now, r[c] + load_some<float>(residual + c * plane + i, pixels));
    }
    if (pixels == kL && channels == kL) {
#pragma GCC unroll 16
      for (int c = 0; c < kL; ++c) store<float>(out + c * plane + i, r[c]);
    } else {
#pragma GCC unroll 16
      for (int c = 0; c < kL; ++c)
        if (c < channels) store_n<float>(out + c * plane + i, r[c], pixels);
    }
  }
  for (int c = 0; residual && now != activation && c < channels; ++c) activate_row(activation, out + c * plane, n);
}

// repair(row, lines): whether the products of a row were not as they should be, and now are.
template <class Form, class Sizes, class Repair>
static void finish_tile_rows(const WinogradArgs& p, const Sizes& z, int64_t row0, int64_t row1, int64_t block,
                             const float* products, const Repair& repair) {
  const int64_t line = z.grid.across * Form::kAcross * kL;
  const int channels = static_cast<int>(p.out_channels - block * kL < kL ? p.out_channels - block * kL : kL);
  const V bias = p.bias ? load_n<float>(p.bias + block * kL, channels) : V{};
  const Activation now = p.residual ? Activation::kNone : p.activation;
  const bool later = now != Activation::kNone && now != Activation::kRelu;
  Scratch<float> lines(Form::kDown * line);
  const float* m = products;
  for (int64_t row = row0; row < row1; ++row, m += z.grid.across * kL) {
    const int64_t image = row / z.grid.down, y = row % z.grid.down * Form::kDown;
    do {
      for (int64_t t = 0; t < z.grid.across; ++t)
        Form::finish_tile(m + t * kL, z.out_position, bias, now, lines + t * Form::kAcross * kL, line);
    } while (repair(row, lines.get()));
    if (later) activate_row(now, lines.get(), Form::kDown * line);
    if (p.nchwc) {
      const int64_t place = image * p.out_image + block * kL * p.out_plane + y * p.out_row * kL;
      for (int i = 0; i < Form::kDown && y + i < p.rows; ++i)
        finish_row(p.residual ? p.activation : Activation::kNone, lines + i * line,
                   p.residual ? p.residual + place + i * p.out_row * kL : nullptr, p.out + place + i * p.out_row * kL,
                   p.cols * kL);
      continue;
    }
    const int64_t place = image * p.out_image + block * kL * p.out_plane + y * p.out_row;
    for (int i = 0; i < Form::kDown && y + i < p.rows; ++i)
      store_line(lines + i * line, p.cols, channels, p.residual ? p.residual + place + i * p.out_row : nullptr,
                 p.activation, p.out + place + i * p.out_row, p.out_plane,
                 prefetch_distance(p.out_channels, p.out_plane, p.out_row));
  }
}

template <class Form>
static void finish_tile_rows(const WinogradArgs& p, const Sizes<Form>& z, int64_t row0, int64_t row1, int64_t block,
                             const float* products) {
  finish_tile_rows<Form>(p, z, row0, row1, block, products, [](int64_t, const float*) FASTDL_BODY { return false; });
}

// ---- a block of tile rows, weights made on the way -----------------------------------------------------------------

// A group of slivers from weights to outputs. The weights of kChunk channels stay in the cache for all positions and
// tiles, the products until they are finished; inputs may come from further away, and are read once for the group.
template <class Form>
static void make_slivers(const WinogradArgs& p, const Sizes<Form>& z, int64_t row0, int64_t row1, int64_t first,
                         int64_t last, const float* in, float* weights, float* products) {
  static_assert(kChunk % kL == 0, "a chunk is made of whole blocks of channels");
  constexpr int64_t stride = kChunk * kVecs * kL + kL, size = z.kPositions * stride;
  const int64_t tiles = (row1 - row0) * z.grid.across;
  for (int64_t k = 0, k1 = 0; k < p.depth(); k = k1) {
    k1 = chunk_end(p, k, kChunk);
    for (int64_t sliver = first; sliver < last; ++sliver)
      transform_sliver(p, z, sliver, k, k1, weights + (sliver - first) * size, stride);
    const Reached reached = positions_of_chunk<Form>(p, k);
    for (int64_t position = 0; position < z.kPositions; ++position) {
      if (position / Form::kCols >= reached.rows || position % Form::kCols >= reached.cols) continue;
      for (int64_t sliver = first; sliver < last; ++sliver)
        multiply_tiles(z, tiles, z.vecs(sliver), k1 - k, in + position * z.in_position + k / kL * z.in_block,
                       weights + (sliver - first) * size + position * stride,
                       products + position * z.out_position + (sliver - first) * kVecs * z.out_block, k > 0);
    }
  }
  const int64_t block0 = z.first_block(first), block1 = z.first_block(last - 1) + z.vecs(last - 1);
  for (int64_t block = block0; block < block1; ++block)
    finish_tile_rows(p, z, row0, row1, block, products + (block - block0) * z.out_block);
}

template <class Form>
static void make_in_chunks(const WinogradArgs& p, const Sizes<Form>& z, int64_t row0, int64_t row1, int64_t first,
                           int64_t last, const float* in) {
  Scratch<float> weights(z.group * z.kPositions * (kChunk * kVecs * kL + kL)), products(z.kPositions * z.out_position);
  for (int64_t s = first; s < last; s += z.group)
    make_slivers(p, z, row0, row1, s, s + z.group < last ? s + z.group : last, in, weights, products);
}

// ---- a block of tile rows ------------------------------------------------------------------------------------------

// Slivers [first, last) of a group, or all of them.
template <class Form>
static void transform_slivers(const WinogradArgs& p, const Sizes<Form>& z, int64_t first, int64_t last,
                              float* weights) {
  parallel_for((last - first) * kWeightParts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t sliver = first + i / kWeightParts, part = i % kWeightParts;
      const int64_t k0 = p.channels * part / kWeightParts * p.views();
      const int64_t k1 = p.channels * (part + 1) / kWeightParts * p.views();
      transform_sliver(p, z, sliver, k0, k1, weights + sliver * kVecs * kL * p.depth() + k0 * z.vecs(sliver) * kL,
                       z.weight_position);
    }
  });
}

// The inputs and products of a block.
template <class Form>
struct BlockSpace {
  Scratch<float> in, products;
  explicit BlockSpace(const Sizes<Form>& z)
      : in(z.kPositions * z.in_position), products(z.chunks ? 1 : z.kPositions * z.out_position) {}
};

template <class Form>
static void transform_block(const WinogradArgs& p, const Sizes<Form>& z, int64_t row0, int64_t row1, float* in) {
  const Images images{
      p.src,     p.channels, p.height, p.width, p.top, p.left, p.src_image - p.channels * p.height * p.width,
      p.views_y, p.views_x,  p.nchwc};
  parallel_for(z.c_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      transform_tiles<Form>(images, z.grid, row0, row1, c * kL, in + c * z.in_block, z.in_position);
  });
}

// Slivers [first, last) of a block whose inputs are transformed, by one thread. Where weights are made beforehand, the
// tiles of a position stay in the cache for all slivers.
template <class Form>
static void make_part(const WinogradArgs& p, const Sizes<Form>& z, int64_t row0, int64_t row1, int64_t first,
                      int64_t last, const float* weights, const BlockSpace<Form>& space) {
  if (z.chunks) return make_in_chunks(p, z, row0, row1, first, last, space.in);
  const int64_t tiles = (row1 - row0) * z.grid.across;
  for (int64_t position = 0; position < z.kPositions; ++position)
    for (int64_t s = first; s < last; ++s)
      multiply_position(p, z, tiles, position, s, space.in, weights, space.products);
  const int64_t end = last < z.slivers ? last * kVecs : z.o_blocks;
  for (int64_t o = first * kVecs; o < end; ++o) finish_tile_rows(p, z, row0, row1, o, space.products + o * z.out_block);
}

template <class Form>
static void make_block(const WinogradArgs& p, const Sizes<Form>& z, int64_t block, const float* weights,
                       const BlockSpace<Form>& space) {
  const int64_t row0 = z.first_row(block), row1 = z.first_row(block + 1);
  transform_block(p, z, row0, row1, space.in);
  // A thread that has made weights takes the slivers that they are of, and finishes them: another core's weights and
  // products come slowly.
  const int64_t threads = get_num_threads(), tiles = (row1 - row0) * z.grid.across;
  const bool shares = !z.chunks && !p.prepared && z.blocks < kMinBlocks && z.slivers % threads == 0;
  if (z.chunks || shares)
    return parallel_for(z.slivers, z.chunks ? z.group : z.slivers / threads,
                        [&](int64_t first, int64_t last) { make_part(p, z, row0, row1, first, last, weights, space); });
  parallel_for(z.kPositions * z.slivers, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      multiply_position(p, z, tiles, i / z.slivers, i % z.slivers, space.in, weights, space.products);
  });
  parallel_for(z.o_blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) finish_tile_rows(p, z, row0, row1, o, space.products + o * z.out_block);
  });
}

// Few blocks, whose inputs a level-2 cache holds: a thread transforms all of them and makes a part of the outputs, and
// never waits for the others. Half of shared inputs would come from another core's caches. On a Xeon with cores 80 to
// 110 ns apart two threads are 1.16 to 1.22 times as fast so (128 @ 28, 128; 160 @ 17, 160, 7x1), though they do up to
// a twelfth of the work twice. Inputs beyond that cache are better shared (256 of 128 @ 56, 3x3 / 2: x0.91 otherwise).
template <class Form>
static void make_own_parts(const WinogradArgs& p, const Sizes<Form>& z, int64_t parts, float* weights) {
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    const BlockSpace<Form> space(z);
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = z.slivers * part / parts, last = z.slivers * (part + 1) / parts;
      if (!z.chunks) transform_slivers(p, z, first, last, weights);
      for (int64_t block = 0; block < z.blocks; ++block) {
        const int64_t row0 = z.first_row(block), row1 = z.first_row(block + 1);
        transform_block(p, z, row0, row1, space.in);
        make_part(p, z, row0, row1, first, last, weights, space);
      }
    }
  });
}

template <class Form>
static void conv_of_group(const WinogradArgs& p) {
  const Sizes<Form> z(p);
  const bool here = !z.chunks && !p.prepared;
  Scratch<float> made(here ? z.kPositions * z.weight_position : 1);
  const int64_t threads = get_num_threads();
  const bool near = z.kPositions * z.in_position * static_cast<int64_t>(sizeof(float)) <= kNearBytes;
  if (threads > 1 && near && !p.prepared && z.blocks < kMinBlocks && z.o_blocks >= kOwnBlocks * threads)
    return make_own_parts(p, z, threads, made.get());
  if (here) transform_slivers(p, z, 0, z.slivers, made.get());
  const float* weights = p.prepared ? p.prepared : made.get();
  // Blocks side by side each in their own scratch, or one after another.
  parallel_for(z.blocks, z.blocks < kMinBlocks ? z.blocks : 1, [&](int64_t begin, int64_t end) {
    const BlockSpace<Form> space(z);
    for (int64_t block = begin; block < end; ++block) make_block(p, z, block, weights, space);
  });
}

}  // namespace fastdl::FASTDL_ISA
#include "ops/conv2d/conv2d_winograd_amx_conv-inl.h"
namespace fastdl::FASTDL_ISA {

// Of a group, whose weights are kept transformed.
static WinogradArgs kept_group_of(const WinogradArgs& p, const float* kept, int64_t size, int64_t group) {
  WinogradArgs own = group_of(p, group);
  own.prepared = kept ? kept + group * size : nullptr;
  return own;
}

// Numbers of the transformed weights of a group.
template <class Form>
static int64_t weights_of_group(const WinogradArgs& p, [[maybe_unused]] bool amx) {
#if defined(FASTDL_ISA_amx)
  if (amx) return ceil_div(AmxSizes<Form>::kPositions * AmxSizes<Form>(p).weight_position, 2);
#endif
  return Sizes<Form>::kPositions * Sizes<Form>(p).weight_position;
}

template <class Form>
static void conv_of(const WinogradArgs& p) {
  const bool amx = winograd_serves_amx<Form>(p, p.prepared != nullptr);
  const int64_t size = p.prepared ? weights_of_group<Form>(p, amx) : 0;
  const auto conv = amx ? &amx_conv_of_group<Form> : &conv_of_group<Form>;
  for (int64_t group = 0; group < p.groups; ++group) conv(kept_group_of(p, p.prepared, size, group));
}

template <class Form>
static int64_t weights_of(const WinogradArgs& p) {
  return Sizes<Form>(p).kept ? p.groups * weights_of_group<Form>(p, winograd_serves_amx<Form>(p, true)) : 0;
}

template <class Form>
static void prepare_of(const WinogradArgs& p, float* to) {
  const bool amx = winograd_serves_amx<Form>(p, true);
  const int64_t size = weights_of_group<Form>(p, amx);
  for (int64_t group = 0; group < p.groups; ++group) {
    const WinogradArgs own = kept_group_of(p, to, size, group);
#if defined(FASTDL_ISA_amx)
    if (amx) {
      amx_all_weights(own, AmxSizes<Form>(own), reinterpret_cast<Bf16*>(to + group * size));
      continue;
    }
#endif
    const Sizes<Form> z(own);
    transform_slivers(own, z, 0, z.slivers, to + group * size);
  }
}

}  // namespace fastdl::FASTDL_ISA
