"""Products: bound by multiply-adds where all three sizes are large, by reading the weights where one is small."""

import numpy as np

from bench.row import Row, torch

ROWS = [
    Row("matmul", {"a": (256, 256), "b": (256, 256)}, goal=1.0),
    Row("matmul", {"a": (1024, 1024), "b": (1024, 1024)}, goal=1.0),
    Row("matmul", {"a": (2048, 2048), "b": (2048, 2048)}, goal=1.0),
    Row("matmul", {"a": (32, 4096), "b": (4096, 1000)}, goal=1.0),
    Row("matmul", {"a": (32, 64, 1024), "b": (32, 1024, 64)}, goal=1.0),
    Row("matmul", {"a": (256, 256), "b": (256, 256)}, backward=True, goal=1.0),
    Row("linear", {"x": (1, 25088), "out": 4096}, goal=1.0),
    Row("linear", {"x": (128, 256), "out": 10}, goal=1.0),
    Row("linear", {"x": (128, 784), "out": 512}, backward=True, goal=1.0),
]
TORCH = {} if torch is None else {"matmul": torch.matmul, "linear": torch.nn.functional.linear}
NUMPY = {"matmul": np.matmul, "linear": lambda x, w, b=None: x @ w.T if b is None else x @ w.T + b}
