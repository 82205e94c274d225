// Bags of rows on the CPU: sums, means and maxima of the rows that a bag looks up, without a copy of these rows.
//
//   sum   out[b] = sum over the bag's lookups i of w[i] * weight[index[i]]
//
//   mean  the same, divided by their number
//
//   max   out[b][j] = max of weight[index[i]][j], and which row it came from
//
// A chunk owns bags. The columns of a bag are taken in blocks that fit the registers, over all its rows. The gradients
// of sums and means are those of single lookups whose gradient is their bag's; those of maxima go to one row a number,
// and there a chunk owns columns.
#include "ops/embedding/embedding_gradient-inl.h"

namespace fastdl::FASTDL_ISA {

constexpr int kMaxVectors = 4;              // of maxima and their rows in registers together
constexpr int64_t kMaxColumns = 16;         // columns of a chunk in the gradient of maxima: whole cache lines
constexpr int64_t kBagNumbers = 32 * 1024;  // numbers read in a chunk of bags, about

static int64_t bag_grain(const EmbeddingTable& t, const Bags& bags) {
  const int64_t numbers = (t.count / (bags.count > 0 ? bags.count : 1) + 1) * (t.width + 1);
  return kBagNumbers / (numbers + 1) + 1;
}

// The lookups of bag b that count, as (row, position). Returns how many.
template <class Index>
static int64_t lookups_of(const Bags& bags, int64_t b, const Index* index, Lookup* out) {
  int64_t n = 0;
  for (int64_t i = bags.offsets[b]; i < bags.offsets[b + 1]; ++i) {
    out[n] = static_cast<Lookup>(index[i]) << 32 | static_cast<Lookup>(i);
    n += index[i] != bags.padding;
  }
  return n;
}
// ---- forward --------------------------------------------------------------------------------------------------------

// kVectors vectors of maxima from `column` on; n numbers of the last vector.
template <class T, int kVectors>
static void max_columns(const Addends<T>& a, const Lookup* x, int64_t count, int64_t column, int n, T* out,
                        int64_t* maxima) {
  constexpr int L = kLanes<T>;
  using Lane = std::remove_reference_t<decltype(Mask<T>{}[0] + 0)>;
  Vec<T> best[kVectors];
  Mask<T> where[kVectors] = {};
  for (int v = 0; v < kVectors; ++v) best[v] = load_some<T>(addend(a, x[0]) + column + v * L, v + 1 < kVectors ? L : n);
  for (int64_t i = 1; i < count; ++i) {
    const T* const source = addend(a, x[i]) + column;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const Vec<T> s = load_some<T>(source + v * L, v + 1 < kVectors ? L : n);
      const Mask<T> better = s > best[v];
      best[v] = select<T>(better, s, best[v]);
      where[v] = better ? Mask<T>{} + static_cast<Lane>(i) : where[v];
    }
  }
  for (int v = 0; v < kVectors; ++v) {
    const int lanes = v + 1 < kVectors ? L : n;
    store_some<T>(out + column + v * L, best[v], lanes);
    for (int l = 0; l < lanes; ++l) maxima[column + v * L + l] = row_of(x[where[v][l]]);
  }
}

template <class T>
static void max_bag(const Addends<T>& a, const Lookup* x, int64_t count, T* out, int64_t* maxima) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
  if (count == 0) {
    for (; j < a.width; ++j) out[j] = T{0}, maxima[j] = -1;
    return;
  }
  for (; j + kMaxVectors * L <= a.width; j += kMaxVectors * L)
    max_columns<T, kMaxVectors>(a, x, count, j, L, out, maxima);
  for (; j < a.width; j += L)
    max_columns<T, 1>(a, x, count, j, static_cast<int>(a.width - j < L ? a.width - j : L), out, maxima);
}

void embedding_bag_fwd(const EmbeddingBagFwdArgs& a) {
  visit_table(a.t, [&](auto zero, auto index) {
    using T = decltype(zero);
    const Addends<T> rows{static_cast<const T*>(a.weight), a.t.width, nullptr, static_cast<const T*>(a.bags.weights),
                          true};
    if (a.bags.count == 0) return;
    parallel_for(a.bags.count, bag_grain(a.t, a.bags), [&](int64_t begin, int64_t end) {
      // All lookups of the chunk in a row, so that memory is asked for the next bag while this one is summed.
      Scratch<Lookup> lookups(a.bags.offsets[end] - a.bags.offsets[begin]);
      Scratch<int64_t> counts(end - begin);
      int64_t total = 0;
      for (int64_t b = begin; b < end; ++b) {
        counts[b - begin] = lookups_of(a.bags, b, index, lookups + total);
        total += counts[b - begin];
      }
      const Lookup *x = lookups, *const ahead = lookups + total;
      for (int64_t b = begin; b < end; x += counts[b++ - begin]) {
        T* const out = static_cast<T*>(a.out) + b * a.t.width;
        const int64_t n = counts[b - begin];
        if (a.bags.mode == BagMode::kMax)
          max_bag<T>(rows, x, n, out, a.maxima + b * a.t.width);
        else if (n == 0)
          zero_row<T, false>(out, a.t.width);
        else if (rows.scale)
          sum_row<T, true, false>(rows, x, n, ahead, T{1}, out);
        else
          sum_row<T, false, false>(rows, x, n, ahead, a.bags.mode == BagMode::kMean ? T{1} / static_cast<T>(n) : T{1},
                                   out);
      }
    });
  });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// Adds in the order of the bags; a chunk owns columns of the whole table, so its rows are zeroed by it too.
template <class T>
static void add_maxima(const EmbeddingBagBwdArgs& a, T* out) {
  const int64_t width = a.t.width;
  const T* const grad = static_cast<const T*>(a.grad);
  for (int64_t i = 0; i < a.bags.count * width; ++i)
    if (a.maxima[i] < -1 || a.maxima[i] >= a.t.rows) return void(*a.t.bad_index = -1 - i);
  parallel_for(a.t.rows, kSumGrain / (width + 1) + 1,
               [&](int64_t begin, int64_t end) { zero_row<T, false>(out + begin * width, (end - begin) * width); });
  parallel_for(width, kMaxColumns, [&](int64_t begin, int64_t end) {
    for (int64_t b = 0; b < a.bags.count; ++b) {
      for (int64_t j = begin; j < end; ++j) {
        const int64_t row = a.maxima[b * width + j];
        if (row >= 0) out[row * width + j] += grad[b * width + j];
      }
    }
  });
}

void embedding_bag_bwd(const EmbeddingBagBwdArgs& a) {
  visit_table(a.t, [&](auto zero, auto index) {
    using T = decltype(zero);
    if (a.bags.mode == BagMode::kMax) return add_maxima<T>(a, static_cast<T*>(a.g.out));
    // Lookups after the last bag count nothing.
    const int64_t n = a.bags.used;
    Scratch<int64_t> bag(n);
    const bool mean = a.bags.mode == BagMode::kMean;
    Scratch<T> scale(mean ? n : 0);
    parallel_for(a.bags.count, bag_grain(a.t, a.bags), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = a.bags.offsets[b], last = a.bags.offsets[b + 1];
        int64_t count = 0;
        for (int64_t i = first; i < last; ++i) bag[i] = b, count += index[i] != a.bags.padding;
        for (int64_t i = first; mean && i < last; ++i) scale[i] = T{1} / static_cast<T>(count ? count : 1);
      }
    });
    const T* const weights = static_cast<const T*>(a.bags.weights);
    const Addends<T> grads{static_cast<const T*>(a.grad), a.t.width, bag, mean ? scale.get() : weights, false};
    add_to_table<T>(a.t, index, n, grads, a.g);
  });
}

void embedding_bag_weights(const EmbeddingBagWeightsArgs& a) {
  visit_table(a.t, [&](auto zero, auto index) {
    using T = decltype(zero);
    T* const out = static_cast<T*>(a.grad_weights);
    const int64_t width = a.t.width;
    for (int64_t i = a.bags.used; i < a.t.count; ++i) out[i] = T{0};
    if (a.bags.count == 0) return;
    parallel_for(a.bags.count, bag_grain(a.t, a.bags), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const T* const grad = static_cast<const T*>(a.grad) + b * width;
        for (int64_t i = a.bags.offsets[b]; i < a.bags.offsets[b + 1]; ++i) {
          const T* const row = static_cast<const T*>(a.weight) + index[i] * width;
          Vec<T> sum{};
          for (int64_t j = 0; j < width; j += kLanes<T>)
            sum += load_some<T>(grad + j, width - j) * load_some<T>(row + j, width - j);
          out[i] = index[i] == a.bags.padding ? T{0} : tree_sum<T>(sum);
        }
      }
    });
  });
}

}  // namespace fastdl::FASTDL_ISA
