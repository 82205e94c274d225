// What a launcher has to know of graphs (capture.h).
#pragma once
#include <cstddef>

namespace fastdl {

// Coefficients of a step that change from call to call. Outside of a capture place is null: they go by value. Inside
// one a kernel finds those of its replay at `place`. In a refresh they are only taken. Where `largest` is not null, a
// step does nothing unless the number there is finite (fastdl.amp.GradScaler).
struct Replayed {
  const void* place = nullptr;
  bool launch = true;
  const double* largest = nullptr;
};
Replayed replayed(const void* bytes, size_t n);

}  // namespace fastdl
