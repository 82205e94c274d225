// Streams and events. Streams come from a set that lives as long as the process: pools of memory know them by address.
#pragma once
#include "core/kernel.h"
#include "cuda/device_api.h"

namespace fastdl {

void set_current_stream(Stream stream);  // of this thread
Stream next_stream(bool urgent);         // one of 32, in turn; does not wait for the default stream
bool stream_done(Stream stream);
void wait_for_stream(Stream stream);                 // on the host; throws what its kernels failed with
void stream_waits_for(Stream stream, Stream other);  // what is in `other` so far comes before what `stream` gets next

class Event {
 public:
  explicit Event(bool timing);
  ~Event();
  Event(const Event&) = delete;
  void record(Stream stream);
  void wait(Stream stream) const;  // the stream goes on when the event has passed
  bool query() const;
  void synchronize() const;
  double milliseconds_to(const Event& end) const;
  void* address() const { return event_; }

 private:
  bool timing_, recorded_ = false;
  cudaEvent_t event_ = nullptr;
};

}  // namespace fastdl
