// Where the bins of a RoI read: bilinear sampling and averaging along one axis are one weighted sum of cells.
//
//   a sample (roi_align.h) at p reads cell floor(p) with weight 1 - frac(p) and the next with frac(p), each divided by
//   `samples`
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

// As roi_align.h wants products.
struct RoundedProduct {
  template <class T>
  __attribute__((always_inline)) T operator()(T a, T b) const {
    return rounded(a * b);
  }
};

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

// The list of each bin along an axis of `size` cells, with weights times `scale`. Returns the number of taps.
template <class T>
static int32_t fill_bins(const RoiAxis<T>& a, int64_t bins, int64_t size, T scale, int32_t* starts, Tap<T>* taps) {
  int32_t count = 0;
  for (int64_t b = 0; b < bins; ++b) {
    const int32_t first = starts[b] = count;
    const RoiSamples<T> samples = roi_samples<T>(a, b, size, RoundedProduct{});
    for (int64_t i = samples.begin; i < samples.end; ++i) {
      const RoiSample<T> at = roi_sample<T>(a, samples.base, i, size, RoundedProduct{});
      if (at.cell < 0) continue;
      add_tap<T>(taps, first, count, at.cell, (1 - at.fraction) * scale);
      if (at.cell < size - 1) add_tap<T>(taps, first, count, at.cell + 1, at.fraction * scale);
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
