// Rows of a padded batch to packed rows and back. A thread owns a pack of the row of a sequence at a step, neighbours
// the packs beside it; it copies it, or writes the padding. The limit is memory bandwidth.
#include "cuda/access.cuh"
#include "ops/recurrent/recurrent.h"

namespace fastdl {
namespace {

struct RowPlaces {
  Divider packs, batch;  // of a row, of a step
  int64_t steps, padded_steps;
  bool packing, batch_first;
  const int64_t *first, *active, *order;
};

template <class T, int N>
__global__ void __launch_bounds__(kBlock) copy_rows(const T* from, T* to, RowPlaces p, int64_t threads, T padding) {
  const int64_t thread = global_thread();
  if (thread >= threads) return;
  const int64_t row = p.packs.divide(thread), column = thread - row * p.packs.divisor;
  const int64_t t = p.batch.divide(row), sequence = row - t * p.batch.divisor, place = p.order[sequence];
  const bool active = t < p.steps && sequence < p.active[t];
  if (p.packing && !active) return;
  const int64_t padded_row = p.batch_first ? place * p.padded_steps + t : t * p.batch.divisor + place;
  const int64_t padded = (padded_row * p.packs.divisor + column) * N;
  if (!active) return store_pack<N>(to + padded, splat<N>(padding));
  const int64_t packed = ((p.first[t] + sequence) * p.packs.divisor + column) * N;
  store_pack<N>(to + (p.packing ? packed : padded), load_pack<N>(from + (p.packing ? padded : packed)));
}

template <class T>
void copy(const PackRowsArgs& a, const RowPlaces& places, Stream stream) {
  const T* const from = static_cast<const T*>(a.from);
  T* const to = static_cast<T*>(a.to);
  const int64_t steps = a.packs ? a.s.steps : a.padded_steps, n = a.s.input;
  const bool packs = n % kPack<T> == 0 && aligned<kPack<T>>(from) && aligned<kPack<T>>(to);
  with_packs<kPack<T>>(packs, [&](auto elements) {
    constexpr int N = decltype(elements)::value;
    RowPlaces p = places;
    p.packs = divide_by(n / N);
    const int64_t threads = steps * a.s.batch * (n / N);
    launch(copy_rows<T, N>, blocks_for(threads, kBlock), kBlock, 0, stream, from, to, p, threads,
           static_cast<T>(a.padding));
  });
}

}  // namespace

void pack_rows(const PackRowsArgs& a, Stream stream) {
  const RecurrentShape& s = a.s;
  const DeviceScratch<int64_t> lists(2 * s.steps + s.batch);
  int64_t *const first = lists, *const active = first + s.steps, *const order = active + s.steps;
  copy_from_host(first, s.first, static_cast<size_t>(s.steps) * sizeof(int64_t));
  copy_from_host(active, s.active, static_cast<size_t>(s.steps) * sizeof(int64_t));
  copy_from_host(order, s.order, static_cast<size_t>(s.batch) * sizeof(int64_t));
  const RowPlaces places = {{},   divide_by(s.batch), s.steps, a.padded_steps, a.packs, a.batch_first, first, active,
                            order};
  visit_any(s.dtype, [&](auto zero) { copy<decltype(zero)>(a, places, stream); });
}

}  // namespace fastdl
