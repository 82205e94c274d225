// Rows of a padded batch to packed rows and back: copies of whole rows, a step at a time, steps shared out to threads.
#include "cpu/parallel.h"
#include "ops/recurrent/recurrent.h"

namespace fastdl::FASTDL_ISA {

constexpr int64_t kRowsGrain = 64 << 10;  // numbers that a thread copies at least

template <class T>
static void copy_steps(const PackRowsArgs& a) {
  const RecurrentShape& s = a.s;
  const int64_t n = s.input, steps = a.packs ? s.steps : a.padded_steps;
  const size_t bytes = static_cast<size_t>(n) * sizeof(T);
  const T* const from = static_cast<const T*>(a.from);
  T* const to = static_cast<T*>(a.to);
  const int64_t step = s.batch * n;
  parallel_for(steps, step > kRowsGrain ? 1 : kRowsGrain / (step > 0 ? step : 1) + 1, [&](int64_t t, int64_t last) {
    for (; t < last; ++t) {
      const int64_t active = t < s.steps ? s.active[t] : 0;
      for (int64_t j = 0; j < s.batch; ++j) {
        if (a.packs && j >= active) break;
        const int64_t padded = (a.batch_first ? s.order[j] * a.padded_steps + t : t * s.batch + s.order[j]) * n;
        if (j >= active) {
          for (int64_t i = 0; i < n; ++i) to[padded + i] = static_cast<T>(a.padding);
          continue;
        }
        const int64_t packed = (s.first[t] + j) * n;
        __builtin_memcpy(to + (a.packs ? packed : padded), from + (a.packs ? padded : packed), bytes);
      }
    }
  });
}

void pack_rows(const PackRowsArgs& a) {
  visit_any(a.s.dtype, [&](auto zero) { copy_steps<decltype(zero)>(a); });
}

}  // namespace fastdl::FASTDL_ISA
