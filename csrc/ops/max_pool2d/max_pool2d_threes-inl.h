// Windows of 3x3 two apart with the places of their maxima, among numbers alone: one walk, no rows in between.
//
// The first row of a window is the last one of the window above, whose maxima along the columns are kept. The other two
// rows are pooled in registers:
//
//   row 2 * oy - 1    kept: values, places   |
//   row 2 * oy        registers              |>  row oy of the output
//   row 2 * oy + 1    registers, then kept   |
//
// The largest of three comes first, then the place of the first that equals it. Columns part within pieces of 16 bytes
// (cpu/pool_indices-inl.h): kept rows stay in that order, outputs are put in order.
#pragma once
#include "cpu/pool_turned-inl.h"

namespace fastdl::FASTDL_ISA {

// No window reaches beyond the last column, and a row has a whole vector of them.
template <class T>
FASTDL_INLINE bool has_whole_threes(const PoolGeometry& g) {
  return has_column_threes(g) && g.kernel_h == 3 && g.stride_h == 2 && g.dilation_h == 1 && g.pad_h <= 1 &&
         g.out_w >= kLanes<T> && 2 * g.out_w - g.pad_w < g.in_w;
}

namespace {

// A NaN stays in every sum. (So does one that infinities of both signs make: it only costs time.)
template <class T>
struct NanTrace {
  Vec<T> sum{};
  __attribute__((always_inline)) void see(Vec<T> v) { sum += v; }
  __attribute__((always_inline)) bool is_clear() const { return !any_lane<T>(sum != sum); }
};

template <class T>
class WholeThrees {
 public:
  explicit WholeThrees(const PoolGeometry& g)
      : g_(g), values_(g.out_w + kLanes<T>), places_(g.out_w + kLanes<T>), padding_(g.in_w) {
    for (int64_t i = 0; i < g.in_w; ++i) padding_[i] = MaxFold<T>::kStart;
  }

  void start_band() { kept_ = kNone; }

  // Row oy of the output. False, and a row to be done again, where one of its numbers is NaN.
  template <bool kStreams, class I>
  bool row(const T* plane, int64_t oy, T* out, I* indices) {
    const int64_t y = 2 * oy - g_.pad_h;
    if (kept_ != y) keep(plane, y);
    const T *const second = row_at(plane, y + 1), *const third = row_at(plane, y + 2);
    NanTrace<T> in_second, in_third;
    for_blocks<T>(g_.out_w, [&](int64_t at, auto n) __attribute__((always_inline)) {
      ask_ahead<T, 2>(second + 2 * at), ask_ahead<T, 2>(third + 2 * at);
      const int64_t slot = slot_of(at);
      const Best<T> a{load<T>(values_ + slot), load<Lane<T>>(places_ + slot)};
      const Best<T> b = best_at(second, at, y + 1, in_second), c = best_at(third, at, y + 2, in_third);
      store<T>(values_ + slot, c.value), store<Lane<T>>(places_ + slot, c.where);
      const Vec<T> best = larger_number<T>(c.value, larger_number<T>(b.value, a.value));
      const Mask<T> later = b.value == best ? b.where : c.where;
      put_lanes<false, T>(out + at, in_order<T>(best), n);
      store_indices_in_pieces<T, kStreams>(indices + at, a.value == best ? a.where : later, n);
    });
    const bool clear = clear_ && in_second.is_clear() && in_third.is_clear();
    kept_ = y + 2, clear_ = in_third.is_clear();
    return clear;
  }

 private:
  static constexpr int64_t kNone = -2;

  // Blocks may overlap, and keep what is theirs.
  __attribute__((always_inline)) static int64_t slot_of(int64_t at) { return div_up(at, kLanes<T>) * kLanes<T>; }

  const T* row_at(const T* plane, int64_t y) const { return y < g_.in_h ? plane + y * g_.in_w : padding_; }

  // What the first row of windows at the top of a band has. In padding nothing wins, and equal numbers go to the first
  // element.
  void keep(const T* plane, int64_t y) {
    NanTrace<T> trace;
    for_blocks<T>(g_.out_w, [&](int64_t at, auto) __attribute__((always_inline)) {
      Best<T> best{broadcast<T>(MaxFold<T>::kStart), places(at, 0)};
      best.where = best.where < 0 ? Mask<T>{} : best.where;
      if (y >= 0) best = best_at(plane + y * g_.in_w, at, y, trace);
      store<T>(values_ + slot_of(at), best.value), store<Lane<T>>(places_ + slot_of(at), best.where);
    });
    kept_ = y, clear_ = trace.is_clear();
  }

  // Of the left columns of kLanes windows.
  __attribute__((always_inline)) Mask<T> places(int64_t at, int64_t y) const {
    return count_lanes_in_pieces<T>(kAll) * 2 + static_cast<Lane<T>>(2 * at - g_.pad_w + y * g_.in_w);
  }

  __attribute__((always_inline)) Best<T> best_at(const T* row, int64_t at, int64_t y, NanTrace<T>& trace) const {
    constexpr int kWidth = kLanes<T>;
    const bool pads = g_.pad_w && at == 0;  // the first column is none
    const T* const x = row + 2 * at - (pads ? 0 : g_.pad_w);
    Vec<T> a = load<T>(x), b = load<T>(x + kWidth), c, d;
    if (pads) {
      c = a, d = b;
      b = pick<T, kWidth - 1, 1>(a, b, kAll), a = pick<T, kWidth - 1, 1>(broadcast<T>(MaxFold<T>::kStart), a, kAll);
    } else {
      c = load<T>(x + 1), d = load<T>(x + 1 + kWidth);
    }
    const Vec<T> left = pick_in_pieces<T, 0>(a, b, kAll), middle = pick_in_pieces<T, 1>(a, b, kAll);
    const Vec<T> right = pick_in_pieces<T, 1>(c, d, kAll);
    trace.see(left + middle + right);
    const Vec<T> best = larger_number<T>(right, larger_number<T>(middle, left));
    const Mask<T> later = (middle == best) + 2;  // a comparison gives -1
    Mask<T> where = places(at, y) + (~(left == best) & later);
    if (pads) where = where < static_cast<Lane<T>>(y * g_.in_w) ? where + 1 : where;
    return {best, where};
  }

  static constexpr LaneIndices<T> kAll{};

  const PoolGeometry g_;
  const Scratch<T> values_;
  const Scratch<Lane<T>> places_;
  const Scratch<T> padding_;
  int64_t kept_ = kNone;  // the row whose maxima are kept
  bool clear_ = true;     // of NaN
};

}  // namespace
}  // namespace fastdl::FASTDL_ISA
