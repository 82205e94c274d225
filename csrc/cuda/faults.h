// What kernels find wrong in numbers that only they see: indices out of range, targets that are no class.
//
// Such a kernel notes the place in a word of device memory, and works on without touching memory through the number.
// Nobody waits for that: the words are read when somebody waits for the device anyway (a copy to the host,
// synchronize()), and the error of the first word that is not 0 is thrown there.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/array.h"
#include "core/kernel.h"

namespace fastdl {

// A word of device memory that holds 0, for one check.
class FaultWord {
 public:
  FaultWord();
  ~FaultWord();
  FaultWord(FaultWord&& other) noexcept : index_(other.index_) { other.index_ = -1; }
  FaultWord(const FaultWord&) = delete;
  int64_t* address() const;
  int index() const { return index_; }

 private:
  int index_;
};

struct Check {
  std::shared_ptr<FaultWord> word;
  std::function<void(const int64_t* found)> look;  // found: 1 + the first place; throws the error
  std::vector<Array> read;                         // what `look` reads
};
using Checks = std::vector<Check>;

// After the launches on `stream` that may set the word.
void check_later(Check check, Stream stream);
// The same for all checks of a graph that was replayed on `stream`.
void check_later(const std::shared_ptr<Checks>& checks, Stream stream);

void prepare_faults();               // before a capture: allocates the words
void look_at_faults(Stream waited);  // when everything in this stream is done
void look_at_all_faults();           // when everything is

}  // namespace fastdl
