// Kernels that are compiled at run time: fastdl.emu.compile includes this and a user's file in one source, names its
// kernels with FASTDL_USER_KERNEL, and links that with hooks.cc and atomics.cc to a library of its own. Everything else
// of the engine is the module's, which runs these kernels as it runs the library's.
#pragma once
#include <exception>
#include <string>
#include <type_traits>
#include <utility>

#include "cuda/launch.h"

namespace fastdl::emu {

// Adds the library that holds this code to those whose lines and names are known; what to add to its addresses.
FASTDL_ENGINE ptrdiff_t add_module(const void* code);

// "f4" for float, "*f4" for a pointer to such: what Python checks arguments against.
template <class P>
std::string kind_of() {
  if constexpr (std::is_pointer_v<P>)
    return "*" + kind_of<std::remove_cv_t<std::remove_pointer_t<P>>>();
  else if constexpr (std::is_same_v<P, bool>)
    return "b1";
  else if constexpr (std::is_arithmetic_v<P>)
    return (std::is_floating_point_v<P> ? "f" : std::is_signed_v<P> ? "i" : "u") + std::to_string(sizeof(P));
  else
    return "?";
}
template <class... P>
std::string signature(void (*)(P...)) {
  return ((kind_of<std::remove_cv_t<P>>() + " ") + ... + "");
}

// size: grid and block, three numbers each.
template <class... P, size_t... I>
void start(void (*kernel)(P...), const unsigned* size, size_t shared_bytes, void* const* arguments,
           std::index_sequence<I...>) {
  launch(kernel, dim3(size[0], size[1], size[2]), dim3(size[3], size[4], size[5]), shared_bytes, nullptr,
         *static_cast<std::remove_cv_t<P>*>(arguments[I])...);
}
template <class... P>
void start(void (*kernel)(P...), const unsigned* size, size_t shared_bytes, void* const* arguments) {
  start(kernel, size, shared_bytes, arguments, std::index_sequence_for<P...>{});
}

}  // namespace fastdl::emu

// A launch returns the message of what it threw, or null.
#define FASTDL_USER_KERNEL(name)                                                            \
  extern "C" __attribute__((visibility("default"))) const char* fastdl_signature_##name() { \
    static const std::string text = ::fastdl::emu::signature(&name);                        \
    return text.c_str();                                                                    \
  }                                                                                         \
  extern "C" __attribute__((visibility("default"))) const char* fastdl_launch_##name(       \
      const unsigned* size, size_t shared_bytes, void* const* arguments) {                  \
    static std::string message;                                                             \
    try {                                                                                   \
      ::fastdl::emu::start(&name, size, shared_bytes, arguments);                           \
      return nullptr;                                                                       \
    } catch (const std::exception& error) {                                                 \
      message = error.what();                                                               \
      return message.c_str();                                                               \
    }                                                                                       \
  }

// Once in such a library.
#define FASTDL_USER_MODULE                        \
  namespace fastdl::emu {                         \
  extern ptrdiff_t code_shift;                    \
  ptrdiff_t code_shift = add_module(&code_shift); \
  }
