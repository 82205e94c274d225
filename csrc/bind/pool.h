// Checks of the attributes of pooling, shared by its bindings.
#pragma once
#include "bind/call.h"
#include "core/pool.h"

namespace fastdl {

constexpr int64_t kLargestPool = 0x7fffffff;  // of an attribute, and of a plane: indices fit int32

struct PoolAttributes {
  const char* op;
  Dims kernel, stride, padding, dilation;

  int64_t out_size(int axis, int64_t in, bool ceil_mode) const {
    return pool_out_size(in, kernel[axis], stride[axis], padding[axis], dilation[axis], ceil_mode);
  }
  PoolGeometry geometry(int64_t planes, int64_t in_h, int64_t in_w, int64_t out_h, int64_t out_w) const {
    return {planes,    in_h,      in_w,       out_h,      out_w,       kernel[0],  kernel[1],
            stride[0], stride[1], padding[0], padding[1], dilation[0], dilation[1]};
  }
};

inline void expect_pair(const char* op, const char* what, const Dims& d, int64_t least) {
  EXPECT(d.n == 2, ValueError, op, text(what, " of two integers"), text(d));
  for (int i = 0; i < 2; ++i)
    EXPECT(d[i] >= least && d[i] <= kLargestPool, ValueError, op, text(what, " of at least ", least, " and below 2^31"),
           text(d));
}

inline void expect_pool_attributes(const PoolAttributes& a) {
  expect_pair(a.op, "kernel_size", a.kernel, 1);
  expect_pair(a.op, "stride", a.stride, 1);
  expect_pair(a.op, "padding", a.padding, 0);
  expect_pair(a.op, "dilation", a.dilation, 1);
  for (int i = 0; i < 2; ++i)
    EXPECT(a.padding[i] <= a.kernel[i] / 2, ValueError, a.op, text("padding of at most half the kernel ", a.kernel),
           text("padding ", a.padding));
}

// Sizes without elements are refused as well: padding alone has no element to pool.
inline void expect_plane(const char* op, int64_t h, int64_t w) {
  EXPECT(h > 0 && w > 0, ValueError, op, text("planes with elements"), text(h, " x ", w));
  EXPECT(w <= kLargestPool / h, ValueError, op, text("planes of less than 2^31 elements"), text(h, " x ", w));
}

// The shape of the output for an input (N, C, H, W); axes behind these stay.
inline Dims pooled_shape(const PoolAttributes& a, const Array& x, bool ceil_mode) {
  expect_plane(a.op, x.dim(2), x.dim(3));
  Dims shape = x.shape;
  for (int i = 0; i < 2; ++i) shape[2 + i] = a.out_size(i, x.dim(2 + i), ceil_mode);
  EXPECT(shape[2] > 0 && shape[3] > 0, ValueError, a.op,
         text("a plane that holds a window of kernel ", a.kernel, ", dilation ", a.dilation, ", padding ", a.padding),
         text("shape ", x.shape));
  return shape;
}

#if defined(FASTDL_DEVICE_CPU)
// The shape of the output for an input (N, C / block, H, W, block) of float32.
inline Dims pooled_nchwc_shape(const PoolAttributes& a, const Array& x, bool ceil_mode) {
  expect_ndim(a.op, "input", x, 5);
  expect_same_dtype(a.op, "input", x, DType::kFloat32);
  EXPECT(x.dim(4) > 0, ValueError, a.op, "blocks of at least 1 channel", text("shape ", x.shape));
  return pooled_shape(a, x, ceil_mode);
}
#endif

// A gradient (N, C, H', W') for an input of input_hw: each axis has the size of floor or of ceil mode.
inline void expect_pooled_grad(const PoolAttributes& a, const Array& grad, const Dims& input_hw) {
  expect_pair(a.op, "input_hw", input_hw, 0);
  expect_plane(a.op, input_hw[0], input_hw[1]);
  for (int i = 0; i < 2; ++i) {
    const int64_t low = a.out_size(i, input_hw[i], false), high = a.out_size(i, input_hw[i], true);
    EXPECT(grad.dim(2 + i) == low || grad.dim(2 + i) == high, ValueError, a.op,
           text("grad of size ", low, low == high ? "" : text(" or ", high), " on axis ", 2 + i, " for an input of ",
                input_hw),
           text("shape ", grad.shape));
  }
}

inline void expect_index_dtype(const char* op, DType t) {
  EXPECT(t == DType::kInt32 || t == DType::kInt64, TypeError, op, "indices of dtype int32 or int64", text(t));
}

// `bad` is 1 + the position of the first index outside its plane, or 0.
template <class F>
void expect_indices(const char* op, F& bad, int64_t plane) {
  bad.check([op, plane](const int64_t* found) {
    EXPECT(*found == 0, IndexError, op, text("indices into a plane of ", plane, " elements"),
           text("one outside it at position ", *found - 1));
  });
}

}  // namespace fastdl
