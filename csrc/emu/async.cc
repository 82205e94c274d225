// Copies that run beside the threads: cp.async. A copy lands at the latest moment that the rules allow, in the wait of
// the thread that issued it; until then its bytes are NaN and marked as pending, so that who reads or writes them too
// early is found whatever the order of threads. Both ends of a copy's life count as writes to the destination: what was
// read there before it was issued, and what is read after it landed, has to be ordered by a barrier.
#include <cstring>

#include "emu/engine.h"
#include "emu/tensorcore.h"

namespace fastdl::emu {
namespace {

struct Copy {
  void* to;
  const void* from;  // null: the source was not to be read
  int bytes, source_bytes;
  const void* pc;
};
struct Copies {
  std::vector<Copy> open;          // oldest first
  std::vector<size_t> group_ends;  // of committed groups, as places in `open`
};
Copies copies[kMaxThreads];
std::vector<int> in_use;  // threads of the block that copied anything

bool check_sized(const void* p, int bytes, Access access, const void* pc) {
  if (bytes == 4) return check_access<4>(p, access, pc);
  if (bytes == 8) return check_access<8>(p, access, pc);
  return check_access<16>(p, access, pc);
}

bool in_shared(const void* p) {
  return reinterpret_cast<uintptr_t>(p) - arena.base < kSharedRegion;
}

void land(const Copy& c) {
  mark_landed(c.to, static_cast<size_t>(c.bytes));
  check_landing(c.to, static_cast<size_t>(c.bytes), c.pc);
  std::memset(c.to, c.from ? 0 : 0xff, static_cast<size_t>(c.bytes));
  if (c.from) std::memcpy(c.to, c.from, static_cast<size_t>(c.source_bytes));
}

}  // namespace

void issue_copy(void* to, const void* from, int bytes, int source_bytes) {
  const void* pc = __builtin_return_address(0);
  if (!in_shared(to) || (source_bytes > 0 && in_shared(from))) {
    InEngine scope;
    report_at(Kind::kOutOfBounds, pc, "an asynchronous copy goes from global to shared memory, not otherwise");
    return;
  }
  // Alignment is that of the copy, also where zeros take the place of most of it.
  bool readable = true;
  if (source_bytes == bytes)
    readable = check_sized(from, bytes, Access::kRead, pc);
  else if (source_bytes > 0)
    readable = check_range(from, static_cast<size_t>(source_bytes), Access::kRead, pc);
  if (!check_sized(to, bytes, Access::kWrite, pc)) return;
  InEngine scope;
  mark_pending(to, static_cast<size_t>(bytes));
  Copies& mine = copies[current->number];
  if (mine.open.empty() && mine.group_ends.empty()) in_use.push_back(current->number);
  mine.open.push_back({to, readable ? from : nullptr, bytes, source_bytes, pc});
}

void close_group() {
  InEngine scope;
  Copies& mine = copies[current->number];
  if (mine.open.empty() && mine.group_ends.empty()) in_use.push_back(current->number);
  mine.group_ends.push_back(mine.open.size());
}

void wait_for_groups(int groups_left) {
  InEngine scope;
  Copies& mine = copies[current->number];
  if (mine.group_ends.size() <= static_cast<size_t>(groups_left)) return;
  const size_t groups = mine.group_ends.size() - static_cast<size_t>(groups_left);
  const size_t end = mine.group_ends[groups - 1];
  for (size_t i = 0; i < end; ++i) land(mine.open[i]);
  mine.open.erase(mine.open.begin(), mine.open.begin() + static_cast<std::ptrdiff_t>(end));
  mine.group_ends.erase(mine.group_ends.begin(), mine.group_ends.begin() + static_cast<std::ptrdiff_t>(groups));
  for (size_t& e : mine.group_ends) e -= end;
}

void check_copies_at_return(const Thread* t) {
  const Copies& mine = copies[t->number];
  if (mine.open.empty()) return;
  const void* pc = mine.open.front().pc;
  if (!repeated(Kind::kAsync, pc))
    report_at(Kind::kAsync, pc, "the thread returns while this asynchronous copy is under way; nothing waited for it");
}

void forget_copies() {
  for (int number : in_use) copies[number].open.clear(), copies[number].group_ends.clear();
  in_use.clear();
}

}  // namespace fastdl::emu
