// What an access costs, whatever it computes. Lanes run one after another here and together on a GPU, so accesses are
// first gathered: the n-th execution of one instruction by each lane of a warp, since the warp last met, is one
// request. From the addresses of a request follow
//
//   shared memory   wavefronts. One serves each of 32 banks of 4 bytes with one word. Lanes with 8 (16) bytes go by
//                   halves (quarters) of the warp; two of those go together where neighbours i and i ^ 1, or i and
//                   i ^ 2, all agree in their address. Ideal is one for each part of the warp that takes part.
//   global memory   sectors of 32 bytes. Ideal are as many as could hold the bytes that were asked for.
//
// Atomics on one word of shared memory are done one by one. Caches, and the merging of neighbouring accesses by a
// compiler, are left out.
#include "emu/traffic.h"

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "emu/memory.h"

namespace fastdl::emu {

bool profiling = false;

namespace {

constexpr int kBanks = 32, kBankBytes = 4, kSectorBytes = 32;

struct Request {
  unsigned lanes = 0;
  uintptr_t address[kLanes];
};

// ---- the cost of a request ------------------------------------------------------------------------------------------

bool takes_part(const Request& r, int lane) {
  return r.lanes >> lane & 1;
}

bool pairs_agree(const Request& r, int distance) {
  for (int i = 0; i < kLanes; ++i)
    if (takes_part(r, i) && takes_part(r, i ^ distance) && r.address[i] != r.address[i ^ distance]) return false;
  return true;
}

int lanes_at_once(const Request& r, int bytes) {
  if (bytes <= kBankBytes) return kLanes;
  const int lanes = kBanks * kBankBytes / bytes;
  return pairs_agree(r, 1) || pairs_agree(r, 2) ? std::min(2 * lanes, kLanes) : lanes;
}

// Distinct words of the fullest bank, for some lanes of a request; 0 if none takes part.
int fullest_bank(const Request& r, int first, int last, int bytes, bool atomic) {
  std::vector<uintptr_t> words;
  for (int i = first; i < last; ++i)
    for (int b = 0; takes_part(r, i) && b < bytes; b += kBankBytes) words.push_back(r.address[i] / kBankBytes + b / 4);
  std::sort(words.begin(), words.end());
  if (!atomic) words.erase(std::unique(words.begin(), words.end()), words.end());
  int load[kBanks] = {};
  for (uintptr_t w : words) ++load[w % kBanks];
  return *std::max_element(load, load + kBanks);
}

std::pair<int, int> wavefronts(const Request& r, int bytes, bool atomic) {
  const int step = lanes_at_once(r, bytes);
  int units = 0, ideal = 0;
  for (int i = 0; i < kLanes; i += step) {
    const int fullest = fullest_bank(r, i, i + step, bytes, atomic);
    units += fullest;
    ideal += fullest > 0;
  }
  return {units, ideal};
}

std::pair<int, int> sectors(const Request& r, int bytes) {
  std::vector<uintptr_t> starts;
  for (int i = 0; i < kLanes; ++i)
    if (takes_part(r, i)) starts.push_back(r.address[i]);
  std::sort(starts.begin(), starts.end());
  uintptr_t byte_end = 0, sector_end = 0, asked = 0, units = 0;
  for (uintptr_t start : starts) {
    const uintptr_t end = start + bytes, sectors_end = (end + kSectorBytes - 1) / kSectorBytes;
    asked += end - std::min(end, std::max(start, byte_end));
    units += sectors_end - std::min(sectors_end, std::max(start / kSectorBytes, sector_end));
    byte_end = std::max(byte_end, end);
    sector_end = std::max(sector_end, sectors_end);
  }
  return {static_cast<int>(units), static_cast<int>((asked + kSectorBytes - 1) / kSectorBytes)};
}

// ---- totals ---------------------------------------------------------------------------------------------------------

struct Instruction {
  const void* kernel;
  uint32_t pc;  // offset into this module
  Access access;
  bool shared;
  int bytes;
  auto key() const { return std::tuple(kernel, pc, access, shared, bytes); }
  bool operator<(const Instruction& other) const { return key() < other.key(); }
};
struct Counts {
  int64_t requests = 0, units = 0, ideal = 0;
};
struct Moved {
  int64_t launches = 0, blocks = 0;
  int threads = 0;
  int64_t read = 0, written = 0, read_floor = 0, written_floor = 0;
};
std::map<Instruction, Counts> counts;
std::map<const void*, Moved> moved;

void add(const Instruction& in, const Request& r) {
  const auto [units, ideal] = in.shared ? wavefronts(r, in.bytes, in.access == Access::kAtomic) : sectors(r, in.bytes);
  Counts& c = counts[in];
  ++c.requests, c.units += units, c.ideal += ideal;
  if (in.shared) return;
  Moved& m = moved[in.kernel];
  if (in.access != Access::kWrite) m.read += units * kSectorBytes;
  if (in.access != Access::kRead) m.written += units * kSectorBytes;
}

// Bytes of global memory that the running launch has touched, in pages.
class Touched {
 public:
  // How many of the bytes are new.
  int add(uintptr_t offset, size_t bytes) {
    int fresh = 0;
    for (uintptr_t at = offset, end = offset + bytes; at < end;) {
      const uintptr_t stop = std::min(end, (at / 64 + 1) * 64);
      const uint64_t bits = (~uint64_t{0} >> (64 - (stop - at))) << at % 64;
      uint64_t& seen = page(at / kPage)[at % kPage / 64];
      fresh += std::popcount(bits & ~seen);
      seen |= bits;
      at = stop;
    }
    return fresh;
  }
  void clear() {
    pages_.clear();
    last_ = nullptr;
  }

 private:
  static constexpr uintptr_t kPage = 4096;
  using Page = std::array<uint64_t, kPage / 64>;
  Page& page(uintptr_t number) {
    if (!last_ || number != last_number_) last_ = &pages_[number], last_number_ = number;
    return *last_;
  }
  std::unordered_map<uintptr_t, Page> pages_;
  Page* last_ = nullptr;
  uintptr_t last_number_ = 0;
};
Touched touched_by_reads, touched_by_writes;
uint32_t launch_seen = 0;

void begin_launch_traffic() {
  launch_seen = engine.launch_epoch;
  touched_by_reads.clear();
  touched_by_writes.clear();
  Moved& m = moved[engine.launch->kernel];
  const dim3 grid = engine.launch->grid;
  ++m.launches, m.blocks += int64_t{grid.x} * grid.y * grid.z;
  m.threads = std::max(m.threads, engine.threads);
}

void count_bytes(uintptr_t offset, size_t bytes, Access access) {
  Moved& m = moved[engine.launch->kernel];
  if (access != Access::kWrite) m.read_floor += touched_by_reads.add(offset, bytes);
  if (access != Access::kRead) m.written_floor += touched_by_writes.add(offset, bytes);
}

// ---- gathering the lanes --------------------------------------------------------------------------------------------

struct Pending {
  int executed[kLanes] = {};  // how often each lane has, since the warp last met
  std::vector<Request> requests;
};
struct WarpTraffic {
  uint32_t epoch = 0, meetings = 0;  // of the pending requests: a barrier or __syncwarp ends them
  std::map<Instruction, Pending> pending;
};
std::vector<WarpTraffic> warps;

void finish(WarpTraffic& w) {
  for (const auto& [instruction, pending] : w.pending)
    for (const Request& r : pending.requests) add(instruction, r);
  w.pending.clear();
}

void finish_all() {
  for (WarpTraffic& w : warps) finish(w);
}

void note(uintptr_t offset, const Instruction& instruction) {
  const Thread* t = current;
  const size_t number = static_cast<size_t>(t->number / kLanes);
  if (warps.size() <= number) warps.resize(number + 1);
  WarpTraffic& w = warps[number];
  if (w.epoch != engine.epoch || w.meetings != t->warp->meetings) {
    finish(w);
    w.epoch = engine.epoch, w.meetings = t->warp->meetings;
  }
  Pending& p = w.pending[instruction];
  const size_t n = static_cast<size_t>(p.executed[t->lane]++);
  if (p.requests.size() <= n) p.requests.resize(n + 1);
  p.requests[n].lanes |= 1u << t->lane;
  p.requests[n].address[t->lane] = offset;
}

}  // namespace

void count_access(uintptr_t offset, size_t bytes, Access access, const void* pc) {
  InEngine scope;
  if (launch_seen != engine.launch_epoch) begin_launch_traffic();
  const bool shared = offset < kSharedRegion;
  if (!shared) count_bytes(offset, bytes, access);
  const uint32_t at = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pc) - arena.code);
  // An aggregate moves word by word, or byte by byte where it is packed.
  const size_t each = bytes <= 16 && std::has_single_bit(bytes) ? bytes : bytes % 4 == 0 && offset % 4 == 0 ? 4 : 1;
  for (size_t i = 0; i < bytes; i += each)
    note(offset + i, {engine.launch->kernel, at, access, shared, static_cast<int>(each)});
}

void set_profiling(bool on) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  profiling = on;
}

void clear_traffic() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  finish_all();
  counts.clear();
  moved.clear();
}

std::vector<LineTraffic> line_traffic() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  finish_all();
  std::vector<uintptr_t> addresses;
  for (const auto& [in, c] : counts) addresses.push_back(in.pc - 1);
  const std::vector<SourceLine> lines = source_lines(addresses);
  auto at = lines.begin();
  // Unrolled and inlined copies of one line are one.
  std::map<std::tuple<std::string, std::string, int, bool, Access, int>, Counts> merged;
  for (const auto& [in, c] : counts) {
    Counts& m = merged[{function_name(in.kernel), short_path(at->file), at->line, in.shared, in.access, in.bytes}];
    m.requests += c.requests, m.units += c.units, m.ideal += c.ideal;
    ++at;
  }
  std::vector<LineTraffic> out;
  for (const auto& [key, c] : merged) {
    const auto& [kernel, file, line, shared, access, bytes] = key;
    out.push_back({kernel, file, line, shared, access, bytes, c.requests, c.units, c.ideal});
  }
  return out;
}

std::vector<KernelTraffic> kernel_traffic() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  finish_all();
  std::map<std::string, Moved> named;
  for (const auto& [kernel, m] : moved) {
    Moved& sum = named[function_name(kernel)];
    sum.launches += m.launches, sum.blocks += m.blocks, sum.threads = std::max(sum.threads, m.threads);
    sum.read += m.read, sum.written += m.written;
    sum.read_floor += m.read_floor, sum.written_floor += m.written_floor;
  }
  std::vector<KernelTraffic> out;
  for (const auto& [kernel, m] : named)
    out.push_back({kernel, m.launches, m.blocks, m.threads, m.read, m.written, m.read_floor, m.written_floor});
  return out;
}

}  // namespace fastdl::emu
