#include <stdexcept>

#include "cuda/capture.h"
#include "cuda/pinned.h"
#include "cuda/runtime.h"

namespace fastdl {
namespace {

thread_local Graph* current_graph = nullptr;  // that this thread captures

cudaStreamCaptureMode mode_of(const std::string& name) {
  if (name == "global") return cudaStreamCaptureModeGlobal;
  if (name == "thread_local") return cudaStreamCaptureModeThreadLocal;
  return cudaStreamCaptureModeRelaxed;
}

}  // namespace

bool capturing() {
  return current_graph != nullptr;
}

void refuse_capture(const char* what) {
  if (capturing())
    throw std::runtime_error("[cuda graph] expected work that a graph can hold, got " + std::string(what));
}

void Graph::begin(const Graph* pool, const std::string& mode, uint64_t counter) {
  reset();
  prepare_faults();
  stream_ = current_stream();
  first_counter_ = counter;
  draws_ = false;
  checks_ = std::make_shared<Checks>();
  random_ = allocate(2 * sizeof(uint64_t));
  pool_ = pool && pool->pool_ ? pool->pool_ : new_pool();
  check(cudaStreamBeginCapture(handle(stream_), mode_of(mode)), "the beginning of a capture");
  allocating_ = std::make_unique<AllocateFrom>(pool_);
  current_graph = this;
}

void Graph::end() {
  current_graph = nullptr;
  allocating_.reset();
  cudaGraph_t graph = nullptr;
  check(cudaStreamEndCapture(handle(stream_), &graph), "the capture");
  const cudaError_t error = cudaGraphInstantiate(&exec_, graph, 0);
  cudaGraphDestroy(graph);
  check(error, "cudaGraphInstantiate");
}

void Graph::replay(uint64_t seed, uint64_t counter) {
  refuse_capture("the replay of another graph");
  const Stream stream = current_stream();
  if (draws_) {
    PinnedBlock* const words = pinned_allocate(2 * sizeof(uint64_t));
    auto* const at = static_cast<uint64_t*>(words->data);
    at[0] = seed, at[1] = counter;
    copy_from_pinned(random_->data, *words, at, 2 * sizeof(uint64_t), stream);
    pinned_release(words);  // reused when the copy is done
  }
  check(cudaGraphLaunch(exec_, handle(stream)), "the replay of a graph");
  check_later(checks_, stream);
}

void Graph::reset() {
  if (exec_) cudaGraphExecDestroy(exec_);
  exec_ = nullptr;
  release(random_);
  random_ = nullptr;
  checks_.reset();
  pool_.reset();
}

const uint64_t* graph_random(uint64_t counter, uint64_t* offset) {
  Graph* const g = current_graph;
  *offset = g ? counter - g->first_counter_ : counter;
  if (!g) return nullptr;
  g->draws_ = true;
  return static_cast<const uint64_t*>(g->random_->data);
}

bool keep_for_replays(const Check& check) {
  if (!current_graph) return false;
  current_graph->checks_->push_back(check);
  return true;
}

}  // namespace fastdl
