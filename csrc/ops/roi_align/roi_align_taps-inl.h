// Where the bins of a RoI read: bilinear sampling and averaging along one axis are one weighted sum of cells.
//
//   bin b samples at  start + b * bin + (i + 0.5) * bin / samples,   i = 0 ... samples - 1
//   a sample at p reads cell floor(p) with weight 1 - frac(p) and the next with frac(p), each divided by `samples`
//
// Both axes apart suffice, since the weight of a cell is the product of its two. Samples that share cells are merged:
// a bin of two samples reads two or three cells, not four.
#pragma once
#include "cpu/boxes-inl.h"
#include "cpu/parallel.h"
#include "ops/roi_align/roi_align.h"

namespace fastdl::FASTDL_ISA {

template <class T>
struct Tap {
  int32_t at;  // a cell, or in lists by cell a bin
  T weight;
};

// Lists of taps, list i being taps[starts[i]] ... taps[starts[i + 1] - 1], and the cells [begin, end) that occur.
template <class T>
struct TapLists {
  const int32_t* starts;
  const Tap<T>* taps;
  int32_t begin, end;
  const Tap<T>* list(int64_t i) const { return taps + starts[i]; }
  int count(int64_t i) const { return starts[i + 1] - starts[i]; }
};

template <class T>
struct Axis {
  T start, bin, samples;  // samples may be 0: then there are none
};

constexpr double kMostCells = 1 << 30;

template <class T>
static Axis<T> axis_of(const RoiAlignGeometry& g, T low, T high, int64_t bins) {
  const T scale = static_cast<T>(g.spatial_scale), offset = static_cast<T>(g.aligned ? 0.5 : 0);
  const T start = rounded(low * scale) - offset, end = rounded(high * scale) - offset;
  T size = end - start;
  if (!g.aligned && !(size > T{1})) size = T{1};
  const T bin = size / static_cast<T>(bins);
  const T samples = g.sampling_ratio > 0 ? static_cast<T>(g.sampling_ratio)
                                         : static_cast<T>(__builtin_ceil(static_cast<double>(bin)));
  const T limit = static_cast<T>(kMostCells);
  const bool sane = start > -limit && start < limit && end > -limit && end < limit;
  return {start, bin, sane && samples > 0 ? samples : T{0}};
}

// Adds a weight to a cell of the list that ends at `count`; neighbours in a list are near each other.
template <class T>
FASTDL_INLINE void add_tap(Tap<T>* taps, int32_t first, int32_t& count, int64_t cell, T weight) {
  for (int32_t i = count - 1; i >= first; --i)
    if (taps[i].at == cell) {
      taps[i].weight += weight;
      return;
    }
  taps[count++] = {static_cast<int32_t>(cell), weight};
}

// The samples of a bin that may lie within a cell of the map: a huge RoI has many others.
struct Samples {
  int64_t begin, end;
};
template <class T>
static Samples samples_inside(const Axis<T>& a, double base, int64_t size) {
  const double step = static_cast<double>(a.bin) / static_cast<double>(a.samples), n = static_cast<double>(a.samples);
  if (!(step > 0)) return {0, static_cast<int64_t>(n)};
  double begin = __builtin_floor((-1 - base) / step) - 2,
         end = __builtin_ceil((static_cast<double>(size) - base) / step) + 2;
  begin = begin > 0 ? begin : 0, end = end < n ? end : n;
  return {static_cast<int64_t>(begin < n ? begin : n), static_cast<int64_t>(end > 0 ? end : 0)};
}

// The list of each bin along an axis of `size` cells, with weights times `scale`. Returns the number of taps.
template <class T>
static int32_t fill_bins(const Axis<T>& a, int64_t bins, int64_t size, T scale, int32_t* starts, Tap<T>* taps) {
  int32_t count = 0;
  for (int64_t b = 0; b < bins; ++b) {
    const int32_t first = starts[b] = count;
    const T base = a.start + rounded(static_cast<T>(b) * a.bin);
    const Samples inside = a.samples > 0 ? samples_inside<T>(a, static_cast<double>(base), size) : Samples{0, 0};
    for (int64_t i = inside.begin; i < inside.end; ++i) {
      T p = base + rounded((static_cast<T>(i) + T(0.5)) * a.bin) / a.samples;
      if (!(p >= T{-1} && p <= static_cast<T>(size))) continue;
      p = p > 0 ? p : T{0};
      const int64_t cell = static_cast<int64_t>(p);
      if (cell >= size - 1) {
        add_tap<T>(taps, first, count, size - 1, scale);
        continue;
      }
      const T fraction = p - static_cast<T>(cell);
      add_tap<T>(taps, first, count, cell, (1 - fraction) * scale);
      add_tap<T>(taps, first, count, cell + 1, fraction * scale);
    }
  }
  starts[bins] = count;
  return count;
}

// The cells that taps name: [begin, end), both 0 without taps.
template <class T>
static void find_cells(const Tap<T>* taps, int32_t count, int32_t& begin, int32_t& end) {
  begin = end = count ? taps[0].at : 0;
  for (int32_t i = 0; i < count; ++i) {
    begin = taps[i].at < begin ? taps[i].at : begin;
    end = taps[i].at >= end ? taps[i].at + 1 : end;
  }
}

// The same taps listed by cell, from cell `begin` on, with the bin instead of the cell; bins stay in order.
template <class T>
static void list_by_cell(const int32_t* bin_starts, const Tap<T>* from, int64_t bins, int32_t begin, int32_t end,
                         int32_t* starts, Tap<T>* taps) {
  const int32_t cells = end - begin;
  for (int32_t c = 0; c <= cells; ++c) starts[c] = 0;
  for (int32_t i = 0; i < bin_starts[bins]; ++i) ++starts[from[i].at - begin + 1];
  for (int32_t c = 0; c < cells; ++c) starts[c + 1] += starts[c];
  for (int32_t b = 0; b < bins; ++b)
    for (int32_t i = bin_starts[b]; i < bin_starts[b + 1]; ++i)
      taps[starts[from[i].at - begin]++] = {b, from[i].weight};
  for (int32_t c = cells; c > 0; --c) starts[c] = starts[c - 1];
  starts[0] = 0;
}

}  // namespace fastdl::FASTDL_ISA
