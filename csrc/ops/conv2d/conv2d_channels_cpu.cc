// Direct convolution with lanes = output channels and packed pixels: a matrix product whose rows are pixels,
//
//   out (pixels x channels) = panel (pixels x K) * weights (K x channels),   K = input channels x taps
//
// so that no lane is lost on planes of 7x7 or 14x14, and weights may have been packed long before.
//
//   panels   [block of pixels][part of K][panel of up to kTallTile.rows pixels][k][rows]     packed once a block
//   weights  conv2d_lanes-inl.h
//   sums     [pixel of the block][lanes]     of a sliver; transposed at the end on their way to NCHW
//
// Pixels run through rows and images alike. A part of K is packed for a block in the level-2 cache, and all slivers
// pass over it before the next; of a sliver as many steps as the level-1 cache has room for meet all panels in turn.
//
// A chunk of work owns a block and a range of slivers, and packs its pixels itself: what another core has packed comes
// from its caches more slowly than from a second packing. (Shared panels took two threads 113 us where one alone took
// 66: 832 @ 7, 128, 1x1 on a Xeon, Granite Rapids.)
#include "ops/conv2d/conv2d_channels-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kBlockPixels = 112;
constexpr int64_t kPanelBytes = 256 << 10;  // of a packed part, in the level-2 cache beside weights and sums
constexpr double kChunkFlops = 1e6;         // below that a chunk is not worth a thread

// Where this form wins: planes that cut rows short, sums and channels that pay for packing and transposition. Kernels
// of one tap at unit steps find pixels as panels of them want them; this form then has to be of few pixels, and of more
// of them where it fetches kept weights ahead, on planes of which the other loses more lanes.
constexpr int64_t kLargestPlane = 200, kLeastChannels = 16, kLeastSteps = 64, kFewPixels = 64, kFewPixelsKept = 224;
#if defined(FASTDL_ISA_avx512)
constexpr int64_t kKeptPlane = kLargestPlane;
#else
constexpr int64_t kKeptPlane = 64;
#endif

template <class T>
struct Plan {
  View v;
  LaneSlivers<T> slivers;
  Split blocks;   // of pixels
  Split depth;    // of input channels
  int64_t parts;  // of the slivers
  explicit Plan(const View& view) : v(view), slivers(view), blocks(split_evenly(v.pixels(), kBlockPixels)) {
    const int64_t most = kPanelBytes / (blocks.base * v.num_taps * static_cast<int64_t>(sizeof(T)));
    depth = split_evenly(v.k_channels, most < 1 ? 1 : most);
    parts = channel_parts(v.groups * blocks.count, slivers.count);
  }
};

// to[i * rows + r] = from[i * ld + r], i < steps, r < rows. Loads stay below from[i * ld + room]; stores run over into
// the next step, which comes after. The lines that the next rows will go to are fetched.
template <class T>
void cut_panel(const T* from, int64_t ld, int64_t steps, int rows, int64_t room, T* to) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < steps; ++i, from += ld, to += rows) {
    __builtin_prefetch(to + steps * rows, 1);
    for (int r = 0; r < rows; r += L) {
      const int n = rows - r < L ? rows - r : L;
      const Vec<T> x = r + L <= room ? load<T>(from + r) : load_n<T>(from + r, n);
      if ((steps - i) * rows >= r + L)
        store<T>(to + r, x);
      else
        store_n<T>(to + r, x, n);
    }
  }
}

// Input channels [k0, k1) of a block of pixels as panels.
template <class T>
void pack_block(const Plan<T>& p, int64_t group, int64_t block, int64_t k0, int64_t k1, T* panels) {
  constexpr int64_t ld = kBlockPixels + kLanes<T>;
  const View& v = p.v;
  const int64_t size = part_size(p.blocks, block), plane = v.src_h * v.src_w, taps = v.num_taps;
  const Split rows = split_evenly(size, kTallTile.rows);
  const PixelRuns<T, kBlockPixels> pixels(v, group, part_begin(p.blocks, block), size);
  const T* const in_place = pixels.in_place;
  const int64_t room = in_place ? pixels.room : ld;
  const int64_t channels = taps == 1 ? kRows : taps < kLineSteps ? kLineSteps / taps : 1;
  Scratch<T> lines(in_place ? 1 : channels * taps * ld);
  for (int64_t k = k0; k < k1; k += channels) {
    const int64_t end = k + channels < k1 ? k + channels : k1, steps = (end - k) * taps;
    if (!in_place) pack_runs(v, group, pixels.runs, pixels.count, lines.get(), ld, k, end);
    const T* from = in_place ? in_place + k * plane : lines.get();
    if (in_place) fetch_rows(from + channels * plane, plane, min64(k1 - end, channels), size);
    for (int64_t j = 0; j < rows.count; ++j) {
      const int64_t p0 = part_begin(rows, j), n = part_size(rows, j);
      cut_panel(from + p0, in_place ? plane : ld, steps, static_cast<int>(n), room - p0,
                panels + p0 * (k1 - k0) * taps + (k - k0) * taps * n);
    }
  }
}

template <class T>
void finish_block(const Plan<T>& p, int64_t group, int64_t block, int64_t sliver, const T* sums) {
  constexpr int L = kLanes<T>;
  const View& v = p.v;
  const int64_t vecs = p.slivers.vecs_of(sliver), first = part_begin(p.blocks, block);
  const int64_t last = first + part_size(p.blocks, block), plane = v.rows * v.cols;
  for (int64_t pixel = first; pixel < last;) {
    const int64_t image = pixel / plane, at = pixel % plane, n = min64(plane - at, last - pixel);
    for (int64_t j = 0; j < vecs; ++j) {
      const int64_t m0 = (sliver * kSliverVecs + j) * L, channel = group * v.m_channels + m0;
      const int channels = static_cast<int>(min64(v.m_channels - m0, L));
      const Vec<T> bias = v.bias ? load_n<T>(static_cast<const T*>(v.bias) + channel, channels) : Vec<T>{};
      const T* from = sums + (pixel - first) * vecs * L + j * L;
      const auto sum = [&](int64_t i) FASTDL_BODY { return load<T>(from + i * vecs * L); };
      store_planes(v, sum, n, channels, bias,
                   static_cast<T*>(v.out) + (image * v.groups * v.m_channels + channel) * plane + at);
    }
    pixel += n;
  }
}

template <class T>
void channels_of(const View& v) {
  const Plan<T> p(v);
  const LaneSlivers<T>& s = p.slivers;
  // One block of pixels: a sliver is packed when its turn comes. All of them together may go by way of memory, which
  // took a seventh of the time of 2048 channels @ 7, 512 by 1x1.
  const bool own = !v.prepared && p.blocks.count == 1;
  Scratch<T> all_weights(v.prepared || own ? 1 : v.groups * s.of_group());
  if (!v.prepared && !own) pack_lane_weights(v, all_weights.get());
  const T* weights = v.prepared ? static_cast<const T*>(v.prepared) : all_weights.get();

  const int64_t blocks = v.groups * p.blocks.count;
  const double flops = 2.0 * static_cast<double>(v.pixels() * s.of_group()) * v.groups / (blocks * p.parts);
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;
  const int64_t block_size = p.blocks.base + 1, lanes = kSliverVecs * kLanes<T>, sums_size = block_size * lanes;
  const int64_t most_steps = (p.depth.base + 1) * v.num_taps;
  const int64_t waiting = p.depth.count > 1 ? (s.count + p.parts - 1) / p.parts : 1;  // slivers with unfinished sums
  parallel_for(blocks * p.parts, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> panels(block_size * most_steps), sums(waiting * sums_size), own_weights(own ? lanes * most_steps : 1);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % p.parts, block = i / p.parts % p.blocks.count, group = i / p.parts / p.blocks.count;
      const int64_t first = s.count * part / p.parts, last = s.count * (part + 1) / p.parts;
      const Split rows = split_evenly(part_size(p.blocks, block), kTallTile.rows);
      for (int64_t d = 0; d < p.depth.count; ++d) {
        const int64_t k0 = part_begin(p.depth, d), k1 = k0 + part_size(p.depth, d);
        pack_block(p, group, block, k0, k1, panels.get());
        for (int64_t sliver = first; sliver < last; ++sliver) {
          T* to = sums + (waiting > 1 ? sliver - first : 0) * sums_size;
          const int64_t vecs = s.vecs_of(sliver);
          const T* of_sliver = weights + group * s.of_group() + s.offset(sliver) + k0 * v.num_taps * vecs * kLanes<T>;
          if (own) {
            pack_lane_sliver(v, s, group, sliver, k0, k1, own_weights.get());
            of_sliver = own_weights.get();
          }
          multiply_panels(rows, (k1 - k0) * v.num_taps, panels.get(), of_sliver, vecs, to, d > 0);
          if (d + 1 == p.depth.count) finish_block(p, group, block, sliver, to);
        }
      }
    }
  });
}

}  // namespace

bool channels_serve(const View& v, bool kept) {
  const bool dense = v.out_x == 1 && (v.rows == 1 || v.out_y == v.cols) && v.out_plane == v.rows * v.cols;
  const int64_t lanes = kVecBytes / static_cast<int64_t>(itemsize(v.dtype));
  const int64_t made = (v.m_channels + lanes - 1) / lanes * lanes;
  if (!dense || v.rows * v.cols > kLargestPlane || v.m_channels < kLeastChannels || v.k_channels == 0 ||
      v.taps_and_channels() < kLeastSteps || 4 * made > 5 * v.m_channels)
    return false;
  const bool apart = v.num_taps > 1 || v.step_y > 1 || v.step_x > 1;
  return apart || v.pixels() <= (kept && v.rows * v.cols <= kKeptPlane ? kFewPixelsKept : kFewPixels);
}

int64_t lane_weights(const View& v) {
  int64_t count = 0;
  visit_float(v.dtype, [&](auto zero) { count = v.groups * LaneSlivers<decltype(zero)>(v).of_group(); });
  return count;
}

void prepare_lanes(const View& v, void* to) {
  visit_float(v.dtype, [&](auto zero) { pack_lane_weights(v, static_cast<decltype(zero)*>(to)); });
}

void conv_channels(const View& v) {
  visit_float(v.dtype, [&](auto zero) { channels_of<decltype(zero)>(v); });
}

}  // namespace fastdl::FASTDL_ISA
