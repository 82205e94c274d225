#include "cuda/streams.h"

#include <atomic>
#include <mutex>
#include <stdexcept>

#include "cuda/capture.h"
#include "cuda/runtime.h"

namespace fastdl {
namespace {

thread_local Stream current = nullptr;

constexpr int kStreams = 32;

}  // namespace

Stream current_stream() {
  return current;
}
void set_current_stream(Stream stream) {
  current = stream;
}

Stream next_stream(bool urgent) {
  static std::mutex mutex;
  static Stream made[2][kStreams];
  static int next[2];
  expect_device();
  std::lock_guard<std::mutex> lock(mutex);
  Stream& stream = made[urgent][next[urgent]++ % kStreams];
  if (!stream) {
    cudaStream_t fresh = nullptr;
    check(cudaStreamCreateWithPriority(&fresh, cudaStreamNonBlocking, urgent ? -1 : 0), "cudaStreamCreate");
    stream = fresh;
  }
  return stream;
}

bool stream_done(Stream stream) {
  refuse_capture("a question about a stream");
  expect_device();
  const cudaError_t error = cudaStreamQuery(handle(stream));
  if (error == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(error, "every kernel of a stream");
  return true;
}

void wait_for_stream(Stream stream) {
  refuse_capture("a wait for a stream");
  expect_device();
  check(cudaStreamSynchronize(handle(stream)), "every kernel of a stream");
  look_at_faults(stream);
}

void stream_waits_for(Stream stream, Stream other) {
  if (stream == other) return;
  Event event(false);
  event.record(other);
  event.wait(stream);
}

// ---- events ---------------------------------------------------------------------------------------------------------

Event::Event(bool timing) : timing_(timing) {
  expect_device();
  check(cudaEventCreateWithFlags(&event_, timing ? cudaEventDefault : cudaEventDisableTiming), "cudaEventCreate");
}
Event::~Event() {
  cudaEventDestroy(event_);
}
void Event::record(Stream stream) {
  check(cudaEventRecord(event_, handle(stream)), "cudaEventRecord");
  recorded_ = true;
}
void Event::wait(Stream stream) const {
  if (recorded_) check(cudaStreamWaitEvent(handle(stream), event_, 0), "cudaStreamWaitEvent");
}
bool Event::query() const {
  refuse_capture("a question about an event");
  const cudaError_t error = cudaEventQuery(event_);
  if (error == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(error, "every kernel before an event");
  return true;
}
void Event::synchronize() const {
  refuse_capture("a wait for an event");
  check(cudaEventSynchronize(event_), "every kernel before an event");
}
double Event::milliseconds_to(const Event& end) const {
  if (!timing_ || !end.timing_)
    throw std::invalid_argument("[elapsed_time] expected events with enable_timing=True, got one without");
  if (!recorded_ || !end.recorded_)
    throw std::invalid_argument("[elapsed_time] expected events that were recorded, got one that was not");
  float milliseconds = 0;
  const cudaError_t error = cudaEventElapsedTime(&milliseconds, event_, end.event_);
  if (error == cudaErrorNotReady) {
    cudaGetLastError();
    throw std::runtime_error("[elapsed_time] expected events that have passed, got one that has not: synchronize()");
  }
  check(error, "cudaEventElapsedTime");
  return static_cast<double>(milliseconds);
}

}  // namespace fastdl
