// Errors for users: "[op] expected X, got Y", of the type that Python raises (bind/errors.cc maps them).
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

#include "core/array.h"

namespace fastdl {

struct ValueError : std::runtime_error {
  using runtime_error::runtime_error;
};
struct TypeError : std::runtime_error {
  using runtime_error::runtime_error;
};
struct IndexError : std::runtime_error {
  using runtime_error::runtime_error;
};
struct NotImplementedError : std::runtime_error {
  using runtime_error::runtime_error;
};

inline std::ostream& operator<<(std::ostream& s, const Dims& d) {
  s << '(';
  for (int i = 0; i < d.n; ++i) s << (i ? ", " : "") << d[i];
  return s << (d.n == 1 ? ",)" : ")");
}
inline std::ostream& operator<<(std::ostream& s, DType t) {
  return s << name(t);
}

// The parts, one after another: text("weight of shape ", w.shape).
template <class... P>
std::string text(const P&... parts) {
  std::ostringstream s;
  (s << ... << parts);
  return s.str();
}

// EXPECT(x.ndim() == 4, ValueError, "conv2d", text("input of 4 dimensions"), text("shape ", x.shape));
// The texts are built only when the condition fails.
#define EXPECT(condition, Error, op, expected, got)                                                                 \
  do {                                                                                                              \
    if (!(condition)) throw ::fastdl::Error("[" + std::string(op) + "] expected " + (expected) + ", got " + (got)); \
  } while (0)

// Checks that most operations need. `what` names the argument as the Python signature does.
inline void expect_float(const char* op, const char* what, const Array& a) {
  EXPECT(is_float(a.dtype), TypeError, op, text(what, " of dtype float32 or float64"), text(a.dtype));
}
inline void expect_same_dtype(const char* op, const char* what, const Array& a, DType t) {
  EXPECT(a.dtype == t, TypeError, op, text(what, " of dtype ", t), text(a.dtype));
}
inline void expect_ndim(const char* op, const char* what, const Array& a, int n) {
  EXPECT(a.ndim() == n, ValueError, op, text(what, " with ", n, " dimensions"), text("shape ", a.shape));
}
inline void expect_shape(const char* op, const char* what, const Array& a, const Dims& s) {
  EXPECT(a.shape == s, ValueError, op, text(what, " of shape ", s), text("shape ", a.shape));
}

}  // namespace fastdl
