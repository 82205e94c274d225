// Elementwise operations on the CPU: one pass over memory, whose speed is the memory's.
//
// Layout: outputs are contiguous. Operands are walked along the last merged axis with stride 1 (Elements) or 0
// (Repeated: a scalar, or one number a row), and from row to row by a Walk over the other axes:
//
//     [N, C] + [C]               rows of C, b starts again in every row
//     [N, C, H, W] + [C, 1, 1]   merged to (N, C, HW): rows of HW, b repeated within a row
//
// Rows too short for vectors are first written out in full into a buffer that stays in the L1 cache.
// Threads own ranges of output elements. Outputs of kStreamBytes and more bypass the caches.
#pragma once
#include "core/wrapping.h"
#include "cpu/map-inl.h"
#include "cpu/parallel.h"
#include "cpu/strided-inl.h"
#include "ops/elementwise/elementwise.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kGrain = 32 * 1024;  // elements a chunk: 20 microseconds from memory
constexpr int64_t kShortRow = 32;      // below, the step from row to row costs more than writing the operand out
constexpr int kBlock = 1024;           // elements of that buffer: three of doubles are 24 KB

// Integers wrap around as NumPy's do; in C++ only unsigned ones may.
template <class T>
using Wrapping = Vec<typename WrappingOf<T>::type>;

// select for every T: the mask of bytes is one of bytes.
template <class M, class V>
FASTDL_INLINE V chosen(M mask, V a, V b) {
  return mask ? a : b;
}

template <class F>
FASTDL_INLINE void visit_integer(DType t, F&& f) {
  if (t == DType::kInt32) return f(int32_t{});
  if (t == DType::kInt64) return f(int64_t{});
  if (t == DType::kUInt8) return f(uint8_t{});
}

// ---- one operand ----------------------------------------------------------------------------------------------------

#define FASTDL_UNARY(name, integers, expression) \
  struct name##_op {                             \
    static constexpr bool kIntegers = integers;  \
    template <class T>                           \
    FASTDL_INLINE Vec<T> apply(Vec<T> x) {       \
      return expression;                         \
    }                                            \
  };

template <class Op, class T>
static void map_all(const void* x, void* out, int64_t n) {
  const bool streams = n * static_cast<int64_t>(sizeof(T)) >= kStreamBytes && x != out;
  parallel_for(n, kGrain, [=](int64_t begin, int64_t end) {
    map<T>(
        static_cast<T*>(out) + begin, end - begin, streams,
        [](Vec<T> v) FASTDL_BODY { return Op::template apply<T>(v); }, Elements<T>{static_cast<const T*>(x) + begin});
    if (streams) store_fence();
  });
}

template <class Op>
static void run_unary(const UnaryArgs& p) {
  auto run = [&](auto zero) { map_all<Op, decltype(zero)>(p.x, p.out, p.n); };
  visit_float(p.dtype, run);
  if constexpr (Op::kIntegers) visit_integer(p.dtype, run);
}

// ---- several operands -----------------------------------------------------------------------------------------------

// How one operand of a broadcast operation is read.
template <class T>
struct Operand {
  const T* p;
  int64_t stride[kMaxDims];
};
template <class T>
static void set_operand(Operand<T>& x, const void* p, const T* scalar, const Dims& stride, int axes) {
  x.p = p ? static_cast<const T*>(p) : scalar;
  for (int i = 0; i < axes; ++i) x.stride[i] = p ? stride.d[i] : 0;
}

// buffer = elements [begin, begin + n) of x read with the output's shape. Returns where they lie: no copy if x is
// dense.
template <class T>
static const T* written_out(const Operand<T>& x, const Dims& shape, int64_t begin, int64_t n, T* buffer) {
  bool dense = true;
  Walk<1> rows;
  int64_t step_size = 1;
  const int last = shape.n - 1;
  for (int i = last; i >= 0; --i) {
    dense = dense && x.stride[i] == step_size;
    step_size *= shape.d[i];
  }
  if (dense) return x.p + begin;
  for (int i = 0; i < last; ++i) add_axis<1>(rows, shape.d[i], {x.stride[i]});
  const int64_t size = shape.d[last], stride = x.stride[last];
  seek<1>(rows, begin / size);
  for (int64_t k = 0, column = begin % size; k < n; column = 0, step<1>(rows)) {
    const T* row = x.p + rows.offset[0];
    for (; column < size && k < n; ++column) buffer[k++] = row[column * stride];
  }
  return buffer;
}

// segment(a, stride of a, b, stride of b, first output, n) over all outputs; the strides are 0 or 1.
template <class T, class Segment>
FASTDL_INLINE void for_segments(const BinaryArgs& p, Segment segment) {
  constexpr bool kFloat = std::is_floating_point_v<T>;
  const T scalar_a = kFloat ? static_cast<T>(p.scalar_a) : static_cast<T>(p.integer_a);
  const T scalar_b = kFloat ? static_cast<T>(p.scalar_b) : static_cast<T>(p.integer_b);
  const int last = p.shape.n - 1;
  int64_t total = 1;
  for (int i = 0; i <= last; ++i) total *= p.shape.d[i];
  if (total == 0) return;
  Operand<T> a, b;
  set_operand(a, p.a, &scalar_a, p.stride_a, p.shape.n);
  set_operand(b, p.b, &scalar_b, p.stride_b, p.shape.n);
  const int64_t size = p.shape.d[last], stride_a = a.stride[last], stride_b = b.stride[last];

  auto flat = [&](int64_t begin, int64_t end) {
    segment(a.p + begin * stride_a, stride_a, b.p + begin * stride_b, stride_b, begin, end - begin);
  };
  auto by_rows = [&](int64_t begin, int64_t end) {
    Walk<2> rows;
    for (int i = 0; i < last; ++i) add_axis<2>(rows, p.shape.d[i], {a.stride[i], b.stride[i]});
    seek<2>(rows, begin / size);
    for (int64_t at = begin, column = begin % size; at < end; column = 0, step<2>(rows)) {
      const int64_t n = size - column < end - at ? size - column : end - at;
      segment(a.p + rows.offset[0] + column * stride_a, stride_a, b.p + rows.offset[1] + column * stride_b, stride_b,
              at, n);
      at += n;
    }
  };
  auto by_blocks = [&](int64_t begin, int64_t end) {
    T buffer_a[kBlock], buffer_b[kBlock];
    for (int64_t at = begin; at < end; at += kBlock) {
      const int64_t n = end - at < kBlock ? end - at : kBlock;
      segment(written_out(a, p.shape, at, n, buffer_a), int64_t{1}, written_out(b, p.shape, at, n, buffer_b),
              int64_t{1}, at, n);
    }
  };
  if (last == 0)
    parallel_for(total, kGrain, flat);
  else if (size < kShortRow)
    parallel_for(total, kGrain, by_blocks);
  else
    parallel_for(total, kGrain, by_rows);
}

}  // namespace fastdl::FASTDL_ISA
