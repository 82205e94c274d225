// Elements chosen by indices: along one axis the same for all lines (index_select and its gradient), or for each place
// of its own (gather, scatter); places of what is not 0.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// An array as (outer, n, inner) around the axis, and m indices along it: m numbers, or (outer, m, inner) for gather.
struct IndexGeometry {
  int64_t outer, n, inner, m;
};

// out[o][j][:] = x[o][index[j]][:]
struct IndexSelectArgs {
  int itemsize;
  IndexGeometry g;
  const int64_t* index;  // int64, as in all of this room; no memory is touched through a bad one
  int64_t* bad_index;    // one number (LateFault): 1 + the position of the first index outside [0, n), or 0
  const void* x;
  void* out;  // (outer, m, inner)
};
// x[o][index[j]][:] = value[o][j][:], in order: the last one wins.
struct IndexAssignArgs {
  int itemsize;
  IndexGeometry g;
  const int64_t* index;
  int64_t* bad_index;
  const void* value;
  void* x;
};
// out[o][i][:] = the sum of source[o][j][:] over index[j] == i, in order.
struct IndexAddArgs {
  DType dtype;
  IndexGeometry g;
  const int64_t* index;
  int64_t* bad_index;
  const void* source;
  void* out;
};

// out[o][j][k] = x[o][index[o][j][k]][k]
struct GatherArgs {
  int itemsize;
  IndexGeometry g;
  const int64_t* index;
  int64_t* bad_index;
  const void* x;
  void* out;
};
// x[o][index[o][j][k]][k] = source[o][j][k], or += ; in the order of j.
struct ScatterArgs {
  DType dtype;
  IndexGeometry g;
  const int64_t* index;
  int64_t* bad_index;
  const void* source;
  void* x;
  bool add;
};

// One index from several: index[i] along axes of sizes[0], sizes[1], ...; negative ones count from the end.
struct LinearIndexArgs {
  int64_t count;
  int axes;
  int64_t sizes[kMaxDims];
  const int64_t* index[kMaxDims];
  int64_t* out;
  int64_t* bad;  // two numbers on the host: 1 + the axis of the first bad index, or 0, and its position
};

// The coordinates of elements that are not 0, in order, `count` rows; only counts them without `out`.
struct NonzeroArgs {
  DType dtype;
  Dims shape;
  const void* x;
  int64_t* out;
  int64_t* count;
};

}  // namespace fastdl

FASTDL_KERNEL(index_select, IndexSelectArgs)
FASTDL_KERNEL(index_assign, IndexAssignArgs)
FASTDL_KERNEL(index_add, IndexAddArgs)
FASTDL_KERNEL(gather_along, GatherArgs)
FASTDL_KERNEL(scatter_along, ScatterArgs)
FASTDL_KERNEL(linear_index, LinearIndexArgs)
FASTDL_KERNEL(find_nonzero, NonzeroArgs)
