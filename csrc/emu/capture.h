// What the parts of the emulated run time share about streams that are captured into a graph.
#pragma once
#include <functional>

#include "emu/intrinsics.h"
#include "emu/runtime_api.h"

namespace fastdl::emu {

// Work of a stream that is being captured: noted for replays, and true. Else false, and the caller does it now.
bool captured(cudaStream_t stream, const std::function<void()>& work);
bool capture_launch(const Launch& launch, void (*invoke)(const void* call));

// For calls that wait or that CUDA calls unsafe in a capture: an error, which also spoils the capture.
cudaError_t unsafe_in_capture();

}  // namespace fastdl::emu
