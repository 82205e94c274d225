// Axes that go on beyond their ends, on the CPU: pad by reflection, repetition or from the other end, and roll.
//
//     out[i0, i1, ..] = x[from(i0), from(i1), ..]
//
// A row of the output comes from one row of x and has up to three parts, each a run of memory:
//
//     |  before: start  |  x itself: n  |  after: m - n - start  |
//        reversed, one                     reversed, one
//        number, or a copy                 number, or a copy
//
// The gradient is gathered: a row of it is the sum of the rows of grad that were taken from it, and of their parts.
// Each number adds up in one order: x itself, before, after; within each the rows of grad, the places in a row.
//
// Threads own blocks of rows, or of parts of a long one.
#include "ops/layout/layout.h"
#include "ops/layout/layout_rows-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

// ---- forward --------------------------------------------------------------------------------------------------------

template <class T, Extension kMode>
class ExtendedRows {
 public:
  explicit ExtendedRows(const ExtendArgs& args) : p_(&args), line_(args.axis[args.rank - 1]) {
    int64_t stride = 1;
    for (int k = p_->rank - 1; k >= 0; --k) stride_[k] = stride, stride *= p_->axis[k].n;
  }

  void seek(int64_t row) {
    for (int k = last() - 1; k >= 0; --k) {
      at_[k] = row % p_->axis[k].m, row /= p_->axis[k].m;
      find(k);
    }
    find_row();
  }

  void step() {
    for (int k = last() - 1; k >= 0; --k) {
      const bool inside = ++at_[k] < p_->axis[k].m;
      if (!inside) at_[k] = 0;
      find(k);
      if (inside) break;
    }
    find_row();
  }

  FASTDL_BODY void write(int64_t column, int64_t count, T* to) const {
    const int64_t size = line_.n;
    int64_t place = column - line_.start;
    const int64_t end = place + count;
    if (place < 0) {
      const int64_t n = (end < 0 ? end : 0) - place;
      take(place, n, to);
      to += n, place += n;
    }
    if (place < end && place < size) {
      const int64_t n = (end < size ? end : size) - place;
      copy_run(row_ + place, to, n);
      to += n, place += n;
    }
    if (place < end) take(place, end - place, to);
  }

 private:
  int last() const { return p_->rank - 1; }
  void find(int k) {
    const Extended& a = p_->axis[k];
    from_[k] = taken_from(kMode, a.n, at_[k] - a.start) * stride_[k];
  }
  void find_row() {
    row_ = static_cast<const T*>(p_->x);
    for (int k = 0; k < last(); ++k) row_ += from_[k];
  }
  // Places on one side of the row.
  FASTDL_BODY void take(int64_t place, int64_t n, T* to) const {
    const T* const first = row_ + taken_from(kMode, line_.n, place);
    if constexpr (kMode == Extension::kReflect)
      reverse_run(first, to, n);
    else if constexpr (kMode == Extension::kReplicate)
      fill_run(*first, to, n);
    else
      copy_run(first, to, n);
  }

  const ExtendArgs* p_;
  const Extended line_;  // the last axis
  const T* row_ = nullptr;
  int64_t stride_[kMaxDims], at_[kMaxDims], from_[kMaxDims];  // at_, from_: of the axes before the last
};

// ---- gradient -------------------------------------------------------------------------------------------------------

template <class T>
class FoldedRows {
 public:
  explicit FoldedRows(const FoldArgs& args) : p_(&args) {}

  void seek(int64_t row) {
    const int64_t height = p_->axis[1].n, depth = p_->axis[0].n;
    y_ = row % height, z_ = row / height % depth;
    outer_ = row / height / depth;
    find();
  }
  void step() {
    if (++y_ == p_->axis[1].n) {
      y_ = 0;
      if (++z_ == p_->axis[0].n) z_ = 0, ++outer_;
    }
    find();
  }

  FASTDL_BODY void write(int64_t column, int64_t count, T* to) const {
    const Extended& a = p_->axis[2];
    // The places of x itself that the output has: all but what was cut off.
    const int64_t from = most(column, -a.start), until = most(from, least(column + count, a.m - a.start));
    bool first = true;
    each_row([&](const T* grad) FASTDL_BODY {
      const T* const source = grad + a.start + from;
      if (first)
        copy_run(source, to + (from - column), until - from);
      else
        add_run(source, to + (from - column), until - from);
      first = false;
    });
    if (first) return fill_run(T{}, to, count);
    fill_run(T{}, to, least(from - column, count));
    if (until < column + count) fill_run(T{}, to + (until - column), column + count - until);
    if (a.start > 0) add_before(column, count, to);
    if (a.m > a.start + a.n) add_after(column, count, to);
  }

 private:
  static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
  static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

  void find() {
    only_ = nullptr;
    int64_t count = 0;
    for (int side = 0; side < kSides; ++side) {
      zs_[side] = places_of(p_->mode, p_->axis[0], z_, side);
      ys_[side] = places_of(p_->mode, p_->axis[1], y_, side);
    }
    each_row([&](const T* grad) FASTDL_BODY { only_ = grad, ++count; });
    if (count != 1) only_ = nullptr;
  }
  // The rows of grad that were taken from this one, in order.
  template <class F>
  FASTDL_BODY void each_row(F f) const {
    if (only_) return f(only_);
    for (const Places& zs : zs_)
      for (int64_t z = zs.first; z < zs.end; ++z)
        for (const Places& ys : ys_)
          for (int64_t y = ys.first; y < ys.end; ++y)
            f(static_cast<const T*>(p_->grad) + ((outer_ * p_->axis[0].m + z) * p_->axis[1].m + y) * p_->axis[2].m);
  }

  // grad[0 .. start) and grad[start + n .. m), onto the elements in [column, column + count) that they were taken from.
  void add_before(int64_t column, int64_t count, T* to) const {
    const Extended& a = p_->axis[2];
    const int64_t room = least(a.start, a.m);
    if (p_->mode == Extension::kReplicate) {
      if (column == 0) add_all(0, room, to);
      return;
    }
    const bool turned = p_->mode == Extension::kReflect;
    // Element j is at start - j, or at start + j - n.
    const int64_t low = turned ? a.start - room + 1 : a.n - a.start;
    const int64_t high = turned ? a.start + 1 : a.n - a.start + room;
    add_part(column, count, low, high, turned, turned ? a.start : a.start - a.n, to);
  }
  void add_after(int64_t column, int64_t count, T* to) const {
    const Extended& a = p_->axis[2];
    const int64_t begin = most(a.start + a.n, 0);
    if (p_->mode == Extension::kReplicate) {
      if (column + count == a.n) add_all(begin, a.m, to + (count - 1));
      return;
    }
    const bool turned = p_->mode == Extension::kReflect;
    // Element j is at start + 2 (n - 1) - j, or at start + j + n.
    const int64_t mirror = a.start + 2 * (a.n - 1);
    const int64_t low = turned ? mirror - a.m + 1 : begin - a.start - a.n;
    const int64_t high = turned ? mirror - begin + 1 : a.m - a.start - a.n;
    add_part(column, count, low, high, turned, turned ? mirror : a.start + a.n, to);
  }
  // Elements j in [low, high) are at `origin` + j of grad, or at `origin` - j.
  void add_part(int64_t column, int64_t count, int64_t low, int64_t high, bool turned, int64_t origin, T* to) const {
    low = most(low, column), high = least(high, column + count);
    if (low >= high) return;
    each_row([&](const T* grad) FASTDL_BODY {
      if (turned)
        add_reversed_run(grad + origin - low, to + (low - column), high - low);
      else
        add_run(grad + origin + low, to + (low - column), high - low);
    });
  }
  void add_all(int64_t begin, int64_t end, T* to) const {
    each_row([&](const T* grad) FASTDL_BODY {
      for (int64_t i = begin; i < end; ++i) *to += grad[i];
    });
  }

  const FoldArgs* p_;
  const T* only_ = nullptr;  // the row of grad, where there is one
  int64_t outer_ = 0, z_ = 0, y_ = 0;
  Places zs_[kSides], ys_[kSides];
};

}  // namespace

// ---- launchers ------------------------------------------------------------------------------------------------------

void extend(const ExtendArgs& p) {
  const int last = p.rank - 1;
  int64_t rows = 1;
  for (int k = 0; k < last; ++k) rows *= p.axis[k].m;
  visit_itemsize(p.itemsize, [&](auto zero) FASTDL_BODY {
    using T = decltype(zero);
    T* const out = static_cast<T*>(p.out);
    const int64_t size = p.axis[last].m;
    if (p.mode == Extension::kReflect) write_rows(out, rows, size, ExtendedRows<T, Extension::kReflect>(p));
    if (p.mode == Extension::kReplicate) write_rows(out, rows, size, ExtendedRows<T, Extension::kReplicate>(p));
    if (p.mode == Extension::kCircular) write_rows(out, rows, size, ExtendedRows<T, Extension::kCircular>(p));
  });
}

void fold_extended(const FoldArgs& p) {
  visit_float(p.dtype, [&](auto zero) FASTDL_BODY {
    using T = decltype(zero);
    write_rows(static_cast<T*>(p.out), p.outer * p.axis[0].n * p.axis[1].n, p.axis[2].n, FoldedRows<T>(p));
  });
}

}  // namespace fastdl::FASTDL_ISA
