// Warp intrinsics. Lanes meet only here: between intrinsics they run apart, as hardware allows since Volta. The lanes
// that execute one intrinsic (same source line, same mask) form a group; when every running lane of the mask has
// arrived, the last one computes the result for all of them.
#include <algorithm>
#include <cstdio>

#include "emu/engine.h"

namespace fastdl::emu {
namespace {

enum : int {
  kSync = 0,
  kBallot = 1,
  kMatch = 2,
  kTogether = 3,
  kShuffle = 16,
  kReduce = 32
};  // + Shuffle, + WarpReduce

std::string hex(unsigned mask) {
  char s[16];
  std::snprintf(s, sizeof s, "0x%08x", mask);
  return s;
}

bool same(const Group& g, int kind, unsigned mask, Site site) {
  return g.kind == kind && g.mask == mask && g.site.line == site.line && g.site.file == site.file;
}

// ---- what each intrinsic computes -----------------------------------------------------------------------------------

// The lane that `lane` reads from, or itself where CUDA says that the value stays.
int source_lane(Shuffle kind, int lane, int argument, int width) {
  const int first = lane & ~(width - 1), last = first + width - 1;
  switch (kind) {
    case Shuffle::kIndex:
      return first + (argument & (width - 1));
    case Shuffle::kUp:
      return lane - argument < first ? lane : lane - argument;
    case Shuffle::kDown:
      return lane + argument > last ? lane : lane + argument;
    case Shuffle::kXor:
      return (lane ^ argument) > last ? lane : lane ^ argument;
  }
  return lane;
}

void do_shuffle(const Warp& w, const Group& g) {
  uint64_t brought[kLanes];
  for (int i = 0; i < kLanes; ++i) brought[i] = g.arrived >> i & 1 ? w.lanes[i]->value : ~uint64_t{0};
  unsigned absent = 0;
  for (int i = 0; i < kLanes; ++i) {
    if (!(g.arrived >> i & 1)) continue;
    const int from = source_lane(static_cast<Shuffle>(g.kind - kShuffle), i, w.lanes[i]->argument, g.width) % kLanes;
    w.lanes[i]->value = brought[from];
    if (!(g.arrived >> from & 1)) absent |= 1u << from;
  }
  if (absent)
    report_at(
        Kind::kWarpMask, g.site,
        "a shuffle reads lanes " + hex(absent) + ", which do not take part (taking part: " + hex(g.arrived) + ")");
}

void do_ballot(const Warp& w, const Group& g) {
  unsigned votes = 0;
  for (int i = 0; i < kLanes; ++i)
    if (g.arrived >> i & 1 && w.lanes[i]->value) votes |= 1u << i;
  for (int i = 0; i < kLanes; ++i)
    if (g.arrived >> i & 1) w.lanes[i]->value = votes;
}

void do_match(const Warp& w, const Group& g) {
  uint64_t equal[kLanes] = {};
  for (int i = 0; i < kLanes; ++i)
    for (int j = 0; j < kLanes; ++j)
      if (g.arrived >> i & 1 && g.arrived >> j & 1 && w.lanes[i]->value == w.lanes[j]->value) equal[i] |= 1u << j;
  for (int i = 0; i < kLanes; ++i)
    if (g.arrived >> i & 1) w.lanes[i]->value = equal[i];
}

unsigned combine(WarpReduce kind, unsigned a, unsigned b) {
  const int sa = static_cast<int>(a), sb = static_cast<int>(b);
  switch (kind) {
    case WarpReduce::kAdd:
      return a + b;
    case WarpReduce::kMin:
      return sa < sb ? a : b;
    case WarpReduce::kMax:
      return sa > sb ? a : b;
    case WarpReduce::kUnsignedMin:
      return a < b ? a : b;
    case WarpReduce::kUnsignedMax:
      return a > b ? a : b;
    case WarpReduce::kAnd:
      return a & b;
    case WarpReduce::kOr:
      return a | b;
    case WarpReduce::kXor:
      return a ^ b;
  }
  return a;
}

void do_reduce(const Warp& w, const Group& g) {
  const WarpReduce kind = static_cast<WarpReduce>(g.kind - kReduce);
  bool first = true;
  unsigned result = 0;
  for (int i = 0; i < kLanes; ++i) {
    if (!(g.arrived >> i & 1)) continue;
    const unsigned v = static_cast<unsigned>(w.lanes[i]->value);
    result = first ? v : combine(kind, result, v);
    first = false;
  }
  for (int i = 0; i < kLanes; ++i)
    if (g.arrived >> i & 1) w.lanes[i]->value = result;
}

void do_together(const Warp& w, const Group& g) {
  if (g.arrived != ~0u) {
    report_at(Kind::kWarpMask, g.site, "the instruction needs all 32 lanes of a warp, and has " + hex(g.arrived));
    return;
  }
  void* brought[kLanes];
  for (int i = 0; i < kLanes; ++i) brought[i] = reinterpret_cast<void*>(w.lanes[i]->value);
  g.together(brought);
}

// Some lanes are taken to order all of the warp, unless the block counts clocks.
void pass_syncwarp(const Warp& w, const Group& g) {
  std::vector<Thread*> met;
  for (int i = 0; i < kLanes; ++i) {
    if (engine.clocked ? g.arrived >> i & 1 : w.alive >> i & 1) met.push_back(w.lanes[i]);
  }
  if (engine.clocked) return meet_clocks(met);
  for (Thread* t : met) t->clock = (t->clock + 1) & 0xffff;
}

// ---- meeting --------------------------------------------------------------------------------------------------------

void complete(Warp& w, int index) {
  const Group g = w.groups[index];
  w.groups[index] = w.groups[--w.groups_waiting];
  if (g.kind == kSync)
    ++w.meetings, pass_syncwarp(w, g);
  else if (g.kind == kBallot)
    do_ballot(w, g);
  else if (g.kind == kMatch)
    do_match(w, g);
  else if (g.kind == kTogether)
    do_together(w, g);
  else if (g.kind < kReduce)
    do_shuffle(w, g);
  else
    do_reduce(w, g);
  const bool down = engine.order == Order::kDescending;
  for (int i = 0; i < kLanes; ++i) {
    const int lane = down ? kLanes - 1 - i : i;
    if (!(g.arrived >> lane & 1)) continue;
    Thread* t = w.lanes[lane];
    t->state = State::kReady;
    if (t != current) make_ready(t);
  }
}

uint64_t meet(int kind, unsigned mask, uint64_t value, int argument, int width, Site site,
              void (*together)(void* const*) = nullptr) {
  InEngine scope;
  Thread* t = current;
  Warp& w = *t->warp;
  const unsigned self = 1u << t->lane;
  if (!(mask & self)) {
    report_at(Kind::kWarpMask, site, "lane " + std::to_string(t->lane) + " is not in its own mask " + hex(mask));
    mask |= self;
  }
  t->value = value;
  t->argument = argument;
  t->site = site;
  t->state = State::kInWarp;
  int i = 0;
  while (i < w.groups_waiting && !(same(w.groups[i], kind, mask, site) && w.groups[i].together == together)) ++i;
  if (i == w.groups_waiting) w.groups[w.groups_waiting++] = {kind, mask, site, width, 0, together};
  w.groups[i].arrived |= self;
  if (w.groups[i].arrived == (mask & w.alive))
    complete(w, i);
  else
    suspend();
  return t->value;
}

}  // namespace

// A lane that returns no longer counts: groups that waited only for it are complete.
void warp_thread_done(Thread* t) {
  Warp& w = *t->warp;
  w.alive &= ~(1u << t->lane);
  for (int i = 0; i < w.groups_waiting;) {
    if (w.groups[i].arrived == (w.groups[i].mask & w.alive))
      complete(w, i);
    else
      ++i;
  }
}

bool report_stuck_warp() {
  bool found = false;
  for (Warp& w : engine.warp) {
    for (int i = 0; i < w.groups_waiting; ++i) {
      const Group& g = w.groups[i];
      found = true;
      current = w.lanes[__builtin_ctz(g.arrived)];  // whom the finding names
      const unsigned missing = g.mask & w.alive & ~g.arrived;
      const Thread& other = *w.lanes[__builtin_ctz(missing)];
      const std::string where = "line " + std::to_string(other.site.line);
      if (other.state == State::kInWarp && other.site.line == g.site.line)
        report_at(Kind::kWarpMask, g.site,
                  "lanes " + hex(g.arrived) + " name the mask " + hex(g.mask) + ", but lane " +
                      std::to_string(other.lane) + " of it names another one");
      else
        report_at(
            Kind::kDeadlock, g.site,
            "lanes " + hex(g.arrived) + " wait for lanes " + hex(missing) + " of their mask, which wait at " + where);
    }
  }
  return found;
}

void meet_warp(void (*compute)(void* const*), void* own, Site site) {
  meet(kTogether, ~0u, reinterpret_cast<uint64_t>(own), 0, kLanes, site, compute);
}
void sync_warp(unsigned mask, Site site) {
  meet(kSync, mask, 0, 0, kLanes, site);
}
unsigned active_mask() {
  return current->warp->alive;
}
unsigned ballot(unsigned mask, bool predicate, Site site) {
  return static_cast<unsigned>(meet(kBallot, mask, predicate, 0, kLanes, site));
}
uint64_t shuffle(Shuffle kind, unsigned mask, uint64_t bits, int argument, int width, Site site) {
  return meet(kShuffle + static_cast<int>(kind), mask, bits, argument, width, site);
}
unsigned warp_reduce(WarpReduce kind, unsigned mask, unsigned value, Site site) {
  return static_cast<unsigned>(meet(kReduce + static_cast<int>(kind), mask, value, 0, kLanes, site));
}
unsigned match_any(unsigned mask, uint64_t value, Site site) {
  return static_cast<unsigned>(meet(kMatch, mask, value, 0, kLanes, site));
}

}  // namespace fastdl::emu
