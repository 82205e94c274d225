"""Transposition and channels last: bound by memory, if tiles fit the caches."""

import numpy as np

from bench.row import Row

ROWS = [
    Row("permute", {"shape": (2048, 2048), "dims": (1, 0)}, goal=1.0),
    Row("permute", {"shape": (8, 64, 112, 112), "dims": (0, 2, 3, 1)}, goal=1.0, channels_last=False),
]
TORCH = {"permute": lambda x, dims: x.permute(dims).contiguous()}
NUMPY = {"permute": lambda x, dims: np.ascontiguousarray(x.transpose(dims))}
