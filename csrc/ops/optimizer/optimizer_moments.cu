// Steps of Adamax, NAdam, RAdam and Rprop on CUDA, as those of optimizer.cu.
#include "ops/optimizer/optimizer_step.cuh"

namespace fastdl {
namespace {

// The numbers of a pack of all four arrays; `next` changes those of one place.
template <int N, class T, class Next>
__device__ inline void update_moments(const MomentsTensor& t, int64_t i, int64_t count, const Next& next) {
  T *const param = static_cast<T*>(t.param) + i, *const mean = static_cast<T*>(t.exp_avg) + i;
  T* const other = static_cast<T*>(t.other) + i;
  Pack<T, N> p = load_pack<N>(param, count), g = load_pack<N>(static_cast<const T*>(t.grad) + i, count);
  Pack<T, N> m = load_pack<N>(mean, count), v = load_pack<N>(other, count);
#pragma unroll
  for (int k = 0; k < N; ++k) next(p[k], g[k], m[k], v[k]);
  store_pack(param, p, count);
  store_pack(mean, m, count);
  store_pack(other, v, count);
}
__device__ inline uintptr_t addresses_of(const MomentsTensor& t) {
  return address(t.param) | address(t.grad) | address(t.exp_avg) | address(t.other);
}

template <class T>
struct Adamax {
  using Tensor = MomentsTensor;
  T sign, weight_decay, new1, beta2, eps, step_size;

  __device__ static uintptr_t addresses(const MomentsTensor& t) { return addresses_of(t); }

  template <int N>
  __device__ void update(const MomentsTensor& t, int64_t i, int64_t count) const {
    update_moments<N, T>(t, i, count, [this](T& p, T g, T& m, T& u) {
      g = decayed(sign * g, weight_decay, p);
      m += new1 * (g - m);
      const T kept = beta2 * u, now = (g < T{0} ? -g : g) + eps;
      u = now > kept || now != now ? now : kept;  // NaN of either side
      p -= step_size * m / u;
    });
  }
};

template <class T>
struct Ahead {
  using Tensor = MomentsTensor;
  T sign, keep, weight_decay, new1, beta2, new2, of_grad, of_mean, root, eps;
  bool divided;

  __device__ static uintptr_t addresses(const MomentsTensor& t) { return addresses_of(t); }

  template <int N>
  __device__ void update(const MomentsTensor& t, int64_t i, int64_t count) const {
    update_moments<N, T>(t, i, count, [this](T& p, T g, T& m, T& v) {
      g = decayed(sign * g, weight_decay, p);
      m += new1 * (g - m);
      v = beta2 * v + new2 * g * g;
      T update = of_mean * m;
      if (of_grad != T{0}) update += of_grad * g;
      p = keep * p - (divided ? update / (static_cast<T>(sqrt(v)) / root + eps) : update);
    });
  }
};

template <class T>
struct Rprop {
  using Tensor = MomentsTensor;
  T sign, shrink, grow, least, most;

  __device__ static uintptr_t addresses(const MomentsTensor& t) { return addresses_of(t); }

  template <int N>
  __device__ void update(const MomentsTensor& t, int64_t i, int64_t count) const {
    update_moments<N, T>(t, i, count, [this](T& p, T g, T& before, T& size) {
      g *= sign;
      const T turned = g * before;
      size *= turned > T{0} ? grow : turned < T{0} ? shrink : turned * T{0} + T{1};  // NaN stays
      size = size < least ? least : size > most ? most : size;
      before = g = turned < T{0} ? T{0} : g;
      p -= g > T{0} ? size : g < T{0} ? -size : g * size;
    });
  }
};

template <class T>
T sign_of(bool maximize) {
  return static_cast<T>(maximize ? -1 : 1);
}

}  // namespace

void adamax_step(const AdamaxArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Adamax<T> rule{sign_of<T>(a.maximize),  static_cast<T>(a.weight_decay), static_cast<T>(1 - a.beta1),
                         static_cast<T>(a.beta2), static_cast<T>(a.eps),          static_cast<T>(a.step_size)};
    launch_replayable_step<T>(rule, a.tensors, a.count, stream);
  });
}

void ahead_step(const AheadArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Ahead<T> rule{sign_of<T>(a.maximize),
                        static_cast<T>(a.keep),
                        static_cast<T>(a.weight_decay),
                        static_cast<T>(1 - a.beta1),
                        static_cast<T>(a.beta2),
                        static_cast<T>(1 - a.beta2),
                        static_cast<T>(a.of_grad),
                        static_cast<T>(a.of_mean),
                        static_cast<T>(a.root),
                        static_cast<T>(a.eps),
                        a.divided};
    launch_replayable_step<T>(rule, a.tensors, a.count, stream);
  });
}

void rprop_step(const RpropArgs& a, Stream stream) {
  visit_float(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Rprop<T> rule{sign_of<T>(a.maximize), static_cast<T>(a.shrink), static_cast<T>(a.grow),
                        static_cast<T>(a.least), static_cast<T>(a.most)};
    launch_replayable_step<T>(rule, a.tensors, a.count, stream);
  });
}

}  // namespace fastdl
