// Who has seen what: vector clocks of a block's threads. Blocks whose threads meet at __syncthreads alone need none (an
// epoch says it all); the first mbarrier of a block starts them.
//
// A thread's clock counts its releases. seen[t][u] is the last release of thread u that t knows of: what u did up to
// then happened before what t does now. Asynchronous copies run beside their thread, so they are counted apart:
// seen[t][n + u] is the last copy issued by u that t knows to have landed.
#include <algorithm>

#include "emu/engine.h"

namespace fastdl::emu {
namespace {

std::vector<Seen> rows;
constexpr Seen kLast = 0xffff;  // counts stop here; what follows counts as seen

size_t width() {
  return 2 * static_cast<size_t>(engine.threads);
}
void join(Seen* into, const Seen* from) {
  for (size_t i = 0; i < width(); ++i) into[i] = std::max(into[i], from[i]);
}

}  // namespace

void next_clock(Thread* t) {
  if (t->clock < kLast) ++t->clock;
}

Seen* seen_by(const Thread* t) {
  return rows.data() + width() * static_cast<size_t>(t->number);
}

void start_clocks() {
  if (engine.clocked) return;
  engine.clocked = true;
  rows.assign(width() * static_cast<size_t>(engine.threads), 0);
  // Until now the lanes of a warp had one clock, and __syncwarp was its step.
  for (const Thread& t : engine.thread)
    for (const Thread& other : engine.thread)
      if (t.warp == other.warp) seen_by(&t)[other.number] = static_cast<Seen>(other.clock - 1);
}

void release(Thread* t, std::vector<Seen>& into) {
  into.resize(width());
  join(into.data(), seen_by(t));
  into[static_cast<size_t>(t->number)] = static_cast<Seen>(t->clock);
  next_clock(t);
}

void acquire(Thread* t, const std::vector<Seen>& from) {
  if (!from.empty()) join(seen_by(t), from.data());
}

void meet_clocks(const std::vector<Thread*>& threads) {
  std::vector<Seen> all;
  for (Thread* t : threads) release(t, all);
  for (Thread* t : threads) acquire(t, all);
}

std::vector<Seen> copy_issued(Thread* t) {
  std::vector<Seen> landed(seen_by(t), seen_by(t) + width());
  landed[static_cast<size_t>(t->number)] = static_cast<Seen>(t->clock);
  next_clock(t);
  if (t->copies < kLast) ++t->copies;
  landed[static_cast<size_t>(engine.threads + t->number)] = static_cast<Seen>(t->copies);
  return landed;
}

void join_landed(std::vector<Seen>& into, const std::vector<Seen>& landed) {
  into.resize(width());
  join(into.data(), landed.data());
}

}  // namespace fastdl::emu
