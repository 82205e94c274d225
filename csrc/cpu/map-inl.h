// One pass over arrays: out[i] = f(operands at i), in vectors, past the caches where the output is large.
#pragma once
#include "cpu/vec-inl.h"

namespace fastdl::FASTDL_ISA {

// load_n and store_n, for bytes too.
template <class T>
FASTDL_INLINE Vec<T> load_part(const T* p, int n) {
  if constexpr (sizeof(T) > 1) return load_n<T>(p, n);
  Vec<T> v{};
  __builtin_memcpy(&v, p, static_cast<size_t>(n) * sizeof(T));
  return v;
}
template <class T>
FASTDL_INLINE void store_part(T* p, Vec<T> v, int n) {
  if constexpr (sizeof(T) > 1) return store_n<T>(p, v, n);
  __builtin_memcpy(p, &v, static_cast<size_t>(n) * sizeof(T));
}

// How far a large operand is asked for ahead: a long polynomial fills the processor's window with a few vectors, and
// its own prefetcher stops at the end of each page. Two operands keep it busy, and asking for them makes it slower.
// (Zen 4 gains another tenth by two pages instead of half a page, which Zen 3 was measured with.)
#if defined(FASTDL_ISA_avx512)
constexpr int64_t kBytesAhead = 8192;
#else
constexpr int64_t kBytesAhead = 2048;
#endif

// Operands of map: an array, or one number for all elements.
template <class T>
struct Elements {
  static constexpr bool kInMemory = true;
  const T* p;
  FASTDL_INLINE Vec<T> get(const Elements& e, int64_t i) { return load<T>(e.p + i); }
  FASTDL_INLINE Vec<T> get(const Elements& e, int64_t i, int n) { return load_part<T>(e.p + i, n); }
  FASTDL_INLINE void ask_ahead(const Elements& e, int64_t i) {
    __builtin_prefetch(reinterpret_cast<const char*>(e.p + i) + kBytesAhead);
  }
};
template <class T>
struct Repeated {
  static constexpr bool kInMemory = false;
  Vec<T> v;
  FASTDL_INLINE Vec<T> get(const Repeated& r, int64_t) { return r.v; }
  FASTDL_INLINE Vec<T> get(const Repeated& r, int64_t, int) { return r.v; }
  FASTDL_INLINE void ask_ahead(const Repeated&, int64_t) {}
};

// out[0, n) = f(operands), past the caches if `streams`; then the elements before the first whole line are stored
// apart, and the caller sets the fence. The lambda f must be always inline (FASTDL_BODY).
template <class T, class F, class... Operand>
FASTDL_INLINE void map(T* out, int64_t n, bool streams, F f, const Operand&... x) {
  constexpr int kStep = kLanes<T>;
  int64_t i = 0;
  if (streams && n >= 2 * kStep) {
    const int head =
        static_cast<int>((kVecBytes - reinterpret_cast<uintptr_t>(out) % kVecBytes) % kVecBytes / sizeof(T));
    if (head) store_part<T>(out, f(Operand::get(x, 0, head)...), head);
    for (i = head; i + kStep <= n; i += kStep) {
      if constexpr ((Operand::kInMemory + ...) == 1) (Operand::ask_ahead(x, i), ...);
      stream<T>(out + i, f(Operand::get(x, i)...));
    }
  } else {
    for (; i + kStep <= n; i += kStep) store<T>(out + i, f(Operand::get(x, i)...));
  }
  if (i < n) {
    const int rest = static_cast<int>(n - i);
    store_part<T>(out + i, f(Operand::get(x, i, rest)...), rest);
  }
}

}  // namespace fastdl::FASTDL_ISA
