// Cross-entropy on the CPU: logits (batch, classes, inner), one loss for each of batch * inner positions.
//
//   lse = m + log sum exp(x - m), m = max x
//   loss = (1 - s) * w * (lse - x_target) + s / C * sum_c weight_c * (lse - x_c)
//   grad_x_c = scale * ((1 - s) * w * (p_c - [c = target]) + s / C * (p_c * sum of weights - weight_c)),  p = exp(x -
//   lse)
//
// The forward pass walks twice over logits that are in the caches, and a third time only for label smoothing; softmax
// is never stored. The backward pass walks once. Rows (inner = 1) are vectorised along the classes, columns across
// positions.
//
// A chunk owns rows, or blocks of kColumnBlock columns of one batch index. Losses are added in double per chunk and
// then over chunks in order.
#include "cpu/parallel.h"
#include "cpu/row_exp-inl.h"
#include "ops/cross_entropy/cross_entropy.h"

namespace fastdl::FASTDL_ISA {

// ---- targets --------------------------------------------------------------------------------------------------------

FASTDL_INLINE bool is_bad(int64_t target, int64_t classes, int64_t ignore_index) {
  return (target != ignore_index) & (static_cast<uint64_t>(target) >= static_cast<uint64_t>(classes));
}

// 1 + the position of the first bad target, or 0. The first loop has no exit, so that it vectorises.
static int64_t find_bad_target(const int64_t* target, int64_t n, int64_t classes, int64_t ignore_index) {
  int64_t bad = 0;
  for (int64_t i = 0; i < n; ++i) bad |= is_bad(target[i], classes, ignore_index);
  if (!bad) return 0;
  int64_t i = 0;
  while (!is_bad(target[i], classes, ignore_index)) ++i;
  return i + 1;
}

// ---- work items: up to kColumnBlock positions that are neighbours in the logits -------------------------------------

struct Item {
  int64_t position, logits;  // of the first: its number and the offset of its logits
  int64_t count;             // positions
};

struct Items {
  int64_t batch, classes, inner, width, per_batch, count, grain;

  explicit Items(const CrossEntropyGeometry& g) : batch(g.batch), classes(g.classes), inner(g.inner) {
    const int64_t rows = kRowChunk / (classes + 1) + 1;
    const bool is_row = inner == 1;
    const int64_t extent = is_row ? batch : inner;
    width = is_row && rows < kColumnBlock ? rows : kColumnBlock;
    per_batch = (extent + width - 1) / width;
    count = is_row ? per_batch : batch * per_batch;
    grain = is_row ? 1 : kRowChunk / (classes * (inner < width ? inner : width) + 1) + 1;
  }
  Item operator[](int64_t i) const {
    const int64_t extent = inner == 1 ? batch : inner, b = i / per_batch, from = i % per_batch * width;
    const int64_t n = extent - from < width ? extent - from : width;
    return inner == 1 ? Item{from, from * classes, n} : Item{b * inner + from, b * classes * inner + from, n};
  }
};

// ---- forward: lse and the sum for label smoothing of the positions of an item ---------------------------------------

template <class T>
struct Forward {
  const T *x, *weight;
  int64_t classes, inner;
  bool smooth;
};

template <class T>
static void row_statistics(const Forward<T>& f, const T* x, int64_t count, T* lse, T* smooth) {
  T sums[kColumnBlock];
  for (int64_t r = 0; r < count; ++r) {
    const T *const row = x + r * f.classes, m = row_max<T>(row, f.classes);
    lse[r] = m;
    sums[r] = row_sum<T>(f.classes,
                         [=](int64_t i, auto left) FASTDL_BODY { return vexp<T>(load_some<T>(row + i, left) - m); });
  }
  for_row<T>(count, [&](int64_t i, auto left) FASTDL_BODY {
    store_some<T>(lse + i, load_some<T>(lse + i, left) + vlog<T>(load_some<T>(sums + i, left)), left);
  });
  for (int64_t r = 0; f.smooth && r < count; ++r) {
    const T *const row = x + r * f.classes, *const weight = f.weight, l = lse[r];
    smooth[r] = row_sum<T>(f.classes, [=](int64_t i, auto left) FASTDL_BODY {
      const Vec<T> distance = l - load_some<T>(row + i, left);
      return weight ? distance * load_some<T>(weight + i, left) : distance;
    });
  }
}

template <class T, int kVectors>
static void tile_statistics(const Forward<T>& f, const T* x, int64_t left, T* lse, T* smooth) {
  Vec<T> m[kVectors], s[kVectors]{};
  for (auto& v : m) v = broadcast<T>(kMinusInfinity<T>);
  for_tile<T, kVectors>(f.classes, f.inner, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    m[v] = max_number<T>(load_some<T>(x + p, lanes), m[v]);
  });
  for_tile<T, kVectors>(f.classes, f.inner, left, [&](int v, int64_t p, int64_t lanes, int64_t) FASTDL_BODY {
    s[v] += vexp<T>(load_some<T>(x + p, lanes) - m[v]);
  });
  for (int v = 0; v < kVectors; ++v) {
    m[v] += vlog<T>(s[v]);
    s[v] = Vec<T>{};
    store_some<T>(lse + v * kLanes<T>, m[v], left - v * kLanes<T>);
  }
  if (!f.smooth) return;
  for_tile<T, kVectors>(f.classes, f.inner, left, [&](int v, int64_t p, int64_t lanes, int64_t c) FASTDL_BODY {
    s[v] += (m[v] - load_some<T>(x + p, lanes)) * (f.weight ? f.weight[c] : T{1});
  });
  for (int v = 0; v < kVectors; ++v) store_some<T>(smooth + v * kLanes<T>, s[v], left - v * kLanes<T>);
}

struct Sums {
  double loss, weight;
};

template <class T>
static Sums forward_item(const CrossEntropyFwdArgs& a, const Item& item) {
  const Forward<T> f{static_cast<const T*>(a.x) + item.logits, static_cast<const T*>(a.weight), a.g.classes, a.g.inner,
                     a.label_smoothing > 0};
  const int64_t* const target = a.target + item.position;
  T* const lse = static_cast<T*>(a.lse) + item.position;
  T smooth[kColumnBlock];
  if (f.inner == 1)
    row_statistics<T>(f, f.x, item.count, lse, smooth);
  else
    for_column_tiles<T>(0, item.count, [&](auto vectors, int64_t i, int64_t left) FASTDL_BODY {
      tile_statistics<T, decltype(vectors)::value>(f, f.x + i, left, lse + i, smooth + i);
    });

  const T hard = static_cast<T>(1 - a.label_smoothing);
  const T soft = static_cast<T>(a.label_smoothing / static_cast<double>(f.classes));
  const int64_t position_step = f.inner == 1 ? f.classes : 1;
  T* const losses = a.reduction == Reduction::kNone ? static_cast<T*>(a.loss) + item.position : nullptr;
  Sums sums{0, 0};
  for (int64_t i = 0; i < item.count; ++i) {
    T loss = 0;
    if (target[i] != a.ignore_index) {
      const T w = f.weight ? f.weight[target[i]] : T{1};
      loss = w * (lse[i] - f.x[i * position_step + target[i] * f.inner]);
      if (f.smooth) loss = hard * loss + soft * smooth[i];
      sums.weight += static_cast<double>(w);
    }
    if (losses) losses[i] = loss;
    sums.loss += static_cast<double>(loss);
  }
  return sums;
}

template <class T>
static void forward(const CrossEntropyFwdArgs& a) {
  const Items items(a.g);
  Scratch<Sums> sums(items.count);
  parallel_for(items.count, items.grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[i] = forward_item<T>(a, items[i]);
  });
  Sums all{0, 0};
  for (int64_t i = 0; i < items.count; ++i) all.loss += sums[i].loss, all.weight += sums[i].weight;
  *static_cast<T*>(a.total_weight) = static_cast<T>(all.weight);
  // No position counts: 0 / 0 is NaN, as in PyTorch.
  if (a.reduction != Reduction::kNone)
    *static_cast<T*>(a.loss) = static_cast<T>(a.reduction == Reduction::kMean ? all.loss / all.weight : all.loss);
}

void cross_entropy_fwd(const CrossEntropyFwdArgs& a) {
  *a.bad_target = find_bad_target(a.target, a.g.batch * a.g.inner, a.g.classes, a.ignore_index);
  if (*a.bad_target) return;
  visit_float(a.dtype, [&](auto zero) { forward<decltype(zero)>(a); });
}

// ---- backward -------------------------------------------------------------------------------------------------------

// What the gradient of a position is made of: grad_x_c = all * p_c - soft * weight_c, less `hit` at the target.
template <class T>
struct Factors {
  T all[kColumnBlock], soft[kColumnBlock], hit[kColumnBlock];
  std::conditional_t<sizeof(T) == 8, int64_t, int32_t>
      counts[kColumnBlock];  // all bits set, or 0 for ignored positions
};

template <class T>
static void fill_factors(const CrossEntropyBwdArgs& a, const Item& item, T weight_sum, Factors<T>& f) {
  const T *const grad = static_cast<const T*>(a.grad), *const weight = static_cast<const T*>(a.weight);
  const T total = *static_cast<const T*>(a.total_weight);
  const T hard = static_cast<T>(1 - a.label_smoothing);
  const T soft = static_cast<T>(a.label_smoothing / static_cast<double>(a.g.classes));
  for (int64_t i = 0; i < item.count; ++i) {
    const int64_t t = a.target[item.position + i];
    const bool counts = t != a.ignore_index;
    T scale = a.reduction == Reduction::kNone ? grad[item.position + i] : grad[0];
    if (a.reduction == Reduction::kMean) scale /= total;
    f.counts[i] = counts ? -1 : 0;
    f.hit[i] = counts ? scale * hard * (weight ? weight[t] : T{1}) : T{0};
    f.soft[i] = scale * soft;
    f.all[i] = f.hit[i] + f.soft[i] * weight_sum;
  }
}

template <class T>
static void backward_rows(const CrossEntropyBwdArgs& a, const Item& item, const Factors<T>& f) {
  const int64_t n = a.g.classes;
  const T* const weight = static_cast<const T*>(a.weight);
  for (int64_t r = 0; r < item.count; ++r) {
    const T* const x = static_cast<const T*>(a.x) + item.logits + r * n;
    T* const grad_x = static_cast<T*>(a.grad_x) + item.logits + r * n;
    if (!f.counts[r]) {
      __builtin_memset(grad_x, 0, static_cast<size_t>(n) * sizeof(T));
      continue;
    }
    const T lse = static_cast<const T*>(a.lse)[item.position + r], all = f.all[r], soft = f.soft[r];
    const bool smooth = a.label_smoothing > 0;
    for_row<T>(n, [=](int64_t i, auto left) FASTDL_BODY {
      Vec<T> g = vexp<T>(load_some<T>(x + i, left) - lse) * all;
      if (smooth) g -= weight ? load_some<T>(weight + i, left) * soft : broadcast<T>(soft);
      store_some<T>(grad_x + i, g, left);
    });
    grad_x[a.target[item.position + r]] -= f.hit[r];
  }
}

template <class T, int kVectors>
static void backward_tile(const CrossEntropyBwdArgs& a, const Item& item, const Factors<T>& f, int64_t first,
                          int64_t left) {
  constexpr int kWidth = kLanes<T>;
  const T *const x = static_cast<const T*>(a.x) + item.logits + first, *const weight = static_cast<const T*>(a.weight);
  T* const grad_x = static_cast<T*>(a.grad_x) + item.logits + first;
  const bool smooth = a.label_smoothing > 0;
  Vec<T> lse[kVectors], all[kVectors], soft[kVectors];
  Mask<T> counts[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    const int64_t i = first + v * kWidth;
    lse[v] = load_some<T>(static_cast<const T*>(a.lse) + item.position + i, left - v * kWidth);
    all[v] = load<T>(f.all + i), soft[v] = load<T>(f.soft + i);
    __builtin_memcpy(&counts[v], f.counts + i, sizeof counts[v]);
  }
  for_tile<T, kVectors>(a.g.classes, a.g.inner, left, [&](int v, int64_t p, int64_t lanes, int64_t c) FASTDL_BODY {
    Vec<T> g = vexp<T>(load_some<T>(x + p, lanes) - lse[v]) * all[v];
    if (smooth) g -= soft[v] * (weight ? weight[c] : T{1});
    store_some<T>(grad_x + p, select<T>(counts[v], g, Vec<T>{}), lanes);
  });
}

template <class T>
static void backward_columns(const CrossEntropyBwdArgs& a, const Item& item, const Factors<T>& f) {
  for_column_tiles<T>(0, item.count, [&](auto vectors, int64_t i, int64_t left) FASTDL_BODY {
    backward_tile<T, decltype(vectors)::value>(a, item, f, i, left);
  });
  T* const grad_x = static_cast<T*>(a.grad_x) + item.logits;
  for (int64_t i = 0; i < item.count; ++i)
    if (f.counts[i]) grad_x[a.target[item.position + i] * a.g.inner + i] -= f.hit[i];
}

template <class T>
static void backward(const CrossEntropyBwdArgs& a) {
  double weight_sum = static_cast<double>(a.g.classes);
  if (a.weight && a.label_smoothing > 0) {
    weight_sum = 0;
    for (int64_t c = 0; c < a.g.classes; ++c) weight_sum += static_cast<double>(static_cast<const T*>(a.weight)[c]);
  }
  const Items items(a.g);
  parallel_for(items.count, items.grain, [&](int64_t begin, int64_t end) {
    Factors<T> f{};
    for (int64_t i = begin; i < end; ++i) {
      const Item item = items[i];
      fill_factors<T>(a, item, static_cast<T>(weight_sum), f);
      a.g.inner == 1 ? backward_rows<T>(a, item, f) : backward_columns<T>(a, item, f);
    }
  });
}

void cross_entropy_bwd(const CrossEntropyBwdArgs& a) {
  *a.bad_target = find_bad_target(a.target, a.g.batch * a.g.inner, a.g.classes, a.ignore_index);
  if (*a.bad_target || a.g.batch * a.g.classes * a.g.inner == 0) return;
  visit_float(a.dtype, [&](auto zero) { backward<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
