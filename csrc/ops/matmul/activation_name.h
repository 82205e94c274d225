// The names of activations in bindings, which products and convolutions share.
#pragma once
#include <string>

#include "core/error.h"
#include "ops/matmul/matmul.h"

namespace fastdl {

inline Activation activation_from_name(const char* op, const std::string& name) {
  int i = 0;
  for (const char* known : kActivationNames) {
    if (name == known) return static_cast<Activation>(i);
    ++i;
  }
  throw ValueError(text("[", op,
                        "] expected activation none, relu, relu6, sigmoid, tanh, silu, hardsigmoid or hardswish, "
                        "got ",
                        name));
}

}  // namespace fastdl
