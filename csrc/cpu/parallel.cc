// A small thread pool. Workers spin for a moment after each job, since a network's layers follow each other within
// microseconds, then sleep. A sleeper goes on where it slept, so one that slept on its caller's core is sent to
// another. fork() leaves the child without workers: it starts its own at its first job.
#include "cpu/parallel.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/error.h"

namespace fastdl {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kSpins = 4000;  // some 40 microseconds of pause instructions

inline void pause_cpu() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Returns when done() is true. After a while a thread gives its core up: the one that it waits for may need it.
template <class Done>
void spin_until(Done&& done) {
  for (int spins = 0; !done();) {
    if (spins < kSpins)
      ++spins, pause_cpu();
    else
      sched_yield();
  }
}

#if defined(__x86_64__)
unsigned flush_denormals() {
  const unsigned saved = _mm_getcsr();
  _mm_setcsr(saved | 0x8040);  // flush-to-zero | denormals-are-zero
  return saved;
}
#endif

// Each thread has a range of neighbouring chunks, always the same one, and goes on with what the others left: where
// cores have caches of their own, what one function wrote is read by the thread that wrote it.
struct Job {
  void (*run)(void*, int64_t) = nullptr;
  void* context = nullptr;
  int64_t chunks = 0, threads = 1;
  bool backwards = false;  // within the range of each thread
  struct alignas(64) Next {
    std::atomic<int64_t> chunk;
  } next[kMaxThreads];         // in the range of each thread, in a line of its own
  std::atomic<int> inside{0};  // workers that may still touch this job
  std::atomic<bool> failed{false};
  std::exception_ptr error;  // of the first chunk that threw (memory ran out); rethrown to the caller

  int64_t first(int64_t rank) const { return chunks / threads * rank + std::min(chunks % threads, rank); }

  void start() {
    for (int64_t rank = 0; rank < threads; ++rank) next[rank].chunk.store(first(rank), std::memory_order_relaxed);
  }
  void work(int64_t rank) {
    try {
      for (int64_t turn = 0; turn < threads; ++turn) {
        const int64_t owner = (rank + turn) % threads, begin = first(owner), end = first(owner + 1);
        while (next[owner].chunk.load(std::memory_order_relaxed) < end && !failed.load(std::memory_order_relaxed)) {
          const int64_t i = next[owner].chunk.fetch_add(1, std::memory_order_relaxed);
          if (i < end) run(context, backwards ? begin + end - 1 - i : i);
        }
      }
    } catch (...) {
      if (!failed.exchange(true)) error = std::current_exception();
    }
  }
};

class Pool {
 public:
  // True if this thread got the workers; false if another thread has them.
  bool try_run(int64_t chunks, void (*run)(void*, int64_t), void* context, int threads, bool backwards) {
    std::unique_lock<std::mutex> busy(busy_, std::try_to_lock);
    if (!busy.owns_lock()) return false;
    grow(threads - 1);
    job_.run = run, job_.context = context, job_.chunks = chunks, job_.threads = threads;
    job_.backwards = backwards;
    job_.start();
    {
      std::lock_guard<std::mutex> lock(mutex_);
      helpers_ = threads - 1;
      ticket_.fetch_add(1, std::memory_order_release);
      if (sleeping_.load(std::memory_order_relaxed) > 0) clear_core(sched_getcpu());
    }
    if (sleeping_.load(std::memory_order_acquire) > 0) wake_.notify_all();
    job_.work(0);
    {
      std::lock_guard<std::mutex> lock(mutex_);  // from here no worker can join
      helpers_ = 0;
    }
    spin_until([this] { return job_.inside.load(std::memory_order_acquire) == 0; });
    if (job_.failed.exchange(false)) std::rethrow_exception(std::exchange(job_.error, nullptr));
    return true;
  }

 private:
  struct Worker {
    int rank;  // the caller has 0
    pthread_t thread;
    int core = -1;  // where it sleeps; -1 while it is awake
    bool sent = false;
    cpu_set_t allowed;  // if it was sent away: where it may run
  };

  void grow(int workers) {
    while (static_cast<int>(workers_.size()) < workers) {
      Worker* const w = workers_.emplace_back(std::make_unique<Worker>()).get();
      w->rank = static_cast<int>(workers_.size());
      std::thread([this, w] { serve(*w); }).detach();
    }
  }

  // Linux wakes a thread where it slept even if somebody runs there, and the load balancer takes milliseconds to part
  // the two. Who sleeps on this core may not run there until it is awake.
  void clear_core(int core) {
    for (const std::unique_ptr<Worker>& w : workers_) {
      if (w->core != core || w->sent || pthread_getaffinity_np(w->thread, sizeof w->allowed, &w->allowed)) continue;
      cpu_set_t others = w->allowed;
      CPU_CLR(core, &others);
      w->sent = CPU_COUNT(&others) > 0 && pthread_setaffinity_np(w->thread, sizeof others, &others) == 0;
    }
  }

  void serve(Worker& me) {
    me.thread = pthread_self();
#if defined(__x86_64__)
    flush_denormals();
#endif
    inside_parallel = true;
    for (uint64_t seen = 0;;) {
      wait_for_ticket(seen, me);
      bool join = false;
      {
        std::lock_guard<std::mutex> lock(mutex_);
        seen = ticket_.load(std::memory_order_relaxed);
        if (me.rank <= helpers_) {
          job_.inside.fetch_add(1, std::memory_order_relaxed);
          join = true;
        }
      }
      if (!join) continue;
      job_.work(me.rank);
      job_.inside.fetch_sub(1, std::memory_order_release);
    }
  }

  void wait_for_ticket(uint64_t seen, Worker& me) {
    for (int i = 0; i < kSpins; ++i) {
      if (ticket_.load(std::memory_order_acquire) != seen) return;
      pause_cpu();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    sleeping_.fetch_add(1);
    me.core = sched_getcpu();
    wake_.wait(lock, [&] { return ticket_.load(std::memory_order_relaxed) != seen; });
    me.core = -1;
    sleeping_.fetch_sub(1);
    lock.unlock();
    if (me.sent) pthread_setaffinity_np(me.thread, sizeof me.allowed, &me.allowed);
    me.sent = false;
  }

  std::mutex busy_, mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> ticket_{0};
  std::atomic<int> sleeping_{0};
  int helpers_ = 0;  // workers that may join the current job
  Job job_;
  std::vector<std::unique_ptr<Worker>> workers_;

 public:
  static thread_local bool inside_parallel;
};

thread_local bool Pool::inside_parallel = false;

// Never destroyed: detached workers may outlive static destructors. Rebuilt in place in a forked child.
alignas(Pool) unsigned char pool_memory[sizeof(Pool)];
Pool* pool() {
  static Pool* const p = [] {
    pthread_atfork(nullptr, nullptr, [] { new (pool_memory) Pool; });
    return new (pool_memory) Pool;
  }();
  return p;
}

int cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
std::atomic<int> num_threads{cores()};

}  // namespace

int get_num_threads() {
  return num_threads.load(std::memory_order_relaxed);
}

void set_num_threads(int n) {
  EXPECT(n >= 1, ValueError, "set_num_threads", text("at least 1"), text(n));
  num_threads.store(std::min(n, kMaxThreads));
}

// True if the workers took part; false if this thread must do all chunks itself.
static bool run_on_pool(int64_t chunks, void (*run)(void*, int64_t), void* context, int64_t threads,
                        bool backwards = false) {
  if (threads <= 1 || Pool::inside_parallel) return false;
  Pool::inside_parallel = true;
  struct Leave {
    ~Leave() { Pool::inside_parallel = false; }
  } leave;
  return pool()->try_run(chunks, run, context, static_cast<int>(threads), backwards);
}

void run_chunks(int64_t chunks, void (*run)(void*, int64_t), void* context) {
  const int64_t threads = get_num_threads();
  if (run_on_pool(chunks, run, context, threads < chunks ? threads : chunks)) return;
  for (int64_t i = 0; i < chunks; ++i) run(context, i);
}

void run_chunks_backwards(int64_t chunks, void (*run)(void*, int64_t), void* context) {
  const int64_t threads = get_num_threads();
  if (run_on_pool(chunks, run, context, threads < chunks ? threads : chunks, true)) return;
  for (int64_t i = chunks - 1; i >= 0; --i) run(context, i);
}

// A chunk a member: a thread that waits inside its chunk leaves the others' to them, so all of them run.
void run_team(int64_t most, void (*run)(void*, Team&), void* context) {
  struct Shared {
    void (*run)(void*, Team&);
    void* context;
    int size;
    alignas(64) int64_t arrived;
  } shared{run, context, static_cast<int>(get_num_threads() < most ? get_num_threads() : most), 0};
  const auto member = [](void* p, int64_t rank) {
    Shared& s = *static_cast<Shared*>(p);
    Team team(static_cast<int>(rank), s.size, &s.arrived);
    s.run(s.context, team);
  };
  if (run_on_pool(shared.size, member, &shared, shared.size)) return;
  Team alone(0, 1, &shared.arrived);
  run(context, alone);
}

void Team::wait_for_others() {
  expected_ += size;
  __atomic_add_fetch(arrived_, 1, __ATOMIC_ACQ_REL);
  spin_until([this] { return __atomic_load_n(arrived_, __ATOMIC_ACQUIRE) >= expected_; });
}

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : saved_(flush_denormals()) {}
FlushDenormals::~FlushDenormals() {
  _mm_setcsr(saved_);
}
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() {}
#endif

}  // namespace fastdl
