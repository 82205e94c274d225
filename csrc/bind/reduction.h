#pragma once
#include <string_view>

#include "core/error.h"
#include "core/reduction.h"

namespace fastdl {

inline Reduction reduction_of(const char* op, std::string_view name) {
  if (name == "none") return Reduction::kNone;
  if (name == "mean") return Reduction::kMean;
  EXPECT(name == "sum", ValueError, op, text("reduction none, mean or sum"), text(name));
  return Reduction::kSum;
}

}  // namespace fastdl
