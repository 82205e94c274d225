// Unpooling on CUDA. The output is large and mostly zero: writing it once is the limit.
//
// Who owns what: by index, a thread owns a value and notes its position at its place; of several values with one place
// the last must win in every run, and the largest position does, whoever comes first. Then a thread owns an output and
// fetches what the note says. Backward reads through the indices. Nails: a thread owns an output (forward) or a corner
// (backward).
#include "core/error.h"
#include "cuda/first_failure.cuh"
#include "cuda/planes.cuh"
#include "ops/max_unpool2d/max_unpool2d.h"

namespace fastdl {
namespace {

// last[place] = 1 + the largest position in the plane that names it, or 0.
template <class I>
__global__ void __launch_bounds__(kBlock)
    note_kernel(int64_t n, Divider inputs, int64_t outputs, const I* indices, unsigned* last, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t plane = inputs.divide(i), at = indices[i];
  if (at < 0 || at >= outputs) return report(i);
  atomicMax(last + plane * outputs + at, static_cast<unsigned>(i - plane * inputs.divisor + 1));
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    fetch_kernel(int64_t n, int64_t inputs, Divider outputs, const T* x, const unsigned* last, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const unsigned noted = last[i];
  out[i] = noted ? x[outputs.divide(i) * inputs + noted - 1] : T{0};
}

template <class T, class I>
__global__ void __launch_bounds__(kBlock) gather_kernel(int64_t n, Divider inputs, int64_t outputs, const T* grad,
                                                        const I* indices, T* grad_x, FailureReport report) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const int64_t at = indices[i];
  if (at < 0 || at >= outputs) return report(i);
  grad_x[i] = grad[inputs.divide(i) * outputs + at];
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    nails_kernel(int64_t n, Planes large, Divider kernel_h, Divider kernel_w, const T* x, T* out) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const Place at = large[i];
  const int64_t y = kernel_h.divide(at.y), column = kernel_w.divide(at.x);
  const bool corner = y * kernel_h.divisor == at.y && column * kernel_w.divisor == at.x;
  const int64_t width = large.w.divisor / kernel_w.divisor, height = large.h.divisor / kernel_h.divisor;
  out[i] = corner ? x[(at.plane * height + y) * width + column] : T{0};
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    corners_kernel(int64_t n, Planes small, int64_t kernel_h, int64_t kernel_w, const T* grad, T* grad_x) {
  const int64_t i = global_thread();
  if (i >= n) return;
  const Place at = small[i];
  const int64_t row = (at.plane * small.h.divisor + at.y) * kernel_h;
  grad_x[i] = grad[row * small.w.divisor * kernel_w + at.x * kernel_w];
}

// run(typed x, typed indices, typed out).
template <class Run>
void with_indices(const MaxUnpool2dArgs& p, Run run) {
  visit_float(p.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto typed = [&](auto index) {
      using I = decltype(index);
      run(static_cast<const T*>(p.x), static_cast<const I*>(p.indices), static_cast<T*>(p.out));
    };
    p.index_dtype == DType::kInt64 ? typed(int64_t{}) : typed(int32_t{});
  });
}

template <class T>
void fill_nails(const BedOfNailsArgs& p, bool backward, Stream stream) {
  const UnpoolSizes& s = p.s;
  const T* x = static_cast<const T*>(p.x);
  T* out = static_cast<T*>(p.out);
  const int64_t n = backward ? s.planes * s.in_h * s.in_w : s.planes * s.out_h * s.out_w;
  if (backward)
    launch(corners_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, planes_of(s.in_h, s.in_w), p.kernel_h,
           p.kernel_w, x, out);
  else
    launch(nails_kernel<T>, blocks_for(n, kBlock), kBlock, 0, stream, n, planes_of(s.out_h, s.out_w),
           divide_by(p.kernel_h), divide_by(p.kernel_w), x, out);
}

}  // namespace

void max_unpool2d_fwd(const MaxUnpool2dArgs& p, Stream stream) {
  const UnpoolSizes& s = p.s;
  const int64_t inputs = s.in_h * s.in_w, outputs = s.out_h * s.out_w, n = s.planes * inputs, all = s.planes * outputs;
  EXPECT(inputs < int64_t{1} << 32, ValueError, "max_unpool2d", "planes of fewer than 2^32 elements", text(inputs));
  with_indices(p, [&](auto x, auto indices, auto out) {
    using T = std::remove_pointer_t<decltype(out)>;
    using I = std::remove_const_t<std::remove_pointer_t<decltype(indices)>>;
    const DeviceScratch<unsigned> last(all);
    set_zero(last.get(), static_cast<size_t>(all) * sizeof(unsigned), stream);
    launch(note_kernel<I>, blocks_for(n, kBlock), kBlock, 0, stream, n, divide_by(inputs), outputs, indices, last.get(),
           report_to(p.bad_index));
    launch(fetch_kernel<T>, blocks_for(all, kBlock), kBlock, 0, stream, all, inputs, divide_by(outputs), x, last.get(),
           out);
  });
}

void max_unpool2d_bwd(const MaxUnpool2dArgs& p, Stream stream) {
  const UnpoolSizes& s = p.s;
  const int64_t n = s.planes * s.in_h * s.in_w;
  with_indices(p, [&](auto x, auto indices, auto out) {
    using T = std::remove_pointer_t<decltype(out)>;
    using I = std::remove_const_t<std::remove_pointer_t<decltype(indices)>>;
    launch(gather_kernel<T, I>, blocks_for(n, kBlock), kBlock, 0, stream, n, divide_by(s.in_h * s.in_w),
           s.out_h * s.out_w, x, indices, out, report_to(p.bad_index));
  });
}

void bed_of_nails_fwd(const BedOfNailsArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { fill_nails<decltype(zero)>(p, false, stream); });
}

void bed_of_nails_bwd(const BedOfNailsArgs& p, Stream stream) {
  visit_float(p.dtype, [&](auto zero) { fill_nails<decltype(zero)>(p, true, stream); });
}

}  // namespace fastdl
