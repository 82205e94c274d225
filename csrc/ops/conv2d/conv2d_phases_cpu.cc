// The gradient of the input at strides above 1, and transposed convolution: pixels with the same residue modulo the
// stride are a phase, and meet the same taps. Phases read the same few shifts of the gradient, so one panel of them
// serves all, and neighbouring pixels of an output row, which belong to different phases, are written together.
//
//   3x3 at stride 2     phase (y, x)   taps          one panel [shift (dy, dx)][k][kPixels] of 2 x 2 shifts,
//   (padding 1)             0, 0       1             made once where four convolutions would make nine rows
//                           0, 1       2
//                           1, 0       2             output row:  x0 x1 x0 x1 ...   a tile for each x, zipped
//                           1, 1       4
//
// A chunk of work owns a block of pixels (of every phase) and a range of channels; chunks share the packed weights.
#include "cpu/microkernel-inl.h"
#include "ops/conv2d/conv2d_phases-inl.h"
#include "ops/conv2d/conv2d_shuffle-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kMaxStride = 8;           // beyond, phases have next to nothing in common
constexpr int64_t kPanelBytes = 384 << 10;  // of one chunk's panel, in the level-2 cache beside the weights
constexpr int kMaxSlivers = 16;
constexpr int64_t kChunks = 16;        // wanted of a large convolution, whatever the number of threads
constexpr double kChunkFlops = 1e6;    // below that a chunk is not worth a thread
constexpr int64_t kLeastChannels = 8;  // summed; planes in registers serve fewer
constexpr int64_t kPackChannels = 16;  // packed side by side: as many lines of planes as the hardware follows
constexpr int64_t kSteps = 128;        // of k in a call of the micro-kernel: panel and weights stay in L1

template <class T>
constexpr int kPixels = kTallTile.vecs * kLanes<T>;

// A tap as its phase sees it: a row of the panel, and a place in the kernel.
struct PhaseTap {
  int64_t shift, weight;
};

struct Plan {
  Conv2dGeometry g;
  View v;                // packing: its taps are the shifts
  const PhaseTap* taps;  // in the order of their phases
  int64_t begin[kMaxStride * kMaxStride + 1];
  int64_t num_taps;
  int64_t panels;  // of channels, of balanced size
  int64_t panel_begin(int64_t i) const { return v.m_channels * i / panels; }
  int panel_rows(int64_t i) const { return static_cast<int>(panel_begin(i + 1) - panel_begin(i)); }
};

// Along one axis: tap r belongs to phase[r], and reads the gradient shift[places[r]] further.
struct Axis {
  int64_t *phase, *place, *shift;
  int64_t shifts;
};
void split_axis(int64_t kernel, int64_t stride, int64_t pad, int64_t dilation, Axis& a) {
  for (int64_t r = 0; r < kernel; ++r) {
    a.phase[r] = ((r * dilation - pad) % stride + stride) % stride;
    const int64_t shift = (a.phase[r] + pad - r * dilation) / stride;
    int64_t i = 0;
    while (i < a.shifts && a.shift[i] != shift) ++i;
    if (i == a.shifts) a.shift[a.shifts++] = shift;
    a.place[r] = i;
  }
}

Plan plan_for(const Conv2dBwdInputArgs& p, Tap* shifts, PhaseTap* taps) {
  const Conv2dGeometry& g = p.g;
  Plan plan{};
  plan.g = g, plan.taps = taps;
  Scratch<int64_t> space(3 * (g.kernel_h + g.kernel_w));
  Axis y{space, space + g.kernel_h, space + 2 * g.kernel_h, 0};
  Axis x{y.shift + g.kernel_h, y.shift + g.kernel_h + g.kernel_w, y.shift + g.kernel_h + 2 * g.kernel_w, 0};
  split_axis(g.kernel_h, g.stride_h, g.pad_top, g.dilation_h, y);
  split_axis(g.kernel_w, g.stride_w, g.pad_left, g.dilation_w, x);

  View& v = plan.v;
  v.dtype = p.dtype, v.batch = g.batch, v.groups = g.groups;
  v.m_channels = g.in_channels / g.groups, v.k_channels = g.out_channels / g.groups;
  v.src_h = g.out_h, v.src_w = g.out_w, v.step_y = v.step_x = 1;
  v.rows = (g.in_h + g.stride_h - 1) / g.stride_h, v.cols = (g.in_w + g.stride_w - 1) / g.stride_w;
  v.src = p.grad;
  for (int64_t i = 0; i < y.shifts; ++i)
    for (int64_t j = 0; j < x.shifts; ++j) shifts[v.num_taps++] = {y.shift[i], x.shift[j], 0};
  v.taps = shifts;

  for (int64_t phase = 0; phase < g.stride_h * g.stride_w; ++phase) {
    plan.begin[phase] = plan.num_taps;
    for (int64_t r = 0; r < g.kernel_h; ++r)
      for (int64_t s = 0; s < g.kernel_w; ++s)
        if (y.phase[r] * g.stride_w + x.phase[s] == phase)
          taps[plan.num_taps++] = {y.place[r] * x.shifts + x.place[s], r * g.kernel_w + s};
  }
  plan.begin[g.stride_h * g.stride_w] = plan.num_taps;
  plan.panels = (v.m_channels + kTallTile.rows - 1) / kTallTile.rows;
  return plan;
}

// Kernels of four taps: kLanes channels are four vectors, taken apart in eight shuffles.
template <class T>
void pack_quads(const View& v, const T* from, int rows, T* packed) {
  constexpr int L = kLanes<T>;
  const int64_t tap = v.k_channels * rows;
  for (int64_t k = 0; k < v.k_channels; ++k, from += v.m_channels * 4, packed += rows) {
    Vec<T> x[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) x[i] = load_some<T>(from + i * L, 4 * rows - i * L);
    const Vec<T> even0 = even_lanes<T>(x[0], x[1]), even1 = even_lanes<T>(x[2], x[3]);
    const Vec<T> odd0 = odd_lanes<T>(x[0], x[1]), odd1 = odd_lanes<T>(x[2], x[3]);
    store_n<T>(packed, even_lanes<T>(even0, even1), rows);
    store_n<T>(packed + tap, even_lanes<T>(odd0, odd1), rows);
    store_n<T>(packed + 2 * tap, odd_lanes<T>(even0, even1), rows);
    store_n<T>(packed + 3 * tap, odd_lanes<T>(odd0, odd1), rows);
  }
}

// packed[tap of the kernel][k][rows].
template <class T>
void pack_weights(const Plan& plan, const T* weight, int64_t group, int64_t panel, T* packed) {
  const View& v = plan.v;
  const int64_t m0 = plan.panel_begin(panel), rows = plan.panel_rows(panel), kernel = plan.g.kernel_h * plan.g.kernel_w;
  const T* from = weight + (group * v.k_channels * v.m_channels + m0) * kernel;
  if (kernel == 4 && rows <= kLanes<T>) return pack_quads(v, from, static_cast<int>(rows), packed);
  for (int64_t k = 0; k < v.k_channels; ++k)
    pack_columns(from + k * v.m_channels * kernel, kernel, kernel, rows, packed + k * rows, v.k_channels * rows);
}

struct Sliver {
  Run runs[kPixels<float>];
  int count, lanes;
};

// The slivers [first, first + most) of all, as many as there are.
template <class T>
int64_t find_slivers(const View& v, int64_t first, int64_t most, Sliver* slivers) {
  const int64_t all = (v.pixels() + kPixels<T> - 1) / kPixels<T>, count = all - first < most ? all - first : most;
  for (int64_t s = 0; s < count; ++s) {
    const int64_t pixel = (first + s) * kPixels<T>, n = v.pixels() - pixel;
    slivers[s].lanes = static_cast<int>(n < kPixels<T> ? n : kPixels<T>);
    slivers[s].count = cut_runs(v, pixel, slivers[s].lanes, slivers[s].runs);
  }
  return count;
}

// Channels [first, last) of panel[sliver][shift][k][kPixels]: the products of a tap read one run of memory. Of some
// channels at a time all slivers, since a line alone of each plane comes slowly.
template <class T>
void pack_shifts(View v, int64_t group, const Sliver* slivers, int64_t count, int64_t first, int64_t last, T* panel) {
  const int64_t shifts = v.num_taps, size = v.k_channels * kPixels<T>;
  const Tap* taps = v.taps;
  v.num_taps = 1;
  for (int64_t k = first; k < last; k += kPackChannels) {
    const int64_t k1 = k + kPackChannels < last ? k + kPackChannels : last;
    for (int64_t i = 0; i < count * shifts; ++i) {
      const Sliver& sliver = slivers[i / shifts];
      v.taps = taps + i % shifts;
      pack_runs(v, group, sliver.runs, sliver.count, panel + i * size + k * kPixels<T>, kPixels<T>, k, k1);
    }
  }
}

// Where row y of the squares of a sliver lies.
int find_stretches(const Plan& plan, const Sliver& sliver, int64_t y, Stretch* stretches) {
  const Conv2dGeometry& g = plan.g;
  int count = 0;
  for (int i = 0; i < sliver.count; ++i) {
    const Run run = sliver.runs[i];
    const int64_t row = run.y * g.stride_h + y, column = run.x * g.stride_w, rest = g.in_w - column;
    if (row >= g.in_h) continue;
    const int64_t len = run.len * g.stride_w < rest ? run.len * g.stride_w : rest;
    stretches[count++] = {(run.image * g.in_channels * g.in_h + row) * g.in_w + column,
                          static_cast<int>(run.lane * g.stride_w), static_cast<int>(len)};
  }
  return count;
}

// Lines of `rows` planes that will be written, fetched while products are formed: some before each call of the
// micro-kernel, since more than a dozen at once would wait for each other.
template <class T>
class LinesAhead {
 public:
  __attribute__((always_inline)) LinesAhead(const Stretch* stretches, int count, int64_t rows, int64_t calls, T* out,
                                            int64_t plane)
      : rows_(rows), out_(out), plane_(plane) {
    constexpr int64_t line = 64 / static_cast<int64_t>(sizeof(T));
    for (int i = 0; i < count; ++i)
      for (int64_t j = 0; j < stretches[i].len; j += line) offsets_[lines_++] = stretches[i].offset + j;
    if (calls > 0) share_ = (rows * lines_ + calls - 1) / calls;
  }
  __attribute__((always_inline)) void fetch() {
    for (int64_t i = 0; i < share_ && row_ < rows_; ++i) {
      __builtin_prefetch(out_ + row_ * plane_ + offsets_[next_], 1);
      if (++next_ == lines_) next_ = 0, ++row_;
    }
  }

 private:
  int64_t offsets_[kMaxStride * kTallTile.vecs + kPixels<float>];
  int64_t lines_ = 0, next_ = 0, row_ = 0, share_ = 0, rows_;
  T* out_;
  int64_t plane_;
};

// One panel of channels times one sliver of pixels: row y of each of their stride_h x stride_w squares.
template <class T>
void make_rows(const Plan& plan, const T* weights, const T* bias, int rows, const T* panel, const Sliver& sliver,
               int64_t y, T* tiles, T* out) {
  constexpr int width = kPixels<T>;
  const Conv2dGeometry& g = plan.g;
  const View& v = plan.v;
  const int vecs = (sliver.lanes + kLanes<T> - 1) / kLanes<T>;
  const Microkernel<T> kernel = microkernel_for<T>(rows, vecs);
  const int64_t tile_size = kTallTile.rows * width, plane = g.in_h * g.in_w;
  Stretch stretches[kPixels<float>];
  const int count = find_stretches(plan, sliver, y, stretches);
  int64_t calls = 0;
  for (int64_t x = 0; x < g.stride_w; ++x) calls += plan.begin[y * g.stride_w + x + 1] - plan.begin[y * g.stride_w + x];
  const int64_t splits = (v.k_channels + kSteps - 1) / kSteps;
  LinesAhead<T> ahead(stretches, count, rows, calls * splits, out, plane);
  for (int64_t x = 0; x < g.stride_w; ++x) {
    const int64_t phase = y * g.stride_w + x, first = plan.begin[phase], last = plan.begin[phase + 1];
    T* tile = tiles + x * tile_size;
    if (first == last)
      for (int64_t i = 0; i < rows * width; ++i) tile[i] = T{0};
    for (int64_t t = first; t < last; ++t) {
      const T* w = weights + plan.taps[t].weight * v.k_channels * rows;
      const T* b = panel + plan.taps[t].shift * v.k_channels * width;
      for (int64_t i = 0; i < splits; ++i) {
        const int64_t k0 = v.k_channels * i / splits, k1 = v.k_channels * (i + 1) / splits;
        ahead.fetch();
        kernel(k1 - k0, w + k0 * rows, b + k0 * width, width, tile, width, t > first || i > 0);
      }
    }
  }
  LinePiece pieces[kMaxStride * kTallTile.vecs + kPixels<float>];
  const int num_pieces = cut_stretches<T>(stretches, count, pieces);
  alignas(64) T line[kMaxStride * width];
  for (int m = 0; m < rows; ++m) {
    interleave<T>(tiles + m * width, tile_size, g.stride_w, bias ? bias[m] : T{0}, vecs, line);
    for (int i = 0; i < num_pieces; ++i)
      store_between<T>(out + m * plane + pieces[i].offset, load<T>(line + pieces[i].vec * kLanes<T>), pieces[i].from,
                       pieces[i].to);
  }
}

template <class T>
void phases_of(const Conv2dBwdInputArgs& p, const T* bias) {
  const Conv2dGeometry& g = p.g;
  Scratch<Tap> shifts(g.kernel_h * g.kernel_w);
  Scratch<PhaseTap> taps(g.kernel_h * g.kernel_w);
  const Plan plan = plan_for(p, shifts, taps);
  const View& v = plan.v;
  const int64_t steps = v.k_channels * plan.num_taps, weights_size = v.m_channels * steps;
  Scratch<T> weights(g.groups * weights_size);
  parallel_for(g.groups * plan.panels, 1 + (1 << 16) / (steps * kTallTile.rows), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / plan.panels, panel = i % plan.panels;
      pack_weights(plan, static_cast<const T*>(p.weight), group, panel,
                   weights + group * weights_size + plan.panel_begin(panel) * steps);
    }
  });

  const int64_t sliver_size = v.taps_and_channels() * kPixels<T>, slivers = (v.pixels() + kPixels<T> - 1) / kPixels<T>;
  int64_t per_block = kPanelBytes / (sliver_size * static_cast<int64_t>(sizeof(T)));
  per_block = per_block < 1 ? 1 : per_block > kMaxSlivers ? kMaxSlivers : per_block;
  const int64_t blocks = (slivers + per_block - 1) / per_block;
  per_block = (slivers + blocks - 1) / blocks;
  // Too few blocks to share out: the channels are split as well, and the parts share panels that are packed before.
  int64_t parts = (kChunks + g.groups * blocks - 1) / (g.groups * blocks);
  if (parts > plan.panels / 2) parts = plan.panels / 2;
  if (parts < 1) parts = 1;
  const int64_t block_size = per_block * sliver_size;
  Scratch<T> shared(parts > 1 ? g.groups * blocks * block_size : 1);
  if (parts > 1) {
    parallel_for(g.groups * blocks * parts, 1 + (1 << 16) / (block_size / parts), [&](int64_t begin, int64_t end) {
      Sliver meta[kMaxSlivers];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i % parts, block = i / parts % blocks, group = i / parts / blocks;
        const int64_t count = find_slivers<T>(v, block * per_block, per_block, meta);
        pack_shifts(v, group, meta, count, v.k_channels * part / parts, v.k_channels * (part + 1) / parts,
                    shared + i / parts * block_size);
      }
    });
  }
  const double flops = 2.0 * static_cast<double>(per_block * kPixels<T> * weights_size / parts);
  const int64_t grain = flops < kChunkFlops ? static_cast<int64_t>(kChunkFlops / (flops + 1)) + 1 : 1;

  parallel_for(g.groups * blocks * parts, grain, [&](int64_t begin, int64_t end) {
    Scratch<T> own(parts > 1 ? 1 : block_size), tiles(g.stride_w * kTallTile.rows * kPixels<T>);
    Sliver meta[kMaxSlivers];
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % parts, block = i / parts % blocks, group = i / parts / blocks;
      const int64_t count = find_slivers<T>(v, block * per_block, per_block, meta);
      const T* panel = parts > 1 ? shared + i / parts * block_size : own.get();
      if (parts <= 1) pack_shifts(v, group, meta, count, 0, v.k_channels, own.get());
      for (int64_t j = plan.panels * part / parts; j < plan.panels * (part + 1) / parts; ++j) {
        const int64_t channel = group * v.m_channels + plan.panel_begin(j);
        T* out = static_cast<T*>(p.grad_x) + channel * g.in_h * g.in_w;
        for (int64_t y = 0; y < g.stride_h; ++y)
          for (int64_t s = 0; s < count; ++s)
            make_rows(plan, weights + group * weights_size + plan.panel_begin(j) * steps,
                      bias ? bias + channel : nullptr, plan.panel_rows(j), panel + s * sliver_size, meta[s], y,
                      tiles.get(), out);
      }
    }
  });
}

}  // namespace

bool phases_serve(const Conv2dGeometry& g) {
  return (g.stride_h > 1 || g.stride_w > 1) && g.stride_h <= kMaxStride && g.stride_w <= kMaxStride &&
         g.out_channels / g.groups >= kLeastChannels;
}

void make_phases(const Conv2dBwdInputArgs& p, const void* bias) {
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    phases_of<T>(p, static_cast<const T*>(bias));
  });
}

}  // namespace fastdl::FASTDL_ISA
