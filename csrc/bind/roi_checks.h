// Checks of feature maps and regions of interest (RoIs), shared by the operations that pool over them.
#pragma once
#include "bind/call.h"

namespace fastdl {

constexpr int64_t kMostRois = 0x7fffffff;  // also cells and bins along an axis

inline void expect_map(const char* op, const Dims& shape) {
  EXPECT(shape.n == 4, ValueError, op, text("input of shape (N, C, H, W)"), text("shape ", shape));
  EXPECT(shape[2] >= 1 && shape[3] >= 1, ValueError, op, text("planes with elements"), text(shape[2], " x ", shape[3]));
  EXPECT(shape[2] <= kMostRois / shape[3], ValueError, op, text("planes of less than 2^31 elements"),
         text(shape[2], " x ", shape[3]));
}

inline void expect_rois(const char* op, const Array& rois, DType dtype) {
  expect_same_dtype(op, "rois", rois, dtype);
  EXPECT(rois.ndim() == 2 && rois.dim(1) == 5, ValueError, op, text("rois of shape (K, 5)"),
         text("shape ", rois.shape));
  EXPECT(rois.dim(0) <= kMostRois, ValueError, op, text("less than 2^31 rois"), text(rois.dim(0)));
}

inline void expect_bins(const char* op, const Dims& output_size, double spatial_scale) {
  EXPECT(output_size.n == 2, ValueError, op, text("output_size of two integers"), text(output_size));
  for (int i = 0; i < 2; ++i)
    EXPECT(output_size[i] >= 1 && output_size[i] <= kMostRois, ValueError, op,
           text("output_size of at least 1 and below 2^31"), text(output_size));
  EXPECT(spatial_scale > 0 && spatial_scale - spatial_scale == 0, ValueError, op,
         text("a finite spatial_scale above 0"), text(spatial_scale));
}

// What the kernel found: 1 + the first RoI of an image that does not exist, or 0.
inline void expect_images(const char* op, Fault& bad_roi, int64_t images) {
  bad_roi.check([op, images](const int64_t* found) {
    EXPECT(*found == 0, IndexError, op, text("images of rois in [0, ", images, ")"),
           text("another one in roi ", *found - 1));
  });
}

}  // namespace fastdl
