// The parts of the emulation engine and what they share. One kernel runs at a time, on the thread that launched it.
//   fiber.cc      stacks and the switch between them
//   scheduler.cc  grid, blocks, threads, __syncthreads
//   warp.cc       warp intrinsics
//   memory.cc     the device's memory and what is known of each byte
//   async.cc      copies to shared memory that run beside the threads
//   tensorcore.cc matrices and products of a warp
//   mbarrier.cc, tma.cc, wgmma.cc, registers.cc  what compute capability 9.0 adds
//   clocks.cc     which thread has seen what
//   check.cc      what is wrong with an access; hooks.cc and atomics.cc bring the accesses here
//   traffic.cc    what accesses cost: bank conflicts, sectors
//   report.cc     the findings; symbols.cc names kernels and source lines
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "emu/fiber.h"
#include "emu/intrinsics.h"

namespace fastdl::emu {

constexpr int kLanes = 32;
constexpr int kMaxThreads = 1024;
constexpr int kMultiprocessors = 4;           // few, so that persistent kernels stay small
constexpr uint64_t kLongestSlice = 1u << 28;  // some seconds; a thread that goes on so long waits for another in a loop

// ---- threads --------------------------------------------------------------------------------------------------------

enum class State { kReady, kAtBarrier, kInWarp, kAtMbarrier, kInWarpgroup, kAtRegisters, kDone };

struct Warp;
struct Thread {
  uint3 index;
  int number;  // within the block
  int lane;
  Warp* warp;
  State state;
  Fiber* fiber;
  Site site;       // where it waits
  bool predicate;  // what it brought to the barrier, and what the barrier answered
  int vote_result;
  uint64_t value;  // what it brought to a warp intrinsic, and the result
  int argument;
  uint32_t clock;       // orders its accesses within an epoch, see clocks.cc
  uint32_t copies;      // boxes that it asked the copy engine for
  const void* wait_pc;  // where it waits, beyond barriers and warp intrinsics
  int registers;
  int open_sums;  // arrays of accumulators that a wgmma adds to
  // The last fences: what the thread wrote before is there for asynchronous readers.
  uint32_t async_fence_epoch, async_fence_clock, mbarrier_fence_epoch, mbarrier_fence_clock;
};

// Lanes that wait at one warp intrinsic. `kind` tells intrinsics of one source line apart.
struct Group {
  int kind;
  unsigned mask;
  Site site;
  int width;
  unsigned arrived;
  void (*together)(void* const* brought);
};

struct Warp {
  Thread* lanes[kLanes];
  unsigned alive;     // lanes that exist and have not returned
  uint32_t meetings;  // __syncwarps that it has passed
  int groups_waiting;
  Group groups[kLanes];
};

enum class Order { kAscending, kDescending, kShuffled };

struct Engine {
  const Launch* launch = nullptr;
  void (*invoke)(const void*) = nullptr;
  uint3 block{};
  int threads = 0, alive = 0, at_barrier = 0;
  bool aborted = false;
  Fiber* scheduler = nullptr;
  std::vector<Thread> thread;
  std::vector<Warp> warp;
  Order order = Order::kAscending;
  uint64_t random = 1;
  // Epochs count the intervals between barriers, over all blocks and launches. Accesses of one epoch are concurrent
  // unless their threads share a warp that synchronised between them.
  uint32_t epoch = 1, launch_epoch = 1, block_epoch = 1;
  bool block_fenced = false;
  bool clocked = false;  // the block's threads order themselves by more than barriers
  int architecture = 80;
  uint64_t slice = 0;  // accesses of the running thread since it last waited
};
extern Engine engine;

#define FASTDL_THREAD_LOCAL thread_local __attribute__((tls_model("initial-exec")))
// The emulated thread that this OS thread runs, or null on the host side.
extern FASTDL_THREAD_LOCAL Thread* current;
// The same while kernel code runs, null while the engine does. The linker keeps one copy of an inline function of, say,
// std::string for all files, which may be the instrumented one of a kernel file: its accesses are not the kernel's.
extern FASTDL_THREAD_LOCAL Thread* watched;
struct InEngine {
  InEngine() : outermost(watched != nullptr) { watched = nullptr; }
  ~InEngine() {
    if (outermost) watched = current;
  }
  const bool outermost;
};

void make_ready(Thread* t);  // queues it
void suspend();              // the running thread waits; returns when it was made ready and chosen
[[noreturn]] void abort_launch();
void warp_thread_done(Thread* t);
bool report_stuck_warp();  // true if it found one
// All 32 lanes bring a pointer to something of their own; the last lane to come computes for all.
void meet_warp(void (*compute)(void* const* brought), void* own, Site site);
uint64_t next_random();
size_t max_shared_bytes();  // of a block, by architecture

// ---- order between threads (clocks.cc) ------------------------------------------------------------------------------

using Seen = uint16_t;
void start_clocks();
Seen* seen_by(const Thread* t);
void release(Thread* t, std::vector<Seen>& into);  // what t did and saw so far
void acquire(Thread* t, const std::vector<Seen>& from);
void next_clock(Thread* t);
void meet_clocks(const std::vector<Thread*>& threads);  // each sees what all did
std::vector<Seen> copy_issued(Thread* t);               // what who waits for the copy will see
void join_landed(std::vector<Seen>& into, const std::vector<Seen>& landed);

// ---- mbarriers, the copy engine and wgmma ---------------------------------------------------------------------------

// Before a block:
void forget_mbarriers();
void forget_boxes();
void forget_products();
void share_registers();
// Behind it, and when nobody can run; the latter are true if they found one:
void check_mbarriers_at_end();
void check_boxes_at_end();
void check_products_at_return(const Thread* t);
bool report_stuck_mbarrier();
bool report_stuck_warpgroup();
bool report_stuck_registers();
bool land_copy();  // false: none is under way
void bytes_landed(const uint64_t* mbarrier, int64_t bytes, const std::vector<Seen>& landed, const void* pc);
void expect_mbarrier_fenced(const uint64_t* mbarrier, const void* pc);
bool is_open_sum(const Thread* t, uintptr_t address);

// ---- memory ---------------------------------------------------------------------------------------------------------

enum : uint8_t { kAllocated = 1, kWritten = 2, kPending = 4 };  // flags of a byte; pending: a copy is under way to it

// An access: when and who. Kept for the last write and three reads of each 4-byte word.
struct Stamp {
  uint32_t epoch;
  uint32_t who;  // thread (10 bits), its clock (16), bytes of the word (4), atomic (1), asynchronous (1)
};
struct Cell {
  Stamp write;
  Stamp read, read_other_warp, read_same_warp;  // the newest read, and the newest by others than its thread
  uint32_t write_pc, read_pc;                   // offsets into this module
};

struct Arena {
  uintptr_t base = 0;
  size_t size = 0;  // 0 until the first allocation
  uint8_t* flags = nullptr;
  Cell* cells = nullptr;
  uintptr_t code = 0;  // module_base()
};
extern Arena arena;
void ensure_arena();
constexpr size_t kSharedRegion = size_t{1} << 20;  // the running block's shared memory, at the start of the arena

void begin_block_memory(size_t dynamic_bytes);
void forget_cells();                                   // before epochs start again at 1
std::string describe(uintptr_t offset, size_t bytes);  // "4 bytes past the end of an allocation of 400 bytes"
bool in_module(uintptr_t address, size_t bytes);       // constants and static variables of kernels
void repair_later(uintptr_t offset, size_t bytes);     // a write into a gap: poison it again after the launch
void repair_gaps();
// An asynchronous copy to these bytes was issued: they are NaN and not to be touched until it has landed.
void mark_pending(const void* p, size_t bytes);
void mark_landed(const void* p, size_t bytes);
void check_landing(const void* p, size_t bytes, const void* pc);  // a write of the waiting thread, now
void check_copies_at_return(const Thread* t);                     // async.cc
void forget_copies();                                             // before a block

// ---- checks and reports ---------------------------------------------------------------------------------------------

enum class Access { kRead, kWrite, kAtomic };
// An access of N = 1, 2, 4, 8 or 16 bytes, or of any number. False: do not touch the memory.
template <size_t N>
FASTDL_ENGINE bool check_access(const void* p, Access access, const void* pc);
FASTDL_ENGINE bool check_range(const void* p, size_t bytes, Access access, const void* pc);
// Where the caller of a hook stands. Kernels compiled at run time (user.h) lie anywhere in memory; their code counts as
// lying `code_shift` further, behind this module's, so that 32 bits tell all places apart.
#if defined(FASTDL_EMU_USER)
extern ptrdiff_t code_shift;
#else
constexpr ptrdiff_t code_shift = 0;
#endif
#define FASTDL_CALLER (static_cast<const char*>(__builtin_return_address(0)) + ::fastdl::emu::code_shift)
// The same for the copy engine and the tensor cores, on behalf of the running thread.
bool check_async_read(const void* p, size_t bytes, const void* pc);
bool check_async_write(const void* p, size_t bytes, const void* pc);
void fence_async(Thread* t);
bool fenced_for_async(const Thread& t, uint32_t epoch, uint32_t clock);
void end_block_races();  // remembers whether the block fenced

extern bool profiling;  // accesses are counted too
void count_access(uintptr_t offset, size_t bytes, Access access, const void* pc);

enum class Kind {
  kOutOfBounds,
  kMisaligned,
  kUninitialised,
  kRace,
  kDivergentBarrier,
  kWarpMask,
  kDeadlock,
  kHostAccess,
  kSharedSize,
  kAsync,
  kProxy,
  kMbarrier,
  kWarpgroup,
  kDescriptor,
};
bool repeated(Kind kind, const void* pc);  // counts a finding that is known; spares building its message again
void report_at(Kind kind, const void* pc, const std::string& message, uint32_t other_pc = 0, const char* other = "");
void report_at(Kind kind, Site site, const std::string& message);

struct Finding {
  const char* kind;
  std::string kernel, file, message;
  int line;
  uint3 block, thread;
  int64_t count;
};
std::vector<Finding> findings();
void clear_findings();
void note_kernel(const void* kernel);
std::vector<std::string> kernel_names();
struct Instance {
  std::string name;
  uintptr_t offset;  // into the module, which tells functions of one name apart
  bool launched;
};
std::vector<Instance> kernel_instances();  // every kernel of this module

// ---- symbols.cc -----------------------------------------------------------------------------------------------------
// This module, and those that add_module (user.h) added. A module's code has offsets from kUserCode on.
constexpr uintptr_t kUserCode = uintptr_t{1} << 30, kUserCodeEach = uintptr_t{1} << 24;
uintptr_t module_base();
FASTDL_ENGINE ptrdiff_t add_module(const void* code);                // see user.h
std::string function_name(const void* address);                      // without its parameters and namespaces
std::vector<std::pair<std::string, uintptr_t>> kernels_of_module();  // names and offsets of functions marked __global__
struct SourceLine {
  std::string file;
  int line;
};
std::vector<SourceLine> source_lines(const std::vector<uintptr_t>& module_offsets);
// Paths from the source folder on: what the build machine's folders were called is of no interest.
std::string short_path(const std::string& path);

std::string text(uint3 i);

}  // namespace fastdl::emu
