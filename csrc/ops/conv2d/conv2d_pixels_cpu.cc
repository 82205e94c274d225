// Direct convolution with lanes = output channels: a tile of kPixels neighbouring pixels x kVecs vectors of channels
// stays in registers while its sum runs,
//
//   for each input channel and tap:  load kVecs vectors of weights, multiply each by the pixels that the tap meets
//
// so pixels are broadcast from where they lie, with no panel of them to pack, and a row of any width loses nothing.
// They lie in the source itself where every tap stays inside it and pixels follow each other, else in padded copies of
// a band of rows (conv2d_planes-inl.h). The price is that a finished tile has to be transposed on its way to NCHW.
//
//   weights  [group][sliver of kVecs vectors][input channel][tap][lanes]     packed once for all
//
// A chunk of work owns a band of rows, or of a long row, of one group of one image, and a range of slivers.
#include "cpu/microkernel-inl.h"
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_planes-inl.h"
#include "ops/conv2d/conv2d_shuffle-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kPixels = kTallTile.rows, kVecs = kTallTile.vecs;
constexpr int64_t kCopyBytes = 128 << 10;  // of a band, in the level-2 cache beside the weights of a sliver
constexpr int64_t kChain = 512;            // products added up in registers: short chains are exact
constexpr int kAhead = 2 * kPixels;        // pixels that are fetched ahead: planes lie too far apart for the hardware
constexpr int64_t kBandTiles = 64;         // of a band that is read in place: as many share the weights in the cache
constexpr int64_t kChunks = 32;            // wanted of a large convolution, whatever the number of threads
constexpr double kChunkFlops = 1e6;        // below that a chunk is not worth a thread

// Where the pixels of a tile lie: pixel (y, x) meets tap t of channel k at k * plane + offsets[t] + y * row + x.
struct Places {
  const int64_t* offsets;
  int64_t taps, plane, row;
};

// tile[pixel][NV vectors] (+)= the sum over `channels`, for ROWS rows of MR pixels.
template <class T, int ROWS, int MR, int NV>
__attribute__((noinline)) void multiply(const Places& places, int64_t channels, const T* x, const T* weights, T* tile,
                                        bool accumulate) {
  constexpr int L = kLanes<T>, P = ROWS * MR;
  Vec<T> sums[P][NV];
#pragma GCC unroll 16
  for (int i = 0; i < P; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sums[i][j] = Vec<T>{};
  for (; channels > 0; --channels, x += places.plane) {
    for (int64_t t = 0; t < places.taps; ++t, weights += NV * L) {
      const T* from = x + places.offsets[t];
      __builtin_prefetch(from + kAhead);
      Vec<T> w[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) w[j] = load<T>(weights + j * L);
#pragma GCC unroll 16
      for (int i = 0; i < P; ++i)
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sums[i][j] += from[i / MR * places.row + i % MR] * w[j];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < P; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      T* to = tile + (i * NV + j) * L;
      store<T>(to, accumulate ? load<T>(to) + sums[i][j] : sums[i][j]);
    }
  }
}

template <class T>
using Multiply = void (*)(const Places&, int64_t, const T*, const T*, T*, bool);
template <class T, int ROWS, int NV, int... I>
Multiply<T> multiply_of(int pixels, std::integer_sequence<int, I...>) {
  static constexpr Multiply<T> kInstances[] = {&multiply<T, ROWS, I + 1, NV>...};
  return kInstances[pixels - 1];
}
template <class T>
Multiply<T> multiply_for(int rows, int pixels, int64_t vecs) {
  using One = std::make_integer_sequence<int, kPixels>;
  using Two = std::make_integer_sequence<int, kPixels / 2>;
  static_assert(kVecs == 2, "the cases below");
  if (rows == 1) return vecs == 1 ? multiply_of<T, 1, 1>(pixels, One{}) : multiply_of<T, 1, 2>(pixels, One{});
  return vecs == 1 ? multiply_of<T, 2, 1>(pixels, Two{}) : multiply_of<T, 2, 2>(pixels, Two{});
}

struct Plan {
  View v;
  bool in_place;
  Bands bands;  // of rows; copies only where not in_place
  Places places;
  int64_t rows;           // of a tile
  int64_t pieces, spans;  // of a row: tiles; groups of tiles that are a band's own
  int64_t vecs, slivers, steps;
  int64_t parts;  // of the slivers

  int64_t weights_of_group() const { return vecs * steps; }  // in vectors
};

// Whether every tap of every pixel lies inside the source, and pixels that follow each other are read so.
bool reads_in_place(const View& v, const Bands& b) {
  return v.step_x == 1 && b.first_y >= 0 && b.first_x >= 0 && b.last_y + (v.rows - 1) * v.step_y < v.src_h &&
         b.last_x + v.cols - 1 < v.src_w;
}

template <class T>
Plan plan_of(const View& v, int64_t* offsets) {
  Plan p{};
  p.v = v;
  p.bands = bands_of(v, 1, sizeof(T), kCopyBytes);
  p.in_place = reads_in_place(v, p.bands);
  // Rows of half a tile go two by two.
  p.rows = v.cols <= kPixels / 2 && v.rows > 1 ? 2 : 1;
  const int64_t widest = kPixels / p.rows;
  p.pieces = (v.cols + widest - 1) / widest;
  p.spans = p.in_place ? (p.pieces + kBandTiles - 1) / kBandTiles : 1;
  if (p.in_place) {
    const int64_t tiles = (p.pieces + p.spans - 1) / p.spans;
    p.bands.rows = tiles >= kBandTiles ? 1 : p.rows * (kBandTiles / tiles);
    p.bands.count = (v.rows + p.bands.rows - 1) / p.bands.rows;
    p.places = {offsets, v.num_taps, v.src_h * v.src_w, v.step_y * v.src_w};
    for (int64_t t = 0; t < v.num_taps; ++t) offsets[t] = v.taps[t].dy * v.src_w + v.taps[t].dx;
  } else {
    p.places = {offsets, v.num_taps, p.bands.plane, p.bands.row};
    for (int64_t t = 0; t < v.num_taps; ++t) offsets[t] = tap_offset(v, p.bands, t);
  }
  p.steps = v.taps_and_channels();
  p.vecs = (v.m_channels + kLanes<T> - 1) / kLanes<T>, p.slivers = (p.vecs + kVecs - 1) / kVecs;
  // Too few bands to share out: the channels are split as well, and each part copies for itself.
  const int64_t bands = v.batch * v.groups * p.bands.count * p.spans;
  p.parts = (kChunks + bands - 1) / bands;
  const int64_t most = p.in_place ? p.slivers : (p.slivers + 1) / 2;
  if (p.parts > most) p.parts = most;
  return p;
}

int64_t vecs_of(const Plan& p, int64_t sliver) {
  return p.vecs - sliver * kVecs < kVecs ? p.vecs - sliver * kVecs : kVecs;
}

// packed[channel][tap][lanes of the sliver]
template <class T>
void pack_weights(const Plan& p, int64_t group, int64_t sliver, T* packed) {
  constexpr int L = kLanes<T>;
  const View& v = p.v;
  const int64_t vecs = vecs_of(p, sliver), ld = vecs * L, taps = v.num_taps;
  bool in_order = true;
  for (int64_t t = 0; t < taps; ++t) in_order &= v.taps[t].weight == t;
  const bool joined = in_order && v.weight_k == taps;  // channels follow each other as well
  for (int64_t j = 0; j < vecs; ++j, packed += L) {
    const int64_t m0 = (sliver * kVecs + j) * L, height = v.m_channels - m0 < L ? v.m_channels - m0 : L;
    const T* w = static_cast<const T*>(v.weight) + group * v.weight_group + m0 * v.weight_m;
    if (joined) {
      pack_lanes(w, v.weight_m, p.steps, height, packed, ld);
    } else if (in_order && taps > 1) {
      for (int64_t k = 0; k < v.k_channels; ++k)
        pack_lanes(w + k * v.weight_k, v.weight_m, taps, height, packed + k * taps * ld, ld);
    } else {
      for (int64_t i = 0; i < p.steps; ++i)
        for (int64_t m = 0; m < L; ++m)
          packed[i * ld + m] = m < height ? w[m * v.weight_m + i / taps * v.weight_k + v.taps[i % taps].weight] : T{0};
    }
  }
}

// Pixels [0, n) of one row of a tile, `channels` of them in a vector each, to their planes.
template <class T>
void store_pixels(const View& v, const T* tile, int64_t ld, int n, int channels, Vec<T> bias, T* out) {
  constexpr int L = kLanes<T>;
  for (int first = 0; first < n; first += L) {
    const int pixels = n - first < L ? n - first : L;
    Vec<T> r[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      r[i] = Vec<T>{};
      if (i < pixels) r[i] = activate<T>(v.activation, load<T>(tile + (first + i) * ld) + bias);
    }
    transpose<T>(r);
    T* to = out + first * v.out_x;
    if (v.out_x == 1) {
#pragma GCC unroll 16
      for (int c = 0; c < L; ++c)
        if (c < channels) store_n<T>(to + c * v.out_plane, r[c], pixels);
    } else {
      for (int c = 0; c < channels; ++c)
        for (int i = 0; i < pixels; ++i) to[c * v.out_plane + i * v.out_x] = r[c][i];
    }
  }
}

// One tile: `rows` rows of `pixels` from x on, for one sliver; out points to its first pixel and channel.
template <class T>
void make_tile(const Plan& p, int64_t sliver, int rows, int pixels, const T* x, const T* weights, const T* bias,
               T* out) {
  constexpr int L = kLanes<T>;
  const View& v = p.v;
  const int64_t vecs = vecs_of(p, sliver), width = vecs * L, taps = v.num_taps;
  const int64_t most = kChain / taps > 0 ? kChain / taps : 1;
  const Multiply<T> multiply_tile = multiply_for<T>(rows, pixels, vecs);
  alignas(64) T tile[kPixels * kVecs * L];
  for (int64_t m = sliver * kVecs * L; m < v.m_channels && m < (sliver + 1) * kVecs * L; ++m)
    __builtin_prefetch(out + m * v.out_plane + pixels - 1, 1);
  for (int64_t k = 0; k < v.k_channels; k += most)
    multiply_tile(p.places, v.k_channels - k < most ? v.k_channels - k : most, x + k * p.places.plane,
                  weights + k * taps * width, tile, k > 0);
  for (int64_t j = 0; j < vecs; ++j) {
    const int64_t m0 = (sliver * kVecs + j) * L;
    const int channels = static_cast<int>(v.m_channels - m0 < L ? v.m_channels - m0 : L);
    const Vec<T> add = bias ? load_n<T>(bias + m0, channels) : Vec<T>{};
    for (int r = 0; r < rows; ++r)
      store_pixels(v, tile + r * pixels * width + j * L, width, pixels, channels, add,
                   out + m0 * v.out_plane + r * v.out_y);
  }
}

// Slivers [first, last) of a band of rows and a span of pieces.
template <class T>
void make_band(const Plan& p, int64_t image, int64_t group, int64_t band, int64_t span, int64_t first, int64_t last,
               const T* weights, T* copies) {
  const View& v = p.v;
  const int64_t row0 = band * p.bands.rows;
  const int64_t row1 = row0 + p.bands.rows < v.rows ? row0 + p.bands.rows : v.rows;
  const T* x = copies;
  if (p.in_place) {
    x = static_cast<const T*>(v.src) + (image * v.groups + group) * v.k_channels * p.places.plane + row0 * p.places.row;
  } else {
    for (int64_t k = 0; k < v.k_channels; ++k)
      copy_plane(v, p.bands, image, group * v.k_channels + k, row0, row1 - row0, copies + k * p.bands.plane);
  }
  const int64_t channel = group * v.m_channels;
  const T* bias = v.bias ? static_cast<const T*>(v.bias) + channel : nullptr;
  T* out = static_cast<T*>(v.out) + (image * v.groups * v.m_channels + channel) * v.out_plane + v.out_start;
  for (int64_t sliver = first; sliver < last; ++sliver) {
    const T* w = weights + sliver * kVecs * kLanes<T> * p.steps;
    for (int64_t y = row0; y < row1; y += p.rows) {
      const int rows = static_cast<int>(row1 - y < p.rows ? row1 - y : p.rows);
      for (int64_t i = p.pieces * span / p.spans; i < p.pieces * (span + 1) / p.spans; ++i) {
        const int64_t x0 = v.cols * i / p.pieces, x1 = v.cols * (i + 1) / p.pieces;
        make_tile(p, sliver, rows, static_cast<int>(x1 - x0), x + (y - row0) * p.places.row + x0, w, bias,
                  out + y * v.out_y + x0 * v.out_x);
      }
    }
  }
}

template <class T>
void pixels_of(const View& v) {
  Scratch<int64_t> offsets(v.num_taps);
  const Plan p = plan_of<T>(v, offsets);
  const int64_t of_group = p.vecs * kLanes<T> * p.steps;
  Scratch<T> weights(v.groups * of_group);
  parallel_for(v.groups * p.slivers, 1 + (1 << 16) / (p.steps * kVecs * kLanes<T>), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / p.slivers, sliver = i % p.slivers;
      pack_weights(p, group, sliver, weights + group * of_group + sliver * kVecs * kLanes<T> * p.steps);
    }
  });
  const int64_t chunks = v.batch * v.groups * p.bands.count * p.spans * p.parts;
  const double flops = 2.0 * v.pixels() * of_group * v.groups / chunks;
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;
  parallel_for(chunks, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> copies(p.in_place ? 1 : v.k_channels * p.bands.plane);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % p.parts, span = i / p.parts % p.spans, band = i / p.parts / p.spans % p.bands.count;
      const int64_t place = i / p.parts / p.spans / p.bands.count, group = place % v.groups;
      make_band<T>(p, place / v.groups, group, band, span, p.slivers * part / p.parts, p.slivers * (part + 1) / p.parts,
                   weights + group * of_group, copies);
    }
  });
}

}  // namespace

// Steps of a tile of channels against those of a panel of pixels (conv2d_direct_cpu.cc), for one output row of kLanes:
// whole vectors of channels and a transposition at the end, or whole vectors of pixels and their packing.
bool pixels_serve(const View& v) {
  constexpr double kTranspose = 12, kStore = 3, kPack = 8;
  const double steps = static_cast<double>(v.taps_and_channels()), outs = static_cast<double>(v.m_channels);
  const double pixels = static_cast<double>(v.pixels());
  const double vectors = static_cast<double>((v.m_channels + 15) / 16 * 16),
               whole = static_cast<double>((v.pixels() + 15) / 16 * 16);
  return vectors * pixels * (steps + kTranspose) < outs * whole * (steps + kStore + steps * kPack / outs);
}

void conv_pixels(const View& v) {
  visit_float(v.dtype, [&](auto zero) { pixels_of<decltype(zero)>(v); });
}

}  // namespace fastdl::FASTDL_ISA
