// Checks that steps and clipping share.
#pragma once
#include <cmath>
#include <vector>

#include "bind/call.h"
#include "ops/optimizer/optimizer.h"

namespace fastdl {

// `states` are `what` of the parameters: as many, of their shapes and dtype.
inline void expect_like(const char* op, const char* what, const ArrayList& states, const ArrayList& params) {
  EXPECT(states.size() == params.size(), ValueError, op, text(what, " of ", params.size(), " arrays"),
         text(states.size()));
  for (Py_ssize_t i = 0; i < params.size(); ++i) {
    const Array &s = states[i], &p = params[i];
    EXPECT(s.dtype == p.dtype, TypeError, op, text(what, "[", i, "] of dtype ", p.dtype), text(s.dtype));
    EXPECT(s.shape == p.shape, ValueError, op, text(what, "[", i, "] of shape ", p.shape), text("shape ", s.shape));
  }
}

inline void expect_params(const char* op, const ArrayList& params, const char* what = "params") {
  refuse_recording(op);  // the arguments point to lists on the host
  for (Py_ssize_t i = 0; i < params.size(); ++i) {
    const Array& p = params[i];
    EXPECT(is_float(p.dtype), TypeError, op, text(what, "[", i, "] of dtype float32 or float64"), text(p.dtype));
    EXPECT(p.dtype == params[0].dtype, TypeError, op, text(what, " of one dtype, ", params[0].dtype),
           text(p.dtype, " at position ", i));
  }
}

inline void expect_at_least_0(const char* op, const char* what, double v) {
  EXPECT(v >= 0 && std::isfinite(v), ValueError, op, text(what, " of at least 0"), text(v));
}

void bind_adaptive_steps(py::module_& m);
void bind_moments_steps(py::module_& m);
void bind_clipping(py::module_& m);

}  // namespace fastdl
