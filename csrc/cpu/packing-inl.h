// Operands of matrix products: where they lie, how they are cut, and copies of them in the order in which they are
// used.
#pragma once
#include "cpu/microkernel-inl.h"
#include "cpu/parallel.h"
#include "cpu/transpose-inl.h"

namespace fastdl::FASTDL_ISA {

FASTDL_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
FASTDL_INLINE int64_t min64(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// `total` cut into equal parts of at most `most`: no short last part that would run at a fraction of the speed. Parts
// differ by one at most, the longer ones come first.
struct Split {
  int64_t total, count, base, longer;
};
FASTDL_INLINE Split split_evenly(int64_t total, int64_t most) {
  const int64_t count = total > 0 ? ceil_div(total, most) : 0;
  return {total, count, count ? total / count : 0, count ? total % count : 0};
}
FASTDL_INLINE int64_t part_begin(const Split& s, int64_t i) {
  return i * s.base + min64(i, s.longer);
}
FASTDL_INLINE int64_t part_size(const Split& s, int64_t i) {
  return s.base + (i < s.longer);
}

constexpr int64_t kPackGrain = 64 << 10;  // elements that a thread packs at least

// One operand: element (line, step of k) at data[line * ld + step] if along_k, else at data[step * ld + line].
template <class T>
struct Operand {
  const T* data;
  int64_t ld;
  bool along_k;
};
template <class T>
FASTDL_INLINE const T* operand_at(const Operand<T>& o, int64_t line, int64_t step) {
  return o.along_k ? o.data + line * o.ld + step : o.data + step * o.ld + line;
}

// Memory of a kernel: on the stack when small, since the allocator takes a lock.
template <class T>
class Workspace {
 public:
  __attribute__((always_inline)) explicit Workspace(int64_t n)
      : data_(n <= kOnStack ? here_ : static_cast<T*>(scratch_allocate(static_cast<size_t>(n) * sizeof(T)))) {}
  __attribute__((always_inline)) ~Workspace() {
    if (data_ != here_) scratch_release(data_);
  }
  Workspace(const Workspace&) = delete;
  __attribute__((always_inline)) T* get() { return data_; }

 private:
  static constexpr int64_t kOnStack = 8192 / sizeof(T);
  alignas(64) T here_[kOnStack];
  T* data_;
};

// ---- packing ------------------------------------------------------------------------------------------------------

// Where lines begin that are transposed together: of fewer than kLanes the last one again and again.
template <class T>
struct Lines {
  int64_t offset[kLanes<T>];
  Lines(int64_t ld, int rows) {
    for (int i = 0; i < kLanes<T>; ++i) offset[i] = (i < rows ? i : rows - 1) * ld;
  }
};

// A square of kLanes steps from lines along k. Stores run over into the next step, which comes after it.
// (One pointer that moves: the compiler would keep one for each of them, on the stack.)
template <class T>
FASTDL_INLINE void pack_square(T* dst, int width, const T* src, const Lines<T>& lines) {
  constexpr int L = kLanes<T>;
  Vec<T> v[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) v[i] = load<T>(src + lines.offset[i]);
  transpose<T>(v);
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i, dst += width) {
    in_register(dst);
    store<T>(dst, v[i]);
  }
}

// dst[p * width + i] = src[i * ld + p], i < rows <= width: an operand whose lines run along k. Lanes of dst beyond
// `rows` get copies of the last row; what is computed from them is never stored.
template <class T>
static void pack_along(T* dst, int width, const T* src, int64_t ld, int rows, int64_t kc) {
  constexpr int L = kLanes<T>;
  const T* const end = dst + kc * width;
  const int steps = static_cast<int>(min64(kc, L));
  int64_t done = 0;
  if (rows == width && (width < L || width % L == 0)) {
    const Lines<T> lines(ld, width < L ? width : L);
    for (; (kc - done - L + 1) * width >= L; done += L)  // the last store ends within dst
      for (int i = 0; i < width; i += L) pack_square<T>(dst + done * width + i, width, src + i * ld + done, lines);
  }
  for (; done < kc; done += L) {
    // The last block overlaps the one before and writes the same numbers again, which spares it masks.
    const int64_t p = min64(done, kc - steps);
    for (int group = 0; group < width; group += L) {
      const int i0 = width < L ? 0 : static_cast<int>(min64(group, width - L));
      Vec<T> v[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        const T* line = src + min64(i0 + i, rows - 1) * ld + p;
        v[i] = steps == L ? load<T>(line) : load_n<T>(line, steps);
      }
      transpose<T>(v);
      T* d = dst + p * width + i0;
      // Narrow panels: each store runs over into the next step, which comes after it. Only the very last must be exact.
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i, d += width) {
        if (i >= steps) break;
        if (width >= L || d + L <= end) {
          store<T>(d, v[i]);
        } else {
          store_n<T>(d, v[i], width);
        }
      }
    }
  }
}

// Rows of a constant length below that of a vector: a few moves each instead of a call of memcpy.
template <class T, int W>
static void copy_narrow(T* dst, const T* src, int64_t ld, int64_t kc) {
  for (int64_t p = 0; p < kc; ++p) __builtin_memcpy(dst + p * W, src + p * ld, W * sizeof(T));
}
template <class T, int... I>
FASTDL_INLINE void copy_narrow_of(int w, T* dst, const T* src, int64_t ld, int64_t kc,
                                  std::integer_sequence<int, I...>) {
  static constexpr void (*kInstances[])(T*, const T*, int64_t, int64_t) = {&copy_narrow<T, I + 1>...};
  kInstances[w - 1](dst, src, ld, kc);
}

// dst[p * width + i] = src[p * ld + i], i < rows <= width: an operand whose lines run across k. Either rows = width
// (A), or width is a multiple of the vector (B) and the rest is filled with zeros.
template <class T>
static void pack_across(T* dst, int width, const T* src, int64_t ld, int rows, int64_t kc) {
  constexpr int L = kLanes<T>;
  if (rows == width && width < L)
    return copy_narrow_of<T>(width, dst, src, ld, kc, std::make_integer_sequence<int, L - 1>{});
  for (int64_t p = 0; p < kc; ++p, src += ld, dst += width) {
    int i = 0;
    for (; i + L <= rows; i += L) store<T>(dst + i, load<T>(src + i));
    if (i == width) continue;
    if (rows == width) {
      store<T>(dst + width - L, load<T>(src + width - L));
    } else {
      for (; i < width; i += L) store<T>(dst + i, i < rows ? load_n<T>(src + i, rows - i) : Vec<T>{});
    }
  }
}

template <class T>
static void pack(T* dst, int width, const T* src, int64_t ld, bool along_k, int rows, int64_t kc) {
  if (along_k) return pack_along<T>(dst, width, src, ld, rows, kc);
  pack_across<T>(dst, width, src, ld, rows, kc);
}

}  // namespace fastdl::FASTDL_ISA
