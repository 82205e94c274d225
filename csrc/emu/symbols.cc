// Names for addresses of this library: kernels from its symbol table, source lines from its debug information (-g1) by
// way of addr2line. Without addr2line reports still have everything but the line.
#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "emu/engine.h"

namespace fastdl::emu {
namespace {

struct Module {
  uintptr_t base = 0;
  std::string path;
};
const Module& module() {
  static const Module found = [] {
    Dl_info info{};
    dladdr(reinterpret_cast<const void*>(&findings), &info);
    return Module{reinterpret_cast<uintptr_t>(info.dli_fbase), info.dli_fname ? info.dli_fname : ""};
  }();
  return found;
}

// ---- functions ------------------------------------------------------------------------------------------------------

struct Function {
  uintptr_t start;
  size_t bytes;
  std::string name;
};

// The functions of the symbol table, sorted by address. Kernels have internal linkage, so dladdr does not know them.
std::vector<Function> read_functions() {
  std::ifstream file(module().path, std::ios::binary);
  const std::string image((std::istreambuf_iterator<char>(file)), {});
  std::vector<Function> out;
  if (image.size() < sizeof(ElfW(Ehdr))) return out;
  const auto* header = reinterpret_cast<const ElfW(Ehdr)*>(image.data());
  const auto* sections = reinterpret_cast<const ElfW(Shdr)*>(image.data() + header->e_shoff);
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char* names = image.data() + sections[sections[i].sh_link].sh_offset;
    const auto* symbol = reinterpret_cast<const ElfW(Sym)*>(image.data() + sections[i].sh_offset);
    for (const auto* end = symbol + sections[i].sh_size / sizeof *symbol; symbol < end; ++symbol)
      if ((symbol->st_info & 0xf) == STT_FUNC && symbol->st_value != 0)
        out.push_back({symbol->st_value, symbol->st_size, names + symbol->st_name});
  }
  std::sort(out.begin(), out.end(), [](const Function& a, const Function& b) { return a.start < b.start; });
  return out;
}

void remove_all(std::string& s, const std::string& part) {
  for (size_t at; (at = s.find(part)) != std::string::npos;) s.erase(at, part.size());
}

// "void fastdl::(anonymous namespace)::scale<float, 4>(float*, long)" becomes "scale<float, 4>".
std::string readable(const std::string& mangled) {
  int status = 0;
  char* demangled = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  std::string name = demangled ? demangled : mangled;
  std::free(demangled);
  remove_all(name, "(anonymous namespace)::");
  remove_all(name, "fastdl::");
  size_t start = 0;
  int depth = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '<')
      ++depth;
    else if (name[i] == '>')
      --depth;
    else if (depth == 0 && name[i] == ' ')
      start = i + 1;
    else if (depth == 0 && name[i] == '(')
      return name.substr(start, i - start);
  }
  return name.substr(start);
}

// ---- lines ----------------------------------------------------------------------------------------------------------

// Frames of the headers that define intrinsics are skipped: the kernel's own line is wanted.
bool is_machinery(const std::string& file) {
  return file.find("csrc/emu/intrinsics.h") != std::string::npos ||
         file.find("csrc/cuda/launch.h") != std::string::npos ||
         file.find("csrc/cuda/tensorcore.cuh") != std::string::npos ||
         file.find("csrc/cuda/hopper.cuh") != std::string::npos || file.find("csrc/emu/hopper.h") != std::string::npos;
}

// "path:12 (discriminator 3)"
SourceLine parse(const std::string& s) {
  const size_t colon = s.rfind(':', s.find(" (discriminator"));
  if (colon == std::string::npos || s[0] == '?') return {"", 0};
  return {s.substr(0, colon), std::atoi(s.c_str() + colon + 1)};
}

std::string quoted(const std::string& path) {
  std::string out = "'";
  for (char c : path) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

uintptr_t module_base() {
  return module().base;
}

std::string function_name(const void* address) {
  static const std::vector<Function> functions = read_functions();
  const uintptr_t offset = reinterpret_cast<uintptr_t>(address) - module_base();
  auto next = std::upper_bound(functions.begin(), functions.end(), offset,
                               [](uintptr_t at, const Function& f) { return at < f.start; });
  if (next == functions.begin() || offset >= std::prev(next)->start + std::prev(next)->bytes) return "unknown";
  return readable(std::prev(next)->name);
}

std::vector<SourceLine> source_lines(const std::vector<uintptr_t>& module_offsets) {
  std::vector<SourceLine> lines(module_offsets.size(), SourceLine{"", 0});
  if (lines.empty()) return lines;
  std::string command = "addr2line -a -i -e " + quoted(module().path);
  for (uintptr_t offset : module_offsets) {
    char hex[24];
    std::snprintf(hex, sizeof hex, " 0x%llx", static_cast<unsigned long long>(offset));
    command += hex;
  }
  FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  if (!pipe) return lines;
  // For each address: the address, then its frames from the innermost inlined one outwards.
  char buffer[4096];
  size_t next = 0;
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    buffer[std::strcspn(buffer, "\n")] = 0;
    if (std::strncmp(buffer, "0x", 2) == 0) {
      ++next;
      continue;
    }
    if (next == 0 || next > lines.size()) continue;
    SourceLine& line = lines[next - 1];
    if (line.file.empty() || is_machinery(line.file)) line = parse(buffer);
  }
  pclose(pipe);
  return lines;
}

}  // namespace fastdl::emu
