// Direct convolution with lanes = output channels: a tile of kPixels neighbouring pixels x kVecs vectors of channels
// stays in registers while its sum runs,
//
//   for each input channel and tap:  load kVecs vectors of weights, multiply each by the pixels that the tap meets
//
// so pixels are broadcast from where they lie, with no panel of them to pack, and a row of any width loses nothing.
// They lie in the source itself where every tap stays inside it and pixels follow each other, else in padded copies of
// a band of rows (conv2d_planes-inl.h). The price is that a finished tile has to be transposed on its way to NCHW.
//
//   weights  conv2d_lanes-inl.h
//
// Sums are made in parts, of as many input channels as have their weights in the level-1 cache; all tiles of a band
// pass over such a part before the next, and unfinished ones wait beside it. Fetched anew for each tile, weights would
// come from the level-2 cache at the rate of a vector each few multiply-adds.
//
// A chunk of work owns a band of rows, or of a long row, of one group of one image, and a range of slivers. Where bands
// are too few for the threads, the slivers are shared out as well, and the copies are made before and for all.
#include "ops/conv2d/conv2d_activation-inl.h"
#include "ops/conv2d/conv2d_lanes-inl.h"
#include "ops/conv2d/conv2d_planes-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int kPixels = kTallTile.rows, kVecs = kSliverVecs;
constexpr int64_t kCopyBytes = 128 << 10;  // of a band, in the level-2 cache beside the weights of a sliver
constexpr int64_t kPartBytes = 20 << 10;   // of weights that all tiles use in turn, in the level-1 cache
constexpr int64_t kBandTiles = 64;         // of a band that is read in place: as many share the weights in the cache
constexpr int64_t kChunks = 32;            // wanted of a large convolution, whatever the number of threads
constexpr int64_t kCopyGrain = 1 << 14;    // numbers of a copy that are worth a thread
constexpr double kChunkFlops = 1e6;        // below that a chunk is not worth a thread

// Where the pixels of a tile lie: pixel (y, x) meets tap t of channel k at k * plane + offsets[t] + y * row + x.
struct Places {
  const int64_t* offsets;
  int64_t taps, plane, row;
};

// tile[pixel][NV vectors] (+)= the sum over `channels`, for ROWS rows of MR pixels. What is read next lies `ahead`
// numbers further and is fetched meanwhile: planes lie too far apart for the hardware to follow.
template <class T, int ROWS, int MR, int NV>
__attribute__((noinline)) void multiply(const Places& places, int64_t channels, const T* x, const T* weights, T* tile,
                                        bool accumulate, int64_t ahead) {
  constexpr int L = kLanes<T>, P = ROWS * MR;
  Vec<T> sums[P][NV];
#pragma GCC unroll 16
  for (int i = 0; i < P; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sums[i][j] = Vec<T>{};
  for (; channels > 0; --channels, x += places.plane) {
    for (int64_t t = 0; t < places.taps; ++t, weights += NV * L) {
      const T* from = x + places.offsets[t];
      __builtin_prefetch(from + ahead);
      Vec<T> w[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) w[j] = load<T>(weights + j * L);
#pragma GCC unroll 16
      for (int i = 0; i < P; ++i) add_row<T, NV>(sums[i], from + i / MR * places.row + i % MR, w, i);
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
using Multiply = void (*)(const Places&, int64_t, const T*, const T*, T*, bool, int64_t);
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
  int64_t depth;  // channels of a part of the sums
  int64_t parts;  // of the slivers

  int64_t tiles() const { return (bands.rows + rows - 1) / rows * ((pieces + spans - 1) / spans); }  // of a band, most
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
  // An odd number of lines from a plane to the next: channels share out the sets of the level-1 cache.
  constexpr int64_t kLine = 64 / sizeof(T);
  p.bands.plane = ((p.bands.plane + kLine - 1) / kLine | 1) * kLine;
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
  const int64_t part_steps = kPartBytes / (kVecs * kVecBytes), least = (p.steps + part_steps - 1) / part_steps;
  p.depth = (v.k_channels + least - 1) / least;
  const int64_t bands = v.batch * v.groups * p.bands.count * p.spans;
  p.parts = (kChunks + bands - 1) / bands;
  if (p.parts > p.slivers) p.parts = p.slivers;
  return p;
}

int64_t vecs_of(const Plan& p, int64_t sliver) {
  return p.vecs - sliver * kVecs < kVecs ? p.vecs - sliver * kVecs : kVecs;
}

// Pixels [0, n) of one row of a tile, `channels` of them in a vector each, to their planes.
template <class T>
void store_pixels(const View& v, const T* tile, int64_t ld, int n, int channels, Vec<T> bias, T* out) {
  constexpr int L = kLanes<T>;
  const Activation now = in_registers(v.activation);
  for (int first = 0; first < n; first += L) {
    const int pixels = n - first < L ? n - first : L;
    Vec<T> r[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) {
      r[i] = Vec<T>{};
      if (i < pixels) r[i] = load<T>(tile + (first + i) * ld) + bias;
    }
    transpose<T>(r);
    T* to = out + first * v.out_x;
    if (v.out_x == 1) {
#pragma GCC unroll 16
      for (int c = 0; c < L; ++c) {
        if (c >= channels) break;
        if (v.residual) r[c] += load_n<T>(v.residual_at(to + c * v.out_plane), pixels);
        store_n<T>(to + c * v.out_plane, limit<T>(now, r[c]), pixels);
      }
    } else {
      for (int c = 0; c < channels; ++c)
        for (int i = 0; i < pixels; ++i) to[c * v.out_plane + i * v.out_x] = r[c][i];
    }
  }
  for (int c = 0; now != v.activation && c < channels; ++c) activate_row(v.activation, out + c * v.out_plane, n);
}

// Rows of pixels that are made together; x points to the first one of the first channel, out to its place.
template <class T>
struct Tile {
  int rows, pixels;  // of a row
  const T* x;
  T* out;
};

// The tiles of a band of rows and a span of pieces, `count` of them.
template <class T>
struct Band {
  int64_t row0, row1, piece0, pieces, count;
  const T* x;
  T* out;  // of channel 0 of the group
};

template <class T>
Tile<T> tile_of(const Plan& p, const Band<T>& b, int64_t i) {
  const int64_t y = b.row0 + i / b.pieces * p.rows, piece = b.piece0 + i % b.pieces;
  const int64_t x0 = p.v.cols * piece / p.pieces, x1 = p.v.cols * (piece + 1) / p.pieces;
  return {static_cast<int>(b.row1 - y < p.rows ? b.row1 - y : p.rows), static_cast<int>(x1 - x0),
          b.x + (y - b.row0) * p.places.row + x0, b.out + y * p.v.out_y + x0 * p.v.out_x};
}

template <class T>
void finish_tile(const Plan& p, int64_t sliver, const Tile<T>& t, const T* sums, const T* bias) {
  constexpr int L = kLanes<T>;
  const View& v = p.v;
  const int64_t vecs = vecs_of(p, sliver), width = vecs * L;
  for (int64_t j = 0; j < vecs; ++j) {
    const int64_t m0 = (sliver * kVecs + j) * L;
    const int channels = static_cast<int>(v.m_channels - m0 < L ? v.m_channels - m0 : L);
    const Vec<T> add = bias ? load_n<T>(bias + m0, channels) : Vec<T>{};
    for (int r = 0; r < t.rows; ++r)
      store_pixels(v, sums + r * t.pixels * width + j * L, width, t.pixels, channels, add,
                   t.out + m0 * v.out_plane + r * v.out_y);
  }
}

// One sliver of a band; `sums` has room for its tiles.
template <class T>
void make_sliver(const Plan& p, const Band<T>& band, int64_t sliver, const T* weights, const T* bias, T* sums) {
  constexpr int64_t kTileSize = kPixels * kVecs * kLanes<T>;
  const View& v = p.v;
  const int64_t width = vecs_of(p, sliver) * kLanes<T>;
  for (int64_t k = 0; k < v.k_channels; k += p.depth) {
    const int64_t channels = v.k_channels - k < p.depth ? v.k_channels - k : p.depth;
    const bool last = k + channels == v.k_channels;
    Tile<T> t = tile_of(p, band, 0);
    for (int64_t i = 0; i < band.count; ++i) {
      const Tile<T> next = tile_of(p, band, i + 1 < band.count ? i + 1 : 0);
      const int64_t ahead =
          next.x + next.pixels - 1 - t.x + (i + 1 < band.count || last ? 0 : channels * p.places.plane);
      T* tile = sums + (channels < v.k_channels ? i * kTileSize : 0);
      if (last)
        for (int64_t m = sliver * kVecs * kLanes<T>; m < v.m_channels && m < (sliver + 1) * kVecs * kLanes<T>; ++m)
          __builtin_prefetch(t.out + m * v.out_plane + t.pixels - 1, 1);
      multiply_for<T>(t.rows, t.pixels, vecs_of(p, sliver))(p.places, channels, t.x + k * p.places.plane,
                                                            weights + k * v.num_taps * width, tile, k > 0, ahead);
      if (last) finish_tile(p, sliver, t, tile, bias);
      t = next;
    }
  }
}

// Slivers [first, last) of a band of rows and a span of pieces. x is where its rows lie.
template <class T>
void make_band(const Plan& p, int64_t image, int64_t group, int64_t band, int64_t span, int64_t first, int64_t last,
               const T* x, const T* weights, T* sums) {
  const View& v = p.v;
  const int64_t row0 = band * p.bands.rows;
  const int64_t row1 = row0 + p.bands.rows < v.rows ? row0 + p.bands.rows : v.rows;
  const int64_t channel = group * v.m_channels;
  const T* bias = v.bias ? static_cast<const T*>(v.bias) + channel : nullptr;
  T* out = static_cast<T*>(v.out) + (image * v.groups * v.m_channels + channel) * v.out_plane + v.out_start;
  const int64_t piece0 = p.pieces * span / p.spans, pieces = p.pieces * (span + 1) / p.spans - piece0;
  const Band<T> b{row0, row1, piece0, pieces, (row1 - row0 + p.rows - 1) / p.rows * pieces, x, out};
  for (int64_t sliver = first; sliver < last; ++sliver)
    make_sliver(p, b, sliver, weights + sliver * kVecs * kLanes<T> * p.steps, bias, sums);
}

template <class T>
void pixels_of(const View& v) {
  Scratch<int64_t> offsets(v.num_taps);
  const Plan p = plan_of<T>(v, offsets);
  const int64_t of_group = p.vecs * kLanes<T> * p.steps;
  Scratch<T> own_weights(v.prepared ? 1 : v.groups * of_group);
  if (!v.prepared) pack_lane_weights(v, own_weights.get());
  const T* weights = v.prepared ? static_cast<const T*>(v.prepared) : own_weights.get();
  // Channel k of band `band` of all of them, [image][group][band], at copies + k * plane.
  const int64_t copy_size = v.k_channels * p.bands.plane, bands = v.batch * v.groups * p.bands.count;
  const auto copy_channel = [&](int64_t i, int64_t k, T* copies) {
    const int64_t row0 = i % p.bands.count * p.bands.rows, place = i / p.bands.count;
    copy_plane(v, p.bands, place / v.groups, place % v.groups * v.k_channels + k, row0,
               v.rows - row0 < p.bands.rows ? v.rows - row0 : p.bands.rows, copies + k * p.bands.plane);
  };
  const bool shared = !p.in_place && p.parts > 1;
  Scratch<T> all(shared ? bands * copy_size : 1);
  if (shared)
    parallel_for(bands * v.k_channels, 1 + kCopyGrain / p.bands.plane, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        copy_channel(i / v.k_channels, i % v.k_channels, all + i / v.k_channels * copy_size);
    });
  const int64_t chunks = bands * p.spans * p.parts;
  const double flops = 2.0 * v.pixels() * of_group * v.groups / chunks;
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;
  parallel_for(chunks, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> own(p.in_place || shared ? 1 : copy_size), sums(p.tiles() * kPixels * kVecs * kLanes<T>);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % p.parts, span = i / p.parts % p.spans, at = i / p.parts / p.spans;
      const int64_t band = at % p.bands.count, group = at / p.bands.count % v.groups;
      const int64_t image = at / p.bands.count / v.groups;
      const T* x = shared ? all + at * copy_size : own.get();
      if (p.in_place)
        x = static_cast<const T*>(v.src) + (image * v.groups + group) * v.k_channels * p.places.plane +
            band * p.bands.rows * p.places.row;
      else if (!shared)
        for (int64_t k = 0; k < v.k_channels; ++k) copy_channel(at, k, own);
      make_band<T>(p, image, group, band, span, p.slivers * part / p.parts, p.slivers * (part + 1) / p.parts, x,
                   weights + group * of_group, sums);
    }
  });
}

}  // namespace

// Steps of a tile of channels against those of a panel of pixels (conv2d_direct_cpu.cc), for one output row of kLanes:
// whole vectors of channels and a transposition at the end, or whole vectors of pixels and their packing.
bool pixels_serve(const View& v) {
  if (v.num_taps == 1) return false;  // a tile would use 56 bytes of the lines that it fetches, or less
#if !defined(FASTDL_ISA_avx512)
  // Tiles of few pixels leave most of a cache line unread, and where taps share no pixel nothing comes back to it.
  const Tap first = v.taps[0], last = v.taps[v.num_taps - 1];
  if (last.dy - first.dy < v.step_y && last.dx - first.dx < v.step_x && v.step_x > 1) return false;
#endif
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
