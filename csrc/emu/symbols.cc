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
#include <map>
#include <mutex>
#include <stdexcept>

#include "emu/engine.h"
#include "emu/memory.h"

namespace fastdl::emu {
namespace {

struct Module {
  uintptr_t base = 0, end = 0;
  std::string path;
};

// The library that holds an address.
Module find_module(const void* address) {
  Dl_info info{};
  dladdr(address, &info);
  Module found{reinterpret_cast<uintptr_t>(info.dli_fbase), 0, info.dli_fname ? info.dli_fname : ""};
  dl_iterate_phdr(
      [](dl_phdr_info* library, size_t, void* out) {
        Module& m = *static_cast<Module*>(out);
        if (library->dlpi_addr != m.base) return 0;
        for (int i = 0; i < library->dlpi_phnum; ++i) {
          const auto& segment = library->dlpi_phdr[i];
          if (segment.p_type == PT_LOAD) m.end = std::max<uintptr_t>(m.end, m.base + segment.p_vaddr + segment.p_memsz);
        }
        return 1;
      },
      &found);
  return found;
}

// This module first, then those that were added.
std::vector<Module>& modules() {
  static std::vector<Module> all{find_module(reinterpret_cast<const void*>(&findings))};
  return all;
}

// ---- functions ------------------------------------------------------------------------------------------------------

struct Function {
  uintptr_t start;
  size_t bytes;
  std::string name;
};

// The functions of the symbol table, sorted by address. Kernels have internal linkage, so dladdr does not know them.
std::vector<Function> read_functions(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
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

const std::vector<Function>& functions(const Module& m) {
  static std::map<std::string, std::vector<Function>> of_path;
  const auto [found, is_new] = of_path.try_emplace(m.path);
  if (is_new) found->second = read_functions(m.path);
  return found->second;
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
  remove_all(name, "[abi:kernel]");
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

constexpr size_t kAddressesAtOnce = 4000;  // a command line has a longest length

// lines[which[i]] becomes the source line of addresses[i] in a file.
void look_up(const std::string& path, const uintptr_t* addresses, const size_t* which, size_t count,
             std::vector<SourceLine>& lines) {
  std::string command = "addr2line -a -i -e " + quoted(path);
  for (size_t i = 0; i < count; ++i) {
    char hex[24];
    std::snprintf(hex, sizeof hex, " 0x%llx", static_cast<unsigned long long>(addresses[i]));
    command += hex;
  }
  FILE* pipe = popen((command + " 2>/dev/null").c_str(), "r");
  if (!pipe) return;
  // For each address: the address, then its frames from the innermost inlined one outwards.
  char buffer[4096];
  size_t next = 0;
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    buffer[std::strcspn(buffer, "\n")] = 0;
    if (std::strncmp(buffer, "0x", 2) == 0) {
      ++next;
      continue;
    }
    if (next == 0 || next > count) continue;
    SourceLine& line = lines[which[next - 1]];
    if (line.file.empty() || is_machinery(line.file)) line = parse(buffer);
  }
  pclose(pipe);
}

}  // namespace

uintptr_t module_base() {
  return modules()[0].base;
}

ptrdiff_t add_module(const void* code) {
  std::lock_guard<std::mutex> lock(engine_mutex);
  const Module added = find_module(code);
  const uintptr_t at = kUserCode + (modules().size() - 1) * kUserCodeEach;
  if (added.end - added.base > kUserCodeEach || at + kUserCodeEach > uintptr_t{1} << 32)
    throw std::length_error("[emu] expected fewer and smaller modules of kernels");
  modules().push_back(added);
  return static_cast<ptrdiff_t>(module_base() + at - added.base);
}

bool in_module(uintptr_t address, size_t bytes) {
  return std::any_of(modules().begin(), modules().end(),
                     [&](const Module& m) { return address >= m.base && address + bytes <= m.end; });
}

std::string short_path(const std::string& path) {
  const size_t at = path.rfind("csrc/");
  return at == std::string::npos ? path : path.substr(at);
}

std::vector<std::pair<std::string, uintptr_t>> kernels_of_module() {
  std::vector<std::pair<std::string, uintptr_t>> out;
  for (const Function& f : functions(modules()[0]))
    // (Lambdas and variables of a kernel, _ZZ..., are named after it.)
    if (f.name.find("B6kernel") != std::string::npos && f.name.rfind("_ZZ", 0) != 0)
      out.push_back({readable(f.name), f.start});
  return out;
}

std::string function_name(const void* address) {
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  for (const Module& m : modules()) {
    if (at < m.base || at >= m.end) continue;
    const std::vector<Function>& known = functions(m);
    const auto next = std::upper_bound(known.begin(), known.end(), at - m.base,
                                       [](uintptr_t offset, const Function& f) { return offset < f.start; });
    if (next != known.begin() && at - m.base < std::prev(next)->start + std::prev(next)->bytes)
      return readable(std::prev(next)->name);
  }
  return "unknown";
}

std::vector<SourceLine> source_lines(const std::vector<uintptr_t>& module_offsets) {
  std::vector<SourceLine> lines(module_offsets.size(), SourceLine{"", 0});
  for (size_t m = 0; m < modules().size(); ++m) {
    const uintptr_t first = m == 0 ? 0 : kUserCode + (m - 1) * kUserCodeEach,
                    end = m == 0 ? kUserCode : first + kUserCodeEach;
    std::vector<uintptr_t> addresses;
    std::vector<size_t> which;
    for (size_t i = 0; i < module_offsets.size(); ++i)
      if (module_offsets[i] >= first && module_offsets[i] < end)
        addresses.push_back(module_offsets[i] - first), which.push_back(i);
    for (size_t i = 0; i < addresses.size(); i += kAddressesAtOnce)
      look_up(modules()[m].path, &addresses[i], &which[i], std::min(kAddressesAtOnce, addresses.size() - i), lines);
  }
  return lines;
}

}  // namespace fastdl::emu
