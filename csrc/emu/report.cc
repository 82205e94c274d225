// The findings of all launches since the last clear_findings(). A mistake in a loop is found a million times: findings
// of one kind at one place of one kernel are one, with a count. Source lines are looked up when somebody asks.
#include <algorithm>
#include <map>
#include <tuple>

#include "emu/engine.h"
#include "emu/memory.h"

namespace fastdl::emu {
namespace {

constexpr size_t kMostFindings = 200;
constexpr const char* kKindNames[] = {"OUT_OF_BOUNDS", "MISALIGNED", "UNINIT",      "RACE",        "DIVERGENT_BARRIER",
                                      "WARP_MASK",     "DEADLOCK",   "HOST_ACCESS", "SHARED_SIZE", "ASYNC",
                                      "PROXY",         "MBARRIER",   "WARPGROUP",   "DESCRIPTOR"};

struct Raw {
  Kind kind;
  const void* kernel;
  const void* pc;  // null where the site is known
  Site site;
  uint3 block, thread;
  std::string message;
  uint32_t other_pc;  // the access that this one collided with, or 0
  std::string other;
  int64_t count;
};
using Key = std::tuple<Kind, const void*, const void*, int>;
std::map<Key, size_t> known;
std::vector<Raw> raw;
std::vector<const void*> kernels;  // in the order of their first launch

// Another host thread may be outside any kernel while one runs.
const void* running_kernel(Kind kind) {
  return engine.launch && kind != Kind::kHostAccess ? engine.launch->kernel : nullptr;
}

bool count_again(const Key& key) {
  const auto found = known.find(key);
  if (found == known.end()) return raw.size() >= kMostFindings;
  ++raw[found->second].count;
  return true;
}

void add(const Key& key, Raw finding) {
  if (count_again(key)) return;
  known[key] = raw.size();
  finding.kernel = running_kernel(finding.kind);
  if (finding.kernel) finding.block = engine.block;
  if (current) finding.thread = current->index;
  raw.push_back(std::move(finding));
}

uintptr_t before_call(const void* pc) {
  return reinterpret_cast<uintptr_t>(pc) - module_base() - 1;
}

}  // namespace

bool repeated(Kind kind, const void* pc) {
  return count_again({kind, running_kernel(kind), pc, 0});
}

void report_at(Kind kind, const void* pc, const std::string& message, uint32_t other_pc, const char* other) {
  add({kind, running_kernel(kind), pc, 0}, {kind, nullptr, pc, {"", 0}, {}, {}, message, other_pc, other, 1});
}
void report_at(Kind kind, Site site, const std::string& message) {
  add({kind, running_kernel(kind), site.file, site.line}, {kind, nullptr, nullptr, site, {}, {}, message, 0, "", 1});
}

std::vector<Finding> findings() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  std::vector<uintptr_t> addresses;
  for (const Raw& r : raw) {
    if (r.pc) addresses.push_back(before_call(r.pc));
    if (r.other_pc) addresses.push_back(r.other_pc - 1);
  }
  const std::vector<SourceLine> lines = source_lines(addresses);
  auto line = lines.begin();
  std::vector<Finding> out;
  for (const Raw& r : raw) {
    Finding f{
        kKindNames[static_cast<int>(r.kind)], "", r.site.file, r.message, r.site.line, r.block, r.thread, r.count};
    f.kernel = r.kernel ? function_name(r.kernel) : "host code";
    if (r.pc) f.file = line->file, f.line = line->line, ++line;
    if (r.other_pc) {
      f.message += " (" + r.other + " at " + short_path(line->file) + ":" + std::to_string(line->line) + ")";
      ++line;
    }
    f.file = short_path(f.file);
    out.push_back(std::move(f));
  }
  return out;
}

void clear_findings() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  known.clear();
  raw.clear();
}

void note_kernel(const void* kernel) {
  if (std::find(kernels.begin(), kernels.end(), kernel) == kernels.end()) kernels.push_back(kernel);
}

std::vector<std::string> kernel_names() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  std::vector<std::string> names;
  for (const void* k : kernels) names.push_back(function_name(k));
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<Instance> kernel_instances() {
  std::lock_guard<std::mutex> lock(engine_mutex);
  std::vector<Instance> out;
  for (const auto& [name, offset] : kernels_of_module()) {
    const void* kernel = reinterpret_cast<const void*>(module_base() + offset);
    out.push_back({name, offset, std::find(kernels.begin(), kernels.end(), kernel) != kernels.end()});
  }
  return out;
}

std::string text(uint3 i) {
  return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) + ")";
}

}  // namespace fastdl::emu
