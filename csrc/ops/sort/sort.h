// Order along an axis: sorting, the k first, the k-th, places in sorted sequences, and which numbers are equal.
//
// Everywhere NaN comes after all numbers, -0 and 0 are equal, and of equal numbers the one of the lower index comes
// first, in descending order too: so each result is the only right one.
#pragma once
#include "core/dtype.h"
#include "core/kernel.h"

namespace fastdl {

// An array as (outer, n, inner) around the axis: outer * inner lines of n numbers, `inner` apart.
struct Lines {
  int64_t outer, n, inner;
};

// The lines in order, and where each number was.
struct SortArgs {
  DType dtype;
  Lines lines;
  bool descending;
  const void* x;
  void* values;  // null: only the indices
  int64_t* indices;
};
// The first k of each line in that order, k <= n. Outputs (outer, k, inner).
struct TopkArgs {
  DType dtype;
  Lines lines;
  int64_t k;
  bool largest;
  const void* x;
  void* values;
  int64_t* indices;
};
enum class Rank { kGiven, kMedian, kNanMedian };
// The number of rank k, from 0 on, in ascending order; or the lower median: NaN where a line has one (its first), or of
// the other numbers. Outputs (outer, inner).
struct KthArgs {
  DType dtype;
  Lines lines;
  Rank rank;
  int64_t k;
  const void* x;
  void* values;
  int64_t* indices;
};
// The gradient of chosen values: zeros, and grad[o][j][i] at out[o][indices[o][j][i]][i]; no two indices are equal.
struct ChosenBwdArgs {
  DType dtype;
  Lines lines;  // of out
  int64_t m;    // of grad and indices (outer, m, inner); none is used that is not in [0, n)
  const void* grad;
  const int64_t* indices;
  void* out;
  int64_t* bad_index;  // one number (LateFault): 1 + the position of the first bad one, or 0
};
// How many numbers of its sequence lie below each x, or (right) not above it.
struct SearchSortedArgs {
  DType dtype;
  bool right;
  int64_t sequences, length, count;  // sequences (sequences or 1, length), x and out (sequences, count)
  bool shared;                       // one sequence for all
  const void* sorted;
  const void* x;
  int64_t* out;
};
// Of sorted numbers: first[g] is where the g-th group of equals begins; and, with the indices that they had,
// inverse[indices[i]] is the group of i. Every NaN is a group of its own, as in PyTorch.
struct GroupEqualArgs {
  DType dtype;
  int64_t n;
  const void* sorted;
  const int64_t* indices;  // in [0, n), or null, as inverse is then; checked before memory is touched
  int64_t* inverse;
  int64_t* first;      // n numbers; the first *groups of them are written
  int64_t* groups;     // one number on the host
  int64_t* bad_index;  // one number on the host, likewise
};

}  // namespace fastdl

FASTDL_KERNEL(sort_lines, SortArgs)
FASTDL_KERNEL(topk_lines, TopkArgs)
FASTDL_KERNEL(kth_of_lines, KthArgs)
FASTDL_KERNEL(chosen_bwd, ChosenBwdArgs)
FASTDL_KERNEL(search_sorted, SearchSortedArgs)
FASTDL_KERNEL(group_equal, GroupEqualArgs)
