// For the bindings of this room: batch sizes and orders of packed sequences, checked, as a RecurrentShape has them.
#pragma once
#include <vector>

#include "bind/host_numbers.h"
#include "core/error.h"
#include "ops/recurrent/recurrent.h"

namespace fastdl {

// Where the sequences of each step lie: the vectors behind a RecurrentShape.
struct Sequences {
  std::vector<int64_t> first, active, order;
};

// Batch sizes of packed rows: int64, not increasing, at least 1.
inline void take_batch_sizes(const char* op, const Array& sizes, Sequences& q) {
  expect_ndim(op, "batch_sizes", sizes, 1);
  expect_same_dtype(op, "batch_sizes", sizes, DType::kInt64);
  EXPECT(sizes.size > 0, ValueError, op, "batch_sizes of at least one step", text("shape ", sizes.shape));
  const HostNumbers n(sizes);
  q.active.assign(n.get(), n.get() + sizes.size);
  for (int64_t t = 0, row = 0; t < sizes.size; row += n[t++]) {
    EXPECT(n[t] >= 1 && (t == 0 || n[t] <= n[t - 1]), ValueError, op, "batch_sizes that are at least 1 and never grow",
           text(n[t], " at step ", t));
    EXPECT(n[t] < int64_t{1} << 40, ValueError, op, "batch_sizes below 2^40", text(n[t]));
    q.first.push_back(row);
  }
}

// The place of each packed sequence in the batch, a permutation; null: its own.
inline void take_order(const char* op, const Array* order, int64_t batch, Sequences& q) {
  std::vector<bool> seen(static_cast<size_t>(batch));
  if (order) {
    expect_same_dtype(op, "order", *order, DType::kInt64);
    EXPECT(order->ndim() == 1 && order->size == batch, ValueError, op, text("order of shape (", batch, ",)"),
           text("shape ", order->shape));
    const HostNumbers places(*order);
    q.order.assign(places.get(), places.get() + batch);
  } else {
    for (int64_t j = 0; j < batch; ++j) q.order.push_back(j);
  }
  for (int64_t j = 0; j < batch; ++j) {
    const int64_t to = q.order[static_cast<size_t>(j)];
    EXPECT(to >= 0 && to < batch && !seen[static_cast<size_t>(to)], ValueError, op,
           text("order that names each of ", batch, " sequences once"), text(to, " at position ", j));
    seen[static_cast<size_t>(to)] = true;
  }
}

inline void point_at(const Sequences& q, RecurrentShape& s) {
  s.steps = static_cast<int64_t>(q.first.size());
  s.first = q.first.data(), s.active = q.active.data(), s.order = q.order.data();
}

}  // namespace fastdl
