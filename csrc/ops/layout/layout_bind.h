// What the bindings of layout share.
#pragma once
#include "bind/call.h"
#include "ops/layout/layout.h"

namespace fastdl {
namespace layout_binding {

// Each element is read once and written once.
inline int64_t traffic(const Array& a) {
  return 2 * static_cast<int64_t>(a.bytes());
}

}  // namespace layout_binding

void bind_layout_extend(py::module_& m);  // layout_extend_bind.cc

}  // namespace fastdl
