// Elementwise operations on CUDA: out[i] = f(operands at i). They compute a few instructions for each element that they
// move, so all that counts is memory: every access is a pack of 16 bytes where alignment and broadcast axes allow it.
//
// Layout. The output is contiguous; element i of it is at locate(axes, i) in each operand. The axes arrive merged, so
// operands of one shape have a single axis, and finding an element costs no division.
//
//        out (2, 6), b broadcast along the first axis: strides (0, 1)         packs of 2
//        [ o0 o1 | o2 o3 | o4 o5 ]   thread 0 1 2    each pack lies within one row, and so does what
//        [ o6 o7 | o8 o9 | .. .. ]   thread 3 4 5    it needs of b: a pack, or one element (stride 0)
//
// Who owns what. A thread owns one pack of N output elements; N is 1 where packs do not fit. It has read its operands
// before it writes, so an operand may be the output. The last thread's pack may end after n, and load_pack and
// store_pack then move what there is. That happens on a single axis only; rows that are not whole packs go element by
// element (divides_into_packs).
#pragma once
#include "core/wrapping.h"
#include "cuda/access.cuh"
#include "ops/elementwise/elementwise.h"

namespace fastdl {

// nvcc warns of unsigned numbers compared with 0.
template <class T>
__device__ inline bool is_negative(T x) {
  if constexpr (std::is_unsigned_v<T>)
    return false;
  else
    return x < T{0};
}

// An array, or without data one number for all elements. `step` is the stride along the last axis.
template <class T>
struct Operand {
  const T* data;
  T scalar;
  int64_t step;
};

// The branches go one way for the whole grid, so they cost a comparison and no divergence; that saves a kernel for each
// combination of arrays, rows, columns and numbers.
template <int N, class T>
__device__ inline Pack<T, N> read(const Operand<T>& x, int64_t at, int64_t count) {
  if (x.data == nullptr) return splat<N>(x.scalar);
  // A warp reads one address here, or few.
  if (x.step == 0) return splat<N>(x.data[at]);
  return load_pack<N>(x.data + at, count);
}

template <class T>
T scalar_of(double number, int64_t integer) {
  return is_float(DTypeOf<T>::value) ? static_cast<T>(number) : static_cast<T>(integer);
}

// Elements a thread where packs fit. At least 4, since the bytes that go with 8-byte numbers (results of comparisons,
// conditions, casts) move as 4-byte words.
template <class T>
constexpr int kWide = kPack<T> < 4 ? 4 : kPack<T>;

template <int kOperands, class... Strides>
Axes<kOperands> axes_of(const Dims& shape, const Strides&... strides) {
  Axes<kOperands> axes;
  for (int d = 0; d < shape.n; ++d) axes.push(shape[d], strides[d]...);
  return axes;
}
template <int kOperands>
int64_t step_of(const Axes<kOperands>& axes, int operand) {
  return axes.rank > 0 ? axes.stride[operand][axes.rank - 1] : 0;
}

// A bool is read as the byte that it is: its values 0 and 1 compare and convert like those of uint8.
template <class F>
void visit_stored(DType t, F&& f) {
  if (t == DType::kBool || t == DType::kUInt8) return f(uint8_t{});
  visit_number(t, f);
}

template <class F>
void visit_integer(DType t, F&& f) {
  if (t == DType::kInt32) return f(int32_t{});
  if (t == DType::kInt64) return f(int64_t{});
  if (t == DType::kUInt8) return f(uint8_t{});
}

}  // namespace fastdl
