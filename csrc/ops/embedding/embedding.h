// Rows of a table by their numbers, singly (embedding) or summed over bags (embedding_bag), and their gradients.
#pragma once
#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// A table of rows x width numbers, and `count` lookups: numbers of rows, int32 or int64.
struct EmbeddingTable {
  DType dtype, index_dtype;
  int64_t rows, width, count;
  const void* index;
  int64_t* bad_index;  // one number: 1 + the position of the first index outside [0, rows), or 0; of embedding_fwd and
                       // embedding_bwd a LateFault's. No row is read or written through such an index.
};

struct EmbeddingFwdArgs {
  EmbeddingTable t;
  const void* weight;
  void* out;  // (count, width)
};

// Where a gradient goes: into all rows, or only into those that were looked up.
struct EmbeddingGradient {
  int64_t padding;        // a row that gets no gradient, or -1
  bool by_frequency;      // each row's gradient divided by the number of its lookups
  void* out;              // (rows, width), or the first *touched rows of (count, width)
  int64_t* touched_rows;  // null for all rows; else the numbers of the rows in `out`, ascending
  int64_t* touched;       // how many these are
};

struct EmbeddingBwdArgs {
  EmbeddingTable t;
  const void* grad;  // (count, width)
  EmbeddingGradient g;
};

// Rows that were looked up and whose norm is above max_norm are scaled down to it, each once.
struct EmbeddingRenormArgs {
  EmbeddingTable t;
  double max_norm, norm_type;
  void* weight;
};

enum class BagMode { kSum, kMean, kMax };

// Bag b has the lookups offsets[b] to offsets[b + 1]; those of the padding row count nothing.
struct Bags {
  BagMode mode;
  int64_t count;
  const int64_t* offsets;  // count + 1 numbers, ascending from 0 to at most the number of lookups
  int64_t used;            // lookups in bags: the last offset
  const void* weights;     // one for each lookup, or null
  int64_t padding;
};

struct EmbeddingBagFwdArgs {
  EmbeddingTable t;
  Bags bags;
  const void* weight;
  void* out;        // (bags, width)
  int64_t* maxima;  // kMax: the row that each number came from, -1 in bags without lookups
};

struct EmbeddingBagBwdArgs {
  EmbeddingTable t;
  Bags bags;
  const void* grad;       // (bags, width)
  const int64_t* maxima;  // kMax: as above; *bad_index is -1 - the position of the first one outside [-1, rows)
  EmbeddingGradient g;
};

// grad_weights[i] = the dot product of the gradient of lookup i's bag and its row.
struct EmbeddingBagWeightsArgs {
  EmbeddingTable t;
  Bags bags;
  const void *grad, *weight;
  void* grad_weights;
};

}  // namespace fastdl

FASTDL_KERNEL(embedding_fwd, EmbeddingFwdArgs)
FASTDL_KERNEL(embedding_bwd, EmbeddingBwdArgs)
FASTDL_KERNEL(embedding_renorm, EmbeddingRenormArgs)
FASTDL_KERNEL(embedding_bag_fwd, EmbeddingBagFwdArgs)
FASTDL_KERNEL(embedding_bag_bwd, EmbeddingBagBwdArgs)
FASTDL_KERNEL(embedding_bag_weights, EmbeddingBagWeightsArgs)
