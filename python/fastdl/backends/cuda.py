"""The CUDA backend: kernels of csrc/ops/*/*.cu, compiled with nvcc."""

from .._cuda import *  # noqa: F403
from .missing import missing as _missing

NAME = "cuda"
globals().update(_missing(NAME, globals()))
