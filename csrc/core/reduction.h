// What a loss does with the losses of its elements.
#pragma once

namespace fastdl {

enum class Reduction { kNone, kMean, kSum };

}  // namespace fastdl
