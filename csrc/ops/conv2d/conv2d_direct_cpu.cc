// Direct convolution as an implicit product: out (channels x pixels) = weights (channels x K) * panel (K x pixels),
// K = input channels x taps. The panel holds what im2col would, but only for a few slivers of pixels at a time, packed
// into the level-2 cache straight from NCHW:
//
//                 sliver of kPixels     K is never split, so a tile of the output stays in registers from its
//               k=0 [............]      bias to its activation.
//   weights     k=1 [............]
//   [k][rows] x      ...                Slivers run through rows and images alike: no lanes are lost at row ends.
//
// A chunk of work owns its slivers and a range of output channels, and packs its pixels itself: what another core has
// packed comes from its caches more slowly than from a second packing.
#include "cpu/gemm-inl.h"
#include "ops/conv2d/conv2d_shuffle-inl.h"
#include "ops/conv2d/conv2d_targets-inl.h"
#include "ops/conv2d/conv2d_view-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kPanelBytes = 224 << 10;  // of one chunk's panel, in the level-2 cache beside the weights
constexpr int kMaxSlivers = 16;
constexpr int64_t kManyWeights = 128 << 10;  // bytes that come slowly from the core that packed them
constexpr double kChunkFlops = 1e6;          // below that a chunk is not worth a thread
// So many panels of weights read slivers where they lie. More of them pay for a copy, and so do some already where
// rows, a plane apart, are in the same sets of the caches. (Below AVX-512 11 panels in place took 1.2 times as long.)
constexpr int64_t kSamePlacePanels = 4;
#if defined(FASTDL_ISA_avx512)
constexpr int64_t kPlacePanels = kDirectPanels;
#else
constexpr int64_t kPlacePanels = kSamePlacePanels;
#endif

template <class T>
constexpr int kPixels = kTallTile.vecs * kLanes<T>;

// Of a sliver in the panel: one row more than K, so that rows of several slivers, which are copied together, do not
// fall into the same set of the level-1 cache.
template <class T>
int64_t sliver_size(const View& v) {
  return (v.taps_and_channels() + 1) * kPixels<T>;
}

// Balanced panels of output channels: sizes differ by at most one, so that no tile runs on padding.
struct Panels {
  int64_t channels, count;
  explicit Panels(int64_t c) : channels(c), count((c + kTallTile.rows - 1) / kTallTile.rows) {}
  int64_t begin(int64_t i) const { return channels * i / count; }
  int rows(int64_t i) const { return static_cast<int>(begin(i + 1) - begin(i)); }
};

// packed[panel][k][rows]; k = channel * num_taps + tap, and the bias last.
template <class T>
void pack_weights(const View& v, int64_t group, const Panels& panels, int64_t i, T* packed) {
  const int64_t m0 = panels.begin(i), rows = panels.rows(i), taps = v.num_taps;
  const T* w = static_cast<const T*>(v.weight) + group * v.weight_group + m0 * v.weight_m;
  bool in_order = true;
  for (int64_t t = 0; t < taps; ++t) in_order &= v.taps[t].weight == t;
  if (in_order && v.weight_k == taps) {
    pack_along(packed, static_cast<int>(rows), w, v.weight_m, static_cast<int>(rows), v.k_channels * taps);
  } else if (in_order && taps == 1 && v.weight_m == 1) {
    pack_across(packed, static_cast<int>(rows), w, v.weight_k, static_cast<int>(rows), v.k_channels);
  } else if (in_order && taps > 1) {
    for (int64_t k = 0; k < v.k_channels; ++k)
      pack_columns(w + k * v.weight_k, v.weight_m, taps, rows, packed + k * taps * rows, rows);
  } else {
    T* to = packed;
    for (int64_t k = 0; k < v.k_channels; ++k)
      for (int64_t t = 0; t < taps; ++t)
        for (int64_t m = 0; m < rows; ++m) *to++ = w[m * v.weight_m + k * v.weight_k + v.taps[t].weight];
  }
  T* last = packed + v.taps_and_channels() * rows;
  for (int64_t m = 0; m < rows; ++m)
    last[m] = v.bias ? static_cast<const T*>(v.bias)[group * v.m_channels + m0 + m] : T{0};
}

// MR channels x NV vectors of pixels, from `bias` on (MR numbers) to the residual and the limits of `now`. Rows of C
// and of the residual (null: none) lie ldc apart, those of pixels ld. next: as for the micro-kernel, a row a step.
template <class T, int MR, int NV, bool kNext>
__attribute__((noinline)) void sum_tile(int64_t k, const T* weights, const T* panel, int64_t ld, const T* next,
                                        const T* bias, const T* residual, Activation now, T* c, int64_t ldc) {
  constexpr int L = kLanes<T>;
  Vec<T> tile[MR][NV];
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) tile[i][j] = broadcast<T>(bias[i]);
  add_product<T, MR, NV, kNext>(tile, k, weights, panel, ld, c, ldc, next, ld);
  if (residual) {
#pragma GCC unroll 32
    for (int i = 0; i < MR; ++i, residual += ldc) {
      in_register(residual);
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) tile[i][j] += load<T>(residual + j * L);
    }
  }
#pragma GCC unroll 32
  for (int i = 0; i < MR; ++i, c += ldc) {
    in_register(c);
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) store<T>(c + j * L, limit<T>(now, tile[i][j]));
  }
}

template <class T>
using SumTile = void (*)(int64_t, const T*, const T*, int64_t, const T*, const T*, const T*, Activation, T*, int64_t);
template <class T, int NV, bool kNext, int... I>
SumTile<T> sum_tile_of(int rows, std::integer_sequence<int, I...>) {
  static constexpr SumTile<T> kInstances[] = {&sum_tile<T, I + 1, NV, kNext>...};
  return kInstances[rows - 1];
}
template <class T>
SumTile<T> sum_tile_for(int rows, int vecs, bool next) {
  using Rows = std::make_integer_sequence<int, kTallTile.rows>;
  static_assert(kTallTile.vecs == 2, "the cases below");
  if (next) return sum_tile_of<T, 2, true>(rows, Rows{});  // of slivers in place, which are whole
  return vecs == 1 ? sum_tile_of<T, 1, false>(rows, Rows{}) : sum_tile_of<T, 2, false>(rows, Rows{});
}

// A sliver of pixels in the panel: K rows of kPixels lanes. Where one tap reads pixels that follow each other, the rows
// may be those of the source itself, a plane apart.
template <class T>
struct Sliver {
  Target targets[kPixels<T>];
  int count, lanes;
  const T* in_place;  // or null
};

// Pixels that lie as panels want them, a plane apart: a row of all slivers at a time, since single lines of planes come
// slowly.
template <class T>
void copy_rows(const T* from, int64_t plane, int64_t rows, int64_t slivers, int64_t size, T* panels) {
  constexpr int64_t kAhead = 4;
  for (; rows > 0; --rows, from += plane, panels += kPixels<T>) {
    for (int64_t s = 0; s < slivers; ++s) {
      const T* pixels = from + s * kPixels<T>;
      __builtin_prefetch(pixels + kAhead * plane + kPixels<T> - 1);
      for (int i = 0; i < kPixels<T>; i += kLanes<T>) store<T>(panels + s * size + i, load<T>(pixels + i));
    }
  }
}

template <class T>
void pack_sliver(const View& v, int64_t group, int64_t first, T* panel, Sliver<T>& sliver) {
  const int64_t n = v.pixels() - first;
  Run runs[kPixels<T>];
  sliver.lanes = static_cast<int>(n < kPixels<T> ? n : kPixels<T>);
  const int count = cut_runs(v, first, sliver.lanes, runs);
  sliver.in_place = nullptr;
  if (v.num_taps == 1 && v.step_x == 1 && count == 1 && sliver.lanes == kPixels<T>) {
    const Reach reach = reach_of(v, runs[0], v.taps[0], 1);
    if (reach.hi - reach.lo == sliver.lanes)
      sliver.in_place = static_cast<const T*>(v.src) + group * v.k_channels * v.src_h * v.src_w + reach.offset;
  }
  if (!sliver.in_place) pack_runs(v, group, runs, count, panel, kPixels<T>, 0, v.k_channels);
  sliver.count = merge_targets(v, runs, count, sliver.targets);
}

// `count` slivers from `first` on. Those that could be read in place are copied where that pays.
template <class T>
void pack_slivers(const View& v, int64_t group, int64_t first, int64_t count, bool copy, T* panels,
                  Sliver<T>* slivers) {
  const int64_t size = sliver_size<T>(v);
  for (int64_t s = 0; s < count; ++s) pack_sliver(v, group, (first + s) * kPixels<T>, panels + s * size, slivers[s]);
  for (int64_t s = 0; copy && s < count;) {
    int64_t end = s + 1;
    const T* from = slivers[s].in_place;
    while (from && end < count && slivers[end].in_place == from + (end - s) * kPixels<T>) ++end;
    if (from) copy_rows(from, v.src_h * v.src_w, v.k_channels, end - s, size, panels + s * size);
    for (; s < end; ++s) slivers[s].in_place = nullptr;
  }
}

// One panel of channels times one sliver. A sliver that is one stretch of the output is written where it belongs.
// next: what is fetched meanwhile of a sliver that is read in place, or null.
template <class T>
void make_tile(const View& v, const T* weights, int rows, const T* panel, const Sliver<T>& sliver, const T* next,
               T* out) {
  constexpr int width = kPixels<T>;
  const int64_t steps = v.taps_and_channels();
  const T* const bias = weights + steps * rows;
  const int vecs = sliver.lanes <= kLanes<T> ? 1 : kTallTile.vecs;
  const SumTile<T> kernel = sum_tile_for<T>(rows, vecs, next != nullptr);
  const T* const pixels = sliver.in_place ? sliver.in_place : panel;
  const int64_t ld = sliver.in_place ? v.src_h * v.src_w : width;
  if (sliver.count > 1 || sliver.lanes < width || v.out_x != 1) {
    alignas(64) T tile[kTallTile.rows * width];
    kernel(steps, weights, pixels, ld, next, bias, nullptr, Activation::kNone, tile, width);
    return scatter(v, tile, width, rows, sliver.targets, sliver.count, out);
  }
  T* const c = out + sliver.targets[0].offset;
  const T* const residual = v.residual_at(c);
  if (residual)
    for (int m = 0; m < rows; ++m) __builtin_prefetch(residual + m * v.out_plane + width - 1);
  const Activation now = in_registers(v.activation);
  kernel(steps, weights, pixels, ld, next, bias, residual, now, c, v.out_plane);
  if (now != v.activation)
    for (int m = 0; m < rows; ++m) activate_row(v.activation, c + m * v.out_plane, width);
}

// packed[group][panel]
template <class T>
void pack_all_weights(const View& v, const Panels& panels, T* packed) {
  const int64_t steps = v.taps_and_channels() + 1;
  parallel_for(v.groups * panels.count, 1 + kPackGrain / (steps * kTallTile.rows), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / panels.count, panel = i % panels.count;
      pack_weights(v, group, panels, panel, packed + (group * v.m_channels + panels.begin(panel)) * steps);
    }
  });
}

// How the work is cut: a chunk is a block of slivers, or all blocks in turn, and a part of the channels.
template <class T>
struct Cut {
  Panels panels;
  int64_t steps, weights_size;                     // numbers of a row of packed weights, and of a group's
  int64_t sliver, slivers, most_in_block, blocks;  // numbers of one in a panel, and how many
  bool own;                                        // each chunk packs the weights of its channels itself
  int64_t turns, places, parts;                    // blocks of a chunk, and chunks of a part

  explicit Cut(const View& v)
      : panels(v.m_channels),
        steps(v.taps_and_channels() + 1),
        weights_size(v.m_channels * steps),
        sliver(sliver_size<T>(v)),
        slivers(ceil_div(v.pixels(), int64_t{kPixels<T>})) {
    const int64_t threads = get_num_threads(), fit = kPanelBytes / (sliver * static_cast<int64_t>(sizeof(T)));
    most_in_block = fit < 1 ? 1 : fit > kMaxSlivers ? kMaxSlivers : fit;
    blocks = ceil_div(slivers, most_in_block);
    // The same for every thread, and for every layer with so many pixels: a thread reads what it wrote before.
    const int64_t rounded = ceil_div(blocks, threads) * threads;
    if (blocks > 1 && v.groups == 1 && rounded <= slivers) blocks = rounded;

    // Weights are packed once for all blocks. But a part of the channels packs its own where there is one block, in the
    // level-1 cache, and where they are many and pixels few: what another core has packed would come slowly.
    const int64_t most = panels.count / 2;
    const bool many = weights_size * static_cast<int64_t>(sizeof(T)) >= kManyWeights && v.pixels() <= v.m_channels;
    own = !v.prepared && (blocks == 1 || (many && threads > 1 && most >= threads));
    turns = own ? blocks : 1, places = blocks / turns;
    parts = turns > 1 ? threads : channel_parts(v.groups * places, most);
  }
  int64_t first_sliver(int64_t block) const { return slivers * block / blocks; }
  int64_t first_panel(int64_t part) const { return panels.count * part / parts; }
  // One panel, or all of a part where several blocks use them.
  int64_t own_weights() const {
    const int64_t rows = turns > 1 ? ceil_div(panels.channels, parts) + kTallTile.rows : kTallTile.rows;
    return own ? rows * steps + kLanes<T> : 1;
  }
  double flops_of_chunk() const {
    return 2.0 * static_cast<double>(most_in_block * turns * kPixels<T> * weights_size / parts);
  }
};

// Whether slivers that could be read in place are copied.
template <class T>
bool copies(const View& v, const Panels& panels) {
  const bool same = v.src_h * v.src_w * static_cast<int64_t>(sizeof(T)) % kSamePlace == 0;
  return panels.count > (same ? kSamePlacePanels : kPlacePanels);
}

// One chunk. `weights` are those of all groups; where the cut says so, it packs its own into `packed` instead.
//
// Panels of weights, or packed slivers, stay in the level-1 cache while the others pass by. Slivers that are read in
// place want to be the ones that stay: their rows, a plane apart, come slowly, and those of the next one are fetched
// while the last panels are multiplied.
template <class T>
void make_part(const View& v, const Cut<T>& cut, int64_t group, int64_t place, int64_t part, const T* weights,
               T* packed, T* pixels) {
  constexpr int64_t kLines = ceil_div(kPixels<T>, kLine<T>);  // of a row of a sliver
  const Panels& panels = cut.panels;
  const int64_t j0 = cut.first_panel(part), j1 = cut.first_panel(part + 1);
  const bool all = cut.turns > 1;  // own panels lie one behind the other, or one after another in the same place
  const auto own = [&](int64_t j) { return packed + (all ? panels.begin(j) - panels.begin(j0) : 0) * cut.steps; };
  Sliver<T> slivers[kMaxSlivers];
  const auto make = [&](int64_t j, int64_t s, const T* next) {
    const T* w = cut.own ? own(j) : weights + group * cut.weights_size + panels.begin(j) * cut.steps;
    T* out = static_cast<T*>(v.out) + (group * v.m_channels + panels.begin(j)) * v.out_plane;
    make_tile(v, w, panels.rows(j), pixels + s * cut.sliver, slivers[s], next, out);
  };
  for (int64_t block = place; block < place + cut.turns; ++block) {
    const int64_t first = cut.first_sliver(block), count = cut.first_sliver(block + 1) - first;
    pack_slivers(v, group, first, count, copies<T>(v, panels), pixels, slivers);
    const bool stay = slivers[0].in_place && (!cut.own || all);
    for (int64_t j = j0; j < j1; ++j) {
      if (cut.own && block == place) pack_weights(v, group, panels, j, own(j));
      for (int64_t s = 0; !stay && s < count; ++s) make(j, s, nullptr);
    }
    for (int64_t s = 0; stay && s < count; ++s) {
      for (int64_t j = j0; j < j1; ++j) {
        const int64_t line = j - (j1 - kLines);
        const bool fetch = line >= 0 && slivers[s].in_place;
        make(j, s, fetch ? slivers[s].in_place + kPixels<T> + (line + 1) * kLine<T> - 1 : nullptr);
      }
    }
  }
}

template <class T>
void panels_of(const View& v) {
  const Cut<T> cut(v);
  const bool shared = !cut.own && !v.prepared;
  Scratch<T> packed(shared ? v.groups * cut.weights_size : 1);
  if (shared) pack_all_weights(v, cut.panels, packed.get());
  const T* weights = v.prepared ? static_cast<const T*>(v.prepared) : packed.get();

  const double flops = cut.flops_of_chunk();
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;
  parallel_for(v.groups * cut.places * cut.parts, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> pixels(cut.most_in_block * cut.sliver), own(cut.own_weights());
    for (int64_t i = begin; i < end; ++i)
      make_part<T>(v, cut, i / cut.parts / cut.places, i / cut.parts % cut.places, i % cut.parts, weights, own.get(),
                   pixels.get());
  });
}

}  // namespace

int64_t panel_weights(const View& v) {
  return v.groups * v.m_channels * (v.taps_and_channels() + 1);  // the bias with them
}

void prepare_panels(const View& v, void* to) {
  visit_float(v.dtype, [&](auto zero) { pack_all_weights(v, Panels(v.m_channels), static_cast<decltype(zero)*>(to)); });
}

void conv_panels(const View& v) {
  visit_float(v.dtype, [&](auto zero) { panels_of<decltype(zero)>(v); });
}

}  // namespace fastdl::FASTDL_ISA
