// Graphs: the work of a stream, noted instead of done, for replays in one call (CUDA graphs).
//
// What a capture notes are kernels with the bytes of their arguments. So whatever has to differ from replay to replay
// lies in device memory, which a replay writes first:
//
//   | seed, counter | learning rate, corrections, ... of the first optimizer step | of the second | ...
//
// Kernels that draw random numbers read the beginning (graph_random), steps their coefficients (replayed). Indices that
// kernels find wrong are reported after the next wait (faults.h).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/device_api.h"
#include "cuda/faults.h"
#include "cuda/pool.h"
#include "cuda/replayed.h"

namespace fastdl {

class Graph {
 public:
  Graph() = default;
  ~Graph() { reset(); }
  Graph(const Graph&) = delete;

  // What this thread gives its current stream from now on belongs to the graph. `counter`: where the random numbers of
  // the captured program begin.
  void begin(const std::shared_ptr<Pool>& pool, const std::string& mode, uint64_t counter);
  void end();
  // again() repeats the steps of the capture, whose coefficients are taken and whose launches are left out.
  template <class Again>
  void refresh(const Again& again) {
    const Refreshing scope(this);
    again();
    expect_refreshed();
  }
  // On the current stream; random numbers begin at `counter`.
  void replay(uint64_t seed, uint64_t counter);
  void reset();
  // Steps that this thread captures from now on do nothing in replays that find no finite number here; null: they do.
  static void skip_steps_unless_finite(const double* largest);

 private:
  struct Refreshing {
    explicit Refreshing(Graph* g);
    ~Refreshing();
  };
  void expect_refreshed() const;
  friend const uint64_t* graph_random(uint64_t counter, uint64_t* offset);
  friend Replayed replayed(const void* bytes, size_t n);
  friend bool keep_for_replays(const Check& check);

  std::shared_ptr<Pool> pool_;
  std::unique_ptr<AllocateFrom> allocating_;
  std::shared_ptr<Checks> checks_;
  Stream stream_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
  Buffer* memory_ = nullptr;  // that replays write
  std::vector<char> image_;   // what they write there
  size_t refreshed_ = 0;      // bytes of it
  uint64_t first_counter_ = 0;
  bool draws_ = false;
  const double* largest_ = nullptr;
};

bool capturing();                       // whether this thread captures
void refuse_capture(const char* what);  // throws "[cuda graph] expected work that a graph can hold, got <what>" if so

// For a kernel that draws from `counter` on: inside a capture, where a replay's seed and first counter will lie, and
// how far from that counter this kernel begins; else null, and `offset` is the counter itself.
const uint64_t* graph_random(uint64_t counter, uint64_t* offset);

// Inside a capture a check belongs to every replay; false outside of one.
bool keep_for_replays(const Check& check);

}  // namespace fastdl
