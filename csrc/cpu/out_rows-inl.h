// Rows that a kernel writes one after another, straight to memory or past the caches.
//
// A stream wants whole aligned lines, which rows of any length are not. Large outputs are therefore built row by row in
// a buffer in L1 that lies to the lines as the output does, and its full vectors are streamed:
//
//   output     |....hhhh|rrrrrrrr|rrrrSSSS|SSSS....     h: first vector, shared with the rows before: ordinary stores
//   buffer     |    hhhh|rrrrrrrr|rrrr|                 the last four wait for the next row
#pragma once
#include "cpu/parallel.h"
#include "cpu/shuffle-inl.h"

namespace fastdl::FASTDL_ISA {
namespace {

template <class T>
class OutRows {
 public:
  // For rows of at most `longest` elements. `bytes`: of all that is written, by which to choose.
  OutRows(int64_t bytes, int64_t longest)
      : streams_(bytes >= kStreamBytes), buffer_(streams_ ? longest + kLanes<T> : 0) {}

  void start(T* out) {
    const int64_t misplaced = static_cast<int64_t>(reinterpret_cast<uintptr_t>(out) % kVecBytes / sizeof(T));
    head_ = filled_ = streams_ ? misplaced : 0;
    out_ = out - filled_;
  }

  // Where to build the next row.
  __attribute__((always_inline)) T* next() const { return streams_ ? buffer_ + filled_ : out_; }

  // The next n elements are there.
  __attribute__((always_inline)) void done(int64_t n) {
    if (streams_)
      flush(n);
    else
      out_ += n;
  }

  // Where the vectors of the next n elements may be streamed without the buffer: where rows lie as lines do. Else null.
  __attribute__((always_inline)) T* line(int64_t n) {
    if (!streams_ || filled_ || n % kLanes<T>) return nullptr;
    return (out_ += n) - n;
  }

  // A row of n elements made of vectors: value(at) gives those of [at, at + kLanes).
  template <class F>
  __attribute__((always_inline)) void build(int64_t n, F value) {
    constexpr int kWidth = kLanes<T>;
    if (T* const line_of_row = line(n)) {
      for (int64_t i = 0; i < n; i += kWidth) stream<T>(line_of_row + i, value(i));
    } else {
      T* const to = next();
      int64_t i = 0;
      for (; i + kWidth <= n; i += kWidth) store<T>(to + i, value(i));
      if (i < n) store_n<T>(to + i, value(i), static_cast<int>(n - i));
      done(n);
    }
  }

  void finish() {
    if (!streams_) return;
    for (int64_t i = head_; i < filled_; ++i) out_[i] = buffer_[i];
    store_fence();
  }

 private:
  void flush(int64_t n) {
    constexpr int kWidth = kLanes<T>;
    filled_ += n;
    int64_t i = 0;
    if (head_ && filled_ >= kWidth) {
      for (int64_t j = head_; j < kWidth; ++j) out_[j] = buffer_[j];
      head_ = 0, i = kWidth;
    }
    for (; i + kWidth <= filled_; i += kWidth) stream<T>(out_ + i, load<T>(buffer_ + i));
    if (i == 0) return;
    if (i < filled_) store<T>(buffer_, load<T>(buffer_ + i));
    out_ += i, filled_ -= i;
  }

  const bool streams_;
  const Scratch<T> buffer_;
  T* out_ = nullptr;
  int64_t filled_ = 0, head_ = 0;
};

}  // namespace
}  // namespace fastdl::FASTDL_ISA
