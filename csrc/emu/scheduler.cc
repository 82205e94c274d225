// Runs a grid: its blocks one after another, the threads of a block as fibers. A thread runs until it waits, at a
// barrier or a warp intrinsic, or returns; the last one to arrive makes the others ready. Threads that never wait
// follow each other on one stack.
#include <algorithm>
#include <exception>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "emu/capture.h"
#include "emu/engine.h"
#include "emu/memory.h"

namespace fastdl::emu {

Engine engine;
std::mutex engine_mutex;
FASTDL_THREAD_LOCAL Thread* current = nullptr;
FASTDL_THREAD_LOCAL Thread* watched = nullptr;

namespace {

// ---- ready threads: first come, first served; each is in the queue at most once -------------------------------------

Thread* ready[kMaxThreads];
unsigned ready_head = 0, ready_tail = 0;

Thread* next_ready() {
  return ready_head == ready_tail ? nullptr : ready[ready_head++ % kMaxThreads];
}

// ---- fibers ---------------------------------------------------------------------------------------------------------

Fiber* idle = nullptr;

void thread_done(Thread* t);

// Every fiber runs threads in a loop: a new thread starts where the previous one returned.
void run_threads() {
  for (;;) {
    watched = current;
    engine.invoke(engine.launch->call);
    watched = nullptr;
    thread_done(current);
    switch_fiber(current->fiber, engine.scheduler);
  }
}

Fiber* take_fiber() {
  if (!idle) return new_fiber(run_threads);
  Fiber* fiber = idle;
  idle = fiber->next_idle;
  return fiber;
}
void give_fiber(Fiber* fiber) {
  fiber->next_idle = idle;
  idle = fiber;
}

void resume(Thread* t) {
  if (!t->fiber) t->fiber = take_fiber();
  current = t;
  engine.slice = 0;
  switch_fiber(engine.scheduler, t->fiber);
  current = nullptr;
  if (t->state != State::kDone) return;
  give_fiber(t->fiber);
  t->fiber = nullptr;
}

// ---- barriers -------------------------------------------------------------------------------------------------------

bool same(Site a, Site b) {
  return a.line == b.line && a.file == b.file;
}

int combine(Vote vote, int counted, int waiting) {
  switch (vote) {
    case Vote::kNone:
      return 0;
    case Vote::kOr:
      return counted > 0;
    case Vote::kAnd:
      return counted == waiting;
    case Vote::kCount:
      return counted;
  }
  return 0;
}

// Returned threads do not count on today's GPUs, but a kernel that relies on it is broken by the next change to it.
void check_barrier(const Thread& first) {
  for (const Thread& t : engine.thread) {
    if (t.state == State::kDone) {
      report_at(Kind::kDivergentBarrier, first.site,
                "thread " + text(t.index) + " returned before this barrier; " + std::to_string(engine.at_barrier) +
                    " of " + std::to_string(engine.threads) + " threads wait");
      return;
    }
    if (!same(t.site, first.site)) {
      report_at(Kind::kDivergentBarrier, first.site,
                "thread " + text(t.index) + " waits at another barrier, line " + std::to_string(t.site.line));
      return;
    }
  }
}

void meet_at_barrier() {
  std::vector<Thread*> waiting;
  for (Thread& t : engine.thread)
    if (t.state == State::kAtBarrier) waiting.push_back(&t);
  meet_clocks(waiting);
}

void open_barrier() {
  const auto waits = [](const Thread& t) { return t.state == State::kAtBarrier; };
  const Thread& first = *std::find_if(engine.thread.begin(), engine.thread.end(), waits);
  check_barrier(first);
  ++engine.epoch;
  if (engine.clocked) meet_at_barrier();
  engine.at_barrier = 0;
  const int counted = static_cast<int>(std::count_if(engine.thread.begin(), engine.thread.end(),
                                                     [&](const Thread& t) { return waits(t) && t.predicate; }));
  for (Thread& t : engine.thread) {
    if (!waits(t)) continue;
    t.vote_result = combine(static_cast<Vote>(t.argument), counted, engine.alive);
    t.state = State::kReady;
    if (&t != current) make_ready(&t);
  }
}

void thread_done(Thread* t) {
  check_copies_at_return(t);
  check_products_at_return(t);
  t->state = State::kDone;
  --engine.alive;
  warp_thread_done(t);
  if (engine.at_barrier > 0 && engine.at_barrier == engine.alive) open_barrier();
}

// ---- blocks ---------------------------------------------------------------------------------------------------------

template <class T>
void put_in_order(std::vector<T>& items) {
  if (engine.order == Order::kDescending) std::reverse(items.begin(), items.end());
  if (engine.order != Order::kShuffled) return;
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[next_random() % i]);
}

void set_up_block(uint64_t number) {
  const dim3 g = engine.launch->grid, b = engine.launch->block;
  engine.block = {static_cast<unsigned>(number % g.x), static_cast<unsigned>(number / g.x % g.y),
                  static_cast<unsigned>(number / g.x / g.y)};
  engine.alive = engine.threads;
  engine.at_barrier = 0;
  engine.block_epoch = ++engine.epoch;
  engine.block_fenced = false;
  engine.clocked = false;
  for (Warp& w : engine.warp) w.alive = 0, w.groups_waiting = 0;
  uint3 index{0, 0, 0};
  for (int i = 0; i < engine.threads; ++i) {
    Thread& t = engine.thread[i];
    t = Thread{};
    t.index = index;
    t.number = i;
    t.lane = i % kLanes;
    t.clock = 1;
    t.warp = &engine.warp[i / kLanes];
    t.warp->lanes[t.lane] = &t;
    t.warp->alive |= 1u << t.lane;
    if (++index.x == b.x) index.x = 0, ++index.y;
    if (index.y == b.y) index.y = 0, ++index.z;
  }
}

void report_deadlock() {
  // All of them look: who waits for whom shows from both ends.
  bool found = report_stuck_warp();
  for (const auto look : {report_stuck_mbarrier, report_stuck_warpgroup, report_stuck_registers}) found |= look();
  if (found) return;
  for (Thread& t : engine.thread) {
    if (t.state != State::kAtBarrier) continue;
    current = &t;
    report_at(Kind::kDeadlock, t.site,
              std::to_string(engine.at_barrier) + " of " + std::to_string(engine.alive) +
                  " running threads wait at this barrier, the others elsewhere");
    return;
  }
}

void drop_threads() {
  for (Thread& t : engine.thread) {
    if (!t.fiber) continue;
    restart_fiber(t.fiber, run_threads);
    give_fiber(t.fiber);
    t.fiber = nullptr;
  }
}

void run_block(uint64_t number, const std::vector<int>& order) {
  set_up_block(number);
  forget_copies();
  forget_mbarriers();
  forget_boxes();
  forget_products();
  share_registers();
  begin_block_memory(engine.launch->shared_bytes);
  ready_head = ready_tail = 0;
  for (int i : order) make_ready(&engine.thread[i]);
  while (engine.alive > 0 && !engine.aborted) {
    if (Thread* t = next_ready()) {
      resume(t);
    } else if (!land_copy()) {
      report_deadlock();
      current = nullptr;
      engine.aborted = true;
    }
  }
  if (engine.aborted) {
    drop_threads();
  } else {
    check_boxes_at_end();
    check_mbarriers_at_end();
  }
  end_block_races();
}

// ---- launches -------------------------------------------------------------------------------------------------------

void check_limits(const Launch& launch) {
  const dim3 g = launch.grid, b = launch.block;
  const uint64_t threads = uint64_t{b.x} * b.y * b.z;
  const char* got = nullptr;
  if (threads == 0 || threads > kMaxThreads || b.z > 64 || b.x > 1024 || b.y > 1024)
    got = "a block of ";
  else if (g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
    got = "a grid of ";
  if (got) {
    const bool grid = got[2] == 'g';
    const uint3 size = grid ? uint3{g.x, g.y, g.z} : uint3{b.x, b.y, b.z};
    throw std::runtime_error("[kernel launch] expected a launch that the device accepts, got " + std::string(got) +
                             text(size));
  }
  if (launch.shared_bytes > max_shared_bytes())
    throw std::runtime_error("[kernel launch] expected at most " + std::to_string(max_shared_bytes()) +
                             " bytes of shared memory, got " + std::to_string(launch.shared_bytes));
}

constexpr uint32_t kLastEpoch = 0x80000000u;  // a launch may count this far from here before stamps repeat

void set_up_launch(const Launch& launch, void (*invoke)(const void*)) {
  ensure_arena();
  if (engine.epoch > kLastEpoch) {
    forget_cells();
    engine.epoch = 1;
  }
  static Fiber launching;  // only its context is used
  engine.scheduler = &launching;
  engine.launch = &launch;
  engine.invoke = invoke;
  engine.aborted = false;
  engine.launch_epoch = ++engine.epoch;
  engine.threads = static_cast<int>(launch.block.x * launch.block.y * launch.block.z);
  engine.thread.resize(engine.threads);
  engine.warp.resize((engine.threads + kLanes - 1) / kLanes);
  note_kernel(launch.kernel);
}

}  // namespace

void make_ready(Thread* t) {
  ready[ready_tail++ % kMaxThreads] = t;
}
void suspend() {
  switch_fiber(current->fiber, engine.scheduler);
}
void abort_launch() {
  engine.aborted = true;
  suspend();
  std::terminate();  // an aborted thread is never resumed
}

size_t max_shared_bytes() {
  switch (engine.architecture) {
    case 75:
      return size_t{64} * 1024;
    case 80:
      return size_t{163} * 1024;
    case 89:
      return size_t{99} * 1024;
    default:
      return size_t{227} * 1024;
  }
}

uint64_t next_random() {
  uint64_t& x = engine.random;  // xorshift64
  x ^= x << 13, x ^= x >> 7, x ^= x << 17;
  return x;
}

uint3 thread_index() {
  return current->index;
}
uint3 block_index() {
  return engine.block;
}
dim3 block_size() {
  return engine.launch->block;
}
dim3 grid_size() {
  return engine.launch->grid;
}

int barrier(Vote vote, bool predicate, Site site) {
  InEngine scope;
  Thread* t = current;
  t->site = site;
  t->predicate = predicate;
  t->argument = static_cast<int>(vote);
  t->state = State::kAtBarrier;
  if (++engine.at_barrier == engine.alive)
    open_barrier();
  else
    suspend();
  return t->vote_result;
}

void run(const Launch& launch, void (*invoke)(const void*)) {
  check_limits(launch);
  if (capture_launch(launch, invoke)) return;
  std::lock_guard<std::mutex> lock(engine_mutex);
  struct Finish {
    ~Finish() {
      repair_gaps();
      engine.launch = nullptr;
    }
  } finish;
  set_up_launch(launch, invoke);
  std::vector<int> order(engine.threads);
  const uint64_t blocks = uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  std::vector<uint32_t> block_order;
  if (engine.order == Order::kShuffled && blocks < 0xffffffffu) {
    block_order.resize(blocks);
    std::iota(block_order.begin(), block_order.end(), 0u);
    put_in_order(block_order);
  }
  for (uint64_t i = 0; i < blocks && !engine.aborted; ++i) {
    std::iota(order.begin(), order.end(), 0);
    put_in_order(order);
    const uint64_t number = engine.order == Order::kDescending ? blocks - 1 - i
                            : block_order.empty()              ? i
                                                               : block_order[i];
    run_block(number, order);
  }
}

}  // namespace fastdl::emu
