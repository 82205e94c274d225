// Triangles of matrices on the CPU: each row is a run of x and zeros, in one order or the other. What is not kept is
// not read. Threads own blocks of rows.
#include "ops/layout/layout.h"
#include "ops/layout/layout_rows-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

template <class T>
class TriangleRows {
 public:
  explicit TriangleRows(const TriangleArgs& args) : p_(&args) {}

  void seek(int64_t row) {
    row_ = static_cast<const T*>(p_->x) + row * p_->columns;
    at_ = row % p_->rows;
  }
  void step() {
    row_ += p_->columns;
    if (++at_ == p_->rows) at_ = 0;
  }

  FASTDL_BODY void write(int64_t column, int64_t n, T* to) const {
    // The first column beyond the lower triangle, or of the upper one.
    int64_t split = at_ + p_->diagonal + (p_->lower ? 1 : 0) - column;
    split = split < 0 ? 0 : split < n ? split : n;
    const T* const x = row_ + column;
    if (p_->lower) {
      copy_run(x, to, split);
      fill_run(T{}, to + split, n - split);
    } else {
      fill_run(T{}, to, split);
      copy_run(x + split, to + split, n - split);
    }
  }

 private:
  const TriangleArgs* p_;
  const T* row_ = nullptr;
  int64_t at_ = 0;  // the row in its matrix
};

}  // namespace

void triangle(const TriangleArgs& p) {
  visit_itemsize(p.itemsize, [&](auto zero) FASTDL_BODY {
    using T = decltype(zero);
    write_rows(static_cast<T*>(p.out), p.matrices * p.rows, p.columns, TriangleRows<T>(p));
  });
}

}  // namespace fastdl::FASTDL_ISA
