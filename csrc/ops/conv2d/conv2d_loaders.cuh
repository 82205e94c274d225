// What convolution's products multiply, as panels of the main loop in cuda/gemm.cuh. No operand is laid out in memory
// as a matrix: a loader finds the number that stands at (k, column) of the matrix and puts it into the panel.
//
//   product              rows             columns                      k
//   out, grad_x          channels out     pixels of the batch          channel in, tap y, tap x
//   grad_weight          channels out     channel in, tap y, tap x     pixels of the batch
#pragma once
#include "cuda/gemm.cuh"
#include "cuda/pixel_run.cuh"
#include "ops/conv2d/conv2d_axes.cuh"

namespace fastdl {

// What a block of the first kind works on. In shared memory: registers are short, and a broadcast read costs little.
template <class T>
struct WindowWork {
  const T *weight, *source;  // the first row and k; the group's planes of the first image
  T* out;                    // the plane of the first row in the first image
  int64_t ld;                // of weight
  int64_t source_image, out_image;
  int source_plane, out_plane, out_width;
  int rows, cols, steps, channel;  // channel of the first row
  PixelRun pixels;
  WindowAxis y, x;
  int first_channel, first_y, first_x;  // of k
  int skip_channel, skip_y, skip_x;     // from the last tap that a thread reads of one panel to the first of the next
};

// Pixels under the windows. A thread keeps to one pixel, so its neighbours read neighbouring pixels, and counts through
// kEach taps in a row of every BK. No division and no table in the loop: a tap's place is three counters that carry,
// and jump over the taps of the other threads once a panel.
template <class Tile>
struct WindowLoader {
  using T = typename Tile::T;
  static constexpr int kThreadsAColumn = Tile::kThreads / Tile::BN;
  static constexpr int kEach = Tile::BK / kThreadsAColumn;
  static_assert(Tile::BK % kThreadsAColumn == 0);

  const WindowWork<T>& w;
  const T* plane;
  int y, x, tap_y, tap_x, steps;
  T held[kEach];

  __device__ WindowLoader(const WindowWork<T>& work) : w(work) {
    const int k = own_k();
    const unsigned column = w.first_x + k, row = w.first_y + column / w.x.taps;
    tap_x = column % w.x.taps;
    tap_y = row % w.y.taps;
    const PixelRun at = w.pixels + own_column();
    plane =
        w.source + at.image * w.source_image + static_cast<int64_t>(w.first_channel + row / w.y.taps) * w.source_plane;
    y = w.y.start + at.y * w.y.stride;
    x = w.x.start + at.x * w.x.stride;
    steps = own_column() < w.cols ? w.steps - k : 0;
  }

  __device__ static int own_column() { return threadIdx.x % Tile::BN; }
  __device__ static int own_k() { return threadIdx.x / Tile::BN * kEach; }

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const int at_y = y + tap_y * w.y.step, at_x = x + tap_x * w.x.step;
      // As unsigned numbers, negative places are too large: one comparison for both ends of an axis. Padding is never
      // read, nor stored anywhere.
      const bool in = i < steps && static_cast<unsigned>(at_y) < static_cast<unsigned>(w.y.size) &&
                      static_cast<unsigned>(at_x) < static_cast<unsigned>(w.x.size);
      held[i] = in ? plane[at_y * w.x.size + at_x] : T(0);
      skip(0, 0, 1);
    }
    if (kEach < Tile::BK) skip(w.skip_channel, w.skip_y, w.skip_x);
    steps -= Tile::BK;
  }

  __device__ void store(typename Tile::PanelB& panel) const {
    // A warp stores 32 neighbours of one panel row: no conflicts.
#pragma unroll
    for (int i = 0; i < kEach; ++i) panel[own_k() + i][own_column()] = held[i];
  }

 private:
  // At most one carry an axis, since each addend is below the axis's size.
  __device__ __forceinline__ void skip(int channels, int rows, int columns) {
    tap_x += columns;
    if (tap_x >= w.x.taps) tap_x -= w.x.taps, ++tap_y;
    tap_y += rows;
    if (tap_y >= w.y.taps) tap_y -= w.y.taps, ++channels;
    plane += static_cast<int64_t>(channels) * w.source_plane;
  }
};

// Kernels of one pixel that move by one: pixels as they lie, in whole vectors that do not cross images.
template <class Tile>
struct PointwiseLoader : MatrixLoader<Tile, Tile::BN, false> {
  using T = typename Tile::T;
  using Base = MatrixLoader<Tile, Tile::BN, false>;

  // An image's channels are rows a plane apart, that is k with ld = a plane. Its column may lie in the next image.
  __device__ PointwiseLoader(const WindowWork<T>& w)
      : Base(own_pixels(w), w.source_plane, w.cols - Base::own_row(), w.steps, true) {}

 private:
  __device__ static const T* own_pixels(const WindowWork<T>& w) {
    const PixelRun at = w.pixels + Base::own_row();
    return w.source + at.image * w.source_image + static_cast<int64_t>(w.first_channel) * w.source_plane +
           at.y * w.x.size + at.x;
  }
};

// Planes of one channel in images: `size` numbers, then `jump` from the end of one image's to the start of the next.
struct ImagePlanes {
  int64_t jump;
  int size;
};

// What a block of the second kind works on.
template <class T>
struct TapWork {
  const T *grad, *x;  // the first row's plane, and the group's first plane, both of the first image
  T* out;
  ImagePlanes grad_planes, x_planes;
  int64_t x_image;
  int rows, cols, steps, first_col;
  PixelRun pixels;  // k
  WindowAxis y, x_axis;
};

// Rows that are planes, contiguous along k = (image, pixel) within each image.
// From the end of an image k jumps over its other channels. Where planes are whole vectors none crosses an end;
// elsewhere numbers are read one by one, and the jump may come inside a vector.
template <class Tile, int kRows>
struct PlaneLoader {
  using T = typename Tile::T;
  static constexpr int V = Tile::V;
  using Order = MatrixLoader<Tile, kRows, true>;  // the same threads take the same places of the panel
  static constexpr int kEach = Order::kEach;

  const ImagePlanes& planes;
  const T* own;
  int pixel, rows, steps;
  bool vector;
  Pack<T, V> held[kEach];

  __device__ PlaneLoader(const T* first, const ImagePlanes& planes, PixelRun pixels, int rows, int steps)
      : planes(planes),
        // Rows and steps as in MatrixLoader: a thread without a row has no steps, and vectors of k do not cross the
        // end.
        rows(min(rows, kRows) - Order::own_row()),
        steps(Order::own_row() < rows ? steps - Order::own_k() : 0),
        vector(vectors_at(first, planes.size) && planes.jump % V == 0 && steps % V == 0) {
    pixels = pixels + Order::own_k();
    pixel = pixels.y * pixels.columns + pixels.x;
    own = first + static_cast<int64_t>(Order::own_row()) * planes.size + pixels.image * (planes.size + planes.jump) +
          pixel;
  }

  __device__ void load() {
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      const T* p = own + static_cast<int64_t>(i * Order::kRowStep) * planes.size;
      const bool in = i == 0 || i * Order::kRowStep < rows;
      if (vector && in && steps > 0) {
        held[i] = load_vec<Pack<T, V>>(p);
        continue;
      }
      int at = pixel;
#pragma unroll
      for (int j = 0; j < V; ++j) {
        held[i][j] = in && j < steps ? p[j] : T(0);
        if (++at == planes.size) at = 0, p += planes.jump;
      }
    }
    own += Tile::BK;
    steps -= Tile::BK;
    // A loop, since planes may be smaller than a panel; without steps left it would run on for nothing.
    for (pixel += Tile::BK; pixel >= planes.size && steps > 0; pixel -= planes.size) own += planes.jump;
  }

  __device__ void store(T (&panel)[Tile::BK][kRows + kPanelPad]) const {
    const int row = Order::own_row(), k = Order::own_k();
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      if (kRows % Order::kRowStep != 0 && row + i * Order::kRowStep >= kRows) break;
#pragma unroll
      for (int j = 0; j < V; ++j) panel[k + j][row + i * Order::kRowStep] = held[i][j];
    }
  }
};

// One tap of one channel, as an offset from the first tap of a window in the first channel.
// As plain numbers rather than (channel, r, s): a place is one addition, and the test for padding two.
struct Tap {
  int y, x, offset;
};

// Pixels under one tap, columns = taps. A thread keeps to one k of each panel and to kEach columns; a sector's worth of
// neighbours takes neighbouring pixels, and the transposing store meets different banks (8 k x 4 columns a warp).
template <class Tile>
struct TapLoader {
  using T = typename Tile::T;
  // 8 floats or 4 doubles, a sector: pixels of one row of the image at stride 1.
  static constexpr int kLanesK = 32 / static_cast<int>(sizeof(T)), kWarpsK = Tile::BK / kLanesK;
  static constexpr int kColumnStep = Tile::kThreads / Tile::BK;
  static constexpr int kEach = Tile::BN / kColumnStep;
  static_assert(Tile::BK % kLanesK == 0 && Tile::BN % kColumnStep == 0);

  const TapWork<T>& w;
  const Tap* taps;         // of the tile's columns
  int image, y, x, steps;  // pixel
  T held[kEach];

  __device__ TapLoader(const TapWork<T>& work, const Tap* taps) : w(work), taps(taps) {
    const PixelRun at = w.pixels + own_k();
    image = static_cast<int>(at.image), y = at.y, x = at.x;
    steps = w.steps - own_k();
  }

  __device__ static int own_k() { return threadIdx.x % kLanesK + threadIdx.x / 32 % kWarpsK * kLanesK; }
  __device__ static int own_column() {
    return threadIdx.x % 32 / kLanesK + threadIdx.x / 32 / kWarpsK * (32 / kLanesK);
  }

  __device__ void load() {
    // Once a panel: one window for all the columns of a thread, which then only add their tap's offset.
    const int from_y = w.y.start + y * w.y.stride, from_x = w.x_axis.start + x * w.x_axis.stride;
    const T* window = w.x + image * w.x_image + (from_y * w.x_axis.size + from_x);
#pragma unroll
    for (int i = 0; i < kEach; ++i) {
      // The threads of a column read one tap together; a warp's columns are 3 words apart, in different banks.
      const Tap tap = taps[own_column() + i * kColumnStep];
      const bool in = steps > 0 && static_cast<unsigned>(from_y + tap.y) < static_cast<unsigned>(w.y.size) &&
                      static_cast<unsigned>(from_x + tap.x) < static_cast<unsigned>(w.x_axis.size);
      held[i] = in ? window[tap.offset] : T(0);
    }
    steps -= Tile::BK;
    // A panel may be several rows of a small image.
    for (x += Tile::BK; x >= w.x_axis.pixels && steps > 0; x -= w.x_axis.pixels)
      if (++y == w.y.pixels) y = 0, ++image;
  }

  __device__ void store(typename Tile::PanelB& panel) const {
#pragma unroll
    for (int i = 0; i < kEach; ++i) panel[own_k()][own_column() + i * kColumnStep] = held[i];
  }
};

}  // namespace fastdl
