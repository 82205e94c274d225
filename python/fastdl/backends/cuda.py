"""The CUDA backend: kernels of csrc/ops/*/*.cu, compiled with nvcc."""

from .._cuda import *  # noqa: F403

NAME = "cuda"
