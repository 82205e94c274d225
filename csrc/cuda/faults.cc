#include "cuda/faults.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "cuda/capture.h"
#include "cuda/runtime.h"

namespace fastdl {
namespace {

constexpr int kWords = 1024;
// Checks keep what they read until somebody waits. With more than this it is time to.
constexpr size_t kMostPending = 256, kMostBytesKept = size_t{64} << 20;

std::mutex mutex;  // guards all that follows
uint64_t* words = nullptr;
std::vector<int> free_words;

struct Pending {
  std::shared_ptr<Checks> checks;
  Stream stream;
};
std::vector<Pending> pending;

bool time_to_wait() {
  std::lock_guard<std::mutex> lock(mutex);
  size_t bytes = 0;
  for (const Pending& p : pending)
    for (const Check& c : *p.checks)
      for (const Array& a : c.read) bytes += a.bytes();
  return pending.size() > kMostPending || bytes > kMostBytesKept;
}

std::vector<Pending> take_pending(bool all, Stream stream) {
  std::lock_guard<std::mutex> lock(mutex);
  std::vector<Pending> taken;
  const auto gone = [&](const Pending& p) { return all || p.stream == stream; };
  for (const Pending& p : pending)
    if (gone(p)) taken.push_back(p);
  pending.erase(std::remove_if(pending.begin(), pending.end(), gone), pending.end());
  return taken;
}

// One copy of all words is shorter than one a check. They were written before whatever this thread waited for.
std::vector<uint64_t> read_words(cudaStream_t stream) {
  std::vector<uint64_t> found(kWords);
  check(cudaMemcpyAsync(found.data(), words, kWords * sizeof(uint64_t), cudaMemcpyDeviceToHost, stream),
        "reading the checks of indices");
  check(cudaStreamSynchronize(stream), "every kernel");
  return found;
}

// Throws the first error. The others follow from it, or come again when the same is done again.
void look(const std::vector<Pending>& taken, Stream stream) {
  if (taken.empty()) return;
  const std::vector<uint64_t> found = read_words(handle(stream));
  const Check* first = nullptr;
  int64_t place = 0;
  for (const Pending& p : taken)
    for (const Check& c : *p.checks) {
      const uint64_t word = found[static_cast<size_t>(c.word->index())];
      if (word == 0) continue;
      check(cudaMemsetAsync(c.word->address(), 0, sizeof word, handle(stream)), "clearing a check");
      if (!first) first = &c, place = static_cast<int64_t>(-word);  // the word is ~place
    }
  if (first) first->look(&place);
}

}  // namespace

// ---- words ----------------------------------------------------------------------------------------------------------

void prepare_faults() {
  std::lock_guard<std::mutex> lock(mutex);
  if (words) return;
  expect_device();
  void* data = nullptr;
  check(cudaMalloc(&data, kWords * sizeof(uint64_t)), "cudaMalloc");
  check(cudaMemsetAsync(data, 0, kWords * sizeof(uint64_t), nullptr), "setting memory to zero");
  check(cudaStreamSynchronize(nullptr), "setting memory to zero");
  words = static_cast<uint64_t*>(data);
  for (int i = kWords - 1; i >= 0; --i) free_words.push_back(i);
}

FaultWord::FaultWord() : index_(-1) {
  if (!capturing()) prepare_faults();
  for (int attempt = 0; attempt < 2; ++attempt) {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (!free_words.empty()) {
        index_ = free_words.back();
        free_words.pop_back();
        return;
      }
    }
    if (capturing()) break;
    synchronize();  // looks at them, and so gives them back
  }
  throw std::runtime_error("[cuda] expected at most " + std::to_string(kWords) + " checks in graphs, got more");
}
FaultWord::~FaultWord() {
  if (index_ < 0) return;
  std::lock_guard<std::mutex> lock(mutex);
  free_words.push_back(index_);
}
int64_t* FaultWord::address() const {
  return reinterpret_cast<int64_t*>(words + index_);
}

// ---- checks ---------------------------------------------------------------------------------------------------------

void check_later(Check check, Stream stream) {
  if (keep_for_replays(check)) return;
  auto one = std::make_shared<Checks>();
  one->push_back(std::move(check));
  check_later(one, stream);
}

void check_later(const std::shared_ptr<Checks>& checks, Stream stream) {
  if (checks->empty()) return;
  {
    std::lock_guard<std::mutex> lock(mutex);
    const auto same = [&](const Pending& p) { return p.checks == checks && p.stream == stream; };
    if (std::none_of(pending.begin(), pending.end(), same)) pending.push_back({checks, stream});
  }
  if (kLaunchesWait) return look_at_faults(stream);
  if (!time_to_wait()) return;
  check(cudaStreamSynchronize(handle(stream)), "every kernel of a stream");
  look_at_faults(stream);
}

void look_at_faults(Stream waited) {
  look(take_pending(false, waited), waited);
}
void look_at_all_faults() {
  look(take_pending(true, nullptr), current_stream());
}

}  // namespace fastdl
