// The gradient of the input where kernels lie side by side (stride = kernel, no padding), and transposed convolution: a
// pixel makes a block of kernel_h x kernel_w pixels that no other one adds to. That is a product of matrices,
//
//   out[(m, r, s)][pixel] = sum over k of weight[k][(m, r, s)] * src[k][pixel]
//
// both of which lie as a product wants them. Only its rows have to be written elsewhere: those of one (m, r), the
// columns of a kernel row, are zipped to a row of the image.
//
//   units     some (m, r) whose rows fill a register tile; packed weights [unit][call of the micro-kernel][k][rows]
//   slivers   [k][kPixels] of pixels, which run through rows and images
//
// A chunk of work owns a block of slivers and all units; where blocks are few, a part of the units and all blocks in
// turn. It packs its slivers itself, and a part its weights: what another core has packed comes slowly, and costs that
// core more to pack again. A few units at a time stay in the level-2 cache with the slivers; one sliver stays in the
// level-1 cache for all of them.
#include "cpu/gemm-inl.h"
#include "ops/conv2d/conv2d_algorithm.h"
#include "ops/conv2d/conv2d_phases-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kUnitBytes = 96 << 10;  // of the units that pass over them together
constexpr int kMaxSlivers = 16;
constexpr double kChunkFlops = 1e6;    // below that a chunk is not worth a thread
constexpr int64_t kLeastChannels = 8;  // summed
constexpr int64_t kMaxColumns = 32;    // of a kernel: a line of pixels on the stack has so many for each
constexpr int64_t kPackSteps = 16;     // of k whose weights are packed together: they stay in the level-1 cache
constexpr int64_t kPlanesAhead = 4;    // that pixels are fetched ahead

template <class T>
constexpr int kPixels = kTallTile.vecs * kLanes<T>;

// Some (m, r): where it lies in the image of channel 0.
struct Line {
  int64_t offset, channel;
};

struct Plan {
  Conv2dGeometry g;
  View v;             // packing: an image is one row of pixels
  const Line* lines;  // of a group
  Split units;        // of these
  int64_t k() const { return v.k_channels; }
  int64_t rows() const { return units.total * g.kernel_w; }
  int64_t row(int64_t unit) const { return part_begin(units, unit) * g.kernel_w; }  // its first one
};

Plan plan_for(const Conv2dBwdInputArgs& p, int64_t tile_rows, const Tap* here, Line* lines) {
  const Conv2dGeometry& g = p.g;
  Plan plan{};
  plan.g = g;
  View& v = plan.v;
  v.batch = g.batch, v.groups = g.groups;
  v.m_channels = g.in_channels / g.groups, v.k_channels = g.out_channels / g.groups;
  v.src_h = v.rows = v.step_y = v.step_x = 1;
  v.src_w = v.cols = g.out_h * g.out_w;
  v.taps = here, v.num_taps = 1;
  v.src = p.grad;
  for (int64_t i = 0; i < v.m_channels * g.kernel_h; ++i)
    lines[i] = {(i / g.kernel_h * g.in_h + i % g.kernel_h) * g.in_w, i / g.kernel_h};
  plan.lines = lines;
  plan.units = split_evenly(v.m_channels * g.kernel_h, g.kernel_w < tile_rows ? tile_rows / g.kernel_w : 1);
  return plan;
}

// ---- products on vectors --------------------------------------------------------------------------------------------

// Of a packed sliver. They are apart by a line more than a power of two might be.
template <class T>
int64_t vector_sliver(const Plan& plan) {
  return (plan.k() + 1) * kPixels<T>;
}

// Steps [k0, k1) of units [first, last) of a group; packed: where those of the first one begin.
template <class T>
void pack_weights(const Plan& plan, const T* weight, int64_t first, int64_t last, int64_t k0, int64_t k1, T* packed) {
  const int64_t begin = plan.row(first);
  for (int64_t u = first; u < last; ++u) {
    for (int64_t row = plan.row(u); row < plan.row(u + 1); row += kTallTile.rows) {
      const int rows = static_cast<int>(min64(kTallTile.rows, plan.row(u + 1) - row));
      pack_across<T>(packed + (row - begin) * plan.k() + k0 * rows, rows, weight + k0 * plan.rows() + row, plan.rows(),
                     rows, k1 - k0);
    }
  }
}

// Steps [k0, k1) of slivers [first, first + count) of a group. Slivers of one image are read a line of all at a time,
// since single lines of planes come slowly.
template <class T>
void pack_pixels(const Plan& plan, int64_t group, int64_t first, int64_t count, int64_t k0, int64_t k1, T* panel) {
  constexpr int W = kPixels<T>;
  const View& v = plan.v;
  const int64_t plane = v.cols, size = vector_sliver<T>(plan);
  for (int64_t s = 0; s < count;) {
    const int64_t pixel = (first + s) * W, image = pixel / plane, at = pixel % plane;
    const int64_t whole = min64(count - s, (plane - at) / W);
    if (whole == 0) {
      Run runs[W];
      const int64_t n = v.pixels() - pixel;
      const int cut = cut_runs(v, pixel, n < W ? n : W, runs);
      pack_runs(v, group, runs, cut, panel + s * size + k0 * W, W, k0, k1);
      ++s;
      continue;
    }
    const T* from = static_cast<const T*>(v.src) + ((image * v.groups + group) * v.k_channels + k0) * plane + at;
    T* to = panel + s * size + k0 * W;
    for (int64_t k = k0; k < k1; ++k, from += plane, to += W) {
      for (int64_t i = 0; i < whole; ++i) {
        __builtin_prefetch(from + kPlanesAhead * plane + (i + 1) * W - 1);
        for (int j = 0; j < W; j += kLanes<T>) store<T>(to + i * size + j, load<T>(from + i * W + j));
      }
    }
    s += whole;
  }
}

// [group][unit]
template <class T>
void pack_all_weights(const Plan& plan, const T* weight, T* packed) {
  const int64_t k = plan.k(), size = plan.rows() * k, packs = (k + kPackSteps - 1) / kPackSteps;
  parallel_for(plan.v.groups * packs, 1 + kPackGrain / (kPackSteps * plan.rows()), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / packs, k0 = i % packs * kPackSteps;
      pack_weights(plan, weight + group * size, 0, plan.units.count, k0, min64(k0 + kPackSteps, k),
                   packed + group * size);
    }
  });
}

template <class Number>
struct OnVectors {
  using T = Number;
  using Packed = Number;
  static constexpr int kRows = kTallTile.rows;       // of a unit, unless a kernel row is longer
  static constexpr int64_t kPanelBytes = 256 << 10;  // of the slivers of a chunk
  static void begin() {}
  static void end() {}
  static int64_t place(const Plan& plan, int64_t unit) { return plan.row(unit) * plan.k(); }  // of a unit's weights
  static int64_t sliver(const Plan& plan) { return vector_sliver<T>(plan); }                  // numbers of one

  static void pack_all(const Plan& plan, const T* weight, T* packed) { pack_all_weights<T>(plan, weight, packed); }
  static void pack_units(const Plan& plan, const T* weight, int64_t first, int64_t last, T* packed) {
    for (int64_t k = 0; k < plan.k(); k += kPackSteps)
      pack_weights<T>(plan, weight, first, last, k, min64(k + kPackSteps, plan.k()), packed);
  }
  static void pack_slivers(const Plan& plan, int64_t group, int64_t first, int64_t count, T* panel) {
    pack_pixels<T>(plan, group, first, count, 0, plan.k(), panel);
  }
  // tile[rows][kPixels] = weights times a sliver.
  static void multiply(const Plan& plan, const T* w, int64_t rows, const T* panel, int lanes, T* tile) {
    constexpr int W = kPixels<T>;
    const int vecs = (lanes + kLanes<T> - 1) / kLanes<T>;
    for (int64_t row = 0; row < rows; row += kRows) {
      const int some = static_cast<int>(min64(kRows, rows - row));
      microkernel_for<T>(some, vecs).run(plan.k(), w, panel, W, tile + row * W, W, false, w + some * plan.k(), some);
      w += some * plan.k();
    }
  }
};

// ---- products on the tile unit --------------------------------------------------------------------------------------

#if defined(FASTDL_ISA_amx)
struct OnTiles {
  using T = float;
  using Packed = Bf16;
  static constexpr int kRows = kAmxSide;
  static constexpr int64_t kPanelBytes = 800 << 10;
  static void begin() { tile_begin(); }
  static void end() { tile_end(); }
  static int64_t place(const Plan& plan, int64_t unit) { return unit * sliver(plan); }
  static int64_t sliver(const Plan& plan) { return amx_steps(plan.k()) * kAmxStep; }

  static void pack_all(const Plan& plan, const float* weight, Bf16* packed) {
    const int64_t units = plan.units.count;
    parallel_for(plan.v.groups * units, 1 + kPackGrain / (kAmxSide * plan.k()), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        pack_units(plan, weight + i / units * plan.rows() * plan.k(), i % units, i % units + 1,
                   packed + place(plan, i));
    });
  }
  static void pack_units(const Plan& plan, const float* weight, int64_t first, int64_t last, Bf16* packed) {
    const Operand<float> w{weight, plan.rows(), false};
    for (int64_t u = first; u < last; ++u, packed += sliver(plan))
      amx_pack_a(packed, w, plan.row(u), plan.row(u + 1) - plan.row(u), 0, plan.k());
  }
  static void pack_slivers(const Plan& plan, int64_t group, int64_t first, int64_t count, Bf16* panel) {
    const View& v = plan.v;
    const int64_t plane = v.cols, k = plan.k();
    alignas(64) float rows[kAmxBlock];
    for (int64_t s = first; s < first + count; ++s, panel += sliver(plan)) {
      const int64_t pixel = s * kAmxSide, n = min64(v.pixels() - pixel, kAmxSide), image = pixel / plane;
      if (pixel % plane + n <= plane) {
        const float* const x = static_cast<const float*>(v.src) + (image * v.groups + group) * k * plane;
        amx_pack_b(panel, sliver(plan), Operand<float>{x, plane, false}, pixel % plane, n, 0, k);
        continue;
      }
      Run runs[kAmxSide];
      const int cut = cut_runs(v, pixel, n, runs);
      for (int64_t p = 0; p < k; p += kAmxSteps) {
        const int64_t some = min64(kAmxSteps, k - p);
        pack_runs(v, group, runs, cut, rows, kAmxSide, p, p + some);
        split_rows(panel + p / kAmxSteps * kAmxStep, rows, kAmxSide, n, some);
      }
    }
  }
  static void multiply(const Plan& plan, const Bf16* w, int64_t rows, const Bf16* panel, int lanes, float* tile) {
    const AmxProduct product{amx_steps(plan.k()), w, panel};
    AmxBeside nothing{};
    amx_block_for(rows, lanes)(product, {nullptr, 0, tile, 0}, nothing, tile);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < lanes; j += kLanes<float>)
        store<float>(tile + i * kAmxSide + j, result_of(product, tile, i, j));
  }
};
#endif

// ---- lines of the image ---------------------------------------------------------------------------------------------

// Where the pixels of a sliver go in the image of channel 0: stretches of its line of pixels, and the vectors of these.
template <class T>
struct Sliver {
  Stretch stretches[kPixels<T>];
  LinePiece pieces[kMaxColumns * kTallTile.vecs + 2 * kPixels<T>];
  int lanes, count, num_pieces;
  bool whole;  // all pieces are vectors
};
template <class T>
void find_sliver(const Plan& plan, int64_t first, Sliver<T>& sliver) {
  const Conv2dGeometry& g = plan.g;
  const int64_t pixel = first * kPixels<T>, n = plan.v.pixels() - pixel;
  sliver.lanes = static_cast<int>(n < kPixels<T> ? n : kPixels<T>), sliver.count = 0;
  int64_t image = pixel / (g.out_h * g.out_w), y = pixel / g.out_w % g.out_h, x = pixel % g.out_w;
  for (int64_t lane = 0; lane < sliver.lanes;) {
    const int64_t len = min64(sliver.lanes - lane, g.out_w - x);
    sliver.stretches[sliver.count++] = {(image * g.in_channels * g.in_h + y * g.kernel_h) * g.in_w + x * g.kernel_w,
                                        static_cast<int>(lane * g.kernel_w), static_cast<int>(len * g.kernel_w)};
    lane += len, x = 0;
    if (++y == g.out_h) y = 0, ++image;
  }
  sliver.num_pieces = cut_stretches<T>(sliver.stretches, sliver.count, sliver.pieces);
  sliver.whole = sliver.lanes % kLanes<T> == 0 && sliver.num_pieces == sliver.lanes / kLanes<T> * g.kernel_w;
}

// Lines of the image that a unit writes, fetched before its product.
template <class T>
FASTDL_INLINE void fetch_lines(const Line* lines, int64_t count, const Sliver<T>& sliver, T* out) {
  for (int64_t i = 0; i < count; ++i)
    for (int j = 0; j < sliver.count; ++j)
      for (int p = 0; p < sliver.stretches[j].len; p += static_cast<int>(kLine<T>))
        __builtin_prefetch(out + lines[i].offset + sliver.stretches[j].offset + p, 1);
}

// Two columns of a line zipped into whole vectors.
template <class T>
FASTDL_INLINE void zip_columns(const T* tile, T bias, int vecs, const LinePiece* pieces, T* out) {
  constexpr int W = kPixels<T>, L = kLanes<T>;
  const Vec<T> b = broadcast<T>(bias);
#pragma GCC unroll 2
  for (int i = 0; i < vecs; ++i) {
    const Vec<T> even = load<T>(tile + i * L) + b, odd = load<T>(tile + W + i * L) + b;
    store<T>(out + pieces[2 * i].offset, zip_low<T>(even, odd));
    store<T>(out + pieces[2 * i + 1].offset, zip_high<T>(even, odd));
  }
}

// The columns of a line in turn.
template <class T>
FASTDL_INLINE void write_line(const T* tile, int64_t columns, T bias, int vecs, const Sliver<T>& sliver, T* out) {
  constexpr int L = kLanes<T>;
  alignas(64) T line[kMaxColumns * kPixels<T>];
  interleave<T>(tile, kPixels<T>, columns, bias, vecs, line);
  for (int j = 0; j < sliver.num_pieces; ++j) {
    const LinePiece piece = sliver.pieces[j];
    store_between<T>(out + piece.offset, load<T>(line + piece.vec * L), piece.from, piece.to);
  }
}

// One unit of one sliver, with the unit's weights. out: channel 0 of the group.
template <class Product, class T = typename Product::T>
void make_unit(const Plan& plan, int64_t unit, const typename Product::Packed* w, const T* bias,
               const typename Product::Packed* panel, const Sliver<T>& sliver, T* out) {
  constexpr int W = kPixels<T>;
  const int64_t first = part_begin(plan.units, unit), count = part_size(plan.units, unit), columns = plan.g.kernel_w;
  const Line* const lines = plan.lines + first;
  fetch_lines(lines, count, sliver, out);
  alignas(64) T tile[(kMaxColumns + kTallTile.rows) * W];
  Product::multiply(plan, w, count * columns, panel, sliver.lanes, tile);
  const int vecs = (sliver.lanes + kLanes<T> - 1) / kLanes<T>;
  const T* from = tile;
  for (int64_t i = 0; i < count; ++i, from += columns * W) {
    const T b = bias ? bias[lines[i].channel] : T{0};
    if (columns == 2 && sliver.whole)
      zip_columns<T>(from, b, vecs, sliver.pieces, out + lines[i].offset);
    else
      write_line<T>(from, columns, b, vecs, sliver, out + lines[i].offset);
  }
}

// Slivers [begin, begin + count) and units [first, last), whose weights begin at `weights`. bias and out: of the group.
template <class Product, class T = typename Product::T>
void make_block(const Plan& plan, int64_t group, int64_t begin, int64_t count, int64_t first, int64_t last,
                const typename Product::Packed* weights, const T* bias, typename Product::Packed* panel,
                Sliver<T>* meta, T* out) {
  const int64_t size = Product::sliver(plan);
  Product::pack_slivers(plan, group, begin, count, panel);
  for (int64_t s = 0; s < count; ++s) find_sliver(plan, begin + s, meta[s]);
  const int64_t unit_bytes = Product::place(plan, plan.units.count) / plan.units.count * int64_t{sizeof(*panel)};
  const int64_t together = unit_bytes < kUnitBytes ? kUnitBytes / unit_bytes : 1;
  for (int64_t u = first; u < last; u += together)
    for (int64_t s = 0; s < count; ++s)
      for (int64_t j = u; j < min64(u + together, last); ++j)
        make_unit<Product>(plan, j, weights + Product::place(plan, j) - Product::place(plan, first), bias,
                           panel + s * size, meta[s], out);
}

template <class Product, class T = typename Product::T>
void blocks_of(const Conv2dBwdInputArgs& p, const T* bias) {
  using Packed = typename Product::Packed;
  const Conv2dGeometry& g = p.g;
  const Tap here{0, 0, 0};
  Scratch<Line> lines(g.in_channels / g.groups * g.kernel_h);
  const Plan plan = plan_for(p, Product::kRows, &here, lines);
  const int64_t weights_size = plan.rows() * plan.k(), all_weights = Product::place(plan, plan.units.count);
  const int64_t sliver_size = Product::sliver(plan),
                fit = Product::kPanelBytes / (sliver_size * int64_t{sizeof(Packed)});
  const int64_t slivers = ceil_div(plan.v.pixels(), kPixels<T>);
  const Split blocks = split_evenly(slivers, fit < 1 ? 1 : min64(fit, kMaxSlivers));
  const int64_t threads = get_num_threads(), most = min64(threads, plan.units.count / 2);
  const int64_t parts = g.groups * blocks.count >= kThreadChunks * threads || most < 1 ? 1 : most;
  const int64_t turns = parts > 1 ? blocks.count : 1, places = blocks.count / turns;
  const T* const weight = static_cast<const T*>(p.weight);
  Scratch<Packed> packed(parts > 1 ? 1 : g.groups * all_weights);
  if (parts == 1) Product::pack_all(plan, weight, packed.get());

  const double flops =
      2.0 * static_cast<double>(turns * (blocks.base + 1) * kPixels<T> * weights_size) / static_cast<double>(parts);
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;
  parallel_for(g.groups * places * parts, grain, [&](int64_t begin, int64_t end) {
    const int64_t most_units = parts > 1 ? plan.units.count / parts + 1 : 0;
    Scratch<Packed> panel((blocks.base + 1) * sliver_size),
        own(most_units * (all_weights / plan.units.count + plan.k() * g.kernel_w) + 1);
    Scratch<Sliver<T>> meta(kMaxSlivers);
    Product::begin();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % parts, place = i / parts % places, group = i / parts / places;
      const int64_t first = plan.units.count * part / parts, last = plan.units.count * (part + 1) / parts;
      if (parts > 1) Product::pack_units(plan, weight + group * weights_size, first, last, own.get());
      const Packed* const weights = parts > 1 ? own.get() : packed + group * all_weights;
      const int64_t channel = group * plan.v.m_channels;
      T* const out = static_cast<T*>(p.grad_x) + channel * g.in_h * g.in_w;
      for (int64_t block = place; block < place + turns; ++block)
        make_block<Product>(plan, group, part_begin(blocks, block), part_size(blocks, block), first, last, weights,
                            bias ? bias + channel : nullptr, panel.get(), meta.get(), out);
    }
    Product::end();
  });
}

#if defined(FASTDL_ISA_amx)
bool tiles_serve(const Conv2dGeometry& g) {
  if (!amx_in_use()) return false;
  constexpr double kProductsACycle = 26;  // of vectors
  const int64_t k = g.out_channels / g.groups, rows = g.in_channels / g.groups * g.kernel_h * g.kernel_w;
  const int64_t pixels = g.batch * g.out_h * g.out_w;
  return amx_cycles_of(k, 1, rows, pixels, false) < static_cast<double>(rows * k * pixels) / kProductsACycle;
}
#endif

}  // namespace

bool blocks_serve(const Conv2dGeometry& g) {
  return g.kernel_h * g.kernel_w > 1 && g.kernel_h == g.stride_h && g.kernel_w == g.stride_w &&
         g.kernel_w <= kMaxColumns && g.dilation_h == 1 && g.dilation_w == 1 && g.pad_top == 0 && g.pad_left == 0 &&
         g.in_h == g.out_h * g.kernel_h && g.in_w == g.out_w * g.kernel_w &&
         g.out_channels / g.groups >= kLeastChannels;
}

void make_blocks(const Conv2dBwdInputArgs& p, const void* bias) {
#if defined(FASTDL_ISA_amx)
  if (p.dtype == DType::kFloat32 && tiles_serve(p.g)) {
    return blocks_of<OnTiles>(p, static_cast<const float*>(bias));
  }
#endif
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    blocks_of<OnVectors<T>>(p, static_cast<const T*>(bias));
  });
}

}  // namespace fastdl::FASTDL_ISA
