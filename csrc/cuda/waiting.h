// Blocks of memory that were freed while streams other than their own may still use them. They come back when events
// that were recorded on those streams have passed.
#pragma once
#include <utility>
#include <vector>

#include "cuda/device_api.h"

namespace fastdl {

template <class Block>
class WaitingBlocks {
 public:
  void add(Block* block, std::vector<void*> streams) { waiting_.push_back({block, std::move(streams), {}}); }

  // done(block) for those whose streams have passed. Not inside a capture, where an event is a part of the graph.
  template <class Done>
  void reclaim(const Done& done) {
    if (waiting_.empty()) return;
    const AllowInCapture allow;  // another thread's
    std::vector<Entry> still;
    for (Entry& e : waiting_) {
      record(e);
      if (passed(e))
        done(e.block);
      else
        still.push_back(std::move(e));
    }
    waiting_ = std::move(still);
  }

 private:
  struct Entry {
    Block* block;
    std::vector<void*> streams;  // without an event so far
    std::vector<cudaEvent_t> events;
  };

  static void record(Entry& e) {
    for (void* stream : e.streams) {
      cudaEvent_t event = nullptr;
      check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
      check(cudaEventRecord(event, handle(stream)), "cudaEventRecord");
      e.events.push_back(event);
    }
    e.streams.clear();
  }
  static bool passed(Entry& e) {
    while (!e.events.empty() && cudaEventQuery(e.events.back()) == cudaSuccess) {
      cudaEventDestroy(e.events.back());
      e.events.pop_back();
    }
    if (!e.events.empty()) cudaGetLastError();  // cudaErrorNotReady is no error to report later
    return e.events.empty();
  }

  std::vector<Entry> waiting_;
};

}  // namespace fastdl
