// Counts of numbers in bins. The bins of a block are computed in vectors; counting is one by one.
//
//     x  -> block of bins (outside: `bins`, a count that nobody reads) -> counts of a part -> sums over the parts
//
// Numbers that follow each other often fall into one bin, and an increment has to wait for the one before: so two rows
// of counts take turns. Parts are as many as the array's size says; sums of integers are the same in any order.
#include "cpu/parallel.h"
#include "cpu/vec-inl.h"
#include "ops/reduce/reduce.h"

namespace fastdl::FASTDL_ISA {
namespace {

constexpr int64_t kGrain = 64 * 1024;  // elements a part
constexpr int64_t kMostParts = 16;     // each has counts of its own
constexpr int64_t kBlock = 512;        // bins computed at a time: 2 KB
constexpr int64_t kFewBins = 4096;     // of which there are two rows of counts

// place[i] = the bin of x[i], `bins` for none.
template <class T>
static void find_bins(const HistogramArgs& p, const T* x, int64_t n, int32_t* place) {
  const int32_t bins = static_cast<int32_t>(p.bins);
  if constexpr (std::is_floating_point_v<T>) {
    const T low = static_cast<T>(p.low), high = static_cast<T>(p.high), scale = static_cast<T>(p.scale);
    const T last = static_cast<T>(bins - 1);
    for (int64_t i = 0; i < n; ++i) {
      const bool inside = x[i] >= low && x[i] <= high;
      const T at = inside ? (x[i] - low) * scale : T{0};
      const int32_t bin = static_cast<int32_t>(at < last ? at : last);
      place[i] = inside ? (bin < bins ? bin : bins - 1) : bins;
    }
  } else {
    for (int64_t i = 0; i < n; ++i) place[i] = x[i] >= 0 && x[i] < bins ? static_cast<int32_t>(x[i]) : bins;
  }
}

template <class T>
static void count_part(const HistogramArgs& p, const T* x, int64_t n, int64_t* counts, int64_t size) {
  for (int64_t b = 0; b < size; ++b) counts[b] = 0;
  int64_t* const other = counts + (size - (p.bins + 1));
  int32_t place[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t m = n - i < kBlock ? n - i : kBlock;
    find_bins<T>(p, x + i, m, place);
    int64_t k = 0;
    for (; k + 2 <= m; k += 2) {
      ++counts[place[k]];
      ++other[place[k + 1]];
    }
    if (k < m) ++counts[place[k]];
  }
}

template <class T>
static void run_histogram(const HistogramArgs& p) {
  int64_t parts = p.n / (p.bins > kGrain ? p.bins : kGrain);
  parts = parts < 1 ? 1 : parts < kMostParts ? parts : kMostParts;
  const int64_t rows = p.bins <= kFewBins ? 2 : 1, size = rows * (p.bins + 1), step = (p.n + parts - 1) / parts;
  const Scratch<int64_t> counts(parts * size);
  int64_t* const all = counts;
  parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t first = part * step < p.n ? part * step : p.n, rest = p.n - first;
      count_part<T>(p, static_cast<const T*>(p.x) + first, rest < step ? rest : step, all + part * size, size);
    }
  });
  for (int64_t b = 0; b < p.bins; ++b) {
    int64_t sum = 0;
    for (int64_t row = 0; row < rows * parts; ++row) sum += all[row * (p.bins + 1) + b];
    p.out[b] = sum;
  }
}

}  // namespace

void histogram(const HistogramArgs& p) {
  visit_number(p.dtype, [&](auto zero) { run_histogram<decltype(zero)>(p); });
}

}  // namespace fastdl::FASTDL_ISA
