// Functions that both the host and a CUDA kernel call (geometry in <op>.h) carry FASTDL_HD.
#pragma once
#if defined(__CUDACC__)
#define FASTDL_HD __host__ __device__ static inline
#else
#define FASTDL_HD static inline
#endif
