// What is wrong with a memory access. Every load, store and atomic of kernel code arrives in check_access: bounds,
// alignment, memory that nobody wrote, and races.
//
// A race: two threads access the same bytes, one of them writes, not both are atomic, and nothing orders them. Ordered
// are a thread's own accesses, those of one block in different epochs (a barrier lies between), and those of one warp
// with a __syncwarp between; in a block with mbarriers, what the accessing thread has seen (clocks.cc). Accesses of
// different blocks are never ordered, except that what a block wrote before it ended is taken as published if it
// executed __threadfence (the "last block adds up" pattern).
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "emu/engine.h"

namespace fastdl::emu {
namespace {

constexpr uint32_t kThreadBits = 0x3ff, kWarpBits = 0x3e0, kClockBits = 0xffffu << 10, kByteBits = 0xfu << 26,
                   kAtomicBit = 1u << 30, kAsyncBit = 1u << 31;

std::vector<std::pair<uint32_t, uint32_t>> fenced;  // epochs [first, last] of the launch's blocks that fenced

bool was_fenced(uint32_t epoch) {
  const auto after = std::upper_bound(fenced.begin(), fenced.end(), std::make_pair(epoch, ~0u));
  return after != fenced.begin() && epoch <= std::prev(after)->second;
}

// Is it known to the running thread that this was before?
bool has_seen(const Stamp& before) {
  const uint32_t who = before.who & kThreadBits, clock = (before.who & kClockBits) >> 10;
  const Seen* seen = seen_by(current);
  if (before.who & kAsyncBit) return clock <= seen[static_cast<uint32_t>(engine.threads) + who];
  return who == static_cast<uint32_t>(current->number) || clock <= seen[who];
}

// `since`: the epoch in which the memory came to those who share it, the launch's for global and the block's for
// shared. Nearly every access ends at the first line.
inline bool races(const Stamp& before, uint32_t who, uint32_t since) {
  if (before.epoch < since) return false;
  if (!(before.who & who & kByteBits) || (before.who & who & kAtomicBit)) return false;
  if (before.epoch < engine.block_epoch) return !was_fenced(before.epoch);
  if (engine.clocked) return (before.epoch == engine.epoch || before.who & kAsyncBit) && !has_seen(before);
  if (before.epoch < engine.epoch) return false;
  const uint32_t differs = before.who ^ who;
  if (!(differs & kThreadBits)) return false;
  if (differs & kWarpBits) return true;
  return !(differs & kClockBits);
}

[[gnu::noinline, gnu::cold]] void report_race(const Stamp& before, uint32_t before_pc, const char* did, bool writes,
                                              const void* pc) {
  InEngine scope;
  if (repeated(Kind::kRace, pc)) return;
  std::string who;
  if (before.epoch < engine.block_epoch)
    who = "another block";
  else
    who = "thread " + text(engine.thread[before.who & kThreadBits].index);
  report_at(Kind::kRace, pc,
            std::string(writes ? "writes" : "reads") + " what " + who + " " + did + " with nothing to order the two",
            before_pc, did);
}

inline void note_read(Cell& c, Stamp now, uint32_t pc) {
  const uint32_t differs = c.read.who ^ now.who;
  if (c.read.epoch == now.epoch && !(differs & kThreadBits)) {
    now.who |= c.read.who & kByteBits;
  } else if (c.read.epoch == now.epoch && !(differs & kWarpBits)) {
    c.read_same_warp = c.read;
  } else {
    c.read_other_warp = c.read;
    c.read_same_warp = {};
  }
  c.read = now;
  c.read_pc = pc;
}

inline void check_word(Cell& c, uint32_t who, uint32_t since, Access access, uint32_t pc_offset, const void* pc) {
  const bool writes = access != Access::kRead;
  if (races(c.write, who, since)) report_race(c.write, c.write_pc, "wrote", writes, pc);
  Stamp now{engine.epoch, who};
  if (!writes) {
    note_read(c, now, pc_offset);
    return;
  }
  for (const Stamp* read : {&c.read, &c.read_other_warp, &c.read_same_warp}) {
    if (!races(*read, who, since)) continue;
    report_race(*read, c.read_pc, "read", true, pc);
    break;
  }
  if (c.write.epoch == now.epoch && !((c.write.who ^ who) & kThreadBits)) now.who |= c.write.who & kByteBits;
  c.write = now;
  c.write_pc = pc_offset;
}

// `async`: the copy engine writes; its copies are counted apart from the thread's own accesses.
inline void check_races(uintptr_t offset, size_t bytes, Access access, const void* pc, bool async = false) {
  const Thread* t = current;
  const uint32_t who = static_cast<uint32_t>(t->number) | (async ? t->copies : t->clock) << 10 |
                       (access == Access::kAtomic ? kAtomicBit : 0) | (async ? kAsyncBit : 0);
  const uint32_t pc_offset = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pc) - arena.code);
  const uint32_t since = offset < kSharedRegion ? engine.block_epoch : engine.launch_epoch;
  Cell* c = arena.cells + offset / 4;
  if (offset % 4 == 0 && bytes % 4 == 0) {
    for (size_t i = 0; i < bytes / 4; ++i) check_word(c[i], who | kByteBits, since, access, pc_offset, pc);
    return;
  }
  for (uintptr_t at = offset, end = offset + bytes; at < end; ++c) {
    const uintptr_t word_end = std::min<uintptr_t>((at / 4 + 1) * 4, end);
    const uint32_t touched = ((1u << (word_end - at)) - 1) << at % 4;
    check_word(*c, who | touched << 26, since, access, pc_offset, pc);
    at = word_end;
  }
}

// True if every byte is allocated and written: one or two comparisons for the sizes of loads and stores.
template <size_t N>
inline bool all_written(const uint8_t* flags) {
  constexpr uint64_t kEach = 0x0101010101010101u * (kAllocated | kWritten);
  uint64_t seen[N / 8 + 1];
  seen[0] = kEach;
  std::memcpy(seen, flags, N);
  if constexpr (N == 16) return seen[0] == kEach && seen[1] == kEach;
  return seen[0] == kEach;
}

const char* verb(Access access) {
  return access == Access::kRead ? "reads " : access == Access::kWrite ? "writes " : "atomic on ";
}

// Some of the bytes are not allocated, or not written yet.
[[gnu::noinline]] bool check_flags(uintptr_t offset, size_t bytes, Access access, const void* pc) {
  InEngine scope;
  uint8_t* flags = arena.flags + offset;
  uint8_t all = kAllocated | kWritten;
  for (size_t i = 0; i < bytes; ++i) all &= flags[i];
  if (!(all & kAllocated)) {
    if (!repeated(Kind::kOutOfBounds, pc))
      report_at(Kind::kOutOfBounds, pc, verb(access) + std::to_string(bytes) + " bytes, " + describe(offset, bytes));
    if (access == Access::kWrite) repair_later(offset, bytes);
    return false;
  }
  if (all & kWritten) return true;
  if (std::any_of(flags, flags + bytes, [](uint8_t f) { return f & kPending; })) {
    if (!repeated(Kind::kAsync, pc))
      report_at(Kind::kAsync, pc,
                verb(access) + std::to_string(bytes) + " bytes that an asynchronous copy has yet to bring",
                arena.cells[offset / 4].write_pc, "issued");
    return true;
  }
  if (access != Access::kWrite && !repeated(Kind::kUninitialised, pc))
    report_at(Kind::kUninitialised, pc, verb(access) + std::to_string(bytes) + " bytes that nothing wrote");
  if (access != Access::kRead) std::fill_n(flags, bytes, uint8_t{kAllocated | kWritten});
  return true;
}

[[gnu::noinline, gnu::cold]] void report_misaligned(size_t bytes, Access access, const void* pc) {
  InEngine scope;
  if (!repeated(Kind::kMisaligned, pc))
    report_at(Kind::kMisaligned, pc,
              verb(access) + std::to_string(bytes) + " bytes at an address that is not a multiple of " +
                  std::to_string(bytes));
}

// Outside the device's memory: the thread's own variables, the kernel's arguments, constants; else a wrong pointer,
// which ends the launch, since the access itself cannot be kept from happening.
bool check_outside(uintptr_t address, size_t bytes, Access access, const void* pc) {
  const uintptr_t call = reinterpret_cast<uintptr_t>(engine.launch->call);
  if (access == Access::kRead && address >= call && address + bytes <= call + engine.launch->call_bytes) return true;
  if (access == Access::kRead && in_module(address, bytes)) return true;
  char hex[24];
  std::snprintf(hex, sizeof hex, "0x%llx", static_cast<unsigned long long>(address));
  report_at(Kind::kOutOfBounds, pc,
            verb(access) + std::to_string(bytes) + " bytes at " + hex +
                (address < 4096 ? ", a null pointer" : ", which is not device memory"));
  abort_launch();
}

[[gnu::noinline, gnu::cold]] void report_endless(const void* pc) {
  InEngine scope;
  report_at(Kind::kDeadlock, pc,
            "the thread goes on and on without waiting; threads run one at a time, so another cannot "
            "change what it waits for");
  abort_launch();
}

[[gnu::noinline, gnu::cold]] void report_open_sum(Access access, const void* pc) {
  InEngine scope;
  if (!repeated(Kind::kAsync, pc))
    report_at(Kind::kAsync, pc, std::string(verb(access)) + "accumulators of a wgmma that nothing has waited for");
}

// Ordinary stores reach asynchronous readers only through a fence by who stored.
void check_proxy(uintptr_t offset, size_t bytes, const void* pc) {
  for (uintptr_t word = offset / 4; word * 4 < offset + bytes; ++word) {
    const Cell& c = arena.cells[word];
    if (c.write.epoch < engine.block_epoch || c.write.who & kAsyncBit) continue;
    const Thread& writer = engine.thread[c.write.who & kThreadBits];
    if (fenced_for_async(writer, c.write.epoch, (c.write.who & kClockBits) >> 10)) continue;
    if (!repeated(Kind::kProxy, pc))
      report_at(Kind::kProxy, pc,
                "reads asynchronously what thread " + text(writer.index) +
                    " stored without a fence_proxy_async behind the store",
                c.write_pc, "stored");
    return;
  }
}

bool check_elsewhere(const void* p, size_t bytes, Access access, const void* pc) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  if (!current) {
    if (address - arena.base < arena.size && !repeated(Kind::kHostAccess, pc))
      report_at(Kind::kHostAccess, pc, "host code " + std::string(verb(access)) + "device memory; copy it to the host");
    return true;
  }
  if (!watched) return true;
  if (address - current->fiber->stack_low < kStackBytes) {
    if (current->open_sums > 0 && is_open_sum(current, address)) report_open_sum(access, pc);
    return true;
  }
  InEngine scope;
  return check_outside(address, bytes, access, pc);
}

}  // namespace

template <size_t N>
bool check_access(const void* p, Access access, const void* pc) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(p) - arena.base;
  if (!watched || offset >= arena.size) return check_elsewhere(p, N, access, pc);
  if (++engine.slice > kLongestSlice) report_endless(pc);
  if (offset % N != 0) report_misaligned(N, access, pc);
  if (!all_written<N>(arena.flags + offset) && !check_flags(offset, N, access, pc)) return false;
  check_races(offset, N, access, pc);
  if (profiling) [[unlikely]]
    count_access(offset, N, access, pc);
  return true;
}
template bool check_access<1>(const void*, Access, const void*);
template bool check_access<2>(const void*, Access, const void*);
template bool check_access<4>(const void*, Access, const void*);
template bool check_access<8>(const void*, Access, const void*);
template bool check_access<16>(const void*, Access, const void*);

bool check_range(const void* p, size_t bytes, Access access, const void* pc) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(p) - arena.base;
  if (!watched || offset >= arena.size) return check_elsewhere(p, bytes, access, pc);
  if (!check_flags(offset, bytes, access, pc)) return false;
  check_races(offset, bytes, access, pc);
  if (profiling) [[unlikely]]
    count_access(offset, bytes, access, pc);
  return true;
}

bool check_async_read(const void* p, size_t bytes, const void* pc) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(p) - arena.base;
  if (offset >= arena.size) {
    if (!repeated(Kind::kOutOfBounds, pc)) report_at(Kind::kOutOfBounds, pc, "reads what is not device memory");
    return false;
  }
  if (!check_flags(offset, bytes, Access::kRead, pc)) return false;
  check_races(offset, bytes, Access::kRead, pc);
  check_proxy(offset, bytes, pc);
  return true;
}

bool check_async_write(const void* p, size_t bytes, const void* pc) {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(p) - arena.base;
  if (!check_flags(offset, bytes, Access::kWrite, pc)) return false;
  check_races(offset, bytes, Access::kWrite, pc, true);
  return true;
}

void fence_async(Thread* t) {
  t->async_fence_epoch = engine.epoch;
  t->async_fence_clock = t->clock;
  next_clock(t);  // what it stores from here on
}
bool fenced_for_async(const Thread& t, uint32_t epoch, uint32_t clock) {
  return t.async_fence_epoch > epoch || (t.async_fence_epoch == epoch && t.async_fence_clock >= clock);
}

void check_landing(const void* p, size_t bytes, const void* pc) {
  check_races(reinterpret_cast<uintptr_t>(p) - arena.base, bytes, Access::kWrite, pc);
}

void fence(bool device_wide) {
  engine.block_fenced |= device_wide;
}

void end_block_races() {
  static uint32_t launch = 0;
  if (launch != engine.launch_epoch) fenced.clear(), launch = engine.launch_epoch;
  if (engine.block_fenced) fenced.push_back({engine.block_epoch, engine.epoch});
}

}  // namespace fastdl::emu
