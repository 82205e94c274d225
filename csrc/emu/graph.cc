// Streams, events and graphs of the emulated device.
//
// A capture is a list of work in the order in which the program gave it, whatever streams it used: that order respects
// every dependency between them. Streams join a capture by waiting for an event that was recorded inside it, and have
// to be waited for before it ends. A launch is kept as the bytes of its arguments, as CUDA keeps them.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <vector>

#include "emu/capture.h"

using Work = std::function<void()>;
using Clock = std::chrono::steady_clock;

namespace {

struct Capture {
  cudaStream_t origin;
  cudaStreamCaptureMode mode;
  bool spoilt = false;
  std::vector<Work> work;
  // Streams of the capture: the place behind their last work, and how far others have waited for it.
  struct Progress {
    size_t last = 0, joined = 0;
  };
  std::map<cudaStream_t, Progress> streams;
};

std::mutex mutex;
std::set<Capture*> captures;
thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;
thread_local std::set<Capture*> begun_here;

}  // namespace

struct CUstream_st {
  Capture* capture = nullptr;
};
struct CUevent_st {
  bool timing, recorded = false;
  Clock::time_point at;
  Capture* capture = nullptr;  // where it was recorded, if in one
  cudaStream_t stream = nullptr;
  size_t place = 0;
};
struct CUgraph_st {
  std::vector<Work> work;
};
struct CUgraphExec_st {
  std::vector<Work> work;
};

namespace {

// The default stream of the process and of a thread have numbers for addresses.
bool is_default(cudaStream_t stream) {
  return reinterpret_cast<uintptr_t>(stream) <= 2;
}
Capture* capture_of(cudaStream_t stream) {
  return is_default(stream) ? nullptr : stream->capture;
}
cudaError_t spoil(Capture* c) {
  c->spoilt = true;
  return cudaErrorStreamCaptureUnsupported;
}

// The bytes of a launch's arguments, aligned for any of them.
struct Arguments {
  explicit Arguments(const fastdl::emu::Launch& launch)
      : bytes(static_cast<char*>(::operator new(launch.call_bytes, kAlignment))) {
    std::memcpy(bytes, launch.call, launch.call_bytes);
  }
  Arguments(const Arguments&) = delete;
  ~Arguments() { ::operator delete(bytes, kAlignment); }
  static constexpr std::align_val_t kAlignment{128};
  char* const bytes;
};

}  // namespace

namespace fastdl::emu {

bool captured(cudaStream_t stream, const Work& work) {
  std::lock_guard<std::mutex> lock(mutex);
  Capture* const c = capture_of(stream);
  if (!c) return false;
  c->work.push_back(work);
  c->streams[stream].last = c->work.size();
  return true;
}

bool capture_launch(const Launch& launch, void (*invoke)(const void*)) {
  const auto stream = static_cast<cudaStream_t>(launch.stream);
  if (!capture_of(stream)) return false;
  const auto arguments = std::make_shared<Arguments>(launch);
  return captured(stream, [launch, arguments, invoke] {
    Launch again = launch;
    again.call = arguments->bytes;
    again.stream = nullptr;
    run(again, invoke);
  });
}

cudaError_t unsafe_in_capture() {
  std::lock_guard<std::mutex> lock(mutex);
  if (thread_mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  for (Capture* c : captures)
    if (c->mode == cudaStreamCaptureModeGlobal || (c->mode == cudaStreamCaptureModeThreadLocal && begun_here.count(c)))
      return spoil(c);
  return cudaSuccess;
}

}  // namespace fastdl::emu

// ---- streams --------------------------------------------------------------------------------------------------------

cudaError_t cudaDeviceSynchronize() {
  std::lock_guard<std::mutex> lock(mutex);
  for (Capture* c : captures) return spoil(c);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  std::lock_guard<std::mutex> lock(mutex);
  Capture* const c = capture_of(stream);
  return c ? spoil(c) : cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return cudaStreamQuery(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  std::lock_guard<std::mutex> lock(mutex);
  Capture* const c = event->capture;
  if (!c || !captures.count(c)) return cudaSuccess;
  if (is_default(stream) || (stream->capture && stream->capture != c)) return spoil(c);
  stream->capture = c;
  size_t& joined = c->streams[event->stream].joined;
  joined = std::max(joined, event->place);
  c->streams[stream].last = c->work.size();
  return cudaSuccess;
}

// ---- events ---------------------------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  *event = new CUevent_st{!(flags & cudaEventDisableTiming), false, {}, nullptr, nullptr, 0};
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  std::lock_guard<std::mutex> lock(mutex);
  event->recorded = true;
  event->at = Clock::now();
  event->capture = capture_of(stream);
  event->stream = stream;
  event->place = event->capture ? event->capture->streams[stream].last : 0;
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  std::lock_guard<std::mutex> lock(mutex);
  return event->capture ? cudaErrorCapturedEvent : cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return cudaEventQuery(event);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->recorded || !end->recorded || !start->timing || !end->timing || start->capture || end->capture)
    return cudaErrorInvalidResourceHandle;
  *milliseconds = std::chrono::duration<float, std::milli>(end->at - start->at).count();
  return cudaSuccess;
}

// ---- graphs ---------------------------------------------------------------------------------------------------------

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, thread_mode);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  std::lock_guard<std::mutex> lock(mutex);
  if (is_default(stream) || stream->capture) return cudaErrorStreamCaptureUnsupported;
  auto* const c = new Capture{stream, mode, false, {}, {}};
  c->streams[stream];
  stream->capture = c;
  captures.insert(c);
  begun_here.insert(c);
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  std::lock_guard<std::mutex> lock(mutex);
  const std::unique_ptr<Capture> c(capture_of(stream));
  *graph = nullptr;
  if (!c) return cudaErrorInvalidValue;
  captures.erase(c.get());
  begun_here.erase(c.get());
  bool joined = c->origin == stream;
  for (const auto& [s, progress] : c->streams) {
    s->capture = nullptr;
    joined = joined && (s == c->origin || progress.joined >= progress.last);
  }
  if (c->spoilt) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  *graph = new CUgraph_st{std::move(c->work)};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  if (capture_of(stream)) return cudaErrorStreamCaptureUnsupported;
  for (const Work& work : exec->work) work();
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  delete exec;
  return cudaSuccess;
}
