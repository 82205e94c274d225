// Products of a warpgroup: wgmma of 64 x 128 or 64 x 256 sums. They run beside the threads, from their issue to the
// wait for their group; the sums are computed at the wait, the latest moment that the rules allow, and are NaN in the
// threads' accumulators until then. Operands are checked at both ends: they must have arrived before the issue, and
// nobody may change them before the wait. Each warp reads its 16 rows of A and all of B.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "emu/engine.h"
#include "emu/hopper.h"

namespace fastdl::emu {
namespace {

constexpr int kGroupThreads = 128, kRows = 64, kMostColumns = 256, kMostSums = kMostColumns / 2;
constexpr size_t kStepBytes = 32, kChunk = 16;  // of k in an instruction, and of the swizzle

struct Product {
  Number number;
  float* d;
  int sums;  // a thread
  uint64_t a, b;
  bool accumulate;
  const void* pc;
  bool same_as(const Product& p) const {
    return number == p.number && sums == p.sums && a == p.a && b == p.b && accumulate == p.accumulate;
  }
};
struct Sums {  // of one array of accumulators, while products add to them
  float* d;
  int open;
  int count;
  float value[kMostSums];
};
struct Products {
  std::vector<Product> open;       // oldest first
  std::vector<size_t> group_ends;  // as places in `open`
  std::vector<Sums> sums;
  bool fenced = false;
};
Products products[kMaxThreads];
bool used = false;  // by a thread of this block

Products& own_products() {
  used = true;
  return products[current->number];
}

struct Warpgroup {
  std::vector<Thread*> waiting;
  int groups_left = 0;
};
Warpgroup warpgroups[kMaxThreads / kGroupThreads];

// ---- operands in shared memory --------------------------------------------------------------------------------------

// Where 16 bytes of a row lie: descriptors count in units of 16 bytes; the swizzle is that of the copy engine.
const unsigned char* chunk_of(uint64_t descriptor, int row, size_t chunk) {
  const uint64_t start = (descriptor & 0x3fff) * kChunk, eight_rows = (descriptor >> 32 & 0x3fff) * kChunk;
  const uint64_t at =
      start + static_cast<uint64_t>(row / 8) * eight_rows + static_cast<uint64_t>(row % 8) * 128 + chunk * kChunk;
  return reinterpret_cast<const unsigned char*>(arena.base + (at ^ (at >> 7 & 7) << 4));
}

void check_descriptor(uint64_t descriptor, const void* pc) {
  const bool swizzled_128 = descriptor >> 62 == 1, no_offset = (descriptor >> 49 & 7) == 0;
  const bool starts_pattern = (descriptor & 0x3fff) * kChunk / 128 % 8 == 0;
  if ((!swizzled_128 || !no_offset || !starts_pattern) && !repeated(Kind::kDescriptor, pc))
    report_at(Kind::kDescriptor, pc,
              "expected a matrix with 128-byte swizzle that starts on 1024 bytes, got another descriptor");
}

int columns(const Product& p) {
  return 2 * p.sums;
}

void check_rows(uint64_t descriptor, int first, int rows, const void* pc) {
  for (int row = first; row < first + rows; ++row)
    for (size_t chunk = 0; chunk < kStepBytes / kChunk; ++chunk)
      check_async_read(chunk_of(descriptor, row, chunk), kChunk, pc);
}

// Checks what the warp of the running thread reads.
void check_operands(const Product& p) {
  check_rows(p.a, current->number % kGroupThreads / kLanes * 16, 16, p.pc);
  check_rows(p.b, 0, columns(p), p.pc);
}

int read_row(const Product& p, uint64_t descriptor, int row, float* out) {
  unsigned char bytes[kStepBytes];
  for (size_t chunk = 0; chunk < kStepBytes / kChunk; ++chunk)
    std::memcpy(bytes + chunk * kChunk, chunk_of(descriptor, row, chunk), kChunk);
  const int item = p.number == Number::kTfloat32 ? 4 : 2, steps = static_cast<int>(kStepBytes) / item;
  for (int k = 0; k < steps; ++k) {
    uint32_t bits = 0;
    std::memcpy(&bits, bytes + k * item, static_cast<size_t>(item));
    out[k] = p.number == Number::kTfloat32  ? from_tfloat32(bits)
             : p.number == Number::kFloat16 ? from_float16(static_cast<uint16_t>(bits))
                                            : from_bfloat16(static_cast<uint16_t>(bits));
  }
  return steps;
}

// ---- the sums -------------------------------------------------------------------------------------------------------

// Thread t of the group has d[4 j + i] at row 16 (t / 32) + t % 32 / 4 + 8 (i / 2), column 8 j + 2 (t % 4) + i % 2.
int row_of(int thread, int i) {
  return thread / kLanes * 16 + thread % kLanes / 4 + i % 4 / 2 * 8;
}
int column_of(int thread, int i) {
  return i / 4 * 8 + thread % 4 * 2 + i % 2;
}

Sums& sums_of(Products& mine, float* d) {
  return *std::find_if(mine.sums.begin(), mine.sums.end(), [&](const Sums& s) { return s.d == d; });
}

void multiply(const Product& p, float (&sum)[kRows][kMostColumns]) {
  static float a[kRows][16], b[16][kMostColumns], row[16];
  int steps = 0;
  for (int i = 0; i < kRows; ++i) steps = read_row(p, p.a, i, a[i]);
  for (int j = 0; j < columns(p); ++j) {
    read_row(p, p.b, j, row);
    for (int k = 0; k < steps; ++k) b[k][j] = row[k];
  }
  for (int i = 0; i < kRows; ++i)
    for (int k = 0; k < steps; ++k)
      for (int j = 0; j < columns(p); ++j) sum[i][j] += a[i][k] * b[k][j];
}

// Product number `index` of every thread of the group.
void run_product(const std::vector<Thread*>& group, size_t index) {
  static float sum[kRows][kMostColumns];
  const Product& first = products[group[0]->number].open[index];
  for (const Thread* t : group)
    for (int i = 0; i < first.sums; ++i) {
      Products& mine = products[t->number];
      sum[row_of(t->number % kGroupThreads, i)][column_of(t->number % kGroupThreads, i)] =
          first.accumulate ? sums_of(mine, mine.open[index].d).value[i] : 0.0f;
    }
  Thread* running = current;
  for (Thread* t : group)
    if (t->lane == 0) current = t, check_operands(first);
  current = running;
  multiply(first, sum);
  for (const Thread* t : group) {
    Sums& s = sums_of(products[t->number], products[t->number].open[index].d);
    for (int i = 0; i < first.sums; ++i)
      s.value[i] = sum[row_of(t->number % kGroupThreads, i)][column_of(t->number % kGroupThreads, i)];
    --s.open;
  }
}

// Accumulators that no product adds to any more are the thread's again.
void hand_back(Thread* t) {
  Products& mine = products[t->number];
  for (size_t i = 0; i < mine.sums.size();) {
    if (mine.sums[i].open > 0) {
      ++i;
      continue;
    }
    std::copy_n(mine.sums[i].value, mine.sums[i].count, mine.sums[i].d);
    mine.sums.erase(mine.sums.begin() + static_cast<std::ptrdiff_t>(i));
    mine.fenced = false;
  }
  t->open_sums = static_cast<int>(mine.sums.size());
}

size_t finished_products(const Products& mine, int groups_left) {
  const size_t groups = mine.group_ends.size(), left = static_cast<size_t>(groups_left);
  return groups <= left ? 0 : mine.group_ends[groups - left - 1];
}

bool agree(const std::vector<Thread*>& group, size_t count, int groups_left) {
  const Products& first = products[group[0]->number];
  for (const Thread* t : group) {
    const Products& mine = products[t->number];
    if (finished_products(mine, groups_left) != count) return false;
    for (size_t i = 0; i < count; ++i)
      if (!mine.open[i].same_as(first.open[i])) return false;
  }
  return true;
}

void finish(Warpgroup& g) {
  std::vector<Thread*> group;
  group.swap(g.waiting);
  std::sort(group.begin(), group.end(), [](const Thread* a, const Thread* b) { return a->number < b->number; });
  const size_t count = finished_products(products[group[0]->number], g.groups_left);
  if (!agree(group, count, g.groups_left)) {
    report_at(Kind::kWarpgroup, current->wait_pc,
              "the 128 threads of the warpgroup did not issue the same wgmma in the same groups");
    abort_launch();
  }
  for (size_t i = 0; i < count; ++i) run_product(group, i);
  for (Thread* t : group) {
    Products& mine = products[t->number];
    mine.open.erase(mine.open.begin(), mine.open.begin() + static_cast<std::ptrdiff_t>(count));
    std::erase_if(mine.group_ends, [&](size_t end) { return end <= count; });
    for (size_t& end : mine.group_ends) end -= count;
    hand_back(t);
    t->state = State::kReady;
    if (t != current) make_ready(t);
  }
}

Warpgroup& warpgroup_of(const Thread* t) {
  return warpgroups[t->number / kGroupThreads];
}

}  // namespace

void forget_products() {
  if (!used) return;
  used = false;
  for (Products& p : products) p = Products();
  for (Warpgroup& g : warpgroups) g.waiting.clear();
}

void check_products_at_return(const Thread* t) {
  const Products& mine = products[t->number];
  if (mine.open.empty() || repeated(Kind::kAsync, mine.open[0].pc)) return;
  report_at(Kind::kAsync, mine.open[0].pc, "the thread returns while this wgmma is under way; nothing waited for it");
}

bool is_open_sum(const Thread* t, uintptr_t address) {
  for (const Sums& s : products[t->number].sums)
    if (address - reinterpret_cast<uintptr_t>(s.d) < sizeof(float) * static_cast<size_t>(s.count)) return true;
  return false;
}

bool report_stuck_warpgroup() {
  bool found = false;
  for (const Warpgroup& g : warpgroups) {
    if (g.waiting.empty()) continue;
    found = true;
    current = g.waiting[0];
    report_at(Kind::kDeadlock, current->wait_pc,
              std::to_string(g.waiting.size()) +
                  " of the 128 threads of a warpgroup wait for their wgmma here, the "
                  "others elsewhere");
  }
  current = nullptr;
  return found;
}

void wgmma(Number number, float* d, int sums, uint64_t a, uint64_t b, bool accumulate) {
  const void* pc = __builtin_return_address(0);
  InEngine scope;
  start_clocks();
  Products& mine = own_products();
  const Product p{number, d, sums, a, b, accumulate, pc};
  check_descriptor(a, pc);
  check_descriptor(b, pc);
  if (!mine.fenced && !repeated(Kind::kAsync, pc))
    report_at(Kind::kAsync, pc, "wgmma without a wgmma_fence since the thread's own use of the accumulators");
  if (current->lane == 0) check_operands(p);
  const auto known = std::find_if(mine.sums.begin(), mine.sums.end(), [&](const Sums& s) { return s.d == d; });
  if (known == mine.sums.end()) {
    Sums s{d, 1, sums, {}};
    std::copy_n(d, sums, s.value);
    std::fill_n(d, sums, std::numeric_limits<float>::quiet_NaN());
    mine.sums.push_back(s);
  } else {
    ++known->open;
  }
  current->open_sums = static_cast<int>(mine.sums.size());
  mine.open.push_back(p);
}

void wait_wgmma(int groups_left) {
  const void* pc = __builtin_return_address(0);
  InEngine scope;
  used = true;
  Warpgroup& g = warpgroup_of(current);
  if (!g.waiting.empty() && g.groups_left != groups_left) {
    report_at(Kind::kWarpgroup, pc, "the threads of a warpgroup wait for different groups of wgmma");
    abort_launch();
  }
  g.groups_left = groups_left;
  g.waiting.push_back(current);
  current->wait_pc = pc;
  current->state = State::kInWarpgroup;
  if (g.waiting.size() == kGroupThreads)
    finish(g);
  else
    suspend();
}

}  // namespace fastdl::emu

namespace fastdl {

void wgmma_fence() {
  emu::InEngine scope;
  emu::own_products().fenced = true;
}

void wgmma_commit_group() {
  emu::InEngine scope;
  emu::Products& mine = emu::own_products();
  mine.group_ends.push_back(mine.open.size());
}

uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(p) - emu::arena.base);
}

}  // namespace fastdl
