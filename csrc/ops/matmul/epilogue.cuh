// What follows the sum over k: bias, activation, and the addition of partial sums when k was split over blocks.
#pragma once
#include "cuda/access.cuh"
#include "ops/matmul/matmul.h"

namespace fastdl {

template <class T>
__device__ __forceinline__ T from_0_to_6(T x) {
  return x < T(0) ? T(0) : x > T(6) ? T(6) : x;  // NaN stays
}

template <class T>
__device__ __forceinline__ T activate(Activation activation, T x) {
  switch (activation) {
    case Activation::kRelu:
      return x > T(0) || x != x ? x : T(0);  // NaN stays
    case Activation::kSigmoid:
      return T(1) / (T(1) + exp(-x));
    case Activation::kTanh:
      return tanh(x);
    case Activation::kRelu6:
      return from_0_to_6(x);
    case Activation::kSilu:
      return x / (T(1) + exp(-x));
    case Activation::kHardsigmoid:
      return from_0_to_6(x + T(3)) / T(6);
    case Activation::kHardswish:
      return x * from_0_to_6(x + T(3)) / T(6);
    case Activation::kNone:
      break;
  }
  return x;
}

// Result i has the bias of channel i / inner % channels: inner is 1 for a matrix, the pixels of a plane for images.
template <class T>
struct Epilogue {
  const T* bias;  // or null
  Activation activation;
  Divider inner, channels;
  const T* residual = nullptr;  // added to result i before the activation, or null

  __device__ T operator()(T sum, int64_t channel, int64_t i = 0) const {
    if (bias) sum += bias[channel];
    if (residual) sum += residual[i];
    return activate(activation, sum);
  }
  __device__ T at(T sum, int64_t i) const {
    if (!bias) return (*this)(sum, 0, i);  // spares the divisions
    const int64_t row = inner.divide(i);
    return (*this)(sum, row - channels.divide(row) * channels.divisor, i);
  }
};

template <class T>
Epilogue<T> no_epilogue() {
  return {nullptr, Activation::kNone, divide_by(1), divide_by(1)};
}

namespace {

// partial (splits, n): a thread adds up one result, always from the first split to the last, so the sum does not depend
// on which block came first.
template <class T>
__global__ void __launch_bounds__(kBlock)
    add_partial_sums(const T* partial, int splits, int64_t n, Epilogue<T> epilogue, T* out) {
  for (int64_t i = global_thread(); i < n; i += static_cast<int64_t>(gridDim.x) * kBlock) {
    T sum = partial[i];
    for (int s = 1; s < splits; ++s) sum += partial[s * n + i];
    out[i] = epilogue.at(sum, i);
  }
}

// Runs a product whose arguments hold `out` and `epilogue`: at once, or as `splits` partial sums of n results each.
template <class Product, class Launch>
void with_partial_sums(const Product& product, int64_t splits, int64_t n, Stream stream, Launch&& launch_product) {
  if (splits == 1) return launch_product(product);
  using T = std::remove_pointer_t<decltype(product.out)>;
  const DeviceScratch<T> partial(splits * n);
  Product part = product;
  part.out = partial;
  part.epilogue = no_epilogue<T>();
  launch_product(part);
  launch(add_partial_sums<T>, blocks_for(n, kBlock), kBlock, 0, stream, partial.get(), static_cast<int>(splits), n,
         product.epilogue, product.out);
}

}  // namespace
}  // namespace fastdl
