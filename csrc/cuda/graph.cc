#include <cstring>
#include <stdexcept>

#include "cuda/capture.h"
#include "cuda/pinned.h"
#include "cuda/runtime.h"

namespace fastdl {
namespace {

thread_local Graph* current_graph = nullptr;  // that this thread captures
thread_local Graph* refreshed_graph = nullptr;

constexpr size_t kRandomBytes = 2 * sizeof(uint64_t), kMemoryBytes = 64 * 1024, kAlignment = 16;

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

void Graph::begin(const std::shared_ptr<Pool>& pool, const std::string& mode, uint64_t counter) {
  reset();
  prepare_faults();
  stream_ = current_stream();
  first_counter_ = counter;
  draws_ = false;
  largest_ = nullptr;
  checks_ = std::make_shared<Checks>();
  memory_ = allocate(kMemoryBytes);
  image_.assign(kRandomBytes, 0);
  pool_ = pool;
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
  if (draws_ || image_.size() > kRandomBytes) {
    const uint64_t random[] = {seed, counter};
    std::memcpy(image_.data(), random, kRandomBytes);
    PinnedBlock* const pinned = pinned_allocate(image_.size());
    std::memcpy(pinned->data, image_.data(), image_.size());
    copy_from_pinned(memory_->data, *pinned, pinned->data, image_.size(), stream);
    pinned_release(pinned);           // reused when the copy is done
    used_on_stream(memory_, stream);  // and this when the replay is
  }
  check(cudaGraphLaunch(exec_, handle(stream)), "the replay of a graph");
  check_later(checks_, stream);
}

void Graph::reset() {
  if (exec_) cudaGraphExecDestroy(exec_);
  exec_ = nullptr;
  release(memory_);
  memory_ = nullptr;
  checks_.reset();
  pool_.reset();
}

const uint64_t* graph_random(uint64_t counter, uint64_t* offset) {
  Graph* const g = current_graph;
  *offset = g ? counter - g->first_counter_ : counter;
  if (!g) return nullptr;
  g->draws_ = true;
  return static_cast<const uint64_t*>(g->memory_->data);
}

Graph::Refreshing::Refreshing(Graph* g) {
  g->refreshed_ = kRandomBytes;
  refreshed_graph = g;
}
Graph::Refreshing::~Refreshing() {
  refreshed_graph = nullptr;
}

void Graph::expect_refreshed() const {
  if (refreshed_ != image_.size())
    throw std::runtime_error(
        "[cuda graph] expected optimizers that update what they updated in the capture, got fewer");
}

Replayed replayed(const void* bytes, size_t n) {
  const size_t rounded = (n + kAlignment - 1) / kAlignment * kAlignment;
  if (Graph* const g = refreshed_graph) {
    if (g->refreshed_ + rounded > g->image_.size())
      throw std::runtime_error(
          "[cuda graph] expected optimizers that update what they updated in the capture, got more");
    std::memcpy(g->image_.data() + g->refreshed_, bytes, n);
    g->refreshed_ += rounded;
    return {nullptr, false};
  }
  Graph* const g = current_graph;
  if (!g) return {};
  const size_t at = g->image_.size();
  if (at + rounded > kMemoryBytes)
    throw std::runtime_error("[cuda graph] expected fewer optimizer steps in a graph, got more than it has memory for");
  g->image_.resize(at + rounded);
  return {static_cast<const char*>(g->memory_->data) + at, true, g->largest_};
}

void Graph::skip_steps_unless_finite(const double* largest) {
  if (!current_graph) throw std::runtime_error("[cuda graph] expected a capture that has begun, got none");
  current_graph->largest_ = largest;
}

bool keep_for_replays(const Check& check) {
  if (!current_graph) return false;
  current_graph->checks_->push_back(check);
  return true;
}

}  // namespace fastdl
