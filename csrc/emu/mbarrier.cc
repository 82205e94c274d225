// mbarriers: phases, arrivals and bytes under way. The 8 bytes in shared memory only mark the place; what they hold is
// kept here. A phase is over when all arrivals and all expected bytes have come; a wait returns then, so no thread ever
// spins. Arriving publishes what the thread did and saw, waiting takes it over (clocks.cc).
#include <algorithm>
#include <map>

#include "emu/engine.h"
#include "emu/hopper.h"

namespace fastdl::emu {
namespace {

constexpr int64_t kMostBytes = (1 << 20) - 1;  // the hardware's counter

struct Mbarrier {
  uint32_t arrivals = 0;  // of a phase
  uint32_t missing = 0;   // of the current one
  int64_t bytes = 0;      // expected and not yet there
  uint32_t phase = 0;
  int number = 0;  // in the order of initialisation, for reports
  const Thread* initialiser = nullptr;
  uint32_t epoch = 0, clock = 0;  // of the initialisation
  const void* pc = nullptr;       // of the last one to expect bytes
  std::vector<Seen> arrived, completed;
  std::vector<Thread*> waiting;
};
std::map<uintptr_t, Mbarrier> barriers;  // by offset

uintptr_t offset_of(const void* p) {
  return reinterpret_cast<uintptr_t>(p) - arena.base;
}

Mbarrier& find(const uint64_t* p, const void* pc) {
  const auto found = barriers.find(offset_of(p));
  if (found != barriers.end()) return found->second;
  report_at(Kind::kMbarrier, pc, "uses an mbarrier that mbarrier_init has not made");
  abort_launch();
}

void finish_phase(Mbarrier& b) {
  if (b.missing != 0 || b.bytes != 0) return;
  ++b.phase;
  b.missing = b.arrivals;
  b.completed = b.arrived;
  std::vector<Thread*> waiting;
  waiting.swap(b.waiting);
  for (Thread* t : waiting) {
    acquire(t, b.completed);
    t->state = State::kReady;
    make_ready(t);
  }
}

void count_bytes(Mbarrier& b, int64_t bytes, const void* pc) {
  b.bytes += bytes;
  if (std::abs(b.bytes) > kMostBytes && !repeated(Kind::kMbarrier, pc))
    report_at(
        Kind::kMbarrier, pc,
        std::to_string(b.bytes) + " bytes are expected at once, an mbarrier counts to " + std::to_string(kMostBytes));
}

void arrive(Mbarrier& b, const void* pc) {
  if (b.missing == 0) {
    if (!repeated(Kind::kMbarrier, pc))
      report_at(Kind::kMbarrier, pc,
                "arrives once more than the " + std::to_string(b.arrivals) + " arrivals of a phase");
    return;
  }
  release(current, b.arrived);
  --b.missing;
  finish_phase(b);
}

std::string state_of(const Mbarrier& b) {
  return "mbarrier " + std::to_string(b.number) + " in phase " + std::to_string(b.phase) + ", which lacks " +
         std::to_string(b.missing) + " of " + std::to_string(b.arrivals) + " arrivals and " + std::to_string(b.bytes) +
         " bytes";
}

}  // namespace

void forget_mbarriers() {
  barriers.clear();
}

void check_mbarriers_at_end() {
  for (const auto& [offset, b] : barriers)
    if (b.bytes != 0 && !repeated(Kind::kMbarrier, b.pc))
      report_at(Kind::kMbarrier, b.pc, "the block ends with " + state_of(b));
}

bool report_stuck_mbarrier() {
  bool found = false;
  for (auto& [offset, b] : barriers) {
    if (b.waiting.empty()) continue;
    found = true;
    current = b.waiting.front();
    report_at(Kind::kDeadlock, current->wait_pc,
              std::to_string(b.waiting.size()) + " threads wait for " + state_of(b) + "; nothing else can run");
  }
  current = nullptr;
  return found;
}

void expect_mbarrier_fenced(const uint64_t* p, const void* pc) {
  const Mbarrier& b = find(p, pc);
  if (fenced_for_async(*b.initialiser, b.epoch, b.clock)) return;
  const Thread& t = *b.initialiser;
  if (t.mbarrier_fence_epoch > b.epoch || (t.mbarrier_fence_epoch == b.epoch && t.mbarrier_fence_clock >= b.clock))
    return;
  if (!repeated(Kind::kProxy, pc))
    report_at(Kind::kProxy, pc,
              "the copy engine uses an mbarrier whose thread did not call fence_mbarrier_init after mbarrier_init");
}

void bytes_landed(const uint64_t* p, int64_t bytes, const std::vector<Seen>& landed, const void* pc) {
  Mbarrier& b = find(p, pc);
  join_landed(b.arrived, landed);
  b.pc = pc;
  count_bytes(b, -bytes, pc);
  finish_phase(b);
}

}  // namespace fastdl::emu

namespace fastdl {

using namespace emu;

void mbarrier_init(uint64_t* barrier, uint32_t arrivals) {
  const void* pc = __builtin_return_address(0);
  if (!check_access<8>(barrier, Access::kWrite, pc)) return;
  InEngine scope;
  start_clocks();
  const int number = static_cast<int>(barriers.size());
  Mbarrier& b = barriers[offset_of(barrier)];
  b = Mbarrier();
  b.arrivals = b.missing = arrivals;
  b.number = number;
  b.initialiser = current;
  b.epoch = engine.epoch, b.clock = current->clock;
  b.pc = pc;
}

void mbarrier_arrive(uint64_t* barrier) {
  const void* pc = __builtin_return_address(0);
  if (!check_access<8>(barrier, Access::kAtomic, pc)) return;
  InEngine scope;
  arrive(find(barrier, pc), pc);
}

void mbarrier_arrive_expect_tx(uint64_t* barrier, uint32_t bytes) {
  const void* pc = __builtin_return_address(0);
  if (!check_access<8>(barrier, Access::kAtomic, pc)) return;
  InEngine scope;
  Mbarrier& b = find(barrier, pc);
  b.pc = pc;
  count_bytes(b, bytes, pc);
  arrive(b, pc);
}

void mbarrier_wait_parity(uint64_t* barrier, uint32_t parity) {
  const void* pc = __builtin_return_address(0);
  if (!check_access<8>(barrier, Access::kAtomic, pc)) return;
  InEngine scope;
  Mbarrier& b = find(barrier, pc);
  // The phase of this parity is over when the current one has the other.
  if ((b.phase & 1) != (parity & 1)) return acquire(current, b.completed);
  current->state = State::kAtMbarrier;
  current->wait_pc = pc;
  b.waiting.push_back(current);
  suspend();
}

void fence_mbarrier_init() {
  InEngine scope;
  start_clocks();
  current->mbarrier_fence_epoch = engine.epoch;
  current->mbarrier_fence_clock = current->clock;
}

void fence_proxy_async() {
  InEngine scope;
  start_clocks();
  fence_async(current);
}

}  // namespace fastdl
